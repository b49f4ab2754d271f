//! Whose cookies are whose: what an origin sets in a session comes back in that session, and in no other.
//!
//! A request without a session belongs to nobody in particular: all of them to one server share a jar. Only `initialize` begins with
//! an empty one, because what it opens is one client's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base::sync::lock;
use http::HeaderValue;
use transport::http::client::Jar;

use super::MOST_SESSIONS;

/// The cookies of one server.
#[derive(Debug, Default)]
pub(super) struct Jars {
    /// Those of requests without a session.
    pub(super) shared: Jar,
    sessions: Mutex<Kept>,
    /// So that a server without cookies costs nothing.
    has_any: AtomicBool,
}

/// The jars of sessions, each with when it was last used.
#[derive(Debug, Default)]
struct Kept {
    jars: HashMap<HeaderValue, (Arc<Jar>, u64)>,
    uses: u64,
}

impl Jars {
    /// A session's, if anything was set in it.
    pub(super) fn of(&self, session: &HeaderValue) -> Option<Arc<Jar>> {
        if !self.has_any.load(Ordering::Relaxed) {
            return None;
        }
        let mut kept = lock(&self.sessions);
        let Kept { jars, uses } = &mut *kept;
        let (jar, last_use) = jars.get_mut(session)?;
        *uses += 1;
        *last_use = *uses;
        Some(Arc::clone(jar))
    }

    /// Keeps the first cookies of a session.
    pub(super) fn keep(&self, jar: Jar, session: HeaderValue) {
        if jar.is_empty() {
            return;
        }
        self.has_any.store(true, Ordering::Relaxed);
        let mut kept = lock(&self.sessions);
        let Kept { jars, uses } = &mut *kept;
        if let Some((first, _)) = jars.get(&session) {
            // Of requests that were under way at once, each may have been the first that was answered with some.
            return first.absorb(jar);
        }
        if jars.len() >= MOST_SESSIONS {
            // What is said in a session that has just ended may set some, too, and nobody ends it again.
            let oldest = jars.iter().min_by_key(|(_, (_, last_use))| *last_use).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| jars.remove(&oldest));
        }
        *uses += 1;
        jars.insert(session, (Arc::new(jar), *uses));
    }

    /// Forgets those of a session that is over.
    pub(super) fn forget(&self, session: Option<&HeaderValue>) {
        if let Some(session) = session.filter(|_| self.has_any.load(Ordering::Relaxed)) {
            lock(&self.sessions).jars.remove(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::SET_COOKIE;
    use transport::http::client::Destination;

    use super::*;

    #[test]
    fn those_of_sessions_that_nobody_ended_make_room() {
        let jars = Jars::default();
        let there = Destination::new("http://a.example/".parse().unwrap()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(SET_COOKIE, HeaderValue::from_static("a=1"));
        for session in 0..=MOST_SESSIONS {
            let jar = Jar::default();
            jar.keep(&there, &headers);
            jars.keep(jar, HeaderValue::from(session));
            assert!(jars.of(&HeaderValue::from(0)).is_some());
        }
        let known = |session: usize| jars.of(&HeaderValue::from(session)).is_some();
        assert!(known(0) && known(MOST_SESSIONS) && known(2) && !known(1));
    }
}
