//! The ledger of a process that serves.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::digest::Digest;
use base::plan::Plan;
use base::sink::{Event, Sinks};
use base::world::World;
use ledger::key::{KeyFault, SigningKey};
use ledger::line::Head;
use ledger::teller::Elsewhere;
use ledger::{Ground, Ledger, Who};
use store::{Store, StoreFault};
use tokio::runtime::Handle;

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
pub(crate) async fn open(
    plan: &Plan,
    state_dir: Option<&Path>,
    world: &mut World,
) -> Result<Option<Arc<Ledger>>, Fault> {
    let Some(audit) = plan.audit.clone() else { return Ok(None) };
    let path = key_file(state_dir)?;
    if let Some(directory) = path.parent() {
        outside::make_directory(directory).map_err(Fault::Outside)?;
    }
    let key = Arc::new(SigningKey::kept_at(&path)?);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let outside = (Arc::clone(&world.clock), Arc::clone(&world.metrics));
    let runtime = Handle::current();
    let in_store = world.store.clone().map(|store| InStore { store, runtime, keep: audit.keep, swept: None });
    let directory = audit.directory.clone();
    // A disk may take its time, and the store is asked by this runtime meanwhile.
    let opened = tokio::task::spawn_blocking(move || {
        let elsewhere = in_store.map(|one| Box::new(one) as Box<dyn Elsewhere>).into_iter().collect();
        let who = Who { name: host.trim(), version: env!("CARGO_PKG_VERSION") };
        Ledger::open_on(&audit, who, key, outside, Ground { elsewhere, ..Ground::default() })
    });
    let opened = opened.await.map_err(|fault| Fault::Outside(format!("the ledger: {fault}")))?;
    let ledger = opened.map_err(|fault| {
        Fault::Outside(fault.to_string())
            .hint("nothing is served that cannot be written down; audit.path names the directory")
    })?;
    tracing::info!(directory = %directory.display(), replica = ledger.replica(), "the ledger is open");
    world.sinks = world.sinks.with(Arc::clone(&ledger) as _);
    Ok(Some(ledger))
}

/// How long checkpoints are kept in the store beyond what they cover.
const BEYOND: Duration = Duration::from_secs(86_400);
/// How often old ones are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// Keeps checkpoints in the store.
#[derive(Debug)]
struct InStore {
    store: Arc<Store>,
    /// Where the store is asked; the ledger asks from a thread of its own.
    runtime: Handle,
    keep: Option<Duration>,
    swept: Option<Instant>,
}

impl Elsewhere for InStore {
    fn name(&self) -> &'static str {
        "store"
    }

    fn add(&mut self, lines: &[Vec<u8>]) -> io::Result<()> {
        for line in lines {
            let text = std::str::from_utf8(line).unwrap_or_default().trim_end_matches('\n');
            let Some(head) = Head::read(text) else { continue };
            let seq = i64::try_from(head.seq).unwrap_or(i64::MAX);
            self.runtime
                .block_on(self.store.keep_checkpoint(head.replica, seq, text))
                .map_err(|fault| away(&fault))?;
        }
        if let Some(keep) = self.keep.filter(|_| self.swept.is_none_or(|swept| swept.elapsed() > SWEEP)) {
            self.swept = Some(Instant::now());
            self.runtime
                .block_on(self.store.forget_checkpoints(keep + BEYOND))
                .map_err(|fault| away(&fault))?;
        }
        Ok(())
    }

    fn last_of(&mut self, replica: &str) -> io::Result<Option<u64>> {
        let last = self.runtime.block_on(self.store.last_checkpoint(replica)).unwrap_or_else(|fault| {
            tracing::error!("whether the ledger ends where it did the store cannot say now: {fault}");
            None
        });
        Ok(last.and_then(|last| u64::try_from(last).ok()))
    }
}

fn away(fault: &StoreFault) -> io::Error {
    io::Error::other(format!("the store: {fault}"))
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

impl From<KeyFault> for Fault {
    fn from(fault: KeyFault) -> Self {
        Self::Outside(format!("the key of the ledger: {fault}"))
    }
}
