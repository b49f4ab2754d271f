//! One configured MCP server: how it is reached, spoken to in its own era, and kept from harming others.
//!
//! The spine gives a modern call and gets an answer; which era and transport lie between stays in here. Reading
//! order: `Upstream::send`, then `streamable` or `stdio`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use auth::Permitted;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mcp::call::Call;
use mcp::discover::Discovered;
use mcp::jsonrpc::{Message, MessageKind};
use mcp::meta::ClientFacts;
use mcp::method::Kind;
use mcp::mrtr;
use mcp::notify::Seen;
use mcp::outbound::{self, MetaRewrite, Rewrite};
use mcp::trace::Trace;
use mcp::version::Era;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Duration, timeout};
use transport::http::client::Reply;

use crate::plan::{Reach, UpstreamPlan};
use crate::reply::CallError;
use crate::tasks;
use crate::world::World;

pub(crate) mod answer;
pub(crate) mod ask;
mod backlog;
pub(crate) mod ears;
pub(crate) mod link;
mod notices;
mod overheard;
pub(crate) mod pipe;
mod pipes;
pub(crate) mod places;
mod shared;
mod sse;
pub(crate) mod stdio;
pub(crate) mod streamable;

use self::answer::{Answer, Origin, Response, Source};
use self::ask::Asked;
pub use self::link::{Health, Transport};
use self::link::{Link, NOTHING, Whose};
use self::overheard::Overheard;
use self::pipe::lock;
use self::pipes::Running;
use self::places::{Place, Places};
use self::shared::Shared;
use self::stdio::{Processes, StdioWire};
use self::streamable::early::{self, First};
use self::streamable::{HttpStream, HttpWire, LegacyCall, Partner, Session};

/// One configured MCP server.
#[derive(Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
    label: Arc<str>,
    wire: Wire,
    places: Places,
    /// What was declared to it for clients so far.
    declared: Mutex<BTreeSet<Arc<str>>>,
    /// What is declared for clients that can be asked nothing.
    nothing: Arc<str>,
}

/// How many sets of capabilities are told apart: all that there are, as long as they say what is known here. They are the clients' to choose, and each costs
/// a session or a process; clients with another one are served, but not asked anything.
const MOST_DECLARED: usize = 64;

#[derive(Debug)]
enum Wire {
    Http(Arc<HttpWire>),
    Stdio(Arc<StdioWire>),
}

/// What is to be sent: a modern call, and what is to be written into it for this server.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// The call.
    pub(crate) call: &'a Call,
    /// The server's own name of what it is about, if it differs.
    pub(crate) subject: Option<&'a str>,
    /// The trace that it belongs to.
    pub(crate) trace: Trace,
    /// The client's headers.
    pub(crate) headers: &'a HeaderMap,
    /// The mirrored arguments.
    pub(crate) mirrored: &'a [(HeaderName, HeaderValue)],
    /// The downstream session.
    pub(crate) session: Option<Arc<str>>,
    /// The client, where it is known which calls are the same one's.
    pub(crate) client: Option<Arc<str>>,
    /// How long the answer's beginning may take, the wait for a place included.
    pub(crate) within: Duration,
    /// Whether it is a subscription stream, which takes no place and has no end of its own.
    pub(crate) listens: bool,
    /// An earlier request whose progress belongs here now: a call whose task this waits for.
    pub(crate) after: Option<u64>,
}

impl Upstream {
    /// A server that nobody has tried to reach yet.
    #[must_use]
    pub fn new(plan: UpstreamPlan, world: World, most_children: usize) -> Self {
        let what = format!("calls to {}", plan.name);
        let places = Places::new(what, plan.concurrent_calls, plan.queued_calls);
        let reach = plan.reach.clone();
        let shared = Arc::new(Shared::new(plan, world, most_children));
        let wire = match reach {
            Reach::Http(reach) => Wire::Http(HttpWire::new(Arc::clone(&shared), reach)),
            Reach::Stdio(reach) => {
                Wire::Stdio(Arc::new(StdioWire::new(Arc::clone(&shared), Processes { reach })))
            }
        };
        let label = shared.plan.name.as_str().into();
        Self { shared, label, wire, places, declared: Mutex::default(), nothing: NOTHING.into() }
    }

