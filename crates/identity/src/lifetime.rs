//! How long credentials are good that have opened something which lasts.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Claims, Identity};
use http::HeaderMap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::identifier::Identifier;
use crate::introspect::GOOD;
use crate::revocations::Revocations;
use crate::shown::Shown;

/// How long to wait if the store is away.
const REVOCATIONS_AWAY: Duration = Duration::from_secs(1);

/// The time for which somebody's credentials are good: it is over when they expire or are revoked, or when the issuer no longer
/// stands by them.
pub struct Lifetime {
    identifier: Arc<Identifier>,
    claims: Option<Arc<Claims>>,
    until: Option<Instant>,
    revocations: Option<(Arc<Revocations>, watch::Receiver<u64>)>,
    /// A token that says nothing itself, and when its issuer is asked about it again.
    asked: Option<(Box<str>, Instant)>,
}

/// What may have ended it.
enum May {
    Time,
    Revocation,
    Issuer,
}

impl Lifetime {
    /// That of whom `identifier` has let in by these headers.
    #[must_use]
    pub fn new(identifier: &Arc<Identifier>, identity: &Identity, headers: &HeaderMap) -> Self {
        let now = Instant::now();
        let left = |until: SystemTime| until.duration_since(identifier.now()).unwrap_or_default();
        let token = Shown::read(headers, "").ok().map(|shown| shown.token);
        let opaque = token.filter(|token| Identifier::is_opaque(token));
        Self {
            claims: identity.claims.clone(),
            until: identity.until.map(|until| now + left(until)),
            revocations: identifier.revocations().map(|of| (Arc::clone(of), of.changes())),
            asked: opaque.map(|token| (token.into(), now + GOOD)),
            identifier: Arc::clone(identifier),
        }
    }

    /// Waits until one is over, if there is one. Cancel safe.
    pub async fn over_of(lifetime: Option<&mut Self>) {
        match lifetime {
            Some(lifetime) => lifetime.over().await,
            None => pending().await,
        }
    }

    /// Waits until it is over. Cancel safe.
    pub async fn over(&mut self) {
        loop {
            if self.claims.as_deref().is_some_and(|claims| self.identifier.is_revoked(claims)) {
                return;
            }
            let (until, again) = (self.until, self.asked.as_ref().map(|(_, again)| *again));
            let may = tokio::select! {
                () = at(until) => May::Time,
                () = changed(self.revocations.as_mut()) => May::Revocation,
                () = at(again) => May::Issuer,
            };
            match may {
                May::Time => return,
                May::Revocation => {}
                May::Issuer => {
                    let Some((token, again)) = &mut self.asked else { continue };
                    // While the issuer is away, what it has said last goes on.
                    if self.identifier.is_active(token).await == Some(false) {
                        return;
                    }
                    *again = Instant::now() + GOOD;
                }
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

async fn changed(revocations: Option<&mut (Arc<Revocations>, watch::Receiver<u64>)>) {
    let Some((revocations, changes)) = revocations else { return pending().await };
    // Who has come by a key of Portolan's own may be the first to ask.
    while !revocations.is_known() {
        if revocations.known().await.is_err() {
            sleep(REVOCATIONS_AWAY).await;
        }
    }
    if changes.changed().await.is_err() {
        pending().await
    }
}

impl fmt::Debug for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifetime").field("until", &self.until).finish_non_exhaustive()
    }
}
