//! What a replica was given of a rate that all share.

use std::sync::Arc;

use crate::pace::{Nanos, Pace};

/// How long it may be spent. What is left then is lost: others have not had it, and it is not made good.
pub(crate) const GOOD: Nanos = 1_000_000_000;
/// All replicas together hold no more than what comes in this time, so that in a second no more than a tenth too many pass.
const AHEAD: Nanos = 100_000_000;

/// A lease.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    tokens: u64,
    until: Nanos,
    /// Until when the store need not be asked, because there are none.
    none_until: Nanos,
    /// One asks at a time.
    pub(crate) asking: Arc<tokio::sync::Mutex<()>>,
}

/// What a lease says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leased {
    /// One was spent, of those that are good until then.
    Spent(Nanos),
    /// There are none for so long.
    None(Nanos),
    /// The store knows.
    Ask,
}

impl Lease {
    pub(crate) fn counts(&self, now: Nanos) -> bool {
        (self.tokens > 0 && self.until > now) || self.none_until > now || Arc::strong_count(&self.asking) > 1
    }

    /// Spends one.
    pub(crate) fn spend(&mut self, now: Nanos) -> Leased {
        if self.tokens > 0 && self.until > now {
            self.tokens -= 1;
            return Leased::Spent(self.until);
        }
        if self.none_until > now { Leased::None(self.none_until - now) } else { Leased::Ask }
    }

    /// One that was spent is not needed. It is lost if it was of an earlier lease.
    pub(crate) fn give_back(&mut self, until: Nanos) {
        self.tokens += u64::from(self.until == until);
    }

    /// The store has given so many, or none for so long.
    pub(crate) fn put(&mut self, (tokens, wait): (u64, Nanos), now: Nanos) {
        self.tokens = tokens;
        self.until = now.saturating_add(GOOD);
        self.none_until = if tokens == 0 { now.saturating_add(wait) } else { 0 };
    }
}

/// How many to ask for at a time.
pub(crate) fn portion(pace: Pace, replicas: usize) -> u64 {
    let (every, slack) = pace.parts();
    let replicas = u64::try_from(replicas.max(1)).unwrap_or(u64::MAX);
    (AHEAD / every / replicas).clamp(1, slack / every + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::plan::limit::Rate;

    use super::*;

    #[test]
    fn a_lease_is_spent_and_lost() {
        let mut lease = Lease::default();
        assert_eq!(lease.spend(5), Leased::Ask);
        lease.put((2, 0), 5);
        assert_eq!(lease.spend(6), Leased::Spent(5 + GOOD));
        assert_eq!(lease.spend(5 + GOOD), Leased::Ask);
        lease.put((1, 0), 10);
        assert_eq!(lease.spend(11), Leased::Spent(10 + GOOD));
        assert_eq!(lease.spend(12), Leased::Ask);
        lease.give_back(5 + GOOD);
        assert_eq!(lease.spend(12), Leased::Ask, "it was of an earlier one");
        lease.give_back(10 + GOOD);
        assert_eq!(lease.spend(12), Leased::Spent(10 + GOOD));
        lease.put((0, 100), 20);
        assert_eq!(lease.spend(30), Leased::None(90));
        assert_eq!(lease.spend(120), Leased::Ask);
    }

    #[test]
    fn all_replicas_together_hold_a_tenth_of_a_second() {
        let pace = |times, burst| Pace::new(Rate { times, within: Duration::from_secs(1), burst });
        assert_eq!(portion(pace(1000, 1000), 1), 100);
        assert_eq!(portion(pace(1000, 1000), 4), 25);
        assert_eq!(portion(pace(1000, 10), 4), 10);
        assert_eq!(portion(pace(1, 1), 3), 1);
    }
}
