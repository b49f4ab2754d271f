//! The JSON-RPC envelope: ids, and which of the four kinds a message is.
//!
//! The kind is decided by the members that are there, never by trying models in turn: a message with a `method` and
//! a malformed `id` is a malformed request, not a notification. Sources: JSON-RPC 2.0; MCP 2026-07-28 `basic` §Messages.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;
use smallvec::SmallVec;

use crate::glance::Glance;
use crate::json::{self, JsonFault, Kind, Object, Outline, Patch, Span};
use crate::method;
use crate::tolerant;

/// A request id as it was written: a string or an integer. `1` and `"1"` are different ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(SmallVec<[u8; 24]>);

impl Id {
    /// Reads an id from its JSON text.
    ///
    /// # Errors
    /// `None` for everything but a string or an integer literal: null, fractions, exponents, arrays and so on.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        match Kind::of(raw) {
            Kind::String => json::string(raw).ok().map(|_| Self::of(raw)),
            Kind::Number => {
                let digits = raw.strip_prefix('-').unwrap_or(raw);
                digits.bytes().all(|b| b.is_ascii_digit()).then(|| Self::of(raw))
            }
            Kind::Array | Kind::Boolean | Kind::Null | Kind::Object => None,
        }
    }

    fn of(raw: &str) -> Self {
        Self(SmallVec::from_slice(raw.as_bytes()))
    }

    /// An id of our own.
    #[must_use]
    pub fn number(id: u64) -> Self {
        Self::of(itoa::Buffer::new().format(id))
    }

    /// An id that is a string.
    #[must_use]
    pub fn text(id: &str) -> Self {
        Self::of(&json::quote(id))
    }

    /// The JSON text, as written.
    #[must_use]
    pub fn raw(&self) -> &str {
        // It was made of a text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The number, if this is one of ours.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        self.raw().parse().ok()
    }

    /// The id with one spelling: what a peer that decoded and encoded it again would send.
    #[must_use]
    pub fn canonical(&self) -> Self {
        match json::string(self.raw()) {
            Ok(Cow::Owned(text)) => Self::text(&text),
            _ => self.clone(),
        }
    }
}

/// Why a text is not a JSON-RPC message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    /// The bytes are not UTF-8.
    #[error("the message is not UTF-8")]
    NotUtf8,
    /// The text is not JSON.
    #[error("the message is not JSON: {0}")]
    NotJson(String),
    /// JSON-RPC batches exist in revision 2025-03-26 only.
    #[error("the message is an array; JSON-RPC batches are not part of this revision")]
    Batch,
    /// More objects and arrays in each other than whoever reads it takes. The text names the key that says how many.
    #[error(
        "the message is nested {depth} levels deep, and no more than {most} are taken (json_depth of the limits or the route)"
    )]
    TooDeep {
        /// How deep it is: 1 of `{}`.
        depth: usize,
        /// How deep it may be.
        most: usize,
    },
    /// JSON, but not an envelope; the text says which member is wrong.
    #[error("{0}")]
    Invalid(String),
}

/// Why a client's text is no message, and by which id its sender knows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct Unread {
    /// What is wrong with it.
    pub fault: EnvelopeFault,
    /// The id of what was perhaps meant to be a request, if that can be read.
    pub id: Option<Id>,
}

/// A message that was checked to be exactly one of the four kinds, with the places of what an intermediary needs.
#[derive(Debug, Clone)]
pub struct Message {
    text: ByteString,
    kind: MessageKind,
    outline: Outline,
}

/// What a message is.
#[derive(Debug, Clone)]
pub enum MessageKind {
    /// Has a `method` and an `id`.
    Request(Request),
    /// Has a `method` and no `id`.
    Notification(Notification),
    /// Has a `result`.
    Result(ResultParts),
    /// Has an `error`.
    Error(ErrorParts),
}

/// The places in a request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The id as it came.
    pub id: Id,
    /// Where it stands.
    pub id_at: Span,
    /// The method's name.
    pub method: Cow<'static, str>,
    /// Where it stands, with its quotes.
    pub method_at: Span,
    /// Where the params object stands.
    pub params: Option<Span>,
}

/// The places in a notification.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The method's name.
    pub method: Cow<'static, str>,
    /// Where the params object stands.
    pub params: Option<Span>,
}

