use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::*;

const PLAN: BreakerPlan =
    BreakerPlan { failures: 3, pause: Duration::from_secs(1), longest_pause: Duration::from_secs(8) };

/// What may happen.
#[derive(Debug, Clone)]
enum Deed {
    /// So many milliseconds pass.
    Wait(u64),
    /// Somebody wants to send something.
    Enter,
    /// One of those who were let through hears how it went; none says that it has gone away.
    End(prop::sample::Index, Option<bool>),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let outcome = prop_oneof![3 => Just(Some(false)), 2 => Just(Some(true)), 1 => Just(None)];
    let deed = prop_oneof![
        2 => (0..3000_u64).prop_map(Deed::Wait),
        4 => Just(Deed::Enter),
        4 => (any::<prop::sample::Index>(), outcome).prop_map(|(who, how)| Deed::End(who, how)),
    ];
    prop::collection::vec(deed, 0..300)
}

proptest! {
    /// What someone outside can tell: it opens after so many faults in a row and never before; while it is open nothing
    /// passes before the time that was named, which is never far; then one call at a time; and a trial that went well
    /// lets everything through.
    #[test]
    fn a_breaker_lets_through_what_it_should(deeds in deeds(), roll in any::<u64>()) {
        let mut breaker = Breaker::new(PLAN);
        let mut now = Instant::now();
        let mut under_way: Vec<bool> = Vec::new();
        // The model: faults in a row, and when a trial may begin once it is open.
        let mut row = 0;
        let mut due: Option<Instant> = None;
        for deed in deeds {
            match deed {
                Deed::Wait(millis) => now += Duration::from_millis(millis),
                Deed::Enter => match breaker.enter(now) {
                    Entry::Free => {
                        assert_eq!(due, None);
                        under_way.push(false);
                    }
                    Entry::Trial => {
                        assert!(due.is_some_and(|due| due <= now));
                        due = breaker.due();
                        assert!(due.is_some_and(|due| due >= now + PLAN.pause));
                        under_way.push(true);
                    }
                    Entry::Refused(refused) => {
                        assert_eq!(due, Some(now + refused.again));
                        assert!(refused.again <= PLAN.longest_pause && !refused.again.is_zero());
                    }
                },
                Deed::End(..) if under_way.is_empty() => {}
                Deed::End(who, how) => {
                    let is_trial = under_way.swap_remove(who.index(under_way.len()));
                    let was = breaker.state();
                    match how {
                        Some(true) => breaker.well(is_trial),
                        Some(false) => breaker.fault(Fault::BrokeOff, is_trial, now, roll),
                        None if is_trial => breaker.abandoned(now),
                        None => continue,
                    }
                    match (was, is_trial, how) {
                        (BreakerState::Closed, _, Some(true)) | (_, true, Some(true)) => (row, due) = (0, None),
                        (BreakerState::Closed, _, Some(false)) => {
                            row += 1;
                            if row == PLAN.failures {
                                due = breaker.due();
                                assert!(due.is_some_and(|due| due >= now + PLAN.pause / 2));
                            }
                        }
                        (BreakerState::HalfOpen, true, Some(false)) => {
                            due = breaker.due();
                            assert!(due.is_some_and(|due| due > now + PLAN.pause / 2));
                        }
                        (BreakerState::HalfOpen, true, None) => due = Some(now),
                        // An answer from before decides nothing.
                        _ => {}
                    }
                    if due.is_none() && row == PLAN.failures {
                        row = 0;
                    }
                }
            }
            assert_eq!(breaker.due(), due);
            assert_eq!(breaker.state() == BreakerState::Closed, due.is_none());
        }
    }
}

#[test]
fn pauses_grow_up_to_a_bound() {
    let (mut breaker, mut now) = (Breaker::new(PLAN), Instant::now());
    for _ in 0..3 {
        breaker.fault(Fault::NoConnection, false, now, 1_000_000);
    }
    let mut pauses = Vec::new();
    for _ in 0..100 {
        let due = breaker.due().unwrap();
        pauses.push((due - now).as_secs());
        now = due;
        assert_eq!(breaker.enter(now), Entry::Trial);
        breaker.fault(Fault::NoConnection, true, now, 1_000_000);
    }
    assert_eq!(pauses[..5], [1, 2, 4, 8, 8]);
    assert_eq!(pauses.last(), Some(&8));
}

#[test]
fn a_breaker_that_is_switched_off_never_opens() {
    let mut breaker = Breaker::new(BreakerPlan { failures: 0, ..PLAN });
    for _ in 0..1000 {
        breaker.fault(Fault::NoConnection, false, Instant::now(), 0);
    }
    assert_eq!(breaker.enter(Instant::now()), Entry::Free);
}
