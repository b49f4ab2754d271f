//! Notifications of one call that wait for its client. A server may say them faster than a client reads, and may not be
//! made to wait where others share its stream, so there are only so many of them, and only so much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcp::jsonrpc::Message;
use mcp::notify::Seen;
use tokio::sync::mpsc;

use crate::ask::Ask;

/// The most notifications that wait.
const MOST: usize = 256;
/// The most bytes that wait. One notification may be larger: what one message may have is bounded elsewhere.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What a server says in the middle of a call.
#[derive(Debug)]
pub(crate) enum Said {
    /// A notification.
    Notice(Message, Seen),
    /// A request of a legacy server.
    Ask(Ask),
    /// The response, where it does not come on the call's own stream.
    Response(Message),
}

impl Said {
    fn size(&self) -> usize {
        match self {
            Self::Notice(message, _) | Self::Response(message) => message.bytes().len(),
            Self::Ask(ask) => ask.message.bytes().len(),
        }
    }
}

/// A new backlog: where notifications go in, and where they come out.
pub(crate) fn new() -> (Giver, Taker) {
    // The last place is the response's.
    let (sender, notices) = mpsc::channel(MOST + 1);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Giver { notices: sender, bytes: Arc::clone(&bytes) }, Taker { notices, bytes })
}

/// Where notifications go in.
#[derive(Debug)]
pub(crate) struct Giver {
    notices: mpsc::Sender<Said>,
    bytes: Arc<AtomicUsize>,
}

/// Where notifications come out.
#[derive(Debug)]
pub(crate) struct Taker {
    notices: mpsc::Receiver<Said>,
    bytes: Arc<AtomicUsize>,
}

impl Giver {
    /// Adds one. Whether there was room for it.
    pub(crate) fn give(&self, said: Said) -> bool {
        let size = said.size();
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        let fits = (before == 0 || before + size <= MOST_BYTES) && self.notices.capacity() > 1;
        if fits && self.notices.try_send(said).is_ok() {
            return true;
        }
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        false
    }

    /// Adds the response, for which there is room once. Whether anybody waits for it.
    pub(crate) fn answer(&self, message: Message) -> bool {
        let said = Said::Response(message);
        self.bytes.fetch_add(said.size(), Ordering::Relaxed);
        self.notices.try_send(said).is_ok()
    }
}

impl Taker {
    /// The next one; none when no more can come. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        let notice = self.notices.recv().await;
        self.taken(notice)
    }

    /// The next one if it is here.
    pub(crate) fn next_now(&mut self) -> Option<Said> {
        let notice = self.notices.try_recv().ok();
        self.taken(notice)
    }

    fn taken(&self, notice: Option<Said>) -> Option<Said> {
        if let Some(said) = &notice {
            self.bytes.fetch_sub(said.size(), Ordering::Relaxed);
        }
        notice
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mcp::notify;

    use super::*;

    #[test]
    fn bytes_are_bounded_but_one_may_be_larger() {
        let (giver, mut taker) = new();
        let give = |size: usize| {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "x".repeat(size));
            let message = Message::parse(Bytes::from(text)).unwrap();
            let seen = notify::see(&message).unwrap();
            giver.give(Said::Notice(message, seen))
        };
        assert!(give(MOST_BYTES * 2));
        assert!(!give(1));
        assert!(taker.next_now().is_some());
        assert_eq!((0..10).filter(|_| give(1024 * 1024)).count(), 3);
        while taker.next_now().is_some() {}
        assert_eq!((0..2 * MOST).filter(|_| give(1)).count(), MOST);
        let answer = Message::parse(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).unwrap();
        assert!(giver.answer(answer.clone()));
        assert!(!giver.answer(answer));
    }
}