/// The places in a result response.
#[derive(Debug, Clone)]
pub struct ResultParts {
    /// The id as it came.
    pub id: Id,
    /// Where it stands.
    pub id_at: Span,
    /// Where the result object stands.
    pub result: Span,
}

/// The places in an error response.
#[derive(Debug, Clone)]
pub struct ErrorParts {
    /// The id as it came; absent (or null, in older revisions) if the peer could not read the request's.
    pub id: Option<Id>,
    /// Where the id stands, a null included.
    pub id_at: Option<Span>,
    /// Where the error object stands.
    pub error: Span,
    /// Its `code`.
    pub code: i64,
}

/// A text without the byte order mark that some programs begin a file or a stream with. RFC 8259 §8.1: it may be ignored.
fn unmarked(text: Bytes) -> Bytes {
    match text.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => text.slice_ref(rest),
        None => text,
    }
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// When the bytes are not UTF-8, not JSON, or not exactly one of the four kinds. Members outside the envelope's
    /// six are neither read nor refused.
    pub fn parse(text: Bytes) -> Result<Self, EnvelopeFault> {
        let text = ByteString::try_from(text).map_err(|_not_utf8| EnvelopeFault::NotUtf8)?;
        let outline = Outline::read(&text).map_err(envelope_fault)?;
        let kind = read_kind(&text, &outline)?;
        Ok(Self { text, kind, outline })
    }

    /// Reads one message of a server, by the tolerant rule ([`tolerant`]). At most `most_depth` objects and arrays may lie in
    /// each other, the message itself included.
    ///
    /// # Errors
    /// As [`Message::parse`]; [`EnvelopeFault::TooDeep`].
    pub fn of_server(text: Bytes, most_depth: usize) -> Result<Self, EnvelopeFault> {
        Self::mended(unmarked(text), most_depth, tolerant::mend_server, |kind| match kind {
            MessageKind::Result(parts) => parts.id.as_number().is_some(),
            MessageKind::Error(parts) => parts.id.as_ref().is_none_or(|id| id.as_number().is_some()),
            MessageKind::Request(_) | MessageKind::Notification(_) => true,
        })
    }

    /// Reads one message of a client, in which [`tolerant`] says what is absent. At most `most_depth` objects and arrays may
    /// lie in each other, the message itself included.
    ///
    /// # Errors
    /// As [`Message::parse`]; [`EnvelopeFault::TooDeep`].
    pub fn of_client(text: &Bytes, most_depth: usize) -> Result<Self, Unread> {
        let read = Self::mended(unmarked(text.clone()), most_depth, tolerant::mend_client, |_| true);
        read.map_err(|fault| Unread { id: perhaps_asked(text), fault })
    }

    /// Reads a message; one that says nothing somewhere, or is not as usual, after it was mended.
    fn mended(
        text: Bytes,
        most_depth: usize,
        mend: impl FnOnce(&Object<'_>, &mut Patch),
        is_usual: impl FnOnce(&MessageKind) -> bool,
    ) -> Result<Self, EnvelopeFault> {
        let text = ByteString::try_from(text).map_err(|_not_utf8| EnvelopeFault::NotUtf8)?;
        let outline = Outline::read(&text).map_err(envelope_fault)?;
        let depth = outline.depth();
        if depth > most_depth {
            return Err(EnvelopeFault::TooDeep { depth, most: most_depth });
        }
        let read = read_kind(&text, &outline);
        let is_usual = !outline.says_nothing() && read.as_ref().is_ok_and(is_usual);
        if !is_usual && let Some(envelope) = outline.root(&text) {
            let mut patch = Patch::new();
            mend(&envelope, &mut patch);
            if !patch.is_empty() {
                return Self::parse(patch.apply(text.as_bytes()));
            }
        }
        read.map(|kind| Self { text, kind, outline })
    }

    /// The same response with these changes made to it, which must not change what it is: neither its kind nor
    /// that its members are where they are. Nothing is read again.
    #[must_use]
    pub fn patched(&self, patch: &Patch, id: &Id) -> Self {
        let text = patch.apply_text(&self.text);
        let moved = |span| patch.moved(span);
        let kind = match &self.kind {
            MessageKind::Result(parts) => MessageKind::Result(ResultParts {
                id: id.clone(),
                id_at: moved(parts.id_at),
                result: moved(parts.result),
            }),
            other => other.clone(),
        };
        let MessageKind::Result(_) = &kind else {
            // Errors are short, and may be given an id that they did not have.
            let again = Self::parse(text.into_bytes());
            return again.unwrap_or_else(|_changed| self.clone());
        };
        let patched = Self { text, kind, outline: Outline::default() };
        debug_assert!(patched.is_as_read(), "a patch has changed what a message is: {}", patched.text);
        patched
    }

    /// Whether it says of itself what a reading of it says.
    fn is_as_read(&self) -> bool {
        let read = Self::parse(self.bytes().clone());
        read.is_ok_and(|read| format!("{:?}", read.kind) == format!("{:?}", self.kind))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &MessageKind {
        &self.kind
    }

    /// The whole text.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.text.as_bytes()
    }

    /// A part of the text, which is not copied.
    pub(crate) fn text_of(&self, part: &str) -> ByteString {
        self.text.slice_ref(part)
    }

    /// The object at `span`, a span of this message.
    ///
    /// # Errors
    /// When it is not one JSON object, or has more members than anybody needs.
    pub fn object(&self, span: Span) -> Result<Object<'_>, JsonFault> {
        match self.outline.object_at(span.start, &self.text) {
            Some(object) => Ok(object),
            None => Object::parse_within(self.at(span), json::MOST_MEMBERS),
        }
    }

    /// The part of the text at `span`, a span of this message.
    #[must_use]
    pub fn at(&self, span: Span) -> &str {
        span.of(&self.text)
    }

    /// The params' text, if the message has any.
    #[must_use]
    pub fn params(&self) -> Option<&str> {
        match &self.kind {
            MessageKind::Request(request) => request.params.map(|at| self.at(at)),
            MessageKind::Notification(note) => note.params.map(|at| self.at(at)),
            MessageKind::Result(_) | MessageKind::Error(_) => None,
        }
    }

    /// Whether it answers something.
    #[must_use]
    pub fn is_response(&self) -> bool {
        matches!(self.kind, MessageKind::Result(_) | MessageKind::Error(_))
    }

    /// The id that a response carries.
    #[must_use]
    pub fn response_id(&self) -> Option<&Id> {
        match &self.kind {
            MessageKind::Result(parts) => Some(&parts.id),
            MessageKind::Error(parts) => parts.id.as_ref(),
            MessageKind::Request(_) | MessageKind::Notification(_) => None,
        }
    }

    /// Plans into `patch` that this request or response has the id `id`.
    pub fn set_id(&self, id: &Id, patch: &mut Patch) {
        match &self.kind {
            MessageKind::Request(request) => patch.replace(request.id_at, id.raw().as_bytes()),
            MessageKind::Result(parts) => patch.replace(parts.id_at, id.raw().as_bytes()),
            MessageKind::Error(ErrorParts { id_at: Some(at), .. }) => patch.replace(*at, id.raw().as_bytes()),
            MessageKind::Error(ErrorParts { id_at: None, error, .. }) => {
                // Nothing stands before the first member but the brace, so the member goes right behind it.
                let brace = self.at(Span { start: 0, end: error.start }).find('{').map_or(0, |at| at + 1);
                patch.insert(brace, format!("\"id\":{},", id.raw()).as_bytes());
            }
            MessageKind::Notification(_) => {}
        }
    }
}

