//! One conversation over a byte stream with messages on lines: many calls at once, told apart by id.
//!
//! The reader never waits for a slow client, or one call would hold up all others of the process: what a call cannot
//! take is dropped and counted, except its response.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mcp::answer;
use mcp::jsonrpc::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transport::lines::{LineReader, write_line};
use transport::wire::{Tap, WireEvent};

use crate::reply::CallError;
use crate::upstream::answer::{Arrival, Response};
use crate::upstream::ask::Asked;
use crate::upstream::backlog::{self, Taker};
use crate::upstream::notices::Notices;

mod inbox;

use self::inbox::Waiting;

/// How many lines may wait to be written.
const WRITE_QUEUE: usize = 256;
/// How long a process that has ended may leave its last words unread.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running conversation. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    upstream: String,
    out: mpsc::Sender<Bytes>,
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// Cancelled when nothing more will be read.
    drained: CancellationToken,
    /// Cancelled when the conversation is over.
    closed: CancellationToken,
    /// Why it is over.
    end: Mutex<Option<String>>,
    /// How often it was used, so that someone can tell whether it was used since.
    uses: AtomicU64,
    /// Notifications that belong to no call.
    notices: Notices,
    metrics: Arc<crate::metrics::Metrics>,
}

/// What a conversation is made over.
pub(crate) struct Ends {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    pub(crate) tap: Option<Arc<dyn Tap>>,
}

impl Pipe {
    /// A conversation over `ends`, and the future that carries it on until it is closed.
    pub(crate) fn open(
        upstream: &str,
        ends: Ends,
        line_limit: usize,
        notices: Notices,
        metrics: Arc<crate::metrics::Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (out, lines) = mpsc::channel(WRITE_QUEUE);
        let inner = Arc::new(Inner {
            upstream: upstream.to_owned(),
            out,
            waiting: Mutex::default(),
            drained: CancellationToken::new(),
            closed: CancellationToken::new(),
            end: Mutex::default(),
            uses: AtomicU64::new(0),
            notices,
            metrics,
        });
        let pipe = Self { inner };
        let run = pipe.clone().run(ends, lines, line_limit);
        (pipe, run)
    }

    async fn run(self, ends: Ends, mut lines: mpsc::Receiver<Bytes>, limit: usize) {
        let Ends { reader, mut writer, tap } = ends;
        let mut reader = LineReader::new(reader, limit);
        let tap_out = tap.clone();
        let write = async {
            while let Some(line) = lines.recv().await {
                if let Some(tap) = &tap_out {
                    tap.saw(&WireEvent::Sent(&line));
                }
                if let Err(error) = write_line(&mut writer, &line).await {
                    return format!("its stdin cannot be written: {error}");
                }
            }
            "nobody writes any more".to_owned()
        };
        let read = async {
            loop {
                match reader.next().await {
                    Ok(Some(Ok(line))) => {
                        if let Some(tap) = &tap {
                            tap.saw(&WireEvent::Received(&line));
                        }
                        self.take(&line);
                    }
                    Ok(Some(Err(too_long))) => self.unreadable(too_long.answers.as_ref(), &too_long),
                    Ok(None) => return "its stdout has ended".to_owned(),
                    Err(error) => return format!("its stdout cannot be read: {error}"),
                }
            }
        };
        let mut read = pin!(read);
        let why = tokio::select! {
            why = write => {
                // It takes nothing more, but what it has said counts.
                tokio::select! {
                    _ = timeout(LAST_WORDS, &mut read) => {}
                    () = self.closed() => {}
                }
                why
            }
            why = &mut read => why,
            () = self.closed() => "it was stopped".to_owned(),
        };
        self.inner.drained.cancel();
        // Who looks after the process knows better why it is over, and says so when it has ended.
        drop(timeout(2 * LAST_WORDS, self.closed()).await);
        self.close(&why);
    }

    /// Ends the conversation; every call that waits is told.
    pub(crate) fn close(&self, why: &str) {
        lock(&self.inner.end).get_or_insert_with(|| why.to_owned());
        self.inner.closed.cancel();
        lock(&self.inner.waiting).clear();
    }

