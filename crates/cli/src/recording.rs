//! The ledger of a process that serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::digest::Digest;
use base::plan::Plan;
use base::sink::{Event, Sinks};
use base::world::World;
use ledger::key::{KeyFault, SigningKey};
use ledger::{Ledger, Who};

use crate::fault::Fault;
use crate::outside;

/// The file with the key of the ledgers of this machine.
pub(crate) fn key_file(state_dir: Option<&Path>) -> Result<PathBuf, Fault> {
    let directory = state_dir.map(Path::to_owned).or_else(outside::state_directory).ok_or_else(|| {
        Fault::usage("there is no state directory for the key of the ledger").hint("name it with --state-dir")
    })?;
    Ok(directory.join("ledger.key"))
}

/// Begins the ledger of a plan, if it has one, and has the world's calls written there.
pub(crate) fn open(
    plan: &Plan,
    state_dir: Option<&Path>,
    world: &mut World,
) -> Result<Option<Arc<Ledger>>, Fault> {
    let Some(audit) = &plan.audit else { return Ok(None) };
    let path = key_file(state_dir)?;
    if let Some(directory) = path.parent() {
        outside::make_directory(directory).map_err(Fault::Outside)?;
    }
    let key = Arc::new(SigningKey::kept_at(&path)?);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let who = Who { name: host.trim(), version: env!("CARGO_PKG_VERSION") };
    let outside = (Arc::clone(&world.clock), Arc::clone(&world.metrics));
    let ledger = Ledger::open(audit, who, key, outside).map_err(|fault| {
        Fault::Outside(fault.to_string())
            .hint("nothing is served that cannot be written down; audit.path names the directory")
    })?;
    tracing::info!(directory = %audit.directory.display(), replica = ledger.replica(), "the ledger is open");
    world.sinks = world.sinks.with(Arc::clone(&ledger) as _);
    Ok(Some(ledger))
}

/// What has become of a configuration, of which these bytes were read.
pub(crate) fn tell_configuration(
    sinks: &Sinks,
    (path, digest): (&Path, Option<Digest>),
    outcome: &str,
) {
    if sinks.examines().is_none() {
        return;
    }
    let mut members = vec![("path", path.display().to_string()), ("outcome", outcome.to_owned())];
    members.extend(digest.map(|digest| ("digest", format!("sha256:{digest}"))));
    sinks.note(&Event { kind: "configuration", members });
}

impl From<KeyFault> for Fault {
    fn from(fault: KeyFault) -> Self {
        Self::Outside(format!("the key of the ledger: {fault}"))
    }
}
