//! How a call goes on when it was carried to where it is answered.

use base::error::CallError;
use catalog::changes::subscription::Subscription;
use catalog::listing::Listed;
use mcp::jsonrpc::Message;
use transport::http::body::Pieces;

use crate::forward::record::{self, CallRecord};
use crate::forward::relay::Relay;
use crate::forward::round::Rounds;

/// How a call goes on.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// We have the answer.
    Own(Message),
    /// We have its text, with nothing left to be done about it.
    Built(Pieces),
    /// A server is answering.
    Relay(Box<Relay>),
    /// We answer as soon as we can, and may ask the client first; the record is closed then.
    Rounds(Box<dyn Rounds>, Option<Box<CallRecord>>),
    /// A subscription stream.
    Listen(Box<Subscription>),
}

impl Outcome {
    /// How many bytes an answer of ours has.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Own(message) => message.bytes().len(),
            Self::Built(text) => text.len().try_into().unwrap_or(usize::MAX),
            Self::Relay(_) | Self::Rounds(..) | Self::Listen(_) => 0,
        }
    }

    /// Closes the record of a call that has its answer, and gives it to what answers later.
    ///
    /// # Errors
    /// When it cannot be written down: then nobody may hear of the answer.
    pub(crate) async fn keep(&mut self, mut record: CallRecord) -> Result<(), CallError> {
        match self {
            Self::Own(message) => {
                record.answered(message);
                return record.close(record::outcome_of(message)).await;
            }
            Self::Built(text) => {
                record.answered_with(text.len());
                return record.close("ok").await;
            }
            Self::Listen(_) => return record.close("ok").await,
            Self::Relay(relay) => relay.keep(record),
            // Who waits for a task has a place among those.
            Self::Rounds(_, kept) => {
                record.release();
                *kept = Some(Box::new(record));
            }
        }
        Ok(())
    }
}

impl From<Listed> for Outcome {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::Theirs(message) => Self::Own(message),
            Listed::Built(text) => Self::Built(text),
        }
    }
}
