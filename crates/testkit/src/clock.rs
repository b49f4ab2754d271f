//! The time of day that a test sets.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// A clock on the wall that stands still until a test moves it. Cheap to clone; all clones show the same time.
#[derive(Debug, Clone)]
pub struct WallClock(Arc<Mutex<SystemTime>>);

impl WallClock {
    /// What it shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Default for WallClock {
    /// 2026-07-28, midnight.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_196_800))))
    }
}
