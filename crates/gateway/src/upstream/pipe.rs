//! One conversation over a byte stream with messages on lines: many calls at once, told apart by id.
//!
//! The reader never waits for a slow client, or one call would hold up all others of the process: what a call cannot
//! take is dropped and counted, except its response.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mcp::answer;
use mcp::glance::Glance;
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::notify::{self, Notice, Seen};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transport::lines::{LineReader, write_line};
use transport::wire::{Tap, WireEvent};

use crate::reply::CallError;
use crate::upstream::answer::{Arrival, Response};

/// How many lines may wait to be written.
const WRITE_QUEUE: usize = 256;
/// How many notifications of one call may wait for its client.
const NOTICE_QUEUE: usize = 256;
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
    notices: broadcast::Sender<Arc<(Message, Seen)>>,
    metrics: Arc<crate::metrics::Metrics>,
}

/// A call that waits.
#[derive(Debug)]
struct Waiting {
    notices: mpsc::Sender<(Message, Seen)>,
    response: oneshot::Sender<Result<Message, CallError>>,
    /// Whether it wants log messages.
    logs: bool,
    /// Whether it is a subscription stream, which must not lose anything.
    listens: bool,
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
        notices: broadcast::Sender<Arc<(Message, Seen)>>,
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
        let waiting = lock(&self.inner.waiting).values().filter(|call| !call.listens).count();
        (self.inner.uses.load(Ordering::Relaxed), waiting)
    }

    /// Sends a request whose id (and progress token) is `id`; what belongs to it comes out of the stream.
    pub(crate) async fn request(&self, id: u64, body: Bytes, wants: Wants) -> Result<PipeStream, CallError> {
        self.inner.uses.fetch_add(u64::from(!wants.listens), Ordering::Relaxed);
        let (notices, notices_out) = mpsc::channel(NOTICE_QUEUE);
        let (response, response_out) = oneshot::channel();
        let waiting = Waiting { notices, response, logs: wants.logs, listens: wants.listens };
        lock(&self.inner.waiting).insert(id, waiting);
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

    /// Takes one line from the server to where it belongs.
    fn take(&self, line: &Bytes) {
        let message = match Message::parse(line.clone()) {
            Ok(message) => message,
            Err(fault) => return self.unreadable(Glance::answers(line).as_ref(), &fault),
        };
        match message.kind() {
            MessageKind::Result(_) | MessageKind::Error(_) => self.take_response(message),
            MessageKind::Notification(_) => self.take_notice(message),
            MessageKind::Request(request) => {
                let reply = reply_to_server(&self.inner.upstream, &request.id, &request.method);
                self.say(reply);
            }
        }
    }

    /// What cannot be read and answers a call is that call's answer, or it would wait for another one until its
    /// deadline. What answers nothing is left out: to end the conversation for it would cost all others theirs.
    fn unreadable(&self, answers: Option<&Id>, fault: &dyn fmt::Display) {
        let upstream = &self.inner.upstream;
        match answers.and_then(Id::as_number) {
            Some(id) => {
                let error = CallError::InvalidAnswer { upstream: upstream.clone(), why: fault.to_string() };
                self.answer(id, Err(error));
            }
            None => tracing::warn!(upstream, "skipped a line that is no message: {fault}"),
        }
    }

    fn take_response(&self, message: Message) {
        match message.response_id().and_then(Id::as_number) {
            Some(id) => self.answer(id, Ok(message)),
            None => tracing::warn!(upstream = self.inner.upstream, "skipped a response to nothing"),
        }
    }

    /// Ends the wait of the call `id`.
    fn answer(&self, id: u64, response: Result<Message, CallError>) {
        match lock(&self.inner.waiting).remove(&id) {
            // Nobody may be there any more: a response that comes after a cancel is nothing unusual.
            Some(waiting) => drop(waiting.response.send(response)),
            None => tracing::debug!(upstream = self.inner.upstream, "a response that nobody waits for"),
        }
    }

    fn take_notice(&self, message: Message) {
        let seen = match notify::see(&message) {
            Ok(seen) => seen,
            Err(fault) => {
                tracing::warn!(upstream = self.inner.upstream, "skipped a notification: {fault}");
                return;
            }
        };
        let mut waiting = lock(&self.inner.waiting);
        let owner = match (&seen.subscription, &seen.notice) {
            (Some((stream, _)), _) => stream.as_number(),
            (None, Notice::Progress { token, .. }) => token.parse().ok(),
            // A log message says not to which call it belongs. With one candidate there is no doubt; with more, it
            // might be another client's (protocol.md §2.8).
            (None, Notice::Log { .. }) => {
                let mut wanting = waiting.iter().filter(|(_, call)| call.logs).map(|(id, _)| *id);
                wanting.next().filter(|_| wanting.next().is_none())
            }
            _ => {
                drop(waiting);
                // Nobody may listen, which is no fault.
                drop(self.inner.notices.send(Arc::new((message, seen))));
                return;
            }
        };
        let full = match owner.and_then(|id| waiting.get(&id)) {
            Some(call) => call.notices.try_send((message, seen)).is_err().then_some(call.listens),
            None => Some(false),
        };
        if let Some(listens) = full {
            self.inner.metrics.dropped(&self.inner.upstream);
            if let (true, Some(id)) = (listens, owner) {
                // It has missed something, so it must be told that it is over.
                waiting.remove(&id);
            }
        }
    }
}

/// What a call wants beside its response.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wants {
    pub(crate) logs: bool,
    pub(crate) listens: bool,
}

/// What a legacy server's own request is answered. No client capability was declared to it, so anything but `ping`
/// is not ours to ask for.
pub(crate) fn reply_to_server(upstream: &str, id: &Id, method: &str) -> Bytes {
    if method == "ping" {
        return answer::result_message(id, "{}");
    }
    tracing::warn!(upstream, method, "the server asks for what no client declared; refused");
    let text = format!("{method}: Portolan declared no such client capability in this session");
    answer::error_message(Some(id), mcp::reject::code::METHOD_NOT_FOUND, &text, None)
}

/// What belongs to one call. Dropped before the response, it cancels the call.
#[derive(Debug)]
pub(crate) struct PipeStream {
    pipe: Pipe,
    id: u64,
    notices: mpsc::Receiver<(Message, Seen)>,
    response: Option<oneshot::Receiver<Result<Message, CallError>>>,
}

impl PipeStream {
    pub(crate) async fn next(&mut self) -> Result<Arrival, CallError> {
        let Some(response) = self.response.as_mut() else { return Err(self.pipe.broke_off()) };
        let finished = tokio::select! {
            biased;
            notice = self.notices.recv() => match notice {
                Some((message, seen)) => return Ok(Arrival::Notice(message, seen)),
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
        if let Ok((notice, seen)) = self.notices.try_recv() {
            let (again, receiver) = oneshot::channel();
            drop(again.send(finished));
            self.response = Some(receiver);
            return Ok(Arrival::Notice(notice, seen));
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

#[cfg(test)]
mod tests;
