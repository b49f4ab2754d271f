//! What waits to be written: bounded, and honest about what it could not take, and about how long its writer has been at it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base::sync::lock;
use tokio::sync::oneshot;

use crate::line::BACK;

/// How much may wait before new calls are refused. What is under way may still bring its records, so there may be as many more as there
/// are calls at once.
const MOST: usize = 8192;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// One record on its way.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: &'static str,
    pub(crate) at: SystemTime,
    pub(crate) body: String,
    /// Lines that are written elsewhere before it is.
    pub(crate) payloads: String,
    /// Hears that it is written.
    pub(crate) taken: Option<oneshot::Sender<()>>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.body.len() + self.payloads.len()
    }
}

/// What is not in the ledger, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Records that were dropped.
    pub(crate) lost: u64,
    /// Calls that were refused because no record could be taken.
    pub(crate) refused: u64,
    pub(crate) since: SystemTime,
}

/// What is written next. Its records are in the order of time.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    /// What could not be taken before.
    pub(crate) gap: Option<Gap>,
    /// When it was taken: not before what is in it or was in another one, nor behind what comes next.
    pub(crate) at: SystemTime,
    /// The clock has gone back: what comes next was made before what is here.
    pub(crate) back: bool,
    /// Nothing comes any more, and what the end says.
    pub(crate) last: Option<String>,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// What the end says, as soon as there is to be one.
    closing: Option<String>,
    sleeping: bool,
    gap: Option<Gap>,
    failing: Option<String>,
    /// Since when the writer has not come back from the disk.
    busy: Option<Instant>,
    /// The time of the newest record that was taken.
    newest: Option<SystemTime>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Whether new calls may come.
    open: AtomicBool,
    /// Whether what cannot be taken is dropped.
    drops: bool,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.entries.len() >= MOST || self.bytes >= MOST_BYTES
    }

    fn lacks(&mut self, (lost, refused): (u64, u64), at: SystemTime) {
        let gap = self.gap.get_or_insert(Gap { lost: 0, refused: 0, since: at });
        (gap.lost, gap.refused) = (gap.lost + lost, gap.refused + refused);
    }
}

impl Queue {
    pub(crate) fn new(drops: bool) -> Self {
        let (waiting, wake) = (Mutex::default(), Condvar::new());
        Self { waiting, wake, open: AtomicBool::new(true), drops }
    }

    /// Whether there is place for the record of a new call.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Why nothing can be written now.
    pub(crate) fn failing(&self) -> Option<String> {
        lock(&self.waiting).failing.clone()
    }

    /// A call was refused for want of a record.
    pub(crate) fn refused(&self, at: SystemTime) {
        lock(&self.waiting).lacks((0, 1), at);
    }

