//! All that the data plane takes from outside: sockets, processes, time, keys. Tests give it others.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use store::Store;
use store::seal::Seal;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use transport::child::Spawn;
use transport::memory::Memory;
use transport::net::Network;
use transport::wire::Tap;
use transport::workers::Workers;

use crate::metrics::Metrics;

/// Tells the time of day. Timers are tokio's, which tests can pause.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> SystemTime;
}

/// The clock on the wall.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it for the data plane")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The outside of one running data plane.
#[derive(Debug, Clone)]
pub struct World {
    /// Sockets.
    pub network: Arc<dyn Network>,
    /// Processes.
    pub spawn: Arc<dyn Spawn>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Seals what is handed out.
    pub seal: Arc<Seal>,
    /// Sees what passes between Portolan and its servers, if anyone looks.
    pub tap: Option<Arc<dyn Tap>>,
    /// The JSON object of our `Implementation`: what servers and clients are told of us.
    pub identity: String,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The bound on what is held for clients and servers.
    pub memory: Memory,
    /// The threads that carry connections.
    pub workers: Workers,
    /// The places for child processes.
    pub children: Arc<Semaphore>,
    /// What this process shares with others, if it may have any.
    pub store: Option<Arc<Store>>,
    /// Everything that runs beside calls; nothing is spawned elsewhere.
    pub tasks: TaskTracker,
}
