//! Who may send something to a server: whom its breaker lets through, and what it hears of how that went.

use base::error::CallError;
use base::fault::{BreakerState, Fault};
use tokio::time::Instant;

use crate::health::breaker::Entry;
use crate::link::Health;
use crate::shared::Shared;

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
        let roll = self.guard.roll();
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
