//! What outlives a call: the few things that change, and what is counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::calls::locked;
use crate::changes::{Change, Changes};

/// How many changes a slow listener may be behind before it is told that everything changed.
const BACKLOG: usize = 64;

/// How many outcomes of `test_cancellation` are remembered.
const OUTCOMES: usize = 256;

/// What outlives a call.
#[derive(Debug)]
pub(crate) struct World {
    has_dynamic_tool: AtomicBool,
    has_dynamic_prompt: AtomicBool,
    watched_version: AtomicU64,
    changes: broadcast::Sender<Change>,
    cancellations: watch::Sender<u64>,
    outcomes: Mutex<VecDeque<(String, &'static str)>>,
    /// Requests that came, refused ones included.
    pub(crate) requests: AtomicU64,
    /// Legacy sessions that were opened.
    pub(crate) sessions_opened: AtomicU64,
    /// SSE streams that are open.
    pub(crate) streams: Gauge,
    /// `subscriptions/listen` calls that run.
    pub(crate) listens: Gauge,
}

impl World {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        Self {
            has_dynamic_tool: AtomicBool::new(false),
            has_dynamic_prompt: AtomicBool::new(false),
            watched_version: AtomicU64::new(1),
            changes: broadcast::Sender::new(BACKLOG),
            cancellations: watch::Sender::new(0),
            outcomes: Mutex::default(),
            requests: AtomicU64::new(0),
            sessions_opened: AtomicU64::new(0),
            streams: Gauge::default(),
            listens: Gauge::default(),
        }
    }

    /// Makes a change and tells those who follow.
    pub(crate) fn change(&self, change: Change) {
        match change {
            Change::Tools => drop(self.has_dynamic_tool.fetch_xor(true, Ordering::Relaxed)),
            Change::Prompts => drop(self.has_dynamic_prompt.fetch_xor(true, Ordering::Relaxed)),
            Change::Watched => drop(self.watched_version.fetch_add(1, Ordering::Relaxed)),
        }
        if self.changes.send(change).is_err() {
            tracing::debug!(?change, "nobody follows");
        }
    }

    /// The changes from now on.
    pub(crate) fn follow(&self) -> Changes {
        Changes::follow(&self.changes)
    }

    /// Whether the tool that comes and goes is there.
    pub(crate) fn has_dynamic_tool(&self) -> bool {
        self.has_dynamic_tool.load(Ordering::Relaxed)
    }

    /// Whether the prompt that comes and goes is there.
    pub(crate) fn has_dynamic_prompt(&self) -> bool {
        self.has_dynamic_prompt.load(Ordering::Relaxed)
    }

    /// How often the watched resource changed, and one.
    pub(crate) fn watched_version(&self) -> u64 {
        self.watched_version.load(Ordering::Relaxed)
    }

    /// A tool call was cancelled.
    pub(crate) fn count_cancellation(&self) {
        self.cancellations.send_modify(|count| *count += 1);
    }

    /// How many tool calls were cancelled, once there are at least so many or that time has passed.
    pub(crate) async fn cancellations(&self, at_least: u64, within: Duration) -> u64 {
        let mut count = self.cancellations.subscribe();
        let reached = tokio::time::timeout(within, count.wait_for(|count| *count >= at_least)).await;
        reached.ok().and_then(Result::ok).map_or_else(|| *self.cancellations.borrow(), |count| *count)
    }

    /// Notes how the `test_cancellation` of that token fares.
    pub(crate) fn note_outcome(&self, token: &str, outcome: &'static str) {
        let mut outcomes = locked(&self.outcomes);
        match outcomes.iter_mut().find(|(known, _)| known == token) {
            Some((_, known)) => *known = outcome,
            None => {
                if outcomes.len() >= OUTCOMES {
                    outcomes.pop_front();
                }
                outcomes.push_back((token.to_owned(), outcome));
            }
        }
    }

    /// How the `test_cancellation` of that token fares.
    pub(crate) fn outcome(&self, token: &str) -> &'static str {
        locked(&self.outcomes)
            .iter()
            .find(|(known, _)| known == token)
            .map_or("unknown", |(_, outcome)| outcome)
    }
}

/// How many of something there are.
#[derive(Debug, Default, Clone)]
pub(crate) struct Gauge(Arc<AtomicU64>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Gauge {
    /// One more.
    pub(crate) fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// How many.
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
