//! From a [`Call`] to the message that a server gets: the client's bytes with the gateway's few fields spliced in.
//!
//! Owned are the id, the name or URI, and the protocol's members of `_meta`. All else is copied as it
//! stands. Whatever is rewritten is mirrored again from what was written (MCP 2026-07-28 `streamable-http`
//! §Request Metadata).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::call::Call;
use crate::headers;
use crate::json::{self, Object, Patch};
use crate::jsonrpc::{Id, MessageKind};
use crate::meta::{self, LogLevel};
use crate::method::SubjectAt;
use crate::trace::Trace;
use crate::version::Revision;

/// What the gateway writes into a call for one server.
#[derive(Debug, Clone)]
pub struct Rewrite<'a> {
    /// The gateway's own id for the request.
    pub id: u64,
    /// The server's own name of what the call is about, if it differs from the public one.
    pub subject: Option<&'a str>,
    /// The gateway's own progress token, if the client wants progress.
    pub progress_token: Option<u64>,
    /// The trace that the client named in its headers, or the place of our span.
    pub trace: &'a Trace,
    /// What `_meta` says in the server's era.
    pub meta: MetaRewrite<'a>,
}

/// What the gateway writes into `_meta`.
#[derive(Debug, Clone)]
pub enum MetaRewrite<'a> {
    /// For a legacy server, whose session has said it all: the modern members go.
    Legacy,
    /// For a modern server.
    Modern {
        /// The revision that this server speaks.
        revision: &'static Revision,
        /// The JSON object of the capabilities that the client has and the gateway can carry.
        capabilities: &'a str,
        /// The JSON object of the gateway's own `Implementation`.
        client_info: &'a str,
        /// From which level on log messages are wanted.
        log_level: Option<LogLevel>,
    },
}

/// The body for one server.
#[must_use]
pub fn body(call: &Call, rewrite: &Rewrite<'_>) -> Bytes {
    changes(call, rewrite).apply(call.message().bytes())
}

/// The same in pieces that follow each other, so that a long one is not copied.
#[must_use]
pub fn pieces(call: &Call, rewrite: &Rewrite<'_>) -> Vec<Bytes> {
    changes(call, rewrite).pieces(call.message().bytes())
}

fn changes(call: &Call, rewrite: &Rewrite<'_>) -> Patch {
    let message = call.message();
    let mut patch = Patch::new();
    message.set_id(&Id::number(rewrite.id), &mut patch);
    if let (Some(place), Some(subject)) = (call.subject(), rewrite.subject) {
        patch.replace_quoted(place.at, subject);
    }
    set_meta(call, rewrite, &mut patch);
    patch
}

/// Writes the headers that mirror a modern call in its rewritten form, without its mirrored arguments
/// ([`crate::mirror::MirroredParams::headers`]).
pub fn mirror(call: &Call, subject: Option<&str>, revision: &Revision, out: &mut HeaderMap) {
    out.insert(headers::PROTOCOL_VERSION.clone(), HeaderValue::from_static(revision.name));
    let method = match call.method() {
        Some(method) => HeaderValue::from_static(method.name),
        None => headers::encode(call.method_name()),
    };
    out.insert(headers::METHOD.clone(), method);
    if let Some(SubjectAt::Param(_)) = call.method().map(|m| m.subject)
        && let Some(name) = subject.or_else(|| call.subject().map(|s| &*s.text))
    {
        out.insert(headers::NAME.clone(), headers::encode(name));
    }
}

/// The request's headers that mirror tool arguments, as they came: for a tool whose schema is not known, they are
/// forwarded and otherwise ignored (§Custom Headers, intermediaries).
pub fn param_headers(sent: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    sent.iter().filter(|(name, _)| name.as_str().starts_with(headers::PARAM_PREFIX))
}

fn is_empty_object(text: &str) -> bool {
    Object::parse(text).is_ok_and(|object| object.is_empty())
}

/// The members of an object that is being written.
struct Members(String);

impl Members {
    /// Adds a member; `name` has its quotes.
    fn add(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push(':');
        self.0.push_str(value);
    }

    /// Adds a member of a name that needs no escapes.
    fn plain(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.extend(["\"", name, "\":", value]);
    }

    /// Adds a member of a name and a text that need no escapes.
    fn plain_text(&mut self, name: &str, text: &str) {
        self.plain(name, "\"");
        self.0.extend([text, "\""]);
    }
}

/// Writes `_meta`: the client's own members first and as they stand, then the gateway's.
fn set_meta(call: &Call, rewrite: &Rewrite<'_>, patch: &mut Patch) {
    let mut members = Members(String::with_capacity(512));
    members.0.push('{');
    let current = call.meta_object();
    if let Some(current) = &current {
        let is_theirs = |name: &str| !meta::is_owned(name) && !rewrite.trace.replaces(name);
        for member in current.iter().filter(|member| is_theirs(&member.name)) {
            members.add(member.raw_name, member.value);
        }
    }
    for (key, value) in rewrite.trace.missing_from(current.as_ref()) {
        members.plain(key, &json::quote(value));
    }
    if let Some(token) = rewrite.progress_token {
        members.plain(meta::PROGRESS_TOKEN, itoa::Buffer::new().format(token));
    }
    if let MetaRewrite::Modern { revision, capabilities, client_info, log_level } = &rewrite.meta {
        members.plain_text(meta::PROTOCOL_VERSION, revision.name);
        members.plain(meta::CLIENT_CAPABILITIES, capabilities);
        members.plain(meta::CLIENT_INFO, client_info);
        if let Some(level) = log_level {
            members.plain_text(meta::LOG_LEVEL, level.name());
        }
        if let Some(info) = call.client().info() {
            members.plain(meta::DOWNSTREAM_CLIENT, info);
        }
    }
    let mut text = members.0;
    let nothing = text.len() == 1;
    text.push('}');
    match (call.places().meta, call.places().at) {
        (Some(at), _) => patch.replace_owned(at, text.into_bytes()),
        (None, _) if nothing => {}
        (None, Some(params)) => {
            let comma = if call.params().is_some_and(is_empty_object) { "" } else { "," };
            patch.insert(params.start + 1, format!("\"_meta\":{text}{comma}").as_bytes());
        }
        (None, None) => {
            if let MessageKind::Request(request) = call.message().kind() {
                patch.insert(request.method_at.end, format!(",\"params\":{{\"_meta\":{text}}}").as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests;
