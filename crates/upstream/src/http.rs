//! Servers over Streamable HTTP, of both eras.
//!
//! A modern server has no state of ours. A legacy one has a session for each of [`Whose`], opened when it is first
//! needed and opened again when the server has forgotten it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use base::aside::server_message;
use base::error::CallError;
use base::fault::Fault;
use base::plan::{EraRule, HttpReach, SessionRule, TransportRule};
use base::sync::lock;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use mcp::era::{self, Verdict};
use mcp::jsonrpc::{Id, Message};
use mcp::version::{self, Era, Revision};
use mcp::{answer, headers};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};
use transport::http::body::Pieces;
use transport::http::client::{HttpClient, Jar, Reply, SendFault, Site};

pub(crate) mod early;
mod ending;
mod find;
mod get_stream;
mod jars;
mod legacy_call;
mod listening;
mod loss;
mod matching;
mod opening;
mod opening_pauses;
pub(crate) mod reading;
pub(crate) mod refusal;
mod remembered;
mod session;
mod session_router;
mod stream;

use jars::Jars;
pub(crate) use legacy_call::LegacyCall;
use loss::Manners;
pub(crate) use loss::Ruling;
use opening::Opening;
use opening_pauses::OpeningPauses;
pub(crate) use session::Session;
pub(crate) use stream::HttpStream;

use crate::eras;
use crate::link::{Link, Transport, Whose};
use crate::pipe::pool::{Need, Running};
use crate::shared::Shared;
use crate::sse::{SseWire, Streams};

/// The most sessions with one server.
const MOST_SESSIONS: usize = 10_000;
/// The most bytes of an error's body.
const ERROR_BYTES: usize = 1024 * 1024;
/// What we accept as an answer.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The way to one server over HTTP.
#[derive(Debug)]
pub(crate) struct HttpWire {
    pub(crate) shared: Arc<Shared>,
    reach: HttpReach,
    site: Site,
    jars: Jars,
    modern: ArcSwapOption<Link>,
    /// Held while the era is being found out. When it was found to be legacy stands in it.
    legacy_since: AsyncMutex<Option<Instant>>,
    /// Held while it is found out whether it opens sessions for legacy clients.
    first_legacy: AsyncMutex<()>,
    sessions: Mutex<HashMap<Whose, SessionSlot>>,
    /// The older transport, for a server that has no other.
    sse: Arc<SseWire>,
    /// Whether that was found to be so.
    is_sse: AtomicBool,
    opening_pauses: OpeningPauses,
    manners: Manners,
    /// Until when no other one is opened for legacy clients, where those that are open go on.
    withheld: Mutex<Option<Instant>>,
    /// How a probe was refused that said nothing of the era, as long as no session was opened.
    unsure: Mutex<Option<Verdict>>,
}

/// The session of one [`Whose`]; the lock is held while it is being opened.
type SessionSlot = Arc<AsyncMutex<Option<Arc<Session>>>>;

/// Whom to speak to, and how.
#[derive(Debug, Clone)]
pub(crate) enum Connection {
    /// A modern server.
    Modern(Arc<Link>),
    /// A session with a legacy server.
    Legacy(Arc<Session>),
    /// A connection to a legacy server of the older transport, and what the client that uses it declares.
    Sse(Running, Arc<str>),
}

impl Connection {
    pub(crate) fn link(&self) -> &Link {
        match self {
            Self::Modern(link) => link,
            Self::Legacy(session) => &session.link,
            Self::Sse(running, _) => &running.link,
        }
    }
}

impl HttpWire {
    pub(crate) fn new(shared: Arc<Shared>, reach: HttpReach) -> Arc<Self> {
        let world = &shared.world;
        let client = HttpClient::new(
            Arc::clone(&world.network),
            reach.client.clone(),
            world.tap.clone(),
            &world.workers,
        );
        let site = Site::new(client, reach.destination.clone());
        let streams = Streams::new(Arc::clone(&shared), reach.clone(), site.clone());
        Arc::new(Self {
            sse: Arc::new(SseWire::new(Arc::clone(&shared), streams)),
            is_sse: AtomicBool::new(reach.transport == TransportRule::Sse),
            shared,
            reach,
            site,
            jars: Jars::default(),
            modern: ArcSwapOption::empty(),
            legacy_since: AsyncMutex::new(None),
            first_legacy: AsyncMutex::default(),
            sessions: Mutex::default(),
            opening_pauses: OpeningPauses::default(),
            manners: Manners::default(),
            withheld: Mutex::default(),
            unsure: Mutex::default(),
        })
    }

