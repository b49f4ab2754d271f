//! Rates that replicas share: the store counts them, and each replica takes a few at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::digest::Digest;
use store::limits::{Lease as Asked, Leased};
use store::{Store, StoreFault};
use tokio::time::{Instant, timeout};

use crate::lease::portion;
use crate::pace::{Nanos, Pace, nanos};

/// How long a call waits for the store. A call that counts nothing is better than one that waits for a store that is away.
const PATIENCE: Duration = Duration::from_millis(500);
/// For how long it is not asked again; twice as long each time that it is still away.
const PAUSE: Nanos = 1_000_000_000;
const LONGEST_PAUSE: Nanos = 16 * PAUSE;

/// What replicas share.
pub struct Shared {
    store: Arc<Store>,
    /// How many there are, this one among them.
    replicas: Box<dyn Fn() -> usize + Send + Sync>,
    away: Away,
}

/// Whether the store is away. One call at a time looks whether it is there again, and all others go on without it.
#[derive(Debug, Default)]
struct Away {
    /// Until when the store is left alone; 0 if it is there.
    until: AtomicU64,
    /// For how long the next time.
    pause: AtomicU64,
}

impl Away {
    fn is(&self, now: Nanos) -> bool {
        self.until.load(Ordering::Relaxed) > now
    }

    /// Asks it, at `now`; nothing if it is away. Cancel safe: who was to look and does not is followed by another.
    async fn ask<T>(&self, now: Nanos, asked: impl Future<Output = Result<T, StoreFault>>) -> Result<T, Why> {
        let until = self.until.load(Ordering::Relaxed);
        let looking = now.saturating_add(2 * nanos(PATIENCE));
        let is_ours = || self.until.compare_exchange(until, looking, Ordering::Relaxed, Ordering::Relaxed);
        if until > now || (until > 0 && is_ours().is_err()) {
            return Err(Why::Known);
        }
        let began = Instant::now();
        let why = match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => {
                if self.until.swap(0, Ordering::Relaxed) > 0 {
                    tracing::info!("the store is there again, and counts what replicas share");
                }
                return Ok(answer);
            }
            Ok(Err(fault)) => fault.to_string(),
            Err(_elapsed) => format!("it did not answer within {PATIENCE:?}"),
        };
        let pause = if until == 0 { PAUSE } else { self.pause.load(Ordering::Relaxed).max(PAUSE) };
        self.pause.store((2 * pause).min(LONGEST_PAUSE), Ordering::Relaxed);
        let now = now.saturating_add(nanos(began.elapsed()));
        let was = self.until.swap(now.saturating_add(pause), Ordering::Relaxed);
        Err(if was == 0 { Why::New(why) } else { Why::Known })
    }
}

/// Why it was not asked, or did not answer.
#[derive(Debug, PartialEq, Eq)]
enum Why {
    /// It was known to be away.
    Known,
    /// It was thought to be there.
    New(String),
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Counts in a store; `replicas` says how many count there, this one among them.
    pub fn new(store: Arc<Store>, replicas: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self { store, replicas: Box::new(replicas), away: Away::default() }
    }

    pub(crate) fn replicas(&self) -> usize {
        (self.replicas)().max(1)
    }

    /// Whether the store was away a moment ago, and somebody else looks whether it still is.
    pub(crate) fn is_away(&self, now: Nanos) -> bool {
        self.away.is(now)
    }

    /// Takes a few: how many, or how long there are none. Nothing if the store is away.
    pub(crate) async fn lease(&self, name: Digest, pace: Pace, now: Nanos) -> Option<(u64, Nanos)> {
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
        let (name, takes) = (format!("{name}:bytes"), Duration::from_nanos(takes));
        self.patiently(self.store.charge(&name, takes), now).await.map(nanos)
    }

    /// What the store says, if it is there and says it soon.
    async fn patiently<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreFault>>,
        now: Nanos,
    ) -> Option<T> {
        match self.away.ask(now, Box::pin(asked)).await {
            Ok(said) => return Some(said),
            Err(Why::Known) => {}
            Err(Why::New(why)) => {
                let replicas = self.replicas();
                tracing::warn!(
                    replicas,
                    "the store cannot count what replicas share, so that each allows its part of every rate: {why}"
                );
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::advance;

    use super::*;

    /// Nobody waits for a store that hangs but the one who looks whether it still does.
    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_waits_for_a_store_that_hangs_and_ever_less_often() {
        let away = Away::default();
        let began = Instant::now();
        let now = || nanos(began.elapsed()) + 1;
        let hangs = || away.ask(now(), pending::<Result<(), StoreFault>>());
        assert!(matches!(hangs().await, Err(Why::New(_))));
        assert_eq!(began.elapsed(), PATIENCE);
        for pause in [1, 2, 4, 8, 16, 16] {
            // The pause begins when it has not answered.
            advance(Duration::from_secs(pause) - Duration::from_millis(1)).await;
            let before = Instant::now();
            assert_eq!(hangs().await, Err(Why::Known));
            assert_eq!(before.elapsed(), Duration::ZERO, "{pause}");
            advance(Duration::from_millis(1)).await;
            let (one, others) = tokio::join!(hangs(), async {
                let mut waited = Duration::ZERO;
                for _ in 0..100 {
                    let before = Instant::now();
                    assert_eq!(hangs().await, Err(Why::Known));
                    waited += before.elapsed();
                }
                waited
            });
            assert_eq!((one, others), (Err(Why::Known), Duration::ZERO), "{pause}");
            assert_eq!(before.elapsed(), PATIENCE + Duration::from_millis(1), "{pause}");
        }
        advance(Duration::from_secs(16)).await;
        // Who was to look has gone away: another does, soon.
        let gone = timeout(Duration::from_millis(10), hangs()).await;
        assert!(gone.is_err());
        advance(Duration::from_secs(1)).await;
        assert_eq!(away.ask(now(), ready(Ok(7))).await, Ok(7));
        assert!(matches!(hangs().await, Err(Why::New(_))));
    }
}
