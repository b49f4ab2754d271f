//! The breaker of one server, shared by all threads. As long as all is well, a call reads one atomic flag, before and after it
//! is sent, and neither locks nor allocates.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use base::error::CallError;
use base::fault::{BreakerState, Fault};
use base::plan::BreakerPlan;
use base::sync::lock;
use tokio::time::{Duration, Instant};

use crate::breaker::{Breaker, Entry};
use crate::budget::Budget;
use crate::dice::Dice;
use crate::link::Health;
use crate::shared::Shared;

/// What keeps a sick server from being asked too often.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Whether there is anything to look at: the breaker is not closed, or has heard of a fault. Written only while the
    /// breaker is locked, and read without it; who reads it a moment too early passes as if it had come earlier.
    stirred: AtomicBool,
    breaker: Mutex<Breaker>,
    budget: Mutex<Budget>,
    dice: Dice,
}

impl Guard {
    pub(crate) fn new(plan: BreakerPlan) -> Self {
        Self {
            stirred: AtomicBool::new(false),
            breaker: Mutex::new(Breaker::new(plan)),
            budget: Mutex::new(Budget::new(Instant::now())),
            dice: Dice::new(),
        }
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
        self.dice.jitter(pause)
    }

    /// Whether there may be one more retry, after so many requests.
    pub(crate) fn may_retry(&self, requests: u64) -> bool {
        lock(&self.budget).take(Instant::now(), requests)
    }

    fn is_stirred(&self) -> bool {
        self.stirred.load(Ordering::Relaxed)
    }

    /// Changes the breaker; says how it was, if it is otherwise now.
    fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> (T, Option<BreakerState>) {
        let mut breaker = lock(&self.breaker);
        let before = breaker.state();
        let done = change(&mut breaker);
        self.stirred.store(!breaker.is_at_rest(), Ordering::Relaxed);
        (done, (breaker.state() != before).then_some(before))
    }
}

/// Leave to send something to a server. A trial whose outcome nobody tells was none.
#[derive(Debug)]
pub(crate) struct Pass<'s> {
    shared: &'s Shared,
    is_trial: bool,
}

impl Shared {
    /// Leave to send something, unless the breaker is open.
    pub(crate) fn enter(&self) -> Result<Pass<'_>, CallError> {
        if !self.guard.is_stirred() {
            return Ok(Pass { shared: self, is_trial: false });
        }
        let (entry, was) = self.guard.change(|breaker| breaker.enter(Instant::now()));
        if was.is_some() {
            self.world.metrics.breaker(&self.plan.name, BreakerState::HalfOpen);
        }
        match entry {
            Entry::Free => Ok(Pass { shared: self, is_trial: false }),
            Entry::Trial => Ok(Pass { shared: self, is_trial: true }),
            Entry::Refused(refused) => {
                Err(CallError::BreakerOpen { upstream: self.plan.name.clone(), refused: Box::new(refused) })
            }
        }
    }

    /// The server answered a call.
    pub(crate) fn went_well(&self) {
        if self.guard.is_stirred() {
            self.settle(false);
        }
    }

    /// A call ended with a fault of the server.
    pub(crate) fn went_wrong(&self, fault: Fault, error: &CallError) {
        self.blame(fault, error, false);
    }

    fn settle(&self, is_trial: bool) {
        let ((), was) = self.guard.change(|breaker| breaker.well(is_trial));
        if was.is_some() {
            self.world.metrics.breaker(&self.plan.name, BreakerState::Closed);
            tracing::info!(upstream = self.plan.name, "answers again; calls pass");
        }
    }

    fn blame(&self, fault: Fault, error: &CallError, is_trial: bool) {
        let roll = self.guard.dice.roll();
        let now = Instant::now();
        let (due, was) = self.guard.change(|breaker| {
            breaker.fault(fault, is_trial, now, roll);
            breaker.due()
        });
        if was.is_none() {
            return;
        }
        let (name, again) = (&self.plan.name, due.map(|due| due.saturating_duration_since(now)));
        self.world.metrics.breaker(name, BreakerState::Open);
        tracing::warn!(
            upstream = name,
            ?again,
            "fails again and again, and is left alone for a while: {error}"
        );
        self.set_health(Health::Down { why: error.to_string() });
    }
}

impl Pass<'_> {
    pub(crate) fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// The server answered.
    pub(crate) fn well(mut self) {
        if std::mem::take(&mut self.is_trial) {
            self.shared.settle(true);
        } else {
            self.shared.went_well();
        }
    }

    /// It was not answered in time. What is no trial may well be something that takes long.
    pub(crate) fn late(self, error: &CallError) {
        if self.is_trial {
            self.fault(Fault::Late, error);
        }
    }

    /// The server failed.
    pub(crate) fn fault(mut self, fault: Fault, error: &CallError) {
        let is_trial = std::mem::take(&mut self.is_trial);
        self.shared.blame(fault, error, is_trial);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            let ((), was) = self.shared.guard.change(|breaker| breaker.abandoned(Instant::now()));
            if was.is_some() {
                self.shared.world.metrics.breaker(&self.shared.plan.name, BreakerState::Open);
            }
        }
    }
}
