use std::pin::Pin;

use futures_util::poll;
use proptest::prelude::*;

use super::*;

type Taking<'b> = Pin<Box<dyn Future<Output = Result<Slot, CallError>> + 'b>>;

fn principal(name: &str) -> Principal {
    Principal::of("issuer", name, None)
}

fn take<'b>(places: &'b Bulkhead, whose: &'b Principal) -> Taking<'b> {
    Box::pin(places.take_for(whose))
}

#[tokio::test]
async fn past_the_queue_calls_are_refused() {
    let places = Bulkhead::new("calls".to_owned(), 1, 1);
    let first = places.take().await.unwrap();
    let mut second = Box::pin(places.take());
    assert!(poll!(&mut second).is_pending());
    assert_eq!(
        places.take().await.unwrap_err(),
        CallError::Overloaded { what: "calls".to_owned(), limit: 1 }
    );
    drop(first);
    drop(second.await.unwrap());
    drop(places.take().await.unwrap());
}

/// One agent has 64 calls under way against four places. How many places become free until another principal has one.
#[tokio::test]
async fn a_quiet_principal_waits_for_no_more_than_a_turn() {
    let places = Bulkhead::new("calls".to_owned(), 4, 1024);
    let (noisy, quiet) = (principal("noisy"), principal("quiet"));
    let mut held = VecDeque::new();
    let mut waiting: VecDeque<Taking<'_>> = VecDeque::new();
    for _ in 0..64 {
        let mut taking = take(&places, &noisy);
        match poll!(&mut taking) {
            std::task::Poll::Ready(slot) => held.push_back(slot.unwrap()),
            std::task::Poll::Pending => waiting.push_back(taking),
        }
    }
    assert_eq!((held.len(), waiting.len()), (4, 60));
    let mut one = take(&places, &quiet);
    assert!(poll!(&mut one).is_pending());
    let mut freed = 0;
    while poll!(&mut one).is_pending() {
        drop(held.pop_front().unwrap());
        freed += 1;
        if let Some(next) = waiting.front_mut()
            && let std::task::Poll::Ready(slot) = poll!(next)
        {
            held.push_back(slot.unwrap());
            waiting.pop_front();
        }
    }
    // In the order of coming it would be 61.
    assert_eq!(freed, 2);
}

#[tokio::test]
async fn who_has_most_waiting_makes_room() {
    let places = Bulkhead::new("calls".to_owned(), 1, 3);
    let (noisy, quiet, other) = (principal("noisy"), principal("quiet"), principal("other"));
    let held = places.take().await.unwrap();
    let mut of_noisy: Vec<_> = (0..3).map(|_| take(&places, &noisy)).collect();
    for taking in &mut of_noisy {
        assert!(poll!(taking).is_pending());
    }
    let mut one = take(&places, &quiet);
    assert!(poll!(&mut one).is_pending());
    // The newest of the one who has most waiting is refused.
    assert!(of_noisy.pop().unwrap().await.is_err());
    let mut third = take(&places, &other);
    assert!(poll!(&mut third).is_pending());
    assert!(of_noisy.pop().unwrap().await.is_err());
    // Now each has one: who comes is refused.
    assert!(take(&places, &principal("late")).await.is_err());
    assert!(take(&places, &noisy).await.is_err());
    drop(held);
    drop(of_noisy.pop().unwrap().await.unwrap());
    drop(one.await.unwrap());
    drop(third.await.unwrap());
    places.idle().await;
}

#[tokio::test]
async fn who_goes_away_leaves_the_queue() {
    let places = Bulkhead::new("calls".to_owned(), 1, 2);
    let (a, b) = (principal("a"), principal("b"));
    let held = places.take().await.unwrap();
    let mut gone = take(&places, &a);
    let mut stays = take(&places, &b);
    assert!(poll!(&mut gone).is_pending() && poll!(&mut stays).is_pending());
    drop(gone);
    drop(held);
    let place = stays.await.unwrap();
    // Given, and not fetched: the place is not lost.
    let mut given = take(&places, &a);
    assert!(poll!(&mut given).is_pending());
    drop(place);
    drop(given);
    places.idle().await;
    drop(places.take().await.unwrap());
}

#[tokio::test]
async fn idle_waits_for_those_who_wait() {
    let places = Bulkhead::new("calls".to_owned(), 1, 2);
    let held = places.take().await.unwrap();
    let mut second = Box::pin(places.take());
    assert!(poll!(&mut second).is_pending());
    let mut idle = Box::pin(places.idle());
    assert!(poll!(&mut idle).is_pending());
    drop(held);
    assert!(poll!(&mut idle).is_pending());
    let place = second.await.unwrap();
    assert!(poll!(&mut idle).is_pending());
    drop(place);
    idle.await;
}

/// From many threads at once: never more than there are, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn places_are_neither_lost_nor_given_twice() {
    let places = Arc::new(Bulkhead::new("calls".to_owned(), 3, 10_000));
    let taken = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let (places, taken) = (Arc::clone(&places), Arc::clone(&taken));
            tokio::spawn(async move {
                let whose = principal(&format!("{}", number % 7));
                for turn in 0..200 {
                    let place = places.take_for(&whose).await.unwrap();
                    assert!(taken.fetch_add(1, Ordering::SeqCst) < 3);
                    if turn % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                    taken.fetch_sub(1, Ordering::SeqCst);
                    drop(place);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    places.idle().await;
    assert_eq!(places.places.free.load(Ordering::SeqCst), 3);
    assert_eq!(lock(&places.places.queue).lines.len(), 0);
}

proptest! {
    /// Whatever order principals come, go away and are served in: no place is free while somebody waits, and what the queue
    /// counts is what it holds.
    #[test]
    fn the_queue_counts_right(steps in prop::collection::vec((0..5_u8, 0..4_u8), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let names: Vec<_> = (0..4).map(|name| principal(&name.to_string())).collect();
            let places = Bulkhead::new("calls".to_owned(), 2, 5);
            let (mut held, mut waiting) = (Vec::new(), Vec::new());
            for (step, whose) in steps {
                match step {
                    0..3 => {
                        let mut taking = take(&places, &names[usize::from(whose)]);
                        match poll!(&mut taking) {
                            std::task::Poll::Ready(Ok(slot)) => held.push(slot),
                            std::task::Poll::Ready(Err(_)) => {}
                            std::task::Poll::Pending => waiting.push(taking),
                        }
                    }
                    3 => drop(held.pop()),
                    _ if !waiting.is_empty() => drop(waiting.remove(usize::from(whose) % waiting.len())),
                    _ => {}
                }
                let mut left: Vec<Taking<'_>> = Vec::new();
                for mut taking in waiting {
                    match poll!(&mut taking) {
                        std::task::Poll::Ready(Ok(slot)) => held.push(slot),
                        std::task::Poll::Ready(Err(_)) => {}
                        std::task::Poll::Pending => left.push(taking),
                    }
                }
                waiting = left;
                let queue = lock(&places.places.queue);
                let lines: usize = queue.lines.values().map(VecDeque::len).sum();
                assert_eq!((queue.waiting, lines), (waiting.len(), waiting.len()));
                assert_eq!(queue.turns.len(), queue.lines.len());
                assert!(queue.waiting <= 5 && held.len() <= 2);
                let free = places.places.free.load(Ordering::SeqCst);
                assert_eq!(free + held.len(), 2);
                assert!(free == 0 || waiting.is_empty());
            }
        });
    }
}
