//! Who may send something to a server: whom its breaker lets through, and what it hears of how that went.

use base::error::CallError;
use base::fault::{BreakerState, Fault};
use base::lasting::Lasting;
use tokio::time::Instant;

use super::breaker::Entry;
use super::breaker_cell::BreakerCell;

/// Leave to send something to a server. A trial whose outcome nobody tells was none.
#[derive(Debug)]
pub(crate) struct Admission<'b> {
    breaker: &'b BreakerCell,
    is_trial: bool,
}

impl BreakerCell {
    /// Leave to send something, unless the breaker is open.
    pub(crate) fn admit(&self) -> Result<Admission<'_>, CallError> {
        if !self.is_stirred() {
            return Ok(Admission { breaker: self, is_trial: false });
        }
        let (entry, was) = self.change(|breaker| breaker.enter(Instant::now()));
        if was.is_some() {
            self.count(BreakerState::HalfOpen);
        }
        match entry {
            Entry::Free => Ok(Admission { breaker: self, is_trial: false }),
            Entry::Trial => Ok(Admission { breaker: self, is_trial: true }),
            Entry::Refused(refused) => {
                let upstream = self.upstream().to_owned();
                Err(CallError::BreakerOpen { upstream, refused: Box::new(refused) })
            }
        }
    }

    /// The server answered a call.
    pub(crate) fn record_success(&self) {
        if self.is_stirred() {
            self.settle(false);
        }
    }

    /// A call ended with a fault of the server. Whether the breaker has opened for that.
    #[must_use]
    pub(crate) fn record_failure(&self, fault: Fault, error: &CallError) -> bool {
        self.fail(fault, error, false)
    }

    fn settle(&self, is_trial: bool) {
        let ((), was) = self.change(|breaker| breaker.well(is_trial));
        if was.is_some() {
            self.count(BreakerState::Closed);
            tracing::info!(upstream = self.upstream(), "answers again; calls pass");
        }
    }

    fn fail(&self, fault: Fault, error: &CallError, is_trial: bool) -> bool {
        let (roll, now) = (self.roll(), Instant::now());
        let (due, was) = self.change(|breaker| {
            breaker.fault(fault, is_trial, now, roll);
            breaker.due()
        });
        if was.is_none() {
            return false;
        }
        let again = due.map(|due| due.saturating_duration_since(now));
        self.count(BreakerState::Open);
        tracing::warn!(
            upstream = self.upstream(),
            "fails again and again, and is left alone; it is tried again in {}: {error}",
            Lasting(again.unwrap_or_default())
        );
        true
    }
}

impl Admission<'_> {
    pub(crate) fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// The server answered.
    pub(crate) fn record_success(mut self) {
        if std::mem::take(&mut self.is_trial) {
            self.breaker.settle(true);
        } else {
            self.breaker.record_success();
        }
    }

    /// It was not answered in time. What is no trial may well be something that takes long. Whether the breaker has opened for
    /// that.
    #[must_use]
    pub(crate) fn record_late(self, error: &CallError) -> bool {
        self.is_trial && self.record_failure(Fault::Late, error)
    }

    /// The server failed. Whether the breaker has opened for that.
    #[must_use]
    pub(crate) fn record_failure(mut self, fault: Fault, error: &CallError) -> bool {
        let is_trial = std::mem::take(&mut self.is_trial);
        self.breaker.fail(fault, error, is_trial)
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            let ((), was) = self.breaker.change(|breaker| breaker.abandoned(Instant::now()));
            if was.is_some() {
                self.breaker.count(BreakerState::Open);
            }
        }
    }
}
