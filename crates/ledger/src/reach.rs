//! What the writer of a chain and those who read behind it say to each other: how far it has come, and what must not be deleted yet.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use base::sync::lock;

/// Up to where a chain is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// The segment that is written.
    pub segment: u64,
    /// So many bytes of it are good. What stands behind may be half a record, and may be cut off again.
    pub length: u64,
    /// The place of the next record.
    pub next: u64,
}

/// How far a chain has come. The writer says so once for each group of records, and no call waits for it.
#[derive(Debug, Default)]
pub struct Reach {
    at: Mutex<Reached>,
    /// Segments from this one on are still to be read by somebody.
    held: AtomicU64,
}

impl Reach {
    /// All is held until somebody says otherwise, if there is anybody who reads.
    #[must_use]
    pub fn new(is_read: bool) -> Self {
        Self { at: Mutex::default(), held: AtomicU64::new(if is_read { 0 } else { u64::MAX }) }
    }

    /// Up to where it is written.
    #[must_use]
    pub fn reached(&self) -> Reached {
        *lock(&self.at)
    }

    /// It is written up to there.
    pub fn come_to(&self, at: Reached) {
        *lock(&self.at) = at;
    }

    /// Segments from this one on are not to be deleted, however old.
    pub fn hold(&self, segment: u64) {
        self.held.store(segment, Ordering::Relaxed);
    }

    /// Whether a segment is still to be read.
    #[must_use]
    pub fn holds(&self, segment: u64) -> bool {
        segment >= self.held.load(Ordering::Relaxed)
    }
}
