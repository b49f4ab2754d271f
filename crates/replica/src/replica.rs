//! Being one of several: this process is known to the others as long as it lives, what it holds is reached through it, and
//! what it held is taken over when it is gone.
//!
//! Who is alive is decided by the store alone, by its clock: a replica whose last sign of life is older than the lease is
//! dead, and stays dead under that id. One that was only slow takes another id, so nobody who has taken something over from
//! it is ever contradicted. Reading order: this, `homes` (whose a session is), `peers` (the others), `badge` (how they know each
//! other). The two ends of what is forwarded are the gateway's (`gateway/listener/hop`).

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::expiry;
use base::sync::lock;
use base::world::World;
use store::replicas::{Beat, Registration};
use store::seal::key::Key;
use store::{Store, StoreFault};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub mod badge;
mod changes;
mod homes;
pub mod peers;

pub use changes::{PeerNotice, PeerNotices};
pub use homes::{Adoption, Home, Homed};
use peers::Peers;

/// How often a replica gives a sign of life.
const BEAT: Duration = Duration::from_secs(1);
/// How long after its last sign of life a replica is taken for dead: several of them may be late or lost.
pub const LEASE: Duration = Duration::from_secs(10);
/// A replica relies on its lease for this much less than others do: signs of life take a while.
const MARGIN: Duration = Duration::from_secs(2);
/// How long the dead are remembered.
const BURIED: Duration = Duration::from_secs(3600);
/// How often what has expired is swept, in heartbeats, and how much of it at a time.
const SWEEP_BEATS: u32 = 30;
const SWEEP_ROWS: usize = 500;

/// What a replica says of itself.
#[derive(Debug, Clone)]
pub struct ReplicaInfo {
    /// Which version of the program it runs.
    pub version: String,
    /// Members of a JSON object: what people are told of it.
    pub facts: String,
}

/// This process among the replicas.
pub struct Replica {
    world: World,
    /// What it shares with the others.
    store: Arc<Store>,
    said: Mutex<ReplicaInfo>,
    forward: Mutex<Option<String>>,
    /// What it holds, as members of a JSON object.
    holds: Mutex<String>,
    /// What it is called now. Another one once it was taken for dead.
    id: Mutex<Arc<str>>,
    /// When the last sign of life was given that was taken for one.
    beaten: Mutex<Option<Instant>>,
    /// Since when the store takes no sign of life, and why.
    away: Mutex<Option<(Instant, StoreFault)>>,
    /// One sign of life at a time.
    beating: tokio::sync::Mutex<()>,
    /// Cancelled when somebody asks it to drain.
    asked: CancellationToken,
    /// Counts the ids that it has had.
    ids: watch::Sender<u64>,
    peers: Peers,
    homes: homes::Homes,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Replica {
    /// A replica that nobody knows yet; none where the world has no store, for then nobody can.
    ///
    /// # Errors
    /// When there are no random numbers for its id.
    pub fn new(world: &World, said: ReplicaInfo) -> Result<Option<Arc<Self>>, StoreFault> {
        let Some(store) = world.store.clone() else { return Ok(None) };
        Ok(Some(Arc::new(Self {
            id: Mutex::new(new_id()?),
            peers: Peers::new(world),
            world: world.clone(),
            store,
            said: Mutex::new(said),
            forward: Mutex::default(),
            holds: Mutex::default(),
            beaten: Mutex::default(),
            away: Mutex::default(),
            beating: tokio::sync::Mutex::default(),
            asked: CancellationToken::new(),
            ids: watch::Sender::new(1),
            homes: homes::Homes::default(),
        })))
    }

    /// What it is called now.
    #[must_use]
    pub fn id(&self) -> Arc<str> {
        Arc::clone(&lock(&self.id))
    }

    /// Changes when it gets another id.
    #[must_use]
    pub fn renamed(&self) -> watch::Receiver<u64> {
        self.ids.subscribe()
    }

    /// Adds to what it says of itself, as members of a JSON object.
    pub fn say(&self, more: &str) {
        let mut said = lock(&self.said);
        said.facts = [said.facts.as_str(), more]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(",");
    }

    /// What it shares with the others.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The others.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Makes itself known, with the address that others reach it at.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn join(&self, forward: Option<String>) -> Result<(), StoreFault> {
        *lock(&self.forward) = forward;
        self.register().await?;
        self.peers.refresh(self).await
    }

    async fn register(&self) -> Result<(), StoreFault> {
        let began = Instant::now();
        let (version, forward) = (lock(&self.said).version.clone(), lock(&self.forward).clone());
        let said = Registration { id: self.id().to_string(), version, forward, facts: self.facts() };
        self.store.register(&said).await?;
        *lock(&self.beaten) = Some(began);
        Ok(())
    }

