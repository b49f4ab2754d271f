//! From a call whose target is known to its answer on the way back.
//!
//! Reading order: [`send`] (permit, order, upstream), [`relay`] (the answer, with the client's id, token and names), then what
//! may change either: `filter` and `edit`; [`suspend`] and [`round`] are the two ways to ask a client in mid-call, and
//! [`record`] is what is written of each call.

pub(crate) mod approval;
pub(crate) mod desk;
pub(crate) mod edit;
pub(crate) mod filter;
pub(crate) mod limits;
pub(crate) mod outlasting;
pub(crate) mod questions;
pub(crate) mod record;
pub(crate) mod relay;
pub(crate) mod resume;
pub(crate) mod round;
pub(crate) mod scopes;
pub(crate) mod send;
pub(crate) mod state;
pub(crate) mod suspend;
