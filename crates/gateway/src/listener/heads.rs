//! Heads of responses, and responses that are known when there is no call, or none any more: refusals and errors.

use base::checks::Rejected;
use base::error::CallError;
use base::reply::{self, ErrorRow, rate_limited};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use mcp::answer::error_message;
use mcp::jsonrpc::Id;
use mcp::reject::{Reject, code};
use mcp::version::Era;
use transport::http::body::{Pieces, ReplyBody};
use transport::http::server::BodyFault;

/// The scopes that a refused call needs, on their way to the response's head.
#[derive(Debug, Clone)]
pub(crate) struct Needed(pub(crate) Vec<String>);

/// A JSON body.
pub(crate) fn json(status: StatusCode, body: impl Into<Pieces>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The head of a stream of server-sent events.
pub(crate) fn stream(body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Our own error as a response.
pub(crate) fn error_of(wire: &ErrorRow, id: Option<&Id>, era: Era) -> Response<ReplyBody> {
    let status = wire.status_for(era, id.is_some());
    let mut response = json(status, wire.body(id));
    if let Some(seconds) = wire.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    for (name, number) in rate_limited::HEADERS.into_iter().zip(wire.allowance) {
        response
            .headers_mut()
            .extend(number.map(|number| (HeaderName::from_static(name), HeaderValue::from(number))));
    }
    if !wire.scopes.is_empty() {
        response.extensions_mut().insert(Needed(wire.scopes.clone()));
    }
    response
}

/// What a client is told for whose connection there is no place.
pub(crate) fn full(connections: usize) -> Response<Bytes> {
    let error = CallError::Overloaded { what: "connections".to_owned(), limit: connections };
    let wire = reply::wire(&error);
    let mut response = Response::new(wire.body(None));
    *response.status_mut() = wire.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().extend(wire.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
    response
}

/// A rule that the client broke: these have a 4xx in both eras, because the message itself was refused.
pub(super) fn reject(fault: &Reject, id: Option<&Id>) -> Response<ReplyBody> {
    let wire = reply::wire(&CallError::Reject(fault.clone()));
    tracing::debug!(code = wire.code, "rejected: {}", wire.text);
    json(wire.status, wire.body(id))
}

pub(super) fn refuse_call(error: &CallError, id: Option<&Id>, era: Era) -> Response<ReplyBody> {
    let wire = reply::wire_for(error, era);
    wire.log(error, "");
    error_of(&wire, id, era)
}

pub(super) fn refuse(refused: Rejected) -> Response<ReplyBody> {
    refusal(refused.status, refused.why)
}

/// A refusal before there is a message: a JSON-RPC error without an id.
pub(super) fn refusal(status: StatusCode, why: &str) -> Response<ReplyBody> {
    tracing::debug!(status = status.as_u16(), "refused: {why}");
    json(status, error_message(None, code::INVALID_REQUEST, why, None))
}

/// A body that was not read.
pub(super) fn unread(fault: &BodyFault) -> Response<ReplyBody> {
    match fault {
        BodyFault::Full(full) => refuse_call(&CallError::from(*full), None, Era::Modern),
        _ => refusal(fault.status(), &fault.to_string()),
    }
}

pub(super) fn not_allowed() -> Response<ReplyBody> {
    let mut response = text(
        StatusCode::METHOD_NOT_ALLOWED,
        "POST a JSON-RPC message; GET and DELETE need an Mcp-Session-Id\n",
    );
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, DELETE, OPTIONS"));
    response
}

/// What a browser asks before it lets a page send.
pub(super) fn preflight(headers: &HeaderMap) -> Response<ReplyBody> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let out = response.headers_mut();
    out.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, DELETE"));
    out.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        out.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

pub(super) fn empty(status: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = status;
    response
}

pub(crate) fn text(status: StatusCode, text: &str) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
