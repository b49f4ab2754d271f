//! The bulkhead: how many calls one server may have under way, and how many may wait for a place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::CallError;

/// The places of one server.
#[derive(Debug)]
pub struct Bulkhead {
    what: String,
    free: Arc<Semaphore>,
    size: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// A place that is taken until it is dropped.
pub type Slot = OwnedSemaphorePermit;

impl Bulkhead {
    /// So many places for what `what` names, and so many who may wait for one.
    pub fn new(what: String, size: usize, most_waiting: usize) -> Self {
        Self { what, free: Arc::new(Semaphore::new(size)), size, waiting: AtomicUsize::new(0), most_waiting }
    }

    /// Takes a place, waiting for one if few enough are waiting already.
    pub async fn take(&self) -> Result<Slot, CallError> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place);
        }
        let queue = Queued::join(self)?;
        let place = Arc::clone(&self.free).acquire_owned().await;
        drop(queue);
        place.map_err(|_closed| CallError::Draining)
    }

    /// Waits until no place is taken.
    pub async fn idle(&self) {
        let all = u32::try_from(self.size).unwrap_or(u32::MAX);
        // An error means that the semaphore is closed, which is as idle as can be.
        drop(self.free.acquire_many(all).await);
    }

    fn full(&self) -> CallError {
        CallError::Overloaded { what: self.what.clone(), limit: self.size }
    }
}

/// One that waits; leaves the queue when dropped, so also when its client goes away.
struct Queued<'p>(&'p Bulkhead);

impl<'p> Queued<'p> {
    fn join(places: &'p Bulkhead) -> Result<Self, CallError> {
        let before = places.waiting.fetch_add(1, Ordering::Relaxed);
        let joined = Self(places);
        if before >= places.most_waiting { Err(places.full()) } else { Ok(joined) }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn past_the_queue_calls_are_refused() {
        let places = Arc::new(Bulkhead::new("calls".to_owned(), 1, 1));
        let first = places.take().await.unwrap();
        let mut second = Box::pin(places.take());
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(
            places.take().await.unwrap_err(),
            CallError::Overloaded { what: "calls".to_owned(), limit: 1 }
        );
        drop(first);
        drop(second.await.unwrap());
        drop(places.take().await.unwrap());
    }
}
