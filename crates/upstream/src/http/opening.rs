//! How a session with a legacy server is opened: by `initialize`, or by going on with what another replica has opened.
//! Source: MCP 2025-11-25 `basic/lifecycle` §Initialization.

use std::sync::Arc;
use std::time::Duration;

use base::error::CallError;
use base::fault::Fault;
use base::plan::{EraRule, TransportRule};
use http::{HeaderValue, StatusCode};
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::legacy::initialize::{self, Opened};
use mcp::legacy::refusal;
use mcp::version::{self, Era, Revision};
use mcp::{answer, era, headers};

use super::ending::NewSession;
use super::find::{self, FirstEvent};
use super::session::Session;
use super::{HttpWire, remembered};
use crate::link::{Link, Transport, Whose};

/// What became of opening a session.
pub(super) enum Opening {
    /// It is open.
    Done(NewSession),
    /// It has answered, and opened none.
    Refused(Refused),
}

/// A session that was not opened.
pub(super) struct Refused {
    pub(super) error: CallError,
    /// Whether servers of the older transport, HTTP+SSE, answer so to a POST at the URL of their stream.
    pub(super) is_older: bool,
    /// Whether it will be refused again as far as anybody can tell.
    pub(super) lasts: bool,
}

/// Opens a session.
pub(super) async fn open(wire: &Arc<HttpWire>, whose: &Whose) -> Result<Opening, CallError> {
    wire.may_open()?;
    let name = &wire.shared.plan.name;
    let mut tried = vec![version::newest(Era::Legacy)];
    let (message, session_id) = loop {
        let revision = tried.last().copied().unwrap_or_else(|| version::newest(Era::Legacy));
        match introduce(wire, whose, revision).await? {
            Introduced::Answered(message, session_id) => break (message, session_id),
            Introduced::Refused { opening, text } => match refusal::next_revision(&tried, &text) {
                Some(next) => tried.push(next),
                None => return opening,
            },
        }
    };
    let opened = match Opened::read(&message) {
        Ok(opened) => opened,
        Err(fault) => {
            let lasts = era::refuses_sessions(StatusCode::OK, Some(&message));
            let error = CallError::invalid(name, &fault);
            return Ok(Opening::Refused(Refused { error, is_older: false, lasts }));
        }
    };
    let link = Link::new(opened.revision, Arc::new(opened.discovered), Transport::StreamableHttp);
    let lasts = match &session_id {
        Some(id) => remembered::remember(wire, whose, id, &message).await,
        None => false,
    };
    let fresh = NewSession::new(wire, Session::new(link, session_id, whose, lasts));
    let initialized = answer::notification_message("notifications/initialized", None);
    wire.post(fresh.session().headers(), initialized).await?;
    wire.shared.world.metrics.session_opened(name);
    tracing::debug!(upstream = name, revision = opened.revision.name, "opened a session");
    Ok(Opening::Done(fresh))
}

/// What came of one `initialize`.
enum Introduced {
    /// The result, and the session's id.
    Answered(Message, Option<HeaderValue>),
    /// A refusal: what it means, and what it says if it may be about the revision.
    Refused { opening: Result<Opening, CallError>, text: String },
}

/// Asks for a session in a revision.
async fn introduce(
    wire: &Arc<HttpWire>,
    whose: &Whose,
    revision: &'static Revision,
) -> Result<Introduced, CallError> {
    let id = wire.shared.next_id();
    let introduced = whose.introduced(&wire.shared.world.identity);
    let params = initialize::params(revision, &whose.declared, introduced);
    let body = answer::request_message(&Id::number(id), "initialize", Some(&params));
    let mut reply = wire.introduce(body).await?;
    let (status, media) = (reply.status(), reply.media_type());
    let session_id = reply.headers().get(&headers::SESSION_ID).cloned();
    let said = match media.as_deref() {
        Some("text/event-stream") => match find::find_first(wire, &mut reply, id).await {
            // MCP 2024-11-05 `basic/transports`: a stream that begins so is one of HTTP+SSE, which some servers give whoever
            // asks, by GET or by POST.
            Ok(FirstEvent::Endpoint) => {
                let error = wire.invalid("it answers initialize as HTTP+SSE answers a GET");
                let refused = Refused { error, is_older: true, lasts: false };
                return Ok(Introduced::Refused {
                    opening: Ok(Opening::Refused(refused)),
                    text: String::new(),
                });
            }
            Ok(FirstEvent::Response(message)) => Ok(message),
            Err(error) => Err((error, String::new())),
        },
        _ => {
            let body = wire.read_body(&mut reply).await;
            body.map_err(|error| (error, String::new())).and_then(|body| {
                let text = || String::from_utf8_lossy(&body).into_owned();
                let read = Message::of_server(body.clone(), wire.shared.plan.json_depth);
                read.map_err(|fault| (wire.invalid(&fault.to_string()), text()))
            })
        }
    };
    let message = match said {
        Ok(message) => message,
        Err((error, text)) => {
            let text = if status == StatusCode::BAD_REQUEST { text } else { String::new() };
            let opening = refused(wire, status, media.as_deref(), error);
            return Ok(Introduced::Refused { opening, text });
        }
    };
    if let MessageKind::Error(parts) = message.kind() {
        let view = answer::error_view(&message, parts);
        let error =
            wire.invalid(&format!("it answers initialize with error {}: {}", view.code, view.message));
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => wire.status_fault(status, None),
            _ => error,
        };
        let (is_older, lasts) = (refuses_posts(status), era::refuses_sessions(status, Some(&message)));
        let opening = Ok(Opening::Refused(Refused { error, is_older, lasts }));
        return Ok(Introduced::Refused { opening, text: message.at(parts.error).to_owned() });
    }
    Ok(Introduced::Answered(message, session_id))
}

