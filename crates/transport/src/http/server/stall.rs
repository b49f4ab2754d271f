//! A connection whose other end must take what it is sent: one that takes nothing for too long is ended, and with it what was
//! kept for it.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::drain::Lingering;
use crate::memory::Memory;
use crate::net::BoxIo;

/// The connection.
pub(super) struct Stalling {
    io: BoxIo,
    patience: Duration,
    memory: Memory,
    /// Runs while something waits to be taken.
    waits: Option<Pin<Box<Sleep>>>,
    /// Reads what comes after the end, so that the end is not a reset.
    lingering: Lingering,
}

impl Stalling {
    pub(super) fn new(io: BoxIo, patience: Duration, memory: Memory) -> Self {
        Self { io, patience, memory, waits: None, lingering: Lingering::default() }
    }

    /// What a write came to; an error if the other end has taken nothing for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = None;
            return written;
        }
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(waits.as_mut().poll(cx));
        self.memory.stalled();
        let why =
            format!("it has taken nothing for {:?} of what it was sent (limits.write_stall)", self.patience);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        ready!(self.judge(cx, shut))?;
        let Self { io, lingering, .. } = &mut *self;
        lingering.poll(io, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_takes_a_little_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(10);
        let memory = Memory::default();
        let mut stalling = Stalling::new(Box::new(ours), PATIENCE, memory.clone());
        let slow = async {
            let mut taken = [0; 1];
            for _ in 0..5 {
                sleep(PATIENCE - Duration::from_secs(1)).await;
                theirs.read_exact(&mut taken).await.unwrap();
            }
            Instant::now()
        };
        let (written, last) = tokio::join!(stalling.write_all(&[0; 1000]), slow);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(last.elapsed(), PATIENCE);
        assert_eq!(memory.stalls(), 1);
        // Nothing that waits to be taken, no hurry.
        let mut all = vec![0; 10];
        theirs.read_exact(&mut all).await.unwrap();
        let mut fresh = Stalling::new(Box::new(theirs), PATIENCE, memory);
        sleep(10 * PATIENCE).await;
        fresh.write_all(&[1]).await.unwrap();
        sleep(10 * PATIENCE).await;
        fresh.write_all(&[1]).await.unwrap();
    }
}
