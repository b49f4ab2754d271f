//! Chance, for pauses: those who were turned away together must not come back together.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Duration;

/// Numbers that differ from one replica to the next. Nothing secret depends on them.
#[derive(Debug)]
pub(crate) struct Jitter {
    state: AtomicU64,
}

impl Jitter {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU64::new(RandomState::new().hash_one(0_u8)) }
    }

    /// The next number: SplitMix64 (Steele, Lea, Flood 2014).
    pub(crate) fn roll(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A pause of that length, or up to half shorter.
    pub(crate) fn shorten(&self, pause: Duration) -> Duration {
        jittered(pause, self.roll())
    }
}

/// A pause between half of its length and the whole, as the roll says.
pub(crate) fn jittered(pause: Duration, roll: u64) -> Duration {
    let half = pause / 2;
    let millionths = u32::try_from(roll % 1_000_001).unwrap_or_default();
    half + (pause - half) / 1_000_000 * millionths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_longer_than_it_was_and_never_shorter_than_half() {
        let pause = Duration::from_secs(30);
        let jitter = Jitter::new();
        let rolled: Vec<_> = (0..1000).map(|_| jitter.shorten(pause)).collect();
        assert!(rolled.iter().all(|one| (pause / 2..=pause).contains(one)));
        assert!(rolled.iter().any(|one| *one != rolled[0]));
        assert_eq!((jittered(pause, 0), jittered(pause, 1_000_000)), (pause / 2, pause));
    }
}
