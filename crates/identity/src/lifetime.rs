//! How long credentials are good that have opened something which lasts.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::Claims;
use base::owned_task::OwnedTask;
use http::HeaderMap;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::identifier::Identifier;
use crate::introspect::GOOD;
use crate::jwk::sha256;
use crate::revocations::Revocations;
use crate::shown::Shown;

/// How long to wait if the store is away.
const REVOCATIONS_AWAY: Duration = Duration::from_secs(1);
/// How long to wait if the issuer is.
const ISSUER_AWAY: Duration = Duration::from_secs(5);

/// The time for which somebody's credentials are good: it is over when they expire or are revoked, when they were issued too early
/// for a configuration that has come since, or when the issuer no longer stands by them.
pub struct Lifetime {
    identifier: Arc<Identifier>,
    claims: Option<Arc<Claims>>,
    until: Option<Instant>,
    revocations: Option<(Arc<Revocations>, watch::Receiver<u64>)>,
    not_before: watch::Receiver<HashMap<String, SystemTime>>,
    asked: Option<Asked>,
}

/// A token that says nothing itself.
struct Asked {
    token: Arc<str>,
    /// When its issuer is asked about it again.
    again: Instant,
    /// The question that is under way. It goes on, whoever waits for its answer.
    question: Option<(OwnedTask, oneshot::Receiver<Option<bool>>)>,
}

impl Lifetime {
    /// That of whom `identifier` has let in until then by these headers.
    #[must_use]
    pub fn new(
        identifier: &Arc<Identifier>,
        (until, claims): (Option<SystemTime>, Option<&Arc<Claims>>),
        headers: &HeaderMap,
    ) -> Self {
        let now = Instant::now();
        let left = |until: SystemTime| until.duration_since(identifier.now()).unwrap_or_default();
        let token = Shown::read(headers, "").ok().map(|shown| shown.token);
        // Somebody whom a proxy in front has named may have sent a token, too, which is none of ours.
        let opaque = token.filter(|token| Identifier::is_opaque(token) && identifier.asks_about(claims));
        Self {
            until: until.map(|until| now + left(until)),
            asked: opaque.map(Asked::new),
            ..Self::standing(identifier, claims)
        }
    }

    /// The same for what outlives the credentials that it was begun with, as long as nobody takes them back.
    #[must_use]
    pub fn until_revoked(identifier: &Arc<Identifier>, claims: &Arc<Claims>) -> Self {
        Self::standing(identifier, Some(claims))
    }

    fn standing(identifier: &Arc<Identifier>, claims: Option<&Arc<Claims>>) -> Self {
        Self {
            claims: claims.cloned(),
            until: None,
            revocations: identifier.revocations().map(|of| (Arc::clone(of), of.changes())),
            not_before: identifier.not_before().changes(),
            asked: None,
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
            if self.claims.as_deref().is_some_and(|claims| self.identifier.is_taken_back(claims)) {
                return;
            }
            tokio::select! {
                () = at(self.until) => return,
                () = changed(self.revocations.as_mut()) => {}
                // Its end is held by the identifier, and so is not to be seen here.
                Ok(()) = self.not_before.changed() => {}
                () = denied(self.asked.as_mut(), &self.identifier) => return,
            }
        }
    }
}

impl Asked {
    fn new(token: &str) -> Self {
        Self { token: token.into(), again: Instant::now() + spread(token, GOOD), question: None }
    }
}

/// That time, and up to a quarter of it, by the token: those that come together after a restart are not asked about together for
/// ever.
fn spread(token: &str, time: Duration) -> Duration {
    time + time / 1024 * u32::from(sha256(token.as_bytes())[0])
}

/// Waits until the issuer stands by the token no more. Cancel safe.
async fn denied(asked: Option<&mut Asked>, identifier: &Arc<Identifier>) {
    let Some(Asked { token, again, question }) = asked else { return pending().await };
    loop {
        let (_asking, answer) = match question {
            Some(under_way) => under_way,
            None => {
                sleep_until(*again).await;
                let (identifier, token) = (Arc::clone(identifier), Arc::clone(token));
                let (tell, answer) = oneshot::channel();
                let asking = OwnedTask::spawn(async move {
                    // Nobody may want to know any more.
                    tell.send(identifier.is_active(&token).await).ok();
                });
                question.insert((asking, answer))
            }
        };
        let active = answer.await.ok().flatten();
        *question = None;
        // While the issuer is away, what it has said last goes on.
        *again = Instant::now() + spread(token, if active.is_some() { GOOD } else { ISSUER_AWAY });
        if active == Some(false) {
            return;
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
        pending::<()>().await;
    }
}

impl fmt::Debug for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifetime").field("until", &self.until).finish_non_exhaustive()
    }
}
