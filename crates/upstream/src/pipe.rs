//! One conversation over one stream of messages: many calls at once, told apart by id. What the messages come in by and
//! go out by, a process's pipes or an HTTP+SSE connection, are its [`Ends`].
//!
//! The reader never waits for a slow client, or one call would hold up all others of the server: what a call cannot
//! take is dropped and counted, except its response.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::aside::server_message;
use base::error::CallError;
use base::fault::Why;
use base::sync::lock;
use bytes::Bytes;
use http::HeaderMap;
use mcp::answer;
use mcp::jsonrpc::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) mod ends;
pub(crate) mod handshake;
mod inbox;
pub(crate) mod pool;

use self::ends::{Ends, Incoming, Inlet, Outgoing, Outlet};
use self::inbox::{Calls, PendingCall};
use crate::arrival::{Arrival, Response};
use crate::ask::{Asked, ReplyTo};
use crate::backlog::{self, Taker};
use crate::last_words::LastWords;
use crate::link::Whose;
use crate::shared::Shared;

/// How many messages may wait to be written.
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
    out: mpsc::Sender<Outgoing>,
    waiting: Mutex<Calls>,
    /// Cancelled when nothing more will be read.
    drained: CancellationToken,
    /// Cancelled when the conversation is over.
    closed: CancellationToken,
    /// Why it is over.
    end: Mutex<Option<Why>>,
    /// How often it was used, so that someone can tell whether it was used since, and the newest request's number.
    uses: AtomicU64,
    newest: AtomicU64,
    /// How much was sent that is no request.
    said: AtomicUsize,
    has_begun: AtomicBool,
    /// Whether it has ended before anything could be written to it.
    is_deaf: AtomicBool,
    /// What it says that is no message.
    words: LastWords,
    whose: Whose,
    shared: Arc<Shared>,
    metrics: Arc<base::metrics::Metrics>,
}

impl Pipe {
    /// A conversation over `ends`, and the future that carries it on until it is closed.
    pub(crate) fn open<I: Inlet, O: Outlet>(
        shared: &Arc<Shared>,
        whose: &Whose,
        (ends, words): (Ends<I, O>, LastWords),
    ) -> (Self, impl Future<Output = ()> + Send + use<I, O>) {
        let (out, outgoing) = mpsc::channel(WRITE_QUEUE);
        let inner = Arc::new(Inner {
            upstream: shared.plan.name.clone(),
            whose: whose.clone(),
            shared: Arc::clone(shared),
            out,
            waiting: Mutex::default(),
            drained: CancellationToken::new(),
            closed: CancellationToken::new(),
            end: Mutex::default(),
            uses: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            said: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            words,
            metrics: Arc::clone(&shared.world.metrics),
        });
        let pipe = Self { inner };
        let run = pipe.clone().run(ends, outgoing);
        (pipe, run)
    }