    /// How it is reached.
    pub(crate) fn reach(&self) -> &HttpReach {
        &self.reach
    }

    /// Whom to speak to for `whose`; finds out the era and opens a session where that was not done yet. Concurrent
    /// callers wait for one.
    pub(crate) async fn connection(self: &Arc<Self>, whose: &Whose) -> Result<Connection, CallError> {
        if let Some(link) = self.known_modern(whose.era) {
            return Ok(Connection::Modern(link));
        }
        let within = self.shared.plan.deadlines.connect;
        match timeout(within, Box::pin(self.find_connection(whose))).await {
            Ok(connection) => connection,
            Err(_elapsed) => Err(self.shared.unreached(&opening::late(self, within), Fault::Late)),
        }
    }

    /// The session of `whose`, opened if there is none; for a legacy client the modern link, if the server opens none.
    async fn find_session(self: &Arc<Self>, whose: &Whose) -> Result<Connection, CallError> {
        if self.is_sse.load(Ordering::Relaxed) {
            return self.find_sse(whose).await;
        }
        let slot = {
            let mut sessions = lock(&self.sessions);
            // Where there is one era for all, clients of both share it.
            let key = whose.in_era(Era::Legacy);
            if sessions.len() >= MOST_SESSIONS {
                ending::sweep(&mut sessions);
            }
            if sessions.len() >= MOST_SESSIONS && !sessions.contains_key(&key) {
                let what = format!("sessions with {}", self.shared.plan.name);
                return Err(CallError::Overloaded { what, limit: MOST_SESSIONS });
            }
            Arc::clone(sessions.entry(key).or_default())
        };
        let mut slot = slot.lock().await;
        if self.shared.departed.has(whose) {
            lock(&self.sessions).remove(&whose.in_era(Era::Legacy));
            return Err(CallError::NoSession);
        }
        if self.is_sse.load(Ordering::Relaxed) {
            // Whoever held the lock has found that out.
            return self.find_sse(whose).await;
        }
        if let Some(session) = slot.as_ref().filter(|session| !session.is_lost()) {
            return Ok(Connection::Legacy(Arc::clone(session)));
        }
        if slot.is_none()
            && let Some(session) = opening::resume(self, whose).await?
        {
            let session = Arc::new(session);
            self.shared.knows(&session.link);
            *slot = Some(Arc::clone(&session));
            self.shared.found(Era::Legacy);
            if !listening::is_watched(whose) {
                listening::listen(self, &session).await;
            }
            return Ok(Connection::Legacy(session));
        }
        if let Some(modern) = self.bridged_meanwhile(whose) {
            return Ok(modern);
        }
        let opening = opening::open(self, whose).await;
        if let Ok(Opening::Refused(refused)) = &opening
            && let Some(modern) = Box::pin(self.bridged(whose, refused)).await
        {
            return Ok(modern);
        }
        let opened = match opening {
            // MCP 2025-11-25 `basic/transports` §Backwards Compatibility.
            Ok(Opening::Refused(refused))
                if refused.is_older && self.reach.transport == TransportRule::Detect =>
            {
                match self.find_sse(whose).await {
                    Err(error @ (CallError::Unreachable { .. } | CallError::InvalidAnswer { .. })) => {
                        Err(self.neither(&refused.error, &error))
                    }
                    found => return found,
                }
            }
            Ok(Opening::Refused(refused)) => Err(refused.error),
            Ok(Opening::Done(fresh)) => Ok(fresh.keep()),
            Err(error) => Err(error),
        };
        let opened = opened.map_err(|error| self.unopened(error));
        if opened.is_err() {
            // It may be another server by now: the next call asks for the era again.
            *self.legacy_since.lock().await = None;
        }
        let session = opened?;
        *lock(&self.unsure) = None;
        self.shared.knows(&session.link);
        *slot = Some(Arc::clone(&session));
        self.shared.found(Era::Legacy);
        self.begun(&session).await;
        Ok(Connection::Legacy(session))
    }

    /// A session was opened: whoever watches the server for all listens to it, or it is listened to for itself.
    async fn begun(self: &Arc<Self>, session: &Arc<Session>) {
        if listening::is_watched(&session.whose) {
            self.shared.begun(Era::Legacy);
        } else {
            listening::listen(self, session).await;
        }
    }

