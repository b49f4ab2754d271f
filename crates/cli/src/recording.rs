//! The ledger of a process that serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::digest::Digest;
use base::plan::Plan;
use base::sink::{Event, Sinks};
use base::world::World;
use ledger::key::{KeyFault, SigningKey};
use ledger::{Ledger, Who};
use sinks::feed::{Feed, FeedFault};
use sinks::make::{self, Surroundings, Unmade};

use crate::fault::Fault;
use crate::outside;

/// The file with the key of the ledgers of this machine.
pub(crate) fn key_file(state_dir: Option<&Path>) -> Result<PathBuf, Fault> {
    let directory = state_dir.map(Path::to_owned).or_else(outside::state_directory).ok_or_else(|| {
        Fault::usage("there is no state directory for the key of the ledger").hint("name it with --state-dir")
    })?;
    Ok(directory.join("ledger.key"))
}

/// The ledger of a process, and what carries it elsewhere.
#[derive(Debug)]
pub(crate) struct Recording {
    ledger: Arc<Ledger>,
    feed: Option<Arc<Feed>>,
}

impl Recording {
    /// Writes the end, and delivers what is left as far as it can be.
    pub(crate) async fn close(self) {
        self.ledger.close().await;
        if let Some(feed) = self.feed {
            feed.finish().await;
        }
    }
}

/// What receivers take from the world.
pub(crate) fn surroundings(world: &World) -> Surroundings {
    Surroundings {
        network: Arc::clone(&world.network),
        memory: world.memory.clone(),
        clock: Arc::clone(&world.clock),
    }
}

/// What is wrong with the sinks of a plan that only making them shows.
pub(crate) fn wrong_sinks(plan: &Plan, world: &World) -> Option<Unmade> {
    let outside = surroundings(world);
    plan.sinks.iter().find_map(|sink| make::receiver(sink, &outside).err())
}

/// Begins the ledger of a plan, if it has one, and has the world's calls written there, and carried on from there.
pub(crate) fn open(
    plan: &Plan,
    state_dir: Option<&Path>,
    world: &mut World,
) -> Result<Option<Recording>, Fault> {
    let Some(audit) = &plan.audit else { return Ok(None) };
    let path = key_file(state_dir)?;
    if let Some(directory) = path.parent() {
        outside::make_directory(directory).map_err(Fault::Outside)?;
    }
    let key = Arc::new(SigningKey::kept_at(&path)?);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let who = Who { name: host.trim(), version: env!("CARGO_PKG_VERSION") };
    let outside = (Arc::clone(&world.clock), Arc::clone(&world.metrics));
    if let Some(unmade) = wrong_sinks(plan, world) {
        return Err(unmade.into());
    }
    let open = if plan.sinks.is_empty() { Ledger::open } else { Ledger::open_read };
    let ledger = open(audit, who, key, outside).map_err(|fault| {
        Fault::Outside(fault.to_string())
            .hint("nothing is served that cannot be written down; audit.path names the directory")
    })?;
    tracing::info!(directory = %audit.directory.display(), replica = ledger.replica(), "the ledger is open");
    world.sinks = world.sinks.with(Arc::clone(&ledger) as _);
    if plan.sinks.is_empty() {
        return Ok(Some(Recording { ledger, feed: None }));
    }
    let feed = Feed::start(&plan.sinks, &ledger, &world.metrics, &surroundings(world))?;
    if let Some(gate) = feed.gate() {
        world.sinks = world.sinks.with(gate);
    }
    Ok(Some(Recording { ledger, feed: Some(feed) }))
}

/// What has become of a configuration, and what its file has now.
pub(crate) fn tell_configuration(sinks: &Sinks, path: &Path, outcome: &str) {
    if sinks.examines().is_none() {
        return;
    }
    let mut members = vec![("path", path.display().to_string()), ("outcome", outcome.to_owned())];
    // Standard input was read, and cannot be again.
    if let Ok(text) = std::fs::metadata(path)
        .and_then(|facts| if facts.is_file() { std::fs::read(path) } else { Ok(Vec::new()) })
    {
        members.push(("digest", format!("sha256:{}", Digest::plain(&text))));
    }
    sinks.note(&Event { kind: "configuration", members });
}

impl From<Unmade> for Fault {
    fn from(unmade: Unmade) -> Self {
        Self::usage(unmade.to_string())
            .hint("a program that was built with all features has every receiver and format")
    }
}

impl From<FeedFault> for Fault {
    fn from(fault: FeedFault) -> Self {
        match fault {
            FeedFault::Unmade(unmade) => unmade.into(),
            FeedFault::Thread(..) => Self::Outside(fault.to_string()),
        }
    }
}

impl From<KeyFault> for Fault {
    fn from(fault: KeyFault) -> Self {
        Self::Outside(format!("the key of the ledger: {fault}"))
    }
}
