//! Real ledgers, and receivers that listen at real sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod delivering;
mod receivers;
mod server;
mod spooling;
mod stand;
