//! Sending a call: over whichever transport the server has, in its own era, up to the beginning of its answer.

use std::pin::pin;
use std::sync::Arc;

use auth::Permitted;
use base::bulkhead::Slot;
use base::error::CallError;
use base::fault::Fault;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcp::jsonrpc::{Message, MessageKind};
use mcp::method::Kind;
use mcp::outbound::{self, MetaRewrite, Rewrite};
use mcp::trace::Trace;
use mcp::version::Era;
use tokio::time::{Instant, timeout_at};
use transport::http::client::Reply;

use crate::answer::{Answer, Origin, Source, acts};
use crate::arrival::Response;
use crate::ask::Asked;
use crate::failed::Failed;
use crate::health::admission::Admission;
use crate::hop::{self, Hop};
use crate::http::early::{self, CallStart};
use crate::http::reading::{self, Reading};
use crate::http::refusal;
use crate::http::{Connection, HttpStream, HttpWire, LegacyCall, Ruling, may_be_json};
use crate::link::{Link, NOTHING, Whose};
use crate::order::Order;
use crate::own::{OwnCall, OwnWire};
use crate::pipe::pool::{Need, Running};
use crate::stdio::StdioWire;
use crate::upstream::{Upstream, Wire};
impl Upstream {
    /// Sends a call and waits for the beginning of its answer.
    ///
    /// A call that a server certainly did not carry out is sent a second time: one in a session that the server has
    /// lost (`http/loss`). What else is sent again is in `retry`.
    pub async fn send(&self, order: Permitted<Order<'_>>) -> Result<Box<Answer>, CallError> {
        if !order.covers(self.name()) {
            return Err(CallError::Internal("a permit for another upstream".to_owned()));
        }
        let principal = order.principal();
        let order = order.value();
        let (client, session) = (order.call.client(), order.session.as_ref());
        let whose = if self.is_modern_for(order.era) {
            // A modern server hears it with the call.
            let own = session.map(|session| (session, client.info.as_ref()));
            self.whose(principal, order.era, own, NOTHING)
        } else {
            self.whose_of(principal, order.era, (session, client))
        };
        let admission = if order.is_own() { None } else { self.admit()? };
        let is_trial = admission.as_ref().is_some_and(Admission::is_trial);
        // Waiting for a place is part of the time that a call may take, and so is every retry.
        let until = Instant::now() + order.within;
        // Pinned where it lies: given to the timer by value it would be moved, and it is large.
        let first = {
            let begun = pin!(self.begin_placed(order, &whose));
            timeout_at(until, begun).await
        };
        let begun = match first {
            // What is rare lies in a box of its own.
            Ok(first) if !self.is_settled(&first, order, is_trial) => {
                Box::pin(timeout_at(until, self.retry_until_steady(order, &whose, first))).await
            }
            begun => begun,
        };
        match begun {
            Ok(Ok(mut answer)) => {
                self.record_success(admission, &mut answer);
                Ok(answer)
            }
            Ok(Err(failed)) => {
                self.record_failure(admission, &failed);
                Err(failed.error)
            }
            Err(_elapsed) => {
                let error = CallError::Deadline { upstream: self.name().to_owned(), after: order.within };
                if let Some(admission) = admission {
                    self.shared.noted(admission.record_late(&error), &error);
                }
                Err(error)
            }
        }
    }

    pub(super) async fn begin_placed(&self, order: &Order<'_>, whose: &Whose) -> Result<Box<Answer>, Failed> {
        if acts(order.call.method()) {
            self.shared.acted();
        }
        let takes_none = order.is_own() || order.call.waits();
        let place = if takes_none { None } else { Some(self.places.take_for(&whose.principal).await?) };
        self.begin(order, whose, place).await
    }

