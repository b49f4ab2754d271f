//! What a sink needs of whatever it delivers to.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

/// The end of one delivery.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<Taken, Undelivered>> + Send + 'a>>;

/// The most that one delivery may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Records.
    pub records: usize,
    /// Bytes of their lines in the ledger.
    pub bytes: usize,
}

/// Another system that records go to.
pub trait Receiver: Send + Debug {
    /// The most that one delivery may have.
    fn bounds(&self) -> Bounds;

    /// Whether it says of what it has taken that it has. Of one that does not, nobody knows what it has lost.
    fn acknowledges(&self) -> bool;

    /// How long records may wait for others to go with them. Most have them as soon as there are any.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Delivers records, each a line of the ledger without its line break, in their order. Dropped before its end, it has delivered
    /// any number of them.
    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a>;
}

/// What became of a delivery that was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The records that it will never take: their places in the delivery, and what it says. All others it has.
    pub rejected: Vec<(usize, String)>,
    /// So many of these it was not given at all, since they do not fit what it is known to take.
    pub unfit: usize,
    /// So many more it has left out without saying which.
    pub lost: u64,
}

/// Why a delivery was not taken, and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// To be tried again, however often: the receiver is away, busy, or not set up as it should be.
    #[error("{why}")]
    Later {
        /// What is wrong, without secrets.
        why: String,
        /// When, if it says so.
        after: Option<Duration>,
    },
    /// It takes less at a time. A single record that is too large will never be taken.
    #[error("{why}")]
    TooLarge {
        /// What it says.
        why: String,
    },
    /// It takes none of this, or not all: what is in it that it does not like is found by halves.
    #[error("{why}")]
    Refused {
        /// What it says.
        why: String,
    },
}
