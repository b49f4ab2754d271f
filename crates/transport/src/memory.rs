//! One bound on the bytes that a process holds for others: bodies that come, answers that wait to be read, and whatever is
//! kept of either.
//!
//! What is held is counted where it is read, and is given back when the last of it is dropped, whoever has it then
//! ([`Held::own`]). Nobody can take it all: each *party* (a client's address, a server) may hold as much as is still free, so
//! one alone gets half, two a third each (Choudhury and Hahne, «Dynamic queue length thresholds», 1998). What is small is not
//! counted: connections and calls are, and bound it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::net::Address;

/// What is not larger is not counted.
pub const SMALL: usize = 4 * 1024;
/// What is not larger may be kept however much is held.
const LITTLE: usize = 64 * 1024;
/// For so long one who wants memory waits for others to give some back.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Past so many addresses those of which nobody holds anything are forgotten.
const MANY: usize = 1024;

/// There is no memory for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{wanted} bytes more do not fit: of the {limit} that are held at once (limits.memory) one client or server may have as many as are left"
)]
pub struct Full {
    /// How many bytes were wanted.
    pub wanted: usize,
    /// How many may be held.
    pub limit: usize,
}

/// The bound, shared by all who hold a part of it.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

struct Inner {
    usual: usize,
    limit: AtomicUsize,
    held: AtomicUsize,
    refused: AtomicUsize,
    stalled: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
    addresses: Mutex<HashMap<Address, Weak<AtomicUsize>>>,
}

impl Default for Memory {
    /// Without a bound.
    fn default() -> Self {
        Self::new(usize::MAX / 2)
    }
}

impl Memory {
    /// With room for so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner {
            usual: limit,
            limit: AtomicUsize::new(limit),
            held: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            stalled: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            addresses: Mutex::default(),
        }))
    }

    /// From now on so many bytes may be held, or as many as in the beginning. What is held already stays.
    pub fn set_limit(&self, limit: Option<usize>) {
        self.0.limit.store(limit.unwrap_or(self.0.usual), Ordering::Relaxed);
        self.0.freed.notify_waiters();
    }

    /// How many bytes may be held.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// How many bytes are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// How often somebody was refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// A client has taken nothing for too long of what it was sent, and was cut off.
    pub(crate) fn stalled(&self) {
        self.0.stalled.fetch_add(1, Ordering::Relaxed);
    }

    /// How many clients were cut off so.
    #[must_use]
    pub fn stalls(&self) -> usize {
        self.0.stalled.load(Ordering::Relaxed)
    }

    /// Counts so many bytes that are there already, whether there is room for them or not: others then find less.
    #[must_use]
    pub fn count(&self, bytes: usize) -> Held {
        let mut held = self.share().nothing();
        held.count(bytes);
        held
    }

    /// Whether something of that size may be kept of what is only kept to be at hand: if it is little, and as long as half of
    /// all is free for what is under way.
    #[must_use]
    pub fn may_keep(&self, bytes: usize) -> bool {
        bytes <= LITTLE || self.held().saturating_add(bytes) <= self.limit() / 2
    }

    /// Counts bytes that were made here of others, until the last of them is dropped.
    #[must_use]
    pub fn own(&self, bytes: Bytes) -> Bytes {
        self.share().nothing().own(bytes)
    }

    /// The part of a party that has no address, such as a server.
    #[must_use]
    pub fn share(&self) -> Share {
        Share { memory: self.clone(), party: Arc::default() }
    }

    /// The part of a client: of all who come from the same host.
    #[must_use]
    pub fn share_of(&self, client: &Address) -> Share {
        let host = match client {
            Address::Tcp(host, _) => Address::Tcp(host.clone(), 0),
            unix @ Address::Unix(_) => unix.clone(),
        };
        let mut addresses = self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(party) = addresses.get(&host).and_then(Weak::upgrade) {
            return Share { memory: self.clone(), party };
        }
        if addresses.len() >= MANY {
            addresses.retain(|_, party| party.strong_count() > 0);
        }
        let share = self.share();
        addresses.insert(host, Arc::downgrade(&share.party));
        share
    }
}

