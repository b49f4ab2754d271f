//! The bulkhead: how many calls one server may have under way, and how many may wait for a place.
//!
//! Who waits is served in turns among principals, so that one with many calls cannot keep the others waiting: the next place goes
//! to the next principal, and there to who came first. Where nobody waits, taking a place is one change of one number.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use auth::Principal;
use tokio::sync::{Notify, oneshot};

use crate::error::CallError;
use crate::metrics::Crowd;
use crate::sync::lock;

/// The places of one server.
#[derive(Debug)]
pub struct Bulkhead {
    what: String,
    places: Arc<Slots>,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub struct Slot(Arc<Slots>);

#[derive(Debug)]
struct Slots {
    free: AtomicUsize,
    size: usize,
    /// How many are in the queue. Who frees a place and sees none need not lock it. Each side first says what it does and then looks
    /// at what the other does, in one order for all, so that no place is left free while somebody waits.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
    most_waiting: usize,
    idle: Notify,
}

/// Those who wait.
#[derive(Debug, Default)]
struct Queue {
    /// Of each principal, the oldest first. None is empty.
    lines: HashMap<Principal, VecDeque<Waiter>>,
    /// The principals that have a line, in the order of their turns.
    turns: VecDeque<Principal>,
    waiting: usize,
    tickets: u64,
}

/// One who waits: is given a place, or dropped when another is to wait in its stead.
#[derive(Debug)]
struct Waiter {
    ticket: u64,
    place: oneshot::Sender<Slot>,
}

impl Bulkhead {
    /// So many places for what `what` names, and so many who may wait for one.
    pub fn new(what: String, size: usize, most_waiting: usize) -> Self {
        let places = Slots {
            free: AtomicUsize::new(size),
            size,
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
            most_waiting,
            idle: Notify::new(),
        };
        Self { what, places: Arc::new(places) }
    }

    /// Takes a place for nobody in particular.
    ///
    /// # Errors
    /// As [`Self::take_for`].
    pub async fn take(&self) -> Result<Slot, CallError> {
        match self.take_now() {
            Some(place) => Ok(place),
            None => self.wait(&Principal::anonymous()).await,
        }
    }

    /// Takes a place, waiting for one in turns with other principals. Cancel safe.
    ///
    /// # Errors
    /// When too many wait already, and no principal has more than one waiting that this one has not. Then the last of the
    /// principal that has most waiting hears so instead.
    pub async fn take_for(&self, whose: &Principal) -> Result<Slot, CallError> {
        match self.take_now() {
            Some(place) => Ok(place),
            None => self.wait(whose).await,
        }
    }

    fn take_now(&self) -> Option<Slot> {
        // Nobody passes those who wait.
        let nobody_waits = self.places.waiting.load(Ordering::SeqCst) == 0;
        (nobody_waits && self.places.take()).then(|| Slot(Arc::clone(&self.places)))
    }

    async fn wait(&self, whose: &Principal) -> Result<Slot, CallError> {
        let full = || CallError::Overloaded { what: self.what.clone(), limit: self.places.size };
        let Some((queued, place)) = Queued::join(&self.places, whose) else { return Err(full()) };
        let place = place.await;
        drop(queued);
        // Nobody gives one to who had to make room.
        place.map_err(|_made_room| full())
    }

    /// How many places are taken now, how many there are, and how many wait for one: each looked at on its own.
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        let places = &self.places;
        Crowd {
            inside: places.size.saturating_sub(places.free.load(Ordering::Relaxed)),
            places: places.size,
            waiting: places.waiting.load(Ordering::Relaxed),
        }
    }

    /// Waits until no place is taken.
    pub async fn idle(&self) {
        let places = &self.places;
        let mut idle = pin!(places.idle.notified());
        loop {
            // It listens before it looks.
            idle.as_mut().enable();
            let nobody_waits = places.waiting.load(Ordering::SeqCst) == 0;
            if nobody_waits && places.free.load(Ordering::SeqCst) == places.size {
                return;
            }
            idle.as_mut().await;
            idle.set(places.idle.notified());
        }
    }
}

