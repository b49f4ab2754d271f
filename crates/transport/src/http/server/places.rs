//! The places of a listener: so many connections are served at once. Where none is free, the connection on which nothing has
//! been asked for longest is closed for the new one; where on all of them something is, the new one is turned away.
//!
//! What a request costs here is two counts and a time that are its connection's own: no lock, and nothing that threads share.
//! A lock is taken by a connection that comes or goes.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout};

use crate::descriptors;
use crate::spell::Spell;

/// How long a connection that is to make room may take to end in good order while nothing is asked on it.
const PARTING: Duration = Duration::from_secs(1);
/// How long a new connection waits for the place of one that is to make room.
const WAITING: Duration = Duration::from_secs(2);
/// How long one that has said nothing yet may still say something when it is to make room.
const LOOK: Duration = Duration::from_millis(20);
/// How many of those that can make room are looked for at once: to find one, all are gone over.
const CANDIDATES: usize = 64;
/// How long a new connection stays unanswered when too many have no place: those before it have theirs as soon as others are
/// closed, or are told that there is none.
const BACKED_UP: Duration = Duration::from_millis(50);
/// A listener was full until it has been spared that for so long.
const SPARED: Duration = Duration::from_secs(10);
/// When none could make room, it is not looked again for so long.
const FRUITLESS: Duration = Duration::from_millis(10);

/// The places of one listener.
pub struct Places {
    name: String,
    most: usize,
    free: Arc<Semaphore>,
    /// For those that have no place: they wait for one, or are told that there is none.
    doorstep: Arc<Semaphore>,
    began: Instant,
    taken: Mutex<Taken>,
    open: AtomicUsize,
    closed: AtomicU64,
    refused: AtomicU64,
    full: Spell,
    /// When there was no place last.
    lacked: AtomicU64,
}

#[derive(Default)]
struct Taken {
    next: u64,
    seats: HashMap<u64, Arc<Seat>>,
    /// Those that have been idle longest when it was last looked, the longest at the end.
    candidates: Vec<(u64, Arc<Seat>)>,
    /// When it was looked in vain.
    fruitless: Option<Instant>,
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("name", &self.name).field("most", &self.most).finish_non_exhaustive()
    }
}

/// What becomes of a connection that has come.
pub(super) enum Arrival {
    /// It has a place.
    Seated(Place),
    /// It has none yet; another makes room.
    Waits(Waiting),
    /// There is none for it, which it can be told.
    Refused(OwnedSemaphorePermit),
    /// There are too many that are being told.
    Cut,
}

type Queued = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// One that waits for the place of another.
pub(super) struct Waiting {
    places: Arc<Places>,
    /// It is in the queue already: whoever comes later must not get the place that is made for it.
    queued: Queued,
    doorstep: OwnedSemaphorePermit,
}

impl Waiting {
    /// The place, or leave to say that there is none.
    pub(super) async fn place(self) -> Result<Place, OwnedSemaphorePermit> {
        match timeout(WAITING, self.queued).await {
            Ok(Ok(free)) => Ok(self.places.seat(Some(free))),
            _ => {
                self.places.refuse();
                Err(self.doorstep)
            }
        }
    }
}

