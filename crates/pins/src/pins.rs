//! The pins of all servers, from one plan to the next, and what other processes that share the store make of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::metrics::Metrics;
use base::owned_task::OwnedTask;
use base::pin::Pins;
use base::plan::pins::PinsPlan;
use base::sync::lock;
use base::world::World;
use store::pins::PinsMark;
use store::{Store, StoreFault};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::lock::LockFile;
use crate::server::{Common, ServerPins};

/// How often the store is asked whether anything has changed: what one process has seen, or somebody has approved, counts within a
/// second everywhere.
const EVERY: Duration = Duration::from_millis(500);

/// The pins of all servers. One for a process.
pub struct AllPins {
    inner: Arc<Inner>,
    /// Keeps up with the store.
    following: Mutex<Option<OwnedTask>>,
}

struct Inner {
    common: Arc<Common>,
    servers: Mutex<BTreeMap<String, Arc<ServerPins>>>,
}

impl AllPins {
    /// Of no server yet.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self::with(world.store.clone(), Arc::clone(&world.metrics))
    }

    /// The same without a world, for benches.
    #[doc(hidden)]
    #[must_use]
    pub fn alone() -> Self {
        Self::with(None, Arc::default())
    }

    fn with(store: Option<Arc<Store>>, metrics: Arc<Metrics>) -> Self {
        let common = Common { store, metrics, others: Mutex::default(), changes: watch::Sender::new(0) };
        let inner = Inner { common: Arc::new(common), servers: Mutex::default() };
        Self { inner: Arc::new(inner), following: Mutex::default() }
    }

    /// Holds these servers to their pins from now on, and no others. What was seen of a server that stays is not forgotten. A lock file
    /// that cannot be read pins nothing, so that everything is held; whoever loads a configuration says so before.
    pub fn carry_out(&self, plan: &PinsPlan) {
        let locked = plan.file.as_ref().map(|file| {
            LockFile::parse(&file.text).unwrap_or_else(|fault| {
                tracing::error!("{}: {fault}", file.path.display());
                LockFile::default()
            })
        });
        let mut servers = lock(&self.inner.servers);
        servers.retain(|name, _| {
            let stays = plan.servers.iter().any(|rule| rule.server == *name);
            if !stays {
                self.inner.common.metrics.pins_waiting(name, 0);
            }
            stays
        });
        for rule in &plan.servers {
            let new = || Arc::new(ServerPins::new(&rule.server, &self.inner.common));
            let server = servers.entry(rule.server.clone()).or_insert_with(new);
            let book =
                locked.as_ref().map(|locked| locked.servers.get(&rule.server).cloned().unwrap_or_default());
            server.carry_out(rule, book.map(Arc::new));
        }
        let is_needed = !servers.is_empty();
        drop(servers);
        self.follow(is_needed);
    }

    fn follow(&self, is_needed: bool) {
        let mut following = lock(&self.following);
        match &self.inner.common.store {
            Some(store) if is_needed && following.is_none() => {
                let (inner, store) = (Arc::clone(&self.inner), Arc::clone(store));
                *following = OwnedTask::try_spawn(async move { inner.follow(&store).await });
            }
            _ if !is_needed => *following = None,
            _ => {}
        }
    }

    /// The pins of a server, if it is held to any.
    #[must_use]
    pub fn of(&self, server: &str) -> Option<Arc<dyn Pins>> {
        self.server(server).map(|server| server as Arc<dyn Pins>)
    }

    /// The same, with all that is known of them.
    #[must_use]
    pub fn server(&self, server: &str) -> Option<Arc<ServerPins>> {
        lock(&self.inner.servers).get(server).cloned()
    }

    /// Tells of each change from now on by which lists are made.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.common.changes.subscribe()
    }
}

impl Inner {
    /// Keeps up with the store for ever. While it is away, what was known goes on.
    async fn follow(&self, store: &Store) {
        let (mut mark, mut is_told) = (None, false);
        loop {
            sleep(EVERY).await;
            match self.keep_up(store, &mut mark).await {
                Ok(()) => is_told = false,
                Err(fault) => {
                    if !is_told {
                        tracing::warn!("what is pinned from now on cannot be found out: {fault}");
                    }
                    is_told = true;
                }
            }
        }
    }

    async fn keep_up(&self, store: &Store, mark: &mut Option<PinsMark>) -> Result<(), StoreFault> {
        let servers: Vec<_> = lock(&self.servers).values().cloned().collect();
        // What goes wrong with one server holds up no other.
        let mut failed = None;
        for server in servers.iter().filter(|server| server.has_unsent()) {
            match server.send(store).await {
                Ok(()) => {}
                Err(fault) if fault.is_away() => return Err(fault),
                Err(fault) => failed = Some(fault),
            }
        }
        // Before the rest: what changes meanwhile is read the next time.
        let now = store.pins_mark().await?;
        if *mark != Some(now) {
            let mut is_all = true;
            for server in &servers {
                match server.read(store).await {
                    Ok(()) => {}
                    Err(fault) if fault.is_away() => return Err(fault),
                    Err(fault) => (failed, is_all) = (Some(fault), false),
                }
            }
            if is_all {
                *mark = Some(now);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl fmt::Debug for AllPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = lock(&self.inner.servers);
        f.debug_struct("AllPins").field("servers", &servers.keys()).finish_non_exhaustive()
    }
}
