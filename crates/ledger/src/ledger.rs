//! The ledger of one process: takes the record of each call and each thing that happens, and has them written.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use base::clock::Clock;
use base::detail::{Examine, Keeps};
use base::metrics::Metrics;
use base::plan::audit::{AuditPlan, Durability, OnFull};
use base::sink::{Accept, CallFacts, Event, Sink, Untaken};
use base::sync::lock;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::disk::Disk;
use crate::key::SigningKey;
use crate::payload::Keeper;
use crate::place::Claim;
use crate::queue::Queue;
use crate::record::{self, MOST_PLAIN, Members};
use crate::recover::recover;
use crate::shelf::Shelf;
use crate::witness::Witness;
use crate::writer::Writer;

/// How long what is done waits for its record, before its caller is told that there is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last records may take.
const PARTING: Duration = Duration::from_secs(5);
/// What clients can cause at will, without a call: of each so many are written down in one second; of more, how many.
const LIMITED: [&str; 2] = ["login", "session"];
const MOST_LIMITED: u32 = 20;

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
#[error("the ledger in {} cannot be written: {error}", directory.display())]
pub struct LedgerFault {
    /// Its directory.
    pub directory: PathBuf,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// Who writes.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// What this process is called: its chain's directory is, too.
    pub name: &'a str,
    /// What the first record says of it.
    pub version: &'a str,
}

/// The ledger of one process.
pub struct Ledger {
    queue: Arc<Queue>,
    key: Arc<SigningKey>,
    clock: Arc<dyn Clock>,
    plan: AuditPlan,
    keeper: Keeper,
    replica: String,
    thread: Mutex<Option<JoinHandle<()>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    limited: Mutex<BTreeMap<&'static str, Limited>>,
    metrics: Arc<Metrics>,
}

/// What strangers can cause, in one second.
#[derive(Debug, Default)]
struct Limited {
    second: u64,
    written: u32,
    /// How many were not written, since one was.
    more: u64,
}

impl Ledger {
    /// Takes a chain of that ledger and writes its next record.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn open(
        plan: &AuditPlan,
        who: Who<'_>,
        key: Arc<SigningKey>,
        (clock, metrics): (Arc<dyn Clock>, Arc<Metrics>),
    ) -> Result<Arc<Self>, LedgerFault> {
        let fault = |error| LedgerFault { directory: plan.directory.clone(), error };
        let lasts = plan.durability == Durability::Disk;
        let claim = Claim::take(&plan.directory, who.name).map_err(fault)?;
        let replica = claim.replica.clone();
        let found = recover(&claim.directory, &replica).map_err(fault)?;
        let witness = plan.witness.as_deref().map(|path| Witness::new(path, lasts));
        let mut start = Members::default();
        start.text("version", who.version).text("key", &key.public().to_string());
        start.number("process", std::process::id().into());
        if found.torn > 0 {
            tracing::warn!(
                replica,
                bytes = found.torn,
                "the last record in the ledger was not whole, and is cut off"
            );
            start.number("torn", found.torn);
        }
        if let Some(why) = &found.why {
            tracing::error!("the ledger was changed by somebody else: {why}; it goes on in a new segment");
            start.text("unreadable", why);
        }
        let seen = witness.as_ref().map(|witness| witness.last_of(&replica)).transpose().map_err(fault)?;
        if let Some(seen) = seen.flatten().filter(|seen| *seen >= found.chain.next()) {
            let next = found.chain.next();
            tracing::error!(
                replica,
                "the ledger ends before record {next}, and the witness has seen record {seen}: what was between is lost"
            );
            start.number("witnessed", seen);
        }
        let disk = Disk::at(&claim.directory, found.at, lasts).map_err(fault)?;
        let keep = plan.payloads.as_ref().and_then(|payloads| payloads.keep);
        let shelf = Shelf::at(&claim.directory, (plan.segment_bytes, lasts), keep).map_err(fault)?;
        let keeper = Keeper::new(plan, &replica);
        if !keeper.works() {
            return Err(fault(io::Error::other("nothing can be encrypted to the key of audit.payloads")));
        }
        let queue = Arc::new(Queue::new(plan.on_full == OnFull::Drop));
        let mut writer = Writer {
            queue: Arc::clone(&queue),
            chain: found.chain,
            disk,
            key: Arc::clone(&key),
            clock: Arc::clone(&clock),
            plan: plan.clone(),
            shelf,
            witness,
            claim,
            unsigned_since: None,
            looked: None,
            witness_fails: false,
        };
        writer.begin(&start.done()).map_err(fault)?;
        let (over, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("ledger".to_owned());
        let thread = thread.spawn(move || {
            writer.run();
            // Nobody may be waiting for that.
            let _unheard = over.send(());
        });
        Ok(Arc::new(Self {
            queue,
            key,
            clock,
            plan: plan.clone(),
            keeper,
            replica,
            thread: Mutex::new(Some(thread.map_err(fault)?)),
            ended: Mutex::new(Some(ended)),
            limited: Mutex::default(),
            metrics,
        }))
    }

    /// The name of the chain that this process writes.
    #[must_use]
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// Writes what there is, says that this is the end, and signs it. What comes later is not taken.
    pub async fn close(&self) {
        self.queue.close();
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended
            && timeout(PARTING, ended).await.is_err()
        {
            tracing::error!("the ledger could not be ended in good order");
            return;
        }
        let thread = lock(&self.thread).take();
        // It has said that it is over; should it have panicked, that was said, too.
        drop(thread.map(JoinHandle::join));
    }

    fn push(&self, kind: &'static str, (body, payloads): (String, String), optional: bool) -> Accept {
        match self.queue.push((kind, body, payloads), || self.clock.now(), optional) {
            None => {
                self.metrics.unrecorded();
                Accept::Now
            }
            // Where what cannot be taken is dropped, no call fails over it, and it waits for a moment only.
            Some(taken) if self.plan.on_full == OnFull::Drop => Accept::Later(Box::pin(async {
                drop(timeout(PATIENCE / 5, taken).await);
                Ok(())
            })),
            Some(taken) => Accept::Later(Box::pin(async {
                match timeout(PATIENCE, taken).await {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(Untaken),
                }
            })),
        }
    }

    /// How many of a type were not written before this one; nothing where it is not to be, either.
    fn limited(&self, kind: &'static str) -> Option<u64> {
        let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut all = lock(&self.limited);
        let of = all.entry(kind).or_default();
        if of.second != now {
            (of.second, of.written) = (now, 0);
        }
        if of.written >= MOST_LIMITED {
            of.more += 1;
            return None;
        }
        of.written += 1;
        Some(std::mem::take(&mut of.more))
    }
}

