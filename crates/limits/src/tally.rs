//! What is counted of each, within bounds: whoever has nothing that still counts is forgotten first, then whoever came least lately.

use std::collections::HashMap;
use std::sync::Mutex;

use base::sync::lock;

use crate::key::{ByKey, Key};
use crate::lease::Lease;
use crate::pace::Nanos;

/// The most of whom a limit counts anything. Nobody is forgotten who has calls under way, of which there are bounds.
pub const MOST: usize = 65_536;

/// So that calls on several threads seldom wait for each other.
const PARTS: usize = 16;

/// What is counted of one.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// When it was last asked for.
    used: Nanos,
    /// Of its rate: when the next is due.
    pub(crate) next: Nanos,
    /// The same of its bytes.
    pub(crate) bytes: Nanos,
    /// Bytes that other replicas do not know of, and when they were last told.
    pub(crate) unsaid: usize,
    pub(crate) said: Option<Nanos>,
    /// Calls under way.
    pub(crate) running: usize,
    /// What it was given of a rate that replicas share.
    pub(crate) lease: Option<Box<Lease>>,
}

impl Tally {
    fn counts(&self, now: Nanos) -> bool {
        self.running > 0
            || self.unsaid > 0
            || self.next > now
            || self.bytes > now
            || self.lease.as_ref().is_some_and(|lease| lease.counts(now))
    }
}

#[derive(Debug)]
pub(crate) struct Tallies {
    parts: Box<[Mutex<Part>]>,
    /// Of each part.
    most: usize,
}

type Part = HashMap<Key, Tally, ByKey>;

impl Default for Tallies {
    fn default() -> Self {
        Self::with_most(MOST)
    }
}

impl Tallies {
    pub(crate) fn with_most(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, most: most.div_ceil(PARTS) }
    }

    /// Looks at what is counted of one, and counts.
    pub(crate) fn of<R>(&self, key: Key, now: Nanos, count: impl FnOnce(&mut Tally) -> R) -> Option<R> {
        let mut part = lock(self.parts.get(key.part(PARTS))?);
        if part.len() >= self.most && !part.contains_key(&key) {
            make_room(&mut part, now);
        }
        let tally = part.entry(key).or_default();
        tally.used = now;
        Some(count(tally))
    }

    /// The same of one who may have been forgotten.
    pub(crate) fn of_known(&self, key: Key, count: impl FnOnce(&mut Tally)) {
        if let Some(part) = self.parts.get(key.part(PARTS))
            && let Some(tally) = lock(part).get_mut(&key)
        {
            count(tally);
        }
    }

    /// Of how many anything is counted.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

/// Forgets at least an eighth, so that this is seldom done, as far as nobody has calls under way.
fn make_room(part: &mut Part, now: Nanos) {
    let enough = part.len() - part.len() / 8;
    part.retain(|_, tally| tally.counts(now));
    if part.len() < enough {
        return;
    }
    let mut ages: Vec<Nanos> =
        part.values().filter(|tally| tally.running == 0).map(|tally| tally.used).collect();
    let place = (part.len() + 1 - enough).min(ages.len());
    if place == 0 {
        return;
    }
    let (_, oldest, _) = ages.select_nth_unstable(place - 1);
    let oldest = *oldest;
    part.retain(|_, tally| tally.running > 0 || tally.used > oldest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Keys;

    #[test]
    fn who_counts_no_more_is_forgotten_first_and_then_the_oldest() {
        let (keys, tallies) = (Keys::default(), Tallies::with_most(16 * PARTS));
        let key = |number: usize| keys.of(&std::iter::once(Some(number.to_string().as_bytes())));
        // The first have calls under way, of the next the time is over, the others still count.
        for number in 0..10_000_usize {
            let now = u64::try_from(number).unwrap();
            tallies.of(key(number), now, |tally| {
                tally.running = usize::from(number < 10);
                tally.next = if number < 100 { now } else { 1_000_000 };
            });
            assert!(tallies.len() <= 16 * PARTS + 10, "{}", tallies.len());
        }
        let known = |number: usize| {
            let mut is_known = false;
            tallies.of_known(key(number), |_| is_known = true);
            is_known
        };
        assert!((0..10).all(known), "who has calls under way is not forgotten");
        assert!(!(10..100).any(known));
        assert!((9990..10_000).all(known), "who came last is known");
    }
}