    async fn run<I: Inlet, O: Outlet>(self, ends: Ends<I, O>, outgoing: mpsc::Receiver<Outgoing>) {
        let Ends { mut inlet, outlet, explained_within } = ends;
        let write = outlet.run(outgoing, self.clone());
        let read = async {
            loop {
                match inlet.next().await {
                    Ok(Incoming::Message(text)) => {
                        // Nothing that comes later overtakes a large one.
                        let read = server_message(text.clone(), self.inner.shared.plan.json_depth).await;
                        self.take(&text, read);
                    }
                    Ok(Incoming::TooLong(too_long)) => {
                        self.unreadable(too_long.answers.as_ref(), &too_long);
                    }
                    Err(why) => return why,
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
        drop(timeout(explained_within, self.closed()).await);
        self.close(why);
    }

    /// Ends the conversation; every call that waits is told.
    pub(crate) fn close(&self, why: impl Into<Why>) {
        lock(&self.inner.end).get_or_insert_with(|| why.into());
        self.inner.closed.cancel();
        lock(&self.inner.waiting).clear();
    }

    /// Ends the conversation if no call waits. A call that comes at the same moment was not sent, and finds it closed.
    pub(crate) fn close_if_idle(&self, why: &str) -> bool {
        let waiting = lock(&self.inner.waiting);
        if self.is_closed() || waiting.values().any(|call| !call.wants.listens) {
            return false;
        }
        lock(&self.inner.end).get_or_insert_with(|| why.into());
        self.inner.closed.cancel();
        drop(waiting);
        self.close(why);
        true
    }

    /// Whether both are the same conversation.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// When it was last used, among all conversations with the server: later is more.
    pub(crate) fn last_use(&self) -> u64 {
        self.inner.newest.load(Ordering::Relaxed)
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

    /// Nothing at all could be written to it.
    pub(crate) fn is_deaf(&self) -> bool {
        self.inner.is_deaf.load(Ordering::Relaxed)
    }

    /// Its server has said what it is.
    pub(crate) fn has_begun(&self) -> bool {
        self.inner.has_begun.load(Ordering::Relaxed)
    }

    pub(crate) fn begun(&self) {
        self.inner.has_begun.store(true, Ordering::Relaxed);
    }

    fn found_deaf(&self) {
        self.inner.is_deaf.store(true, Ordering::Relaxed);
    }

    /// How often it was used so far, and how many calls wait now. Subscription streams are no use by themselves.
    pub(crate) fn use_so_far(&self) -> (u64, usize) {
        let waiting = lock(&self.inner.waiting).values().filter(|call| !call.wants.listens).count();
        (self.inner.uses.load(Ordering::Relaxed), waiting)
    }

    /// Sends a request whose id (and progress token) is `id`; what belongs to it comes out of the stream. The headers
    /// go with it where there are any.
    pub(crate) async fn request(
        &self,
        id: u64,
        body: Bytes,
        headers: HeaderMap,
        wants: Wants,
    ) -> Result<PipeStream, CallError> {
        self.inner.uses.fetch_add(u64::from(!wants.listens), Ordering::Relaxed);
        self.inner.newest.fetch_max(id, Ordering::Relaxed);
        let (notices, notices_out) = backlog::new();
        let (response, response_out) = oneshot::channel();
        let said = self.inner.said.load(Ordering::Relaxed);
        lock(&self.inner.waiting).begin(id, PendingCall { notices, response, wants }, said);
        // From here on a drop of the stream cleans up, whether or not the request was written.
        let stream =
            PipeStream { pipe: self.clone(), id, notices: notices_out, response: Some(response_out) };
        if self.is_closed() || self.inner.out.send(Outgoing::Request { id, headers, body }).await.is_err() {
            return Err(self.broke_off());
        }
        Ok(stream)
    }

    /// Sends a notification or a response, before any request that is sent later.
    pub(crate) fn say(&self, body: Bytes) {
        self.put(Outgoing::Word(body));
    }

    fn put(&self, outgoing: Outgoing) {
        self.inner.said.fetch_add(1, Ordering::Relaxed);
        // A queue this full means that the server does not read; the calls that wait for it will time out.
        if self.inner.out.try_send(outgoing).is_err() {
            self.inner.metrics.dropped(&self.inner.upstream);
        }
    }

    fn broke_off(&self) -> CallError {
        let why = lock(&self.inner.end).clone().unwrap_or_else(|| "the conversation is over".into());
        CallError::BrokeOff { upstream: self.inner.upstream.clone(), why: why.into() }
    }
}

impl ReplyTo for Pipe {
    fn reply(&self, body: Bytes) {
        self.say(body);
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
        if lock(&self.pipe.inner.waiting).give_up(self.id) {
            let params = format!(r#"{{"requestId":{},"reason":"the client no longer waits"}}"#, self.id);
            let body = answer::notification_message("notifications/cancelled", Some(&params));
            self.pipe.put(Outgoing::Cancel { id: self.id, body });
        }
    }
}
