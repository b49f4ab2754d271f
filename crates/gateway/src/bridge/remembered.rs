//! What of a session outlives the replica that is its home: that it has ended, its log level, what it watches. The store has
//! it before the client hears that it is so.

use std::sync::Arc;

use base::error::CallError;
use base::sync::lock;
use mcp::json;
use mcp::meta::{self, LogLevel};
use store::sessions::If;
use store::{Store, StoreFault};
use tokio::time::{Duration, sleep};

use crate::bridge::asked::Concerns;
use crate::bridge::endpoint::Endpoint;
use crate::bridge::session::SessionClaims;

/// The names of facts.
const LEVEL: &str = "level";
const WATCHED: &str = "watched";

/// How often a server is asked again to tell of a resource, and how long after the first time.
const TRIES: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

fn store_away(fault: &StoreFault) -> CallError {
    CallError::store_away("this change of a session", fault)
}

impl Endpoint {
    /// Where facts of a session are kept: nowhere if it ends with its connection or with this process.
    fn store_of(&self, claims: &SessionClaims) -> Option<&Store> {
        self.route.world.store.as_deref().filter(|_| !claims.homed().opener.is_empty())
    }

    pub(super) async fn mark_ended(&self, claims: &SessionClaims) -> Result<(), CallError> {
        let Some(store) = self.store_of(claims) else { return Ok(()) };
        let ended = store.end_session(&claims.name, claims.left(self.now())).await;
        ended.map_err(|fault| store_away(&fault))
    }

    pub(super) async fn remember_level(
        &self,
        claims: &SessionClaims,
        level: LogLevel,
    ) -> Result<(), CallError> {
        self.remember(claims, LEVEL, &json::quote(&level.to_string())).await
    }

    /// Remembers what a session watches now.
    pub(super) async fn remember_interests(&self, claims: &SessionClaims) -> Result<(), CallError> {
        let Some(held) = self.sessions.held(claims) else { return Ok(()) };
        let uris: Vec<_> = lock(&held.interests).keys().map(|uri| json::quote(uri)).collect();
        self.remember(claims, WATCHED, &format!("[{}]", uris.join(","))).await
    }

    async fn remember(&self, claims: &SessionClaims, name: &str, value: &str) -> Result<(), CallError> {
        let Some(store) = self.store_of(claims) else { return Ok(()) };
        let keep = claims.left(self.now());
        let put = store.put_fact((&claims.name, name), value.as_bytes(), keep, If::Any).await;
        match put {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(CallError::NoSession),
            Err(fault) => Err(store_away(&fault)),
        }
    }

    /// Takes over a session whose home is gone, with what is remembered of it.
    pub(crate) async fn adopt(self: &Arc<Self>, claims: &SessionClaims) -> Result<(), CallError> {
        let Some(store) = self.store_of(claims) else { return Ok(()) };
        let ended = store.session_ended(&claims.name).await.map_err(|fault| store_away(&fault))?;
        if ended {
            return Err(CallError::NoSession);
        }
        let facts = store.facts(&claims.name).await.map_err(|fault| store_away(&fault))?;
        let held = self.sessions.hold(claims, self.now());
        held.recordings.begun_elsewhere();
        for (name, fact) in facts {
            let Ok(value) = String::from_utf8(fact.value) else { continue };
            match name.as_str() {
                LEVEL => meta::log_level(&value).into_iter().for_each(|level| held.set_level(level)),
                WATCHED => self.watch_again(claims, &value),
                _ => tracing::debug!(name, "a session has a fact of a later version"),
            }
        }
        tracing::info!(session = claims.name.get(..8), "took over a session whose replica is gone");
        Ok(())
    }

    /// Servers may take long to say that they tell of a resource; the session need not wait for that. What has changed until
    /// then is not known, so its client is told once more that everything may have.
    fn watch_again(self: &Arc<Self>, claims: &SessionClaims, uris: &str) {
        let uris = json::array(uris).unwrap_or_default();
        let uris: Vec<_> =
            uris.into_iter().filter_map(|uri| json::string(uri).ok()).map(String::from).collect();
        let (this, claims) = (Arc::clone(self), claims.clone());
        self.route.world.tasks.spawn(async move {
            for uri in uris {
                this.watch_one_again(&uri, &claims).await;
            }
            let held = this.sessions.held(&claims);
            if let Some((stream, _)) = held.and_then(|held| held.recordings.notices()) {
                stream.tell_everything();
            }
        });
    }

    /// The server may be away for a moment, too.
    async fn watch_one_again(&self, uri: &str, claims: &SessionClaims) {
        let mut pause = FIRST_PAUSE;
        for _ in 0..TRIES {
            let Err(error) = self.subscribe(uri, claims, &Concerns::new()).await else { return };
            tracing::info!(%error, "a session that was taken over does not hear of {uri:?} yet");
            sleep(pause).await;
            pause *= 2;
        }
        tracing::warn!("a session that was taken over does not hear of {uri:?} any more");
    }
}
