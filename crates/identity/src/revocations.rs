//! What is revoked: a copy of what the store says, a moment old at most while the store is there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use auth::{Claims, Refusal};
use base::plan::identity::IssuerPlan;
use store::revocations::{Revocation, RevocationsMark, Revoked};
use store::{Store, StoreFault};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

/// How often the store is asked whether anything has changed: what is revoked is refused within a second everywhere.
const EVERY: Duration = Duration::from_millis(500);
/// When to come again, if it was never known what is revoked.
const RETRY: Duration = Duration::from_secs(1);

/// What is revoked, as far as it is known here.
pub(crate) struct Revocations {
    store: Arc<Store>,
    copy: ArcSwapOption<Copied>,
    /// How often it has changed.
    changes: watch::Sender<u64>,
    /// One reads at a time. When it last went wrong.
    reading: Mutex<Option<Instant>>,
}

/// What is revoked, by who vouches for it.
struct Copied {
    mark: RevocationsMark,
    issuers: HashMap<String, OfIssuer>,
}

#[derive(Default)]
struct OfIssuer {
    tokens: HashSet<String>,
    /// Since when.
    subjects: HashMap<String, SystemTime>,
}

/// Since when tokens of issuers are good, by the newest configuration: what outlives a reload is held against it. A request is
/// held against the plan of its own endpoint.
#[derive(Debug)]
pub(crate) struct NotBefore(watch::Sender<HashMap<String, SystemTime>>);

impl NotBefore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::default()))
    }

    /// What these issuers say from now on.
    pub(crate) fn set(&self, issuers: &[IssuerPlan]) {
        let said = |issuer: &IssuerPlan| Some((issuer.issuer.clone(), issuer.not_before?));
        let now: HashMap<_, _> = issuers.iter().filter_map(said).collect();
        self.0.send_if_modified(|before| {
            let is_other = *before != now;
            *before = now;
            is_other
        });
    }

    /// Whether what was said of a caller was said too early, or does not say when.
    pub(crate) fn refuses(&self, claims: &Claims) -> bool {
        let known = self.0.borrow();
        known.get(&claims.issuer).is_some_and(|since| claims.issued.is_none_or(|issued| issued < *since))
    }

    /// Tells of each change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<HashMap<String, SystemTime>> {
        self.0.subscribe()
    }
}

impl Revocations {
    pub(crate) fn new(store: Arc<Store>) -> Arc<Self> {
        let (copy, changes) = (ArcSwapOption::empty(), watch::Sender::new(0));
        Arc::new(Self { store, copy, changes, reading: Mutex::default() })
    }

    /// Whether it was ever read. Before that nobody may be let in.
    pub(crate) fn is_known(&self) -> bool {
        self.copy.load().is_some()
    }

    /// Reads it for the first time.
    ///
    /// # Errors
    /// When the store is away.
    pub(crate) async fn known(&self) -> Result<(), Refusal> {
        let mut failed = self.reading.lock().await;
        let away = Refusal::Unavailable { retry_after: RETRY };
        if self.is_known() {
            return Ok(());
        }
        // Who has waited for the one that failed does not ask again.
        if failed.is_some_and(|at| at.elapsed() < RETRY) {
            return Err(away);
        }
        self.read().await.map_err(|fault| {
            *failed = Some(Instant::now());
            tracing::warn!("which tokens are revoked cannot be found out: {fault}");
            away
        })
    }

    /// Whether what was said of a caller is said of something revoked. What does not say when it was issued may be as old as
    /// anything.
    pub(crate) fn has(&self, claims: &Claims) -> bool {
        let copy = self.copy.load();
        let Some(of) = copy.as_ref().and_then(|copy| copy.issuers.get(&claims.issuer)) else { return false };
        claims.jti.as_ref().is_some_and(|id| of.tokens.contains(id))
            || of
                .subjects
                .get(&claims.subject)
                .is_some_and(|since| claims.issued.is_none_or(|issued| issued < *since))
    }

    /// Tells of each change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Keeps the copy up to date for ever. While the store is away, what was known goes on.
    pub(crate) async fn follow(&self) {
        let mut is_told = false;
        loop {
            sleep(EVERY).await;
            // Nobody has come yet.
            if !self.is_known() {
                continue;
            }
            let _reading = self.reading.lock().await;
            match self.read().await {
                Ok(()) => is_told = false,
                Err(fault) => {
                    if !is_told {
                        tracing::warn!("which tokens are revoked from now on cannot be found out: {fault}");
                    }
                    is_told = true;
                }
            }
        }
    }

    async fn read(&self) -> Result<(), StoreFault> {
        // Before the rest: what changes meanwhile is read the next time.
        let mark = self.store.revocations_mark().await?;
        if self.copy.load().as_ref().is_some_and(|copy| copy.mark == mark) {
            return Ok(());
        }
        let issuers = by_issuer(self.store.revocations().await?);
        self.copy.store(Some(Arc::new(Copied { mark, issuers })));
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }
}

fn by_issuer(all: Vec<Revocation>) -> HashMap<String, OfIssuer> {
    let mut issuers: HashMap<String, OfIssuer> = HashMap::new();
    for Revocation { issuer, what, name, revoked_at, .. } in all {
        let of = issuers.entry(issuer).or_default();
        match what {
            Revoked::Token => drop(of.tokens.insert(name)),
            Revoked::Subject => {
                let millis = u64::try_from(revoked_at).unwrap_or_default();
                let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
                of.subjects.insert(name, since.unwrap_or(SystemTime::UNIX_EPOCH));
            }
        }
    }
    issuers
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of people and of tokens stay out of it.
        f.debug_struct("Revocations").field("is_known", &self.is_known()).finish_non_exhaustive()
    }
}
