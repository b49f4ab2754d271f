//! What a fault says of the server: whether it is sick, and whether what was sent may be sent again.

use std::fmt;

use http::StatusCode;

use crate::reply::CallError;

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
    /// What an error says of its server; nothing where the server did well enough, or was not asked.
    pub(crate) fn of(error: &CallError) -> Option<Self> {
        match error {
            CallError::Unreachable { fault, .. } => *fault,
            CallError::BrokeOff { .. } => Some(Self::BrokeOff),
            _ => None,
        }
    }

    /// What a status without an MCP message says of its server.
    pub(crate) fn of_status(status: StatusCode) -> Option<Self> {
        status.is_server_error().then_some(Self::Status(status.as_u16()))
    }

    /// Whether certainly nothing was sent, so that anything may be sent again.
    pub(crate) fn sent_nothing(self) -> bool {
        self == Self::NoConnection
    }

    /// Whether the next try may go better, for what may be sent twice: the server may be restarting, or what stands before
    /// it has lost it for a moment.
    pub(crate) fn may_pass(self) -> bool {
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

/// Why a call was not answered, and what that says of the server.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: CallError,
    pub(super) fault: Option<Fault>,
}

impl Failed {
    pub(super) fn of(error: &CallError) -> Self {
        Self::from(error.clone())
    }
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self { fault: Fault::of(&error), error }
    }
}
