//! The ledger of one process: takes the record of each call and each thing that happens, and has them written.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use base::clock::Clock;
use base::detail::{Examine, Keeps};
use base::metrics::Metrics;
use base::plan::audit::{AuditPlan, Durability, OnFull};
use base::sink::{Accept, CallFacts, Event, Sink, Untaken};
use base::sync::lock;
use tokio::sync::oneshot;
use tokio::time::{timeout, timeout_at};

use crate::disk::Disk;
use crate::key::SigningKey;
use crate::line::moment_of;
use crate::medium::{Medium, SystemFiles};
use crate::payload::Keeper;
use crate::place::{self, Claim, Loose};
use crate::queue::Queue;
use crate::reach::Reach;
use crate::record::{self, MOST_PLAIN, Members};
use crate::recover::{Recovered, put_beside, recover};
use crate::shelf::Shelf;
use crate::teller::{Elsewhere, Teller};
use crate::witness::Witness;
use crate::writer::Writer;

/// How long what is done waits for its record, before its caller is told that there is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last records may take.
const PARTING: Duration = Duration::from_secs(5);
/// So many of each kind of what strangers can cause at will are written down in one second; of more, how many.
const MOST_LIMITED: u32 = 20;

/// How long a disk or a witness may take to answer; beyond that it counts as one that fails.
const HANGS: Duration = Duration::from_secs(2);

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

/// What a ledger stands on.
#[derive(Debug)]
pub struct Ground {
    /// Where its segments are.
    pub medium: Arc<dyn Medium>,
    /// How long a disk or a witness may take to answer.
    pub patience: Duration,
    /// Who keeps its checkpoints, beside the file that the plan may name.
    pub elsewhere: Vec<Box<dyn Elsewhere>>,
    /// Whether somebody reads behind it ([`Ledger::open_read`]).
    pub is_read: bool,
}

impl Default for Ground {
    fn default() -> Self {
        Self { medium: Arc::new(SystemFiles), patience: HANGS, elsewhere: Vec::new(), is_read: false }
    }
}

/// The ledger of one process.
pub struct Ledger {
    queue: Arc<Queue>,
    key: Arc<SigningKey>,
    clock: Arc<dyn Clock>,
    plan: AuditPlan,
    keeper: Keeper,
    replica: String,
    /// Its chain's directory, and how far the chain has come.
    directory: PathBuf,
    reach: Arc<Reach>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Of the thread that writes, and of those that tell.
    ends: Mutex<Vec<oneshot::Receiver<()>>>,
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

/// What the first record of a process says.
fn start(
    who: Who<'_>,
    key: &SigningKey,
    claim: &Claim,
    found: &Recovered,
    seen: Option<u64>,
) -> io::Result<String> {
    let replica = claim.replica.as_str();
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
    if found.holes {
        let length = found.at.length.unwrap_or_default();
        let name = put_beside(&claim.directory, found.at.segment, length)?;
        tracing::warn!(replica, name, "what a power cut has left of the last records is put beside");
        start.text("beside", &name);
    }
    if let Some(why) = &found.why {
        tracing::error!("the ledger was changed by somebody else: {why}; it goes on in a new segment");
        start.text("unreadable", why);
    }
    if let Some(seen) = seen.filter(|seen| *seen >= found.chain.next()) {
        let next = found.chain.next();
        tracing::error!(
            replica,
            "the ledger ends before record {next}, and the witness has seen record {seen}: what was between is lost"
        );
        start.number("witnessed", seen);
    }
    Ok(start.done())
}

/// Says so where others may do something with the ledger.
fn tell_loose(ledger: &Path, chain: &Path) {
    let segments = place::segments(chain).map(|(numbers, _)| numbers).unwrap_or_default();
    let files = segments.iter().rev().take(1).map(|number| place::segment(chain, *number));
    for path in [ledger.to_owned(), chain.to_owned()].into_iter().chain(files) {
        match place::loose(&path) {
            Some(Loose::Written) => tracing::error!(
                path = %path.display(),
                "others than its owner may write into the ledger, and so replace what is in it; chmod go-w"
            ),
            Some(Loose::Read) => tracing::warn!(
                path = %path.display(),
                "everybody on this machine may read the ledger; chmod o-rwx"
            ),
            None => {}
        }
    }
}

/// Has somebody look, for as long as what it gives is held, whether a disk or a witness does not answer.
fn watch(
    queue: &Arc<Queue>,
    tellers: &Arc<Mutex<Vec<Arc<Teller>>>>,
    patience: Duration,
) -> io::Result<mpsc::Sender<()>> {
    let (watched, over) = mpsc::channel();
    let (queue, tellers) = (Arc::clone(queue), Arc::clone(tellers));
    thread::Builder::new().name("ledger-watch".to_owned()).spawn(move || {
        while over.recv_timeout(patience / 4) == Err(mpsc::RecvTimeoutError::Timeout) {
            if let Some(since) = queue.look(patience) {
                tracing::error!("the ledger's disk has not answered for {} seconds", since.as_secs());
            }
            lock(&tellers).iter().for_each(|teller| teller.look(patience));
        }
    })?;
    Ok(watched)
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
        outside: (Arc<dyn Clock>, Arc<Metrics>),
    ) -> Result<Arc<Self>, LedgerFault> {
        Self::open_on(plan, who, key, outside, Ground::default())
    }

    /// The same where somebody reads behind it, who says what may be deleted ([`Reach::hold`]).
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn open_read(
        plan: &AuditPlan,
        who: Who<'_>,
        key: Arc<SigningKey>,
        outside: (Arc<dyn Clock>, Arc<Metrics>),
    ) -> Result<Arc<Self>, LedgerFault> {
        Self::open_on(plan, who, key, outside, Ground { is_read: true, ..Ground::default() })
    }

