//! In which era a client is spoken for: its own first, and the other one where the server refuses that.
//!
//! A server that only speaks the modern era refuses `initialize` in many words, so no word of it decides: whatever opens no
//! session leads to the question that a modern client's first call asks, and only a modern answer to that is a verdict. It
//! is kept for a while, or a modern server would be asked to open a session for each client.

use std::sync::Arc;

use base::error::CallError;
use base::sync::lock;
use mcp::version::Era;
use tokio::time::{Duration, Instant};

use super::opening::Refused;
use super::session::Session;
use super::{Connection, HttpWire};
use crate::eras::{DOUBT_LASTS, VERDICT_LASTS};
use crate::link::{Link, Whose};

impl HttpWire {
    /// Whether clients of an era are known to be spoken for in the modern one.
    pub(super) fn known_modern(&self, client: Era) -> Option<Arc<Link>> {
        if self.shared.eras.of_link(client) == Era::Modern { self.modern.load_full() } else { None }
    }

    pub(super) async fn find_connection(self: &Arc<Self>, whose: &Whose) -> Result<Connection, CallError> {
        let eras = &self.shared.eras;
        if eras.of_link(whose.era) == Era::Modern {
            if let Some(link) = self.find_era().await? {
                return Ok(Connection::Modern(link));
            }
            if eras.refuses(Era::Legacy) {
                // It is another server than the one that has.
                eras.doubt(Era::Legacy);
            }
            return self.find_session(whose).await;
        }
        if whose.era == Era::Modern {
            // It was found to be legacy, which is true for a while only.
            return match self.find_era().await? {
                Some(link) => Ok(Connection::Modern(link)),
                None => self.find_session(whose).await,
            };
        }
        // One client finds out whether sessions are opened here; the others wait.
        let _first = if eras.is_known(Era::Legacy) { None } else { Some(self.first_legacy.lock().await) };
        if let Some(link) = self.known_modern(whose.era) {
            return Ok(Connection::Modern(link));
        }
        self.find_session(whose).await
    }

    /// The modern link to a server that opened no session for a legacy client; none where it is not modern either.
    pub(super) async fn bridged(self: &Arc<Self>, whose: &Whose, refused: &Refused) -> Option<Connection> {
        if whose.era == Era::Modern || !self.shared.plan.era.allows(Era::Modern) {
            return None;
        }
        let name = &self.shared.plan.name;
        let link = match self.find_era().await {
            Ok(link) => link?,
            Err(error) => {
                tracing::debug!(upstream = name, %error, "it opens no session, and is not known to be modern");
                return None;
            }
        };
        if whose.client.is_some() && self.shared.eras.speaks(Era::Legacy) {
            // It may be what this one client says of itself that is refused. Whoever listens for all, and introduces us,
            // finds out what is true for all.
            tracing::debug!(upstream = name, why = %refused.error, "it opens no session for one client");
            return Some(Connection::Modern(link));
        }
        if !refused.lasts && self.shared.eras.speaks(Era::Legacy) && self.has_sessions() {
            // A bad moment takes nobody's session away.
            *lock(&self.withheld) = Some(Instant::now() + DOUBT_LASTS);
            tracing::debug!(upstream = name, why = %refused.error, "it opens no session now; those that are open go on");
            return Some(Connection::Modern(link));
        }
        let lasts: Duration = if refused.lasts { VERDICT_LASTS } else { DOUBT_LASTS };
        self.shared.eras.refused(Era::Legacy, lasts);
        tracing::debug!(
            upstream = name,
            why = %refused.error,
            "it opens no session; legacy clients are bridged to the modern era"
        );
        Some(Connection::Modern(link))
    }

    /// The modern link for a client for whom no session is opened at the moment.
    pub(super) fn bridged_meanwhile(&self, whose: &Whose) -> Option<Connection> {
        let is_withheld = lock(&self.withheld).is_some_and(|until| until > Instant::now());
        let link = self.modern.load_full().filter(|_| whose.era == Era::Legacy && is_withheld)?;
        Some(Connection::Modern(link)).filter(|_| self.has_sessions())
    }

    /// Whether any session is open, as far as is known.
    fn has_sessions(&self) -> bool {
        let is_open = |session: &Arc<Session>| !session.is_lost();
        lock(&self.sessions)
            .values()
            .any(|slot| slot.try_lock().is_ok_and(|slot| slot.as_ref().is_some_and(is_open)))
    }
}
