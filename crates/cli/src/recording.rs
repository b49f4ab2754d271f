//! The ledger of a process that serves.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::clock::SystemClock;
use base::digest::Digest;
use base::plan::Plan;
use base::plan::audit::OnFull;
use base::sink::{Accept, Event, Sink as _, Sinks};
use base::world::World;
use ledger::key::{KeyFault, SigningKey};
use ledger::line::Head;
use ledger::teller::Elsewhere;
use ledger::{Ground, Ledger, Who};
use sinks::feed::{Feed, FeedFault};
use sinks::make::{self, Surroundings, Unmade};
use store::{Settings, Store, StoreFault};
use tokio::runtime::Handle;

use crate::fault::Fault;
use crate::{outside, print};

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

/// Writes the end, if there is a ledger, and delivers what is left as far as it can be.
pub(crate) async fn close(recording: Option<Recording>) {
    let Some(Recording { ledger, feed }) = recording else { return };
    ledger.close().await;
    if let Some(feed) = feed {
        feed.finish().await;
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
pub(crate) async fn open(
    plan: &Plan,
    state_dir: Option<&Path>,
    world: &mut World,
) -> Result<Option<Recording>, Fault> {
    let Some(audit) = plan.audit.clone() else { return Ok(None) };
    let path = key_file(state_dir)?;
    if let Some(directory) = path.parent() {
        outside::make_directory(directory).map_err(Fault::Outside)?;
    }
    let key = Arc::new(SigningKey::kept_at(&path)?);
    let host = host();
    let outside = (Arc::clone(&world.clock), Arc::clone(&world.metrics));
    if let Some(unmade) = wrong_sinks(plan, world) {
        return Err(unmade.into());
    }
    let is_read = !plan.sinks.is_empty();
    let runtime = Handle::current();
    let in_store = world.store.clone().map(|store| InStore { store, runtime, keep: audit.keep, swept: None });
    let directory = audit.directory.clone();
    // A disk may take its time, and the store is asked by this runtime meanwhile.
    let opened = tokio::task::spawn_blocking(move || {
        let elsewhere = in_store.map(|one| Box::new(one) as Box<dyn Elsewhere>).into_iter().collect();
        let who = Who { name: &host, version: env!("CARGO_PKG_VERSION") };
        Ledger::open_on(&audit, who, key, outside, Ground { elsewhere, is_read, ..Ground::default() })
    });
    let opened = opened.await.map_err(|fault| Fault::Outside(format!("the ledger: {fault}")))?;
    let ledger = opened.map_err(|fault| {
        Fault::Outside(fault.to_string())
            .hint("nothing is served that cannot be written down; audit.path names the directory")
    })?;
    tracing::info!(directory = %directory.display(), replica = ledger.replica(), "the ledger is open");
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
        let mut own = None;
        for line in lines {
            let text = std::str::from_utf8(line).unwrap_or_default().trim_end_matches('\n');
            let Some(head) = Head::read(text) else { continue };
            let seq = i64::try_from(head.seq).unwrap_or(i64::MAX);
            self.runtime
                .block_on(self.store.keep_checkpoint(head.replica, seq, text))
                .map_err(|fault| away(&fault))?;
            own = Some(head.replica.to_owned());
        }
        let is_due = self.swept.is_none_or(|swept| swept.elapsed() > SWEEP);
        if let (Some(keep), Some(own), true) = (self.keep, own, is_due) {
            self.swept = Some(Instant::now());
            self.runtime
                .block_on(self.store.forget_checkpoints(&own, keep + BEYOND))
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

/// Has it written down what an operator does by command, in a chain of its own. Whether there is a ledger.
///
/// # Errors
/// When there is one, and it cannot be written here.
pub(crate) async fn tell(plan: &Plan, state_dir: Option<&Path>, events: &[Event]) -> Result<bool, Fault> {
    let Some(mut audit) = plan.audit.clone() else { return Ok(false) };
    // Whatever calls do while nothing can be written: what an operator does is not done without its record.
    audit.on_full = OnFull::Refuse;
    // Only with the key that the gateway has: records under another would be nobody's.
    let key = SigningKey::at(&key_file(state_dir)?).map_err(|fault| {
        Fault::from(fault).hint("do it where the gateway runs, with its state directory (--state-dir)")
    })?;
    let store = match &plan.store {
        Some(place) => {
            Box::pin(Store::open(place, Settings::default())).await.map(Arc::new).map_err(|fault| {
                print::err(&print::safe_err(&format!(
                    "warning: no checkpoint of this is kept in the store: {fault}\n"
                )));
            })
        }
        None => Err(()),
    };
    let store = store.ok();
    let (runtime, keep) = (Handle::current(), audit.keep);
    let in_store = store.clone().map(|store| InStore { store, runtime, keep, swept: None });
    let name = format!("{}-operator", host());
    // The store is asked by this runtime meanwhile.
    let opened = tokio::task::spawn_blocking(move || {
        let elsewhere = in_store.map(|one| Box::new(one) as Box<dyn Elsewhere>).into_iter().collect();
        let who = Who { name: &name, version: env!("CARGO_PKG_VERSION") };
        let outside = (Arc::new(SystemClock) as _, Arc::default());
        Ledger::open_on(&audit, who, Arc::new(key), outside, Ground { elsewhere, ..Ground::default() })
    });
    let opened = opened.await.map_err(|fault| Fault::Outside(format!("the ledger: {fault}")))?;
    let ledger = opened.map_err(|fault| Fault::Outside(fault.to_string()))?;
    let mut taken = true;
    for event in events {
        if let Accept::Later(accepted) = ledger.must_note(event.clone()) {
            taken &= accepted.await.is_ok();
        }
    }
    ledger.close().await;
    if let Some(store) = store {
        store.close().await;
    }
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
