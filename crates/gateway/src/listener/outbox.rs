//! What waits to be read by a client that gets everything on one stream. There is only so much of it: whoever has more to
//! say waits, and a client that takes nothing for too long is given up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base::sync::lock;
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

/// The most bytes that wait. One message may be larger: what one may have is bounded elsewhere.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What each message counts beside its bytes.
const EACH: usize = 64;

/// A new one: where messages go in, and where they come out. `end` is cancelled when nobody reads them any more, or has not
/// for as long as `patience`.
pub(super) fn new(end: CancellationToken, patience: Option<Duration>) -> (Outbox, Waiting) {
    let inner = Arc::new(Inner {
        room: Semaphore::new(MOST_BYTES),
        queue: Mutex::default(),
        changed: Notify::new(),
        end,
        patience,
    });
    (Outbox { inner: Arc::clone(&inner) }, Waiting { inner })
}

/// Where messages go in.
#[derive(Debug)]
pub(super) struct Outbox {
    inner: Arc<Inner>,
}

/// Where they come out.
#[derive(Debug)]
pub(super) struct Waiting {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    room: Semaphore,
    queue: Mutex<Queue>,
    changed: Notify,
    end: CancellationToken,
    patience: Option<Duration>,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<(Bytes, u32)>,
    is_finished: bool,
}

impl Outbox {
    /// Puts a message in, when there is room for it. It is lost when nobody reads any more.
    pub(super) async fn put(&self, message: Bytes) {
        let inner = &self.inner;
        let size = u32::try_from((message.len() + EACH).min(MOST_BYTES)).unwrap_or(u32::MAX);
        let room = inner.room.acquire_many(size);
        let room = match inner.patience {
            Some(patience) => timeout(patience, room).await,
            None => Ok(room.await),
        };
        match room {
            Ok(Ok(room)) => {
                room.forget();
                lock(&inner.queue).messages.push_back((message, size));
                inner.changed.notify_one();
            }
            Ok(Err(_closed)) => {}
            Err(_elapsed) => {
                if !inner.room.is_closed() {
                    tracing::warn!("a client does not read what it is sent; its stream was ended");
                }
                inner.close();
            }
        }
    }

    /// Nothing more will be put in; what is there is still to be read.
    pub(super) fn finish(&self) {
        lock(&self.inner.queue).is_finished = true;
        self.inner.changed.notify_one();
    }
}

impl Waiting {
    /// The next message; none when there will be no more. Cancel safe.
    pub(super) async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut queue = lock(&self.inner.queue);
                if let Some((message, size)) = queue.messages.pop_front() {
                    self.inner.room.add_permits(size as usize);
                    return Some(message);
                }
                if queue.is_finished {
                    return None;
                }
            }
            self.inner.changed.notified().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.inner.close();
    }
}

impl Inner {
    /// Nobody reads any more.
    fn close(&self) {
        self.room.close();
        {
            let mut queue = lock(&self.queue);
            queue.messages = VecDeque::new();
            queue.is_finished = true;
        }
        self.changed.notify_one();
        self.end.cancel();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stalls_is_given_up_and_one_that_reads_is_not() {
        let end = CancellationToken::new();
        let (out, waiting) = new(end.clone(), Some(Duration::from_secs(30)));
        out.put(Bytes::from(vec![b'x'; 2 * MOST_BYTES])).await;
        let mut more = Box::pin(out.put(Bytes::from_static(b"more")));
        assert!(futures_util::poll!(&mut more).is_pending());
        assert_eq!(waiting.next().await.map(|message| message.len()), Some(2 * MOST_BYTES));
        more.await;
        assert_eq!(waiting.next().await.as_deref(), Some(&b"more"[..]));
        assert!(!end.is_cancelled());

        out.put(Bytes::from(vec![b'x'; MOST_BYTES])).await;
        out.put(Bytes::from_static(b"lost")).await;
        assert!(end.is_cancelled());
        assert_eq!(waiting.next().now_or_never(), Some(None));
    }

    #[tokio::test]
    async fn what_was_put_in_is_read_to_the_end() {
        let (out, waiting) = new(CancellationToken::new(), None);
        out.put(Bytes::from_static(b"a")).await;
        out.finish();
        assert_eq!(waiting.next().await.as_deref(), Some(&b"a"[..]));
        assert_eq!(waiting.next().await, None);
    }

    #[tokio::test]
    async fn when_nobody_reads_nobody_waits() {
        let end = CancellationToken::new();
        let (out, waiting) = new(end.clone(), None);
        drop(waiting);
        out.put(Bytes::from(vec![b'x'; MOST_BYTES])).await;
        out.put(Bytes::from(vec![b'x'; MOST_BYTES])).await;
        assert!(end.is_cancelled());
    }
}