    /// Its configuration.
    #[must_use]
    pub fn plan(&self) -> &UpstreamPlan {
        &self.shared.plan
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.plan.name
    }

    /// Its name, for who keeps it.
    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// How it is, as last seen.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health().borrow().clone()
    }

    /// Its health as it changes.
    pub(crate) fn health_changes(&self) -> watch::Receiver<Health> {
        self.shared.health()
    }

    /// A place for a call that was begun and suspended.
    pub(crate) async fn place(&self) -> Result<Place, CallError> {
        self.places.take().await
    }

    /// Waits until no call is under way.
    pub(crate) async fn idle(&self) {
        self.places.idle().await;
    }

    /// Notifications of it that belong to no call, from now on.
    pub(crate) fn notices(&self) -> broadcast::Receiver<Arc<(Message, Seen)>> {
        self.shared.notices.listen()
    }

    /// Counts connections that were begun anew.
    pub(crate) fn epoch(&self) -> watch::Receiver<u64> {
        self.shared.epoch.subscribe()
    }

    /// Whether it is a process, which nobody starts only to hear of its changes.
    pub(crate) fn is_process(&self) -> bool {
        matches!(self.wire, Wire::Stdio(_))
    }

    /// Whether it is connected now.
    pub(crate) async fn is_connected(&self, principal: &auth::Principal) -> bool {
        let whose = self.whose(principal, None, NOTHING);
        match &self.wire {
            Wire::Stdio(wire) => wire.current(&whose).await.is_some(),
            Wire::Http(wire) => wire.current(&whose).await.is_some(),
        }
    }

    /// The legacy era's stream of notifications that belong to no call, where it has one of its own: what it carries
    /// goes to [`Upstream::notices`] while the stream is being read.
    pub(crate) async fn overhear(&self, principal: &auth::Principal) -> Result<Option<Overheard>, CallError> {
        let Wire::Http(wire) = &self.wire else { return Ok(None) };
        Ok(match wire.partner(&self.whose(principal, None, NOTHING)).await? {
            Partner::Modern(_) => None,
            Partner::Legacy(session) => session.overhear(wire).await?.map(|s| Overheard::Stream(Box::new(s))),
            Partner::Sse(running, _) => Some(Overheard::Pipe(running.pipe)),
        })
    }

    /// A legacy client can be asked outside of any call, until the other end of `asks` is dropped.
    pub(crate) fn can_ask(
        &self,
        principal: &auth::Principal,
        (session, client): (&Arc<str>, &ClientFacts),
        asks: &mpsc::Sender<ask::Ask>,
    ) {
        let declared = self.declared(&mrtr::askable(client.capabilities()));
        if &*declared != NOTHING {
            self.shared.ears.listen(self.whose(principal, Some(session), &declared), asks);
        }
    }

    /// The outside.
    pub(crate) fn world(&self) -> &World {
        &self.shared.world
    }

    /// What it says of itself to a client, or to nobody in particular; it is reached for that if it was not yet.
    pub(crate) async fn discovered(
        &self,
        principal: &auth::Principal,
        client: Option<&ClientFacts>,
    ) -> Result<(Era, Arc<Discovered>), CallError> {
        // Where each client has its own session, this one belongs to none of them.
        let client = client.filter(|_| self.shared.plan.sessions == crate::plan::SessionRule::Shared);
        let declared =
            client.map_or_else(|| NOTHING.to_owned(), |client| mrtr::askable(client.capabilities()));
        let link = self.link(&self.whose(principal, None, &declared)).await?;
        Ok((link.era(), link.discovered))
    }

    /// Ends what it holds: sessions and processes.
    pub async fn stop(&self) {
        match &self.wire {
            Wire::Http(wire) => wire.stop().await,
            Wire::Stdio(wire) => wire.stop().await,
        }
    }

    /// Ends what it holds for one downstream session.
    pub(crate) async fn forget(&self, principal: &auth::Principal, session: &Arc<str>) {
        if self.shared.plan.sessions == crate::plan::SessionRule::Shared {
            return;
        }
        let whose = self.whose(principal, Some(session), NOTHING);
        match &self.wire {
            Wire::Http(wire) => wire.forget(&whose).await,
            Wire::Stdio(wire) => wire.forget(&whose).await,
        }
    }

    /// Sends a call and waits for the beginning of its answer.
    ///
    /// A call that a server certainly did not carry out is sent a second time: one in a session that the server has
    /// lost (404), nothing else.
    pub(crate) async fn send(&self, order: Permitted<Order<'_>>) -> Result<Answer, CallError> {
        if !order.covers(self.name()) {
            return Err(CallError::Internal("a permit for another upstream".to_owned()));
        }
        let principal = order.principal();
        let order = order.value();
        // A modern server hears it with the call.
        let declared = match self.is_modern() {
            true => Cow::Borrowed(NOTHING),
            false => mrtr::askable(order.call.client().capabilities()).into(),
        };
        let whose = self.whose(principal, order.session.as_ref(), &declared);
        // Waiting for a place is part of the time that a call may take.
        match timeout(order.within, self.begin_placed(order, &whose)).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                Err(CallError::Deadline { upstream: self.name().to_owned(), after: order.within })
            }
        }
    }

    async fn begin_placed(&self, order: &Order<'_>, whose: &Whose) -> Result<Answer, CallError> {
        let takes_none = order.listens || tasks::waits(order.call);
        let place = if takes_none { None } else { Some(self.places.take().await?) };
        self.begin(order, whose, place).await
    }

    async fn begin(
        &self,
        order: &Order<'_>,
        whose: &Whose,
        place: Option<Place>,
    ) -> Result<Answer, CallError> {
        match &self.wire {
            Wire::Stdio(wire) => {
                let running = self.note(wire.running(whose).await, |running| &running.link)?;
                self.begin_pipe(order, &running, HeaderMap::new(), (&whose.declared, place)).await
            }
            Wire::Http(wire) => {
                let partner = self.note(wire.partner(whose).await, Partner::link)?;
                match self.begin_http(wire, order, &partner, place).await? {
                    Begun::Answer(answer) => Ok(*answer),
                    Begun::SessionLost(place) => {
                        let partner = self.note(wire.partner(whose).await, Partner::link)?;
                        match Box::pin(self.begin_http(wire, order, &partner, place)).await? {
                            Begun::Answer(answer) => Ok(*answer),
                            Begun::SessionLost(_) => {
                                Err(wire.invalid("it forgets each session at once (HTTP 404)"))
                            }
                        }
                    }
                }
            }
        }
    }

    async fn begin_pipe(
        &self,
        order: &Order<'_>,
        running: &Running,
        headers: HeaderMap,
        (declared, place): (&Arc<str>, Option<Place>),
    ) -> Result<Answer, CallError> {
        let log = order.call.client().log;
        if let Some(level) = log.level() {
            running.lower_level(level, self.shared.next_id());
        }
        running.serves(order.call);
        let id = self.shared.next_id();
        let body = self.body(order, &running.link, id);
        let wants = Running::wants(log.wants(None), order.listens, asked(order, declared));
        let stream = running.pipe.request(id, body, headers, wants).await?;
        self.answered(&running.link);
        Ok(Answer::new(Source::Pipe(stream), self.origin(order, &running.link, id), place))
    }

    async fn begin_http(
        &self,
        wire: &Arc<HttpWire>,
        order: &Order<'_>,
        partner: &Partner,
        place: Option<Place>,
    ) -> Result<Begun, CallError> {
        let link = partner.link();
        let id = self.shared.next_id();
        let mut headers = wire.forwarded(order.headers);
        let meta = order.call.meta().filter(|meta| meta.contains("traceparent"));
        order.trace.write(meta.and_then(|_| order.call.meta_object()).as_ref(), &mut headers);
        let legacy = match partner {
            Partner::Modern(link) => {
                outbound::mirror(order.call, order.subject, link.revision, &mut headers);
                // Whatever was there under these names goes; a name of them may stand there twice.
                for (name, _) in order.mirrored {
                    headers.remove(name);
                }
                for (name, value) in order.mirrored {
                    headers.append(name, value.clone());
                }
                if order.call.method().is_none() {
                    // What its `Mcp-Name` mirrors is the business of those who know the method.
                    headers.extend(
                        order
                            .headers
                            .get(&mcp::headers::NAME)
                            .map(|v| (mcp::headers::NAME.clone(), v.clone())),
                    );
                }
                None
            }
            Partner::Legacy(session) => {
                if let Some(level) = order.call.client().log.level() {
                    Box::pin(session.lower_level(wire, level)).await?;
                }
                headers.extend(session.headers());
                let told = (order.call.client().log.wants(None), asked(order, &session.whose.declared));
                Some(LegacyCall::begin(wire, session, id, told))
            }
            Partner::Sse(running, declared) => {
                let answer = Box::pin(self.begin_pipe(order, running, headers, (declared, place))).await?;
                return Ok(Begun::Answer(Box::new(answer)));
            }
        };
        let mut legacy = legacy;
        let first = match &mut legacy {
            Some(call) => Box::pin(early::send(wire, call, headers, self.body(order, link, id))).await,
            None => First::Head(wire.post(headers, self.pieces(order, link, id)).await),
        };
        let reply = match (first, legacy.take()) {
            (First::Head(reply), call) => {
                legacy = call;
                reply
            }
            (First::Said(early), Some(call)) => {
                self.answered(link);
                let stream = HttpStream::early(Arc::clone(wire), early, id, call);
                let source = Source::Events(Box::new(stream));
                return Ok(Begun::Answer(Box::new(Answer::new(source, self.origin(order, link, id), place))));
            }
            (First::Said(_), None) => return Err(CallError::Internal("an answer to no call".to_owned())),
        };
        match &reply {
            Ok(_) => self.answered(link),
            Err(error) => self.shared.set_health(Health::Down { why: error.to_string() }),
        }
        let reply = reply?;
        let legacy = match legacy {
            Some(call) if is_lost(&reply, &call.session) => {
                wire.lost(&call.session);
                call.over();
                return Ok(Begun::SessionLost(place));
            }
            legacy => legacy,
        };
        let source = self.receive(wire, reply, Sent { id, legacy }).await?;
        Ok(Begun::Answer(Box::new(Answer::new(source, self.origin(order, link, id), place))))
    }

    /// Tells by the response's head what kind of answer it is.
    async fn receive(&self, wire: &Arc<HttpWire>, mut reply: Reply, sent: Sent) -> Result<Source, CallError> {
        let (status, media) = (reply.status(), reply.media_type());
        if status.is_success() && media.as_deref() == Some("text/event-stream") {
            let stream = HttpStream::answering(Arc::clone(wire), reply, sent.id, sent.legacy);
            return Ok(Source::Events(Box::new(stream)));
        }
        if media.as_deref() != Some("application/json") {
            if sent.legacy.is_none() && matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) {
                wire.doubt_era();
            }
            return Err(wire.status_fault(status, media.as_deref()));
        }
        let session = sent.legacy.as_ref().map(|call| &*call.session);
        let message = match wire.read_answer(&mut reply, session).await {
            Ok(message) => message,
            Err(_) if !status.is_success() => return Err(wire.status_fault(status, media.as_deref())),
            Err(error) => return Err(error),
        };
        match message.response_id() {
            Some(id) if id.as_number() != Some(sent.id) => {
                return Err(wire.invalid("it answers a request that is not ours"));
            }
            None if !matches!(message.kind(), MessageKind::Error(_)) => {
                return Err(wire.invalid("it answers with a message that is no response"));
            }
            _ => {}
        }
        if sent.legacy.is_none() && is_legacy_refusal(status, &message) {
            wire.doubt_era();
        }
        if let Some(call) = sent.legacy {
            call.over();
        }
        Ok(Source::Whole(Some(Response { message, status: Some(status) })))
    }

    fn body(&self, order: &Order<'_>, link: &Link, id: u64) -> Bytes {
        outbound::body(order.call, &self.rewrite(order, link, id))
    }

    fn pieces(&self, order: &Order<'_>, link: &Link, id: u64) -> Vec<Bytes> {
        outbound::pieces(order.call, &self.rewrite(order, link, id))
    }

    fn rewrite<'o>(&'o self, order: &'o Order<'_>, link: &Link, id: u64) -> Rewrite<'o> {
        let client = order.call.client();
        let meta = match link.era() {
            Era::Legacy => MetaRewrite::Legacy,
            Era::Modern => MetaRewrite::Modern {
                revision: link.revision,
                capabilities: client.capabilities(),
                client_info: &self.shared.world.identity,
                log_level: client.log.level(),
            },
        };
        Rewrite {
            id,
            subject: order.subject,
            progress_token: order.call.progress_token().map(|_| id),
            trace: &order.trace,
            meta,
        }
    }

    fn origin(&self, order: &Order<'_>, link: &Link, id: u64) -> Origin {
        let reads = order.call.kind() == Kind::Resource;
        let uri = || order.subject.or_else(|| order.call.subject().map(|s| &*s.text)).map(str::to_owned);
        Origin {
            id,
            upstream: Arc::clone(&self.label),
            revision: link.revision,
            method: order.call.method(),
            uri: reads.then(uri).flatten(),
        }
    }

    async fn link(&self, whose: &Whose) -> Result<Link, CallError> {
        match &self.wire {
            Wire::Stdio(wire) => {
                self.note(wire.running(whose).await, |running| &running.link).map(|r| r.link)
            }
            Wire::Http(wire) => self.note(wire.partner(whose).await, Partner::link).map(|p| p.link().clone()),
        }
    }

    fn whose(&self, principal: &auth::Principal, session: Option<&Arc<str>>, declared: &str) -> Whose {
        let own = self.shared.plan.sessions == crate::plan::SessionRule::PerClient;
        let session = session.filter(|_| own).cloned();
        Whose { principal: principal.clone(), session, declared: self.declared(declared) }
    }

    /// Whether it is known to speak the modern era.
    fn is_modern(&self) -> bool {
        matches!(&self.wire, Wire::Http(wire) if wire.is_modern())
    }

    fn declared(&self, declared: &str) -> Arc<str> {
        if declared == NOTHING {
            return Arc::clone(&self.nothing);
        }
        let mut known = lock(&self.declared);
        if let Some(known) = known.get(declared) {
            return Arc::clone(known);
        }
        let kept: Arc<str> = if known.len() < MOST_DECLARED {
            declared.into()
        } else {
            tracing::warn!(
                upstream = self.name(),
                "too many sets of client capabilities; this one counts as none"
            );
            NOTHING.into()
        };
        known.insert(Arc::clone(&kept));
        kept
    }

    /// Keeps in mind how reaching the server went. That it was reached once says nothing of now, so only what it
    /// answers makes a server that was down one that is up.
    fn note<T>(&self, reached: Result<T, CallError>, link: impl Fn(&T) -> &Link) -> Result<T, CallError> {
        match &reached {
            Ok(partner) if *self.shared.health().borrow() == Health::Unknown => self.answered(link(partner)),
            // Our own limits say nothing about the server.
            Ok(_) | Err(CallError::Overloaded { .. } | CallError::Draining) => {}
            Err(error) => self.shared.set_health(Health::Down { why: error.to_string() }),
        }
        reached
    }

    fn answered(&self, link: &Link) {
        self.shared.set_health(Health::Up {
            era: link.era(),
            revision: link.revision.name,
            transport: link.transport,
        });
    }
}

/// What a call may be asked by a legacy server.
fn asked(order: &Order<'_>, declared: &Arc<str>) -> Asked {
    let may_ask = order.call.method().is_some_and(|method| method.may_ask);
    Asked { may_ask, declared: Arc::clone(declared), client: order.client.clone(), after: order.after }
}

/// How sending over HTTP began.
enum Begun {
    Answer(Box<Answer>),
    SessionLost(Option<Place>),
}

/// What was sent and must be cleaned up after.
struct Sent {
    id: u64,
    legacy: Option<LegacyCall>,
}

/// Whether an answer to a modern request is what legacy servers say to those who have no session: the server may have
/// been replaced by an older one.
fn is_legacy_refusal(status: StatusCode, message: &Message) -> bool {
    let code = match message.kind() {
        MessageKind::Error(parts) => parts.code,
        _ => return false,
    };
    status == StatusCode::BAD_REQUEST && (-32019..=-32000).contains(&code)
}

/// A 404 in a session with an id means that the session is gone (MCP 2025-11-25 `basic/transports` §Session
/// Management), and then the request was not carried out.
fn is_lost(reply: &Reply, session: &Session) -> bool {
    reply.status() == StatusCode::NOT_FOUND && session.has_id()
}
