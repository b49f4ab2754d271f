//! The HTTP side towards clients: from a request to a call, of either era, and back.
//!
//! The order of the checks, as far as MCP 2026-07-28 `basic/transports/streamable-http` leaves it open: whom the request is
//! addressed to, where it goes, whether it can be a message, and only then what it says.

use std::sync::Arc;

use ::approvals::page::PLACE;
use arc_swap::ArcSwap;
use auth::{Credentials, Identity};
use base::aside::client_message;
use base::checks::{self, HostCheck, Readable, Rejected};
use base::error::CallError;
use bytes::Bytes;
use catalog::caller::Caller;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use mcp::answer::{error_message, result_message};
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::legacy::batch::is_array;
use mcp::method::Kind;
use mcp::reject::{Reject, code};
use mcp::version::Era;
use mcp::{headers, inbound, version};
use replica::Replica;
use tokio_util::sync::CancellationToken;
use transport::http::body::ReplyBody;
use transport::http::server::{Exchange, Service};
use transport::memory::Memory;

use crate::bridge::endpoint::{Disposition, Endpoint};
use crate::bridge::session::SessionClaims;
use crate::flow::{Flow, Steps};
use crate::live::Live;

mod approvals;
mod batch;
mod conversation;
pub(crate) mod events;
pub(crate) mod heads;
pub(crate) mod hop;
mod outbox;
pub(crate) mod protected;
pub(crate) mod respond;
pub(crate) mod sse;
pub(crate) mod stdio;

use heads::{empty, not_allowed, preflight, refuse, refuse_call, reject, text, unread};
use hop::{Came, Hop};
use respond::{Delivery, respond};

/// Answers the requests of one listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) keeper: HostCheck,
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) sse: Arc<sse::SseSessions>,
    pub(crate) drain: CancellationToken,
    /// What is read counts there.
    pub(crate) memory: Memory,
    /// This process among others, if it may have any.
    pub(crate) replica: Option<Arc<Replica>>,
}

impl Service for Listener {
    async fn answer(&self, exchange: &mut Exchange) -> Response<ReplyBody> {
        let share = self.keeper.share(&exchange.headers);
        // Only lent: a future has room twice for every argument that it is given.
        let mut response = self.answer_checked(exchange).await;
        if let Some(origin) = share {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("mcp-session-id, www-authenticate, dpop-nonce"),
            );
            headers.insert(VARY, HeaderValue::from_static("origin"));
        }
        response
    }

    fn full(&self, connections: usize) -> Response<Bytes> {
        heads::full(connections)
    }
}

impl Listener {
    async fn answer_checked(&self, exchange: &mut Exchange) -> Response<ReplyBody> {
        if exchange.uri.path().starts_with(PLACE)
            && let Some(page) = Box::pin(self.approval_page(exchange)).await
        {
            return page;
        }
        if let Err(refused) = self.keeper.check(&exchange.uri, &exchange.headers) {
            return refuse(refused);
        }
        self.take(exchange, Hop::Direct).await
    }

