//! How often one server may be asked again: retries must not double the load of a server that is sick because of its load.

use tokio::time::{Duration, Instant};

/// Over so long a time calls and retries are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// One retry for so many calls,
const CALLS: u64 = 5;
/// and so many more, for a server that is rarely called.
const FEW: u64 = 10;

/// The retries of one server.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    began: Instant,
    /// How many requests there had been when the window began.
    requests: u64,
    retries: u64,
    /// What the calls before that had earned, as far as it was not used.
    left: u64,
}

impl RetryBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, requests: 0, retries: 0, left: 0 }
    }

    /// Whether there may be one more retry; `requests` is how many requests there were in all, those that were retries
    /// included.
    pub(crate) fn take(&mut self, now: Instant, requests: u64) -> bool {
        let passed = now.saturating_duration_since(self.began);
        if passed >= WINDOW {
            // Nobody looked meanwhile: as many count as there were in a window on average.
            let unused = u128::from(self.earned(requests).saturating_sub(self.retries));
            let left = unused * WINDOW.as_millis() / passed.as_millis().max(1);
            let left = u64::try_from(left).unwrap_or(u64::MAX);
            *self = Self { began: now, requests, retries: 0, left };
        }
        if self.retries >= FEW + self.earned(requests) {
            return false;
        }
        self.retries += 1;
        true
    }

    fn earned(&self, requests: u64) -> u64 {
        let calls = requests.saturating_sub(self.requests).saturating_sub(self.retries);
        self.left.saturating_add(calls / CALLS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;

    proptest! {
        /// However calls come, and although every one of them fails, retries are a fifth of them and a few.
        #[test]
        fn retries_are_a_fifth_and_a_few(pauses in prop::collection::vec(0..200_u64, 0..3000)) {
            let mut now = Instant::now();
            let mut budget = RetryBudget::new(now);
            let (mut requests, mut calls, mut retries) = (0, 0_u64, 0);
            let began = now;
            for pause in pauses {
                now += Duration::from_millis(pause);
                (requests, calls) = (requests + 1, calls + 1);
                while budget.take(now, requests) {
                    (requests, retries) = (requests + 1, retries + 1);
                }
            }
            let windows = (now - began).as_secs() / WINDOW.as_secs() + 1;
            assert!(retries <= windows * FEW + calls / CALLS, "{retries} of {calls} in {windows}");
        }
    }

    /// How many retries there may be at that time, after so many calls.
    fn taken(budget: &mut RetryBudget, now: Instant, calls: u64) -> u64 {
        let mut retries = 0;
        while budget.take(now, calls + retries) {
            retries += 1;
        }
        retries
    }

    #[test]
    fn a_server_that_is_rarely_called_may_be_asked_again() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now);
        assert_eq!(taken(&mut budget, now, 1), FEW);
        assert_eq!(taken(&mut budget, now + WINDOW, FEW + 2), FEW);
    }

    #[test]
    fn calls_that_went_well_earn_retries_for_those_that_do_not() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now);
        assert_eq!(taken(&mut budget, now + 10 * WINDOW, 10_000), FEW + 200);
    }
}
