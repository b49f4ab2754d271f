//! The places for programs that start at the same time: more at a time would only make each slower.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// So many programs may start at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StartPlaces {
    places: Arc<Semaphore>,
    /// How many wait of those that go first.
    first: watch::Sender<usize>,
}

/// One that goes first waits.
struct Waits<'f>(&'f watch::Sender<usize>);

impl StartPlaces {
    /// So many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), first: watch::Sender::new(0) }
    }

    /// Twice as many as there are cores.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::new(2 * std::thread::available_parallelism().map_or(1, NonZero::get))
    }

    /// Waits for a place. A server `that_was_up` goes first: clients miss what they had, and it is known to start.
    pub async fn place(&self, that_was_up: bool) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        let free = || Arc::clone(&self.places).acquire_owned();
        if that_was_up {
            let _waits = Waits::new(&self.first);
            return free().await.ok();
        }
        let mut first = self.first.subscribe();
        loop {
            // Its sender is here as long as we are.
            drop(first.wait_for(|waiting| *waiting == 0).await);
            let place = free().await.ok()?;
            if *first.borrow() == 0 {
                return Some(place);
            }
        }
    }
}

impl<'f> Waits<'f> {
    fn new(first: &'f watch::Sender<usize>) -> Self {
        first.send_modify(|waiting| *waiting += 1);
        Self(first)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}
