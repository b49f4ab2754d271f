//! Which eras a server was found to speak, and in which of them a client is spoken to.
//!
//! A call changes era only where it must: a client's own era comes first, and the other one only where the server has
//! refused that. What a server lists in `server/discover` says nothing about whether it opens sessions, so each era is
//! found out by itself, when there is a client of it. A server that cannot be reached has refused nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use base::era::PerEra;
use base::plan::EraRule;
use mcp::version::Era;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

/// After this long a server is asked again for an era that it has refused: one that was upgraded still answers in the
/// other, so the verdict never corrects itself.
pub(crate) const VERDICT_LASTS: Duration = Duration::from_secs(3600);
/// The same where it may have been a bad moment that refused.
pub(crate) const DOUBT_LASTS: Duration = Duration::from_secs(60);

/// What was found out about one server.
#[derive(Debug)]
pub(crate) struct Eras {
    /// The one that the configuration names.
    only: Option<Era>,
    found: PerEra<Finding>,
    /// Times are counted from here.
    since: Instant,
    /// Whether it was found to speak both.
    both: watch::Sender<bool>,
}

/// Nothing is known, or it is spoken, or it was refused and counts as refused until so many milliseconds.
#[derive(Debug, Default)]
struct Finding(AtomicU64);

const UNKNOWN: u64 = 0;
const SPOKEN: u64 = 1;

impl Eras {
    pub(crate) fn new(rule: EraRule) -> Self {
        let only = match rule {
            EraRule::Detect => None,
            EraRule::Is(era) => Some(era),
        };
        Self { only, found: PerEra::default(), since: Instant::now(), both: watch::Sender::new(false) }
    }

    /// The era in which clients of `client` are spoken to, as far as is known.
    pub(crate) fn of_link(&self, client: Era) -> Era {
        match self.only {
            Some(only) => only,
            None if self.refuses(client) && !self.refuses(other(client)) => other(client),
            None => client,
        }
    }

    /// Whether clients of each era are spoken to in their own. Before that is known, and where the server speaks one era,
    /// all hear the same.
    pub(crate) fn are_both(&self) -> bool {
        *self.both.borrow()
    }

    /// The same as it changes.
    pub(crate) fn both(&self) -> watch::Receiver<bool> {
        self.both.subscribe()
    }

    /// Whether that is known of an era, one way or the other.
    pub(crate) fn is_known(&self, era: Era) -> bool {
        self.only.is_some() || self.speaks(era) || self.refuses(era)
    }

    pub(crate) fn speaks(&self, era: Era) -> bool {
        self.finding(era) == SPOKEN
    }

    /// Whether it has refused an era, not too long ago.
    pub(crate) fn refuses(&self, era: Era) -> bool {
        match self.finding(era) {
            UNKNOWN | SPOKEN => false,
            until => u128::from(until) > self.since.elapsed().as_millis(),
        }
    }

    /// It speaks an era.
    pub(crate) fn found(&self, era: Era) {
        if !self.speaks(era) {
            self.set(era, SPOKEN);
        }
    }

    /// It has refused an era, and counts as one that does not speak it for so long.
    pub(crate) fn refused(&self, era: Era, lasts: Duration) {
        let until = self.since.elapsed().saturating_add(lasts).as_millis();
        self.set(era, u64::try_from(until).unwrap_or(u64::MAX).max(SPOKEN + 1));
    }

    /// What was found out about an era may be true no more.
    pub(crate) fn doubt(&self, era: Era) {
        self.set(era, UNKNOWN);
    }

    fn finding(&self, era: Era) -> u64 {
        self.found.of(era).0.load(Ordering::Acquire)
    }

    fn set(&self, era: Era, finding: u64) {
        self.found.of(era).0.store(finding, Ordering::Release);
        // Of two that are found out at the same moment, the later one here must see both.
        self.both.send_if_modified(|before| {
            let both = self.only.is_none() && self.speaks(Era::Modern) && self.speaks(Era::Legacy);
            std::mem::replace(before, both) != both
        });
    }
}

fn other(era: Era) -> Era {
    match era {
        Era::Modern => Era::Legacy,
        Era::Legacy => Era::Modern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: [Era; 2] = [Era::Modern, Era::Legacy];

    #[tokio::test(start_paused = true)]
    async fn a_client_is_spoken_to_in_its_own_era_unless_that_was_refused() {
        let eras = Eras::new(EraRule::Detect);
        assert_eq!(CLIENTS.map(|client| eras.of_link(client)), CLIENTS);
        eras.found(Era::Modern);
        assert_eq!(eras.of_link(Era::Legacy), Era::Legacy, "what it speaks says nothing of what it refuses");
        eras.refused(Era::Legacy, VERDICT_LASTS);
        assert_eq!(CLIENTS.map(|client| eras.of_link(client)), [Era::Modern; 2]);
        tokio::time::advance(VERDICT_LASTS).await;
        assert_eq!(eras.of_link(Era::Legacy), Era::Legacy);
        assert!(!eras.is_known(Era::Legacy) && !eras.are_both());
        eras.found(Era::Legacy);
        assert!(eras.are_both());
        eras.doubt(Era::Modern);
        assert!(!eras.are_both());
    }

    #[test]
    fn one_that_refuses_both_is_asked_in_the_clients_era() {
        let eras = Eras::new(EraRule::Detect);
        CLIENTS.iter().for_each(|era| eras.refused(*era, DOUBT_LASTS));
        assert_eq!(CLIENTS.map(|client| eras.of_link(client)), CLIENTS);
    }

    #[test]
    fn the_configuration_decides_for_all() {
        let eras = Eras::new(EraRule::Is(Era::Legacy));
        eras.found(Era::Modern);
        eras.found(Era::Legacy);
        assert_eq!(CLIENTS.map(|client| eras.of_link(client)), [Era::Legacy; 2]);
        assert!(!eras.are_both());
    }

    /// Two clients may find out about the same server at the same moment.
    #[test]
    fn that_it_speaks_both_is_seen_whoever_finds_the_second_out() {
        for _ in 0..2_000 {
            let eras = Eras::new(EraRule::Detect);
            let both = eras.both();
            let start = std::sync::Barrier::new(CLIENTS.len());
            std::thread::scope(|scope| {
                for era in CLIENTS {
                    let (eras, start) = (&eras, &start);
                    scope.spawn(move || {
                        start.wait();
                        eras.found(era);
                    });
                }
            });
            assert!(eras.are_both() && *both.borrow());
        }
    }
}
