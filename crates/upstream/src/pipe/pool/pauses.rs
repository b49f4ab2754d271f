//! When a conversation may be begun again that has failed to begin: after ever longer pauses, which are everybody's unless it is what one
//! client says of itself that was refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::error::CallError;
use base::sync::lock;
use tokio::time::Instant;

/// A conversation that lasted this long has not failed to begin.
const SETTLED: Duration = Duration::from_secs(30);
/// The first pause before one is begun again; doubled up to [`LONGEST_PAUSE`]. Shorter than those of `health_check`, which would
/// else come too early and be in vain.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How many clients may have one of their own. Sessions are the clients' to open.
const MOST_OWN: usize = 4096;

/// The pauses of one server.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    all: Mutex<Pause>,
    /// Those of single clients, by their sessions.
    own: Mutex<HashMap<Arc<str>, Pause>>,
}

#[derive(Debug, Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
    error: Option<CallError>,
}

/// Why there is a pause, and how long it still is.
pub(super) struct Pausing {
    pub(super) left: Duration,
    pub(super) failures: u32,
    pub(super) error: Option<CallError>,
}

impl Pauses {
    /// The pause before one may be begun for a session, or for several clients, if there is one.
    pub(super) fn of(&self, session: Option<&Arc<str>>) -> Option<Pausing> {
        let own = session.and_then(|session| lock(&self.own).get(session).and_then(Pause::now));
        own.or_else(|| lock(&self.all).now())
    }

    /// One failed to begin; where a session is named, this says nothing of others.
    pub(super) fn failed(&self, session: Option<&Arc<str>>, error: &CallError) {
        match session {
            Some(session) => {
                let mut own = lock(&self.own);
                if own.len() >= MOST_OWN {
                    own.retain(|_, pause| pause.now().is_some());
                }
                if own.len() < MOST_OWN || own.contains_key(session) {
                    own.entry(Arc::clone(session)).or_default().failed(error);
                }
            }
            None => lock(&self.all).failed(error),
        }
    }

    /// A session has ended, or none is needed any more.
    pub(super) fn forget(&self, session: &Arc<str>) {
        lock(&self.own).remove(session);
    }
}

impl Pause {
    fn now(&self) -> Option<Pausing> {
        let left = self.until?.saturating_duration_since(Instant::now());
        let pausing = Pausing { left, failures: self.failures, error: self.error.clone() };
        Some(pausing).filter(|pausing| !pausing.left.is_zero())
    }

    fn failed(&mut self, error: &CallError) {
        let now = Instant::now();
        if self.until.is_some_and(|until| until > now) {
            return;
        }
        if self.until.is_none_or(|until| until + SETTLED < now) {
            self.failures = 0;
        }
        let length = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.until = Some(now + length);
        self.error = Some(error.clone());
    }
}
