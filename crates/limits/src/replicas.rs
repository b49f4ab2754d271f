//! Rates that replicas share: the store counts them, and each replica takes a few at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::digest::Digest;
use store::limits::{Lease as Asked, Leased};
use store::{Store, StoreFault};
use tokio::time::timeout;

use crate::lease::portion;
use crate::pace::{Nanos, Pace, nanos};

/// How long a call waits for the store. A call that counts nothing is better than one that waits for a store that is away.
const PATIENCE: Duration = Duration::from_millis(500);
/// For how long it is not asked again.
const PAUSE: Nanos = 1_000_000_000;

/// What replicas share.
pub struct Shared {
    store: Arc<Store>,
    /// How many there are, this one among them.
    replicas: Box<dyn Fn() -> usize + Send + Sync>,
    /// Until when the store is left alone; 0 if it is there.
    away_until: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Counts in a store; `replicas` says how many count there, this one among them.
    pub fn new(store: Arc<Store>, replicas: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self { store, replicas: Box::new(replicas), away_until: AtomicU64::new(0) }
    }

    pub(crate) fn replicas(&self) -> usize {
        (self.replicas)().max(1)
    }

    /// Takes a few: how many, or how long there are none. Nothing if the store is away.
    pub(crate) async fn lease(&self, name: Digest, pace: Pace, now: Nanos) -> Option<(u64, Nanos)> {
        if self.away_until.load(Ordering::Relaxed) > now {
            return None;
        }
        let (every, slack) = pace.parts();
        let most = portion(pace, self.replicas());
        let asked = Asked {
            every: Duration::from_nanos(every),
            slack: Duration::from_nanos(slack),
            most: u32::try_from(most).unwrap_or(u32::MAX),
        };
        let Leased { given, wait } = self.patiently(self.store.lease(&name.to_string(), asked), now).await?;
        Some((u64::from(given), nanos(wait).max(1)))
    }

    /// Tells how much time bytes take that have come here: how far ahead of time those of all are. Nothing if the store is away; then
    /// others do not hear of them.
    pub(crate) async fn charge(&self, name: Digest, takes: Nanos, now: Nanos) -> Option<Nanos> {
        if self.away_until.load(Ordering::Relaxed) > now {
            return None;
        }
        let (name, takes) = (format!("{name}:bytes"), Duration::from_nanos(takes));
        self.patiently(self.store.charge(&name, takes), now).await.map(nanos)
    }

    /// What the store says, if it is there and says it soon.
    async fn patiently<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreFault>>,
        now: Nanos,
    ) -> Option<T> {
        let why = match timeout(PATIENCE, Box::pin(asked)).await {
            Ok(Ok(said)) => {
                if self.away_until.swap(0, Ordering::Relaxed) > 0 {
                    tracing::info!("the store is there again, and counts what replicas share");
                }
                return Some(said);
            }
            Ok(Err(fault)) => fault.to_string(),
            Err(_elapsed) => format!("it did not answer within {PATIENCE:?}"),
        };
        if self.away_until.swap(now.saturating_add(PAUSE), Ordering::Relaxed) == 0 {
            let replicas = self.replicas();
            tracing::warn!(
                replicas,
                "the store cannot count what replicas share, so that each allows its part of every rate: {why}"
            );
        }
        None
    }
}
