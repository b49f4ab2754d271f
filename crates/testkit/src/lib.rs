//! What tests stand on, so that a test can say what goes over the wire and see what comes back, byte by byte.
//!
//! No HTTP library stands between a test and the protocol: the scripted server and the clients write and read bytes.
//! In memory and with tokio's clock paused, whatever hangs runs into its bound at once, and nothing waits for real.
//! Reading order: [`net`] and [`spawn`] (the world below the seam), [`server`] (an MCP server that does what it is
//! told), [`http`] and [`lines`] (clients), [`json`] (comparing raw messages), [`transcript`] (conversations as files), [`postgres`]
//! (a real database), [`authority`] (certificates).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![expect(clippy::missing_panics_doc, reason = "as above: that is what a failed expectation is")]

pub mod authority;
pub mod clock;
pub mod http;
pub mod json;
pub mod lines;
pub mod net;
pub mod postgres;
pub mod server;
pub mod spawn;
pub mod transcript;

use std::future::Future;
use std::time::Duration;

/// How long anything that a test waits for may take. Under a paused clock this is no time at all.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must happen; `what` says what did not.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_elapsed) => panic!("this did not happen within {PATIENCE:?}: {what}"),
    }
}

/// Under a paused clock: comes back when every other task waits for something that only time or the test can bring.
pub async fn idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
