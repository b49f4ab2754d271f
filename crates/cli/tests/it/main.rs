//! What someone sees who runs the program: exit status, stdout and stderr of the real binary, and what is left of it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but does not take these modules for tests"
)]

#[cfg(feature = "policy")]
mod approving;
mod asks;
mod calls;
mod checks;
#[cfg(feature = "otel")]
mod collector;
mod conversations;
mod crowded;
#[cfg(feature = "policy")]
mod deciding;
mod demo;
mod described;
mod feeding;
mod files;
mod fleet;
mod guard;
mod issued;
mod kept;
mod killed;
mod lists;
mod mistakes;
mod odd_http;
#[cfg(feature = "otel")]
mod pictured;
#[cfg(feature = "policy")]
mod pins;
mod policies;
mod processes;
mod program;
mod recorded;
mod reloading;
mod replacing;
mod revoking;
mod scripted;
mod serving;
mod sharing;
mod shown;
#[cfg(feature = "policy")]
mod simulating;
mod socket;
mod terminal;
#[cfg(feature = "otel")]
mod traced;
#[cfg(not(feature = "otel"))]
mod untraced;
mod watched;
mod wire;
