//! The ledger of a process that serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::clock::SystemClock;
use base::digest::Digest;
use base::plan::Plan;
use base::sink::{Accept, Event, Sink as _, Sinks};
use base::world::World;
use ledger::key::{KeyFault, SigningKey};
use ledger::{Ledger, Who};

use crate::fault::Fault;
use crate::{outside, print};

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
    let host = host();
    let who = Who { name: &host, version: env!("CARGO_PKG_VERSION") };
    let outside = (Arc::clone(&world.clock), Arc::clone(&world.metrics));
    let ledger = Ledger::open(audit, who, key, outside).map_err(|fault| {
        Fault::Outside(fault.to_string())
            .hint("nothing is served that cannot be written down; audit.path names the directory")
    })?;
    tracing::info!(directory = %audit.directory.display(), replica = ledger.replica(), "the ledger is open");
    world.sinks = world.sinks.with(Arc::clone(&ledger) as _);
    Ok(Some(ledger))
}

/// Has it written down what an operator does by command, in a chain of its own. Whether there is a ledger.
///
/// # Errors
/// When there is one, and it cannot be written here.
pub(crate) async fn tell(plan: &Plan, state_dir: Option<&Path>, events: &[Event]) -> Result<bool, Fault> {
    let Some(audit) = &plan.audit else { return Ok(false) };
    // Only with the key that the gateway has: records under another would be nobody's.
    let key = SigningKey::at(&key_file(state_dir)?).map_err(|fault| {
        Fault::from(fault).hint("do it where the gateway runs, with its state directory (--state-dir)")
    })?;
    let name = format!("{}-operator", host());
    let who = Who { name: &name, version: env!("CARGO_PKG_VERSION") };
    let outside = (Arc::new(SystemClock) as _, Arc::default());
    let unwritten = |fault: &dyn std::fmt::Display| Fault::Outside(fault.to_string());
    let ledger = Ledger::open(audit, who, Arc::new(key), outside).map_err(|fault| unwritten(&fault))?;
    let mut taken = true;
    for event in events {
        if let Accept::Later(accepted) = ledger.must_note(event.clone()) {
            taken &= accepted.await.is_ok();
        }
    }
    ledger.close().await;
    if taken { Ok(true) } else { Err(Fault::Outside("the ledger cannot be written".to_owned())) }
}

/// The same of what is done already: that it is in no record is said.
pub(crate) async fn tell_done(plan: &Plan, state_dir: Option<&Path>, events: &[Event]) {
    if events.is_empty() {
        return;
    }
    if let Err(fault) = tell(plan, state_dir, events).await {
        print::err(&print::safe_err(&format!("warning: this is not in the ledger: {fault}\n")));
    }
}

/// What has become of a key, by command.
pub(crate) fn of_key(outcome: &str, (of, key): (&str, &str), principal: Option<&str>) -> Event {
    let mut members = vec![("outcome", outcome.to_owned()), ("of", of.to_owned())];
    if !key.is_empty() {
        members.push(("key", key.to_owned()));
    }
    members.extend(principal.map(|principal| ("principal", principal.to_owned())));
    members.push(("by", "operator".to_owned()));
    Event { kind: "key", members }
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// What has become of a configuration, of which these bytes were read.
pub(crate) fn tell_configuration(sinks: &Sinks, (path, digest): (&Path, Option<Digest>), outcome: &str) {
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
