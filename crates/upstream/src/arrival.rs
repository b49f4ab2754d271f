//! What comes of a call, one thing after the other.

use http::StatusCode;
use mcp::jsonrpc::Message;
use mcp::notify::Seen;

use crate::ask::Ask;
use crate::backlog::Said;

/// A response, and the HTTP status it came with if it came by HTTP.
#[derive(Debug)]
pub struct Response {
    pub message: Message,
    pub status: Option<StatusCode>,
}

/// The next thing of an answer.
#[derive(Debug)]
pub enum Arrival {
    /// A notification that belongs to the call.
    Notice(Message, Seen),
    /// A request of a legacy server that the client must answer.
    Ask(Ask),
    /// The response; nothing comes after it.
    Response(Response),
}

impl From<Said> for Arrival {
    fn from(said: Said) -> Self {
        match said {
            Said::Notice(message, seen) => Self::Notice(message, seen),
            Said::Ask(ask) => Self::Ask(ask),
            Said::Response(message) => Self::Response(Response { message, status: None }),
        }
    }
}
