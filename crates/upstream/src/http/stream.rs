//! A response as server-sent events: notifications of the call, in the legacy era perhaps the server's own requests,
//! and then the response.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::aside::{Aside, LARGE, aside};
use base::error::CallError;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, StatusCode};
use mcp::glance::{self, Glance};
use mcp::headers;
use mcp::jsonrpc::{EnvelopeFault, Message, MessageKind, Request};
use mcp::legacy::batch;
use mcp::legacy::refusal::speaks_of_session;
use mcp::notify::{self, Notice, Seen};
use mcp::sse::{Decoder, Event};
use mcp::version::Era;
use tokio::time::Instant;
use transport::http::client::Reply;
use transport::memory::{Held, SMALL};

use super::early::{Early, Opened};
use super::find;
use super::get_stream::OpenGetStream;
use super::legacy_call::{CancelGuard, LegacyCall};
use super::refusal::Refusal;
use super::session::InSession;
use super::session_router::{self, RoutedMessages};
use super::{HttpWire, Session};
use crate::arrival::{Arrival, Response};
use crate::ask::{self, Ask};
use crate::backlog::Said;

/// How long a stream may go on after the answer.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long to wait before a stream is resumed, when the server does not say; and at most.
const RESUME_AFTER: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// At least, whatever it says: it may say something each time and end again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// How long an answer is held back for what the server says of its call on another connection, where it has done that
/// before in this call: what was said first may come last.
const STRAGGLERS: Duration = Duration::from_millis(50);
/// How often a stream is resumed that has nothing new.
const MOST_RESUMED: u32 = 100;
/// How long an answer may come on the session's own stream after the call's own has ended without one.
const AFTERWARDS: Duration = Duration::from_secs(15);

/// Server-sent events of one call. Dropping it closes the connection, which cancels the call of a modern server; a
/// legacy server is told by the [`CancelGuard`].
pub(crate) struct HttpStream {
    wire: Arc<HttpWire>,
    /// `None` for the legacy era's stream of notifications, which answers no request.
    id: Option<u64>,
    events: Events,
    /// What has come, while it is read beside this thread.
    reading: Option<(Bytes, Aside<Result<Message, EnvelopeFault>>)>,
    /// As long as the answer's head has not come.
    early: Option<Early>,
    session: Option<Arc<Session>>,
    guard: Option<CancelGuard>,
    routed: Option<RoutedMessages>,
    /// Whether the server says things of this call on the session's stream.
    uses_session_stream: bool,
    /// The answer, and until when it is held back.
    held: Option<(Response, Instant)>,
    /// As long as it is a session's own stream.
    listening: Option<OpenGetStream>,
    /// Whether somebody was made to look after the session.
    doubted: bool,
    /// What is wrong with the first event that is no message.
    skipped: Option<String>,
}

/// What comes next.
enum Next {
    /// Of the call's own stream.
    Data(Result<Option<Bytes>, CallError>),
    /// On another one.
    Said(Box<Said>),
}

/// What has come.
enum Found {
    /// Of the call's own stream.
    Data(Bytes),
    /// On another one.
    Said(Box<Said>),
}

/// The events of one response, read as they come.
struct Events {
    /// Gone once the call is answered.
    reply: Option<Reply>,
    decoder: Decoder,
    ready: VecDeque<Event>,
    /// What is held of an event that is long.
    held: Option<Held>,
    /// The newest event's id, from which a legacy server can go on.
    newest: Option<String>,
    /// How long the server wants us to wait before we come back for more.
    pause: Duration,
    /// How often it was resumed since something came.
    resumed: u32,
    /// When it is to be resumed, once it has ended. Who waits may be dropped and ask again meanwhile.
    resume_at: Option<Instant>,
}

impl Events {
    fn new(reply: Option<Reply>, limit: usize) -> Self {
        let (decoder, ready) = (Decoder::new(limit), VecDeque::new());
        let (newest, resume_at, held) = (None, None, None);
        Self { reply, decoder, ready, held, newest, pause: RESUME_AFTER, resumed: 0, resume_at }
    }

