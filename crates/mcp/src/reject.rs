//! What a peer did wrong, and what it is told.
//!
//! Codes and statuses: MCP 2026-07-28 `basic` §Error Codes and `streamable-http` §Server Validation.

use http::StatusCode;

use crate::json::{self, JsonFault};
use crate::jsonrpc::EnvelopeFault;
use crate::version::{self, Era};

/// JSON-RPC and MCP error codes that Portolan emits in a server's or its own name.
pub mod code {
    /// The text is not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// JSON, but not a JSON-RPC request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method, or its capability is not advertised.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// Missing or wrong params, an unknown name, a bad cursor, a resource that is not there.
    pub const INVALID_PARAMS: i64 = -32602;
    /// A bug, or a fault that has no better code.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// Header and body disagree, or a required header is missing.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The request needs a capability that the client did not declare.
    pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
    /// The revision is not spoken here.
    pub const UNSUPPORTED_VERSION: i64 = -32022;
    /// Legacy only: the resource is not there.
    pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
    /// 2025-11-25 only: URLs must be visited first.
    pub const LEGACY_URL_ELICITATION_REQUIRED: i64 = -32042;

    /// Whether a code can only come from a modern server.
    #[must_use]
    pub fn is_modern(code: i64) -> bool {
        matches!(code, HEADER_MISMATCH | MISSING_CLIENT_CAPABILITY | UNSUPPORTED_VERSION)
    }
}

/// A rule that a request breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// The body is not one JSON-RPC message.
    #[error("{0}")]
    Envelope(#[from] EnvelopeFault),
    /// The body is a message, but of a kind that does not belong here.
    #[error("{0}")]
    NotARequest(&'static str),
    /// A header that mirrors the body is missing or says something else.
    #[error("header {header}: {why}")]
    HeaderMismatch {
        /// The header's name.
        header: String,
        /// What is wrong with it.
        why: String,
    },
    /// `_meta` lacks a required member, or one is of the wrong kind.
    #[error("params._meta[{key:?}]: {why}")]
    Meta {
        /// The member.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The revision is not spoken here. Some clients look for these words to know it.
    #[error("Unsupported protocol version: {0:?}")]
    UnsupportedVersion(String),
    /// No such method in this revision.
    #[error("no such method: {0}")]
    UnknownMethod(String),
    /// `params` are not what the method asks for.
    #[error("invalid params: {0}")]
    Params(String),
}

impl Reject {
    /// For a member of `params` that cannot be read.
    #[must_use]
    pub fn member(name: &str, fault: &JsonFault) -> Self {
        Self::Params(match fault {
            JsonFault::Duplicate(_) => fault.to_string(),
            JsonFault::Kind { .. } | JsonFault::NotText | JsonFault::Syntax(_) | JsonFault::TooMany(_) => {
                format!("{name:?}: {fault}")
            }
        })
    }

    /// The JSON-RPC error code.
    #[must_use]
    pub fn code(&self) -> i64 {
        match self {
            Self::Envelope(EnvelopeFault::NotUtf8 | EnvelopeFault::NotJson(_)) => code::PARSE_ERROR,
            Self::Envelope(
                EnvelopeFault::Batch | EnvelopeFault::TooDeep { .. } | EnvelopeFault::Invalid(_),
            )
            | Self::NotARequest(_) => code::INVALID_REQUEST,
            Self::HeaderMismatch { .. } => code::HEADER_MISMATCH,
            Self::Meta { .. } | Self::Params(_) => code::INVALID_PARAMS,
            Self::UnsupportedVersion(_) => code::UNSUPPORTED_VERSION,
            Self::UnknownMethod(_) => code::METHOD_NOT_FOUND,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownMethod(_) => StatusCode::NOT_FOUND,
            Self::Envelope(_)
            | Self::HeaderMismatch { .. }
            | Self::Meta { .. }
            | Self::NotARequest(_)
            | Self::Params(_)
            | Self::UnsupportedVersion(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The JSON text of the error's `data`, where the specification asks for one.
    #[must_use]
    pub fn data(&self) -> Option<String> {
        let Self::UnsupportedVersion(requested) = self else { return None };
        let supported: Vec<_> = version::names(Era::Modern).map(json::quote).collect();
        Some(format!(r#"{{"supported":[{}],"requested":{}}}"#, supported.join(","), json::quote(requested)))
    }
}
