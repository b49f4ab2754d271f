//! What policies say, seen from outside.

#![expect(clippy::unwrap_used, reason = "tests")]

mod arguments;
mod decisions;
mod faults;
mod lists;
mod same;
mod stand;
