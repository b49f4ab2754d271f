//! Notifications of servers: what they are about, and where an intermediary must write into them.
//!
//! Source: MCP schema 2026-07-28 `ServerNotification`, 2025-11-25 `ServerNotification`.

use crate::json::{self, JsonFault, Object, Span};
use crate::jsonrpc::{Id, Message, MessageKind};
use crate::meta::{LogLevel, SUBSCRIPTION_ID};
use crate::method::Kind;
use crate::tolerant;

/// What a server's notification says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// How far a call has come.
    Progress {
        /// The token; one of ours as we write it, however it is written here.
        token: Box<str>,
        /// Where the token stands.
        token_at: Span,
        /// How far.
        progress: f64,
    },
    /// A log message.
    Log {
        /// Its severity, if it names one of the eight.
        level: Option<LogLevel>,
    },
    /// A list is no longer what it was.
    ListChanged(Kind),
    /// A resource is no longer what it was.
    ResourceUpdated {
        /// Its URI, which may be one below the URI that was subscribed to.
        uri: Box<str>,
        /// Where the URI stands, with its quotes.
        uri_at: Span,
    },
    /// A subscription stream is open; the message carries the filter that the server honours.
    Acknowledged,
    /// A request is cancelled, or a subscription stream torn down.
    Cancelled {
        /// The request's id.
        request: Option<Id>,
    },
    /// What was to be done at a URL is done.
    ElicitationComplete {
        /// Which elicitation is over.
        elicitation: Box<str>,
    },
    /// Anything else.
    Other,
}

/// A notification with what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What it says.
    pub notice: Notice,
    /// The subscription stream that it belongs to, a number in our spelling, and where that stands.
    pub subscription: Option<(Id, Span)>,
}

/// Looks into a notification.
///
/// # Errors
/// When a member that decides where it goes stands twice or is of the wrong kind.
pub fn see(message: &Message) -> Result<Seen, JsonFault> {
    let MessageKind::Notification(note) = message.kind() else {
        return Ok(Seen { notice: Notice::Other, subscription: None });
    };
    let Some(at) = note.params else {
        return Ok(Seen { notice: list_changed(&note.method).unwrap_or(Notice::Other), subscription: None });
    };
    let text = message.at(at);
    let params = Object::parse(text)?;
    let place = |value: &str| Span::locate(text, value).shift(at.start);
    let subscription = match params.object("_meta")? {
        Some(meta) => meta
            .get(SUBSCRIPTION_ID)?
            .and_then(|raw| Some((Id::parse(&spelled_as_ours(raw)).or_else(|| Id::parse(raw))?, place(raw)))),
        None => None,
    };
    let notice = match &*note.method {
        "notifications/progress" => match (params.get("progressToken")?, params.get("progress")?) {
            (Some(token), Some(progress)) => Notice::Progress {
                token: spelled_as_ours(token),
                token_at: place(token),
                progress: progress.parse().unwrap_or(f64::NAN),
            },
            _ => Notice::Other,
        },
        "notifications/message" => {
            Notice::Log { level: params.string("level")?.and_then(|level| LogLevel::find(&level)) }
        }
        "notifications/resources/updated" => match params.get("uri")? {
            Some(raw) => Notice::ResourceUpdated { uri: json::string(raw)?.into(), uri_at: place(raw) },
            None => Notice::Other,
        },
        "notifications/subscriptions/acknowledged" => Notice::Acknowledged,
        "notifications/cancelled" => {
            Notice::Cancelled { request: params.get("requestId")?.and_then(Id::parse) }
        }
        "notifications/elicitation/complete" => match params.string("elicitationId")? {
            Some(id) => Notice::ElicitationComplete { elicitation: id.into() },
            None => Notice::Other,
        },
        method => list_changed(method).unwrap_or(Notice::Other),
    };
    Ok(Seen { notice, subscription })
}

/// A number of ours in our own spelling; anything else as it is.
fn spelled_as_ours(raw: &str) -> Box<str> {
    match tolerant::number(raw) {
        Some(number) if !raw.bytes().all(|byte| byte.is_ascii_digit()) => number.to_string().into(),
        _ => raw.into(),
    }
}

fn list_changed(method: &str) -> Option<Notice> {
    Some(Notice::ListChanged(match method {
        "notifications/tools/list_changed" => Kind::Tool,
        "notifications/prompts/list_changed" => Kind::Prompt,
        "notifications/resources/list_changed" => Kind::Resource,
        _ => return None,
    }))
}

/// The notification that says a list changed.
#[must_use]
pub fn list_changed_method(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Tool => Some("notifications/tools/list_changed"),
        Kind::Prompt => Some("notifications/prompts/list_changed"),
        Kind::Resource | Kind::Template => Some("notifications/resources/list_changed"),
        Kind::Server | Kind::Task => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(text: &str) -> Seen {
        see(&Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()).unwrap()
    }

    #[test]
    fn notices_are_told_apart() {
        let text = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":0.5}}"#;
        let Notice::Progress { token, token_at, progress } = read(text).notice else { panic!() };
        assert_eq!((&*token, progress, token_at.of(text)), ("7", 0.5, "7"));
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).notice,
            Notice::ListChanged(Kind::Tool)
        );
        let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":1}}"#;
        assert_eq!(read(log).notice, Notice::Log { level: Some(LogLevel::Error) });
        let tagged = r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}"#;
        let seen = read(tagged);
        assert_eq!(seen.notice, Notice::Other);
        assert_eq!(seen.subscription.map(|(id, at)| (id, at.of(tagged))), Some((Id::text("s"), "\"s\"")));
    }
}