    /// The next event's data; `None` at the end of the stream.
    async fn next(&mut self, wire: &HttpWire) -> Result<Option<Bytes>, CallError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.newest = event.id.or_else(|| self.newest.take());
                let pause = event.retry_ms.map_or(self.pause, Duration::from_millis);
                self.pause = pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                // Primed events have an id and no data; they are there for resuming only.
                if event.data.is_empty() {
                    continue;
                }
                self.resumed = 0;
                let Some(held) = &mut self.held else { return Ok(Some(event.data)) };
                let data = held.own(event.data);
                held.shrink(self.decoder.held());
                return Ok(Some(data));
            }
            let Some(reply) = &mut self.reply else { return Ok(None) };
            let Some(chunk) = reply.chunk().await.map_err(|fault| wire.fault(fault))? else {
                return Ok(None);
            };
            let ready = &mut self.ready;
            let fed = self.decoder.feed(&chunk, |event| ready.push_back(event));
            fed.map_err(|fault| wire.invalid(&fault.to_string()))?;
            let size = self.decoder.held() + self.ready.iter().map(|event| event.data.len()).sum::<usize>();
            if size > SMALL {
                let held = self.held.get_or_insert_with(|| wire.shared.share.nothing());
                held.hold(size).await.map_err(|full| wire.fault(full.into()))?;
            }
        }
    }
}

impl HttpStream {
    /// The answer to the call `id`.
    pub(crate) fn answering(wire: Arc<HttpWire>, reply: Reply, id: u64, legacy: Option<LegacyCall>) -> Self {
        Self::new(wire, (Some(reply), None), id, legacy)
    }

    /// The answer to the call `id` whose head has not come yet.
    pub(crate) fn early(wire: Arc<HttpWire>, early: Early, id: u64, legacy: LegacyCall) -> Self {
        Self::new(wire, (None, Some(early)), id, Some(legacy))
    }

    fn new(
        wire: Arc<HttpWire>,
        (reply, early): (Option<Reply>, Option<Early>),
        id: u64,
        legacy: Option<LegacyCall>,
    ) -> Self {
        let events = Events::new(reply, wire.shared.plan.message_bytes);
        let (session, guard, routed) = match legacy {
            Some(LegacyCall { session, guard, routed }) => (Some(session), Some(guard), Some(routed)),
            None => (None, None, None),
        };
        let (uses_session_stream, held, listening, doubted) = (false, None, None, false);
        let id = Some(id);
        let reading = None;
        Self {
            wire,
            id,
            events,
            reading,
            early,
            session,
            guard,
            routed,
            uses_session_stream,
            held,
            listening,
            doubted,
            skipped: None,
        }
    }

    /// A legacy session's stream of notifications, and the event after which it goes on.
    pub(super) fn listening(
        wire: Arc<HttpWire>,
        reply: Reply,
        (open, newest): (OpenGetStream, Option<String>),
        session: &Arc<Session>,
    ) -> Self {
        let mut stream = Self::new(wire, (Some(reply), None), 0, None);
        stream.events.newest = newest;
        Self { id: None, session: Some(Arc::clone(session)), listening: Some(open), ..stream }
    }

    pub(crate) async fn next(&mut self) -> Result<Arrival, CallError> {
        if self.held.is_none() {
            match self.next_event().await? {
                Arrival::Response(response) if self.uses_session_stream => {
                    self.held = Some((response, Instant::now() + STRAGGLERS));
                }
                arrival => return Ok(arrival),
            }
        }
        if let (Some(routed), Some((_, until))) = (&mut self.routed, &self.held)
            && let Ok(Some(said)) = tokio::time::timeout_at(*until, routed.next()).await
        {
            return Ok(said.into());
        }
        let held = self.held.take().map(|(response, _)| Arrival::Response(response));
        held.ok_or_else(|| CallError::Internal("an answer was asked for more than it has".to_owned()))
    }

