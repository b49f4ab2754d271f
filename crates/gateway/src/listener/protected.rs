//! What is said at an endpoint that knows its callers to whom it refuses, and of itself.

use std::sync::Arc;

use auth::{Connection, Identity, Peer, Refusal, Why};
use base::error::CallError;
use base::reply;
use base::sink::Event;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use identity::{Identifier, Lifetime};
use mcp::version::Era;
use transport::http::body::ReplyBody;
use transport::http::server::Exchange;
use transport::net::Address;

use super::heads::{self, Needed};
use crate::live::Live;
use crate::route::Route;

/// Where clients look for an authorization server (RFC 8414 §3); those of 2025-03-26 do so at the origin of the endpoint
/// (2025-03-26 `basic/authorization` §Server Metadata Discovery).
const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";

/// The metadata of a protected resource of this listener, or of its issuer, if they are asked for: open to all (RFC 9728
/// §3.1), and to every page that may use the listener.
pub(super) async fn metadata(
    live: &Live,
    listener: &str,
    (method, path): (&Method, &str),
) -> Option<Response<ReplyBody>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    if path != AUTHORIZATION_SERVER {
        return live.metadata_at(listener, path).map(open_to_all);
    }
    let said = live.issuer_of(listener)?.metadata().await;
    Some(said.as_deref().map_or_else(unknown_issuer, open_to_all))
}

fn unknown_issuer() -> Response<ReplyBody> {
    let why = "what the authorization server says of itself cannot be fetched now; try again\n";
    let mut response = heads::text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn open_to_all(document: &str) -> Response<ReplyBody> {
    let mut response = heads::json(StatusCode::OK, Bytes::copy_from_slice(document.as_bytes()));
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

/// What a connection says of who has made it.
pub(super) fn connection(exchange: &Exchange) -> Connection<'_> {
    let certificate = exchange.certificate.as_deref();
    Connection {
        peer: match &exchange.peer {
            Address::Tcp(host, _) => Peer::Host(host),
            Address::Unix(_) => Peer::Unix,
        },
        chain: certificate.map_or(&[], |presented| &presented.chain),
        thumbprint: certificate.map(|presented| &presented.thumbprint),
    }
}

/// The same with where the connection comes from, where somebody decides by that.
pub(super) fn with_address(route: &Route, identity: Identity, peer: &Address) -> Identity {
    if !route.gate.decides() && route.world.sinks.examines().is_none() {
        return identity;
    }
    let address = match peer {
        Address::Tcp(host, _) => host.parse().ok(),
        Address::Unix(_) => None,
    };
    Identity { address, ..identity }
}

/// What is answered to whom the gate does not let in, at the path of the route's HTTP+SSE streams or at its own.
pub(super) fn refuse(route: &Route, refusal: Refusal, at_sse: bool) -> Response<ReplyBody> {
    let challenge = route.identifier.as_ref().and_then(|identifier| identifier.challenge(&refusal, at_sse));
    let nonce = match &refusal {
        Refusal::Unauthenticated(Why::Nonce(nonce)) => HeaderValue::from_str(nonce).ok(),
        _ => None,
    };
    let error = CallError::Refused(refusal);
    if route.world.sinks.examines().is_some() {
        let members = vec![
            ("route", route.name.clone()),
            ("outcome", reply::wire_for(&error, Era::Modern).label.to_owned()),
            ("why", error.to_string()),
        ];
        route.world.sinks.note(&Event { kind: "login", members });
    }
    if let Some(resource) = route.identifier.as_ref().map(|identifier| identifier.plan()) {
        route.world.metrics.refused(&resource.route, reply::wire_for(&error, Era::Modern).label);
    }
    let mut response = heads::refuse_call(&error, None, Era::Modern);
    let headers = response.headers_mut();
    headers.extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
    if let Some(nonce) = nonce {
        headers.insert("dpop-nonce", nonce);
    }
    response
}

/// Whether whom another replica has let in may be let in here: its configuration may be another one for a while.
pub(super) fn held_against(route: &Route, identity: &Identity) -> Result<(), Refusal> {
    let stands = |identifier: &Arc<Identifier>| identifier.stands_by(identity, route.world.clock.now());
    match &route.identifier {
        Some(identifier) if !stands(identifier) => Err(Refusal::Unauthenticated(Why::NoToken)),
        _ => Ok(()),
    }
}

/// A stream ends when the credentials end that opened it, and its client comes back with others.
pub(super) fn ended_in_time(
    response: Response<ReplyBody>,
    lifetime: Option<Lifetime>,
) -> Response<ReplyBody> {
    let Some(mut lifetime) = lifetime else { return response };
    response.map(|body| match body {
        ReplyBody::Stream(chunks) => {
            ReplyBody::Stream(Box::pin(chunks.take_until(Box::pin(async move { lifetime.over().await }))))
        }
        whole @ ReplyBody::Whole(_) => whole,
    })
}

/// Tells a client that was let in, and whose token is not enough for a call, what it needs.
pub(super) fn tell_scopes(identifier: Option<&Arc<Identifier>>, response: &mut Response<ReplyBody>) {
    let Some(identifier) = identifier else { return };
    if let Some(Needed(scopes)) = response.extensions_mut().remove::<Needed>()
        && let Some(challenge) = identifier.challenge(&Refusal::Scopes(scopes), false)
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
}
