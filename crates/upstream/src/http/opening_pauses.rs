//! When a session may be opened again. One that lasted a while is nothing unusual when it ends; sessions that end as soon as
//! they were opened are, and are opened at ever longer intervals, however many want one: or a server that means something
//! else than we think would be asked for hundreds a second.

use std::sync::Mutex;

use base::sync::lock;
use tokio::time::{Duration, Instant};

/// A session that lasted this long has not failed.
const SETTLED: Duration = Duration::from_secs(30);
/// How many short ones are nothing unusual, beside two for each that is held: a server may restart twice while it is worked on.
const FEW: usize = 4;
/// The first pause, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The openings of sessions with one server.
#[derive(Debug, Default)]
pub(super) struct OpeningPauses(Mutex<EarlyEnds>);

#[derive(Debug, Default)]
struct EarlyEnds {
    /// How many ended too early, one soon after the other.
    short: usize,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl OpeningPauses {
    /// How long there must be no other opening.
    pub(super) fn pause(&self) -> Option<Duration> {
        let until = lock(&self.0).until?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// A session has ended that was opened then; `held` is how many there are. The pause that begins with that, if one does.
    pub(super) fn ended(&self, opened: Instant, held: usize) -> Option<Duration> {
        let (now, mut state) = (Instant::now(), lock(&self.0));
        if now.saturating_duration_since(opened) >= SETTLED {
            return None;
        }
        let calm = |since: Instant| now.saturating_duration_since(since) >= SETTLED;
        if state.last.is_none_or(calm) && state.until.is_none_or(calm) {
            state.short = 0;
        }
        state.last = Some(now);
        state.short += 1;
        let over = state.short.checked_sub(FEW + 2 * held)?;
        let pause = FIRST_PAUSE.saturating_mul(1 << over.min(10)).min(LONGEST_PAUSE);
        state.until = Some(now + pause);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_for_what_ends_at_once_and_come_to_an_end_when_something_lasts() {
        let openings = OpeningPauses::default();
        let mut opened = 0;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(openings.pause().unwrap_or(Duration::from_millis(1))).await;
            opened += 1;
            openings.ended(Instant::now(), 1);
        }
        assert!((FEW..FEW + 16).contains(&opened), "{opened}");
        assert!(openings.pause().is_some());
        tokio::time::sleep(LONGEST_PAUSE + SETTLED).await;
        assert_eq!(openings.pause(), None);
        // The next ones are the first again.
        assert_eq!(openings.ended(Instant::now(), 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasted_a_while_counts_for_nothing() {
        let openings = OpeningPauses::default();
        for _ in 0..100 {
            let opened = Instant::now();
            tokio::time::sleep(SETTLED).await;
            assert_eq!(openings.ended(opened, 1), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_sessions_may_be_lost_at_once() {
        let openings = OpeningPauses::default();
        let opened = Instant::now();
        assert!((0..200).all(|_| openings.ended(opened, 100).is_none()));
    }
}
