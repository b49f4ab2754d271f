//! The connections to one server.
//!
//! Over HTTP/1.1 a connection is driven by whoever waits for a response on it, not by a task of its own: nothing is then
//! woken but the one that waits. While it lies here nobody watches it; what happened to it meanwhile is seen when it is
//! taken out again, before anything is sent. Each thread that carries connections has a shelf of its own.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::super::body::Pieces;
use super::Destination;
use crate::net::BoxIo;
use crate::workers;

/// The most that is read at once. It belongs to a connection for as long as that is there, counted by nobody, and hyper's own
/// bound is four times this.
const BUFFER: usize = 128 * 1024;

/// How long an unused connection is kept. Uvicorn and Node close theirs after five seconds: a request that is sent in just
/// that moment is lost, and whether it was carried out can then not be known. On a busy machine either side may notice
/// late, hence the distance.
pub(super) const IDLE: Duration = Duration::from_secs(3);

/// The connections that are not in use, and those that can be used by many at once.
#[derive(Debug)]
pub(super) struct Pool {
    shelves: Box<[Mutex<Shelf>]>,
    most_idle: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    /// The last one used is the last one here.
    idle: Vec<Idle>,
    shared: Vec<(Destination, http2::SendRequest<Pieces>)>,
    /// Whether someone is looking for those that lie here for too long.
    is_swept: bool,
}

#[derive(Debug)]
struct Idle {
    to: Destination,
    connection: Http1,
    since: Instant,
}

impl Pool {
    /// For so many threads, of which each keeps its part of `most_idle`.
    pub(super) fn new(seats: usize, most_idle: usize) -> Self {
        let shelves = (0..seats.max(1)).map(|_| Mutex::default()).collect();
        Self { shelves, most_idle: most_idle.div_ceil(seats.saturating_sub(1).max(1)) }
    }

    fn shelf(&self, seat: usize) -> MutexGuard<'_, Shelf> {
        // There is at least one. A thread that panicked has at worst lost a connection.
        let shelf = self.shelves.get(seat).or_else(|| self.shelves.first());
        #[expect(clippy::expect_used, reason = "made with at least one shelf")]
        shelf.expect("a shelf").lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is still good, for one request.
    pub(super) fn take(&self, to: &Destination) -> Option<Http1> {
        loop {
            let mut idle = {
                let mut shelf = self.shelf(workers::seat());
                let at = shelf.idle.iter().rposition(|idle| idle.to.is_near(to))?;
                shelf.idle.remove(at)
            };
            if idle.since.elapsed() < IDLE && idle.connection.is_good() {
                return Some(idle.connection);
            }
        }
    }

    /// A connection for any number of requests at once.
    pub(super) fn shared(&self, to: &Destination) -> Option<http2::SendRequest<Pieces>> {
        let mut shelf = self.shelf(workers::seat());
        shelf.shared.retain(|(_, sender)| !sender.is_closed());
        shelf.shared.iter().find(|(other, _)| other.is_near(to)).map(|(_, sender)| sender.clone())
    }

    /// Lets others use a connection. Of those who connected at the same time, only the first one's is kept.
    pub(super) fn share(&self, to: Destination, sender: http2::SendRequest<Pieces>) {
        let mut shelf = self.shelf(workers::seat());
        if !shelf.shared.iter().any(|(other, kept)| other.is_near(&to) && !kept.is_closed()) {
            shelf.shared.push((to, sender));
        }
    }

    /// Takes a connection back whose response was read to its end.
    pub(super) fn give_back(pool: &Arc<Self>, to: Destination, connection: Http1, seat: usize) {
        if pool.put(to, connection, seat) {
            tokio::spawn(sweep(Arc::downgrade(pool), seat));
        }
    }

    /// Puts a connection on its shelf. True if nobody sweeps that yet.
    fn put(&self, to: Destination, mut connection: Http1, seat: usize) -> bool {
        if !connection.is_good() {
            return false;
        }
        let mut shelf = self.shelf(seat);
        if shelf.idle.len() >= self.most_idle {
            return false;
        }
        shelf.idle.push(Idle { to, connection, since: Instant::now() });
        !std::mem::replace(&mut shelf.is_swept, true)
    }

    /// Closes what has been unused for too long; when to look again, if anything is left.
    fn sweep(&self, seat: usize) -> Option<Instant> {
        let mut shelf = self.shelf(seat);
        let now = Instant::now();
        shelf.idle.retain(|idle| now.duration_since(idle.since) < IDLE);
        let next = shelf.idle.iter().map(|idle| idle.since + IDLE).min();
        shelf.is_swept = next.is_some();
        next
    }
}

/// Closes what has been unused for too long, until nothing is left.
async fn sweep(pool: Weak<Pool>, seat: usize) {
    let mut next = Instant::now() + IDLE;
    loop {
        tokio::time::sleep_until(next).await;
        match pool.upgrade().and_then(|pool| pool.sweep(seat)) {
            Some(then) => next = then,
            None => return,
        }
    }
}

/// A connection over HTTP/1.1, for one request at a time.
pub(super) struct Http1 {
    sender: http1::SendRequest<Pieces>,
    driver: Pin<Box<http1::Connection<TokioIo<BoxIo>, Pieces>>>,
    /// Whether the driver has nothing left to do, and must not be asked again.
    ended: bool,
}

/// Why a request has no response.
pub(super) enum Unsent {
    /// It is here again as it was: nothing of it was sent.
    Whole(Box<Request<Pieces>>, hyper::Error),
    /// It, or a part of it, was sent.
    Partly(hyper::Error),
}

impl Http1 {
    pub(super) async fn open(io: BoxIo) -> hyper::Result<Self> {
        let builder = &mut http1::Builder::new();
        let (sender, driver) = builder.max_buf_size(BUFFER).handshake(TokioIo::new(io)).await?;
        Ok(Self { sender, driver: Box::pin(driver), ended: false })
    }

    /// Lets the connection do what it can. Whoever waits in `cx` is woken when it can do more.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            // How it ended is heard by whoever waits for a response or for its body.
            self.ended = self.driver.as_mut().poll(cx).is_ready();
        }
    }

    /// Whether a request can be sent on it. Nobody is woken by it from here on until it is driven again.
    fn is_good(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(&mut self, request: Request<Pieces>) -> Result<Response<Incoming>, Unsent> {
        let mut answered = std::pin::pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            self.drive(cx);
            // Only the driver, which was just polled, can make it ready: it needs no waker of its own.
            match answered.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut fault)) => Poll::Ready(Err(match fault.take_message() {
                    Some(request) => Unsent::Whole(Box::new(request), fault.into_error()),
                    None => Unsent::Partly(fault.into_error()),
                })),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").field("ended", &self.ended).finish_non_exhaustive()
    }
}
