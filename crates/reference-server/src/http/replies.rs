//! HTTP responses.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use mcp::{answer, sse};
use transport::http::body::ReplyBody;

/// After how long a stream on which nothing happens gets a comment, so that nobody in between takes it for dead.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One message.
pub(crate) fn json(status: StatusCode, message: Bytes) -> Response<ReplyBody> {
    let mut reply = Response::new(ReplyBody::from(message));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// An error that answers no request in particular.
pub(crate) fn refuse(status: StatusCode, code: i64, why: &str) -> Response<ReplyBody> {
    json(status, answer::error_message(None, code, why, None))
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Response<ReplyBody> {
    let mut reply = Response::new(ReplyBody::empty());
    *reply.status_mut() = status;
    reply
}

/// A notification or a response was taken.
pub(crate) fn accepted() -> Response<ReplyBody> {
    empty(StatusCode::ACCEPTED)
}

/// The wrong HTTP method.
pub(crate) fn not_allowed(allowed: &'static str) -> Response<ReplyBody> {
    let mut reply = empty(StatusCode::METHOD_NOT_ALLOWED);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// An event stream.
pub(crate) fn events(stream: impl Stream<Item = Bytes> + Send + 'static) -> Response<ReplyBody> {
    let mut reply = Response::new(ReplyBody::Stream(Box::pin(stream)));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect a response before they pass it on leave this one alone.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    reply
}

/// A comment, which means nothing.
pub(crate) fn comment() -> Bytes {
    let mut out = BytesMut::new();
    sse::write_comment(&mut out);
    out.freeze()
}
