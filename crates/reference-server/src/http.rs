//! The HTTP door: who may come in, and which era's shell they are led to.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use mcp::headers::{self, PROTOCOL_VERSION, SESSION_ID};
use mcp::inbound;
use mcp::json::Object;
use mcp::jsonrpc::{EnvelopeFault, Message, MessageKind};
use mcp::reject::{Reject, code};
use mcp::version::{self, Era};
use transport::http::body::ReplyBody;
use transport::http::server::places::Places;
use transport::http::server::{Exchange, ServerLimits, Service};
use transport::memory::Memory;
use transport::net::{Accept, Address};
use transport::workers::Workers;

use crate::answer::Refusal;
use crate::server::Server;
use crate::{Eras, legacy, modern};

pub(crate) mod replies;

/// The endpoint's path.
pub(crate) const PATH: &str = "/mcp";

const BODY_LIMIT: usize = 16 * 1024 * 1024;
const BODY_TIME: Duration = Duration::from_secs(30);

/// Serves until the server is drained; dropped before that, it cancels everything.
pub(crate) async fn serve(server: Arc<Server>, listener: Box<dyn Accept>) {
    let _all_ends = server.stop.clone().drop_guard();
    let limits = ServerLimits::default();
    let door = transport::http::server::Server {
        listener,
        tls: None,
        places: Places::new("reference", limits.connections),
        limits,
        workers: Workers::default(),
        memory: Memory::default(),
        service: Arc::new(Door(Arc::clone(&server))),
    };
    door.run(server.drain.clone()).await;
    server.tracker.close();
    server.tracker.wait().await;
}

struct Door(Arc<Server>);

impl Service for Door {
    async fn answer(&self, exchange: &mut Exchange) -> Response<ReplyBody> {
        if !is_local(exchange) {
            let why = "Host and Origin must name this machine";
            return replies::refuse(StatusCode::FORBIDDEN, code::INVALID_REQUEST, why);
        }
        if exchange.uri.path() != PATH {
            return replies::empty(StatusCode::NOT_FOUND);
        }
        match exchange.method {
            Method::POST => self.post(exchange).await,
            Method::GET | Method::DELETE if !self.is_legacy(&exchange.headers) => {
                replies::not_allowed("POST")
            }
            Method::GET if !accepts(&exchange.headers, "text/event-stream") => {
                let why = "Not Acceptable: the client must accept text/event-stream";
                replies::refuse(StatusCode::NOT_ACCEPTABLE, code::INVALID_REQUEST, why)
            }
            Method::GET => legacy::http::get(&self.0, &exchange.headers),
            Method::DELETE => legacy::http::delete(&self.0, &exchange.headers),
            _ if self.0.settings.eras == Eras::Modern => replies::not_allowed("POST"),
            _ => replies::not_allowed("GET, POST, DELETE"),
        }
    }
}

impl Door {
    /// Whether a request without a body belongs to the legacy era: only that has any, but a client that names another
    /// revision does not know that.
    fn is_legacy(&self, headers: &HeaderMap) -> bool {
        let version = headers::only(headers, &PROTOCOL_VERSION).ok().flatten();
        let modern = version.is_some_and(|name| version::find(&name).is_none_or(|r| r.era == Era::Modern));
        match self.0.settings.eras {
            Eras::Modern => false,
            Eras::Legacy => true,
            Eras::Both => !modern || headers.contains_key(&SESSION_ID),
        }
    }

