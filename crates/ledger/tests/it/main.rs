//! The ledger as its files: what is written, what is found out about what was done to it, and how it goes on after any end.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test that cannot go on must fail, and what is cut here is ASCII"
)]

mod clocks;
mod endings;
mod full;
mod generated;
mod hanging;
mod independent;
mod mediums;
mod payloads;
mod power;
mod stand;
mod tamper;
mod told;