impl Inner {
    /// Whether so many bytes were taken for a party.
    fn take(&self, party: &AtomicUsize, bytes: usize) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let theirs = party.load(Ordering::Relaxed);
        let fits = |held: usize| {
            let after = held.checked_add(bytes)?;
            (after <= limit && theirs.saturating_add(bytes) <= limit - held).then_some(after)
        };
        if self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return false;
        }
        party.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    fn give_back(&self, party: &AtomicUsize, bytes: usize) {
        party.fetch_sub(bytes, Ordering::Relaxed);
        // Whoever waits has counted itself before it looked for the last time.
        self.held.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("limit", &self.limit).field("held", &self.held).finish_non_exhaustive()
    }
}

/// One party's part.
#[derive(Debug, Clone)]
pub struct Share {
    memory: Memory,
    party: Arc<AtomicUsize>,
}

impl Share {
    /// Nothing yet, to be grown.
    #[must_use]
    pub fn nothing(&self) -> Held {
        Held { share: self.clone(), bytes: 0 }
    }

    /// Takes so many bytes, if there are so many for this party.
    ///
    /// # Errors
    /// When there are not.
    pub fn take(&self, bytes: usize) -> Result<Held, Full> {
        let mut held = self.nothing();
        held.take(bytes)?;
        Ok(held)
    }

    /// Takes so many bytes, and waits for a moment until there are so many.
    ///
    /// # Errors
    /// When there are not so many even then.
    pub async fn wait(&self, bytes: usize) -> Result<Held, Full> {
        let mut held = self.nothing();
        held.grow(bytes).await?;
        Ok(held)
    }

    /// How many bytes this party holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.party.load(Ordering::Relaxed)
    }

    fn full(&self, wanted: usize) -> Full {
        self.memory.0.refused.fetch_add(1, Ordering::Relaxed);
        Full { wanted, limit: self.memory.limit() }
    }
}

/// Bytes that are held for a party; given back when dropped.
#[derive(Debug)]
pub struct Held {
    share: Share,
    bytes: usize,
}

