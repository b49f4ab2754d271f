//! What policies say, seen from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod arguments;
mod asks;
mod claims;
mod decisions;
mod faults;
mod lists;
mod same;
mod stand;
mod unmet;