    /// The same on another ground than usual.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn open_on(
        plan: &AuditPlan,
        who: Who<'_>,
        key: Arc<SigningKey>,
        outside: (Arc<dyn Clock>, Arc<Metrics>),
        ground: Ground,
    ) -> Result<Arc<Self>, LedgerFault> {
        let fault = |error| LedgerFault { directory: plan.directory.clone(), error };
        Self::begin(plan, who, key, outside, ground).map_err(fault)
    }

    fn begin(
        plan: &AuditPlan,
        who: Who<'_>,
        key: Arc<SigningKey>,
        (clock, metrics): (Arc<dyn Clock>, Arc<Metrics>),
        ground: Ground,
    ) -> io::Result<Arc<Self>> {
        let lasts = plan.durability == Durability::Disk;
        let queue = Arc::new(Queue::new(plan.on_full == OnFull::Drop));
        let tellers = Arc::default();
        let watched = watch(&queue, &tellers, ground.patience)?;
        // From here on a disk that does not answer is told, if to the log only.
        queue.busy();
        let claim = Claim::take(&plan.directory, who.name)?;
        let replica = claim.replica.clone();
        tell_loose(&plan.directory, &claim.directory);
        let found = recover(&claim.directory, &replica)?;
        let mut elsewhere = ground.elsewhere;
        if let Some(path) = plan.witness.as_deref() {
            elsewhere.push(Box::new(Witness::new(path, lasts)));
        }
        let (mut ends, mut last) = (Vec::new(), None);
        for one in elsewhere {
            let told = Teller::begin(one, &replica, &metrics)?;
            lock(&tellers).push(Arc::clone(&told.teller));
            // One that does not answer is not waited for: that is said by whoever watches.
            last = last.max(told.has_seen(ground.patience));
            ends.push(told.ended);
        }
        let start = start(who, &key, &claim, &found, last)?;
        let disk = Disk::at(Arc::clone(&ground.medium), &claim.directory, found.at, lasts)?;
        let keep = plan.payloads.as_ref().and_then(|payloads| payloads.keep);
        let shelf = Shelf::at(ground.medium, &claim.directory, (plan.segment_bytes, lasts), keep)?;
        let keeper = Keeper::new(plan, &replica);
        if !keeper.works() {
            return Err(io::Error::other("nothing can be encrypted to the key of audit.payloads"));
        }
        let reach = Arc::new(Reach::new(ground.is_read));
        let directory = claim.directory.clone();
        let mut writer = Writer {
            queue: Arc::clone(&queue),
            chain: found.chain,
            disk,
            key: Arc::clone(&key),
            clock: Arc::clone(&clock),
            plan: plan.clone(),
            tellers: lock(&tellers).clone(),
            reach: Arc::clone(&reach),
            shelf,
            claim,
            unsigned_since: None,
            looked: None,
            began: (clock.now(), Instant::now()),
            mixed: found.mixed,
            newest: clock.now(),
            _watched: watched,
        };
        writer.begin(&start, found.newest.as_deref().and_then(moment_of))?;
        queue.idle();
        let (over, ended) = oneshot::channel();
        ends.insert(0, ended);
        let thread = thread::Builder::new().name("ledger".to_owned());
        let thread = thread.spawn(move || {
            writer.run();
            // Nobody may be waiting for that.
            let _unheard = over.send(());
        })?;
        Ok(Arc::new(Self {
            queue,
            key,
            clock,
            plan: plan.clone(),
            keeper,
            replica,
            directory,
            reach,
            thread: Mutex::new(Some(thread)),
            ends: Mutex::new(ends),
            limited: Mutex::default(),
            metrics,
        }))
    }

    /// The name of the chain that this process writes.
    #[must_use]
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// The directory of the chain that this process writes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How far that chain has come.
    #[must_use]
    pub fn reach(&self) -> Arc<Reach> {
        Arc::clone(&self.reach)
    }

    /// Writes what there is, says that this is the end, signs it and tells the witness. What comes later is not taken.
    pub async fn close(&self) {
        let mut last = Members::default();
        for (kind, limited) in &mut *lock(&self.limited) {
            let name = if *kind == "login" { "moreLogins" } else { "moreSessions" };
            match std::mem::take(&mut limited.more) {
                0 => {}
                more => drop(last.number(name, more)),
            }
        }
        self.queue.close(last.done());
        let ends = std::mem::take(&mut *lock(&self.ends));
        let until = tokio::time::Instant::now() + PARTING;
        for (at, ended) in ends.into_iter().enumerate() {
            if timeout_at(until, ended).await.is_ok() {
                continue;
            }
            if at == 0 {
                tracing::error!("the ledger could not be ended in good order");
                return;
            }
            tracing::error!("the ledger's witness was not told of the end in time");
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

/// Whoever is not let in, or comes with a session that there is not, must not fill the disk. What becomes of sessions that there are must
/// not be left out because somebody else does.
fn is_limited(event: &Event) -> bool {
    let is_lost = || event.members.iter().any(|(name, value)| *name == "outcome" && value == "lost");
    event.kind == "login" || (event.kind == "session" && is_lost())
}

impl Sink for Ledger {
    fn accept(&self, facts: &CallFacts) -> Accept {
        self.push("call", record::of_call(facts, &self.keeper), false)
    }

    fn note(&self, event: Event) {
        let mut members = members_of(&event);
        if is_limited(&event) {
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
        self.queue.close(String::new());
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