    /// What comes next: of the call's own stream, which is resumed where that is possible, or on another one.
    async fn next_data(&mut self) -> Result<Found, CallError> {
        loop {
            let data = match &mut self.routed {
                None => Next::Data(self.events.next(&self.wire).await),
                Some(routed) => tokio::select! {
                    biased;
                    Some(said) = routed.next() => Next::Said(Box::new(said)),
                    data = self.events.next(&self.wire) => Next::Data(data),
                },
            };
            match data {
                Next::Said(said) => return Ok(Found::Said(said)),
                Next::Data(Ok(Some(data))) => return Ok(Found::Data(data)),
                Next::Data(Ok(None) | Err(CallError::BrokeOff { .. })) if Box::pin(self.resume()).await => {}
                Next::Data(end @ (Ok(None) | Err(CallError::BrokeOff { .. }))) => {
                    self.events.reply = None;
                    if let Some(said) = Box::pin(self.late()).await {
                        return Ok(Found::Said(Box::new(said)));
                    }
                    if let Some(open) = &self.listening {
                        open.ended(self.events.newest.take());
                    }
                    let upstream = self.wire.shared.plan.name.clone();
                    let why = find::ended(self.skipped.as_deref());
                    return Err(end
                        .err()
                        .unwrap_or_else(|| CallError::BrokeOff { upstream, why: why.into() }));
                }
                Next::Data(Err(error)) => return Err(error),
            }
        }
    }

    async fn next_event(&mut self) -> Result<Arrival, CallError> {
        if let (Some(early), Some(session), Some(routed), Some(id)) =
            (&mut self.early, &self.session, &mut self.routed, self.id)
        {
            let opened = early.next(&self.wire, (session, routed), id).await;
            if let Ok(Opened::Said(said)) = opened {
                return Ok(self.said(said));
            }
            self.early = None;
            match opened? {
                Opened::Said(said) => return Ok(self.said(said)),
                Opened::Stream(reply) => self.events.reply = Some(reply),
                Opened::Whole(message, status) => return self.whole(message, status),
            }
        }
        let most_depth = self.wire.shared.plan.json_depth;
        loop {
            // Whoever waits may stop and ask again, so what has come stays here until it is read.
            let (data, read) = match &mut self.reading {
                Some((data, reading)) => {
                    let read = (data.clone(), reading.as_mut().await);
                    self.reading = None;
                    read
                }
                None => match self.next_data().await? {
                    Found::Said(said) => return Ok(self.said(*said)),
                    Found::Data(data) if data.len() < LARGE => {
                        (data.clone(), Message::of_server(data, most_depth))
                    }
                    Found::Data(data) => {
                        let text = data.clone();
                        self.reading = Some((data, aside(move || Message::of_server(text, most_depth))));
                        continue;
                    }
                },
            };
            let message = match read {
                Ok(message) => message,
                Err(EnvelopeFault::Batch) if self.take_apart(&data) => continue,
                Err(fault) if self.id.is_some_and(|id| glance::answers(&data, id)) => {
                    // There will be no other answer, so there is nothing to wait for, or to cancel.
                    self.answered();
                    return Err(self.wire.invalid(&fault.to_string()));
                }
                Err(fault) => {
                    if let (Some(_), Some(came)) = (self.id, Glance::strange_id(&data)) {
                        self.answered();
                        return Err(self.wire.shared.strange_id(&came, self.id));
                    }
                    tracing::warn!(
                        upstream = self.wire.shared.plan.name,
                        "skipped an event that is no message: {fault}"
                    );
                    if self.id.is_some() {
                        self.skipped.get_or_insert_with(|| find::no_message(&data, &fault));
                    }
                    self.doubt(&data);
                    continue;
                }
            };
            if let Some(error) = self.id.and_then(|id| self.wire.shared.strange(&message, id)) {
                // There will be no other answer here either.
                self.answered();
                return Err(error);
            }
            if let Some(arrival) = self.sort(message) {
                return Ok(arrival);
            }
        }
    }

    /// What is on the call's stream and answers nobody may be about the session: then whoever calls next finds another one.
    fn doubt(&mut self, text: &Bytes) {
        let may = !self.doubted && self.id.is_some();
        let speaks = || speaks_of_session(&String::from_utf8_lossy(text));
        let Some(session) = self.session.clone().filter(|_| may && speaks()) else { return };
        self.doubted = true;
        let wire = Arc::clone(&self.wire);
        self.wire.shared.world.tasks.spawn(async move {
            wire.doubt(&session, Refusal::bare(StatusCode::OK, None)).await;
        });
    }

    /// What came of the call on another stream.
    fn said(&mut self, said: Said) -> Arrival {
        self.uses_session_stream = true;
        if matches!(said, Said::Response(_)) {
            self.answered();
        }
        said.into()
    }