impl Places {
    /// So many places for the listener of that name.
    #[must_use]
    pub fn new(name: &str, most: usize) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            most,
            free: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            doorstep: Arc::new(Semaphore::new(Self::doorstep(most))),
            began: Instant::now(),
            taken: Mutex::default(),
            open: AtomicUsize::new(0),
            closed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            full: Spell::new(),
            lacked: AtomicU64::new(0),
        })
    }

    /// How many connections there may be beside those that have a place.
    #[must_use]
    pub fn doorstep(most: usize) -> usize {
        (most / 8).clamp(4, 256)
    }

    /// The listener.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The most connections that are served at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many connections have a place now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many idle ones were closed to make room.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// How many were turned away.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A connection has come.
    pub(super) async fn arrive(self: &Arc<Self>) -> Arrival {
        if let Ok(free) = Arc::clone(&self.free).try_acquire_owned() {
            return Arrival::Seated(self.seat(Some(free)));
        }
        self.lacked.store(nanos(self.began), Ordering::Relaxed);
        if self.full.begin() {
            tracing::warn!(
                listener = self.name,
                connections = self.most,
                "the listener is full: for a new connection the one that idled longest is closed, and where none idles, \
                 the new one is refused"
            );
        }
        let Ok(Ok(doorstep)) = timeout(BACKED_UP, Arc::clone(&self.doorstep).acquire_owned()).await else {
            self.refuse();
            return Arrival::Cut;
        };
        match self.queue().await {
            Err(free) => Arrival::Seated(self.seat(Some(free))),
            Ok(queued) if self.make_room() => {
                Arrival::Waits(Waiting { places: Arc::clone(self), queued, doorstep })
            }
            Ok(_) => {
                self.refuse();
                Arrival::Refused(doorstep)
            }
        }
    }

    /// Gets into the queue for a place, or takes one that is free by now.
    async fn queue(&self) -> Result<Queued, OwnedSemaphorePermit> {
        let mut queued: Queued = Box::pin(Arc::clone(&self.free).acquire_owned());
        let begun = poll_fn(|cx| Poll::Ready(queued.as_mut().poll(cx)));
        match unconstrained(begun).await {
            Poll::Ready(Ok(free)) => Err(free),
            Poll::Ready(Err(_)) | Poll::Pending => Ok(queued),
        }
    }

    /// A place for one that is to be served though there may be none.
    pub(super) fn beyond(self: &Arc<Self>) -> Place {
        self.seat(None)
    }

    /// A connection could not be accepted. If it is for want of a descriptor, one that idles gives its own.
    pub(super) fn unaccepted(&self, error: &io::Error) {
        if descriptors::are_lacking(error) {
            self.make_room();
        } else {
            tracing::warn!(listener = self.name, %error, "cannot accept a connection");
        }
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn seat(self: &Arc<Self>, free: Option<OwnedSemaphorePermit>) -> Place {
        let seat = Arc::new(Seat {
            began: self.began,
            asked: AtomicU32::new(0),
            since: AtomicU64::new(nanos(self.began)),
            leaves: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        let mut taken = self.taken();
        let id = taken.next;
        taken.next += 1;
        taken.seats.insert(id, Arc::clone(&seat));
        drop(taken);
        self.open.fetch_add(1, Ordering::Relaxed);
        Place { id, seat, places: Arc::clone(self), _free: free }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the connection that has been idle longest to leave. Whether there is one.
    fn make_room(&self) -> bool {
        let mut taken = self.taken();
        let found = taken.longest_idle();
        drop(taken);
        let Some(seat) = found else { return false };
        self.closed.fetch_add(1, Ordering::Relaxed);
        seat.ask_to_leave();
        true
    }

    fn leave(&self, id: u64) {
        self.taken().seats.remove(&id);
        let open = self.open.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        // Not at once: one that stays at its bound would be told of again and again.
        let lacked = Duration::from_nanos(self.lacked.load(Ordering::Relaxed));
        if self.full.is_on()
            && open <= self.most - self.most.div_ceil(10)
            && self.began.elapsed().saturating_sub(lacked) > SPARED
            && self.full.end()
        {
            tracing::info!(
                listener = self.name,
                closed = self.closed(),
                refused = self.refused(),
                "the listener has room again; so many idle connections were closed and so many refused since the start"
            );
        }
    }
}

impl Taken {
    fn longest_idle(&mut self) -> Option<Arc<Seat>> {
        loop {
            while let Some((since, seat)) = self.candidates.pop() {
                // Since it was looked, it may have been asked something, or have gone.
                if seat.idle_since() == Some(since) && Arc::strong_count(&seat) > 1 {
                    return Some(seat);
                }
            }
            if self.fruitless.is_some_and(|looked| looked.elapsed() < FRUITLESS) {
                return None;
            }
            let idle = self.seats.values().filter_map(|seat| Some((seat.idle_since()?, seat)));
            let mut idle: Vec<_> = idle.collect();
            if idle.len() > CANDIDATES {
                idle.select_nth_unstable_by_key(CANDIDATES, |(since, _)| *since);
                idle.truncate(CANDIDATES);
            }
            idle.sort_unstable_by_key(|(since, _)| std::cmp::Reverse(*since));
            self.candidates = idle.into_iter().map(|(since, seat)| (since, Arc::clone(seat))).collect();
            self.fruitless = self.candidates.is_empty().then(Instant::now);
        }
    }
}

fn nanos(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// One connection, as the listener sees it.
struct Seat {
    began: Instant,
    /// How many requests are under way, answers that are being sent among them.
    asked: AtomicU32,
    /// Since when there has been none.
    since: AtomicU64,
    leaves: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Seat {
    /// Since when nothing is asked, if nothing is, and if it was not asked to leave already.
    fn idle_since(&self) -> Option<u64> {
        (self.asked.load(Ordering::Acquire) == 0 && !self.leaves.load(Ordering::Relaxed))
            .then(|| self.since.load(Ordering::Relaxed))
    }

    fn ask_to_leave(&self) {
        self.leaves.store(true, Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What a connection has as long as it is served.
pub(super) struct Place {
    id: u64,
    seat: Arc<Seat>,
    places: Arc<Places>,
    _free: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(self.id);
    }
}

impl Place {
    /// Who counts its requests.
    pub(super) fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.seat))
    }

    /// Waits until it is asked to leave.
    pub(super) fn asked_to_leave(&self) -> impl Future<Output = ()> + '_ {
        let mut known: Option<Waker> = None;
        poll_fn(move |cx| {
            if self.seat.leaves.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            // Polled whenever anything happens on the connection, and nearly always by the same task: no lock for that.
            if known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            known = Some(cx.waker().clone());
            *self.seat.waker.lock().unwrap_or_else(PoisonError::into_inner) = known.clone();
            if self.seat.leaves.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// The same for one that has said nothing yet, or nothing that was read: a client that has just connected sends its request
    /// at once, and must not lose it because this thread has not come to look.
    pub(super) async fn asked_to_leave_unopened(&self) {
        self.asked_to_leave().await;
        tokio::time::sleep(LOOK).await;
    }

    /// Serves a connection that is about to end to its end; not for ever while nothing is asked on it, since a client that
    /// does not read what it was sent would keep its place.
    pub(super) async fn part<C: Future>(&self, mut connection: Pin<&mut C>) -> Option<C::Output> {
        loop {
            match timeout(PARTING, connection.as_mut()).await {
                Ok(served) => return Some(served),
                Err(_elapsed) if self.seat.asked.load(Ordering::Acquire) == 0 => return None,
                Err(_elapsed) => {}
            }
        }
    }
}

/// Counts the requests of a connection.
#[derive(Clone)]
pub(super) struct Counter(Arc<Seat>);

impl Counter {
    /// A request has come, and is under way until what is returned is dropped.
    pub(super) fn request(&self) -> Asked {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        Asked(Arc::clone(&self.0))
    }
}

/// A request that is under way.
pub(super) struct Asked(Arc<Seat>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.since.store(nanos(self.0.began), Ordering::Relaxed);
        self.0.asked.fetch_sub(1, Ordering::Release);
    }
}

/// The body of an answer. While it is being sent its request is under way.
pub(super) struct Answering<B> {
    body: B,
    _asked: Asked,
}

impl<B> Answering<B> {
    pub(super) fn new(body: B, asked: Asked) -> Self {
        Self { body, _asked: asked }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