/// The id of what was perhaps meant to be a request. What answers something is not: its id is not its sender's.
fn perhaps_asked(text: &Bytes) -> Option<Id> {
    let text = std::str::from_utf8(text).ok()?;
    match Object::parse_within(text, json::MOST_MEMBERS) {
        Ok(envelope) => {
            let has = |name: &str| envelope.get(name).map_or(true, |raw| raw.is_some());
            let answers = !has("method") && (has("result") || has("error"));
            envelope.get("id").ok().flatten().filter(|_| !answers).and_then(Id::parse)
        }
        Err(JsonFault::TooMany(_)) => Glance::asks(text.as_bytes()),
        // Who cannot read it cannot read its id either (JSON-RPC 2.0 §5.1).
        Err(_) => None,
    }
}

fn envelope_fault(fault: JsonFault) -> EnvelopeFault {
    match fault {
        JsonFault::Syntax(why) => EnvelopeFault::NotJson(why),
        JsonFault::Kind { found: Kind::Array, .. } => EnvelopeFault::Batch,
        other => EnvelopeFault::Invalid(format!("the message is not a JSON-RPC object: {other}")),
    }
}

/// The values of an envelope's members.
#[derive(Default)]
struct Six<'a> {
    version: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    params: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Six<'a> {
    /// All six are ours to read, so none may stand twice; members beyond them pass as they came.
    fn of(envelope: &Object<'a>) -> Result<Self, EnvelopeFault> {
        let mut six = Self::default();
        for member in envelope.iter() {
            let place = match &*member.name {
                "jsonrpc" => &mut six.version,
                "id" => &mut six.id,
                "method" => &mut six.method,
                "params" => &mut six.params,
                "result" => &mut six.result,
                "error" => &mut six.error,
                _ => continue,
            };
            if place.replace(member.value).is_some() {
                return Err(EnvelopeFault::Invalid(
                    JsonFault::Duplicate(member.name.into_owned()).to_string(),
                ));
            }
        }
        Ok(six)
    }
}

