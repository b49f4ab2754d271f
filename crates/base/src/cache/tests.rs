use std::future::pending;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::poll;
use tokio::sync::Semaphore;

use super::{Bounds, Cache};

type Numbers = Cache<&'static str, u32, &'static str>;

fn kept() -> Numbers {
    Cache::new(Bounds { values: 3, bytes: 10 })
}

fn here(kept: &Numbers, keys: &[&'static str]) -> Vec<u32> {
    keys.iter().filter_map(|key| kept.find(key, |_| true)).collect()
}

#[test]
fn the_oldest_make_room() {
    let kept = kept();
    for (n, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
        kept.put(key, u32::try_from(n).unwrap(), 2);
    }
    assert_eq!(here(&kept, &["a", "b", "c", "d"]), [1, 2, 3]);
    kept.put("e", 9, 8);
    assert_eq!(here(&kept, &["b", "c", "d", "e"]), [3, 9]);
    kept.put("e", 7, 1);
    assert_eq!(here(&kept, &["d", "e"]), [3, 7]);
    assert_eq!(kept.find(&"e", |value| *value > 7), None);
    // What is too large for all the room is not kept, and what it would replace is no longer true.
    kept.put("e", 8, 11);
    assert_eq!(here(&kept, &["d", "e"]), [3]);
    assert_eq!(format!("{kept:?}"), "Cache { values: 1, bytes: 2, asking: 0, .. }");
}

#[tokio::test]
async fn those_who_wait_share_what_comes_and_what_fails() {
    for outcome in [Ok(7), Err("no")] {
        let (kept, gate) = (kept(), Arc::new(Semaphore::new(0)));
        let ask = || async {
            drop(gate.acquire().await);
            outcome
        };
        let mut first = Box::pin(kept.single_flight(&"a", |_| true, ask()));
        assert!(poll!(&mut first).is_pending());
        let mut others = Box::pin(join_all((0..5).map(|_| kept.single_flight(&"a", |_| true, pending()))));
        assert!(poll!(&mut others).is_pending());
        gate.add_permits(1);
        assert_eq!(first.await, outcome);
        assert_eq!(others.await, vec![outcome; 5]);
        // Nothing of it is left for who asks later.
        assert_eq!(kept.single_flight(&"a", |_| true, async { Ok(8) }).await, Ok(8));
    }
}

#[tokio::test]
async fn who_goes_away_leaves_the_turn_to_the_next() {
    let kept = kept();
    let mut first = Box::pin(kept.single_flight(&"a", |_| true, pending()));
    assert!(poll!(&mut first).is_pending());
    let mut second = Box::pin(kept.single_flight(&"a", |_| true, async { Ok(2) }));
    assert!(poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await, Ok(2));
}

#[tokio::test]
async fn what_is_not_good_for_one_who_waits_is_asked_for_again() {
    let (kept, gate) = (kept(), Semaphore::new(0));
    let mut first = Box::pin(kept.single_flight(&"a", |_| true, async {
        drop(gate.acquire().await);
        Ok(1)
    }));
    assert!(poll!(&mut first).is_pending());
    let mut second = Box::pin(kept.single_flight(&"a", |value| *value > 1, async { Ok(2) }));
    assert!(poll!(&mut second).is_pending());
    gate.add_permits(1);
    assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
}
