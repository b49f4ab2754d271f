//! One recorded stream as its writer and its readers use it: the writer waits for a slow reader, and a reader for more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base::plan::Limits;
use base::sync::lock;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::budget::{ReplayBudget, Slot};
use crate::recording::{Bounds, NextEvent, Recording};

/// A reader that takes nothing for this long is not waited for any more; a call without a recording does the same.
const STALLED: Duration = Duration::from_secs(30);

/// A stream of a session, recorded.
#[derive(Debug)]
pub struct Stream {
    /// What the ids of its events begin with.
    name: String,
    state: Mutex<StreamState>,
    /// Changes whenever something was said, read or ended.
    changes: watch::Sender<()>,
    limits: Limits,
    /// The bytes of all streams of the session, and of all sessions.
    session: Arc<AtomicUsize>,
    budget: Arc<ReplayBudget>,
    /// Its place among all recorded streams; without one nothing is kept for a client that is away.
    slot: Option<Slot>,
    /// Told when a client comes back for something that is not kept any more.
    missed: Notify,
    /// Cancelled when it is not kept any more.
    dropped: CancellationToken,
}

#[derive(Debug)]
struct StreamState {
    recording: Recording,
    /// When it was last read.
    left: Instant,
}

impl Stream {
    pub(crate) fn new(
        name: String,
        limits: Limits,
        (session, budget): (Arc<AtomicUsize>, Arc<ReplayBudget>),
        slot: Option<Slot>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            state: Mutex::new(StreamState { recording: Recording::default(), left: Instant::now() }),
            changes: watch::Sender::new(()),
            limits,
            session,
            budget,
            slot,
            missed: Notify::new(),
            dropped: CancellationToken::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn bytes(&self) -> usize {
        lock(&self.state).recording.bytes()
    }

    /// Whether nothing will be added and nobody reads.
    pub(crate) fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.recording.is_over() && !state.recording.is_read()
    }

    /// Waits until the reader has taken enough for another event, or nothing for so long that nobody waits any more.
    pub(crate) async fn ready(&self) {
        let room = async {
            loop {
                let mut changes = self.changes.subscribe();
                if lock(&self.state).recording.has_room(self.limits.replay_bytes) {
                    return;
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if timeout(STALLED, room).await.is_err() {
            lock(&self.state).recording.give_up_reader();
        }
    }

    /// Adds an event.
    pub(crate) fn push(&self, message: Bytes) {
        self.change(|state| state.recording.push(message, Instant::now()));
    }

    /// Nothing more is coming.
    pub(crate) fn close(&self) {
        self.change(|state| state.recording.close());
    }

    /// All that was said after a position, at another replica, and then it was over.
    pub(crate) fn restore(&self, position: u64, messages: Vec<Bytes>) {
        self.change(|state| {
            let now = Instant::now();
            state.recording = Recording::beginning_at(position);
            messages.into_iter().for_each(|message| state.recording.push(message, now));
            state.recording.close();
        });
    }

    /// Nothing more is coming, and nothing is kept.
    pub(crate) fn end(&self) {
        self.change(|state| {
            state.recording.close();
            state.recording.clear();
        });
        self.dropped.cancel();
    }

    /// Waits until it is over and has been kept for as long as it should be, or is not kept any more.
    pub(crate) async fn kept(&self) {
        tokio::select! {
            () = tokio::time::sleep(self.limits.replay_for) => {}
            () = self.dropped.cancelled() => {}
        }
    }

    /// Waits until nobody has read for as long as the stream is kept.
    pub async fn abandoned(&self) {
        let patience = if self.slot.is_some() { self.limits.replay_for } else { Duration::ZERO };
        loop {
            let mut changes = self.changes.subscribe();
            let left = {
                let state = lock(&self.state);
                (!state.recording.is_read()).then_some(state.left)
            };
            let changed = async { drop(changes.changed().await) };
            match left {
                None => changed.await,
                Some(left) => {
                    if timeout_at(left + patience, changed).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Lets who writes say that everything may have changed.
    pub fn tell_everything(&self) {
        self.missed.notify_one();
    }

    /// Waits until that is to be said.
    pub async fn has_missed(&self) {
        self.missed.notified().await;
    }

    /// The position at which a client that names none begins: behind what any reader has got.
    pub(crate) fn unread(&self) -> u64 {
        lock(&self.state).recording.unread()
    }

    /// Whether it is over and a client at `position` has all of it.
    pub(crate) fn has_nothing_after(&self, position: u64) -> bool {
        let state = lock(&self.state);
        state.recording.is_over() && state.recording.end() == position
    }

    /// Reads on after `position`, in the place of whoever reads now; none when what came then is not kept (any more).
    pub fn read_from(self: &Arc<Self>, position: u64) -> Option<StreamReader> {
        let number = self.change(|state| state.recording.attach(position))?;
        Some(StreamReader { stream: Arc::clone(self), number, began: position })
    }

    /// Changes the recording, keeps it and the counts within bounds, and wakes who waits.
    fn change<T>(&self, change: impl FnOnce(&mut StreamState) -> T) -> T {
        let mut state = lock(&self.state);
        let before = state.recording.bytes();
        let changed = change(&mut state);
        let now = Instant::now();
        let others = |all: &AtomicUsize| all.load(Ordering::Relaxed).saturating_sub(before);
        let in_session = self.limits.replay_bytes.saturating_sub(others(&self.session));
        let in_all = self.limits.replay_total.saturating_sub(others(&self.budget.bytes));
        state.recording.trim(Bounds {
            events: self.limits.replay_events,
            bytes: in_session.min(in_all),
            since: now.checked_sub(self.limits.replay_for).unwrap_or(now),
        });
        let after = state.recording.bytes();
        for all in [&*self.session, &self.budget.bytes] {
            // Together, so that the count never passes below zero.
            all.fetch_add(after, Ordering::Relaxed);
            all.fetch_sub(before, Ordering::Relaxed);
        }
        drop(state);
        self.changes.send_replace(());
        changed
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let bytes = self.bytes();
        self.session.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One connection that reads a stream, until dropped.
#[derive(Debug)]
pub struct StreamReader {
    stream: Arc<Stream>,
    number: u64,
    began: u64,
}

impl StreamReader {
    /// The id of the event after which it began to read.
    pub fn began(&self) -> String {
        self.id(self.began)
    }

    /// The next event and its id; none when there is no more for this reader. Cancel safe.
    pub async fn next(&mut self) -> Option<(String, Bytes)> {
        loop {
            let mut changes = self.stream.changes.subscribe();
            let read = lock(&self.stream.state).recording.read(self.number);
            match read {
                NextEvent::Event(position, message) => {
                    // There may be room again for who writes, and less to keep.
                    self.stream.change(|_| ());
                    return Some((self.id(position), message));
                }
                NextEvent::Wait => changes.changed().await.ok()?,
                NextEvent::Over | NextEvent::Lost | NextEvent::Replaced => return None,
            }
        }
    }

    fn id(&self, position: u64) -> String {
        format!("{}-{position}", self.stream.name)
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.stream.change(|state| {
            if state.recording.detach(self.number) {
                state.left = Instant::now();
            }
        });
    }
}
