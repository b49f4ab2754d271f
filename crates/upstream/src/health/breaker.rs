//! The circuit breaker of one server, as a state machine: what happened and when goes in, what may be sent comes out.
//!
//! Closed, everything passes. After so many faults of the server in a row it opens: nothing passes for a pause. Then one
//! call is let through as a trial. If that goes well the breaker is closed again; if not, the next pause is twice as
//! long, up to a bound.

use base::fault::{BreakerState, Fault, Refused};
use base::plan::BreakerPlan;
use tokio::time::{Duration, Instant};

use super::jitter::jittered;

/// A breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    plan: BreakerPlan,
    phase: Phase,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// After so many faults in a row.
    Closed { faults: usize },
    /// Nothing passes until then.
    Open(Shut),
    /// One call was let through; if nothing is heard of it until then, another one is.
    HalfOpen(Shut),
}

#[derive(Debug, Clone, Copy)]
struct Shut {
    since: Instant,
    until: Instant,
    /// How many trials went wrong.
    trials: u32,
    fault: Fault,
}

/// Whether a call may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// As usual.
    Free,
    /// As a trial, whose outcome decides.
    Trial,
    /// Not now.
    Refused(Refused),
}

impl Breaker {
    pub(crate) fn new(plan: BreakerPlan) -> Self {
        Self { plan, phase: Phase::Closed { faults: 0 } }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open(_) => BreakerState::Open,
            Phase::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }

    /// Whether it is closed and the last thing that it heard of was no fault.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Closed { faults: 0 })
    }

    /// When the server is to be tried again; none while the breaker is closed.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed { .. } => None,
            Phase::Open(shut) | Phase::HalfOpen(shut) => Some(shut.until),
        }
    }

    /// Somebody wants to send something.
    pub(crate) fn enter(&mut self, now: Instant) -> Entry {
        let (Phase::Open(shut) | Phase::HalfOpen(shut)) = self.phase else { return Entry::Free };
        if now < shut.until {
            let since = now.saturating_duration_since(shut.since);
            return Entry::Refused(Refused { since, again: shut.until - now, fault: shut.fault });
        }
        // A trial that takes long must not keep everybody out.
        self.phase = Phase::HalfOpen(Shut { until: now + self.pause(shut.trials), ..shut });
        Entry::Trial
    }

    /// The server answered. What was sent before the breaker opened decides nothing any more.
    pub(crate) fn well(&mut self, is_trial: bool) {
        if is_trial || self.state() == BreakerState::Closed {
            self.phase = Phase::Closed { faults: 0 };
        }
    }

    /// The server failed.
    pub(crate) fn fault(&mut self, fault: Fault, is_trial: bool, now: Instant, roll: u64) {
        let shut = match self.phase {
            Phase::Closed { faults } => {
                let faults = faults + 1;
                if self.plan.failures == 0 || faults < self.plan.failures {
                    self.phase = Phase::Closed { faults };
                    return;
                }
                Shut { since: now, until: now, trials: 0, fault }
            }
            Phase::HalfOpen(shut) if is_trial => {
                Shut { trials: shut.trials.saturating_add(1), fault, ..shut }
            }
            Phase::Open(_) | Phase::HalfOpen(_) => return,
        };
        self.phase = Phase::Open(Shut { until: now + jittered(self.pause(shut.trials), roll), ..shut });
    }

    /// Nobody will hear what became of a trial: the next call is one.
    pub(crate) fn abandoned(&mut self, now: Instant) {
        if let Phase::HalfOpen(shut) = self.phase {
            self.phase = Phase::Open(Shut { until: now, ..shut });
        }
    }

    fn pause(&self, trials: u32) -> Duration {
        let doubled = self.plan.pause.saturating_mul(1_u32.checked_shl(trials).unwrap_or(u32::MAX));
        doubled.min(self.plan.longest_pause)
    }
}

#[cfg(test)]
mod tests;
