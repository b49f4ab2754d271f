//! What a client of an older revision gets of what a server of a newer one wrote.
//!
//! Only what such a client could not read is changed, and nothing is lost without a word: content of a type that it does
//! not know becomes text that says what it was, and a structured result finds its place in an object or in text. What a
//! newer revision merely added, a client of an older one ignores, as the schema of every revision lets it: `icons`,
//! `title`, `execution`, annotations, `_meta` stay as they came. A server that is no newer than the client wrote what the
//! client reads; then nothing is touched, not even its mistakes.
//!
//! Source: MCP `schema/*/schema.json` and the changelog of each revision.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::{self, JsonFault, Kind, Object, Patch, Span};
use crate::jsonrpc::{Message, MessageKind};
use crate::method::Method;
use crate::version::{Era, Revision, Structured};

mod blocks;
mod schema;

/// From the revision that a server wrote in to the one that its client reads.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// The server's.
    pub from: &'static Revision,
    /// The client's.
    pub to: &'static Revision,
}

/// What becomes of a structured result, and of the schema that describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// An object is kept, anything else is put into one.
    Wrapped,
    /// It is told as text.
    Told,
}

impl Gap {
    /// Whether nothing is to be changed, whatever was written.
    #[must_use]
    pub fn is_even(self) -> bool {
        !self.from.is_newer_than(self.to)
    }

    fn fate(self) -> Fate {
        match self.to.structured {
            to if self.is_even() || to >= self.from.structured => Fate::Kept,
            Structured::Absent => Fate::Told,
            Structured::Object | Structured::Any => Fate::Wrapped,
        }
    }

    fn crosses_eras(self) -> bool {
        self.from.era == Era::Modern && self.to.era == Era::Legacy
    }
}

/// The response to a call as the client can read it. Lists are changed entry by entry ([`entry`]), because the entries of
/// one list may come from servers of several revisions.
///
/// # Errors
/// When a member that decides something stands twice: nobody can know which of the two the client would read.
pub fn response(message: Message, method: Option<&Method>, gap: Gap) -> Result<Message, JsonFault> {
    let MessageKind::Result(parts) = message.kind() else { return Ok(message) };
    if gap.is_even() {
        return Ok(message);
    }
    let (text, at) = (message.at(parts.result), parts.result.start);
    let mut patch = Patch::new();
    match method.map(|method| method.name) {
        Some("tools/call") => call_result(text, at, gap, &mut patch)?,
        Some("prompts/get") => prompt_result(text, at, gap, &mut patch)?,
        _ => {}
    }
    if patch.is_empty() {
        return Ok(message);
    }
    let text = patch.apply(message.bytes());
    Message::parse(text).map_err(|fault| JsonFault::Syntax(fault.to_string()))
}

/// An entry of a list as the client can read it.
#[must_use]
pub fn entry(text: &Bytes, method: &Method, gap: Gap) -> Bytes {
    if gap.is_even() || method.name != "tools/list" {
        return text.clone();
    }
    // One that cannot be read stays as it is: it is the client's to judge.
    let patch = std::str::from_utf8(text).ok().and_then(|tool| tool_patch(tool, gap).ok());
    patch.filter(|patch| !patch.is_empty()).map_or_else(|| text.clone(), |patch| patch.apply(text))
}

fn tool_patch(tool: &str, gap: Gap) -> Result<Patch, JsonFault> {
    let object = Object::parse(tool)?;
    let mut patch = Patch::new();
    if gap.crosses_eras()
        && let Some(input) = object.get("inputSchema")?
    {
        schema::spell_properties(input, object.span_of(input).start, &mut patch)?;
    }
    let Some(output) = object.get("outputSchema")? else { return Ok(patch) };
    let becomes = match gap.fate() {
        Fate::Kept => return Ok(patch),
        Fate::Told => schema::Output::Gone,
        Fate::Wrapped => schema::output(output)?,
    };
    match becomes {
        schema::Output::Stays => {
            schema::spell_properties(output, object.span_of(output).start, &mut patch)?;
        }
        schema::Output::Becomes(text) => patch.replace(object.span_of(output), text.as_bytes()),
        schema::Output::Gone => object.remove(|name| name == "outputSchema", 0, &mut patch),
    }
    Ok(patch)
}

fn call_result(result: &str, at: usize, gap: Gap, patch: &mut Patch) -> Result<(), JsonFault> {
    let object = Object::parse(result)?;
    let content = object.get("content")?;
    let structured = object.get("structuredContent")?;
    let mut told = None;
    match (structured, gap.fate()) {
        (None, _) | (Some(_), Fate::Kept) => {}
        // The kind of the value decides, because a result has to be judged without its tool's schema: an object is
        // never put into another one, whatever the schema allows beside objects. [`schema::output`] describes both.
        (Some(value), Fate::Wrapped) => {
            if Kind::of(value) != Kind::Object {
                let span = object.span_of(value).shift(at);
                patch.insert(span.start, br#"{"result":"#);
                patch.insert(span.end, b"}");
            }
        }
        // A server tells it in a text block, too (2026-07-28 `server/tools` §Structured Content: SHOULD). If not, we do.
        (Some(value), Fate::Told) => match content {
            None => {
                let content = format!("\"content\":[{}]", blocks::text_block(value));
                let span = member_span(&object, "structuredContent", value);
                patch.replace(span.shift(at), content.as_bytes());
            }
            Some(content) if content.starts_with('[') => {
                told = (!blocks::any_text(content)?).then(|| blocks::text_block(value));
                object.remove(|name| name == "structuredContent", at, patch);
            }
            // The content of no revision: it has no place for what would go.
            Some(_) => {}
        },
    }
    let Some(content) = content.filter(|raw| raw.starts_with('[')) else { return Ok(()) };
    let content_at = at + object.span_of(content).start;
    let elements = json::array(content)?;
    for block in &elements {
        blocks::convert(block, content_at + Span::locate(content, block).start, gap, patch);
    }
    if let Some(told) = told {
        let comma = if elements.is_empty() { "" } else { "," };
        let end = elements.last().map_or(1, |last| Span::locate(content, last).end);
        patch.insert(content_at + end, format!("{comma}{told}").as_bytes());
    }
    Ok(())
}

fn prompt_result(result: &str, at: usize, gap: Gap, patch: &mut Patch) -> Result<(), JsonFault> {
    let object = Object::parse(result)?;
    let Some(messages) = object.get("messages")?.filter(|raw| raw.starts_with('[')) else { return Ok(()) };
    for message in json::array(messages)? {
        let content = Object::parse(message).ok().and_then(|message| message.get("content").ok().flatten());
        // Several blocks in one message are no content of any revision.
        if let Some(block) = content {
            blocks::convert(block, at + Span::locate(result, block).start, gap, patch);
        }
    }
    Ok(())
}

/// Where a member stands, name and value.
fn member_span(object: &Object<'_>, name: &str, value: &str) -> Span {
    let raw_name = object.iter().find(|member| member.name == name).map_or(value, |member| member.raw_name);
    Span { start: object.span_of(raw_name).start, end: object.span_of(value).end }
}

/// Text for people, cut where it would get long.
fn short(text: &str) -> Cow<'_, str> {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
