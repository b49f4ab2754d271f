//! Whose cookies are whose: what an origin sets in a session comes back in that session, and in no other.
//!
//! A request without a session belongs to nobody in particular: all of them to one server share a jar. Only `initialize` begins with
//! an empty one, because what it opens is one client's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use transport::http::client::Jar;

use super::MOST_SESSIONS;
use crate::upstream::pipe::lock;

/// The cookies of one server.
#[derive(Debug, Default)]
pub(super) struct Jars {
    /// Those of requests without a session.
    pub(super) shared: Jar,
    sessions: Mutex<HashMap<HeaderValue, Arc<Jar>>>,
    /// So that a server without cookies costs nothing.
    has_any: AtomicBool,
}

impl Jars {
    /// A session's, if anything was set in it.
    pub(super) fn of(&self, session: &HeaderValue) -> Option<Arc<Jar>> {
        if !self.has_any.load(Ordering::Relaxed) {
            return None;
        }
        lock(&self.sessions).get(session).cloned()
    }

    /// Keeps the first cookies of a session.
    pub(super) fn keep(&self, jar: Jar, session: HeaderValue) {
        if jar.is_empty() {
            return;
        }
        self.has_any.store(true, Ordering::Relaxed);
        let mut sessions = lock(&self.sessions);
        if sessions.len() < MOST_SESSIONS || sessions.contains_key(&session) {
            sessions.insert(session, Arc::new(jar));
        }
    }

    /// Forgets those of a session that is over.
    pub(super) fn forget(&self, session: Option<&HeaderValue>) {
        if let Some(session) = session.filter(|_| self.has_any.load(Ordering::Relaxed)) {
            lock(&self.sessions).remove(session);
        }
    }
}