    fn facts(&self) -> String {
        let said = lock(&self.said).facts.clone();
        let holds = lock(&self.holds).clone();
        let parts: Vec<_> = [said, holds].into_iter().filter(|part| !part.is_empty()).collect();
        format!("{{{}}}", parts.join(","))
    }

    /// Gives signs of life until `end`, with what it holds then, and follows who else is there.
    pub async fn live(self: Arc<Self>, holds: impl Fn() -> String + Send, end: CancellationToken) {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = 0u32;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = end.cancelled() => return,
            }
            let beat = async {
                *lock(&self.holds) = holds();
                self.beat().await?;
                self.peers.refresh(&self).await
            };
            let is_away = self.seen(beat.await);
            beats = beats.wrapping_add(1);
            // What one run leaves, a later one or another replica sweeps.
            if !is_away
                && beats.is_multiple_of(SWEEP_BEATS)
                && let Err(fault) = self.sweep().await
            {
                tracing::debug!("nothing was swept: {fault}");
            }
        }
    }

    async fn sweep(&self) -> Result<(), StoreFault> {
        // Before anything of them is forgotten.
        expiry::tell(&self.store, &self.world.metrics, None).await?;
        self.store.sweep(SWEEP_ROWS, BURIED).await.map(drop)
    }

    /// Takes note of how the store is, and says so when that is new. Whether it is away.
    fn seen(&self, beaten: Result<(), StoreFault>) -> bool {
        let mut away = lock(&self.away);
        match (&mut *away, beaten) {
            (None, Ok(())) => {}
            (Some((since, _)), Ok(())) => {
                tracing::info!(away = ?since.elapsed(), "the store is back");
                *away = None;
            }
            (Some((_, why)), Err(fault)) => *why = fault,
            (None, Err(fault)) => {
                tracing::warn!("{fault}; what needs no store goes on");
                *away = Some((Instant::now(), fault));
            }
        }
        self.world.metrics.store_away(away.is_some());
        away.is_some()
    }

    /// For how long the store has been away by now, and why.
    #[must_use]
    pub fn store_away(&self) -> Option<(Duration, StoreFault)> {
        lock(&self.away).as_ref().map(|(since, why)| (since.elapsed(), why.clone()))
    }

    /// Something was forwarded to another replica, with this outcome.
    pub fn count_forwarded(&self, outcome: &'static str) {
        self.world.metrics.forwarded(outcome);
    }

    /// Waits until somebody asks this replica to drain.
    pub async fn asked_to_drain(&self) {
        self.asked.cancelled().await;
    }

    /// Says good-bye, so that nobody waits for the lease to end. That the store is away is no reason to stay.
    pub async fn leave(&self) {
        if let Err(fault) = self.store.leave(&self.id()).await {
            tracing::warn!("the other replicas will hear late that this one has ended: {fault}");
        }
        self.peers.end();
    }

    /// Whether nobody can have taken over what this replica holds.
    fn has_lease(&self) -> bool {
        lock(&self.beaten).is_some_and(|beaten| beaten.elapsed() < LEASE.saturating_sub(MARGIN))
    }

    /// Makes sure that nobody has taken over what this replica holds; if its signs of life come late, gives one now.
    ///
    /// # Errors
    /// When the store is away, and one was due.
    pub async fn renewed(&self) -> Result<(), StoreFault> {
        if self.has_lease() { Ok(()) } else { self.beat().await }
    }

    async fn beat(&self) -> Result<(), StoreFault> {
        let _one = self.beating.lock().await;
        let began = Instant::now();
        let id = self.id();
        match self.store.beat(&id, &self.facts(), LEASE).await? {
            Beat::Alive => {}
            Beat::Drain => self.asked.cancel(),
            Beat::Forgotten => {
                let new = new_id()?;
                *lock(&self.id) = Arc::clone(&new);
                tracing::warn!(was = &*id, now = &*new, "was taken for dead, and goes on under another id");
                self.ids.send_modify(|count| *count += 1);
                return self.register().await;
            }
        }
        *lock(&self.beaten) = Some(began);
        Ok(())
    }
}

fn new_id() -> Result<Arc<str>, StoreFault> {
    // Twice, because an id must never come again: who is dead under it stays so.
    let half = || Key::random().map(|key| key.id().to_string());
    let id = half().and_then(|first| Ok((first + &half()?).into()));
    id.map_err(|fault| StoreFault::Broken(fault.to_string()))
}
