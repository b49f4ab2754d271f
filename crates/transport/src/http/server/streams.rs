//! The streams of an HTTP/2 connection: one whose client opens no window is ended, whatever moves on the others, and with it
//! what was kept for it.
//!
//! hyper carries each stream in a task, which waits for the window of what it took of the body. So the body notes when something was taken of
//! it, and the task, when that was all that happened. What has no window yet waits in hyper or in h2, and is thrown away with the
//! task, whose end resets the stream.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep};

use super::drain::Answer;
use crate::memory::{Memory, SMALL};

/// What is given to hyper at a time: the largest frame that every client takes. To take one is progress.
const PIECE: usize = 16 * 1024;

thread_local! {
    /// What became of the body last while the task was polled: whether something was taken of it. None if nobody asked it.
    static TAKEN: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Carries the streams of connections.
#[derive(Debug, Clone)]
pub(super) struct Patient {
    /// How long a stream may take nothing of what waits for it.
    pub(super) patience: Duration,
    /// Where it is counted how many were ended.
    pub(super) memory: Memory,
}

impl<F> Executor<F> for Patient
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let Self { patience, memory } = self.clone();
        // Its place in the task would be there twice if it was moved there.
        let mut stream = Box::pin(stream);
        let mut waits: Option<Pin<Box<Sleep>>> = None;
        tokio::spawn(poll_fn(move |cx| {
            TAKEN.set(None);
            if stream.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match TAKEN.take() {
                Some(true) => match &mut waits {
                    Some(waits) => waits.as_mut().reset(Instant::now() + patience),
                    None => waits = Some(Box::pin(sleep(patience))),
                },
                Some(false) => waits = None,
                None => {}
            }
            if waits.as_mut().is_none_or(|waits| waits.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            memory.stalled();
            tracing::debug!(?patience, "a stream has taken nothing for too long (limits.write_stall)");
            Poll::Ready(())
        }));
    }
}

/// A body in pieces, of which it is seen when they are taken.
#[derive(Debug)]
pub(super) struct Pieces<B> {
    body: B,
    rest: Bytes,
    /// Whether it is long enough to be counted as held.
    long: bool,
    watched: bool,
}

impl Pieces<Answer> {
    /// As it is, if its connection is watched instead.
    pub(super) fn new(body: Answer, watched: bool) -> Self {
        Self { body, rest: Bytes::new(), long: false, watched }
    }

    fn piece(&mut self) -> Bytes {
        // The last byte by itself: it is taken when all before it has a window, and as long as it is not, the task lives.
        let all = self.rest.len();
        let but_one = usize::from(self.long && all > 1 && self.body.is_end_stream());
        self.rest.split_to(PIECE.min(all - but_one))
    }
}

impl Body for Pieces<Answer> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.watched {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        if self.rest.is_empty() {
            let next = Pin::new(&mut self.body).poll_frame(cx);
            match next {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.long |= data.len() > SMALL;
                        self.rest = data;
                    }
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => {
                    TAKEN.set(Some(false));
                    return other;
                }
            }
        }
        TAKEN.set(Some(true));
        let piece = self.piece();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if let Some(exact) = hint.exact() {
            hint.set_exact(exact + self.rest.len() as u64);
        }
        hint
    }
}

#[cfg(test)]
mod tests;
