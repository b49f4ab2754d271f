//! The one error table: what each fault is called on the wire, in HTTP, in the log and in metrics.
//!
//! Own codes lie outside JSON-RPC's reserved range and end in the HTTP status that they are kin to; `data.reason` is
//! what a machine should look at. A fault of a server behind us is answered with HTTP 200, because the endpoint did
//! its work and clients throw the body of a 5xx away; what the endpoint itself refuses has a 4xx or 503.

use auth::Refusal;
use bytes::Bytes;
use http::StatusCode;
use mcp::answer;
use mcp::json::{self, Patch};
use mcp::jsonrpc::{Id, Message};
use mcp::method::Kind;
use mcp::reject::{Reject, code};
use mcp::version::Era;
use tracing::Level;

use crate::error::CallError;
use crate::fault::Limited;
use crate::traces::SpanEnd;
use LegacyStatus::{Answered, Same, Unasked};

/// What a fault is called everywhere outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRow {
    /// The HTTP status.
    pub status: StatusCode,
    /// The HTTP status that a legacy client gets.
    pub legacy: LegacyStatus,
    /// The JSON-RPC code.
    pub code: i64,
    /// What the caller reads.
    pub text: String,
    /// The JSON text of `data`.
    pub data: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// `RateLimit-Limit` and `RateLimit-Remaining`, as far as they are known.
    pub allowance: [Option<u64>; 2],
    /// How loud the log is.
    pub level: Level,
    /// The outcome's name in metrics and in `data.reason`.
    pub label: &'static str,
    /// The scopes that a token needs for this, all of them, if that is what is amiss.
    pub scopes: Vec<String>,
}

/// The HTTP status of an error for a legacy client. Such a client must read what it is told of its request, and some end their
/// session at a status that is an error (the Python SDK 1.x does).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyStatus {
    /// 200: the error stands in the answer.
    Answered,
    /// 200 in answer to a request, and this one where there is none to answer: for who stands before us.
    Unasked(StatusCode),
    /// The same as in the modern era. It concerns the session, or another replica may do better, or what came is no request.
    Same,
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
    pub(super) const BAD_CREDENTIALS: i64 = -31400;
    pub(super) const UNAUTHENTICATED: i64 = -31401;
    pub(super) const DENIED: i64 = -31403;
    pub(super) const QUARANTINED: i64 = -31409;
    pub(super) const APPROVAL_NEEDED: i64 = -31428;
    pub(super) const OVERLOADED: i64 = -31429;
    pub(super) const RATE_LIMITED: i64 = -31430;
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
    pub(super) const IDENTITY_AWAY: i64 = -31553;
    pub(super) const AUDIT_UNAVAILABLE: i64 = -31563;
    pub(super) const OUT_OF_DESCRIPTORS: i64 = -31543;
}

