//! What a conversation is held over: where its messages come in, and where they go out.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use mcp::lines::TooLong;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use transport::lines::{LineReader, write_line};
use transport::memory::Share;
use transport::wire::{Tap, WireEvent};

use super::{LAST_WORDS, Pipe};

/// Both ends of a conversation, and how long whoever looks after the server may take to say why it is over.
pub(crate) struct Ends<I, O> {
    pub(crate) inlet: I,
    pub(crate) outlet: O,
    pub(crate) explained_within: Duration,
}

/// What came in.
pub(crate) enum Incoming {
    /// The text of a message.
    Message(Bytes),
    /// One that was too long to be kept, and did not end the conversation.
    TooLong(TooLong),
}

/// Where messages come in.
pub(crate) trait Inlet: Send + 'static {
    /// The next one; why there are no more as an error.
    fn next(&mut self) -> impl Future<Output = Result<Incoming, String>> + Send;
}

/// What goes out.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A request that somebody waits for.
    Request { id: u64, headers: HeaderMap, body: Bytes },
    /// Nobody waits for that request any more.
    Cancel { id: u64, body: Bytes },
    /// Anything else. What is said later must not be heard earlier.
    Word(Bytes),
}

/// Where messages go out.
pub(crate) trait Outlet: Send + 'static {
    /// Sends what comes; ends when nothing can be sent any more, and says why.
    fn run(self, outgoing: mpsc::Receiver<Outgoing>, pipe: Pipe) -> impl Future<Output = String> + Send;
}

/// A process's stdout.
pub(crate) struct LinesIn {
    reader: LineReader<Box<dyn AsyncRead + Send + Unpin>>,
    tap: Option<Arc<dyn Tap>>,
}

/// A process's stdin.
pub(crate) struct LinesOut {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    tap: Option<Arc<dyn Tap>>,
}

impl Ends<LinesIn, LinesOut> {
    /// Messages on lines of at most `limit` bytes, which count for `share`.
    pub(crate) fn lines(
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        (limit, share): (usize, &Share),
        tap: Option<Arc<dyn Tap>>,
    ) -> Self {
        let inlet = LinesIn { reader: LineReader::new(reader, limit).counted(share), tap: tap.clone() };
        Self { inlet, outlet: LinesOut { writer, tap }, explained_within: 2 * LAST_WORDS }
    }
}

impl Inlet for LinesIn {
    async fn next(&mut self) -> Result<Incoming, String> {
        match self.reader.next().await {
            Ok(Some(Ok(line))) => {
                if let Some(tap) = &self.tap {
                    tap.saw(&WireEvent::Received(&line));
                }
                Ok(Incoming::Message(line))
            }
            Ok(Some(Err(too_long))) => Ok(Incoming::TooLong(too_long)),
            Ok(None) => Err("its stdout has ended".to_owned()),
            Err(error) => Err(format!("its stdout cannot be read: {error}")),
        }
    }
}

impl Outlet for LinesOut {
    async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>, pipe: Pipe) -> String {
        let mut was_written = false;
        while let Some(
            Outgoing::Request { body, .. } | Outgoing::Cancel { body, .. } | Outgoing::Word(body),
        ) = outgoing.recv().await
        {
            if let Some(tap) = &self.tap {
                tap.saw(&WireEvent::Sent(&body));
            }
            if let Err(error) = write_line(&mut self.writer, &body).await {
                if !was_written {
                    pipe.found_deaf();
                }
                return format!("its stdin cannot be written: {error}");
            }
            was_written = true;
        }
        "nobody writes any more".to_owned()
    }
}
