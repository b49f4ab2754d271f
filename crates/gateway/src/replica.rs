//! Being one of several: this process is known to the others as long as it lives.

use std::sync::Arc;
use std::time::Duration;

use store::replicas::{Beat, Registration};
use store::{Store, StoreFault};
use tokio::time::{MissedTickBehavior, interval};

/// How often a replica gives a sign of life.
const BEAT: Duration = Duration::from_secs(2);
/// How long after its last sign of life a replica is taken for dead: several of them may be late or lost.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long the dead are remembered.
const BURIED: Duration = Duration::from_secs(3600);
/// How often what has expired is swept, in heartbeats, and how much of it at a time.
const SWEEP_BEATS: u32 = 15;
const SWEEP_ROWS: usize = 500;

/// This process among the replicas.
#[derive(Debug)]
pub struct Replica {
    store: Arc<Store>,
    said: Registration,
}

impl Replica {
    /// Makes itself known.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn join(store: Arc<Store>, said: Registration) -> Result<Self, StoreFault> {
        store.register(&said).await?;
        Ok(Self { store, said })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.said.id
    }

    /// Lives, and comes back when somebody asks it to drain. Then it is to go on living while it drains.
    pub async fn asked_to_drain(&self) {
        self.live(true).await;
    }

    /// Lives for ever.
    pub async fn go_on(&self) {
        self.live(false).await;
    }

    /// Says good-bye, so that nobody waits for the lease to end. That the store is away is no reason to stay.
    pub async fn leave(&self) {
        if let Err(fault) = self.store.leave(&self.said.id).await {
            tracing::warn!("the other replicas will hear late that this one has ended: {fault}");
        }
    }

    async fn live(&self, until_asked: bool) {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut beats, mut is_told) = (0u32, false);
        loop {
            ticks.tick().await;
            match self.beat().await {
                Ok(Beat::Drain) if until_asked => return,
                Ok(_) if is_told => {
                    is_told = false;
                    tracing::info!("the store is back");
                }
                Ok(_) => {}
                Err(_) if is_told => {}
                Err(fault) => {
                    is_told = true;
                    tracing::warn!("{fault}; what needs no store goes on");
                }
            }
            beats = beats.wrapping_add(1);
            // What one run leaves, a later one or another replica sweeps.
            if !is_told
                && beats.is_multiple_of(SWEEP_BEATS)
                && let Err(fault) = self.store.sweep(SWEEP_ROWS, BURIED).await
            {
                tracing::debug!("nothing was swept: {fault}");
            }
        }
    }

    async fn beat(&self) -> Result<Beat, StoreFault> {
        let beat = self.store.beat(&self.said.id).await?;
        if beat == Beat::Forgotten {
            self.store.register(&self.said).await?;
        }
        Ok(beat)
    }
}