    /// Answers a request whose sender was checked. What it needs of the exchange it takes.
    pub(crate) async fn take(&self, exchange: &mut Exchange, hop: Hop) -> Response<ReplyBody> {
        let name = match &hop {
            Hop::Direct => &self.name,
            Hop::Forwarded { listener, .. } => listener,
        };
        let live = self.live.load_full();
        let asked = (&exchange.method, exchange.uri.path());
        if asked.1.starts_with("/.well-known/")
            && let Some(metadata) = Box::pin(protected::metadata(&live, name, asked)).await
        {
            return metadata;
        }
        let Some((endpoint, opens_sse)) = live.endpoint(name, exchange.uri.path()) else {
            let paths = live.paths(name);
            return text(StatusCode::NOT_FOUND, &format!("nothing here; MCP is at {}\n", paths.join(", ")));
        };
        // A browser asks before it shows who it is.
        if exchange.method == Method::OPTIONS {
            return preflight(&exchange.headers);
        }
        let identity = match &hop {
            Hop::Direct => {
                let target = exchange.uri.path_and_query().map_or("", |target| target.as_str());
                let (headers, method) = (&exchange.headers, &exchange.method);
                let connection = protected::connection(exchange);
                let credentials = Credentials { headers, method, target, connection };
                match endpoint.route.gate.identify(credentials).await {
                    Ok(identity) => protected::with_address(&endpoint.route, identity, &exchange.peer),
                    Err(refusal) => return protected::refuse(&endpoint.route, refusal, opens_sse),
                }
            }
            Hop::Forwarded { identity, .. } => match protected::held_against(&endpoint.route, identity) {
                Ok(()) => identity.clone(),
                Err(refusal) => return protected::refuse(&endpoint.route, refusal, opens_sse),
            },
        };
        if let Some(identifier) = &endpoint.route.identifier {
            identifier.take_away(&mut exchange.headers);
        }
        if opens_sse {
            let lifetime =
                endpoint.route.lifetime((identity.until, identity.claims.as_ref()), &exchange.headers);
            let from = (&hop, &identity);
            // What is no message lies in a box of its own, so that messages need not move with room for it.
            let answered = Box::pin(sse::answer(self, exchange, endpoint, (&live.plan.limits, from))).await;
            return protected::ended_in_time(answered, lifetime);
        }
        let endpoint = Arc::clone(endpoint);
        match exchange.method {
            Method::POST => {
                let mut response = self.post(exchange, &endpoint, (&live, &hop, identity)).await;
                protected::tell_scopes(endpoint.route.identifier.as_ref(), &mut response);
                response
            }
            Method::GET => {
                let lifetime =
                    endpoint.route.lifetime((identity.until, identity.claims.as_ref()), &exchange.headers);
                let answered = Box::pin(self.get(exchange, &endpoint, (&live, &hop, identity))).await;
                let answered = answered.unwrap_or_else(|error| refuse_call(&error, None, Era::Legacy));
                protected::ended_in_time(answered, lifetime)
            }
            Method::DELETE => Box::pin(self.delete(exchange, &endpoint, (&hop, identity)))
                .await
                .unwrap_or_else(|error| refuse_call(&error, None, Era::Legacy)),
            _ => not_allowed(),
        }
    }

    async fn post(
        &self,
        exchange: &mut Exchange,
        endpoint: &Arc<Endpoint>,
        (live, hop, identity): (&Live, &Hop, Identity),
    ) -> Response<ReplyBody> {
        let limits = &live.plan.limits;
        let readable = checks::readable(&exchange.headers);
        if !readable.json && !readable.events {
            return refuse(Rejected {
                status: StatusCode::NOT_ACCEPTABLE,
                why: "Accept must list application/json and text/event-stream",
            });
        }
        if let Err(refused) = checks::content_type(&exchange.headers) {
            return refuse(refused);
        }
        let body = match exchange.read_body(limits.request_bytes, limits.request_timeout, &self.memory).await
        {
            Ok(body) => body,
            Err(fault) => return unread(&fault),
        };
        let headers = std::mem::take(&mut exchange.headers);
        let came = Came { uri: &exchange.uri, hop, identity: &identity };
        if is_array(&body) && headers.contains_key(&headers::SESSION_ID) {
            let claims = match session(&headers, endpoint, &identity) {
                Ok(claims) => claims,
                Err(error) => return refuse_call(&error, None, Era::Legacy),
            };
            if let Err(response) = check_revision(&headers, None) {
                return *response;
            }
            if let Some(response) = self.batch_elsewhere(&headers, &body, (endpoint, &claims), came).await {
                return response;
            }
            if claims.revision.has_batches {
                return batch::answer(headers, &body, (endpoint, claims), (readable, limits)).await;
            }
        }
        let message = match client_message(&body, endpoint.route.json_depth).await {
            Ok(message) => message,
            Err(unread) => return reject(&Reject::from(unread.fault), unread.id.as_ref()),
        };
        match inbound::era(&headers, &message) {
            Ok(Era::Modern) => self.modern(headers, message, endpoint, (readable, live, came)).await,
            Ok(Era::Legacy) => {
                let id = request_id(&message);
                let answered = self.legacy(headers, message, endpoint, (readable, live, came)).await;
                answered.unwrap_or_else(|error| refuse_call(&error, id.as_ref(), Era::Legacy))
            }
            Err(fault) => reject(&fault, request_id(&message).as_ref()),
        }
    }

