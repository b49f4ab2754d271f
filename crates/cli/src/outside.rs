//! The real world for a gateway: sockets, guarded processes, the clock.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use base::clock::SystemClock;
use base::metrics::Metrics;
use base::plan::Plan;
use base::sink::Sinks;
use base::start_places::StartPlaces;
use base::world::World;
use gateway::assembly::child_places;
use store::seal::{Seal, draw_first_random};
use transport::child::{Spawn, SystemSpawn};
use transport::descriptors;
use transport::memory::Memory;
use transport::net::SystemNetwork;
use transport::wire::Tap;
use transport::workers::Workers;

use crate::fault::Fault;
use crate::machine;

/// The places for programs that are starting, whichever of our worlds starts them.
static STARTS: LazyLock<StartPlaces> = LazyLock::new(StartPlaces::of_this_machine);

/// What servers and clients are told of us.
pub(crate) const IDENTITY: &str =
    concat!(r#"{"name":"portolan","title":"Portolan","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// A seal for one run: what it seals is worthless after it.
pub(crate) fn passing_seal() -> Result<Seal, Fault> {
    Seal::random().map_err(|fault| Fault::Outside(fault.to_string()))
}

/// Makes a directory that only its owner may enter, unless it is there.
pub(crate) fn make_directory(path: &Path) -> Result<(), String> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("{}: {error}", path.display()))
}

/// Begins what takes long before random numbers can be drawn, beside everything else. Who needs one earlier waits for it.
pub(crate) fn begin_random() -> Result<(), Fault> {
    let thread = std::thread::Builder::new().name("random".to_owned()).spawn(draw_first_random);
    thread.map(drop).map_err(|error| Fault::outside("cannot start a thread", &error))
}

/// Where this system keeps the state of a service, or of a user's programs.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("STATE_DIRECTORY")
        .or_else(|| Some(absolute("XDG_STATE_HOME")?.join("portolan")))
        .or_else(|| Some(absolute("HOME")?.join(".local/state/portolan")))
}

/// The world for a gateway with this plan.
pub(crate) fn world(
    plan: &Plan,
    seal: impl Into<Arc<Seal>>,
    tap: Option<Arc<dyn Tap>>,
    workers: Workers,
) -> Result<World, Fault> {
    let memory = Memory::new(machine::half_of_memory());
    memory.set_limit(plan.limits.memory);
    let mut metrics = metrics();
    metrics.show_memory(&memory);
    let metrics = Arc::new(metrics);
    Ok(World {
        network: Arc::new(SystemNetwork),
        spawn: spawn(None)?,
        clock: Arc::new(SystemClock),
        seal: seal.into(),
        tap,
        identity: IDENTITY.to_owned(),
        sinks: Sinks::counting(&metrics),
        metrics,
        memory,
        workers,
        children: child_places(plan),
        starts: STARTS.clone(),
        store: None,
        tasks: Default::default(),
    })
}

/// What starts processes, each behind its guard and with that limit of file descriptors, if ours is another one.
pub(crate) fn spawn(descriptors: Option<u64>) -> Result<Arc<dyn Spawn>, Fault> {
    let mut guard = vec![own_program()?, "guard".to_owned()];
    if let Some(most) = descriptors {
        guard.extend(["--descriptors".to_owned(), most.to_string()]);
    }
    Ok(Arc::new(SystemSpawn { guard: Some(guard) }))
}

#[cfg(not(feature = "count-allocations"))]
fn metrics() -> Metrics {
    with_descriptors(Metrics::new())
}

fn with_descriptors(mut metrics: Metrics) -> Metrics {
    metrics.show("descriptors_lacking", "How often a file descriptor was refused to us", descriptors::lacks);
    metrics
}

#[cfg(feature = "count-allocations")]
fn metrics() -> Metrics {
    let mut metrics = with_descriptors(Metrics::new());
    crate::allocations::show(&mut metrics);
    metrics
}

/// This program. Asked for when a command begins: when it has been replaced by a newer one, the newer one will do.
pub(crate) fn own_program() -> Result<String, Fault> {
    let path = std::env::current_exe().map_err(|error| Fault::outside("cannot find this program", &error))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| Fault::Outside(format!("the path of this program is no text: {}", path.display())))
}

/// The environment variables of this process. Those that are no text cannot be passed on.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Looks up an environment variable, for the configuration.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The environment of this process, for the configuration.
pub(crate) struct ProcessEnvironment;

impl config::Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        variable(name)
    }

    fn names(&self) -> Vec<String> {
        environment().into_keys().collect()
    }
}