    async fn post(&self, exchange: &mut Exchange) -> Response<ReplyBody> {
        if media_type(&exchange.headers) != Some("application/json") {
            let why = "Unsupported Media Type: Content-Type must be application/json";
            return replies::refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::INVALID_REQUEST, why);
        }
        if !["application/json", "text/event-stream"].into_iter().all(|it| accepts(&exchange.headers, it)) {
            let why = "Not Acceptable: the client must accept both application/json and text/event-stream";
            return replies::refuse(StatusCode::NOT_ACCEPTABLE, code::INVALID_REQUEST, why);
        }
        let body = match exchange.read_body(BODY_LIMIT, BODY_TIME, &Memory::default()).await {
            Ok(body) => body,
            Err(fault) => return replies::refuse(fault.status(), code::INVALID_REQUEST, &fault.to_string()),
        };
        self.route(std::mem::take(&mut exchange.headers), body).await
    }

    /// Leads a message to its era's shell; where that is not spoken, to the other, which refuses it.
    async fn route(&self, headers: HeaderMap, body: Bytes) -> Response<ReplyBody> {
        let (server, eras) = (&self.0, self.0.settings.eras);
        let message = match Message::parse(body.clone()) {
            Ok(message) => message,
            Err(EnvelopeFault::Batch) if eras.include(Era::Legacy) && headers.contains_key(&SESSION_ID) => {
                return legacy::http::post_batch(
                    server,
                    &headers,
                    std::str::from_utf8(&body).unwrap_or("[]"),
                );
            }
            Err(fault) => {
                let reject = Reject::Envelope(fault);
                return replies::refuse(reject.status(), reject.code(), &reject.to_string());
            }
        };
        if matches!(message.kind(), MessageKind::Request(_)) {
            server.world.requests.fetch_add(1, Ordering::Relaxed);
        }
        let era = match eras {
            Eras::Both => inbound::era(&headers, &message),
            Eras::Modern => Ok(Era::Modern),
            Eras::Legacy => Ok(Era::Legacy),
        };
        match era {
            Ok(Era::Legacy) => legacy::http::post(server, headers, message).await,
            Ok(Era::Modern) => match handshake(&message) {
                Some(refusal) if !eras.include(Era::Legacy) => {
                    let id = inbound::request_of(&message).ok().map(|request| request.id);
                    let (status, body) = refusal.response(id.as_ref(), Era::Modern);
                    replies::json(status, body)
                }
                _ => modern::post(server, headers, message).await,
            },
            Err(reject) => {
                let id = inbound::request_of(&message).ok().map(|request| request.id);
                let (status, body) = Refusal::Rule(reject).response(id.as_ref(), Era::Modern);
                replies::json(status, body)
            }
        }
    }
}

/// The refusal of an `initialize` of the legacy era, which names the revisions that are spoken: it is the only thing
/// that a legacy client shows (MCP 2026-07-28 `basic/versioning` §Modern-only servers).
pub(crate) fn handshake(message: &Message) -> Option<Refusal> {
    let MessageKind::Request(request) = message.kind() else { return None };
    if &*request.method != "initialize" || inbound::claims_modern(message) {
        return None;
    }
    let params = message.params().and_then(|params| Object::parse(params).ok());
    let requested = params.and_then(|params| params.string("protocolVersion").ok().flatten());
    Some(Refusal::NoHandshake(requested.unwrap_or_default().into_owned()))
}

/// Whether a request was meant for this machine, and does not come from another's web page: that is how a browser is
/// made to reach into a local network (MCP 2026-07-28 `streamable-http` §Security Warning).
fn is_local(exchange: &Exchange) -> bool {
    let host = match exchange.headers.get(HOST) {
        Some(host) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        // HTTP/2 has it in the target.
        None => exchange.uri.authority().cloned(),
    };
    let origins = exchange.headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        origin.as_ref().and_then(Uri::authority).is_some_and(names_this_machine)
    });
    host.as_ref().is_some_and(names_this_machine) && origins
}

fn names_this_machine(authority: &Authority) -> bool {
    let host = authority.host().trim_matches(['[', ']']);
    Address::Tcp(host.to_owned(), authority.port_u16().unwrap_or_default()).is_local()
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

/// Whether the client takes a media type; one that does not say what it takes, takes everything (RFC 9110 §12.5.1).
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let ranges = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            let group = wanted.split('/').next().unwrap_or_default();
            range == "*/*" || range.eq_ignore_ascii_case(wanted) || range == format!("{group}/*")
        })
    };
    let accept: &HeaderName = &ACCEPT;
    !headers.contains_key(accept) || headers.get_all(accept).iter().any(ranges)
}