    /// A connection over the older transport.
    async fn find_sse(&self, whose: &Whose) -> Result<Connection, CallError> {
        let running = self.sse.running(whose, Need::Call).await;
        // What it was found to be holds only as long as it is: it may be another server by now.
        // Our own limits, and a client that has gone, say nothing of it.
        let is_ours = running.as_ref().is_err_and(CallError::is_ours) || self.shared.departed.has(whose);
        let is_sse = running.is_ok() || self.reach.transport == TransportRule::Sse || is_ours;
        self.is_sse.store(is_sse, Ordering::Relaxed);
        if !is_sse {
            *self.legacy_since.lock().await = None;
        }
        if running.is_ok() {
            self.shared.found(Era::Legacy);
        }
        running.map(|running| Connection::Sse(running, Arc::clone(&whose.declared)))
    }

    /// A server that speaks neither transport.
    fn neither(&self, by_post: &CallError, by_get: &CallError) -> CallError {
        if matches!(by_post, CallError::Unreachable { .. }) {
            return by_post.clone();
        }
        let why = |error: &CallError| match error {
            CallError::InvalidAnswer { why, .. } => why.clone(),
            CallError::Unreachable { why, .. } => why.to_string(),
            other => other.to_string(),
        };
        self.invalid(&format!(
            "{}; nor does it speak HTTP+SSE: {}; look at the path of its URL: most servers are at /mcp, those of HTTP+SSE at /sse",
            why(by_post),
            why(by_get)
        ))
    }

    /// Finds out the era; a modern server's link, or none for a legacy one.
    async fn find_era(self: &Arc<Self>) -> Result<Option<Arc<Link>>, CallError> {
        if self.shared.plan.era == EraRule::Is(Era::Legacy) || self.reach.transport == TransportRule::Sse {
            return Ok(None);
        }
        let mut since = self.legacy_since.lock().await;
        if let Some(link) = self.modern.load_full() {
            return Ok(Some(link));
        }
        if since.is_some_and(|since| since.elapsed() < eras::VERDICT_LASTS) {
            return Ok(None);
        }
        match self.probe().await? {
            Some(link) => {
                let link = Arc::new(link);
                self.modern.store(Some(Arc::clone(&link)));
                self.shared.knows(&link);
                *since = None;
                self.shared.found(Era::Modern);
                self.shared.begun(Era::Modern);
                Ok(Some(link))
            }
            None if self.shared.plan.era == EraRule::Is(Era::Modern) => {
                Err(self.invalid("it does not speak the modern era that it is configured for"))
            }
            None => {
                *since = Some(Instant::now());
                self.shared.eras.refused(Era::Modern, eras::VERDICT_LASTS);
                Ok(None)
            }
        }
    }

    /// Finds out what it is by `server/discover`; none means legacy.
    async fn probe(&self) -> Result<Option<Link>, CallError> {
        let mut verdict = match self.discover(version::newest(Era::Modern)).await {
            // It may know no other way to refuse a request that it does not know.
            Err(CallError::BrokeOff { .. }) if self.shared.plan.era != EraRule::Is(Era::Modern) => {
                return Ok(None);
            }
            verdict => verdict?,
        };
        // It names what it speaks, and is asked in that, even where it names the revision that it has just refused: behind
        // one address there may be an older and a newer one. Once, or it would go round in circles.
        if let Verdict::OtherRevisions(theirs) = &verdict
            && let Some(revision) = era::common(theirs)
        {
            verdict = self.discover(revision).await?;
        }
        *lock(&self.unsure) = None;
        match verdict {
            Verdict::Modern(revision, discovered) => {
                Ok(Some(Link::new(revision, Arc::new(*discovered), Transport::StreamableHttp)))
            }
            Verdict::Legacy => Ok(None),
            Verdict::OtherRevisions(theirs) => {
                Err(match era::common(&theirs) {
                    Some(revision) => self
                        .invalid(&format!("it refuses revision {}, which it says it speaks", revision.name)),
                    None => self
                        .invalid(&format!("it speaks only {}, which is not spoken here", theirs.join(", "))),
                })
            }
            Verdict::ModernRefusal(code) => {
                Err(self.invalid(&format!("it answers server/discover with error {code}")))
            }
            // It says nothing of the era: a legacy server may be guarded against what it does not know. `initialize` is tried,
            // and what that is refused with counts.
            Verdict::Unauthorized(_) | Verdict::Unwell(_)
                if self.shared.plan.era != EraRule::Is(Era::Modern) =>
            {
                *lock(&self.unsure) = Some(verdict);
                Ok(None)
            }
            verdict => Err(self.unwell(&verdict)),
        }
    }

    /// What it means that a server does not say what it is.
    fn unwell(&self, verdict: &Verdict) -> CallError {
        match verdict {
            Verdict::Unauthorized(status) => self.shared.unauthorized(*status),
            Verdict::Unwell(status) => self.shared.not_serving(*status),
            _ => self.invalid(
                "it does not say what it is; if it is known, era = \"legacy\" or era = \"modern\" says it instead",
            ),
        }
    }

