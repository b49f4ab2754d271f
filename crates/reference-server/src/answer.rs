//! What a method gives back, and the form that each era gives it.

use bytes::Bytes;
use http::StatusCode;
use mcp::answer::{self, ResultType};
use mcp::cache::Hints;
use mcp::json;
use mcp::jsonrpc::Id;
use mcp::meta::SERVER_INFO;
use mcp::reject::{Reject, code};
use mcp::version::{self, Era};

/// A result, before an era gives it its form.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    kind: ResultType,
    /// The members of the result object that both eras have.
    members: String,
    hints: Option<Hints>,
    /// Further members of `_meta`, for modern clients.
    meta: Option<String>,
}

impl Answer {
    /// The answer to the request.
    pub(crate) fn complete(members: impl Into<String>) -> Self {
        Self { kind: ResultType::Complete, members: members.into(), hints: None, meta: None }
    }

    /// A question in its place.
    pub(crate) fn input_required(members: impl Into<String>) -> Self {
        Self { kind: ResultType::InputRequired, ..Self::complete(members) }
    }

    /// How long it may be cached, and for whom.
    pub(crate) fn fresh(self, hints: Hints) -> Self {
        Self { hints: Some(hints), ..self }
    }

    /// With a further member of `_meta`.
    pub(crate) fn with_meta(self, member: String) -> Self {
        Self { meta: Some(member), ..self }
    }

    /// The result object. Modern results name their type and their server; legacy ones never heard of either.
    pub(crate) fn text(&self, era: Era, server_info: &str) -> String {
        if era == Era::Legacy {
            return format!("{{{}}}", self.members);
        }
        let kind = match self.kind {
            ResultType::Complete => "complete",
            ResultType::InputRequired => "input_required",
            ResultType::Task => "task",
        };
        let mut members = vec![format!(r#""resultType":"{kind}""#)];
        members.extend(Some(self.members.clone()).filter(|members| !members.is_empty()));
        members.extend(self.hints.map(Hints::members));
        let further = self.meta.as_ref().map(|member| format!("{member},")).unwrap_or_default();
        members.push(format!(r#""_meta":{{{further}"{SERVER_INFO}":{server_info}}}"#));
        format!("{{{}}}", members.join(","))
    }
}

/// Why a request has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Refusal {
    /// It breaks a rule of the protocol.
    #[error(transparent)]
    Rule(#[from] Reject),
    /// Its params are well-formed but do not fit: an unknown name, a cursor or a state that is not ours.
    #[error("{0}")]
    Params(String),
    /// It reads a resource that is not there.
    #[error("resource not found: {0}")]
    NoResource(String),
    /// It needs a capability that it does not declare.
    #[error("this needs the client capability {0:?}, which the request does not declare")]
    Capability(&'static str),
    /// An `initialize` where only later revisions are spoken.
    #[error("there is no handshake here: only {} is spoken", spoken())]
    NoHandshake(String),
    /// It comes before the session that it needs.
    #[error("a session opens with \"initialize\"")]
    NoSession,
    /// Its id is that of a request that still runs.
    #[error("a request with this id is still running")]
    IdInUse,
    /// The client has as much of it already as it may.
    #[error("too many at once")]
    Busy,
    /// A fault of the server.
    #[error("{0}")]
    Internal(&'static str),
}

/// The revisions for a person to read.
fn spoken() -> String {
    version::names(Era::Modern).collect::<Vec<_>>().join(", ")
}

impl Refusal {
    /// The error response, and the status that goes with it over HTTP.
    pub(crate) fn response(&self, id: Option<&Id>, era: Era) -> (StatusCode, Bytes) {
        (
            self.status(era),
            answer::error_message(id, self.code(era), &self.to_string(), self.data().as_deref()),
        )
    }

    fn code(&self, era: Era) -> i64 {
        match (self, era) {
            (Self::Rule(reject), _) => reject.code(),
            (Self::NoResource(_), Era::Legacy) => code::LEGACY_RESOURCE_NOT_FOUND,
            (Self::NoResource(_), Era::Modern) | (Self::Params(_), _) => code::INVALID_PARAMS,
            (Self::Capability(_), _) => code::MISSING_CLIENT_CAPABILITY,
            (Self::NoHandshake(_), _) => code::UNSUPPORTED_VERSION,
            (Self::NoSession | Self::IdInUse, _) => code::INVALID_REQUEST,
            (Self::Busy | Self::Internal(_), _) => code::INTERNAL_ERROR,
        }
    }

    /// Only the errors for which the specification names a status have one. All others are answers like any other,
    /// because a 400 with another code than those tells a client that the server is a legacy one (MCP 2026-07-28
    /// `basic/versioning` §Era detection).
    fn status(&self, era: Era) -> StatusCode {
        match (self, era) {
            (Self::Rule(reject), Era::Modern) => reject.status(),
            (Self::Capability(_) | Self::NoHandshake(_), Era::Modern) => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        }
    }

    fn data(&self) -> Option<String> {
        match self {
            Self::Rule(reject) => reject.data(),
            Self::NoHandshake(requested) => Reject::UnsupportedVersion(requested.clone()).data(),
            Self::NoResource(uri) => Some(format!(r#"{{"uri":{}}}"#, json::quote(uri))),
            Self::Capability(name) => Some(format!(r#"{{"requiredCapabilities":{{"{name}":{{}}}}}}"#)),
            Self::Params(_) | Self::NoSession | Self::IdInUse | Self::Busy | Self::Internal(_) => None,
        }
    }
}
