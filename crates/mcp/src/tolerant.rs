//! The one rule by which what others write is read where they mean what they do not quite say.
//!
//! **Servers**: null is absent, ids count by value, what is not known is kept. A member that a schema of the protocol makes
//! optional, and that a server writes as `null`, is taken away at the door ([`Message::of_server`]): nobody behind it has
//! to think of it, and no client is given it, since SDKs that check by schema (zod) refuse a whole answer for it. So is
//! an empty array where only an object has a place, because that is how PHP and Lua write an empty object. An id of ours that comes back as `"7"`
//! or `7.0` is 7.
//!
//! **Clients**: `params`, `_meta`, `arguments`, `cursor` and a progress token that are `null`, or the empty array, are absent
//! ([`Message::of_client`]); all else is strict, because what a client sends is what it wants to be done.
//!
//! Members that are not in these tables, and everything that is a payload (arguments, schemas, structured content, the data of
//! errors), stay as they came. Of a message that has no null and no empty array nothing of this asks for a second look.
//!
//! [`Message::of_server`]: crate::jsonrpc::Message::of_server
//! [`Message::of_client`]: crate::jsonrpc::Message::of_client

use std::collections::HashSet;

use crate::json::{self, Kind, Object, Patch, Span};
use crate::meta::{PROGRESS_TOKEN, SERVER_INFO};

/// The number that a text means as an id of ours: `7`, `"7"`, `7.0`.
#[must_use]
pub fn number(raw: &str) -> Option<u64> {
    if let Ok(plain) = raw.parse() {
        return Some(plain);
    }
    let whole = |text: &str| json::integer(text).and_then(|number| u64::try_from(number).ok());
    match Kind::of(raw) {
        Kind::String => {
            let text = json::string(raw).ok()?;
            let text = text.trim();
            // What is no number in JSON is none here: `inf`, `0x7`.
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'+'));
            text.parse().ok().or_else(|| is_plain.then(|| whole(text)).flatten())
        }
        Kind::Number => whole(raw),
        Kind::Array | Kind::Boolean | Kind::Null | Kind::Object => None,
    }
}

/// How deep what a server says is looked into. Nothing of the protocol goes deeper.
const DEEPEST: usize = 8;

/// Members that are optional in what servers say, wherever a schema of the protocol has them; none may be null there.
const OPTIONAL: &[&str] = &[
    "_meta",
    "annotations",
    "arguments",
    "audience",
    "blob",
    "cacheScope",
    "capabilities",
    "costPriority",
    "description",
    "destructiveHint",
    "execution",
    "hasMore",
    "hints",
    "icons",
    "idempotentHint",
    "includeContext",
    "inputRequests",
    "instructions",
    "intelligencePriority",
    "isError",
    "lastModified",
    "logger",
    "message",
    "metadata",
    "mimeType",
    "mode",
    "modelPreferences",
    "nextCursor",
    "openWorldHint",
    "outputSchema",
    "pollInterval",
    "priority",
    "progressToken",
    "readOnlyHint",
    "reason",
    "requestState",
    "required",
    "resultType",
    "serverInfo",
    "size",
    "sizes",
    "speedPriority",
    "statusMessage",
    "stopReason",
    "stopSequences",
    "systemPrompt",
    "task",
    "taskSupport",
    "temperature",
    "text",
    "theme",
    "title",
    "toolChoice",
    "tools",
    "total",
    "ttlMs",
    "websiteUrl",
];

/// Members that hold something of the protocol's own shape, in which the above is looked for.
const LOOKED_INTO: &[&str] = &[
    "annotations",
    "arguments",
    "completion",
    "content",
    "contents",
    "execution",
    "hints",
    "icons",
    "messages",
    "modelPreferences",
    "prompts",
    "resource",
    "resourceTemplates",
    "resources",
    "roots",
    "serverInfo",
    "task",
    "tasks",
    "tools",
];

/// Members whose value is an object, so that an empty array can only be an empty one.
const OBJECTS: &[&str] = &["_meta", "annotations", "execution", "modelPreferences"];

/// What an object is, which says what is looked for in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A result.
    Result,
    /// Something of the protocol's own shape.
    Shape,
    /// Capabilities: each is an object, and one that is null is not there.
    Capabilities,
}

/// Plans what a message of a server must lose or say otherwise so that it can be read strictly. Members that stand twice are
/// left to whoever refuses them.
pub(crate) fn mend_server(envelope: &Object<'_>, patch: &mut Patch) {
    let get = |name: &str| envelope.get(name).ok().flatten();
    let is_null = |name: &str| get(name) == Some("null");
    let said = |name: &str| get(name).is_some_and(|raw| raw != "null");
    let responds = said("result") || said("error");
    let mut gone: Vec<&str> = Vec::new();
    if responds {
        gone.extend(["method", "params", "result", "error"].into_iter().filter(|name| is_null(name)));
    } else if said("method") {
        gone.extend(["id", "result", "error"].into_iter().filter(|name| is_null(name)));
        gone.extend(get("params").filter(|raw| is_nothing(raw)).map(|_| "params"));
    }
    if responds
        && !said("method")
        && let Some(raw) = get("id")
        && !raw.bytes().all(|byte| byte.is_ascii_digit())
        && let Some(number) = number(raw)
    {
        patch.replace(envelope.span_of(raw), number.to_string().as_bytes());
    }
    envelope.remove(|name| gone.contains(&name), 0, patch);
    for (name, place) in [("result", Place::Result), ("params", Place::Shape)] {
        if !gone.contains(&name)
            && let Some(raw) = get(name)
        {
            mend_value(raw, (place, 0), envelope.span_of(raw).start, patch);
        }
    }
}

