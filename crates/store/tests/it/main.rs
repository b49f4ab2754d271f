//! The store from outside. The contract is one suite that both databases must pass; beside it, what is one database's own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod approvals;
mod away;
mod checkpoints;
mod contract;
mod notices;
mod power;
mod schema;
mod stand;
