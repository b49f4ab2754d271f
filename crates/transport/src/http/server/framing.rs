//! What of a request's head is refused whoever answers it.

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Response, StatusCode};

use crate::http::body::ReplyBody;

/// The refusal of a body in a transfer coding that nobody here understands (RFC 9112 §6.1): who read it as it is would read
/// something else than what was meant. hyper asks no more than that the last coding is `chunked`.
pub(super) fn refuse_coding(headers: &HeaderMap) -> Option<Response<ReplyBody>> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => return None,
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => return None,
        _ => {}
    }
    let why = "of the transfer codings only chunked is understood here, and only once\n";
    Some(refusal(StatusCode::NOT_IMPLEMENTED, why.to_owned()))
}

/// The refusal of more headers than there may be.
pub(super) fn refuse_many(headers: &HeaderMap, most: usize) -> Option<Response<ReplyBody>> {
    let why = || format!("no more than {most} headers are taken (limits.header_count)\n");
    (headers.len() > most).then(|| refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why()))
}

fn refusal(status: StatusCode, why: String) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(Bytes::from(why)));
    *response.status_mut() = status;
    response
}
