//! The breaker of one server, shared by all threads. As long as all is well, a call reads one atomic flag, before and after it
//! is sent, and neither locks nor allocates.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base::fault::BreakerState;
use base::metrics::Metrics;
use base::plan::UpstreamPlan;
use base::sync::lock;
use tokio::time::{Duration, Instant};

use super::breaker::Breaker;
use super::jitter::Jitter;
use super::retry_budget::RetryBudget;

/// What keeps a sick server from being asked too often.
#[derive(Debug)]
pub(crate) struct BreakerCell {
    upstream: String,
    metrics: Arc<Metrics>,
    /// Whether there is anything to look at: the breaker is not closed, or has heard of a fault. Written only while the
    /// breaker is locked, and read without it; who reads it a moment too early passes as if it had come earlier.
    stirred: AtomicBool,
    breaker: Mutex<Breaker>,
    budget: Mutex<RetryBudget>,
    jitter: Jitter,
}

impl BreakerCell {
    pub(crate) fn new(plan: &UpstreamPlan, metrics: &Arc<Metrics>) -> Self {
        Self {
            upstream: plan.name.clone(),
            metrics: Arc::clone(metrics),
            stirred: AtomicBool::new(false),
            breaker: Mutex::new(Breaker::new(plan.breaker)),
            budget: Mutex::new(RetryBudget::new(Instant::now())),
            jitter: Jitter::new(),
        }
    }

    /// The server's name.
    pub(super) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Counts that the breaker is in another state.
    pub(super) fn count(&self, state: BreakerState) {
        self.metrics.breaker(&self.upstream, state);
    }

    /// What the breaker does.
    pub(crate) fn state(&self) -> BreakerState {
        if self.is_stirred() { lock(&self.breaker).state() } else { BreakerState::Closed }
    }

    /// When the server is to be tried again; none while the breaker is closed.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.is_stirred() { lock(&self.breaker).due() } else { None }
    }

    /// A pause of that length, or up to half shorter.
    pub(crate) fn jitter(&self, pause: Duration) -> Duration {
        self.jitter.shorten(pause)
    }

    /// Whether there may be one more retry, after so many requests.
    pub(crate) fn may_retry(&self, requests: u64) -> bool {
        lock(&self.budget).take(Instant::now(), requests)
    }

    /// A number by which pauses differ.
    pub(super) fn roll(&self) -> u64 {
        self.jitter.roll()
    }

    /// Whether there is anything to look at.
    pub(super) fn is_stirred(&self) -> bool {
        self.stirred.load(Ordering::Relaxed)
    }

    /// Changes the breaker; says how it was, if it is otherwise now.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> (T, Option<BreakerState>) {
        let mut breaker = lock(&self.breaker);
        let before = breaker.state();
        let done = change(&mut breaker);
        self.stirred.store(!breaker.is_at_rest(), Ordering::Relaxed);
        (done, (breaker.state() != before).then_some(before))
    }
}
