//! Keeps the house in order: every invariant of the workspace that a compiler does not check is a test in
//! `tests/tidy.rs`. There is nothing to run but `cargo nextest run -p xtask`.

fn main() {}
