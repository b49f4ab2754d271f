//! Whose a legacy session is. It is the home of the replica that opened it, which its sealed id names; once that one is dead,
//! of the one that the store says has taken it over, and that is whoever of the living was asked first.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base::sync::lock;
use store::StoreFault;
use tokio::time::Instant;

use super::peers::Peer;
use super::{LEASE, Replica};

/// The most sessions of which it is remembered where they went.
const MOST: usize = 100_000;
/// How many sessions may be taken over at once.
const STRIPES: u64 = 64;

/// What has one home among the replicas, as far as that is concerned: a session, or the servers that are at one replica only.
#[derive(Debug, Clone, Copy)]
pub struct Homed<'s> {
    /// What the store knows it by.
    pub name: &'s Arc<str>,
    /// Who opened it; empty if nobody in particular.
    pub opener: &'s str,
    /// Until when it has a home.
    pub expires: SystemTime,
}

/// Where a session is at home.
#[derive(Debug)]
pub enum Home {
    /// Here.
    Here,
    /// At another replica.
    At(Arc<Peer>),
    /// Here from now on: what the store knows of it is yet to be read. Whoever else asks waits until the guard is
    /// given back.
    Adopted(Adoption),
    /// It has ended.
    Ended,
}

/// A session that is being taken over. If it is dropped, the next request takes it over.
#[derive(Debug)]
pub struct Adoption {
    by: Arc<str>,
    _one: tokio::sync::OwnedMutexGuard<()>,
}

type Moved = (Arc<str>, SystemTime);

/// Where sessions went whose opener is gone.
#[derive(Debug, Default)]
pub(super) struct Homes {
    /// Session → replica, and until when the session goes on.
    moved: Mutex<HashMap<Arc<str>, Moved>>,
    /// Held while a session is being taken over: each lock is that of many.
    adopting: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

impl Homes {
    fn of(&self, session: &str) -> Option<Arc<str>> {
        lock(&self.moved).get(session).map(|(to, _)| Arc::clone(to))
    }

    fn put(&self, session: Homed<'_>, to: &str, now: SystemTime) {
        let mut moved = lock(&self.moved);
        if moved.len() >= MOST {
            moved.retain(|_, (_, expires)| *expires > now);
        }
        if moved.len() >= MOST {
            // The store still knows.
            moved.clear();
        }
        moved.insert(Arc::clone(session.name), (to.into(), session.expires));
    }

    fn stripe(&self, session: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut hasher = DefaultHasher::new();
        session.hash(&mut hasher);
        let place = hasher.finish() % STRIPES;
        Arc::clone(lock(&self.adopting).entry(place).or_default())
    }
}

impl Replica {
    /// Where a session is at home.
    ///
    /// # Errors
    /// When the store is away, and it is needed to know.
    pub async fn home_of(&self, session: Homed<'_>) -> Result<Home, StoreFault> {
        if let Some(home) = self.known_home(session) {
            return self.sure(home).await;
        }
        let asked = Instant::now();
        let one = self.homes.stripe(session.name).lock_owned().await;
        // Somebody else may have found out meanwhile, or only the list of replicas be old.
        self.peers.refresh_since(self, asked).await?;
        if let Some(home) = self.known_home(session) {
            return self.sure(home).await;
        }
        self.renewed().await?;
        let now = self.world.clock.now();
        let keep = session.expires.duration_since(now).unwrap_or(Duration::ZERO);
        let me = self.id();
        let holder = self.store().hold_session(session.name, &me, keep, LEASE).await?;
        self.settled(session, holder, Adoption { by: me, _one: one }).await
    }

    /// What it means that the store names this holder.
    async fn settled(
        &self,
        session: Homed<'_>,
        holder: Option<String>,
        adoption: Adoption,
    ) -> Result<Home, StoreFault> {
        let Some(holder) = holder else { return Ok(Home::Ended) };
        if *holder == *adoption.by {
            return Ok(Home::Adopted(adoption));
        }
        self.moved(session, &holder);
        if self.peers.get(&holder).is_none() {
            self.peers.refresh(self).await?;
        }
        // If it has gone this very moment, the next one to ask takes over.
        let gone = || StoreFault::Away(format!("replica {holder} has just gone"));
        self.peers.get(&holder).map(Home::At).ok_or_else(gone)
    }

    /// A session that its home says it has handed over to this replica.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn given(&self, session: Homed<'_>) -> Result<Home, StoreFault> {
        let one = self.homes.stripe(session.name).lock_owned().await;
        let me = self.id();
        if self.homes.of(session.name).is_some_and(|at| at == me) {
            return self.sure(Home::Here).await;
        }
        self.renewed().await?;
        // Another one may have been given it since.
        let holder = self.store().holder(session.name).await?;
        self.settled(session, holder, Adoption { by: me, _one: one }).await
    }

    /// Where it is, as far as that is known without asking.
    fn known_home(&self, session: Homed<'_>) -> Option<Home> {
        let me = self.id();
        let at = |id: &str| {
            if *id == *me { Some(Home::Here) } else { self.peers.get(id).map(Home::At) }
        };
        match self.homes.of(session.name) {
            Some(moved) => at(&moved),
            None => at(session.opener),
        }
    }

    /// That it is here is so only as long as nobody can have taken it over.
    async fn sure(&self, home: Home) -> Result<Home, StoreFault> {
        if matches!(home, Home::Here) {
            let before = self.id();
            self.renewed().await?;
            if before != self.id() {
                return Err(StoreFault::Away("this replica was taken for dead a moment ago".to_owned()));
            }
        }
        Ok(home)
    }

    /// A session was taken over.
    pub fn adopted(&self, session: Homed<'_>, adoption: &Adoption) {
        self.moved(session, &adoption.by);
    }

    /// It is said where a session went.
    pub fn moved(&self, session: Homed<'_>, to: &str) {
        self.homes.put(session, to, self.world.clock.now());
    }

    /// Forgets where a session went: it is not there any more.
    pub fn forget_home(&self, session: &str) {
        lock(&self.homes.moved).remove(session);
    }

    /// Hands a session over to another replica. Whether that one has it now.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn hand_over(&self, session: Homed<'_>, to: &str) -> Result<bool, StoreFault> {
        let now = self.world.clock.now();
        let keep = session.expires.duration_since(now).unwrap_or(Duration::ZERO);
        self.store().release_session(session.name, &self.id()).await?;
        let holder = self.store().hold_session(session.name, to, keep, LEASE).await?;
        if let Some(holder) = &holder {
            self.homes.put(session, holder, now);
        }
        Ok(holder.as_deref() == Some(to))
    }
}
