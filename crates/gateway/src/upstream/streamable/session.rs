//! A session with a legacy server: opened by `initialize`, ended by DELETE. Source: MCP 2025-11-25 `basic/transports`.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use mcp::jsonrpc::{Id, MessageKind};
use mcp::legacy::initialize::{self, Opened};
use mcp::meta::LogLevel;
use mcp::version::{self, Era};
use mcp::{answer, headers};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::strays::Strays;
use super::{HttpStream, HttpWire, lasting, legacy_headers};
use crate::reply::CallError;
use crate::upstream::link::{Link, Transport, Whose};
use crate::upstream::pipe::lock;

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) link: Link,
    id: Option<HeaderValue>,
    lost: CancellationToken,
    level: Mutex<Option<LogLevel>>,
    /// Held while the server is told a level: two that overtake each other would leave the higher one.
    telling: tokio::sync::Mutex<()>,
    pub(super) strays: Strays,
    /// Whose it is, and what the server was told that its client can be asked.
    pub(crate) whose: Whose,
    /// Whether other replicas can go on with it.
    lasts: bool,
}

impl Session {
    /// The headers of a message in this session.
    pub(crate) fn headers(&self) -> HeaderMap {
        legacy_headers(self.link.revision, self.id.as_ref())
    }

    /// Whether the server gave it an id, so that a 404 can mean that the session is gone.
    pub(crate) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    pub(super) fn is_called(&self, id: &HeaderValue) -> bool {
        self.id.as_ref() == Some(id)
    }

    pub(super) fn lasts(&self) -> bool {
        self.lasts
    }

    pub(super) fn lose(&self) {
        self.lost.cancel();
    }

    /// Answers a request of the server.
    pub(crate) fn reply(self: &Arc<Self>, wire: &Arc<HttpWire>, body: Bytes) {
        let (session, wire) = (Arc::clone(self), Arc::clone(wire));
        wire.shared.world.tasks.clone().spawn(async move {
            let answered = timeout(ANSWERING, wire.post(session.headers(), body)).await;
            let why = match answered {
                Ok(Ok(reply)) if reply.status().is_success() => return,
                Ok(Ok(reply)) => {
                    if reply.status() == StatusCode::NOT_FOUND && session.has_id() {
                        wire.lost(&session);
                    }
                    format!("HTTP {}", reply.status().as_u16())
                }
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => format!("it took nothing within {ANSWERING:?}"),
            };
            tracing::warn!(upstream = wire.shared.plan.name, "could not answer the server's request: {why}");
        });
    }

    /// Opens the session's stream of notifications; none from a server that has no such stream (405).
    pub(crate) async fn overhear(
        self: &Arc<Self>,
        wire: &Arc<HttpWire>,
    ) -> Result<Option<HttpStream>, CallError> {
        let reply = wire.plain(Method::GET, self.headers()).await?;
        let (status, media) = (reply.status(), reply.media_type());
        if status == StatusCode::NOT_FOUND && self.has_id() {
            wire.lost(self);
        }
        if !status.is_success() || media.as_deref() != Some("text/event-stream") {
            return match status {
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(None),
                _ => Err(wire.status_fault(status, media.as_deref())),
            };
        }
        Ok(Some(HttpStream::overheard(Arc::clone(wire), reply, Arc::clone(self))))
    }

    /// Makes the server log from `level` on. A session's level is one for all its calls, so it is only ever lowered,
    /// and each call's messages are filtered on their way out.
    pub(crate) async fn lower_level(&self, wire: &HttpWire, level: LogLevel) -> Result<(), CallError> {
        let is_low = || lock(&self.level).is_some_and(|current| current <= level);
        if !self.link.discovered.capabilities.logging || is_low() {
            return Ok(());
        }
        let _telling = self.telling.lock().await;
        if is_low() {
            return Ok(());
        }
        let id = wire.shared.next_id();
        let params = format!(r#"{{"level":"{level}"}}"#);
        let body = answer::request_message(&Id::number(id), "logging/setLevel", Some(&params));
        let mut reply = wire.post(self.headers(), body).await?;
        if reply.status().is_success() {
            wire.read_response(&mut reply, id).await?;
            *lock(&self.level) = Some(level);
        }
        Ok(())
    }
}

/// What became of opening a session.
pub(super) enum Opening {
    /// It is open.
    Done(Box<Session>),
    /// Refused with a status that servers of the older transport, HTTP+SSE, answer to a POST at the URL of their stream.
    Refused(CallError),
}

/// Opens a session.
pub(super) async fn open(wire: &Arc<HttpWire>, whose: &Whose) -> Result<Opening, CallError> {
    let name = &wire.shared.plan.name;
    let id = wire.shared.next_id();
    let params =
        initialize::params(version::newest(Era::Legacy), &whose.declared, &wire.shared.world.identity);
    let body = answer::request_message(&Id::number(id), "initialize", Some(&params));
    let mut reply = wire.post(HeaderMap::new(), body).await?;
    let (status, media) = (reply.status(), reply.media_type());
    let session_id = reply.headers().get(&headers::SESSION_ID).cloned();
    let message = match wire.read_response(&mut reply, id).await {
        Ok(message) => message,
        Err(_) if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
            return Ok(Opening::Refused(wire.invalid(&format!(
                "HTTP {} to both server/discover and initialize: not an MCP endpoint",
                status.as_u16()
            ))));
        }
        Err(_) if status == StatusCode::BAD_REQUEST => {
            return Ok(Opening::Refused(wire.status_fault(status, media.as_deref())));
        }
        Err(_) if !status.is_success() => return Err(wire.status_fault(status, media.as_deref())),
        Err(error) => return Err(error),
    };
    if let MessageKind::Error(parts) = message.kind() {
        let view = answer::error_view(&message, parts);
        let error =
            wire.invalid(&format!("it answers initialize with error {}: {}", view.code, view.message));
        return if refuses_posts(status) { Ok(Opening::Refused(error)) } else { Err(error) };
    }
    let opened = Opened::read(&message).map_err(|fault| CallError::invalid(name, &fault))?;
    let link = Link {
        revision: opened.revision,
        discovered: Arc::new(opened.discovered),
        transport: Transport::StreamableHttp,
    };
    let lasts = match &session_id {
        Some(id) => lasting::remember(wire, whose, id, &message).await,
        None => false,
    };
    let session = made(link, session_id, whose, lasts);
    let initialized = answer::notification_message("notifications/initialized", None);
    wire.post(session.headers(), initialized).await?;
    wire.shared.world.metrics.session_opened(name);
    tracing::debug!(upstream = name, revision = opened.revision.name, "opened a session");
    Ok(Opening::Done(Box::new(session)))
}