impl Slots {
    /// Whether there was one, which now is taken.
    fn take(&self) -> bool {
        let one_less = |free: usize| free.checked_sub(1);
        self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    /// Gives places that are free to those whose turn it is. What is given back is to be dropped when the queue is not locked any
    /// more: that locks it.
    #[must_use]
    fn hand_out(self: &Arc<Self>, queue: &mut Queue) -> Option<Slot> {
        let mut place = None;
        while queue.waiting > 0 {
            if place.is_none() {
                place = self.take().then(|| Slot(Arc::clone(self)));
            }
            let Some(one) = place.take() else { break };
            match self.next(queue) {
                // Who has gone away just now gives it back.
                Some(waiter) => place = waiter.place.send(one).err(),
                None => return Some(one),
            }
        }
        place
    }

    fn next(&self, queue: &mut Queue) -> Option<Waiter> {
        let whose = queue.turns.pop_front()?;
        let line = queue.lines.get_mut(&whose)?;
        let waiter = line.pop_front();
        if line.is_empty() {
            queue.lines.remove(&whose);
        } else {
            queue.turns.push_back(whose);
        }
        self.left(queue, 1);
        waiter
    }

    fn left(&self, queue: &mut Queue, how_many: usize) {
        queue.waiting -= how_many;
        self.waiting.store(queue.waiting, Ordering::SeqCst);
    }

    /// Lets the last of the principal that has most waiting go, if it has more than `whose` would have.
    fn make_room(&self, queue: &mut Queue, whose: &Principal) -> bool {
        let own = queue.lines.get(whose).map_or(0, VecDeque::len);
        let Some((most, line)) = queue.lines.iter_mut().max_by_key(|(_, line)| line.len()) else {
            return false;
        };
        if line.len() <= own + 1 {
            return false;
        }
        let gone = line.pop_back();
        if line.is_empty() {
            let most = most.clone();
            queue.lines.remove(&most);
            queue.turns.retain(|turn| *turn != most);
        }
        if gone.is_some() {
            self.left(queue, 1);
        }
        gone.is_some()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let places = &self.0;
        let free = places.free.fetch_add(1, Ordering::SeqCst) + 1;
        if places.waiting.load(Ordering::SeqCst) > 0 {
            let left_over = places.hand_out(&mut lock(&places.queue));
            drop(left_over);
        } else if free == places.size {
            places.idle.notify_waiters();
        }
    }
}

/// One that waits; leaves the queue when dropped, so also when its client goes away.
struct Queued<'p> {
    places: &'p Arc<Slots>,
    whose: &'p Principal,
    ticket: u64,
}

impl<'p> Queued<'p> {
    fn join(places: &'p Arc<Slots>, whose: &'p Principal) -> Option<(Self, oneshot::Receiver<Slot>)> {
        if places.most_waiting == 0 {
            return None;
        }
        let (place, given) = oneshot::channel();
        let mut locked = lock(&places.queue);
        let queue = &mut *locked;
        if queue.waiting >= places.most_waiting && !places.make_room(queue, whose) {
            return None;
        }
        queue.tickets += 1;
        let ticket = queue.tickets;
        let line = queue.lines.entry(whose.clone()).or_insert_with(|| {
            queue.turns.push_back(whose.clone());
            VecDeque::new()
        });
        line.push_back(Waiter { ticket, place });
        queue.waiting += 1;
        places.waiting.store(queue.waiting, Ordering::SeqCst);
        // One may have become free before it was known that somebody waits.
        let left_over = places.hand_out(queue);
        drop(locked);
        drop(left_over);
        Some((Self { places, whose, ticket }, given))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let places = self.places;
        let queue = &mut *lock(&places.queue);
        // Who was given a place, or made room, is not in it any more.
        let Some(line) = queue.lines.get_mut(self.whose) else { return };
        let Ok(at) = line.binary_search_by_key(&self.ticket, |waiter| waiter.ticket) else { return };
        let gone = line.remove(at);
        if line.is_empty() {
            queue.lines.remove(self.whose);
            queue.turns.retain(|turn| turn != self.whose);
        }
        places.left(queue, 1);
        // It was in the queue, so that it has no place.
        drop(gone);
        if queue.waiting == 0 && places.free.load(Ordering::SeqCst) == places.size {
            places.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
