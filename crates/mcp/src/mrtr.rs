//! Multi round-trip requests: results that ask for input, and the retries that bring it.
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`.

use std::borrow::Cow;

use bytes::Bytes;

use crate::answer::{APPS_EXTENSION, AnswerFault};
use crate::call::Call;
use crate::json::{self, JsonFault, Kind, Object, Patch, Span};
use crate::jsonrpc::{Message, MessageKind};
use crate::reject::Reject;

/// One thing that a server asks for in mid-call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequest {
    /// The name that the answer comes back under; unique in its call.
    pub key: String,
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// The text of its params object, if it has any.
    pub params: Option<Bytes>,
}

impl InputRequest {
    /// The client capability without which it must not be asked for, as the JSON object that a refusal names it by
    /// (`requiredCapabilities`): none if `capabilities`, the client's, has it.
    #[must_use]
    pub fn lacks(&self, capabilities: &str) -> Option<String> {
        let name = capability(&self.method)?;
        let detail = match &*self.method {
            "elicitation/create" if self.is_url() => "url",
            "elicitation/create" => "form",
            "sampling/createMessage" if self.wants_tools() => "tools",
            _ => "",
        };
        if declares(capabilities, name, detail) {
            return None;
        }
        let detail = if detail.is_empty() { String::new() } else { format!("{}:{{}}", json::quote(detail)) };
        Some(format!("{{{}:{{{detail}}}}}", json::quote(name)))
    }

    /// Whether what decides over who may be asked means one thing.
    ///
    /// # Errors
    /// When such a member stands twice: it could be read as another question than the one that was checked.
    pub fn check(&self) -> Result<(), JsonFault> {
        let Some(params) = self.params().map(Object::parse).transpose()? else { return Ok(()) };
        ["mode", "tools", "toolChoice"].into_iter().try_for_each(|name| params.get(name).map(drop))
    }

    fn object(&self) -> Option<Object<'_>> {
        self.params().and_then(|params| Object::parse(params).ok())
    }

    /// Whether it asks to visit a URL.
    #[must_use]
    pub fn is_url(&self) -> bool {
        let mode = self.object().and_then(|params| params.string("mode").ok().flatten().map(Cow::into_owned));
        &*self.method == "elicitation/create" && mode.as_deref() == Some("url")
    }

    fn wants_tools(&self) -> bool {
        let has = |params: &Object<'_>, name| params.get(name).is_ok_and(|value| value.is_some());
        self.object().is_some_and(|params| has(&params, "tools") || has(&params, "toolChoice"))
    }

    /// The params as a modern client reads them: what names an elicitation in the legacy era goes.
    ///
    /// # Errors
    /// When the member stands twice.
    pub fn modernize(&mut self) -> Result<(), JsonFault> {
        let raw = self.params.clone().unwrap_or_default();
        let Ok(text) = std::str::from_utf8(&raw) else { return Ok(()) };
        if !self.is_url() {
            return Ok(());
        }
        let params = Object::parse(text)?;
        let mut patch = Patch::new();
        params.remove(|name| name == "elicitationId", 0, &mut patch);
        self.params = Some(patch.apply(text.as_bytes()));
        Ok(())
    }

    /// The params as a legacy client must find them: an elicitation by URL has an id there.
    ///
    /// # Errors
    /// When the member stands twice.
    pub fn age(&mut self, elicitation: &str) -> Result<(), JsonFault> {
        let raw = self.params.clone().unwrap_or_default();
        let Ok(text) = std::str::from_utf8(&raw) else { return Ok(()) };
        if self.is_url() {
            let mut patch = Patch::new();
            Object::parse(text)?.set("elicitationId", json::quote(elicitation).as_bytes(), 0, &mut patch)?;
            self.params = Some(patch.apply(text.as_bytes()));
        }
        Ok(())
    }

    /// Reads an `inputRequests` object.
    ///
    /// # Errors
    /// When a key stands twice, or something is asked for that no client can be asked for.
    pub fn read_all(asked: &Object<'_>) -> Result<Vec<Self>, AnswerFault> {
        asked.deny_duplicates()?;
        asked.iter().map(|member| read_request(&member.name, member.value)).collect()
    }

    /// The `inputRequests` object.
    #[must_use]
    pub fn write_all(requests: &[Self]) -> String {
        let each = |request: &Self| {
            let params = request.params().map(|params| format!(",\"params\":{params}")).unwrap_or_default();
            format!("{}:{{\"method\":{}{params}}}", json::quote(&request.key), json::quote(&request.method))
        };
        let requests: Vec<_> = requests.iter().map(each).collect();
        format!("{{{}}}", requests.join(","))
    }

    /// The params as text.
    #[must_use]
    pub fn params(&self) -> Option<&str> {
        self.params.as_deref().and_then(|raw| std::str::from_utf8(raw).ok())
    }
}

/// The client capability that a request for input needs; none for what is no request for input.
#[must_use]
pub fn capability(method: &str) -> Option<&'static str> {
    match method {
        "elicitation/create" => Some("elicitation"),
        "roots/list" => Some("roots"),
        "sampling/createMessage" => Some("sampling"),
        _ => None,
    }
}

/// The members of a client's capabilities that tell what it can be asked for, and what there is of each.
const ASKED: [(&str, &[&str]); 3] =
    [("elicitation", &["form", "url"]), ("roots", &[LIST_CHANGED]), ("sampling", &["context", "tools"])];

/// What a legacy server is told in `initialize`: those of the client's capabilities that are about requests to it, and that
/// it shows apps, written in one way, since sessions are shared by it and clients are many. That its roots change is told
/// to such servers, if it is what the client tells of.
#[must_use]
pub fn askable(capabilities: &str) -> String {
    let Ok(object) = Object::parse(capabilities) else { return "{}".to_owned() };
    let mut told = asked(&object);
    if let Some(apps) = apps(&object) {
        add(&mut told, "extensions", &format!("{{{}:{apps}}}", json::quote(APPS_EXTENSION)));
    }
    told
}

/// Adds a member to an object.
fn add(told: &mut String, name: &str, value: &str) {
    let comma = if told == "{}" { "" } else { "," };
    told.truncate(told.len() - 1);
    told.push_str(&format!("{comma}{}:{value}}}", json::quote(name)));
}

/// What it can be asked for.
fn asked(object: &Object<'_>) -> String {
    let member = |(name, details): &(&str, &[&str])| {
        let declared = object.object(name).ok().flatten()?;
        let has = |detail: &&&str| has_detail(&declared, detail);
        let text = |detail: &&str| match *detail {
            LIST_CHANGED => format!("\"{LIST_CHANGED}\":true"),
            detail => format!("{}:{{}}", json::quote(detail)),
        };
        let details: Vec<_> = details.iter().filter(has).map(text).collect();
        Some(format!("{}:{{{}}}", json::quote(name), details.join(",")))
    };
    let members: Vec<_> = ASKED.iter().filter_map(member).collect();
    format!("{{{}}}", members.join(","))
}

/// The one type that apps have. Source: MCP Apps 2026-01-26 §Client Capabilities.
const APP: &str = "text/html;profile=mcp-app";
const SHOWS_APPS: &str = r#"{"mimeTypes":["text/html;profile=mcp-app"]}"#;

/// What is declared of apps, the one extension that legacy servers know: by it they decide which tools and results they have.
/// What a client says of them tells sessions apart, so there are only two things that can be said.
fn apps(capabilities: &Object<'_>) -> Option<&'static str> {
    let theirs = capabilities.object("extensions").ok().flatten()?.object(APPS_EXTENSION).ok().flatten()?;
    let types =
        theirs.get("mimeTypes").ok().flatten().and_then(|raw| json::array(raw).ok()).unwrap_or_default();
    let shows = types.iter().any(|of| json::string(of).is_ok_and(|of| of == APP));
    Some(if shows { SHOWS_APPS } else { "{}" })
}

/// What a legacy server is told of a client that has a session of its own: [`askable`], and what else is between those two alone.
#[must_use]
pub fn introduction(capabilities: &str) -> String {
    let Ok(object) = Object::parse(capabilities) else { return "{}".to_owned() };
    let mut told = asked(&object);
    for name in ["experimental", "extensions"] {
        let Some(raw) = object.get(name).ok().flatten().filter(|raw| raw.starts_with('{')) else { continue };
        add(&mut told, name, raw);
    }
    told
}

/// All that a server can be told ([`askable`]).
pub const EVERYTHING: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{"listChanged":true},"sampling":{"context":{},"tools":{}},"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#;

const LIST_CHANGED: &str = "listChanged";

/// Whether a capability has a detail. All but one are objects that say so by being there.
fn has_detail(declared: &Object<'_>, detail: &str) -> bool {
    let value = declared.get(detail).ok().flatten();
    value.is_some_and(|value| if detail == LIST_CHANGED { value == "true" } else { value != "null" })
}

/// The elicitation that a request of a legacy server is about, if it is one by URL.
#[must_use]
pub fn elicitation_id(params: Option<&str>) -> Option<String> {
    let params = Object::parse(params?).ok()?;
    let mode = params.string("mode").ok().flatten()?;
    let id = params.string("elicitationId").ok().flatten()?;
    (mode == "url").then(|| id.into_owned())
}

/// The elicitations that a legacy server names in an error (-32042).
#[must_use]
pub fn elicitation_ids(data: Option<&str>) -> Vec<String> {
    let listed = data
        .and_then(|data| Object::parse(data).ok())
        .and_then(|data| data.get("elicitations").ok().flatten());
    let listed = listed.and_then(|raw| json::array(raw).ok()).unwrap_or_default();
    listed.into_iter().filter_map(|raw| elicitation_id(Some(raw))).collect()
}

/// Where the progress token of a request stands, if it has one.
#[must_use]
pub fn progress_token_at(message: &Message) -> Option<Span> {
    let MessageKind::Request(request) = message.kind() else { return None };
    let at = request.params?;
    let text = message.at(at);
    let meta = Object::parse(text).ok()?.object("_meta").ok()??;
    let token = meta.get("progressToken").ok()??;
    Some(Span::locate(text, token).shift(at.start))
}

/// Whether who was told `told` was told all that is in `declared`, too; both as [`askable`] writes them.
#[must_use]
pub fn covers(told: &str, declared: &str) -> bool {
    let Ok(object) = Object::parse(declared) else { return false };
    let told_of = |text: &str| Object::parse(text).ok().and_then(|told| apps(&told));
    if apps(&object).is_some_and(|shown| told_of(told).is_none_or(|told| told != shown && told != SHOWS_APPS))
    {
        return false;
    }
    ASKED.iter().all(|(name, details)| match object.object(name) {
        Ok(None) => true,
        Ok(Some(_)) => {
            let needed = |detail: &&&str| declares(declared, name, detail);
            declares(told, name, "") && details.iter().filter(needed).all(|d| declares(told, name, d))
        }
        Err(_) => false,
    })
}

/// Whether a client declared a capability, and of it a detail. An elicitation capability that names no mode means forms
/// (MCP 2025-11-25 `client/elicitation` §Capabilities; the same in 2026-07-28).
fn declares(capabilities: &str, name: &str, detail: &str) -> bool {
    let object = Object::parse(capabilities).ok();
    let Some(declared) = object.and_then(|object| object.object(name).ok().flatten()) else { return false };
    let has = |detail: &str| has_detail(&declared, detail);
    match detail {
        "" => true,
        "form" => has("form") || !has("url"),
        detail => has(detail),
    }
}

/// A result that asks for input, looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequired {
    /// What is asked for, in the server's order.
    pub requests: Vec<InputRequest>,
    /// The JSON text of the state that the retry must carry, as it came.
    pub state: Option<String>,
}

impl InputRequired {
    /// Reads a result whose type is `input_required`.
    ///
    /// # Errors
    /// When it asks for nothing and carries no state, or for something that no client can be asked.
    pub fn read(result: &Object<'_>) -> Result<Self, AnswerFault> {
        let state = result.get("requestState")?;
        if let Some(state) = state.filter(|state| Kind::of(state) != Kind::String) {
            let fault = JsonFault::Kind { expected: "a string", found: Kind::of(state) };
            return Err(AnswerFault::Unreadable(fault));
        }
        let mut requests = Vec::new();
        if let Some(asked) = result.object("inputRequests")? {
            requests = InputRequest::read_all(&asked)?;
        }
        if requests.is_empty() && state.is_none() {
            return Err(AnswerFault::AsksForNothing);
        }
        Ok(Self { requests, state: state.map(str::to_owned) })
    }
}

fn read_request(key: &str, value: &str) -> Result<InputRequest, AnswerFault> {
    let object = Object::parse(value)?;
    let method = object.string("method")?.unwrap_or_default();
    if capability(&method).is_none() {
        return Err(AnswerFault::CannotBeAsked(method.into_owned()));
    }
    let params = object.object("params")?.map(|params| Bytes::copy_from_slice(params.text().as_bytes()));
    let request = InputRequest { key: key.to_owned(), method: method.into_owned(), params };
    request.check()?;
    Ok(request)
}

/// The result object that asks a modern client for input; `state` is the state itself, not its JSON text.
#[must_use]
pub fn ask(requests: &[InputRequest], state: &str) -> String {
    let (requests, state) = (InputRequest::write_all(requests), json::quote(state));
    format!(r#"{{"resultType":"input_required","inputRequests":{requests},"requestState":{state}}}"#)
}

/// What a retry brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retry<'a> {
    /// The answers: the key of each, and the text of its result object.
    pub responses: Vec<(Cow<'a, str>, &'a str)>,
    /// The state, if one came along.
    pub state: Option<Cow<'a, str>>,
}

impl<'a> Retry<'a> {
    /// Reads what a call's params bring.
    ///
    /// # Errors
    /// When `inputResponses` is not an object of objects with each key once, or `requestState` no string.
    pub fn read(params: Option<&'a str>) -> Result<Self, JsonFault> {
        let Some(params) = params else { return Ok(Self::default()) };
        let params = Object::parse(params)?;
        let state = params.string("requestState")?;
        let mut responses = Vec::new();
        if let Some(given) = params.object("inputResponses")? {
            given.deny_duplicates()?;
            for member in given.iter() {
                if Kind::of(member.value) != Kind::Object {
                    return Err(JsonFault::Kind { expected: "an object", found: Kind::of(member.value) });
                }
                responses.push((member.name.clone(), member.value));
            }
        }
        Ok(Self { responses, state })
    }

    /// The answer under a key.
    #[must_use]
    pub fn response(&self, key: &str) -> Option<&'a str> {
        self.responses.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

/// The same call with what a server asked for: `responses` are the keys and the texts of the result objects, `state` the
/// JSON text of the state that it gave, if it gave one.
///
/// # Errors
/// When the call has no params, as those that may be asked for input always have.
pub fn again(call: &Call, responses: &[(String, String)], state: Option<&str>) -> Result<Call, Reject> {
    let none = || Reject::Params("params are required".to_owned());
    let (Some(at), Some(text)) = (call.places().at, call.params()) else { return Err(none()) };
    let bad = |fault: JsonFault| Reject::member("params", &fault);
    let message = call.message();
    let mut patch = Patch::new();
    let params = Object::parse(text).map_err(bad)?;
    params.remove(is_ours, at.start, &mut patch);
    let message = reread(&patch, message)?;
    let MessageKind::Request(request) = message.kind() else { return Err(none()) };
    let at = request.params.ok_or_else(none)?;
    let mut members = String::new();
    if !responses.is_empty() {
        let each = |(key, text): &(String, String)| format!("{}:{text}", json::quote(key));
        let all: Vec<_> = responses.iter().map(each).collect();
        members.push_str(&format!("\"inputResponses\":{{{}}}", all.join(",")));
    }
    if let Some(state) = state {
        let comma = if members.is_empty() { "" } else { "," };
        members.push_str(&format!("{comma}\"requestState\":{state}"));
    }
    let mut patch = Patch::new();
    if !members.is_empty() {
        let empty = Object::parse(message.at(at)).map_err(bad)?.is_empty();
        let comma = if empty { "" } else { "," };
        patch.insert(at.start + 1, format!("{members}{comma}").as_bytes());
    }
    crate::inbound::legacy(reread(&patch, &message)?, call.client().clone())
}

/// The same call as it would have come without what it brings back: as new as it is.
///
/// # Errors
/// As [`again`].
pub fn bare(call: &Call) -> Result<Call, Reject> {
    let bare = again(call, &[], None)?;
    Ok(if call.is_again() { bare.again() } else { bare })
}

/// Whether a member of params is about input that was asked for.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    matches!(name, "inputResponses" | "requestState")
}

fn reread(patch: &Patch, message: &Message) -> Result<Message, Reject> {
    Ok(Message::parse(patch.apply(message.bytes()))?)
}

/// The URLs that a legacy server wants to be visited first (error -32042), as requests to a modern client.
///
/// # Errors
/// When `data` has no readable list of them.
pub fn of_url_error(data: Option<&str>) -> Result<Vec<InputRequest>, JsonFault> {
    let data = Object::parse(data.unwrap_or("{}"))?;
    let listed = data.get("elicitations")?.map(json::array).transpose()?.unwrap_or_default();
    let mut requests = Vec::new();
    for (n, raw) in listed.into_iter().enumerate() {
        if Kind::of(raw) != Kind::Object {
            return Err(JsonFault::Kind { expected: "an object", found: Kind::of(raw) });
        }
        let params = Some(Bytes::copy_from_slice(raw.as_bytes()));
        let mut request = InputRequest { key: key(n), method: "elicitation/create".to_owned(), params };
        request.check()?;
        request.modernize()?;
        requests.push(request);
    }
    Ok(requests)
}

/// The key of the n-th request of a call, counted from 0.
#[must_use]
pub fn key(n: usize) -> String {
    format!("input-{}", n + 1)
}

#[cfg(test)]
mod tests;
