//! Why something that was sent has no answer.

use base::error::CallError;
use base::fault::Fault;

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
        Self { fault: error.fault(), error }
    }
}
