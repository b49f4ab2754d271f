//! A call that goes to a legacy server: what is said of it beside its answer, and that it is cancelled if nobody waits for it
//! any more.

use std::fmt;
use std::sync::Arc;

use mcp::answer;
use tokio::time::timeout;

use super::HttpWire;
use super::refusal::Refusal;
use super::session::{Session, TELLING};
use super::session_router::RoutedMessages;
use crate::ask::Asked;

/// What a call to a legacy server has beside its connection: whoever drops it cancels the call.
#[derive(Debug)]
pub(crate) struct LegacyCall {
    pub(crate) session: Arc<Session>,
    pub(super) guard: CancelGuard,
    pub(super) routed: RoutedMessages,
}

impl LegacyCall {
    /// Before it is sent, because what the server says of it may come before the answer's head.
    pub(crate) fn begin(
        wire: &Arc<HttpWire>,
        session: &Arc<Session>,
        id: u64,
        (logs, asked): (bool, Asked),
    ) -> Self {
        let guard = CancelGuard::new(Arc::clone(wire), Arc::clone(session), id);
        Self {
            session: Arc::clone(session),
            guard,
            routed: RoutedMessages::expect(&session.router, id, logs, asked),
        }
    }

    /// There is nothing to cancel any more.
    pub(crate) fn over(self) {
        self.guard.disarm();
    }
}

/// Tells a legacy server that a call is cancelled, unless it was answered: a legacy server does not take the end of a
/// connection for it.
pub(super) struct CancelGuard {
    wire: Arc<HttpWire>,
    session: Arc<Session>,
    id: u64,
    armed: bool,
}

impl CancelGuard {
    fn new(wire: Arc<HttpWire>, session: Arc<Session>, id: u64) -> Self {
        Self { wire, session, id, armed: true }
    }

    /// The call was answered.
    pub(super) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let params = format!(r#"{{"requestId":{},"reason":"the client no longer waits"}}"#, self.id);
        let body = answer::notification_message("notifications/cancelled", Some(&params));
        let (wire, session) = (Arc::clone(&self.wire), Arc::clone(&self.session));
        self.wire.shared.world.tasks.spawn(async move {
            // One that hangs would have a connection for each call that it has left without an answer.
            match timeout(TELLING, wire.post(session.headers(), body)).await {
                Ok(Ok(reply)) if reply.status().is_success() => {}
                Ok(Ok(reply)) => {
                    let status = reply.status();
                    drop(reply);
                    wire.doubt(&session, Refusal::bare(status, None)).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "could not cancel a call"),
                Err(_elapsed) => tracing::debug!("could not cancel a call within {TELLING:?}"),
            }
        });
    }
}

impl fmt::Debug for CancelGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelGuard").field("id", &self.id).finish_non_exhaustive()
    }
}