    async fn begin(
        &self,
        order: &Order<'_>,
        whose: &Whose,
        place: Option<Slot>,
    ) -> Result<Box<Answer>, Failed> {
        match &self.wire {
            Wire::Stdio(wire) => {
                let running = wire.running(whose, order.need()).await;
                let running = self.note(whose, running, |running| &running.link)?;
                self.is_known(order, &running.link)?;
                match self.begin_pipe(order, &running, HeaderMap::new(), (&whose.declared, place)).await {
                    Begun::Answer(answer) => Ok(answer),
                    Begun::SessionLost(place) => Box::pin(self.begin_next(wire, order, whose, place)).await,
                }
            }
            Wire::Own(wire) => Box::pin(self.begin_own(wire, order, whose, place)).await,
            Wire::Http(wire) => {
                let connection = self.note(whose, wire.connection(whose).await, Connection::link)?;
                let mut hop = None;
                let begun = self.begin_http(wire, order, &connection, (place, &mut hop)).await;
                match follow(order, hop, begun)? {
                    Begun::Answer(answer) => Ok(answer),
                    Begun::SessionLost(place) => {
                        let connection = self.note(whose, wire.connection(whose).await, Connection::link)?;
                        let mut hop = None;
                        let begun =
                            Box::pin(self.begin_http(wire, order, &connection, (place, &mut hop))).await;
                        match follow(order, hop, begun)? {
                            Begun::Answer(answer) => Ok(answer),
                            Begun::SessionLost(_) => {
                                Err(wire.invalid("it loses each session at once").into())
                            }
                        }
                    }
                }
            }
        }
    }

