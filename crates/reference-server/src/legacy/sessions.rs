//! The legacy sessions over HTTP, by their ids.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::calls::locked;
use crate::legacy::events::{EventId, EventLog};
use crate::legacy::session::Session;

/// How many sessions there are at most; for one more, the one that was used longest ago goes.
const MOST: usize = 1000;

/// How many streams of POSTs a session keeps after their end.
const STREAMS: usize = 32;

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<String, Arc<HttpSession>>>,
    uses: AtomicU64,
}

/// A session and its streams.
#[derive(Debug)]
pub(crate) struct HttpSession {
    /// The session.
    pub(crate) session: Arc<Session>,
    /// The stream for what belongs to no request, which GET opens.
    pub(crate) unasked: Arc<EventLog>,
    posts: Mutex<VecDeque<Arc<EventLog>>>,
    last_stream: AtomicU64,
    last_use: AtomicU64,
}

impl Sessions {
    /// Adds a session, and gives it with its new id.
    pub(crate) fn add(&self, session: Session) -> io::Result<(String, Arc<HttpSession>)> {
        let mut random = [0; 24];
        rand::fill(&mut random).map_err(io::Error::other)?;
        let id = URL_SAFE_NO_PAD.encode(random);
        let session = Arc::new(HttpSession {
            session: Arc::new(session),
            unasked: EventLog::new(0),
            posts: Mutex::default(),
            last_stream: AtomicU64::new(0),
            last_use: AtomicU64::new(self.uses.fetch_add(1, Ordering::Relaxed)),
        });
        let mut open = locked(&self.open);
        if open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, s)| s.last_use.load(Ordering::Relaxed));
            let oldest = oldest.map(|(id, _)| id.clone());
            if let Some(oldest) = oldest.and_then(|id| open.remove(&id)) {
                oldest.session.over.cancel();
            }
        }
        open.insert(id.clone(), Arc::clone(&session));
        Ok((id, session))
    }

    /// The session of that id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<HttpSession>> {
        let found = locked(&self.open).get(id).cloned()?;
        found.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(found)
    }

    /// Ends the session of that id.
    pub(crate) fn end(&self, id: &str) {
        if let Some(ended) = locked(&self.open).remove(id) {
            ended.session.over.cancel();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        locked(&self.open).len()
    }
}

impl HttpSession {
    /// A stream for the responses to a POST.
    pub(crate) fn open_stream(&self) -> Arc<EventLog> {
        let log = EventLog::new(self.last_stream.fetch_add(1, Ordering::Relaxed) + 1);
        let mut posts = locked(&self.posts);
        let ended = posts.iter().filter(|log| log.has_ended()).count();
        if ended >= STREAMS
            && let Some(oldest) = posts.iter().position(|log| log.has_ended())
        {
            posts.remove(oldest);
        }
        posts.push_back(Arc::clone(&log));
        log
    }

    /// The stream of an event.
    pub(crate) fn stream_of(&self, event: EventId) -> Option<Arc<EventLog>> {
        if event.stream == self.unasked.number() {
            return Some(Arc::clone(&self.unasked));
        }
        locked(&self.posts).iter().find(|log| log.number() == event.stream).cloned()
    }
}
