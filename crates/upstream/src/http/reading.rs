//! Reading a legacy server's first reply to a request, up to where it can be told what it is.
//!
//! A body that answers our id is the answer, whatever the HTTP status: the method ran. All else that is no success was said
//! before any method ran, or by somebody else.

use bytes::Bytes;
use http::StatusCode;
use mcp::answer;
use mcp::jsonrpc::{Message, MessageKind};
use mcp::legacy::batch;
use mcp::legacy::refusal::speaks_of_session;
use transport::http::client::Reply;

use super::refusal::{Refusal, failed};
use super::session::Session;
use super::{ERROR_BYTES, HttpWire, find};
use crate::failed::Failed;

/// What is said of a body without a type that is no message.
pub(crate) const NO_TYPE: &str = "no Content-Type, and a body that is no JSON-RPC message";

/// What a first reply is.
pub(crate) enum Reading {
    /// A stream.
    Stream(Reply),
    /// The response, with whatever status.
    Response(Message, StatusCode),
    /// No more than that the request was taken: its response comes on the session's own stream.
    Taken,
    /// A refusal.
    Refused(Box<Refusal>),
}

/// Reads the first reply to the request `id`, up to where it can be told what it is.
pub(crate) async fn read(
    wire: &HttpWire,
    session: &Session,
    mut reply: Reply,
    id: u64,
) -> Result<Reading, Failed> {
    let (status, media) = (reply.status(), reply.media_type());
    let media = media.as_deref();
    match media {
        Some("text/event-stream") if status.is_success() => return Ok(Reading::Stream(reply)),
        Some("text/event-stream") => return Box::pin(read_stream(wire, reply, id)).await,
        Some("application/json") | None => {}
        Some(_) if !status.is_success() => {}
        Some(_) => return Err(failed(wire, status, media)),
    }
    let limit = if status.is_success() { wire.shared.plan.message_bytes } else { ERROR_BYTES };
    let body = match reply.whole(limit, &wire.shared.share).await {
        Ok(body) => body,
        Err(fault) if status.is_success() => return Err(wire.fault(fault).into()),
        Err(_) => return Ok(Reading::Refused(Box::new(Refusal::bare(status, media)))),
    };
    if status.is_success() && body.is_empty() {
        return Ok(Reading::Taken);
    }
    let most_depth = wire.shared.plan.json_depth;
    let message = if session.link.revision.has_batches && batch::is_array(&body) {
        // Nothing else has a place in one whole body.
        response_in(&body, most_depth).map_err(|why| wire.invalid(&why))
    } else {
        Message::of_server(body.clone(), most_depth).map_err(|fault| wire.invalid(&fault.to_string()))
    };
    match message {
        Ok(message) => classify(wire, message, (status, media), id),
        Err(_) if status.is_success() && media.is_none() => Err(failed(wire, status, Some(NO_TYPE))),
        Err(error) if status.is_success() => Err(error.into()),
        Err(_) => {
            let speaks_of_session = speaks_of_session(&String::from_utf8_lossy(&body));
            let refusal = Refusal { speaks_of_session, ..Refusal::bare(status, media) };
            Ok(Reading::Refused(Box::new(refusal)))
        }
    }
}

/// The first response in an array, or why there is none.
fn response_in(body: &Bytes, most_depth: usize) -> Result<Message, String> {
    let members = batch::split(body).map_err(|fault| fault.to_string())?;
    let mut why = None;
    for member in members {
        match Message::of_server(member, most_depth) {
            Ok(message) if message.is_response() => return Ok(message),
            Ok(_) => {}
            // Perhaps it was meant to be one.
            Err(fault) => {
                why.get_or_insert(fault);
            }
        }
    }
    Err(why.map_or_else(|| "it answers with a batch without a response".to_owned(), |why| why.to_string()))
}

/// Reads a stream up to the response to `id`; one that ends without is a refusal.
pub(super) async fn read_stream(wire: &HttpWire, mut reply: Reply, id: u64) -> Result<Reading, Failed> {
    let (status, media) = (reply.status(), Some("text/event-stream"));
    match find::find_response(wire, &mut reply, id).await {
        Ok(message) => classify(wire, message, (status, media), id),
        Err(_) => Ok(Reading::Refused(Box::new(Refusal::bare(status, media)))),
    }
}

/// Whether a message is the response to `id`.
fn classify(
    wire: &HttpWire,
    message: Message,
    (status, media): (StatusCode, Option<&str>),
    id: u64,
) -> Result<Reading, Failed> {
    let is_ours = message.response_id().is_some_and(|theirs| theirs.as_number() == Some(id));
    // We give numbers only, so any other id answers nobody: some servers put one where they could not read ours.
    let is_nobodys = message.response_id().is_none_or(|theirs| theirs.as_number().is_none());
    let says = match message.kind() {
        MessageKind::Error(parts) => Some(answer::error_view(&message, parts).message.into_owned()),
        MessageKind::Result(_) if is_ours => return Ok(Reading::Response(message, status)),
        _ => None,
    };
    let speaks_of_session = says.as_deref().is_some_and(speaks_of_session);
    let refusal = |message| Refusal { message, is_ours, speaks_of_session, ..Refusal::bare(status, media) };
    match says {
        Some(_) if is_ours && !speaks_of_session && !status.is_client_error() => {
            Ok(Reading::Response(message, status))
        }
        Some(_) if is_ours || is_nobodys => Ok(Reading::Refused(Box::new(refusal(Some(message))))),
        _ if !status.is_success() => Ok(Reading::Refused(Box::new(refusal(None)))),
        _ => Err(match message.response_id() {
            Some(came) => wire.shared.strange_id(came.raw(), Some(id)).into(),
            None => wire.invalid("it answers with a message that is no response").into(),
        }),
    }
}
