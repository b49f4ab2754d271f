//! A session with a legacy server: opened by `initialize` (`opening`), ended by DELETE (`ending`). Source: MCP 2025-11-25
//! `basic/transports`.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use base::error::CallError;
use base::sync::lock;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use mcp::answer;
use mcp::jsonrpc::Id;
use mcp::meta::LogLevel;
use mcp::version::Era;
use tokio::time::{Duration, Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::get_stream::GetStream;
use super::refusal::Refusal;
use super::session_router::SessionRouter;
use super::{HttpWire, legacy_headers};
use crate::ask::ReplyTo;
use crate::link::{Link, Whose};

/// How long a server may take to take what it is told, an answer for one.
pub(super) const TELLING: Duration = Duration::from_secs(30);

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) link: Link,
    pub(super) id: Option<HeaderValue>,
    lost: CancellationToken,
    level: Mutex<Option<LogLevel>>,
    /// Held while the server is told a level: two that overtake each other would leave the higher one.
    telling: tokio::sync::Mutex<()>,
    pub(super) router: Arc<SessionRouter>,
    pub(super) get_stream: Arc<GetStream>,
    pub(super) opened_at: Instant,
    /// Held while somebody finds out whether it is lost.
    pub(super) judging: tokio::sync::Mutex<()>,
    /// How often that was done.
    pub(super) controls: AtomicU64,
    /// When it was last seen to live, or not known to be lost: the number of that time, and what was refused then.
    pub(super) alive: Mutex<Option<(u64, Refusal)>>,
    /// How the server refused what does nothing in it, by which it was known to be lost.
    pub(super) denied: Mutex<Option<Refusal>>,
    /// Whose it is, and what the server was told that its client can be asked.
    pub(crate) whose: Whose,
    /// Whether other replicas can go on with it.
    lasts: bool,
}

/// Where a server that asked in a session is answered.
#[derive(Debug)]
pub(super) struct InSession(pub(super) Arc<HttpWire>, pub(super) Arc<Session>);

impl ReplyTo for InSession {
    fn reply(&self, body: Bytes) {
        self.1.reply(&self.0, body);
    }
}

impl Session {
    /// One that was opened, or is gone on with.
    pub(super) fn new(link: Link, id: Option<HeaderValue>, whose: &Whose, lasts: bool) -> Self {
        Self {
            link,
            id,
            lost: CancellationToken::new(),
            level: Mutex::default(),
            telling: tokio::sync::Mutex::default(),
            router: Arc::default(),
            get_stream: Arc::new(GetStream::new()),
            opened_at: Instant::now(),
            judging: tokio::sync::Mutex::default(),
            controls: AtomicU64::new(0),
            alive: Mutex::default(),
            denied: Mutex::default(),
            // Where there is one era for all, clients of both share it.
            whose: whose.in_era(Era::Legacy),
            lasts,
        }
    }

    /// The headers of a message in this session.
    pub(crate) fn headers(&self) -> HeaderMap {
        legacy_headers(self.link.revision, self.id.as_ref())
    }

    /// What the server calls it, if that is a text.
    pub(crate) fn named(&self) -> Option<&str> {
        self.id.as_ref()?.to_str().ok()
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

    /// Becomes ready when it is lost, or ended.
    pub(super) async fn gone(&self) {
        self.lost.cancelled().await;
    }

    /// Answers a request of the server.
    pub(crate) fn reply(self: &Arc<Self>, wire: &Arc<HttpWire>, body: Bytes) {
        let (session, wire) = (Arc::clone(self), Arc::clone(wire));
        wire.shared.world.tasks.clone().spawn(async move {
            let answered = timeout(TELLING, wire.post(session.headers(), body)).await;
            let why = match answered {
                Ok(Ok(reply)) if reply.status().is_success() => return,
                Ok(Ok(reply)) => {
                    let status = reply.status();
                    drop(reply);
                    wire.doubt(&session, Refusal::bare(status, None)).await;
                    format!("HTTP {}", status.as_u16())
                }
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => format!("it took nothing within {TELLING:?}"),
            };
            tracing::warn!(upstream = wire.shared.plan.name, "could not answer the server's request: {why}");
        });
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
            match wire.read_response(&mut reply, id).await {
                // What it says to that is nothing that a call needs.
                Ok(_) | Err(CallError::InvalidAnswer { .. }) => {}
                Err(error) => return Err(error),
            }
            *lock(&self.level) = Some(level);
        }
        Ok(())
    }
}
