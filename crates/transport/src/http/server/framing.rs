//! How a request's body is delimited.

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Response, StatusCode};

use crate::http::body::ReplyBody;

/// The refusal of a body in a transfer coding that nobody here understands (RFC 9112 §6.1): who read it as it is would read
/// something else than what was meant. hyper asks no more than that the last coding is `chunked`.
pub(super) fn refuse(headers: &HeaderMap) -> Option<Response<ReplyBody>> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => return None,
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => return None,
        _ => {}
    }
    let why = Bytes::from_static(b"of the transfer codings only chunked is understood here, and only once\n");
    let mut response = Response::new(ReplyBody::from(why));
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    Some(response)
}