fn read_kind(view: &str, outline: &Outline) -> Result<MessageKind, EnvelopeFault> {
    let envelope = match outline.root(view) {
        Some(envelope) => envelope,
        None => Object::parse_within(view, json::MOST_MEMBERS).map_err(envelope_fault)?,
    };
    let Six { version, id, method, params, result, error } = Six::of(&envelope)?;
    if version.and_then(|v| json::string(v).ok()).as_deref() != Some("2.0") {
        return invalid("\"jsonrpc\" must be \"2.0\"");
    }
    let place = |value: &str| Span::locate(view, value);
    if let Some(method) = method {
        if result.is_some() || error.is_some() {
            return invalid("a message has either a \"method\" or a \"result\" or \"error\", never both");
        }
        let params = params.map(|value| object_at(view, value, "params")).transpose()?;
        let name = match json::string(method) {
            Ok(name) => match method::find(&name) {
                Some(method) => Cow::Borrowed(method.name),
                None => Cow::Owned(name.into_owned()),
            },
            Err(fault) => return invalid(&format!("\"method\": {fault}")),
        };
        return Ok(match id {
            None => MessageKind::Notification(Notification { method: name, params }),
            Some(raw) => MessageKind::Request(Request {
                id: read_id(raw)?,
                id_at: place(raw),
                method: name,
                method_at: place(method),
                params,
            }),
        });
    }
    match (result, error) {
        (Some(_), Some(_)) => invalid("a response has either a \"result\" or an \"error\", never both"),
        (Some(result), None) => {
            let Some(raw) = id else { return invalid("a result needs an \"id\"") };
            let id = read_id(raw)?;
            Ok(MessageKind::Result(ResultParts {
                id,
                id_at: place(raw),
                result: object_at(view, result, "result")?,
            }))
        }
        (None, Some(error)) => {
            let id_at = id.map(place);
            let id = id.filter(|raw| *raw != "null").map(read_id).transpose()?;
            let (error, code) = (object_at(view, error, "error")?, error_code(error)?);
            Ok(MessageKind::Error(ErrorParts { id, id_at, error, code }))
        }
        (None, None) => invalid("a message needs a \"method\", a \"result\" or an \"error\""),
    }
}

fn invalid<T>(why: &str) -> Result<T, EnvelopeFault> {
    Err(EnvelopeFault::Invalid(why.to_owned()))
}

fn read_id(raw: &str) -> Result<Id, EnvelopeFault> {
    Id::parse(raw).map_or_else(|| invalid("\"id\" must be a string or an integer"), Ok)
}

fn object_at(view: &str, value: &str, name: &str) -> Result<Span, EnvelopeFault> {
    if Kind::of(value) == Kind::Object {
        Ok(Span::locate(view, value))
    } else {
        invalid(&format!("\"{name}\" must be an object, found {}", Kind::of(value)))
    }
}

