//! Which era a server speaks, told by how it answers a first modern request.
//!
//! Source: MCP 2026-07-28 `basic/versioning` §Era detection. What a server says to a probe is
//! never taken for a credential problem's cure, and never keyed to one error code: legacy servers answer unknown
//! methods with whatever they like.

use http::StatusCode;

use crate::answer;
use crate::discover::Discovered;
use crate::json::{self, Object};
use crate::jsonrpc::{Message, MessageKind};
use crate::reject::code;
use crate::version::{self, Era, Revision};

/// What an answer to `server/discover` says of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Modern, and this is what it is.
    Modern(&'static Revision, Box<Discovered>),
    /// Modern, but it could not answer this request: it speaks these revisions.
    OtherRevisions(Vec<String>),
    /// Modern, but it refuses the request for another reason of the modern era.
    ModernRefusal(i64),
    /// Not modern: open a session with `initialize`.
    Legacy,
    /// It wants credentials, which says nothing about its era.
    Unauthorized(u16),
    /// It is not well, which says nothing about its era.
    Unwell(u16),
}

/// The verdict on an answer over HTTP; `message` is the body if it was a JSON-RPC response.
#[must_use]
pub fn of_http(status: StatusCode, message: Option<&Message>) -> Verdict {
    if let Some(verdict) = message.and_then(of_message) {
        return verdict;
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Verdict::Unauthorized(status.as_u16()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Verdict::Unwell(status.as_u16()),
        status if status.is_server_error() && message.is_none() => Verdict::Unwell(status.as_u16()),
        _ => Verdict::Legacy,
    }
}

/// The verdict on an answer over stdio.
#[must_use]
pub fn of_stdio(message: &Message) -> Verdict {
    of_message(message).unwrap_or(Verdict::Legacy)
}

/// Whether an answer to `initialize` that opens no session is what the server will say the next time, too: then it has no
/// sessions, whatever else it speaks. Servers of the modern era alone say so in many ways: -32022, -32020, -32601, -32600,
/// -32602, with 400, 404 or 200; a result of their own; a revision that is none of the legacy era.
#[must_use]
pub fn refuses_sessions(status: StatusCode, message: Option<&Message>) -> bool {
    let Some(message) = message else { return false };
    let may_pass = status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        );
    match message.kind() {
        MessageKind::Error(parts) => !may_pass && parts.code != code::INTERNAL_ERROR,
        _ => !may_pass,
    }
}

/// The verdict that a message allows by itself; none for errors that any server may send.
fn of_message(message: &Message) -> Option<Verdict> {
    match message.kind() {
        MessageKind::Result(_) => {
            let discovered = Discovered::read(message).ok()?;
            Some(match common(&discovered.versions) {
                Some(revision) => Verdict::Modern(revision, Box::new(discovered)),
                None => without_common(discovered.versions),
            })
        }
        MessageKind::Error(parts) if parts.code == code::UNSUPPORTED_VERSION => {
            let view = answer::error_view(message, parts);
            let data = view.data.and_then(|data| Object::parse(data).ok());
            let supported = data.and_then(|data| data.get("supported").ok().flatten());
            let named = supported.and_then(|raw| json::array(raw).ok()).unwrap_or_default();
            let named: Vec<_> = named.into_iter().filter_map(|raw| json::string(raw).ok()).collect();
            Some(without_common(named.into_iter().map(|text| text.into_owned()).collect()))
        }
        MessageKind::Error(parts) if code::is_modern(parts.code) => Some(Verdict::ModernRefusal(parts.code)),
        MessageKind::Error(_) | MessageKind::Notification(_) | MessageKind::Request(_) => None,
    }
}

/// The verdict on a server whose own list of revisions has no modern one that we speak, or refused the one it has: a
/// legacy server that knows the modern error names its legacy revisions in it (rmcp 3.9 does), and they are spoken here.
fn without_common(theirs: Vec<String>) -> Verdict {
    let is_legacy = |name: &String| version::find(name).is_some_and(|revision| revision.era == Era::Legacy);
    if common(&theirs).is_none() && theirs.iter().any(is_legacy) {
        return Verdict::Legacy;
    }
    Verdict::OtherRevisions(theirs)
}

/// The newest modern revision that both speak.
#[must_use]
pub fn common(theirs: &[String]) -> Option<&'static Revision> {
    version::REVISIONS
        .iter()
        .find(|revision| revision.era == Era::Modern && theirs.iter().any(|name| name == revision.name))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn error(code: i64, data: &str) -> Message {
        Message::parse(answer::error_message(None, code, "m", Some(data))).unwrap()
    }

    /// MCP 2026-07-28 `basic/versioning` §Era detection: a client falls back on any error that is not the modern era's.
    #[test]
    fn any_other_answer_means_legacy() {
        for code in [-32601, -32602, -32000, -32001, 5] {
            assert_eq!(of_stdio(&error(code, "{}")), Verdict::Legacy);
            assert_eq!(of_http(StatusCode::BAD_REQUEST, Some(&error(code, "{}"))), Verdict::Legacy);
        }
        for status in [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
            assert_eq!(of_http(status, None), Verdict::Legacy);
        }
        let names_legacy = error(-32022, r#"{"supported":["2099-01-01","2025-11-25"],"requested":"x"}"#);
        assert_eq!(of_stdio(&names_legacy), Verdict::Legacy);
        assert_eq!(of_http(StatusCode::BAD_REQUEST, Some(&names_legacy)), Verdict::Legacy);
        assert_eq!(of_http(StatusCode::UNAUTHORIZED, None), Verdict::Unauthorized(401));
        assert_eq!(of_http(StatusCode::BAD_GATEWAY, None), Verdict::Unwell(502));
    }

    #[test]
    fn a_refused_session_stays_refused_unless_it_may_have_been_the_moment() {
        let says = |status: u16, code: i64| {
            refuses_sessions(StatusCode::from_u16(status).unwrap(), Some(&error(code, "{}")))
        };
        for (status, code) in [
            (400, -32022),
            (400, -32020),
            (404, -32601),
            (200, -32601),
            (400, -32600),
            (200, -32602),
            (405, -32000),
        ] {
            assert!(says(status, code), "{status} {code}");
        }
        for (status, code) in
            [(500, -32601), (503, -32000), (401, -32001), (403, -32001), (429, -32000), (200, -32603)]
        {
            assert!(!says(status, code), "{status} {code}");
        }
        let result = Message::parse(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).unwrap();
        assert!(refuses_sessions(StatusCode::OK, Some(&result)));
        for status in [StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY, StatusCode::OK] {
            assert!(!refuses_sessions(status, None), "a page of somebody else says nothing for long");
        }
    }

    #[test]
    fn a_modern_answer_means_modern() {
        let unsupported = error(-32022, r#"{"supported":["2026-07-28"],"requested":"x"}"#);
        assert_eq!(of_stdio(&unsupported), Verdict::OtherRevisions(vec!["2026-07-28".to_owned()]));
        assert_eq!(
            of_http(StatusCode::BAD_REQUEST, Some(&error(-32021, "{}"))),
            Verdict::ModernRefusal(-32021)
        );
        let text = r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"private"}}"#;
        let discovered = Message::parse(Bytes::from_static(text.as_bytes())).unwrap();
        assert!(matches!(of_stdio(&discovered), Verdict::Modern(r, _) if r.name == "2026-07-28"));
        let later = Message::parse(Bytes::from(text.replace("2026-07-28", "2099-01-01"))).unwrap();
        assert_eq!(of_stdio(&later), Verdict::OtherRevisions(vec!["2099-01-01".to_owned()]));
    }
}