/// The same for a message of a client: its `params` and their members that say nothing.
pub(crate) fn mend_client(envelope: &Object<'_>, patch: &mut Patch) {
    let get = |name: &str| envelope.get(name).ok().flatten();
    let (Some(method), Some(raw)) = (get("method"), get("params")) else { return };
    if is_nothing(raw) {
        return envelope.remove(|name| name == "params", 0, patch);
    }
    let (Ok(params), offset) = (Object::parse_within(raw, json::MOST_MEMBERS), envelope.span_of(raw).start)
    else {
        return;
    };
    let opens = method == "\"initialize\"";
    let mut gone: Vec<&str> = Vec::new();
    for name in ["_meta", "arguments", "cursor", "clientInfo"] {
        let Ok(Some(raw)) = params.get(name) else { continue };
        match (name, raw) {
            ("clientInfo", _) if !opens => {}
            ("arguments", raw) if is_empty_array(raw) => {
                patch.replace(params.span_of(raw).shift(offset), b"{}");
            }
            ("cursor", "null") => gone.push(name),
            ("cursor", _) => {}
            ("_meta", raw) if !is_nothing(raw) => {
                let token = Object::parse_within(raw, json::MOST_MEMBERS);
                if let Ok(meta) = token
                    && meta.get(PROGRESS_TOKEN) == Ok(Some("null"))
                {
                    meta.remove(|name| name == PROGRESS_TOKEN, offset + params.span_of(raw).start, patch);
                }
            }
            (_, raw) if is_nothing(raw) => gone.push(name),
            _ => {}
        }
    }
    params.remove(|name| gone.contains(&name), offset, patch);
    if opens && let Ok(Some(raw)) = params.get("capabilities") {
        let at = params.span_of(raw).shift(offset);
        if is_nothing(raw) {
            patch.replace(at, b"{}");
        } else {
            mend_value(raw, (Place::Capabilities, 0), at.start, patch);
        }
    }
}

/// Looks for what says nothing in a value, and in what it holds. `offset` is where the value begins in the text that is
/// patched.
fn mend_value(raw: &str, (place, depth): (Place, usize), offset: usize, patch: &mut Patch) {
    if depth >= DEEPEST {
        return;
    }
    match Kind::of(raw) {
        Kind::Array => {
            for element in json::array(raw).unwrap_or_default() {
                if Kind::of(element) == Kind::Object {
                    let at = offset + Span::locate(raw, element).start;
                    mend_value(element, (place, depth + 1), at, patch);
                }
            }
        }
        Kind::Object => {
            if let Ok(object) = Object::parse(raw) {
                mend_object(&object, (place, depth), offset, patch);
            }
        }
        Kind::Boolean | Kind::Null | Kind::Number | Kind::String => {}
    }
}

fn mend_object(object: &Object<'_>, (place, depth): (Place, usize), offset: usize, patch: &mut Patch) {
    // What stands twice is for others to refuse. Names are counted, and not looked for: there may be very many.
    let mut twice: Option<HashSet<String>> = None;
    let mut once = |name: &str| !twice.get_or_insert_with(|| names_that_stand_twice(object)).contains(name);
    let mut goes = |name: &str, raw: &str| match place {
        Place::Capabilities => raw == "null",
        _ if raw == "null" => OPTIONAL.contains(&name) && once(name),
        _ => is_empty_array(raw) && OBJECTS.contains(&name) && once(name),
    };
    // In the modern era, where each result names its type, any JSON is a value there.
    let lacks_structure = place == Place::Result
        && object.get("structuredContent") == Ok(Some("null"))
        && object.get("resultType") == Ok(None);
    let mut gone: HashSet<String> = HashSet::new();
    for member in object.iter() {
        let (name, raw) = (&*member.name, member.value);
        let at = object.span_of(raw).shift(offset);
        if goes(name, raw) || (lacks_structure && name == "structuredContent") {
            gone.insert(name.to_owned());
        } else if place == Place::Capabilities {
            if is_empty_array(raw) {
                patch.replace(at, b"{}");
            } else if depth < 2 {
                mend_value(raw, (place, depth + 1), at.start, patch);
            }
        } else if name == "capabilities" {
            if is_empty_array(raw) {
                patch.replace(at, b"{}");
            } else {
                mend_value(raw, (Place::Capabilities, 0), at.start, patch);
            }
        } else if name == "_meta" {
            let meta = Object::parse(raw).ok();
            let info = meta.as_ref().and_then(|meta| meta.get(SERVER_INFO).ok().flatten());
            if let (Some(meta), Some(info)) = (&meta, info) {
                mend_value(info, (Place::Shape, depth + 1), at.start + meta.span_of(info).start, patch);
            }
        } else if LOOKED_INTO.contains(&name) {
            mend_value(raw, (Place::Shape, depth + 1), at.start, patch);
        }
    }
    object.remove(|name| gone.contains(name), offset, patch);
}

fn names_that_stand_twice(object: &Object<'_>) -> HashSet<String> {
    let mut seen = HashSet::new();
    object.iter().filter(|member| !seen.insert(member.name.clone())).map(|m| m.name.into_owned()).collect()
}

/// How languages write that there is nothing.
fn is_nothing(raw: &str) -> bool {
    raw == "null" || is_empty_array(raw)
}

fn is_empty_array(raw: &str) -> bool {
    let inner = raw.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.bytes().all(|byte| byte.is_ascii_whitespace()))
}

#[cfg(test)]
mod tests;
