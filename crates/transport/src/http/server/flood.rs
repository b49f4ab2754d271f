//! An HTTP/2 connection whose client asks for nothing and wants an answer to that again and again (RFC 9113 §10.5): each PING and each
//! SETTINGS must be answered, and h2 answers them all. Past a bound the connection ends, with a GOAWAY.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// So many frames that carry nothing ...
const MOST: u32 = 10_000;
/// ... may come in so long: clients that measure their connection send a PING for each of its round trips.
const WITHIN: Duration = Duration::from_secs(10);

/// What opens a connection.
const PREFACE: usize = 24;
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// A PING on a stream, which is an error of the connection (RFC 9113 §6.7). h2 sends the GOAWAY: nobody else knows which streams it has taken.
const WRONG: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The connection.
pub(super) struct Calm<I> {
    io: I,
    /// Bytes of the frame, or of the preface, that are still to come.
    left: usize,
    header: [u8; HEADER],
    /// How much of the header has come.
    known: usize,
    began: Instant,
    idle: u32,
    /// Nothing more is read of it.
    over: bool,
    told: bool,
}

impl<I> Calm<I> {
    pub(super) fn new(io: I) -> Self {
        let header = [0; HEADER];
        Self { io, left: PREFACE, header, known: 0, began: Instant::now(), idle: 0, over: false, told: false }
    }

    /// Looks at what was read. How much of it is to be taken, which is less where it is enough.
    fn look(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let passed = self.left.min(bytes.len() - at);
            (at, self.left) = (at + passed, self.left - passed);
            if self.left > 0 {
                return at;
            }
            if self.over {
                return at;
            }
            while self.known < HEADER {
                let (Some(byte), Some(place)) = (bytes.get(at), self.header.get_mut(self.known)) else {
                    return at;
                };
                *place = *byte;
                (at, self.known) = (at + 1, self.known + 1);
            }
            self.known = 0;
            let [high, middle, low, kind, ..] = self.header;
            self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            let carries = match kind {
                HEADERS | WINDOW_UPDATE | CONTINUATION => true,
                DATA => self.left > 0,
                _ => false,
            };
            if !carries {
                self.count();
            }
        }
    }

    fn count(&mut self) {
        self.idle += 1;
        if self.idle <= MOST {
            return;
        }
        let now = Instant::now();
        if now.duration_since(self.began) < WITHIN {
            tracing::debug!("an HTTP/2 connection is flooded with frames that carry nothing, and ends");
            self.over = true;
        }
        (self.began, self.idle) = (now, 0);
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Calm<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.over && self.left == 0 {
            if !self.told && buffer.remaining() >= WRONG.len() {
                self.told = true;
                buffer.put_slice(&WRONG);
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let taken = self.look(buffer.filled().get(before..).unwrap_or_default());
        if self.over {
            buffer.set_filled(before + taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Calm<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
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
