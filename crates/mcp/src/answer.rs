//! What servers answer: results and errors as messages, looked into no deeper than an intermediary must.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::{self, JsonFault, Object, Patch, Span};
use crate::jsonrpc::{ErrorParts, Id, Message, MessageKind, ResultParts};
use crate::meta::ClientFacts;

/// The capability extension whose answers are `resultType: "task"`.
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// The extension of user interfaces. It has no methods or results of its own: its tools and resources are like others.
pub const APPS_EXTENSION: &str = "io.modelcontextprotocol/ui";

/// An answer that no client may be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerFault {
    /// Not a response.
    #[error("the server sent a {0} where a response was due")]
    NotAResponse(&'static str),
    /// The result cannot be read.
    #[error("the result cannot be read: {0}")]
    Unreadable(#[from] JsonFault),
    /// Neither a type of the core nor of an extension that the client declared.
    #[error("the result is of a type that the client cannot know: {0:?}")]
    UnknownResultType(String),
    /// `input_required` where the method does not allow it.
    #[error("the server asks for input in answer to {0}, which no revision allows")]
    MayNotAsk(String),
    /// `input_required` that asks for nothing and has no state.
    #[error("the server asks for input, but neither says for what nor gives a state")]
    AsksForNothing,
    /// `input_required` for something that is no request to a client.
    #[error("the server asks for {0:?}, which no client can be asked for")]
    CannotBeAsked(String),
    /// `initialize` was answered with a revision that is not spoken here.
    #[error("the server speaks revision {0:?}, which is not spoken here")]
    UnknownRevision(String),
    /// What should be a task is none.
    #[error("the server's task cannot be read: {0}")]
    NotATask(&'static str),
    /// A list without its entries.
    #[error("the result has no array {0:?}")]
    NoEntries(&'static str),
}

/// How a result continues. Source: MCP 2026-07-28 `basic` §resultType.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultType {
    /// It is the answer.
    Complete,
    /// It asks for input, and a retry goes on.
    InputRequired,
    /// It names a task of the tasks extension.
    Task,
}

/// The type of a result; absent means complete, as older servers mean it.
///
/// # Errors
/// When it is of a type that this client was not told of.
pub fn result_type(result: &Object<'_>, client: &ClientFacts) -> Result<ResultType, AnswerFault> {
    match result.string("resultType")?.as_deref() {
        None | Some("complete") => Ok(ResultType::Complete),
        Some("input_required") => Ok(ResultType::InputRequired),
        Some("task") if client.declares(TASKS_EXTENSION) => Ok(ResultType::Task),
        Some(other) => Err(AnswerFault::UnknownResultType(other.to_owned())),
    }
}

/// The places of a result message.
///
/// # Errors
/// When the message is not a result.
pub fn result_of(message: &Message) -> Result<&ResultParts, AnswerFault> {
    match message.kind() {
        MessageKind::Result(parts) => Ok(parts),
        MessageKind::Error(_) => Err(AnswerFault::NotAResponse("error")),
        MessageKind::Request(_) => Err(AnswerFault::NotAResponse("request")),
        MessageKind::Notification(_) => Err(AnswerFault::NotAResponse("notification")),
    }
}

/// The result object of a result message.
///
/// # Errors
/// When the message is not a result, or its object cannot be read.
pub fn result_object(message: &Message) -> Result<Object<'_>, AnswerFault> {
    Ok(Object::parse(message.at(result_of(message)?.result))?)
}

/// Makes sure, in `patch`, that a result names its type, as every modern server must.
///
/// # Errors
/// When the member stands twice.
pub fn name_type(result: &Object<'_>, at: Span, patch: &mut Patch) -> Result<(), JsonFault> {
    if result.get("resultType")?.is_none() {
        result.set("resultType", b"\"complete\"", at.start, patch)?;
    }
    Ok(())
}

/// The readable parts of an error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorView<'m> {
    /// Its code.
    pub code: i64,
    /// Its text.
    pub message: Cow<'m, str>,
    /// The JSON text of its data.
    pub data: Option<&'m str>,
}

/// Looks into an error response.
#[must_use]
pub fn error_view<'m>(message: &'m Message, parts: &ErrorParts) -> ErrorView<'m> {
    let object = Object::parse(message.at(parts.error)).ok();
    let text = object.as_ref().and_then(|o| o.string("message").ok().flatten());
    let data = object.as_ref().and_then(|o| o.get("data").ok().flatten());
    ErrorView { code: parts.code, message: text.unwrap_or_default(), data }
}

/// A result response of our own; `result` is the text of a JSON object.
#[must_use]
pub fn result_message(id: &Id, result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.raw()))
}

/// An error response of our own; without an id where none could be read.
#[must_use]
pub fn error_message(id: Option<&Id>, code: i64, text: &str, data: Option<&str>) -> Bytes {
    let id = id.map(|id| format!(r#""id":{},"#, id.raw())).unwrap_or_default();
    let data = data.map(|data| format!(r#","data":{data}"#)).unwrap_or_default();
    let text = json::quote(text);
    Bytes::from(format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":{text}{data}}}}}"#))
}

/// A notification of our own; `params` is the text of a JSON object.
#[must_use]
pub fn notification_message(method: &str, params: Option<&str>) -> Bytes {
    let params = params.map(|params| format!(r#","params":{params}"#)).unwrap_or_default();
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","method":{}{params}}}"#, json::quote(method)))
}

/// A request of our own; `params` is the text of a JSON object.
#[must_use]
pub fn request_message(id: &Id, method: &str, params: Option<&str>) -> Bytes {
    let params = params.map(|params| format!(r#","params":{params}"#)).unwrap_or_default();
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{},"method":{}{params}}}"#, id.raw(), json::quote(method)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::LogWish;

    #[test]
    fn own_messages_are_messages() {
        for text in [
            result_message(&Id::text("a"), "{}"),
            error_message(None, -32700, "a\"b", None),
            error_message(Some(&Id::number(1)), 7, "m", Some("[1]")),
            notification_message("a/b", Some("{}")),
            request_message(&Id::number(1), "a/b", None),
        ] {
            assert!(Message::parse(text.clone()).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn types_are_known_or_refused() {
        let client = |capabilities: &'static str| ClientFacts {
            capabilities: Bytes::from_static(capabilities.as_bytes()),
            info: None,
            log: LogWish::Nothing,
        };
        let read =
            |text: &str, capabilities| result_type(&Object::parse(text).unwrap(), &client(capabilities));
        assert_eq!(read("{}", "{}"), Ok(ResultType::Complete));
        assert_eq!(read(r#"{"resultType":"input_required"}"#, "{}"), Ok(ResultType::InputRequired));
        let task = r#"{"resultType":"task"}"#;
        assert!(read(task, "{}").is_err());
        assert_eq!(
            read(task, r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#),
            Ok(ResultType::Task)
        );
        assert!(read(r#"{"resultType":"later"}"#, "{}").is_err());
    }
}
