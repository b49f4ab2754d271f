//! A legacy server's refusal of a request, which any request might have met: what it may mean, and whether it was said before
//! any method ran.

use base::fault::Fault;
use http::StatusCode;
use mcp::answer;
use mcp::jsonrpc::{Message, MessageKind};
use mcp::reject::code;

use super::HttpWire;
use crate::failed::Failed;

/// A reply that may have been given before any method ran.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) media: Option<String>,
    /// The error that it carries, if it does.
    pub(super) message: Option<Message>,
    /// Whether that error has the request's own id.
    pub(super) is_ours: bool,
    pub(super) speaks_of_session: bool,
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
