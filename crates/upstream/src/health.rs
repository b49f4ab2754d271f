//! What keeps a sick server from being asked too often.

pub(crate) mod breaker;
pub(crate) mod guard;
pub(crate) mod jitter;
pub(crate) mod retry_budget;