    /// Why there is no session. A server that does not know `initialize` is a modern one, and what counts is how that refused
    /// to say so.
    fn unopened(&self, error: CallError) -> CallError {
        let verdict = lock(&self.unsure).clone().filter(|_| matches!(error, CallError::InvalidAnswer { .. }));
        verdict.map_or(error, |verdict| self.unwell(&verdict))
    }

    /// Asks `server/discover` in this revision.
    async fn discover(&self, revision: &'static Revision) -> Result<Verdict, CallError> {
        let id = self.shared.next_id();
        let body = answer::request_message(
            &Id::number(id),
            "server/discover",
            Some(&self.shared.discover_params(revision)),
        );
        let mut mirrored = HeaderMap::new();
        mirrored.insert(headers::PROTOCOL_VERSION.clone(), HeaderValue::from_static(revision.name));
        mirrored.insert(headers::METHOD.clone(), HeaderValue::from_static("server/discover"));
        let mut reply = self.post(mirrored, body).await?;
        let status = reply.status();
        let message = self.read_response(&mut reply, id).await.ok();
        Ok(era::of_http(status, message.as_ref()))
    }

    /// Reads the one response that `reply` carries, as JSON or in a stream.
    async fn read_response(&self, reply: &mut Reply, id: u64) -> Result<Message, CallError> {
        match reply.media_type().as_deref() {
            Some("text/event-stream") => find::find_response(self, reply, id).await,
            _ => self.read_whole(reply).await,
        }
    }

    pub(crate) async fn read_whole(&self, reply: &mut Reply) -> Result<Message, CallError> {
        let body = self.read_body(reply).await?;
        server_message(body, self.shared.plan.json_depth)
            .await
            .map_err(|fault| self.invalid(&fault.to_string()))
    }

    async fn read_body(&self, reply: &mut Reply) -> Result<Bytes, CallError> {
        let limit = if reply.status().is_success() { self.shared.plan.message_bytes } else { ERROR_BYTES };
        reply.whole(limit, &self.shared.share).await.map_err(|fault| self.fault(fault))
    }

    /// POSTs a message with the headers that every message to this server has.
    pub(crate) async fn post(&self, extra: HeaderMap, body: impl Into<Pieces>) -> Result<Reply, CallError> {
        let mut all = self.common_headers(extra);
        all.insert(CONTENT_TYPE, JSON);
        self.exchange(Method::POST, all, body.into()).await
    }

    /// POSTs an `initialize`. What it opens is a new client's: nothing of another one's goes with it.
    pub(crate) async fn introduce(&self, body: Bytes) -> Result<Reply, CallError> {
        let mut all = self.common_headers(HeaderMap::new());
        all.insert(CONTENT_TYPE, JSON);
        let (jar, to) = (Jar::default(), &self.reach.destination);
        let sent = self.site.send(Method::POST, to, all, body, &jar).await;
        let reply = self.shared.came(sent)?;
        match reply.headers().get(&headers::SESSION_ID) {
            Some(session) => self.jars.keep(jar, session.clone()),
            None => self.jars.shared.keep(to, reply.headers()),
        }
        Ok(reply)
    }

    /// A request without a body: the legacy era's GET stream and DELETE.
    pub(crate) async fn plain(&self, method: Method, extra: HeaderMap) -> Result<Reply, CallError> {
        let ended = if method == Method::DELETE { extra.get(&headers::SESSION_ID).cloned() } else { None };
        let sent = self.exchange(method, self.common_headers(extra), Bytes::new().into()).await;
        self.jars.forget(ended.as_ref());
        sent
    }

    /// Sends a request with the cookies of its session, and keeps those that come.
    async fn exchange(&self, method: Method, all: HeaderMap, body: Pieces) -> Result<Reply, CallError> {
        let session = all.get(&headers::SESSION_ID).cloned();
        let (known, fresh) = (session.as_ref().and_then(|session| self.jars.of(session)), Jar::default());
        let jar = match &known {
            Some(known) => known,
            None if session.is_none() => &self.jars.shared,
            None => &fresh,
        };
        if self.is_of_one_client(&all) {
            // What it is answered with may stand for that client, and others share the jar.
            let sent = self.site.send(method, &self.reach.destination, all, body, &jar.copy()).await;
            return self.shared.came(sent);
        }
        let sent = self.site.send(method, &self.reach.destination, all, body, jar).await;
        if let Some(session) = session.filter(|_| !fresh.is_empty()) {
            self.jars.keep(fresh, session);
        }
        self.shared.came(sent)
    }