    async fn modern(
        &self,
        headers: HeaderMap,
        message: Message,
        endpoint: &Arc<Endpoint>,
        (readable, live, came): (Readable, &Live, Came<'_>),
    ) -> Response<ReplyBody> {
        if let MessageKind::Notification(_) = message.kind() {
            // The core defines none over HTTP; one that was accepted has no effect (§Sending Messages, 5).
            return empty(StatusCode::ACCEPTED);
        }
        let id = request_id(&message);
        let body = self.replica.is_some().then(|| message.bytes().clone());
        let call = match inbound::modern_http(&headers, message) {
            Ok(call) => Box::new(call),
            Err(fault) => return reject(&fault, id.as_ref()),
        };
        if endpoint.route.concerns_single(&call)
            && let Some(response) =
                self.opening_elsewhere(&headers, call.message(), endpoint, came, Era::Modern).await
        {
            return response;
        }
        // What is rare lies in a box of its own.
        if let Some(body) = body.filter(|_| call.continues() || call.kind() == Kind::Task)
            && let Some(response) =
                Box::pin(self.call_elsewhere(&headers, body, (endpoint, &call), came)).await
        {
            return response;
        }
        if !readable.events && call.method_name() == "subscriptions/listen" {
            // Its answer has no end to wait for.
            let why = "Accept must list text/event-stream for a subscription";
            let body = error_message(id.as_ref(), code::INVALID_REQUEST, why, None);
            return heads::json(StatusCode::NOT_ACCEPTABLE, body);
        }
        let delivery = Delivery {
            id: call.id().clone(),
            era: Era::Modern,
            method: call.method(),
            reads_events: readable.events,
            keep_alive: live.plan.limits.keep_alive,
            tasks: endpoint.route.world.tasks.clone(),
            recorder: None,
        };
        let caller = Caller::new(came.identity, call.client().clone(), version::newest(Era::Modern));
        let caller = Caller { mirrors: true, headers, ..caller };
        let flow = Flow::new(Arc::clone(&endpoint.route), call, caller, None, self.drain.clone());
        respond(Steps::Direct(Box::new(flow)), delivery).await
    }

    /// A stream of the legacy era: the session's notifications, or the rest of one that broke.
    async fn get(
        &self,
        exchange: &Exchange,
        endpoint: &Arc<Endpoint>,
        (live, hop, identity): (&Live, &Hop, Identity),
    ) -> Result<Response<ReplyBody>, CallError> {
        let headers = &exchange.headers;
        if !headers.contains_key(&headers::SESSION_ID) {
            return Ok(not_allowed());
        }
        if !checks::readable(headers).events {
            let why = "Accept must list text/event-stream";
            return Ok(refuse(Rejected { status: StatusCode::NOT_ACCEPTABLE, why }));
        }
        let claims = session(headers, endpoint, &identity)?;
        let last_event = last_event(headers)?;
        let came = Came { uri: &exchange.uri, hop, identity: &identity };
        if let Some(response) = self.plain_elsewhere(exchange, (endpoint, &claims), came).await {
            return Ok(response);
        }
        Ok(match Arc::clone(endpoint).read(&claims, last_event).await? {
            Some(reader) => events::read(reader, claims.revision.primes_streams, live.plan.limits.keep_alive),
            // WHATWG HTML §9.2: a client that gets this does not come back again.
            None => empty(StatusCode::NO_CONTENT),
        })
    }

    async fn legacy(
        &self,
        headers: HeaderMap,
        message: Message,
        endpoint: &Arc<Endpoint>,
        (readable, live, came): (Readable, &Live, Came<'_>),
    ) -> Result<Response<ReplyBody>, CallError> {
        let opens =
            matches!(message.kind(), MessageKind::Request(request) if &*request.method == "initialize");
        if opens && !headers.contains_key(&headers::SESSION_ID) {
            if let Some(response) =
                self.opening_elsewhere(&headers, &message, endpoint, came, Era::Legacy).await
            {
                return Ok(response);
            }
            let opened = endpoint.open(&message, came.identity, &headers).await?;
            let mut response = heads::json(StatusCode::OK, opened.answer);
            if let Ok(value) = HeaderValue::from_str(&opened.id) {
                response.headers_mut().insert(headers::SESSION_ID.clone(), value);
            }
            return Ok(response);
        }
        if !headers.contains_key(&headers::SESSION_ID)
            && let Some(pong) = pong(&message)
        {
            return Ok(heads::json(StatusCode::OK, pong));
        }
        let claims = session(&headers, endpoint, came.identity)?;
        if let Err(response) = check_revision(&headers, request_id(&message).as_ref()) {
            return Ok(*response);
        }
        if let Some(response) = self.message_elsewhere(&headers, &message, (endpoint, &claims), came).await {
            return Ok(response);
        }
        let id = request_id(&message);
        Ok(match endpoint.take(message, &claims, headers).await? {
            Disposition::Answer(bytes) => heads::json(StatusCode::OK, bytes),
            Disposition::Accepted => empty(StatusCode::ACCEPTED),
            Disposition::Call(flow, in_flight) => {
                let delivery = Delivery {
                    id: flow.id().clone(),
                    era: Era::Legacy,
                    method: flow.method(),
                    reads_events: readable.events,
                    keep_alive: live.plan.limits.keep_alive,
                    tasks: endpoint.route.world.tasks.clone(),
                    recorder: Some(Box::new(endpoint.recorder(&claims, id.into_iter().collect()))),
                };
                // A legacy client that goes away has not cancelled (2025-11-25 `basic/transports`).
                let tasks = &endpoint.route.world.tasks;
                let steps = Steps::detached(*flow, in_flight, tasks);
                respond(steps, delivery).await
            }
        })
    }

    async fn delete(
        &self,
        exchange: &Exchange,
        endpoint: &Arc<Endpoint>,
        (hop, identity): (&Hop, Identity),
    ) -> Result<Response<ReplyBody>, CallError> {
        let headers = &exchange.headers;
        if !headers.contains_key(&headers::SESSION_ID) {
            return Ok(not_allowed());
        }
        let claims = session(headers, endpoint, &identity)?;
        let came = Came { uri: &exchange.uri, hop, identity: &identity };
        if let Some(response) = self.plain_elsewhere(exchange, (endpoint, &claims), came).await {
            return Ok(response);
        }
        endpoint.end_for_client(&claims).await?;
        Ok(empty(StatusCode::OK))
    }
}

/// The answer to a `ping`, which is allowed before `initialize` (2025-11-25 `basic/lifecycle`).
fn pong(message: &Message) -> Option<Bytes> {
    match message.kind() {
        MessageKind::Request(request) if &*request.method == "ping" => {
            Some(result_message(&request.id, "{}"))
        }
        _ => None,
    }
}

/// The event after which a client wants to go on.
fn last_event(headers: &HeaderMap) -> Result<Option<&str>, CallError> {
    let mut values = headers.get_all(&headers::LAST_EVENT_ID).iter();
    let unreadable = || CallError::NotResumable { why: "there must be one, of visible ASCII".to_owned() };
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(unreadable());
    }
    let id = value.to_str().map_err(|_not_ascii| unreadable())?;
    Ok(Some(id).filter(|id| !id.is_empty()))
}

/// The session that a legacy request names.
fn session(
    headers: &HeaderMap,
    endpoint: &Endpoint,
    identity: &Identity,
) -> Result<SessionClaims, CallError> {
    let missing = || {
        CallError::Reject(Reject::NotARequest(
            "a legacy request needs the Mcp-Session-Id of an initialize, and a modern one _meta with its version",
        ))
    };
    let mut ids = headers.get_all(&headers::SESSION_ID).iter();
    let id = ids.next().and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    if ids.next().is_some() {
        return Err(CallError::NoSession);
    }
    endpoint.find(id, identity)
}

/// A revision that is named must be a legacy one that is spoken here (2025-11-25 `basic/transports`: 400).
fn check_revision(headers: &HeaderMap, id: Option<&Id>) -> Result<(), Box<Response<ReplyBody>>> {
    let Some(value) = headers.get(&headers::PROTOCOL_VERSION) else { return Ok(()) };
    let named = value.to_str().unwrap_or_default();
    if version::find(named).is_some_and(|revision| revision.era == Era::Legacy) {
        return Ok(());
    }
    let known: Vec<_> = version::names(Era::Legacy).collect();
    let text = format!("MCP-Protocol-Version {named:?} is not one of a session's: {}", known.join(", "));
    let body = error_message(id, code::INVALID_REQUEST, &text, None);
    Err(Box::new(heads::json(StatusCode::BAD_REQUEST, body)))
}

pub(crate) fn request_id(message: &Message) -> Option<Id> {
    match message.kind() {
        MessageKind::Request(request) => Some(request.id.clone()),
        _ => None,
    }
}