/// Why nothing was opened in time. One that does not even say which era it speaks may be one that is silent to what it does not
/// know.
pub(super) fn late(wire: &HttpWire, within: Duration) -> String {
    let is_unknown = wire.shared.plan.era == EraRule::Detect
        && wire.modern.load().is_none()
        && wire.legacy_since.try_lock().is_ok_and(|since| since.is_none());
    let cure = if is_unknown {
        "; if it leaves server/discover unanswered, era = \"legacy\" asks it no more"
    } else {
        ""
    };
    format!("it did not open within {within:?} (timeouts.connect){cure}")
}

/// What to try where a refusal may come of the older transport.
fn sse_instead(wire: &HttpWire) -> &'static str {
    let is_its_path = wire.reach.destination.url().path().trim_end_matches('/').ends_with("/sse");
    if is_its_path && wire.reach.transport == TransportRule::Detect {
        "; if it speaks HTTP+SSE, transport = \"sse\" says so"
    } else {
        ""
    }
}

/// What a reply without a message means.
fn refused(
    wire: &HttpWire,
    status: StatusCode,
    media: Option<&str>,
    error: CallError,
) -> Result<Opening, CallError> {
    let error = match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => wire.invalid(&format!(
            "HTTP {} to both server/discover and initialize: not an MCP endpoint",
            status.as_u16()
        )),
        // It broke off: that is no answer.
        status if status.is_success() && !matches!(error, CallError::InvalidAnswer { .. }) => {
            return Err(error);
        }
        // With another type it is a page, or the answer to another question.
        StatusCode::OK if !matches!(media, Some("application/json" | "text/event-stream")) => {
            wire.invalid(&format!(
                "HTTP 200 with {} to initialize, and no JSON-RPC message: not an MCP endpoint; look at the path of its URL{}",
                media.unwrap_or("no Content-Type"),
                sse_instead(wire)
            ))
        }
        status if status.is_success() => error,
        // No call was sent yet.
        status => match Fault::of_status(status) {
            Some(_) => wire.shared.not_serving(status.as_u16()),
            None => wire.status_fault(status, media),
        },
    };
    // Without a message of its own it may be somebody else who says so.
    Ok(Opening::Refused(Refused { error, is_older: refuses_posts(status), lasts: false }))
}

/// The session that another replica has opened for the same client, and that is gone.
pub(super) async fn resume(wire: &HttpWire, whose: &Whose) -> Result<Option<Session>, CallError> {
    let Some((id, answer)) = remembered::recall(wire, whose).await? else { return Ok(None) };
    let Ok(opened) = Opened::read(&answer) else { return Ok(None) };
    let link = Link::new(opened.revision, Arc::new(opened.discovered), Transport::StreamableHttp);
    tracing::info!(
        upstream = wire.shared.plan.name,
        "goes on with a session that another replica has opened"
    );
    Ok(Some(Session::new(link, Some(id), whose, true)))
}

/// Whether a server of HTTP+SSE may answer a POST to its stream's URL so. MCP 2025-11-25 `basic/transports` §Backwards
/// Compatibility names 400, 404 and 405; frameworks have others for a route that they do not have, or stumble.
fn refuses_posts(status: StatusCode) -> bool {
    let others = [
        StatusCode::BAD_REQUEST,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::NOT_ACCEPTABLE,
        StatusCode::GONE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::NOT_IMPLEMENTED,
    ];
    others.contains(&status)
}