fn made(link: Link, id: Option<HeaderValue>, whose: &Whose, lasts: bool) -> Session {
    Session {
        link,
        id,
        lost: CancellationToken::new(),
        level: Mutex::default(),
        telling: tokio::sync::Mutex::default(),
        strays: Strays::default(),
        whose: whose.clone(),
        lasts,
    }
}

/// The session that another replica has opened for the same client, and that is gone.
pub(super) async fn resume(wire: &HttpWire, whose: &Whose) -> Result<Option<Session>, CallError> {
    let Some((id, answer)) = lasting::recall(wire, whose).await? else { return Ok(None) };
    let Ok(opened) = Opened::read(&answer) else { return Ok(None) };
    let link = Link {
        revision: opened.revision,
        discovered: Arc::new(opened.discovered),
        transport: Transport::StreamableHttp,
    };
    tracing::info!(
        upstream = wire.shared.plan.name,
        "goes on with a session that another replica has opened"
    );
    Ok(Some(made(link, Some(id), whose, true)))
}

/// MCP 2025-11-25 `basic/transports` §Backwards Compatibility.
fn refuses_posts(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

/// How long a server may take to take an answer.
const ANSWERING: Duration = Duration::from_secs(30);
/// The first pause before a session's stream that ended is opened again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a server may take to open a session's stream before calls do not wait for it any more.
const STREAM_OPENS: Duration = Duration::from_secs(1);

/// Listens to a session's own stream as long as the session lasts: a server whose tools do not know which request they
/// serve asks there. Returns once it listens, because what such a server asks before is lost.
pub(super) async fn listen(wire: &Arc<HttpWire>, session: &Arc<Session>) {
    let within = STREAM_OPENS.min(wire.shared.plan.deadlines.connect / 2);
    let (opening, opened) = oneshot::channel::<()>();
    let (wire, session) = (Arc::clone(wire), Arc::clone(session));
    let tasks = wire.shared.world.tasks.clone();
    tasks.spawn(async move {
        let listening = async {
            let mut pause = FIRST_PAUSE;
            let mut opening = Some(opening);
            loop {
                let stream = session.overhear(&wire).await;
                drop(opening.take());
                match stream {
                    // It has no such stream.
                    Ok(None) => return,
                    Ok(Some(mut stream)) => {
                        let began = Instant::now();
                        while stream.next().await.is_ok() {}
                        if began.elapsed() >= LONGEST_PAUSE {
                            pause = FIRST_PAUSE;
                        }
                    }
                    Err(error) => tracing::debug!(%error, "cannot listen to a session"),
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        tokio::select! {
            () = listening => {}
            () = session.lost.cancelled() => {}
        }
    });
    // It ends when the other end is dropped, whatever came of it.
    drop(timeout(within, opened).await);
}

/// Tells the server that a session is over; it may not care.
pub(super) async fn end(wire: &HttpWire, session: &Session) {
    session.lose();
    if session.id.is_none() {
        return;
    }
    if let Err(error) = wire.plain(Method::DELETE, session.headers()).await {
        tracing::debug!(upstream = wire.shared.plan.name, %error, "could not end a session");
    }
}

/// The same for a session that another replica has opened.
pub(super) async fn end_recalled(wire: &HttpWire, id: &HeaderValue, answer: &mcp::jsonrpc::Message) {
    let Ok(opened) = Opened::read(answer) else { return };
    if let Err(error) = wire.plain(Method::DELETE, legacy_headers(opened.revision, Some(id))).await {
        tracing::debug!(upstream = wire.shared.plan.name, %error, "could not end a session");
    }
}