    /// What comes on the session's own stream after the call's own was cut: some servers answer there then.
    async fn late(&mut self) -> Option<Said> {
        let (Some(session), Some(routed)) = (&self.session, &mut self.routed) else { return None };
        tokio::select! {
            biased;
            said = routed.next() => said,
            () = session.get_stream.closed() => None,
            () = session.gone() => None,
            () = tokio::time::sleep(AFTERWARDS) => None,
        }
    }

    /// An answer that came as one message.
    fn whole(&mut self, message: Message, status: StatusCode) -> Result<Arrival, CallError> {
        self.answered();
        let is_ours = message.response_id().is_none_or(|id| id.as_number() == self.id);
        match message.kind() {
            MessageKind::Result(_) | MessageKind::Error(_) if is_ours => {
                Ok(Arrival::Response(Response { message, status: Some(status) }))
            }
            _ => Err(match message.response_id() {
                Some(came) => self.wire.shared.strange_id(came.raw(), self.id),
                None => self.wire.invalid("it answers with a message that is no response"),
            }),
        }
    }

    /// Reads the messages of an array one by one, where the session's revision has batches. Whether it does.
    fn take_apart(&mut self, data: &Bytes) -> bool {
        if !self.session.as_ref().is_some_and(|session| session.link.revision.has_batches) {
            return false;
        }
        let Ok(members) = batch::split(data) else { return false };
        for data in members.into_iter().rev() {
            // Else what is nested would be read as often as it is deep.
            if batch::is_array(&data) {
                tracing::warn!(upstream = self.wire.shared.plan.name, "skipped an array in a batch");
                continue;
            }
            self.events.ready.push_front(Event { data, ..Event::default() });
        }
        true
    }

    /// Goes on with the answer to a legacy call whose stream ended too early: since 2025-11-25 a server may close the
    /// connection and let the client come back for the rest. Whether it does.
    async fn resume(&mut self) -> bool {
        let (Some(session), Some(_)) = (&self.session, self.id) else { return false };
        let newest = self.events.newest.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        let Some(newest) = newest.filter(|_| self.events.resumed < MOST_RESUMED) else { return false };
        let at = *self.events.resume_at.get_or_insert_with(|| {
            self.events.resumed += 1;
            Instant::now() + self.events.pause
        });
        tokio::time::sleep_until(at).await;
        let mut wanted = session.headers();
        wanted.insert(headers::LAST_EVENT_ID.clone(), newest);
        // Whatever goes wrong here, the call was begun.
        let Ok(reply) = self.wire.plain(Method::GET, wanted).await else { return false };
        let streams = reply.media_type().as_deref() == Some("text/event-stream");
        if !(reply.status().is_success() && streams) {
            return false;
        }
        self.events.resume_at = None;
        self.events.decoder = Decoder::new(self.wire.shared.plan.message_bytes);
        self.events.reply = Some(reply);
        true
    }