fn error_code(error: &str) -> Result<i64, EnvelopeFault> {
    let code = Object::parse(error).and_then(|object| object.get("code"));
    match code.map(|raw| raw.and_then(json::integer)) {
        Ok(Some(code)) => Ok(code),
        Ok(None) => invalid("an error needs an integer \"code\""),
        Err(fault) => invalid(&format!("\"error\": {fault}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message, EnvelopeFault> {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn with_id(text: &str, id: &Id) -> String {
        let message = read(text).unwrap();
        let mut patch = Patch::new();
        message.set_id(id, &mut patch);
        String::from_utf8(patch.apply(text.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn an_error_without_an_id_is_given_one() {
        assert_eq!(
            with_id(r#" {"jsonrpc":"2.0","error":{"code":1,"message":"m"}}"#, &Id::text("x")),
            r#" {"id":"x","jsonrpc":"2.0","error":{"code":1,"message":"m"}}"#
        );
        // A null id is removed rather than left beside the new one.
        let replaced =
            with_id(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#, &Id::number(4));
        let read_back = read(&replaced);
        assert!(read_back.is_ok(), "{replaced}: {read_back:?}");
    }

    #[test]
    fn a_malformed_id_never_turns_a_request_into_a_notification() {
        for id in ["null", "1.5", "1.0", "1e2", "[]", "{}", "true", r#""\ud800""#] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{}}}}"#);
            assert!(matches!(read(&text), Err(EnvelopeFault::Invalid(_))), "{text}");
        }
        let twice = r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}"#;
        assert!(matches!(read(twice), Err(EnvelopeFault::Invalid(_))));
    }

    #[test]
    fn what_is_too_deep_is_told_from_what_is_not() {
        let ask =
            |value: &str| format!(r#"{{"jsonrpc":"2.0","id":"a","method":"x","params":{{"a":{value}}}}}"#);
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        for (value, depth) in [("\"[[[[[\"", 2), ("[[]]", 4), (r#"[null,{"b":[]}]"#, 5)] {
            let text = bytes(&ask(value));
            assert!(Message::of_client(&text, depth).is_ok(), "{value}");
            assert!(Message::of_server(text.clone(), depth).is_ok(), "{value}");
            let fault = EnvelopeFault::TooDeep { depth, most: depth - 1 };
            let unread = Unread { fault: fault.clone(), id: Some(Id::text("a")) };
            assert_eq!(Message::of_client(&text, depth - 1).unwrap_err(), unread);
            assert_eq!(Message::of_server(text, depth - 1).unwrap_err(), fault);
        }
        // What is no request has no id that its sender knows it by.
        let answer = bytes(r#"{"jsonrpc":"2.0","id":7,"result":{"a":[]}}"#);
        assert_eq!(Message::of_client(&answer, 2).unwrap_err().id, None);
        // However deep it is.
        let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
        let unread = Message::of_client(&bytes(&ask(&format!("{open}{close}"))), 512).unwrap_err();
        assert_eq!(unread.fault, EnvelopeFault::TooDeep { depth: 1_000_002, most: 512 });
        let cut = Message::of_client(&bytes(&ask(&open)), 512).unwrap_err();
        assert!(matches!(cut.fault, EnvelopeFault::NotJson(_)), "{cut:?}");
    }

    #[test]
    fn ids_keep_their_type_and_spelling() {
        for id in ["7", "-7", "\"7\"", "\"\"", "\"\\u0061\"", "12345678901234567890123"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            let message = read(&text).unwrap();
            let MessageKind::Request(request) = message.kind() else { panic!("{text}") };
            assert_eq!(request.id.raw(), id);
        }
        assert_eq!(Id::parse("\"\\u0061\"").unwrap().canonical(), Id::text("a"));
        assert_ne!(Id::parse("1"), Id::parse("\"1\""));
    }

    #[test]
    fn a_message_is_exactly_one_kind() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#,
            r#"{"id":1,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"message":""}}"#,
            "7",
        ] {
            assert!(matches!(read(text), Err(EnvelopeFault::Invalid(_))), "{text}");
        }
        let members: String = (0..1000).map(|n| format!(",\"{n}\":1")).collect();
        let many = format!(r#"{{"jsonrpc":"2.0","method":"ping"{members}}}"#);
        assert!(matches!(read(&many), Err(EnvelopeFault::Invalid(_))));
        assert_eq!(read("[]").unwrap_err(), EnvelopeFault::Batch);
        assert!(matches!(read("{"), Err(EnvelopeFault::NotJson(_))));
        assert_eq!(
            Message::parse(Bytes::from_static(b"{\"a\":\"\xff\"}")).unwrap_err(),
            EnvelopeFault::NotUtf8
        );
    }
}
