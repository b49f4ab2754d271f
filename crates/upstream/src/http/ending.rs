//! How sessions end: their clients have gone, or nobody has waited for them. A server that does not care holds up nobody.

use std::collections::HashMap;
use std::sync::Arc;

use base::sync::lock;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method};
use mcp::jsonrpc::Message;
use mcp::legacy::initialize::Opened;
use tokio::time::{Duration, timeout};

use super::{HttpWire, Session, SessionSlot, legacy_headers, remembered};
use crate::link::Whose;

/// How long a server may take to end one.
const ENDING: Duration = Duration::from_secs(10);
/// How many are ended at once.
const AT_ONCE: usize = 32;

impl HttpWire {
    /// Ends the sessions of `whose`, whatever is declared in them, which nobody will use again.
    pub(crate) async fn forget(&self, whose: &Whose) {
        self.sse.forget(whose).await;
        let slots: Vec<_> = lock(&self.sessions)
            .extract_if(|other, _| other.is_kin_of(whose))
            .map(|(_, slot)| slot)
            .collect();
        let mut remembered = remembered::recall_all(self, whose).await;
        for slot in slots {
            if let Some(session) = slot.lock().await.take() {
                remembered.retain(|(id, _)| !session.is_called(id));
                end(self, &session).await;
            }
        }
        for (id, answer) in remembered {
            end_recalled(self, &id, &answer).await;
        }
    }

    /// Ends all sessions but those with which other replicas go on.
    pub(crate) async fn stop(&self) {
        self.sse.stop().await;
        let slots: Vec<_> = lock(&self.sessions).drain().map(|(_, slot)| slot).collect();
        let ended = stream::iter(slots).for_each_concurrent(AT_ONCE, |slot| async move {
            match slot.lock().await.take() {
                Some(session) if session.lasts() => session.lose(),
                Some(session) => end(self, &session).await,
                None => {}
            }
        });
        ended.await;
    }
}

/// Lets go of the places of sessions that could not be opened.
pub(super) fn sweep(sessions: &mut HashMap<Whose, SessionSlot>) {
    // Who holds one but this map is opening a session.
    let is_used =
        |slot: &SessionSlot| Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|slot| slot.is_some());
    sessions.retain(|_, slot| is_used(slot));
}

/// A session that is just being opened. Whoever gives up waiting for that drops it, and ends it so: nobody else knows of it.
pub(super) struct NewSession {
    wire: Arc<HttpWire>,
    session: Arc<Session>,
    kept: bool,
}

impl NewSession {
    pub(super) fn new(wire: &Arc<HttpWire>, session: Session) -> Self {
        Self { wire: Arc::clone(wire), session: Arc::new(session), kept: false }
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) fn keep(mut self) -> Arc<Session> {
        self.kept = true;
        Arc::clone(&self.session)
    }
}

impl Drop for NewSession {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (wire, session) = (Arc::clone(&self.wire), Arc::clone(&self.session));
        self.wire.shared.world.tasks.spawn(async move { end(&wire, &session).await });
    }
}

/// Tells the server that a session is over; it may not care.
async fn end(wire: &HttpWire, session: &Session) {
    session.lose();
    if session.id.is_some() {
        tell(wire, session.headers()).await;
    }
}

/// The same for a session that another replica has opened.
async fn end_recalled(wire: &HttpWire, id: &HeaderValue, answer: &Message) {
    let Ok(opened) = Opened::read(answer) else { return };
    tell(wire, legacy_headers(opened.revision, Some(id))).await;
}

async fn tell(wire: &HttpWire, headers: HeaderMap) {
    let upstream = &wire.shared.plan.name;
    match timeout(ENDING, wire.plain(Method::DELETE, headers)).await {
        Ok(Ok(_reply)) => {}
        Ok(Err(error)) => tracing::debug!(upstream, %error, "could not end a session"),
        Err(_elapsed) => tracing::debug!(upstream, "could not end a session within {ENDING:?}"),
    }
}
