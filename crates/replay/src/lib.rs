//! What legacy clients' streams have said, so that a client that comes back gets each event once, in order, or hears that
//! something is lost. It knows no route, no server, no listener and no principal: a session is a name here.
//!
//! Source: MCP 2025-11-25 `basic/transports` §Resumability and Redelivery.
//!
//! Reading order: `recording` (what is kept of one stream, a model without I/O), `stream` (one that is written and read),
//! `stored` (one that outlives its replica), `recordings` (those of a session), `recorder` (who writes them down), `budget`
//! (what all of them take).
#![warn(missing_docs)]

mod budget;
mod recorder;
mod recording;
mod recordings;
mod stored;
mod stream;

pub use crate::budget::ReplayBudget;
pub use crate::recorder::Recorder;
pub use crate::recordings::{Recordings, ResumePoint, resume};
pub use crate::stored::StoredStreams;
pub use crate::stream::{Stream, StreamReader};
