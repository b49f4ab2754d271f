//! What keeps a sick server from being asked too often.

pub(crate) mod admission;
mod breaker;
pub(crate) mod breaker_cell;
mod jitter;
mod retry_budget;
