//! Event streams that a client may leave and come back to: every message is kept, for a while, with an id.
//!
//! Source: MCP 2025-11-25 `basic/transports` §Resumability and Redelivery, §Sending Messages (polling).

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mcp::sse;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::http::replies::{self, KEEP_ALIVE};

/// How many messages of a stream are kept. A reader that falls further behind has lost the stream.
const KEPT: usize = 1000;

/// How long a client shall wait before it comes back to a stream that was closed on it.
const RETRY_MS: u64 = 100;

/// One stream of a session: the responses to one POST, or what belongs to no request.
#[derive(Debug)]
pub(crate) struct EventLog {
    number: u64,
    log: watch::Sender<Log>,
}

#[derive(Debug)]
struct Log {
    /// The last messages, without gaps.
    messages: VecDeque<Bytes>,
    /// The number of the first of them; the first of all is 1.
    first: u64,
    /// The last message that a reader took.
    taken: u64,
    /// Who reads: a client that comes back takes over from its own dead connection.
    reader: u64,
    ended: bool,
}

/// The id of an event: its stream, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    /// The stream.
    pub(crate) stream: u64,
    message: u64,
}

impl EventId {
    /// Reads a `Last-Event-ID`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (stream, message) = text.split_once('-')?;
        Some(Self { stream: stream.parse().ok()?, message: message.parse().ok()? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream, self.message)
    }
}

impl EventLog {
    /// An empty stream.
    pub(crate) fn new(number: u64) -> Arc<Self> {
        let log = Log { messages: VecDeque::new(), first: 1, taken: 0, reader: 0, ended: false };
        Arc::new(Self { number, log: watch::Sender::new(log) })
    }

    /// Its number in the session.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        self.log.borrow().ended
    }

    /// Keeps a message, and sends it if somebody reads.
    pub(crate) fn push(&self, message: Bytes) {
        self.log.send_modify(|log| {
            log.messages.push_back(message);
            if log.messages.len() > KEPT {
                log.messages.pop_front();
                log.first += 1;
            }
        });
    }

    /// Closes the reader's connection; it may come back.
    pub(crate) fn hang_up(&self) {
        self.log.send_modify(|log| log.reader += 1);
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        self.log.send_modify(|log| log.ended = true);
    }

    /// Reads on from what nobody has taken yet. `primed` streams begin with an event that has an id and no data, so
    /// that a client can come back even before the first message.
    pub(crate) fn read(self: &Arc<Self>, primed: bool) -> Reader {
        let at = {
            let log = self.log.borrow();
            log.taken.max(log.first - 1)
        };
        Reader { primer: primed.then(|| self.primer(at)), ..self.reader(at) }
    }

    /// Reads on after an event; `None` if what followed it is not kept any more, or it never was.
    pub(crate) fn read_after(self: &Arc<Self>, last: EventId) -> Option<Reader> {
        let known = {
            let log = self.log.borrow();
            let next = log.first + log.messages.len() as u64;
            (log.first..=next).contains(&(last.message + 1))
        };
        known.then(|| self.reader(last.message))
    }

    fn reader(self: &Arc<Self>, at: u64) -> Reader {
        let mut me = 0;
        self.log.send_modify(|log| {
            log.reader += 1;
            me = log.reader;
        });
        Reader { log: Arc::clone(self), watch: self.log.subscribe(), me, at, primer: None }
    }

    fn primer(&self, at: u64) -> Bytes {
        let mut out = BytesMut::new();
        sse::write_primer(&EventId { stream: self.number, message: at }.to_string(), RETRY_MS, &mut out);
        out.freeze()
    }
}

/// Reads a stream on one connection.
#[derive(Debug)]
pub(crate) struct Reader {
    log: Arc<EventLog>,
    watch: watch::Receiver<Log>,
    me: u64,
    at: u64,
    primer: Option<Bytes>,
}

impl Reader {
    /// The next event; `None` when the connection shall be closed.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if let Some(primer) = self.primer.take() {
            return Some(primer);
        }
        loop {
            match self.look() {
                Look::Message(message) => return Some(self.take(&message)),
                Look::Over => return None,
                Look::Nothing => {}
            }
            match timeout(KEEP_ALIVE, self.watch.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_elapsed) => return Some(replies::comment()),
            }
        }
    }

    fn look(&mut self) -> Look {
        let log = self.watch.borrow_and_update();
        if log.reader != self.me || self.at + 1 < log.first {
            return Look::Over;
        }
        let place = usize::try_from(self.at + 1 - log.first).unwrap_or(usize::MAX);
        match log.messages.get(place) {
            Some(message) => Look::Message(message.clone()),
            None if log.ended => Look::Over,
            None => Look::Nothing,
        }
    }

    fn take(&mut self, message: &[u8]) -> Bytes {
        self.at += 1;
        self.log.log.send_if_modified(|log| {
            log.taken = log.taken.max(self.at);
            // Nobody waits for this.
            false
        });
        let mut out = BytesMut::new();
        let id = EventId { stream: self.log.number, message: self.at };
        sse::write_message_with_id(&id.to_string(), message, &mut out);
        out.freeze()
    }
}

/// What a reader finds.
enum Look {
    Message(Bytes),
    Nothing,
    Over,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    async fn next(reader: &mut Reader) -> Option<String> {
        reader.next().await.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_stream_is_read_once_and_again_from_any_event() {
        let log = EventLog::new(3);
        let mut reader = log.read(true);
        log.push(message("a"));
        log.push(message("b"));
        assert_eq!(next(&mut reader).await.unwrap(), "id: 3-0\nretry: 100\ndata: \n\n");
        assert_eq!(next(&mut reader).await.unwrap(), "id: 3-1\nevent: message\ndata: a\n\n");
        log.hang_up();
        assert_eq!(next(&mut reader).await, None);
        let mut undelivered = log.read(false);
        assert_eq!(next(&mut undelivered).await.unwrap(), "id: 3-2\nevent: message\ndata: b\n\n");
        let mut again = log.read_after(EventId::read("3-0").unwrap()).unwrap();
        assert_eq!(next(&mut undelivered).await, None, "the newer reader has taken over");
        assert_eq!(next(&mut again).await.unwrap(), "id: 3-1\nevent: message\ndata: a\n\n");
        log.end();
        assert_eq!(next(&mut again).await.unwrap(), "id: 3-2\nevent: message\ndata: b\n\n");
        assert_eq!(next(&mut again).await, None);
    }

    #[tokio::test]
    async fn what_is_not_kept_cannot_be_read() {
        let log = EventLog::new(1);
        for _ in 0..=KEPT {
            log.push(message("x"));
        }
        assert!(log.read_after(EventId { stream: 1, message: 0 }).is_none());
        assert!(log.read_after(EventId { stream: 1, message: 1 }).is_some());
        assert!(log.read_after(EventId { stream: 1, message: KEPT as u64 + 1 }).is_some());
        assert!(log.read_after(EventId { stream: 1, message: KEPT as u64 + 2 }).is_none());
        assert_eq!(EventId::read("1"), None);
    }
}
