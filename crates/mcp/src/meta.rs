//! `_meta` of requests: the members that the protocol defines, and the facts about a client that they carry.
//!
//! Source: MCP 2026-07-28 `basic` §_meta, schema `RequestMetaObject`.

use std::fmt;

use bytes::Bytes;

use crate::answer::{APPS_EXTENSION, TASKS_EXTENSION};
use crate::json::{self, Kind, Object};
use crate::reject::Reject;

/// The revision of a request.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do, for this request only.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Who the client says it is. Unverified.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// From which level on log messages are wanted.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Which stream a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Who the server says it is, on results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Names a request's progress notifications.
pub const PROGRESS_TOKEN: &str = "progressToken";
/// W3C trace context; the protocol's three keys without a prefix of their own.
pub const TRACE_KEYS: [&str; 3] = ["traceparent", "tracestate", "baggage"];
/// Ours: who the client behind the gateway says it is, since `clientInfo` upstream is the gateway's.
pub const DOWNSTREAM_CLIENT: &str = "dev.portolan/downstreamClient";
/// Ours: which servers' entries a list lacks, and why.
pub const DEGRADED: &str = "dev.portolan/degraded";

/// Whether a gateway writes this member of a request's `_meta` itself, whatever the client sent.
#[must_use]
pub fn is_owned(key: &str) -> bool {
    matches!(
        key,
        PROTOCOL_VERSION | CLIENT_CAPABILITIES | CLIENT_INFO | LOG_LEVEL | PROGRESS_TOKEN | DOWNSTREAM_CLIENT
    )
}

/// Severities of log messages, least severe first (RFC 5424). Source: MCP schema `LoggingLevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "RFC 5424 defines them")]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Notice, "notice"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Critical, "critical"),
        (Self::Alert, "alert"),
        (Self::Emergency, "emergency"),
    ];

    /// The level of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(level, _)| *level)
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("info", |(_, name)| name)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which log messages a client wants with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogWish {
    /// None: a modern client that named no level.
    Nothing,
    /// What the server thinks right: a legacy client that never set a level (2025-11-25 `utilities/logging`).
    ServerDefault,
    /// From this level on.
    AtLeast(LogLevel),
}

impl LogWish {
    /// The level to ask a modern server for. A server's default is not for a modern server to choose, so it is `info`.
    #[must_use]
    pub fn level(self) -> Option<LogLevel> {
        match self {
            Self::Nothing => None,
            Self::ServerDefault => Some(LogLevel::Info),
            Self::AtLeast(level) => Some(level),
        }
    }

    /// Whether a message of that level is wanted. A level that nobody knows counts as the most severe.
    #[must_use]
    pub fn wants(self, level: Option<LogLevel>) -> bool {
        match self {
            Self::Nothing => false,
            Self::ServerDefault => true,
            Self::AtLeast(wanted) => level.is_none_or(|level| level >= wanted),
        }
    }
}

/// What a client says of itself with a request (modern) or once for a session (legacy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFacts {
    /// The JSON object of its capabilities.
    pub capabilities: Bytes,
    /// The JSON object of its `Implementation`, unverified.
    pub info: Option<Bytes>,
    /// Which log messages it wants.
    pub log: LogWish,
}

impl ClientFacts {
    /// The capabilities as text.
    #[must_use]
    pub fn capabilities(&self) -> &str {
        std::str::from_utf8(&self.capabilities).unwrap_or("{}")
    }

    /// The client's own description as text.
    #[must_use]
    pub fn info(&self) -> Option<&str> {
        self.info.as_deref().and_then(|raw| std::str::from_utf8(raw).ok())
    }

    /// Whether the client declared any extension whose results may be of types of its own.
    #[must_use]
    pub fn declares_any(&self) -> bool {
        let capabilities = Object::parse(self.capabilities()).ok();
        let extensions = capabilities.and_then(|c| c.object("extensions").ok().flatten());
        let own = |id: &str| id != TASKS_EXTENSION && id != APPS_EXTENSION;
        extensions.is_some_and(|e| e.iter().any(|member| own(&member.name)))
    }

    /// Whether the client declared an extension.
    #[must_use]
    pub fn declares(&self, extension: &str) -> bool {
        if self.capabilities() == "{}" {
            return false;
        }
        let capabilities = Object::parse(self.capabilities()).ok();
        let extensions = capabilities.and_then(|c| c.object("extensions").ok().flatten());
        extensions.is_some_and(|e| e.iter().any(|member| member.name == extension))
    }
}

/// Reads a progress token: a string or an integer, kept as it is written.
///
/// # Errors
/// For every other kind of value.
pub fn progress_token(raw: &str) -> Result<Box<str>, Reject> {
    let fits = match Kind::of(raw) {
        Kind::String => true,
        Kind::Number => json::integer(raw).is_some() || raw.bytes().all(|b| b.is_ascii_digit() || b == b'-'),
        Kind::Array | Kind::Boolean | Kind::Null | Kind::Object => false,
    };
    if fits {
        Ok(raw.into())
    } else {
        Err(Reject::Meta {
            key: PROGRESS_TOKEN,
            why: format!("must be a string or an integer, found {}", Kind::of(raw)),
        })
    }
}

/// Reads a log level.
///
/// # Errors
/// When it is not one of the eight names.
pub fn log_level(raw: &str) -> Result<LogLevel, Reject> {
    json::string(raw).ok().and_then(|name| LogLevel::find(&name)).ok_or_else(|| Reject::Meta {
        key: LOG_LEVEL,
        why: format!(
            "{raw} is no log level; one of debug, info, notice, warning, error, critical, alert, emergency"
        ),
    })
}
