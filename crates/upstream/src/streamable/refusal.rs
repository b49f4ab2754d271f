//! What a legacy server's first reply to a request is: its answer, or a refusal that any request might have met.
//!
//! A body that answers our id is the answer, whatever the HTTP status: the method ran. All else that is no success was said
//! before any method ran, or by somebody else.

use base::fault::Fault;
use bytes::Bytes;
use http::StatusCode;
use mcp::answer;
use mcp::jsonrpc::{Message, MessageKind};
use mcp::legacy::batch;
use mcp::legacy::refusal::speaks_of_session;
use mcp::reject::code;
use transport::http::client::Reply;

use super::{ERROR_BYTES, HttpWire, Session, stream};
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

/// A reply that may have been given before any method ran.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: StatusCode,
    media: Option<String>,
    /// The error that it carries, if it does.
    message: Option<Message>,
    /// Whether that error has the request's own id.
    is_ours: bool,
    speaks_of_session: bool,
}

impl Refusal {
    pub(super) fn bare(status: StatusCode, media: Option<&str>) -> Self {
        Self {
            status,
            media: media.map(str::to_owned),
            message: None,
            is_ours: false,
            speaks_of_session: false,
        }
    }

    /// Whether it can mean that the session is gone at all. A server with too much to do, one that a proxy does not reach
    /// and a redirect say nothing of sessions, unless they say so.
    pub(super) fn may_mean_loss(&self) -> bool {
        if self.speaks_of_session {
            return true;
        }
        match self.status {
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => false,
            status => !status.is_redirection() && !status.is_informational(),
        }
    }

    /// Whether there is more reason than its being a refusal: the status that the specification has for it, or its words.
    pub(super) fn is_suspect(&self) -> bool {
        self.speaks_of_session
            || (!self.is_ours && matches!(self.status, StatusCode::NOT_FOUND | StatusCode::GONE))
    }

    /// Whether it is an answer after all, by a server that knows the session: an error with the request's own id that is not what
    /// `other` was refused with.
    pub(super) fn is_answer(&self, other: &Self) -> bool {
        self.is_ours && !self.speaks_of_session && !self.came_first(other)
    }

    /// Whether it was certainly said before any method ran, if another request met with `other`. A server that failed (5xx)
    /// may have failed in the middle of the method.
    pub(super) fn came_first(&self, other: &Self) -> bool {
        let says = |refusal: &Self| {
            let message = refusal.message.as_ref()?;
            let MessageKind::Error(parts) = message.kind() else { return None };
            let view = answer::error_view(message, parts);
            Some((view.code, view.message.into_owned()))
        };
        let same = self.status == other.status && self.is_ours == other.is_ours;
        same && !self.status.is_server_error() && (!self.is_ours || says(self) == says(other))
    }

    /// Whether it is what modern servers say to legacy requests, before any method runs.
    pub(super) fn is_of_the_modern_era(&self) -> bool {
        let theirs = self.message.as_ref().and_then(|message| match message.kind() {
            MessageKind::Error(parts) => Some(parts.code),
            _ => None,
        });
        self.status == StatusCode::BAD_REQUEST && theirs == Some(code::UNSUPPORTED_VERSION)
    }

    /// Whether credentials are missing, so that another session would be refused as well.
    pub(super) fn wants_credentials(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What it means for the call where it stands: the error of the server's own, or what its status says.
    pub(crate) fn stands(self, wire: &HttpWire) -> Result<(Message, StatusCode), Failed> {
        match self.message {
            Some(message) => Ok((message, self.status)),
            None => Err(failed(wire, self.status, self.media.as_deref())),
        }
    }
}

/// What a status without a message means for a call, and says of the server.
pub(crate) fn failed(wire: &HttpWire, status: StatusCode, media: Option<&str>) -> Failed {
    let error = wire.status_fault(status, media);
    Failed { fault: Fault::of_status(status).or_else(|| error.fault()), error }
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
    match stream::find_response(wire, &mut reply, id).await {
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
