//! The legacy era's clients: their sessions, and what of their messages is not a call.
//!
//! What is a call becomes a modern one and goes the way of all ([`crate::call`]).

mod asked;
pub(crate) mod endpoint;
pub(crate) mod listening;
mod remembered;
pub(crate) mod session;
