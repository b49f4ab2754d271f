//! Faults of servers: what each says of its server, whether what was sent may be sent again, and what a breaker makes of them.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// A fault of a server, without what only its operator may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection could be made, so nothing was sent.
    NoConnection,
    /// It took too long to be reached, or to say what it is.
    Late,
    /// The connection ended before the answer.
    BrokeOff,
    /// It answered a status of 500 or more, and no MCP message.
    Status(u16),
    /// It lost session after session as soon as they were opened, so that for a while no other is opened.
    Forgetful,
}

impl Fault {
    /// What a status without an MCP message says of its server.
    pub fn of_status(status: StatusCode) -> Option<Self> {
        status.is_server_error().then_some(Self::Status(status.as_u16()))
    }

    /// Whether certainly nothing was sent, so that anything may be sent again.
    pub fn sent_nothing(self) -> bool {
        self == Self::NoConnection
    }

    /// Whether the next try may go better, for what may be sent twice: the server may be restarting, or what stands before
    /// it has lost it for a moment.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::NoConnection | Self::BrokeOff | Self::Status(502..=504))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection => f.write_str("no connection to it can be made"),
            Self::Late => f.write_str("it took too long to be reached"),
            Self::BrokeOff => f.write_str("it broke off before it answered"),
            Self::Status(status) => write!(f, "it answered HTTP {status}"),
            Self::Forgetful => f.write_str("it lost session after session"),
        }
    }
}

/// What it is that a server is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absence {
    /// It was not reached, or could not be started.
    #[default]
    Unreached,
    /// Its program has ended.
    Ended,
    /// It was reached, and says that it does not serve now.
    NotServing,
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreached | Self::Ended => "cannot be reached",
            Self::NotServing => "does not serve now",
        })
    }
}

/// Why a server is not there, for its operator.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Why {
    /// What that is.
    pub how: Absence,
    /// What happened, as anybody may read it who sees how servers are.
    pub what: String,
    /// What its program wrote before it ended, of which nobody knows what it is: for the log, and for who has started the
    /// program.
    pub said: Option<String>,
}

impl From<String> for Why {
    fn from(what: String) -> Self {
        Self { how: Absence::Unreached, what, said: None }
    }
}

impl From<&str> for Why {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

impl From<String> for Box<Why> {
    fn from(what: String) -> Self {
        Self::new(what.into())
    }
}

impl fmt::Display for Why {
    /// All of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.said.iter().try_for_each(|said| write!(f, "; it said: {said}"))
    }
}

/// Why a call may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// For how long the breaker has been open.
    pub since: Duration,
    /// When the server is tried again.
    pub again: Duration,
    /// The fault that opened it, or that its last trial ended with.
    pub fault: Fault,
}

/// What a breaker does, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything passes.
    Closed,
    /// A trial is under way, and nothing else passes.
    HalfOpen,
    /// Nothing passes.
    Open,
}

impl BreakerState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// How a call was over a limit of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The limit's name.
    pub name: String,
    /// What of it: `rate`, `concurrent`, `result_bytes` or `loop`.
    pub by: &'static str,
    /// What it allows, for people.
    pub allows: String,
    /// When to come again.
    pub retry_after: Duration,
    /// The most, where it is a number of calls.
    pub limit: Option<u64>,
    /// How many of these are left.
    pub remaining: Option<u64>,
}
