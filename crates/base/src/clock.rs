//! The time of day.

use std::fmt;
use std::time::SystemTime;

/// Tells the time of day. Timers are tokio's, which tests can pause.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> SystemTime;
}

/// The clock on the wall.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it for the data plane")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