/// The table.
#[must_use]
#[deny(clippy::wildcard_enum_match_arm)]
#[expect(clippy::too_many_lines, reason = "a table has as many rows as there are errors")]
pub fn wire(error: &CallError) -> ErrorRow {
    let text = error.to_string();
    let row = |status: StatusCode, legacy: LegacyStatus, code: i64, level: Level, label: &'static str| {
        let (data, retry_after, allowance, scopes) = (None, None, [None; 2], Vec::new());
        ErrorRow {
            status,
            legacy,
            code,
            text: text.clone(),
            data,
            retry_after,
            allowance,
            level,
            label,
            scopes,
        }
    };
    match error {
        CallError::Reject(reject) => {
            let legacy = if matches!(reject, Reject::NotARequest(_)) { Same } else { Answered };
            let code = reject.code();
            ErrorRow { data: reject.data(), ..row(reject.status(), legacy, code, Level::DEBUG, "rejected") }
        }
        // A denied name answers exactly like an unknown one where names are concerned; this is what is left.
        CallError::Refused(refusal) => refused(refusal, &row),
        CallError::ApprovalNeeded(needed) => {
            let page =
                needed.url.as_deref().map(|url| format!(",\"url\":{}", json::quote(url))).unwrap_or_default();
            let id = json::quote(&needed.id);
            let retry = Retry::Safe.members();
            ErrorRow {
                data: Some(format!(r#"{{"reason":"approval_needed","approval":{id}{page},{retry}}}"#)),
                ..row(StatusCode::OK, Answered, own::APPROVAL_NEEDED, Level::INFO, "approval_needed")
            }
        }
        CallError::ApprovalDenied { .. } => ErrorRow {
            data: Some(format!(r#"{{"reason":"approval_denied",{}}}"#, Retry::No.members())),
            ..row(StatusCode::OK, Answered, own::DENIED, Level::INFO, "approval_denied")
        },
        CallError::UnknownName { kind, name } => {
            let uri = matches!(kind, Kind::Resource | Kind::Template);
            let data = uri.then(|| format!(r#"{{"uri":{}}}"#, json::quote(name)));
            ErrorRow {
                data,
                ..row(StatusCode::OK, Answered, code::INVALID_PARAMS, Level::DEBUG, "unknown_name")
            }
        }
        CallError::Quarantined { upstream, name, .. } => ErrorRow {
            text: format!(
                "{text}; whoever runs Portolan can look at it: portolan pins diff{}",
                meant(upstream, name)
            ),
            data: Some(data("quarantined", upstream, Retry::No)),
            ..row(StatusCode::OK, Answered, own::QUARANTINED, Level::INFO, "quarantined")
        },
        CallError::BadCursor => {
            row(StatusCode::OK, Answered, code::INVALID_PARAMS, Level::DEBUG, "bad_cursor")
        }
        CallError::Unreachable { upstream, why, .. } => ErrorRow {
            text: format!("upstream {upstream:?} {}", why.how),
            data: Some(data("upstream_unreachable", upstream, Retry::Safe)),
            ..row(StatusCode::OK, Answered, own::UNAVAILABLE, Level::WARN, "upstream_unreachable")
        },
        CallError::BreakerOpen { upstream, refused } => ErrorRow {
            data: Some(format!(
                r#"{{"reason":"breaker_open","upstream":{},{},"retryAfterMs":{}}}"#,
                json::quote(upstream),
                Retry::Safe.members(),
                refused.again.as_millis()
            )),
            // That it opened was said once.
            ..row(StatusCode::OK, Answered, own::UNAVAILABLE, Level::DEBUG, "breaker_open")
        },
        CallError::Starting { upstream, .. } | CallError::WaitsToStart { upstream } => ErrorRow {
            data: Some(data("upstream_starting", upstream, Retry::Safe)),
            // That it takes long was said once.
            ..row(StatusCode::OK, Answered, own::UNAVAILABLE, Level::DEBUG, "upstream_starting")
        },
        CallError::BegunAnew { upstream } => ErrorRow {
            data: Some(data("upstream_begun_anew", upstream, Retry::Safe)),
            ..row(StatusCode::OK, Answered, own::UNAVAILABLE, Level::INFO, "upstream_begun_anew")
        },
        CallError::Unauthorized { upstream, status, .. } => ErrorRow {
            text: format!("upstream {upstream:?} refuses our credentials (HTTP {status})"),
            data: Some(data("upstream_unauthorized", upstream, Retry::No)),
            ..row(StatusCode::OK, Answered, own::UNAUTHORIZED, Level::WARN, "upstream_unauthorized")
        },
        CallError::BrokeOff { upstream, .. } => ErrorRow {
            text: format!(
                "upstream {upstream:?} broke off before it answered; it may have done what was asked"
            ),
            data: Some(data("upstream_broke_off", upstream, Retry::Unknown)),
            ..row(StatusCode::OK, Answered, own::BROKE_OFF, Level::WARN, "upstream_broke_off")
        },
        CallError::InvalidAnswer { upstream, .. } => ErrorRow {
            data: Some(data("upstream_invalid_answer", upstream, Retry::Unknown)),
            ..row(StatusCode::OK, Answered, own::INVALID_ANSWER, Level::WARN, "upstream_invalid_answer")
        },
        CallError::MissingCapability { required, .. } | CallError::NotDeclared { required } => ErrorRow {
            data: json::Object::parse(required)
                .is_ok()
                .then(|| format!(r#"{{"requiredCapabilities":{required}}}"#)),
            ..row(
                StatusCode::BAD_REQUEST,
                Answered,
                code::MISSING_CLIENT_CAPABILITY,
                Level::INFO,
                "capability",
            )
        },
        CallError::RequestState(_) => ErrorRow {
            data: Some(format!(r#"{{"reason":"request_state",{}}}"#, Retry::No.members())),
            ..row(StatusCode::BAD_REQUEST, Answered, code::INVALID_PARAMS, Level::INFO, "request_state")
        },
        CallError::Task { .. } => row(StatusCode::OK, Answered, code::INVALID_PARAMS, Level::DEBUG, "task"),
        CallError::InputRefused { .. } => ErrorRow {
            data: Some(format!(r#"{{"reason":"input_refused",{}}}"#, Retry::Unknown.members())),
            ..row(StatusCode::OK, Answered, own::INPUT_REFUSED, Level::INFO, "input_refused")
        },
        CallError::Deadline { upstream, .. } => ErrorRow {
            data: Some(data("upstream_deadline", upstream, Retry::Unknown)),
            ..row(StatusCode::OK, Answered, own::DEADLINE, Level::WARN, "upstream_deadline")
        },
        CallError::Overloaded { .. } => ErrorRow {
            data: Some(format!(r#"{{"reason":"overloaded",{}}}"#, Retry::Safe.members())),
            retry_after: Some(1),
            ..row(
                StatusCode::SERVICE_UNAVAILABLE,
                Unasked(StatusCode::SERVICE_UNAVAILABLE),
                own::OVERLOADED,
                Level::WARN,
                "overloaded",
            )
        },
        CallError::RateLimited(limited) => ErrorRow {
            data: Some(limited_data(limited)),
            // What is rounded down would come too early.
            retry_after: Some(
                limited.retry_after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1),
            ),
            allowance: [limited.limit, limited.remaining],
            ..row(
                StatusCode::TOO_MANY_REQUESTS,
                Unasked(StatusCode::TOO_MANY_REQUESTS),
                own::RATE_LIMITED,
                // Who calls too often would fill the log, too. There is a count.
                Level::DEBUG,
                "rate_limited",
            )
        },
        CallError::NoRoom { upstream, .. } => ErrorRow {
            data: Some(data("no_room", upstream, Retry::Unknown)),
            retry_after: Some(1),
            ..row(
                StatusCode::SERVICE_UNAVAILABLE,
                Unasked(StatusCode::SERVICE_UNAVAILABLE),
                own::NO_ROOM,
                Level::WARN,
                "no_room",
            )
        },
        CallError::OutOfDescriptors { .. } => ErrorRow {
            text: "Portolan has too much open to begin anything new now".to_owned(),
            data: Some(format!(r#"{{"reason":"out_of_descriptors",{}}}"#, Retry::Safe.members())),
            retry_after: Some(1),
            // That there are none left was said once.
            ..row(
                StatusCode::SERVICE_UNAVAILABLE,
                Unasked(StatusCode::SERVICE_UNAVAILABLE),
                own::OUT_OF_DESCRIPTORS,
                Level::DEBUG,
                "out_of_descriptors",
            )
        },
        CallError::Draining => ErrorRow {
            data: Some(format!(r#"{{"reason":"draining",{}}}"#, Retry::Safe.members())),
            retry_after: Some(1),
            ..row(StatusCode::SERVICE_UNAVAILABLE, Same, own::DRAINING, Level::INFO, "draining")
        },
        CallError::NotBridged { .. } => ErrorRow {
            data: Some(format!(r#"{{"reason":"not_bridged",{}}}"#, Retry::No.members())),
            ..row(StatusCode::OK, Answered, own::NOT_BRIDGED, Level::INFO, "not_bridged")
        },
        // Not 404: clients take that for the end of their session.
        CallError::NotResumable { .. } => ErrorRow {
            data: Some(format!(r#"{{"reason":"not_resumable",{}}}"#, Retry::No.members())),
            ..row(StatusCode::BAD_REQUEST, Same, code::INVALID_REQUEST, Level::DEBUG, "not_resumable")
        },
        CallError::NoSession => {
            row(StatusCode::NOT_FOUND, Same, code::INVALID_REQUEST, Level::DEBUG, "no_session")
        }
        CallError::StoreAway { what, .. } => ErrorRow {
            text: format!("{what} needs what replicas share, which cannot be reached now"),
            data: Some(format!(r#"{{"reason":"store_away",{}}}"#, Retry::Safe.members())),
            retry_after: Some(2),
            // That it is away is said once, by who asks for it each second.
            ..row(StatusCode::SERVICE_UNAVAILABLE, Same, own::STORE_AWAY, Level::DEBUG, "store_away")
        },
        CallError::ReplicaAway { .. } => ErrorRow {
            text: "the replica that holds what this is about cannot be reached now".to_owned(),
            data: Some(format!(r#"{{"reason":"replica_away",{}}}"#, Retry::Safe.members())),
            retry_after: Some(2),
            ..row(StatusCode::SERVICE_UNAVAILABLE, Same, own::REPLICA_AWAY, Level::WARN, "replica_away")
        },
        CallError::ReplicaLost => ErrorRow {
            data: Some(format!(r#"{{"reason":"replica_lost",{}}}"#, Retry::Unknown.members())),
            ..row(
                StatusCode::OK,
                Unasked(StatusCode::BAD_GATEWAY),
                own::REPLICA_LOST,
                Level::WARN,
                "replica_lost",
            )
        },
        CallError::AuditUnavailable { sent } => ErrorRow {
            data: Some(format!(
                r#"{{"reason":"audit_unavailable",{}}}"#,
                if *sent { Retry::Unknown } else { Retry::Safe }.members()
            )),
            retry_after: (!sent).then_some(2),
            // That it cannot be written is said once, by who writes.
            ..row(
                StatusCode::SERVICE_UNAVAILABLE,
                Unasked(StatusCode::SERVICE_UNAVAILABLE),
                own::AUDIT_UNAVAILABLE,
                Level::DEBUG,
                "audit_unavailable",
            )
        },
        CallError::Internal(_) => ErrorRow {
            text: "internal error".to_owned(),
            ..row(StatusCode::INTERNAL_SERVER_ERROR, Answered, code::INTERNAL_ERROR, Level::ERROR, "internal")
        },
    }
}

/// The rows of what the gate refuses. Source: RFC 6750 §3.1.
fn refused(
    refusal: &Refusal,
    row: &dyn Fn(StatusCode, LegacyStatus, i64, Level, &'static str) -> ErrorRow,
) -> ErrorRow {
    match refusal {
        Refusal::Unauthenticated(_) => {
            row(StatusCode::UNAUTHORIZED, Same, own::UNAUTHENTICATED, Level::DEBUG, "unauthenticated")
        }
        Refusal::Malformed(_) => {
            row(StatusCode::BAD_REQUEST, Same, own::BAD_CREDENTIALS, Level::DEBUG, "bad_credentials")
        }
        Refusal::Scopes(scopes) => {
            let listed = scopes.iter().map(|scope| json::quote(scope)).collect::<Vec<_>>().join(",");
            ErrorRow {
                data: Some(format!(
                    r#"{{"reason":"insufficient_scope","scopes":[{listed}],{}}}"#,
                    Retry::No.members()
                )),
                scopes: scopes.clone(),
                ..row(StatusCode::FORBIDDEN, Same, own::DENIED, Level::INFO, "insufficient_scope")
            }
        }
        Refusal::Unavailable { retry_after } => ErrorRow {
            data: Some(format!(r#"{{"reason":"identity_away",{}}}"#, Retry::Safe.members())),
            retry_after: Some(retry_after.as_secs().max(1)),
            ..row(StatusCode::SERVICE_UNAVAILABLE, Same, own::IDENTITY_AWAY, Level::WARN, "identity_away")
        },
        // The message is understood, so that HTTP has nothing to object: hosts show the error as the answer that it is.
        Refusal::Policy(_) => ErrorRow {
            data: Some(format!(r#"{{"reason":"policy",{}}}"#, Retry::No.members())),
            ..row(StatusCode::OK, Same, own::DENIED, Level::INFO, "policy")
        },
        // Where nobody can be asked: of a call that can, its client is told whom to ask (`CallError::ApprovalNeeded`).
        Refusal::Approval(_) => ErrorRow {
            data: Some(format!(r#"{{"reason":"approval_needed",{}}}"#, Retry::No.members())),
            ..row(StatusCode::OK, Same, own::APPROVAL_NEEDED, Level::INFO, "approval_needed")
        },
        Refusal::Arguments(_) => ErrorRow {
            data: Some(format!(r#"{{"reason":"arguments",{}}}"#, Retry::No.members())),
            ..row(StatusCode::BAD_REQUEST, Answered, code::INVALID_PARAMS, Level::DEBUG, "arguments")
        },
        // `Denied`, and what is not known here: the least that can be said.
        _ => row(StatusCode::FORBIDDEN, Answered, own::DENIED, Level::INFO, "denied"),
    }
}

/// How what ends with an error is told to those who follow calls.
#[must_use]
pub fn span_end(error: &CallError) -> SpanEnd {
    let row = wire(error);
    SpanEnd::Failed(row.label, Some(row.code))
}

/// The table's row as clients of an era are told it: a resource that is not there has a code of its own in the legacy
/// era (2025-11-25 `server/resources` §Error Handling).
#[must_use]
pub fn wire_for(error: &CallError, era: Era) -> ErrorRow {
    let row = wire(error);
    match error {
        CallError::UnknownName { kind: Kind::Resource, .. } if era == Era::Legacy => {
            ErrorRow { code: code::LEGACY_RESOURCE_NOT_FOUND, ..row }
        }
        // A code of the modern era.
        CallError::MissingCapability { .. } if era == Era::Legacy => {
            ErrorRow { code: own::NOT_BRIDGED, ..row }
        }
        _ => row,
    }
}

impl ErrorRow {
    /// The HTTP status for a client of an era, in answer to a request or where there is none to answer.
    #[must_use]
    pub fn status_for(&self, era: Era, answers: bool) -> StatusCode {
        match (era, self.legacy) {
            (Era::Modern, _) | (Era::Legacy, Same) => self.status,
            (Era::Legacy, Unasked(status)) if !answers => status,
            (Era::Legacy, Answered | Unasked(_)) => StatusCode::OK,
        }
    }

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

/// The message with the client's id.
pub fn with_id(message: &Message, id: &Id) -> Result<Message, CallError> {
    let mut patch = Patch::new();
    message.set_id(id, &mut patch);
    Message::parse(patch.apply(message.bytes())).map_err(|fault| CallError::Internal(fault.to_string()))
}

/// The response with a result that Portolan itself gives.
pub fn own_result(id: &Id, result: &str) -> Result<Message, CallError> {
    Message::parse(answer::result_message(id, result)).map_err(|fault| CallError::Internal(fault.to_string()))
}

/// What `portolan pins` takes for a thing, as words of a command line: the thing, or its server where its name would be read
/// otherwise by a shell.
fn meant(upstream: &str, name: &str) -> String {
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:@+".contains(c));
    match (is_plain(upstream), is_plain(name)) {
        (true, true) => format!(" {upstream}/{name}"),
        (true, false) => format!(" {upstream}"),
        (false, _) => String::new(),
    }
}

fn data(reason: &str, upstream: &str, retry: Retry) -> String {
    format!(r#"{{"reason":"{reason}","upstream":{},{}}}"#, json::quote(upstream), retry.members())
}

/// What SEP-3304 (draft of 2026-08-25) has callers told. Its code, -32023, is given to something else by another draft, so that the code
/// is ours.
pub mod rate_limited {
    /// In how many milliseconds to come again; it is more exact than `Retry-After`, and comes before that.
    pub(super) const RETRY_AFTER: &str = "retryAfterMs";
    /// The most, and how many of these are left.
    pub(super) const ALLOWANCE: [&str; 2] = ["limit", "remaining"];
    /// The headers that say the same.
    pub const HEADERS: [&str; 2] = ["ratelimit-limit", "ratelimit-remaining"];
}

fn limited_data(limited: &Limited) -> String {
    let wait = limited.retry_after.as_nanos().div_ceil(1_000_000);
    let numbers = rate_limited::ALLOWANCE.iter().zip([limited.limit, limited.remaining]);
    let numbers = numbers.filter_map(|(name, number)| Some(format!(r#""{name}":{},"#, number?)));
    format!(
        r#"{{"reason":"rate_limited","name":{},"by":"{}","{}":{wait},{}{}}}"#,
        json::quote(&limited.name),
        limited.by,
        rate_limited::RETRY_AFTER,
        numbers.collect::<String>(),
        Retry::Safe.members()
    )
}

#[cfg(test)]
mod tests;
