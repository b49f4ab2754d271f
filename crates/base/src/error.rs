//! Why a call has no answer: who was at fault, and what the operator reads. What callers are told is `reply`'s.

use std::time::Duration;

use auth::Refusal;
use mcp::answer::AnswerFault;
use mcp::json::JsonFault;
use mcp::method::Kind;
use mcp::reject::Reject;
use store::StoreFault;
use transport::memory::Full;

use crate::fault::{Fault, Limited, Refused, Why};
use crate::lasting::Lasting;

/// Why a call has no answer from a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The client broke a rule.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// The gate refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Somebody has to approve it first, and the client cannot be asked here and now. Nothing was sent.
    #[error(
        "this is to be approved first: {}. Ask {} to approve it ({}), then make the very same call again; it is open for {}",
        .0.reason, .0.who, place(.0), Lasting(.0.open)
    )]
    ApprovalNeeded(Box<ApprovalNeeded>),
    /// Somebody was asked to approve it, and does not. Nothing was sent.
    #[error("this was not approved: {reason}")]
    ApprovalDenied {
        /// Why it was to be approved.
        reason: String,
    },
    /// No server of this route has it.
    #[error("no {} {name:?} here", noun(*.kind))]
    UnknownName {
        /// What kind of thing was asked for.
        kind: Kind,
        /// Its public name or URI.
        name: String,
    },
    /// It is not what was pinned, and held until somebody approves it. Nothing was sent.
    #[error("{} {name:?} of upstream {upstream:?} is quarantined: {why}", noun(*.kind))]
    Quarantined {
        /// The server.
        upstream: String,
        /// What kind of thing it is.
        kind: Kind,
        /// The server's own name of it.
        name: String,
        /// What is not as it was pinned.
        why: String,
    },
    /// The cursor is not one of ours, or the list has changed since.
    #[error("the cursor is not valid (any more); list again from the start")]
    BadCursor,
    /// The server cannot be reached or started. Nothing was sent.
    #[error("upstream {upstream:?} {}: {why}", why.how)]
    Unreachable {
        /// The server.
        upstream: String,
        /// What failed, for the operator.
        why: Box<Why>,
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
    /// The server is a program that has been started and has not said anything yet. Nothing was sent.
    #[error(
        "upstream {upstream:?} has been starting for {}s; it is given up when it writes nothing to stderr for {}s (timeouts.connect)",
        so_far.as_secs(), seconds(*silence)
    )]
    Starting {
        /// The server.
        upstream: String,
        /// For how long.
        so_far: Duration,
        /// How long it may write nothing.
        silence: Duration,
    },
    /// The server is a program that is to be started when others have been. Nothing was sent.
    #[error("upstream {upstream:?} waits to be started: as many others are starting as may at a time")]
    WaitsToStart {
        /// The server.
        upstream: String,
    },
    /// The server was reached anew, and what it offers now is to be found out first. Nothing was sent.
    #[error("upstream {upstream:?} was begun anew, and nobody knows yet what its tools are now")]
    BegunAnew {
        /// The server.
        upstream: String,
    },
    /// The server wants credentials that it was not given.
    #[error("upstream {upstream:?} refuses our credentials (HTTP {status}){}", after_colon(said.as_deref()))]
    Unauthorized {
        /// The server.
        upstream: String,
        /// 401 or 403.
        status: u16,
        /// What it says to why, for the operator.
        said: Option<String>,
    },
    /// The connection or the process ended before the answer.
    #[error("upstream {upstream:?} broke off before it answered: {why}")]
    BrokeOff {
        /// The server.
        upstream: String,
        /// What happened, for the operator.
        why: Box<Why>,
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
    /// The caller takes more than a limit of the configuration allows. Nothing was sent.
    #[error("over the limit {:?} ({}); try again in {}s", .0.name, .0.allows, seconds(.0.retry_after))]
    RateLimited(Box<Limited>),
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
    /// No record can be written of what was done, and none may be done without.
    #[error("{}", unrecorded(*sent))]
    AuditUnavailable {
        /// Whether it may have been carried out.
        sent: bool,
    },
    /// A bug.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What is to be approved before a call is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalNeeded {
    /// What the question is called.
    pub id: String,
    /// Why it is to be approved.
    pub reason: String,
    /// Who may.
    pub who: String,
    /// The page where they can.
    pub url: Option<String>,
    /// For how long.
    pub open: Duration,
}

impl From<Full> for CallError {
    /// For a request that there is no memory for.
    fn from(full: Full) -> Self {
        Self::Overloaded { what: "bytes of requests and answers".to_owned(), limit: full.limit }
    }
}

impl CallError {
    /// Whether it is a limit of our own, which says nothing about the server.
    pub fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Overloaded { .. }
                | Self::RateLimited(_)
                | Self::NoRoom { .. }
                | Self::OutOfDescriptors { .. }
                | Self::Draining
                | Self::AuditUnavailable { .. }
                | Self::BegunAnew { .. }
        )
    }

    /// For an answer of `upstream` that no client may be given.
    #[must_use]
    pub fn invalid(upstream: &str, fault: &AnswerFault) -> Self {
        Self::InvalidAnswer { upstream: upstream.to_owned(), why: fault.to_string() }
    }

    /// For JSON of `upstream` that cannot be read.
    pub fn unreadable(upstream: &str, fault: JsonFault) -> Self {
        Self::invalid(upstream, &fault.into())
    }

    /// For what needs the store, which is away.
    pub fn store_away(what: &'static str, fault: &StoreFault) -> Self {
        Self::StoreAway { what, why: fault.to_string() }
    }

    /// The same without what a program said before it ended, or a server to why it refuses, and that.
    pub fn split_said(mut self) -> (Self, Option<String>) {
        let said = match &mut self {
            Self::Unreachable { why, .. } | Self::BrokeOff { why, .. } => why.said.take(),
            Self::Unauthorized { said, .. } => said.take(),
            _ => None,
        };
        (self, said)
    }

    /// What it says of its server; nothing where the server did well enough, or was not asked.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Unreachable { fault, .. } => *fault,
            Self::BrokeOff { .. } => Some(Fault::BrokeOff),
            _ => None,
        }
    }
}

fn unrecorded(sent: bool) -> &'static str {
    if sent {
        "this may have been done, and no record of that can be written now; whoever runs Portolan must see to its ledger"
    } else {
        "this is not done, because no record of it can be written now; whoever runs Portolan must see to its ledger"
    }
}

fn place(needed: &ApprovalNeeded) -> String {
    needed.url.clone().unwrap_or_else(|| format!("portolan approvals approve {}", needed.id))
}

fn after_colon(text: Option<&str>) -> String {
    text.map(|text| format!(": {text}")).unwrap_or_default()
}

/// Whole seconds, of which there is at least one.
fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// What people call one of these.
pub fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Prompt => "prompt",
        Kind::Resource => "resource",
        Kind::Server => "method",
        Kind::Task => "task",
        Kind::Template => "resource template",
        Kind::Tool => "tool",
    }
}
