//! Messages, one a line, over any byte stream: the framing of stdio in both directions.

use std::io;

use bytes::{Bytes, BytesMut};
use mcp::lines::{Decoder, TooLong};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::memory::{Held, SMALL, Share};

/// Reads lines.
#[derive(Debug)]
pub struct LineReader<R> {
    source: R,
    decoder: Decoder,
    ready: std::collections::VecDeque<Result<Bytes, TooLong>>,
    buffer: BytesMut,
    /// What is held of a line that is long and has not come to its end.
    held: Option<Held>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// A reader with the most bytes that a line may have.
    pub fn new(source: R, limit: usize) -> Self {
        Self {
            source,
            decoder: Decoder::new(limit),
            ready: std::collections::VecDeque::new(),
            buffer: BytesMut::new(),
            held: None,
        }
    }

    /// The same, where what is long is counted for `share`. A line for which there is no memory is skipped as one that is too
    /// long.
    #[must_use]
    pub fn counted(self, share: &Share) -> Self {
        Self { held: Some(share.nothing()), ..self }
    }

    /// The next line; `None` at the end. Cancel safe: nothing that was read is lost.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Result<Bytes, TooLong>>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line.map(|line| self.own(line))));
            }
            self.hold().await;
            self.buffer.reserve(16 * 1024);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
            let ready = &mut self.ready;
            self.decoder.feed(&self.buffer, |line| ready.push_back(line));
            self.buffer.clear();
        }
    }

    /// Sees to it that there is memory for what has come of a line.
    async fn hold(&mut self) {
        let size = self.decoder.held();
        let Some(held) = self.held.as_mut().filter(|_| size > SMALL) else { return };
        if let Err(full) = held.hold(size).await {
            tracing::warn!("a line is skipped: {full}");
            let ready = &mut self.ready;
            self.decoder.let_go(|line| ready.push_back(line));
            held.shrink(0);
        }
    }

    fn own(&mut self, line: Bytes) -> Bytes {
        let Some(held) = &mut self.held else { return line };
        let line = held.own(line);
        held.shrink(self.decoder.held());
        line
    }
}

/// Writes one message as a line and flushes it.
///
/// # Errors
/// When the sink cannot be written.
pub async fn write_line<W: AsyncWrite + Unpin>(sink: &mut W, message: &[u8]) -> io::Result<()> {
    let mut line = BytesMut::new();
    mcp::lines::write(message, &mut line);
    sink.write_all(&line).await?;
    sink.flush().await
}