impl Held {
    /// How many.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn take(&mut self, more: usize) -> Result<(), Full> {
        if more > 0 && !self.share.memory.0.take(&self.share.party, more) {
            return Err(self.share.full(more));
        }
        self.bytes += more;
        Ok(())
    }

    /// Takes so many more, and waits for a moment until there are so many.
    ///
    /// # Errors
    /// When there are not so many even then; what was held before still is.
    pub async fn grow(&mut self, more: usize) -> Result<(), Full> {
        let (memory, party) = (&self.share.memory.0, &self.share.party);
        if more == 0 || memory.take(party, more) {
            self.bytes += more;
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        let waiting = Waiting::join(memory);
        loop {
            let freed = memory.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if memory.take(party, more) {
                break;
            }
            if timeout_at(until, freed).await.is_err() {
                return Err(self.share.full(more));
            }
        }
        drop(waiting);
        self.bytes += more;
        Ok(())
    }

    /// Sees to it that so many are held, and no more than that by much; waits for a moment until there are so many.
    ///
    /// # Errors
    /// When there are not so many even then.
    pub async fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        // Whoever grows grows on, so that much more is taken, if it is there.
        let step = more.max(self.bytes.min(1024 * 1024));
        if self.share.memory.0.take(&self.share.party, step) {
            self.bytes += step;
            return Ok(());
        }
        self.grow(more).await
    }

    /// Gives back what is more than so many.
    pub fn shrink(&mut self, bytes: usize) {
        if let Some(less) = self.bytes.checked_sub(bytes).filter(|less| *less > 0) {
            self.bytes = bytes;
            self.share.memory.0.give_back(&self.share.party, less);
        }
    }

    /// Counts so many more that are there already, whether there is room for them or not.
    fn count(&mut self, more: usize) {
        self.share.memory.0.held.fetch_add(more, Ordering::Relaxed);
        self.share.party.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }

    /// Of what is held, as much as these bytes are goes with them, and is given back with the last of them. They may be a bit
    /// more than what is held: then they are counted all the same.
    #[must_use]
    pub fn own(&mut self, bytes: Bytes) -> Bytes {
        if bytes.len() <= SMALL {
            return bytes;
        }
        let mine = bytes.len();
        self.count(mine.saturating_sub(self.bytes));
        self.bytes -= mine;
        let held = Self { share: self.share.clone(), bytes: mine };
        Bytes::from_owner(Owned { bytes, _held: held })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// Bytes with what is held for them.
struct Owned {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// One that waits; counted until dropped.
struct Waiting<'m>(&'m Inner);

impl<'m> Waiting<'m> {
    fn join(memory: &'m Inner) -> Self {
        memory.waiting.fetch_add(1, Ordering::SeqCst);
        Self(memory)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(host: &str) -> Address {
        Address::Tcp(host.to_owned(), 1)
    }

    #[test]
    fn what_is_only_kept_leaves_half_to_what_is_under_way() {
        let memory = Memory::new(1000 * LITTLE);
        let made = memory.count(300 * LITTLE);
        let text = memory.own(Bytes::from(vec![0; 199 * LITTLE]));
        assert_eq!(memory.held(), 499 * LITTLE);
        assert!(memory.may_keep(LITTLE) && !memory.may_keep(LITTLE + 1));
        let part = text.slice(..10);
        drop((text, made));
        assert_eq!(memory.held(), 199 * LITTLE);
        assert!(memory.may_keep(300 * LITTLE));
        drop(part);
        assert_eq!(memory.held(), 0);
        // What is there counts though there is no room for it, and others find none.
        let more = memory.count(2000 * LITTLE);
        assert!(memory.share().take(LITTLE).is_err() && memory.may_keep(LITTLE));
        drop(more);
        assert!(memory.share().take(LITTLE).is_ok());
    }

    #[test]
    fn one_party_gets_half_and_leaves_the_rest_to_others() {
        let memory = Memory::new(1000);
        let (one, other) = (memory.share_of(&client("a")), memory.share_of(&client("b")));
        let mut mine: Vec<_> = std::iter::from_fn(|| one.take(10).ok()).collect();
        assert_eq!((one.held(), mine.len()), (500, 50));
        let theirs: Vec<_> = std::iter::from_fn(|| other.take(10).ok()).collect();
        assert_eq!(other.held(), 250);
        assert_eq!((memory.held(), memory.refused()), (750, 2));
        // Another connection of the same host is the same party.
        assert!(memory.share_of(&Address::Tcp("a".to_owned(), 2)).take(10).is_err());
        mine.truncate(10);
        assert_eq!((one.held(), memory.held()), (100, 350));
        drop((mine, theirs));
        assert_eq!((memory.held(), one.held(), other.held()), (0, 0, 0));
        assert!(one.take(1000).is_ok());
        assert_eq!(one.take(1001).unwrap_err().limit, 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_what_others_give_back() {
        let memory = Memory::new(100);
        let (one, other) = (memory.share(), memory.share());
        let held = one.take(100).unwrap();
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.wait(60).await.map(|held| held.bytes()) }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert_eq!(waiting.await.unwrap(), Ok(60));
        let held = one.take(100).unwrap();
        assert_eq!(other.wait(60).await.map(drop), Err(Full { wanted: 60, limit: 100 }));
        drop(held);
        // It is the newest limit that counts.
        memory.set_limit(Some(10));
        assert!(one.take(11).is_err() && one.take(10).is_ok());
        memory.set_limit(None);
        assert!(one.take(100).is_ok());
    }

    #[test]
    fn what_is_owned_is_given_back_with_its_last_part() {
        let memory = Memory::new(100_000);
        let share = memory.share();
        let mut held = share.take(60_000).unwrap();
        let text = held.own(Bytes::from(vec![b'x'; 40_000]));
        assert_eq!((held.bytes(), memory.held()), (20_000, 60_000));
        let part = text.slice(10..20);
        drop(text);
        assert_eq!(memory.held(), 60_000);
        drop(held);
        assert_eq!(memory.held(), 40_000);
        drop(part);
        assert_eq!(memory.held(), 0);
        // What is small is nobody's.
        let mut held = share.take(10).unwrap();
        let small = held.own(Bytes::from_static(b"x"));
        drop(held);
        assert_eq!((small.len(), memory.held()), (1, 0));
        // And what was promised too little is counted as what it is.
        let mut held = share.take(10).unwrap();
        let large = held.own(Bytes::from(vec![0; 5000]));
        assert_eq!((memory.held(), share.held()), (5000, 5000));
        drop((large, held));
        assert_eq!((memory.held(), share.held()), (0, 0));
    }
}