    /// Whether a request has something of a client's by which it may be told from others who share its cookies.
    fn is_of_one_client(&self, headers: &HeaderMap) -> bool {
        self.shared.plan.sessions == SessionRule::Shared
            && self.reach.forward_headers.iter().any(|name| headers.contains_key(name))
    }

    fn common_headers(&self, extra: HeaderMap) -> HeaderMap {
        let mut all = extra;
        all.insert(ACCEPT, ACCEPTED);
        for (name, value) in &self.reach.headers {
            all.insert(name.clone(), value.clone());
        }
        all
    }

    /// The headers of the client's that this server is to get.
    pub(crate) fn forwarded(&self, client: &HeaderMap) -> HeaderMap {
        // As many as a call may need, so that it grows only once.
        let mut out = HeaderMap::with_capacity(12);
        for name in &self.reach.forward_headers {
            for value in client.get_all(name) {
                out.append(name.clone(), value.clone());
            }
        }
        out
    }

    /// Whether the server was found to be modern.
    pub(crate) fn is_modern(&self) -> bool {
        self.modern.load().is_some()
    }

    /// Whether the server was found to speak the older transport only.
    pub(crate) fn is_sse(&self) -> bool {
        self.is_sse.load(Ordering::Relaxed)
    }

    /// Forgets which era was found: what came back fits neither.
    pub(crate) fn doubt_era(&self) {
        if self.shared.plan.era == EraRule::Detect {
            self.modern.store(None);
            self.shared.eras.doubt(Era::Modern);
        }
    }

    /// The session of `whose`, if one is open.
    pub(crate) async fn current(&self, whose: &Whose) -> Option<Connection> {
        if let Some(link) = self.known_modern(whose.era) {
            return Some(Connection::Modern(link));
        }
        if let Some(running) = self.sse.current(whose).await {
            return Some(Connection::Sse(running, Arc::clone(&whose.declared)));
        }
        let slot = lock(&self.sessions).get(&whose.in_era(Era::Legacy)).cloned()?;
        let session = slot.lock().await.clone();
        session.filter(|session| !session.is_lost()).map(Connection::Legacy)
    }

    /// Tells a legacy server something that is true of `whose`, if there is a session for that. A client's own is opened for it:
    /// the server hears what it would hear of that client without us.
    pub(crate) fn tell(self: &Arc<Self>, whose: &Whose, word: &Bytes) {
        if !whose.is_shared() {
            let (wire, whose, word) = (Arc::clone(self), whose.clone(), word.clone());
            self.shared.world.tasks.spawn(async move {
                match wire.connection(&whose).await {
                    Ok(Connection::Legacy(session)) => session.reply(&wire, word),
                    Ok(Connection::Sse(running, _)) => running.pipe.say(word),
                    Ok(Connection::Modern(_)) => {}
                    Err(error) => {
                        tracing::debug!(
                            upstream = wire.shared.plan.name,
                            "not told what its client says: {error}"
                        );
                    }
                }
            });
            return;
        }
        self.sse.tell(whose, word);
        let Some(slot) = lock(&self.sessions).get(whose).cloned() else { return };
        let (wire, word) = (Arc::clone(self), word.clone());
        self.shared.world.tasks.spawn(async move {
            if let Some(session) = slot.lock().await.clone().filter(|session| !session.is_lost()) {
                session.reply(&wire, word);
            }
        });
    }

    pub(crate) fn invalid(&self, why: &str) -> CallError {
        self.shared.invalid(why)
    }

    pub(crate) fn fault(&self, fault: SendFault) -> CallError {
        self.shared.fault(fault)
    }

    pub(crate) fn status_fault(&self, status: StatusCode, media: Option<&str>) -> CallError {
        self.shared.status_fault(status, media)
    }
}

/// Whether the body of a reply to a request is read as a message: also where it is not said what it is.
pub(crate) fn may_be_json(reply: &Reply) -> bool {
    match reply.media_type().as_deref() {
        Some(media) => media == "application/json",
        None => reply.status().is_success() && !reply.is_empty(),
    }
}

/// The headers of a legacy message: the revision, where it has that header, and the session.
pub(crate) fn legacy_headers(revision: &Revision, session: Option<&HeaderValue>) -> HeaderMap {
    let mut out = HeaderMap::new();
    if revision.has_version_header {
        out.insert(headers::PROTOCOL_VERSION.clone(), HeaderValue::from_static(revision.name));
    }
    if let Some(session) = session {
        out.insert(headers::SESSION_ID.clone(), session.clone());
    }
    out
}
