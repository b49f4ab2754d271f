//! The arithmetic of rates: one number for each who is counted, the time when the next would come if all came evenly.
//!
//! It is the generic cell rate algorithm (ITU-T I.371 annex A) in nanoseconds. Of any time that is looked at, no more pass than the
//! burst and one for each interval in it. It is written here because what replicas share is counted by the same numbers in the
//! database, calls at once and bytes lie beside it under one lock, and tests pause tokio's clock: `governor` has none of that.

use std::time::Duration;

use base::plan::limit::Rate;

/// Nanoseconds since some beginning.
pub(crate) type Nanos = u64;

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// What one takes.
    every: Nanos,
    /// How far ahead of time they may come.
    slack: Nanos,
}

impl Pace {
    /// That of a rate, and never faster.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let every = nanos(rate.within).div_ceil(u64::from(rate.times.max(1))).max(1);
        Self { every, slack: every.saturating_mul(u64::from(rate.burst.max(1) - 1)) }
    }

    /// The same for one of so many who share it evenly.
    pub(crate) fn shared_by(self, replicas: usize) -> Self {
        let replicas = u64::try_from(replicas.max(1)).unwrap_or(u64::MAX);
        Self { every: self.every.saturating_mul(replicas), ..self }
    }

    /// One more, after those that `next` stands for: how many more may follow at once.
    ///
    /// # Errors
    /// How long it has to wait. Then nothing has changed.
    pub fn take(self, next: &mut Nanos, now: Nanos) -> Result<u64, Nanos> {
        let ahead = next.saturating_sub(now);
        if ahead > self.slack {
            return Err(ahead - self.slack);
        }
        *next = now.saturating_add(ahead).saturating_add(self.every);
        Ok((self.slack - ahead) / self.every)
    }

    /// One more in any case: how long it has to wait to be in time.
    pub(crate) fn take_late(self, next: &mut Nanos, now: Nanos) -> Nanos {
        let ahead = next.saturating_sub(now);
        *next = now.saturating_add(ahead).saturating_add(self.every);
        ahead.saturating_sub(self.slack)
    }

    /// How long one more would have to wait.
    pub(crate) fn wait(self, next: Nanos, now: Nanos) -> Nanos {
        next.saturating_sub(now).saturating_sub(self.slack)
    }

    /// One that was taken is not needed.
    pub(crate) fn give_back(self, next: &mut Nanos) {
        *next = next.saturating_sub(self.every);
    }

    /// What one takes, and how far ahead of time they may come.
    pub(crate) fn parts(self) -> (Nanos, Nanos) {
        (self.every, self.slack)
    }
}

/// So many bytes in an hour, which are counted when they have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    bytes: u64,
}

const HOUR: Nanos = 3_600_000_000_000;

impl Quota {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes: u64::try_from(bytes).unwrap_or(u64::MAX).max(1) }
    }

    /// Whether there is any left.
    ///
    /// # Errors
    /// How long it takes until there is.
    pub(crate) fn check(next: Nanos, now: Nanos) -> Result<(), Nanos> {
        let ahead = next.saturating_sub(now);
        if ahead < HOUR { Ok(()) } else { Err(ahead - HOUR + 1) }
    }

    /// So many have come.
    pub(crate) fn count(self, next: &mut Nanos, now: Nanos, bytes: usize) {
        *next = (*next).max(now).saturating_add(self.takes(bytes));
    }

    /// In what time so many may come.
    pub(crate) fn takes(self, bytes: usize) -> Nanos {
        let takes = (bytes as u128 * u128::from(HOUR)).div_ceil(u128::from(self.bytes));
        Nanos::try_from(takes).unwrap_or(Nanos::MAX)
    }

    /// Whether that is so much that others should know of it soon.
    pub(crate) fn is_much(self, bytes: usize) -> bool {
        self.takes(bytes) > HOUR / 100
    }
}

pub(crate) fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn pace(times: u32, burst: u32) -> Pace {
        Pace::new(Rate { times, within: Duration::from_secs(60), burst })
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_after_the_other() {
        let (pace, mut next, now) = (pace(60, 3), 0, 1000 * SECOND);
        assert_eq!(pace.take(&mut next, now), Ok(2));
        assert_eq!(pace.take(&mut next, now), Ok(1));
        assert_eq!(pace.take(&mut next, now), Ok(0));
        assert_eq!(pace.take(&mut next, now), Err(SECOND));
        assert_eq!(pace.take(&mut next, now + SECOND - 1), Err(1));
        assert_eq!(pace.take(&mut next, now + SECOND), Ok(0));
        pace.give_back(&mut next);
        assert_eq!(pace.take(&mut next, now + SECOND), Ok(0));
        assert_eq!(pace.take_late(&mut next, now + SECOND), SECOND);
        assert_eq!(pace.take_late(&mut next, now + SECOND), 2 * SECOND);
        // After a pause, however long, it is the burst again.
        assert_eq!(pace.take(&mut next, now + 1_000_000 * SECOND), Ok(2));
    }

    #[test]
    fn bytes_are_counted_when_they_have_come() {
        let (quota, mut next, now) = (Quota::new(1000), 0, 50 * SECOND);
        assert_eq!(Quota::check(next, now), Ok(()));
        quota.count(&mut next, now, 999);
        assert_eq!(Quota::check(next, now), Ok(()));
        // The last answer may be as long as it likes, and is paid for afterwards.
        quota.count(&mut next, now, 501);
        assert_eq!(Quota::check(next, now), Err(HOUR / 2 + 1));
        assert_eq!(Quota::check(next, now + HOUR / 2 + 1), Ok(()));
        let mut next = 0;
        Quota::new(usize::MAX).count(&mut next, 0, 1);
        assert_eq!(next, 1);
        Quota::new(1).count(&mut next, 0, usize::MAX);
        assert_eq!(next, Nanos::MAX);
    }

    proptest! {
        /// In no time that is looked at do more pass than the burst and the rate allow.
        #[test]
        fn never_more_than_burst_and_rate(
            times in 1..5000_u32,
            burst in 1..50_u32,
            gaps in prop::collection::vec(0..2 * SECOND, 1..300),
        ) {
            let pace = pace(times, burst);
            let (mut now, mut next, mut passed) = (SECOND, 0, Vec::new());
            for gap in gaps {
                now += gap;
                let before = next;
                match pace.take(&mut next, now) {
                    Ok(_) => passed.push(now),
                    Err(wait) => {
                        prop_assert_eq!(next, before);
                        // It waits no longer than it is told.
                        let mut later = next;
                        prop_assert!(pace.take(&mut later, now + wait).is_ok());
                        prop_assert!(wait == 1 || pace.take(&mut next.clone(), now + wait - 1).is_err());
                    }
                }
            }
            for (from, begin) in passed.iter().enumerate() {
                for (to, end) in passed.iter().enumerate().skip(from) {
                    let most = u128::from(burst) + u128::from(end - begin) * u128::from(times) / 60_000_000_000;
                    prop_assert!((to - from + 1) as u128 <= most, "{} in {}", to - from + 1, end - begin);
                }
            }
        }
    }
}
