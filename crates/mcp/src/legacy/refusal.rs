//! How legacy servers say no before any method runs: that they do not know a session (any more), or do not speak a revision.
//!
//! No revision gives either a code or a form, so servers say it in words of their own: as an error without an id or with one
//! that nobody gave, as plain text, as a page.

use crate::version::{self, Era, Revision};

/// Whether a text speaks of sessions, or of a beginning that is missing. To be taken for no more than a reason to ask again.
///
/// What SDKs say: «Session not found» (TypeScript, Python, rmcp, C#, Java, PHP), «No valid session ID provided» (older
/// Python, the usual Express server), «Session terminated», «Invalid session ID» (mcp-go), «Server not initialized»
/// (TypeScript), «expect initialize request» (rmcp).
#[must_use]
pub fn speaks_of_session(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["session", "initializ", "initialis"].iter().any(|word| text.contains(word))
}

/// The legacy revision to ask for next, where `initialize` was refused with `text`: the newest that the server names and
/// that was not tried, or the next older one where it names none but speaks of versions.
#[must_use]
pub fn next_revision(tried: &[&'static Revision], text: &str) -> Option<&'static Revision> {
    let untried = |revision: &&'static Revision| revision.era == Era::Legacy && !tried.contains(revision);
    let untried = || version::REVISIONS.iter().filter(untried);
    if let Some(named) = untried().find(|revision| text.contains(revision.name)) {
        return Some(named);
    }
    if version::names(Era::Modern).any(|modern| text.contains(modern)) {
        // It has no sessions in any revision.
        return None;
    }
    let oldest = tried.iter().min_by_key(|revision| revision.name)?;
    let text = text.to_ascii_lowercase();
    let speaks = text.contains("version") && (text.contains("protocol") || text.contains("support"));
    untried().find(|revision| speaks && oldest.is_newer_than(revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_of_sessions() {
        for text in [
            r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#,
            "Bad Request: No valid session ID provided",
            r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Not Found: Session has been terminated"}}"#,
            "Invalid session ID",
            "Bad Request: Server not initialized",
            "Unexpected message, expect initialize request",
        ] {
            assert!(speaks_of_session(text), "{text}");
        }
        assert!(!speaks_of_session(r#"{"error":{"code":-32602,"message":"No such record"}}"#));
    }

    #[test]
    fn the_next_revision_is_one_that_the_server_names() {
        let find = |name| version::find(name).unwrap();
        let newest = version::newest(Era::Legacy);
        let next =
            |tried: &[&'static Revision], text: &str| next_revision(tried, text).map(|found| found.name);
        let named = r#"{"code":-32602,"message":"Unsupported protocol version","data":{"supported":["2024-11-05","2025-03-26"],"requested":"2025-11-25"}}"#;
        assert_eq!(next(&[newest], named), Some("2025-03-26"));
        assert_eq!(next(&[newest, find("2025-03-26")], named), Some("2024-11-05"));
        assert_eq!(next(&[newest, find("2025-03-26"), find("2024-11-05")], named), None);
        // One that names none is asked for one after the other.
        assert_eq!(next(&[newest], "Unsupported protocol version: 2025-11-25"), Some("2025-06-18"));
        assert_eq!(next(&[newest, find("2025-06-18")], "unsupported version"), Some("2025-03-26"));
        assert_eq!(next(&[newest], "no"), None);
        // A modern revision is nothing to open a session with, and whoever names one and none of ours has none.
        let modern = r#"{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}"#;
        assert_eq!(next(&[newest], modern), None);
        assert_eq!(next(&[newest], "supported are 2026-07-28 and later"), None);
    }
}
