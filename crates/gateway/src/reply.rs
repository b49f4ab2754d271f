//! The one error table: what each fault is called on the wire, in HTTP, in the log and in metrics.
//!
//! Own codes lie outside JSON-RPC's reserved range and end in the HTTP status that they are kin to; `data.reason` is
//! what a machine should look at. A fault of a server behind us is answered with HTTP 200, because the endpoint did
//! its work and clients throw the body of a 5xx away; what the endpoint itself refuses has a 4xx or 503.

use std::time::Duration;

use auth::Refusal;
use bytes::Bytes;
use http::StatusCode;
use mcp::answer::{self, AnswerFault};
use mcp::json;
use mcp::jsonrpc::Id;
use mcp::method::Kind;
use mcp::reject::{Reject, code};
use mcp::version::Era;
use tracing::Level;
use transport::memory::Full;

use crate::upstream::{Fault, Refused};

/// Why a call has no answer from a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The client broke a rule.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// The gate refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No server of this route has it.
    #[error("no {} {name:?} here", noun(*.kind))]
    UnknownName {
        /// What kind of thing was asked for.
        kind: Kind,
        /// Its public name or URI.
        name: String,
    },
    /// The cursor is not one of ours, or the list has changed since.
    #[error("the cursor is not valid (any more); list again from the start")]
    BadCursor,
    /// The server cannot be reached or started. Nothing was sent.
    #[error("upstream {upstream:?} cannot be reached: {why}")]
    Unreachable {
        /// The server.
        upstream: String,
        /// What failed, for the operator.
        why: String,
        /// What is the matter with the server; nothing where it is we who do not ask it.
        fault: Option<Fault>,
    },
    /// The server has failed again and again, and is left alone for a while. Nothing was sent.
    #[error(
        "upstream {upstream:?} is not asked: it has failed again and again for {}s, at last so: {}; it is tried again in {}s",
        refused.since.as_secs(), refused.fault, seconds(refused.again)
    )]
    BreakerOpen {
        /// The server.
        upstream: String,
        /// Since when, why, and until when.
        refused: Box<Refused>,
    },
    /// The server wants credentials that it was not given.
    #[error("upstream {upstream:?} refuses our credentials (HTTP {status})")]
    Unauthorized {
        /// The server.
        upstream: String,
        /// 401 or 403.
        status: u16,
    },
    /// The connection or the process ended before the answer.
    #[error("upstream {upstream:?} broke off before it answered: {why}")]
    BrokeOff {
        /// The server.
        upstream: String,
        /// What happened, for the operator.
        why: String,
    },
    /// What the server sent is no answer that a client may be given.
    #[error("upstream {upstream:?} gave an answer that is not valid: {why}")]
    InvalidAnswer {
        /// The server.
        upstream: String,
        /// What is wrong with it.
        why: String,
    },
    /// The call needs something of the client that it has not declared.
    #[error(
        "upstream {upstream:?} needs a capability for this call that the client has not declared: {required}"
    )]
    MissingCapability {
        /// The server.
        upstream: String,
        /// The capability, as the text of a JSON object.
        required: String,
    },
    /// The request is one for clients with a capability that this one has not declared.
    #[error("this needs a capability that the client has not declared: {required}")]
    NotDeclared {
        /// The capability, as the text of a JSON object.
        required: String,
    },
    /// A retry whose state cannot be used.
    #[error("requestState: {0}")]
    RequestState(&'static str),
    /// A task that nothing more can be done with.
    #[error("{why}")]
    Task {
        /// What has become of it.
        why: String,
    },
    /// The client did not give what the server asked for in mid-call.
    #[error("{why}")]
    InputRefused {
        /// What happened.
        why: String,
    },
    /// The server took too long.
    #[error("upstream {upstream:?} did not answer within {after:?}")]
    Deadline {
        /// The server.
        upstream: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// Too much is under way.
    #[error("too many {what} at once (the limit is {limit})")]
    Overloaded {
        /// What there is too much of.
        what: String,
        /// The most there may be.
        limit: usize,
    },
    /// There is no memory for the answer.
    #[error("the answer of upstream {upstream:?} cannot be taken: {full}")]
    NoRoom {
        /// The server.
        upstream: String,
        /// How much there is.
        full: Full,
    },
    /// What is needed takes a file descriptor, and we have none left. Nothing was sent.
    #[error("Portolan has no file descriptor left: {why}")]
    OutOfDescriptors {
        /// What failed, for the operator.
        why: String,
    },
    /// Portolan is about to end.
    #[error("Portolan is shutting down")]
    Draining,
    /// What a client asks for in its era has no counterpart at this server.
    #[error("{what} is not possible here: {why}")]
    NotBridged {
        /// What was asked for.
        what: String,
        /// Why it does not, and what to do.
        why: String,
    },
    /// A legacy client wants to go on after an event, and that cannot be.
    #[error("Last-Event-ID: {why}")]
    NotResumable {
        /// Why not.
        why: String,
    },
    /// The legacy session is unknown or over.
    #[error("no such session; initialize again")]
    NoSession,
    /// What replicas share is needed, and the store is away.
    #[error("{what} needs the store: {why}")]
    StoreAway {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with the store, for the operator.
        why: String,
    },
    /// The replica that holds what this is about cannot be reached. Nothing was sent.
    #[error("replica {replica} holds what this is about, and cannot be reached: {why}")]
    ReplicaAway {
        /// The replica.
        replica: String,
        /// What is wrong, for the operator.
        why: String,
    },
    /// The replica that carried the call is gone.
    #[error("the replica that carried this call is gone; the call may have been carried out")]
    ReplicaLost,
    /// A bug.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What a fault is called everywhere outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The HTTP status.
    pub status: StatusCode,
    /// The JSON-RPC code.
    pub code: i64,
    /// What the caller reads.
    pub text: String,
    /// The JSON text of `data`.
    pub data: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// How loud the log is.
    pub level: Level,
    /// The outcome's name in metrics and in `data.reason`.
    pub label: &'static str,
}

/// What the caller may do about it. Source: the transports working group's retry classes (draft 2026-09-03).
#[derive(Debug, Clone, Copy)]
enum Retry {
    /// The server did not get it.
    Safe,
    /// Whether the server has carried it out is not known.
    Unknown,
    /// Not as it is.
    No,
}

impl Retry {
    fn members(self) -> &'static str {
        match self {
            Self::Safe => r#""retry":"after-delay","notProcessed":true"#,
            Self::Unknown => r#""retry":"unknown","notProcessed":false"#,
            Self::No => r#""retry":"after-change""#,
        }
    }
}

