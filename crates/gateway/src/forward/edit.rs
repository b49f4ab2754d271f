//! What is done to one call's answer on its way back. An edit's fields are all that it knows of the call.

use std::fmt::Debug;

use base::error::CallError;
use mcp::json::{Object, Patch};
use mcp::jsonrpc::Message;
use mcp::legacy::tasks::Task;
use mcp::mrtr::InputRequired;

/// What becomes of a notification.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It says nothing that the edit knows.
    Unknown,
    /// The client gets this instead.
    Instead(Message),
}

/// A call was not sent: what has counted it by its target takes that back, where others are counted with it who may make it, or where
/// another limit is to blame.
pub(crate) fn not_sent(error: &CallError, edits: &mut [Box<dyn Edit>]) {
    if matches!(error, CallError::RateLimited(_) | CallError::Refused(_)) {
        edits.iter_mut().for_each(|edit| edit.give_back());
    }
}

/// A change of an answer. A filter gives it to its call, and it ends with the answer.
pub(crate) trait Edit: Send + Debug {
    /// A notification of the call.
    fn notice(&mut self, _message: &Message) -> Heard {
        Heard::Unknown
    }

    /// A request of the server in mid-call.
    fn ask(&mut self, _message: &mut Message) {}

    /// A result that asks for input: `result` stands at `offset` of its message.
    fn input(
        &mut self,
        _input: &InputRequired,
        (_result, _offset): (&Object<'_>, usize),
        _patch: &mut Patch,
    ) -> Result<(), CallError> {
        Ok(())
    }

    /// The response. What is not changed stays byte for byte.
    fn response(&mut self, response: Message) -> Result<Message, CallError> {
        Ok(response)
    }

    /// A response of so many bytes has come.
    fn arrived(&mut self, _bytes: usize) {}

    /// Whether it must know if the call has become a task.
    fn outlasts(&self) -> bool {
        false
    }

    /// The call has become a task, and has its answer.
    fn began(&mut self, _task: &Task<'_>) {}

    /// The call is not sent, and costs nothing.
    fn give_back(&mut self) {}

    /// The call is left open until its client comes back.
    fn suspend(&mut self) {}

    /// Its client has come back.
    fn go_on(&mut self) {}

    /// Whether it leaves responses alone, so that a long result may pass uncopied, and a legacy one unconverted.
    fn leaves_responses(&self) -> bool {
        true
    }

    /// Whether the server may be quiet for as long as a call may last.
    fn may_be_quiet(&self) -> bool {
        false
    }
}
