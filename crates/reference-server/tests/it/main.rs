//! What someone outside can see of the reference server: raw bytes over loopback, and lines over pipes.
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not take these modules for tests"
)]
#![expect(clippy::needless_pass_by_value, reason = "values are made where they are sent")]

mod doors;
mod legacy;
mod modern;
mod pipe;
mod probes;
mod stdio;
mod wire;
