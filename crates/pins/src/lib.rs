//! Pins: what servers' tools and prompts were approved as, and whether they still are.
//!
//! Reading order: [`book`] (what is pinned of one server), [`lock`] (of all, as a file in version control), [`canonical`] (one
//! text for one definition), [`checks`] and [`alike`] (what is odd about a definition, whoever approves it), [`difference`] (what has changed,
//! for people), `waiting` (what was seen and is not pinned), [`server`] (what becomes of a server's entries), [`pins`] (all
//! servers, from one plan to the next, and with other replicas).
//!
//! Resources are not pinned: a server has any number of them, they come and go with what they stand for, and a model reads what is
//! in them and not what is said of them. Templates are not for the same reason.
#![warn(missing_docs)]

pub mod alike;
pub mod book;
pub mod canonical;
pub mod checks;
pub mod difference;
mod hidden;
pub mod lock;
pub mod pins;
mod place;
pub mod server;
pub mod waiting;
mod words;

pub use book::{Book, PinnedDefinition, can_be_pinned};
pub use hidden::{escaped, visible};
pub use lock::{LockFault, LockFile};
pub use pins::AllPins;
pub use waiting::{Seen, Why, compare};