impl Sink for Ledger {
    fn accept(&self, facts: &CallFacts) -> Accept {
        self.push("call", record::of_call(facts, &self.keeper), false)
    }

    fn note(&self, event: Event) {
        let mut members = members_of(&event);
        // Whoever is not let in, or comes and goes, must not fill the disk.
        if LIMITED.contains(&event.kind) {
            match self.limited(event.kind) {
                None => return,
                Some(0) => {}
                Some(more) => drop(members.number("more", more)),
            }
        }
        drop(self.push(event.kind, (members.done(), String::new()), true));
    }

    fn must_note(&self, event: Event) -> Accept {
        self.push(event.kind, (members_of(&event).done(), String::new()), false)
    }

    fn examines(&self) -> Option<Arc<dyn Examine>> {
        Some(Arc::new(Examiner { key: Arc::clone(&self.key), plan: self.plan.clone() }))
    }

    fn guards(&self) -> bool {
        self.plan.on_full == OnFull::Refuse
    }

    fn refuse(&self) -> bool {
        if self.queue.is_open() {
            return false;
        }
        self.queue.refused(self.clock.now());
        true
    }

    fn amiss(&self) -> Option<String> {
        let failing = self.queue.failing();
        failing.or_else(|| {
            (!self.queue.is_open()).then(|| "more records wait to be written than may".to_owned())
        })
    }
}

fn members_of(event: &Event) -> Members {
    let mut members = Members::default();
    for (name, value) in &event.members {
        // Some of it clients choose.
        members.text(name, &record::short(value));
    }
    members
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("replica", &self.replica).finish_non_exhaustive()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Looks at what is in calls.
#[derive(Debug)]
struct Examiner {
    key: Arc<SigningKey>,
    plan: AuditPlan,
}

impl Examine for Examiner {
    fn digest(&self, text: &[u8]) -> [u8; 32] {
        self.key.digest([text])
    }

    fn keeps(&self, server: &str, name: &str) -> Keeps {
        let tool = format!("{server}/{name}");
        let payloads = self.plan.payloads.as_ref().filter(|payloads| payloads.tools.is_match(&tool));
        Keeps {
            plain: self.plan.plain_arguments.is_match(&tool),
            arguments: payloads.is_some_and(|payloads| payloads.arguments),
            result: payloads.is_some_and(|payloads| payloads.result),
        }
    }

    fn most_kept(&self) -> usize {
        MOST_PLAIN
    }
}