    /// Puts a record in; nothing where nobody need wait for it. `optional` is what may be left out where there is no place.
    pub(crate) fn push(
        &self,
        (kind, body, payloads): (&'static str, String, String),
        now: impl FnOnce() -> SystemTime,
        optional: bool,
    ) -> Option<oneshot::Receiver<()>> {
        let mut waiting = lock(&self.waiting);
        // Asked under the lock: the times of records are in their order.
        let at = now();
        let has_place = !waiting.is_full() && waiting.failing.is_none();
        let (taken, hear) = oneshot::channel();
        if waiting.closing.is_some() || (!has_place && (self.drops || optional)) {
            waiting.lacks((1, 0), at);
            // After the end nobody writes any more, and what must be written cannot be: whoever waits hears so at once.
            return (!self.drops && !optional).then_some(hear);
        }
        let entry = Entry { kind, at, body, payloads, taken: Some(taken) };
        waiting.bytes += entry.bytes();
        waiting.entries.push_back(entry);
        if waiting.is_full() {
            self.open.store(false, Ordering::Relaxed);
        }
        if std::mem::take(&mut waiting.sleeping) {
            drop(waiting);
            self.wake.notify_one();
        }
        Some(hear)
    }

    /// Waits for records, at most so long, and takes about so many bytes of them.
    pub(crate) fn take(
        &self,
        within: Duration,
        most_bytes: usize,
        now: impl FnOnce() -> SystemTime,
    ) -> Batch {
        let mut waiting = lock(&self.waiting);
        if waiting.entries.is_empty() && waiting.closing.is_none() && waiting.gap.is_none() {
            waiting.sleeping = true;
            let woken =
                self.wake.wait_timeout_while(waiting, within, |now| now.sleeping && now.closing.is_none());
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeping = false;
        }
        waiting.busy = Some(Instant::now());
        let (mut entries, mut bytes, mut back) = (Vec::new(), 0, false);
        while bytes < most_bytes
            && let Some(at) = waiting.entries.front().map(|entry| entry.at)
        {
            let newest = waiting.newest.unwrap_or(at);
            if at + BACK < newest {
                back = true;
                break;
            }
            waiting.newest = Some(newest.max(at));
            let entry = waiting.entries.pop_front();
            bytes += entry.as_ref().map_or(0, Entry::bytes);
            entries.extend(entry);
        }
        waiting.bytes -= bytes;
        let newest = waiting.newest;
        // Asked under the lock: what comes later was made later.
        let at = if waiting.entries.is_empty() { now() } else { newest.unwrap_or_else(now) };
        let at = newest.map_or(at, |newest| newest.max(at));
        waiting.newest = if back { waiting.entries.front().map(|entry| entry.at) } else { Some(at) };
        let last = if waiting.entries.is_empty() { waiting.closing.clone() } else { None };
        let is_open = !waiting.is_full() && waiting.failing.is_none() && waiting.closing.is_none();
        self.open.store(is_open, Ordering::Relaxed);
        Batch { entries, gap: waiting.gap.take(), at, back, last }
    }

    /// What the chain has already is so new.
    pub(crate) fn goes_on_from(&self, newest: SystemTime) {
        lock(&self.waiting).newest = Some(newest);
    }

    /// The writer is about to ask the disk for something.
    pub(crate) fn busy(&self) {
        lock(&self.waiting).busy = Some(Instant::now());
    }

    /// Nothing can be written; true where that is new.
    pub(crate) fn fail(&self, why: String) -> bool {
        let mut waiting = lock(&self.waiting);
        // It has answered.
        waiting.busy = None;
        self.cannot(&mut waiting, why)
    }

    /// Looks whether the writer has been at one thing for longer than that. Says since when, where that is new.
    pub(crate) fn look(&self, patience: Duration) -> Option<Duration> {
        let mut waiting = lock(&self.waiting);
        let since = waiting.busy?.elapsed();
        if since <= patience {
            return None;
        }
        let why = format!("its disk has not answered for {} seconds", since.as_secs());
        self.cannot(&mut waiting, why).then_some(since)
    }

    fn cannot(&self, waiting: &mut Waiting, why: String) -> bool {
        self.open.store(false, Ordering::Relaxed);
        if self.drops {
            // Nobody waits for what nobody promised.
            waiting.entries.iter_mut().for_each(|entry| drop(entry.taken.take()));
        }
        waiting.failing.replace(why).is_none()
    }

    /// It can again; true where it could not.
    pub(crate) fn recover(&self) -> bool {
        self.can(&mut lock(&self.waiting))
    }

    /// The writer has come back from the disk; true where it could not be asked before.
    pub(crate) fn idle(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.busy = None;
        self.can(&mut waiting)
    }

    fn can(&self, waiting: &mut Waiting) -> bool {
        let was_failing = waiting.failing.take().is_some();
        self.open.store(!waiting.is_full() && waiting.closing.is_none(), Ordering::Relaxed);
        was_failing
    }

    /// Waits before the next try, unless it is all to end.
    pub(crate) fn pause(&self, time: Duration) {
        let waiting = lock(&self.waiting);
        drop(self.wake.wait_timeout_while(waiting, time, |now| now.closing.is_none()));
    }

    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.waiting).closing.is_some()
    }

    /// Nothing is taken from now on. `last` are the members of the last record.
    pub(crate) fn close(&self, last: String) {
        let mut waiting = lock(&self.waiting);
        waiting.closing.get_or_insert(last);
        self.open.store(false, Ordering::Relaxed);
        drop(waiting);
        self.wake.notify_all();
    }
}
