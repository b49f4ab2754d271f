//! Who moves much takes turns with others who do, so that who moves little need not wait for all of them.
//!
//! A thread carries many connections, and whatever is ready is done one after the other. Hundreds of bodies that come at once
//! would be read in one round, and a small call in between would wait for the whole of it. So a connection that has moved
//! [`MUCH`] within a short time, and not in many small messages, stands in a line with others of its thread that have; one of
//! them goes on at a time, and before it what else is ready, and what the sockets have in the meantime.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// So many bytes are moved in one turn, or a bit more.
const MUCH: usize = 128 * 1024;
/// Many small messages, one by one, are as much, but each is done soon. So large are the parts of what is not, on average.
const LITTLE: usize = 4 * 1024;
/// Who takes longer for as many is not in the way, and need not stand in line.
const SLOWLY: Duration = Duration::from_millis(100);

thread_local! {
    static LINE: Arc<Line> = Arc::default();
}

/// A connection that takes turns, each way by itself.
pub(super) struct Turns<T> {
    io: T,
    reads: Pace,
    writes: Pace,
}

impl<T> Turns<T> {
    pub(super) fn new(io: T) -> Self {
        let now = Instant::now();
        Self { io, reads: Pace::since(now), writes: Pace::since(now) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Turns<T> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.reads.poll_turn(cx));
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.reads.count(buffer.filled().len() - before);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Turns<T> {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.writes.poll_turn(cx));
        let part = bytes.get(..MUCH).unwrap_or(bytes);
        let written = Pin::new(&mut self.io).poll_write(cx, part);
        self.writes.count_written(&written);
        written
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.writes.poll_turn(cx));
        let written = match part_of(bytes) {
            Part::Texts(texts) => Pin::new(&mut self.io).poll_write_vectored(cx, texts),
            Part::Text(text) => Pin::new(&mut self.io).poll_write(cx, text),
        };
        self.writes.count_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What is written in one turn.
enum Part<'a, 'b> {
    Texts(&'a [IoSlice<'b>]),
    Text(&'a [u8]),
}

/// As many of the texts as fit into one turn, or what does of the first that is not empty.
fn part_of<'a, 'b>(texts: &'a [IoSlice<'b>]) -> Part<'a, 'b> {
    let mut sum = 0;
    for (at, text) in texts.iter().enumerate() {
        if sum + text.len() > MUCH {
            return match sum {
                0 => Part::Text(text.get(..MUCH).unwrap_or(text)),
                _ => Part::Texts(texts.get(..at).unwrap_or(texts)),
            };
        }
        sum += text.len();
    }
    Part::Texts(texts)
}

/// How much was moved one way, and the place in the line.
struct Pace {
    /// Since the last turn.
    moved: usize,
    /// In so many parts.
    parts: usize,
    /// When the last turn began.
    last: Instant,
    /// What stands in the line for it, until its turn comes.
    ticket: Option<Arc<Ticket>>,
}

impl Pace {
    fn since(last: Instant) -> Self {
        Self { moved: 0, parts: 0, last, ticket: None }
    }

    #[inline]
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.moved < MUCH { Poll::Ready(()) } else { self.poll_next(cx) }
    }

    #[inline]
    fn count(&mut self, bytes: usize) {
        self.moved += bytes;
        self.parts += usize::from(bytes > 0);
    }

    fn count_written(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.count(*bytes);
        }
    }

    #[cold]
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Who only looks whether something has come must be told what the socket says, and cannot be called.
        if cx.waker().will_wake(Waker::noop()) {
            return Poll::Ready(());
        }
        let now = Instant::now();
        if let Some(ticket) = &self.ticket {
            if !ticket.was_called(cx.waker()) {
                return Poll::Pending;
            }
        } else if self.moved >= self.parts * LITTLE
            && now < self.last + SLOWLY
            // Without a runtime there is nobody who would call.
            && let Ok(runtime) = Handle::try_current()
        {
            let ticket = self.ticket.insert(Ticket::of(cx.waker()));
            LINE.with(|line| line.join(Arc::clone(ticket), &runtime));
            return Poll::Pending;
        }
        *self = Self::since(now);
        Poll::Ready(())
    }
}

/// What stands in the line for one way of a connection: who is woken when its turn has come, and nobody after that.
struct Ticket(Mutex<Option<Waker>>);

impl Ticket {
    fn of(waker: &Waker) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(waker.clone()))))
    }

    /// Whether it has its turn; if not, this is woken when it has.
    fn was_called(&self, waker: &Waker) -> bool {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waits) = &mut *waits {
            waits.clone_from(waker);
        }
        waits.is_none()
    }

    fn call(&self) {
        let waits = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waits {
            waker.wake();
        }
    }
}

/// Those of one thread that wait for their turn.
#[derive(Default)]
struct Line(Mutex<Standing>);

#[derive(Default)]
struct Standing {
    tickets: VecDeque<Arc<Ticket>>,
    /// Whether somebody calls them.
    attended: bool,
}

impl Line {
    fn join(self: &Arc<Self>, ticket: Arc<Ticket>, runtime: &Handle) {
        let attended = {
            let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            standing.tickets.push_back(ticket);
            std::mem::replace(&mut standing.attended, true)
        };
        // Not while the line is locked: a runtime that ends drops the attendant at once, who locks it.
        if !attended {
            runtime.spawn(attend(Attendant { line: Arc::clone(self), done: false }));
        }
    }

    /// The next whose connection is still there. With none the line is left to itself.
    fn next(&self) -> Option<Arc<Ticket>> {
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ticket) = standing.tickets.pop_front() {
            if Arc::strong_count(&ticket) > 1 {
                return Some(ticket);
            }
        }
        standing.attended = false;
        None
    }
}

/// Calls one after the other. In between all that is ready is done, and the sockets are asked ([`tokio::task::yield_now`]).
async fn attend(mut attendant: Attendant) {
    loop {
        tokio::task::yield_now().await;
        match attendant.line.next() {
            Some(ticket) => ticket.call(),
            None => break,
        }
    }
    attendant.done = true;
}

/// Who calls those in the line. If it ends with its runtime, whoever comes next finds the line without one.
struct Attendant {
    line: Arc<Line>,
    done: bool,
}

impl Drop for Attendant {
    fn drop(&mut self) {
        if !self.done {
            self.line.0.lock().unwrap_or_else(PoisonError::into_inner).attended = false;
        }
    }
}

#[cfg(test)]
mod tests;