    /// Becomes ready when nothing more will be read.
    pub(crate) async fn drained(&self) {
        self.inner.drained.cancelled().await;
    }

    /// Becomes ready when the conversation is over.
    pub(crate) async fn closed(&self) {
        self.inner.closed.cancelled().await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.closed.is_cancelled()
    }

    /// How often it was used so far, and how many calls wait now. Subscription streams are no use by themselves.
    pub(crate) fn use_so_far(&self) -> (u64, usize) {
        let waiting = lock(&self.inner.waiting).values().filter(|call| !call.wants.listens).count();
        (self.inner.uses.load(Ordering::Relaxed), waiting)
    }

    /// Sends a request whose id (and progress token) is `id`; what belongs to it comes out of the stream.
    pub(crate) async fn request(&self, id: u64, body: Bytes, wants: Wants) -> Result<PipeStream, CallError> {
        self.inner.uses.fetch_add(u64::from(!wants.listens), Ordering::Relaxed);
        let (notices, notices_out) = backlog::new();
        let (response, response_out) = oneshot::channel();
        lock(&self.inner.waiting).insert(id, Waiting { notices, response, wants });
        // From here on a drop of the stream cleans up, whether or not the request was written.
        let stream =
            PipeStream { pipe: self.clone(), id, notices: notices_out, response: Some(response_out) };
        if self.is_closed() || self.inner.out.send(body).await.is_err() {
            return Err(self.broke_off());
        }
        Ok(stream)
    }

    /// Sends a notification or a response.
    pub(crate) fn say(&self, body: Bytes) {
        // A queue this full means that the process does not read; the calls that wait for it will time out.
        if self.inner.out.try_send(body).is_err() {
            self.inner.metrics.dropped(&self.inner.upstream);
        }
    }

    fn broke_off(&self) -> CallError {
        let why = lock(&self.inner.end).clone().unwrap_or_else(|| "the conversation is over".to_owned());
        CallError::BrokeOff { upstream: self.inner.upstream.clone(), why }
    }
}

/// What a call wants beside its response.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wants {
    /// Whether it wants log messages.
    pub(crate) logs: bool,
    /// Whether it is a subscription stream, which must not lose anything.
    pub(crate) listens: bool,
    /// What it may be asked.
    pub(crate) asked: Asked,
}

/// What belongs to one call. Dropped before the response, it cancels the call.
#[derive(Debug)]
pub(crate) struct PipeStream {
    pipe: Pipe,
    id: u64,
    notices: Taker,
    response: Option<oneshot::Receiver<Result<Message, CallError>>>,
}

impl PipeStream {
    pub(crate) async fn next(&mut self) -> Result<Arrival, CallError> {
        let Some(response) = self.response.as_mut() else { return Err(self.pipe.broke_off()) };
        let finished = tokio::select! {
            biased;
            said = self.notices.next() => match said {
                Some(said) => return Ok(said.into()),
                // The sender is gone: the response was taken off, or the conversation is over.
                None => response.await,
            },
            finished = &mut *response => finished,
        };
        let Ok(finished) = finished else {
            self.response = None;
            return Err(self.pipe.broke_off());
        };
        // Notices that came before the response go first.
        if let Some(said) = self.notices.next_now() {
            let (again, receiver) = oneshot::channel();
            drop(again.send(finished));
            self.response = Some(receiver);
            return Ok(said.into());
        }
        self.response = None;
        Ok(Arrival::Response(Response { message: finished?, status: None }))
    }
}

impl Drop for PipeStream {
    fn drop(&mut self) {
        if self.response.is_none() {
            return;
        }
        // Still there means not answered: MCP `basic/patterns/cancellation`, stdio.
        if lock(&self.pipe.inner.waiting).remove(&self.id).is_some() {
            let params = format!(r#"{{"requestId":{},"reason":"the client no longer waits"}}"#, self.id);
            self.pipe.say(answer::notification_message("notifications/cancelled", Some(&params)));
        }
    }
}

/// A lock whose holders never panic while they hold it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