    /// The call is answered. Its connection can be used again if the end of the stream is read, which some servers send
    /// a moment later.
    fn answered(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.disarm();
        }
        let Some(mut reply) = self.events.reply.take() else { return };
        loop {
            match reply.chunk().now_or_never() {
                Some(Ok(Some(_))) => {}
                Some(Ok(None) | Err(_)) => return,
                None => break,
            }
        }
        self.wire.shared.world.tasks.spawn(async move {
            let end = async { while let Ok(Some(_)) = reply.chunk().await {} };
            drop(tokio::time::timeout(LAST_WORDS, end).await);
        });
    }

    /// Where a message belongs; none when it is not the call's.
    fn sort(&mut self, message: Message) -> Option<Arrival> {
        match message.kind() {
            MessageKind::Result(_) | MessageKind::Error(_) => {
                // An error may lack the id when the server could not read ours; on this stream it can be no other's.
                let ours = message.response_id().is_none_or(|id| id.as_number() == self.id);
                if !ours || self.id.is_none() {
                    // On the session's own stream it may be the answer to any of its calls.
                    let own = self.session.as_ref().filter(|_| self.id.is_none());
                    let given = own.is_some_and(|session| session.router.answer(message));
                    if !given {
                        tracing::warn!(
                            upstream = self.wire.shared.plan.name,
                            "a response to a request that is not ours"
                        );
                    }
                    return None;
                }
                if message.response_id().is_none() {
                    self.doubt(message.bytes());
                }
                self.answered();
                Some(Arrival::Response(Response { message, status: None }))
            }
            MessageKind::Request(request) => {
                let request = request.clone();
                self.sort_request(message, &request)
            }
            MessageKind::Notification(_) => match notify::see(&message) {
                Ok(seen) if self.is_of_some_call(&seen.notice) => {
                    if !self.session.as_ref().is_some_and(|session| session.router.give(message, seen)) {
                        self.wire.shared.world.metrics.dropped(&self.wire.shared.plan.name);
                    }
                    None
                }
                Ok(seen) if is_for_all(&seen.notice) && seen.subscription.is_none() => {
                    let era = if self.session.is_some() { Era::Legacy } else { Era::Modern };
                    if let Some(session) = &self.session {
                        self.wire.shared.tell_client_of(&session.whose, &message, &seen);
                    }
                    if !self.wire.shared.notices.tell(era, message, seen) {
                        self.wire.shared.world.metrics.dropped(&self.wire.shared.plan.name);
                    }
                    None
                }
                Ok(Seen { notice: Notice::ElicitationComplete { elicitation }, subscription }) => {
                    let notice = Notice::ElicitationComplete { elicitation: elicitation.clone() };
                    let seen = Seen { notice, subscription };
                    session_router::complete(
                        &self.wire,
                        (self.session.as_ref().map(|session| &session.router), self.id),
                        (&elicitation, message, seen),
                    )
                }
                Ok(seen) if self.is_of_another(&seen.notice) => {
                    tracing::debug!(
                        upstream = self.wire.shared.plan.name,
                        "progress of another call is left out"
                    );
                    None
                }
                Ok(seen) => Some(Arrival::Notice(message, seen)),
                Err(fault) => {
                    tracing::warn!(upstream = self.wire.shared.plan.name, "skipped a notification: {fault}");
                    None
                }
            },
        }
    }

    /// Whether a notification on the session's stream is about some call.
    fn is_of_some_call(&self, notice: &Notice) -> bool {
        let of_calls = |notice: &Notice| {
            matches!(notice, Notice::Progress { .. } | Notice::Log { .. } | Notice::Cancelled { .. })
        };
        self.id.is_none() && of_calls(notice)
    }

    /// Whether a notification is progress under a token that is not the call's, which is its id.
    fn is_of_another(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Progress { token, .. } => {
                let (id, after) = (token.parse().ok(), self.routed.as_ref().and_then(|routed| routed.after));
                id != self.id && (id.is_none() || id != after)
            }
            _ => false,
        }
    }

    /// A request of the server: on a call's stream it is the call's, on the session's own it does not say whose.
    fn sort_request(&self, message: Message, request: &Request) -> Option<Arrival> {
        let upstream = &self.wire.shared.plan.name;
        let method = &*request.method;
        let Some(session) = &self.session else {
            tracing::warn!(upstream, method, "a modern server sent a request; ignored");
            return None;
        };
        let declared = session.whose.askable();
        if let Some(reply) = ask::answer_at_once(declared, &request.id, method, message.params()) {
            session.reply(&self.wire, reply);
            return None;
        }
        let to = InSession(Arc::clone(&self.wire), Arc::clone(session));
        let ask = Ask::new(message, request, (&session.whose, Box::new(to)));
        if let Some(id) = self.id {
            self.wire.shared.unsolicited.give(&ask, session.router.client_of(id).as_ref());
            return Some(Arrival::Ask(ask));
        }
        if let Err(why) = session.router.ask(ask, (&self.wire.shared.unsolicited, &session.whose)) {
            tracing::warn!(upstream, method, "a request of the server is refused: {why}");
        }
        None
    }
}

/// Whether a notification is about no call, although a legacy server sent it on the stream of one.
fn is_for_all(notice: &Notice) -> bool {
    matches!(notice, Notice::ListChanged(_) | Notice::ResourceUpdated { .. })
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStream").field("id", &self.id).finish_non_exhaustive()
    }
}
