//! All that the data plane takes from outside: sockets, processes, time, keys. Tests give it others.

use std::sync::Arc;

use store::Store;
use store::seal::Seal;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use transport::child::Spawn;
use transport::memory::Memory;
use transport::net::Network;
use transport::wire::Tap;
use transport::workers::Workers;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::sink::Sinks;
use crate::start_places::StartPlaces;

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
    /// What is told of each call that is over; the metrics are among them.
    pub sinks: Sinks,
    /// The bound on what is held for clients and servers.
    pub memory: Memory,
    /// The threads that carry connections.
    pub workers: Workers,
    /// The places for child processes.
    pub children: Arc<Semaphore>,
    /// The places for programs that are starting.
    pub starts: StartPlaces,
    /// What this process shares with others, if it may have any.
    pub store: Option<Arc<Store>>,
    /// Everything that runs beside calls; nothing is spawned elsewhere.
    pub tasks: TaskTracker,
}
