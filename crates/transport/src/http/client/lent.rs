//! A connection that is in use for one response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;

use super::Destination;
use super::pool::{Http1, Pool};
use crate::workers;

/// A response's body together with the connection that it comes by. Dropped before its end, it closes the connection;
/// at its end the connection goes back to the pool.
pub(super) struct Lent {
    body: Incoming,
    /// None when the connection is driven by others, or has gone back.
    connection: Option<(Http1, Destination)>,
    pool: Arc<Pool>,
    /// The thread that it was made on.
    seat: usize,
}

impl Lent {
    pub(super) fn new(body: Incoming, connection: Option<(Http1, Destination)>, pool: Arc<Pool>) -> Self {
        let mut lent = Self { body, connection, pool, seat: workers::seat() };
        if lent.body.is_end_stream() {
            lent.give_back();
        }
        lent
    }

    /// How many bytes are still to come, at least.
    pub(super) fn left(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// Whether nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The next frame.
    pub(super) async fn frame(&mut self) -> Option<hyper::Result<Frame<Bytes>>> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending()
            && let Some((connection, _)) = &mut self.connection
        {
            connection.drive(cx);
            frame = Pin::new(&mut self.body).poll_frame(cx);
        }
        match &frame {
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.give_back(),
            Poll::Ready(Some(Err(_))) => self.connection = None,
            _ => {}
        }
        frame
    }

    fn give_back(&mut self) {
        if let Some((connection, to)) = self.connection.take() {
            Pool::give_back(&self.pool, to, connection, self.seat);
        }
    }
}
