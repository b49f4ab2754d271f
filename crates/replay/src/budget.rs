//! What all recordings take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all recordings take.
#[derive(Debug, Default)]
pub struct ReplayBudget {
    pub(crate) bytes: AtomicUsize,
    streams: AtomicUsize,
}

/// A place among all recorded streams, until dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<ReplayBudget>);

impl ReplayBudget {
    pub(crate) fn slot(self: &Arc<Self>, most: usize) -> Option<Slot> {
        let slot = Slot(Arc::clone(self));
        (self.streams.fetch_add(1, Ordering::Relaxed) < most).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
