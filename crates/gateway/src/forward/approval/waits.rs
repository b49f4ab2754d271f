//! The places of calls that wait for an approval, shared fairly: by caller, and by what they wait for.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use auth::Principal;
use base::bulkhead::{Bulkhead, Slot};
use base::error::CallError;
use base::sync::lock;
use store::approvals::MOST_OF_ONE;
use tokio::sync::Notify;

/// How many of the places that all calls share one caller takes by waiting.
const MOST_WATCHING: usize = 4;

/// How many have each of these; who has none is not in it.
type ByWhom = Arc<Takers>;

#[derive(Debug, Default)]
struct Takers {
    of: Mutex<HashMap<String, usize>>,
    /// One was given back.
    freed: Notify,
}

/// The places.
#[derive(Debug)]
pub(crate) struct Waits {
    places: Bulkhead,
    /// By caller: those that wait on the stream of their call, and those that wait for a page to be answered.
    streams: ByWhom,
    watching: ByWhom,
    /// By question: who looks at it again and again.
    watched: ByWhom,
}

/// A place of a call that waits on its stream. It is free when this is dropped.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    _of: Share,
    _place: Slot,
}

/// Looks at a question again and again, alone of this process.
#[derive(Debug)]
pub(crate) struct Watching {
    _of: Option<Share>,
    _question: Share,
}

#[derive(Debug)]
struct Share {
    taken: ByWhom,
    whose: String,
}

impl Waits {
    /// So many places for all.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        let places = Bulkhead::new("calls that wait for an approval".to_owned(), places, 0);
        let taken = ByWhom::default;
        Arc::new(Self { places, streams: taken(), watching: taken(), watched: taken() })
    }

    /// A place for a call that waits on its stream.
    ///
    /// # Errors
    /// When its caller has enough of them, or all are taken.
    pub(crate) async fn take(&self, whose: &Principal) -> Result<StreamPlace, CallError> {
        let what = || "calls of one caller that wait for an approval".to_owned();
        let full = || CallError::Overloaded { what: what(), limit: MOST_OF_ONE };
        let of = Share::one_more(&self.streams, whose.id(), MOST_OF_ONE).ok_or_else(full)?;
        Ok(StreamPlace { _of: of, _place: self.places.take_for(whose).await? })
    }

    /// Nothing if somebody looks at that question already, or if the caller waits for enough others with places of all calls.
    pub(crate) fn watch(&self, whose: &Principal, question: &str) -> Option<Watching> {
        let of = Share::one_more(&self.watching, whose.id(), MOST_WATCHING)?;
        Some(Watching { _of: Some(of), _question: Share::one_more(&self.watched, question, 1)? })
    }

    /// Nothing if somebody looks at that question already. Who asks has a place of its own.
    pub(super) fn watch_from_stream(&self, question: &str) -> Option<Watching> {
        Some(Watching { _of: None, _question: Share::one_more(&self.watched, question, 1)? })
    }

    /// Waits until nobody else looks at that question. Cancel safe.
    pub(super) async fn watch_next(&self, question: &str) -> Watching {
        loop {
            // Whoever is done in between is heard.
            let mut freed = pin!(self.watched.freed.notified());
            freed.as_mut().enable();
            if let Some(watching) = self.watch_from_stream(question) {
                return watching;
            }
            freed.await;
        }
    }
}

impl Share {
    fn one_more(taken: &ByWhom, whose: &str, most: usize) -> Option<Self> {
        let mut all = lock(&taken.of);
        let count = all.get(whose).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        all.insert(whose.to_owned(), count + 1);
        Some(Self { taken: Arc::clone(taken), whose: whose.to_owned() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        {
            let mut all = lock(&self.taken.of);
            if let Some(count) = all.get_mut(&self.whose) {
                *count -= 1;
                if *count == 0 {
                    all.remove(&self.whose);
                }
            }
        }
        self.taken.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_caller_leaves_places_for_others() {
        let waits = Waits::new(MOST_OF_ONE + 1);
        let (ann, bob) = (Principal::of("i", "ann", None), Principal::of("i", "bob", None));
        let mut hers = Vec::new();
        for _ in 0..MOST_OF_ONE {
            hers.push(waits.take(&ann).await.unwrap());
        }
        assert!(matches!(waits.take(&ann).await, Err(CallError::Overloaded { .. })));
        let his = waits.take(&bob).await.unwrap();
        hers.pop();
        assert!(waits.take(&ann).await.is_ok(), "it is given back");
        drop((hers, his));
        assert!(lock(&waits.streams.of).is_empty(), "who has none is forgotten");
    }

    #[test]
    fn one_looks_at_a_question_and_a_caller_at_a_few() {
        let waits = Waits::new(10);
        let (ann, bob) = (Principal::of("i", "ann", None), Principal::of("i", "bob", None));
        let first = waits.watch(&ann, "0").unwrap();
        assert!(waits.watch(&ann, "0").is_none() && waits.watch(&bob, "0").is_none());
        assert!(waits.watch_from_stream("0").is_none());
        drop(first);
        let hers: Vec<_> = (0..MOST_WATCHING).map(|n| waits.watch(&ann, &n.to_string()).unwrap()).collect();
        assert!(waits.watch(&ann, "more").is_none() && waits.watch(&bob, "more").is_some());
        assert!(waits.watch_from_stream("more").is_some(), "it has a place of its own");
        drop(hers);
        assert!(lock(&waits.watching.of).is_empty() && lock(&waits.watched.of).is_empty());
    }

    #[tokio::test]
    async fn the_next_looks_when_the_first_is_done() {
        let waits = Waits::new(10);
        let (first, other) = (waits.watch_from_stream("0").unwrap(), waits.watch_from_stream("1").unwrap());
        let ((), next) = tokio::join!(
            async {
                tokio::task::yield_now().await;
                drop(other);
                tokio::task::yield_now().await;
                assert!(waits.watch_from_stream("0").is_none(), "the first still looks");
                drop(first);
            },
            waits.watch_next("0"),
        );
        assert!(waits.watch_from_stream("0").is_none(), "and now it is the next");
        drop(next);
        assert!(lock(&waits.watched.of).is_empty());
    }
}