/// Own codes.
mod own {
    pub(super) const DENIED: i64 = -31403;
    pub(super) const OVERLOADED: i64 = -31429;
    pub(super) const NOT_BRIDGED: i64 = -31501;
    pub(super) const INVALID_ANSWER: i64 = -31502;
    pub(super) const UNAVAILABLE: i64 = -31503;
    pub(super) const DEADLINE: i64 = -31504;
    pub(super) const INPUT_REFUSED: i64 = -31505;
    pub(super) const NO_ROOM: i64 = -31507;
    pub(super) const UNAUTHORIZED: i64 = -31511;
    pub(super) const DRAINING: i64 = -31513;
    pub(super) const BROKE_OFF: i64 = -31520;
    pub(super) const REPLICA_LOST: i64 = -31521;
    pub(super) const STORE_AWAY: i64 = -31523;
    pub(super) const REPLICA_AWAY: i64 = -31533;
    pub(super) const OUT_OF_DESCRIPTORS: i64 = -31543;
}

/// The table.
#[must_use]
#[deny(clippy::wildcard_enum_match_arm)]
#[expect(clippy::too_many_lines, reason = "a table has as many rows as there are errors")]
pub fn wire(error: &CallError) -> Wire {
    let text = error.to_string();
    let row = |status: StatusCode, code: i64, level: Level, label: &'static str| Wire {
        status,
        code,
        text: text.clone(),
        data: None,
        retry_after: None,
        level,
        label,
    };
    match error {
        CallError::Reject(reject) => {
            Wire { data: reject.data(), ..row(reject.status(), reject.code(), Level::DEBUG, "rejected") }
        }
        // A denied name answers exactly like an unknown one where names are concerned; this is what is left.
        CallError::Refused(_) => row(StatusCode::FORBIDDEN, own::DENIED, Level::INFO, "denied"),
        CallError::UnknownName { kind, name } => {
            let uri = matches!(kind, Kind::Resource | Kind::Template);
            let data = uri.then(|| format!(r#"{{"uri":{}}}"#, json::quote(name)));
            Wire { data, ..row(StatusCode::OK, code::INVALID_PARAMS, Level::DEBUG, "unknown_name") }
        }
        CallError::BadCursor => row(StatusCode::OK, code::INVALID_PARAMS, Level::DEBUG, "bad_cursor"),
        CallError::Unreachable { upstream, .. } => Wire {
            text: format!("upstream {upstream:?} cannot be reached"),
            data: Some(data("upstream_unreachable", upstream, Retry::Safe)),
            ..row(StatusCode::OK, own::UNAVAILABLE, Level::WARN, "upstream_unreachable")
        },
        CallError::BreakerOpen { upstream, refused } => Wire {
            data: Some(format!(
                r#"{{"reason":"breaker_open","upstream":{},{},"retryAfterMs":{}}}"#,
                json::quote(upstream),
                Retry::Safe.members(),
                refused.again.as_millis()
            )),
            // That it opened was said once.
            ..row(StatusCode::OK, own::UNAVAILABLE, Level::DEBUG, "breaker_open")
        },
        CallError::Unauthorized { upstream, .. } => Wire {
            data: Some(data("upstream_unauthorized", upstream, Retry::No)),
            ..row(StatusCode::OK, own::UNAUTHORIZED, Level::WARN, "upstream_unauthorized")
        },
        CallError::BrokeOff { upstream, .. } => Wire {
            text: format!(
                "upstream {upstream:?} broke off before it answered; it may have done what was asked"
            ),
            data: Some(data("upstream_broke_off", upstream, Retry::Unknown)),
            ..row(StatusCode::OK, own::BROKE_OFF, Level::WARN, "upstream_broke_off")
        },
        CallError::InvalidAnswer { upstream, .. } => Wire {
            data: Some(data("upstream_invalid_answer", upstream, Retry::Unknown)),
            ..row(StatusCode::OK, own::INVALID_ANSWER, Level::WARN, "upstream_invalid_answer")
        },
        CallError::MissingCapability { required, .. } | CallError::NotDeclared { required } => Wire {
            data: json::Object::parse(required)
                .is_ok()
                .then(|| format!(r#"{{"requiredCapabilities":{required}}}"#)),
            ..row(StatusCode::BAD_REQUEST, code::MISSING_CLIENT_CAPABILITY, Level::INFO, "capability")
        },
        CallError::RequestState(_) => Wire {
            data: Some(format!(r#"{{"reason":"request_state",{}}}"#, Retry::No.members())),
            ..row(StatusCode::BAD_REQUEST, code::INVALID_PARAMS, Level::INFO, "request_state")
        },
        CallError::Task { .. } => row(StatusCode::OK, code::INVALID_PARAMS, Level::DEBUG, "task"),
        CallError::InputRefused { .. } => Wire {
            data: Some(format!(r#"{{"reason":"input_refused",{}}}"#, Retry::Unknown.members())),
            ..row(StatusCode::OK, own::INPUT_REFUSED, Level::INFO, "input_refused")
        },
        CallError::Deadline { upstream, .. } => Wire {
            data: Some(data("upstream_deadline", upstream, Retry::Unknown)),
            ..row(StatusCode::OK, own::DEADLINE, Level::WARN, "upstream_deadline")
        },
        CallError::Overloaded { .. } => Wire {
            data: Some(format!(r#"{{"reason":"overloaded",{}}}"#, Retry::Safe.members())),
            retry_after: Some(1),
            ..row(StatusCode::SERVICE_UNAVAILABLE, own::OVERLOADED, Level::WARN, "overloaded")
        },
        CallError::NoRoom { upstream, .. } => Wire {
            data: Some(data("no_room", upstream, Retry::Unknown)),
            retry_after: Some(1),
            ..row(StatusCode::SERVICE_UNAVAILABLE, own::NO_ROOM, Level::WARN, "no_room")
        },
        CallError::OutOfDescriptors { .. } => Wire {
            text: "Portolan has too much open to begin anything new now".to_owned(),
            data: Some(format!(r#"{{"reason":"out_of_descriptors",{}}}"#, Retry::Safe.members())),
            retry_after: Some(1),
            // That there are none left was said once.
            ..row(
                StatusCode::SERVICE_UNAVAILABLE,
                own::OUT_OF_DESCRIPTORS,
                Level::DEBUG,
                "out_of_descriptors",
            )
        },
        CallError::Draining => Wire {
            data: Some(format!(r#"{{"reason":"draining",{}}}"#, Retry::Safe.members())),
            retry_after: Some(1),
            ..row(StatusCode::SERVICE_UNAVAILABLE, own::DRAINING, Level::INFO, "draining")
        },
        CallError::NotBridged { .. } => Wire {
            data: Some(format!(r#"{{"reason":"not_bridged",{}}}"#, Retry::No.members())),
            ..row(StatusCode::OK, own::NOT_BRIDGED, Level::INFO, "not_bridged")
        },
        // Not 404: clients take that for the end of their session.
        CallError::NotResumable { .. } => Wire {
            data: Some(format!(r#"{{"reason":"not_resumable",{}}}"#, Retry::No.members())),
            ..row(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, Level::DEBUG, "not_resumable")
        },
        CallError::NoSession => row(StatusCode::NOT_FOUND, code::INVALID_REQUEST, Level::DEBUG, "no_session"),
        CallError::StoreAway { what, .. } => Wire {
            text: format!("{what} needs what replicas share, which cannot be reached now"),
            data: Some(format!(r#"{{"reason":"store_away",{}}}"#, Retry::Safe.members())),
            retry_after: Some(2),
            // That it is away is said once, by who asks for it each second.
            ..row(StatusCode::SERVICE_UNAVAILABLE, own::STORE_AWAY, Level::DEBUG, "store_away")
        },
        CallError::ReplicaAway { .. } => Wire {
            text: "the replica that holds what this is about cannot be reached now".to_owned(),
            data: Some(format!(r#"{{"reason":"replica_away",{}}}"#, Retry::Safe.members())),
            retry_after: Some(2),
            ..row(StatusCode::SERVICE_UNAVAILABLE, own::REPLICA_AWAY, Level::WARN, "replica_away")
        },
        CallError::ReplicaLost => Wire {
            data: Some(format!(r#"{{"reason":"replica_lost",{}}}"#, Retry::Unknown.members())),
            ..row(StatusCode::OK, own::REPLICA_LOST, Level::WARN, "replica_lost")
        },
        CallError::Internal(_) => Wire {
            text: "internal error".to_owned(),
            ..row(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL_ERROR, Level::ERROR, "internal")
        },
    }
}

/// The table's row as clients of an era are told it: a resource that is not there has a code of its own in the legacy
/// era (2025-11-25 `server/resources` §Error Handling).
#[must_use]
pub fn wire_for(error: &CallError, era: Era) -> Wire {
    let row = wire(error);
    match error {
        CallError::UnknownName { kind: Kind::Resource, .. } if era == Era::Legacy => {
            Wire { code: code::LEGACY_RESOURCE_NOT_FOUND, ..row }
        }
        // A code of the modern era.
        CallError::MissingCapability { .. } if era == Era::Legacy => Wire { code: own::NOT_BRIDGED, ..row },
        _ => row,
    }
}

impl Wire {
    /// The JSON-RPC error response.
    #[must_use]
    pub fn body(&self, id: Option<&Id>) -> Bytes {
        answer::error_message(id, self.code, &self.text, self.data.as_deref())
    }

    /// Writes it to the log, with the text for the operator.
    pub fn log(&self, error: &CallError, method: &str) {
        match self.level {
            Level::ERROR => tracing::error!(method, outcome = self.label, "{error}"),
            Level::WARN => tracing::warn!(method, outcome = self.label, "{error}"),
            Level::INFO => tracing::info!(method, outcome = self.label, "{error}"),
            _ => tracing::debug!(method, outcome = self.label, "{error}"),
        }
    }
}

impl From<Full> for CallError {
    /// For a request that there is no memory for.
    fn from(full: Full) -> Self {
        Self::Overloaded { what: "bytes of requests and answers".to_owned(), limit: full.limit }
    }
}

impl CallError {
    /// Whether it is a limit of our own, which says nothing about the server.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Overloaded { .. } | Self::NoRoom { .. } | Self::OutOfDescriptors { .. } | Self::Draining
        )
    }

    /// For an answer of `upstream` that no client may be given.
    #[must_use]
    pub fn invalid(upstream: &str, fault: &AnswerFault) -> Self {
        Self::InvalidAnswer { upstream: upstream.to_owned(), why: fault.to_string() }
    }
}

fn data(reason: &str, upstream: &str, retry: Retry) -> String {
    format!(r#"{{"reason":"{reason}","upstream":{},{}}}"#, json::quote(upstream), retry.members())
}

/// Whole seconds, of which there is at least one.
fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

pub(crate) fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Prompt => "prompt",
        Kind::Resource => "resource",
        Kind::Server => "method",
        Kind::Task => "task",
        Kind::Template => "resource template",
        Kind::Tool => "tool",
    }
}

#[cfg(test)]
mod tests;