    /// Whether it is known who is at the other end, where that must be.
    fn is_known(&self, order: &Order<'_>, link: &Link) -> Result<(), CallError> {
        match order.known_at {
            Some(known) if link.number > known => {
                Err(CallError::BegunAnew { upstream: self.name().to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Portolan itself answers, in full.
    async fn begin_own(
        &self,
        wire: &OwnWire,
        order: &Order<'_>,
        whose: &Whose,
        place: Option<Slot>,
    ) -> Result<Box<Answer>, Failed> {
        let id = self.shared.next_id();
        order.sends(id, None);
        let message = wire.answer(id, OwnCall { principal: &whose.principal, order }).await?;
        let source = Source::Whole(Some(Response { message, status: None }));
        Ok(Box::new(Answer::new(source, self.origin(order, &wire.link(), id), place)))
    }

    /// The same in the process that follows one that was ending.
    async fn begin_next(
        &self,
        wire: &Arc<StdioWire>,
        order: &Order<'_>,
        whose: &Whose,
        place: Option<Slot>,
    ) -> Result<Box<Answer>, Failed> {
        let running = wire.running(whose, order.need()).await;
        let running = self.note(whose, running, |running| &running.link)?;
        self.is_known(order, &running.link)?;
        match self.begin_pipe(order, &running, HeaderMap::new(), (&whose.declared, place)).await {
            Begun::Answer(answer) => Ok(answer),
            Begun::SessionLost(_) => {
                let why = "each process of it ends at once";
                Err(self.shared.unreached(why, Fault::NoConnection).into())
            }
        }
    }

    /// Sends a call into a conversation. One that is ending takes nothing any more; then nothing was sent.
    async fn begin_pipe(
        &self,
        order: &Order<'_>,
        running: &Running,
        mut headers: HeaderMap,
        (declared, place): (&Arc<str>, Option<Slot>),
    ) -> Begun {
        let log = order.call.client().log;
        if let Some(level) = log.level() {
            running.lower_level(level, self.shared.next_id());
        }
        running.serves(order.call, order.need());
        let id = self.shared.next_id();
        let hop = hop::begin((&self.shared, self.label()), order, (&running.link, id), self.wire.over_http());
        let trace = hop::trace(&hop, order);
        if hop.as_ref().is_some_and(|span| span.place().is_some()) && !headers.is_empty() {
            trace.write(None, &mut headers);
        }
        let body = self.body(order, &trace, (&running.link, id));
        let wants = Running::wants(log.wants(None), order.listens, asked(order, declared));
        let Ok(stream) = running.pipe.request(id, body, headers, wants).await else {
            // As soon as it is known why, another one may be begun.
            running.pipe.closed().await;
            hop::unsent(hop);
            return Begun::SessionLost(place);
        };
        order.sends(id, None);
        // That it takes something says nothing of a server that has just left something without an answer.
        if self.sick().is_none() {
            self.answered(&running.link);
        }
        let origin = self.origin(order, &running.link, id);
        Begun::Answer(Box::new(Answer::new(Source::Pipe(stream), origin, place).followed(hop)))
    }

    async fn begin_http(
        &self,
        wire: &Arc<HttpWire>,
        order: &Order<'_>,
        connection: &Connection,
        (place, hop): (Option<Slot>, &mut Hop),
    ) -> Result<Begun, Failed> {
        let link = connection.link();
        self.is_known(order, link)?;
        let id = self.shared.next_id();
        let mut headers = wire.forwarded(order.headers);
        if !matches!(connection, Connection::Sse(..)) {
            *hop = hop::begin((&self.shared, self.label()), order, (link, id), Some(wire));
        }
        let trace = hop::trace(hop, order);
        let meta = order.call.meta().filter(|meta| meta.contains("traceparent"));
        trace.write(meta.and_then(|_| order.call.meta_object()).as_ref(), &mut headers);
        let mut legacy = match connection {
            Connection::Modern(link) => {
                outbound::mirror(order.call, order.subject, link.revision, &mut headers);
                // No configured header has such a name: the configuration refuses them.
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
            Connection::Legacy(session) => {
                if let Some(level) = order.call.client().log.level() {
                    Box::pin(session.lower_level(wire, level)).await?;
                }
                headers.extend(session.headers());
                let told = (order.call.client().log.wants(None), asked(order, &session.whose.declared));
                Some(LegacyCall::begin(wire, session, id, told))
            }
            Connection::Sse(running, declared) => {
                return Ok(Box::pin(self.begin_pipe(order, running, headers, (declared, place))).await);
            }
        };
        order.sends(id, legacy.as_ref().and_then(|call| call.session.named()));
        let first = match &mut legacy {
            Some(call) => {
                Box::pin(early::send(wire, call, headers, self.body(order, &trace, (link, id)))).await
            }
            None => CallStart::Head(wire.post(headers, self.pieces(order, &trace, (link, id))).await),
        };
        let reply = match (first, legacy.take()) {
            (CallStart::Head(reply), call) => {
                legacy = call;
                reply
            }
            (CallStart::Said(early), Some(call)) => {
                self.answered(link);
                let stream = HttpStream::early(Arc::clone(wire), early, id, call);
                let source = Source::Events(Box::new(stream));
                return Ok(Begun::Answer(Box::new(Answer::new(source, self.origin(order, link, id), place))));
            }
            (CallStart::Said(_), None) => {
                return Err(CallError::Internal("an answer to no call".to_owned()).into());
            }
        };
        // Whether it is the server that answers so is known when there is a message in it.
        let is_unsure = reply.as_ref().is_ok_and(|reply| reply.status().is_server_error());
        match &reply {
            Ok(_) if is_unsure => {}
            Ok(_) => self.answered(link),
            Err(error) => self.shared.set_down(error),
        }
        let reply = reply?;
        let source = match legacy {
            None => self.receive(wire, reply, id).await?,
            Some(call) => match self.receive_legacy(wire, order, reply, (id, call)).await? {
                Some(source) => source,
                None => return Ok(Begun::SessionLost(place)),
            },
        };
        if is_unsure {
            self.answered(link);
        }
        Ok(Begun::Answer(Box::new(Answer::new(source, self.origin(order, link, id), place))))
    }

    /// Tells by the response's head what kind of answer a modern server gives.
    async fn receive(&self, wire: &Arc<HttpWire>, mut reply: Reply, id: u64) -> Result<Source, Failed> {
        let (status, media) = (reply.status(), reply.media_type());
        if status.is_success() && media.as_deref() == Some("text/event-stream") {
            let stream = HttpStream::answering(Arc::clone(wire), reply, id, None);
            return Ok(Source::Events(Box::new(stream)));
        }
        if !may_be_json(&reply) {
            if matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) {
                wire.doubt_era();
            }
            return Err(refusal::failed(wire, status, media.as_deref()));
        }
        let message = match wire.read_whole(&mut reply).await {
            Ok(message) => message,
            Err(_) if !status.is_success() => return Err(refusal::failed(wire, status, media.as_deref())),
            Err(_) if media.is_none() => return Err(refusal::failed(wire, status, Some(reading::NO_TYPE))),
            Err(error) => return Err(error.into()),
        };
        match message.response_id() {
            Some(theirs) if theirs.as_number() != Some(id) => {
                return Err(wire.shared.strange_id(theirs.raw(), Some(id)).into());
            }
            None if !matches!(message.kind(), MessageKind::Error(_)) => {
                return Err(wire.invalid("it answers with a message that is no response").into());
            }
            _ => {}
        }
        if is_legacy_refusal(status, &message) {
            wire.doubt_era();
        }
        Ok(Source::Whole(Some(Response { message, status: Some(status) })))
    }

    /// The same for a legacy server; nothing where the session is gone, another one is open, and the call can be sent in that.
    async fn receive_legacy(
        &self,
        wire: &Arc<HttpWire>,
        order: &Order<'_>,
        reply: Reply,
        (id, mut call): (u64, LegacyCall),
    ) -> Result<Option<Source>, Failed> {
        let whole = |message, status| Source::Whole(Some(Response { message, status: Some(status) }));
        match reading::read(wire, &call.session, reply, id).await? {
            Reading::Stream(reply) => {
                let stream = HttpStream::answering(Arc::clone(wire), reply, id, Some(call));
                Ok(Some(Source::Events(Box::new(stream))))
            }
            Reading::Response(message, status) => {
                call.over();
                Ok(Some(whole(message, status)))
            }
            Reading::Taken => {
                let early = Box::pin(early::taken(wire, &mut call)).await?;
                Ok(Some(Source::Events(Box::new(HttpStream::early(Arc::clone(wire), early, id, call)))))
            }
            Reading::Refused(refusal) => {
                let sent = wire.forwarded(order.headers);
                let ruling = Box::pin(wire.judge(&call.session, &refusal, &sent)).await;
                // Nobody works at it.
                if !refusal.status().is_server_error() {
                    call.over();
                }
                match ruling {
                    Ruling::Lost { came_first } if came_first || self.repeats(order) => Ok(None),
                    Ruling::Alone(error) => Err(error.into()),
                    Ruling::Lost { .. } | Ruling::Stands => {
                        refusal.stands(wire).map(|(message, status)| Some(whole(message, status)))
                    }
                }
            }
        }
    }

    fn body(&self, order: &Order<'_>, trace: &Trace, to: (&Link, u64)) -> Bytes {
        outbound::body(order.call, &self.rewrite(order, trace, to))
    }

    fn pieces(&self, order: &Order<'_>, trace: &Trace, to: (&Link, u64)) -> Vec<Bytes> {
        outbound::pieces(order.call, &self.rewrite(order, trace, to))
    }

    fn rewrite<'o>(
        &'o self,
        order: &'o Order<'_>,
        trace: &'o Trace,
        (link, id): (&Link, u64),
    ) -> Rewrite<'o> {
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
            trace,
            meta,
        }
    }

    fn origin(&self, order: &Order<'_>, link: &Link, id: u64) -> Origin {
        let reads = order.call.kind() == Kind::Resource;
        let uri = || order.subject.or_else(|| order.call.subject().map(|s| &*s.text)).map(str::to_owned);
        Origin {
            id,
            shared: Arc::clone(&self.shared),
            revision: link.revision,
            transport: link.transport,
            method: order.call.method(),
            reads: order.reads,
            uri: reads.then(uri).flatten(),
        }
    }
}

impl Order<'_> {
    /// What a conversation is needed for.
    fn need(&self) -> Need {
        match self.call.method() {
            _ if self.is_own() => Need::Own,
            // Only we ourselves send these: for all clients together.
            Some(method) if matches!(method.name, "resources/subscribe" | "resources/unsubscribe") => {
                Need::Own
            }
            Some(method) if method.entries.is_some() => Need::Look,
            _ => Need::Call,
        }
    }

    /// Whether it is Portolan's own and has pauses of its own: it takes no place, and what becomes of it is not counted.
    pub(super) fn is_own(&self) -> bool {
        self.listens || self.probes
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
    SessionLost(Option<Slot>),
}

/// What follows a request goes on with its answer, or ends without one.
fn follow(order: &Order<'_>, hop: Hop, begun: Result<Begun, Failed>) -> Result<Begun, Failed> {
    if let Err(failed) = &begun
        && failed.fault.is_some_and(Fault::sent_nothing)
    {
        order.unsent();
    }
    if hop.is_none() {
        return begun;
    }
    match begun {
        Ok(Begun::Answer(answer)) => Ok(Begun::Answer(Box::new(answer.followed(hop)))),
        Ok(Begun::SessionLost(place)) => {
            hop::unsent(hop);
            Ok(Begun::SessionLost(place))
        }
        Err(failed) => {
            hop::failed(hop, &failed);
            Err(failed)
        }
    }
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
