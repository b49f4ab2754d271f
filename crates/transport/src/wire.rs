//! What passes on the wire, for a person to look at. Secrets are masked before anyone sees them.

use std::fmt;

use ::http::{HeaderMap, HeaderName};
use bytes::Bytes;

/// Sees what is sent and received on one connection to a server.
pub trait Tap: Send + Sync + fmt::Debug {
    /// One thing that passed.
    fn saw(&self, event: &WireEvent<'_>);
}

/// One thing that passed. Headers are as they were; show them by [`shown`].
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are what the variants say")]
pub enum WireEvent<'a> {
    /// A request went out over HTTP.
    HttpRequest { method: &'a str, url: &'a str, headers: &'a HeaderMap, body: &'a Bytes },
    /// A response's head came in over HTTP.
    HttpResponse { status: u16, headers: &'a HeaderMap },
    /// A message or a part of a body came in.
    Received(&'a [u8]),
    /// A line went out to a child process.
    Sent(&'a [u8]),
    /// A child process wrote to stderr.
    Stderr(&'a str),
}

/// Headers whose values open doors.
const SECRET: [&str; 8] = [
    "authorization",
    "cookie",
    "dpop",
    "mcp-session-id",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
    "api-key",
];

/// A header's value as it may be shown: masked if its name is one of a credential's.
#[must_use]
pub fn shown(name: &HeaderName, value: &::http::HeaderValue) -> String {
    let lower = name.as_str();
    if SECRET.contains(&lower) || ["token", "secret", "password"].iter().any(|word| lower.contains(word)) {
        return "••••".to_owned();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
