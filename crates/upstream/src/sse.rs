//! Servers of the oldest HTTP transport, HTTP+SSE: one stream on which everything comes, and an endpoint, which the stream
//! names first, to which every message is POSTed. Source: MCP 2024-11-05 `basic/transports`.
//!
//! The stream is the session: when it ends, so do the calls on it, and the next one opens another.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::error::CallError;
use base::fault::Fault;
use base::plan::{HttpReach, SessionRule};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use mcp::legacy::endpoint;
use mcp::sse::{Decoder, Event};
use mcp::version::Era;
use tokio::sync::Semaphore;
use transport::http::client::{Destination, Jar, Reply, Site};
use transport::memory::{Held, SMALL};

mod post;

use self::post::Poster;
use crate::last_words::LastWords;
use crate::link::{Transport, Whose};
use crate::pipe::Pipe;
use crate::pipe::ends::{Ends, Incoming, Inlet};
use crate::pipe::handshake;
use crate::pipe::pool::{Begin, NewPipe, PipePool, Running, Signs, TooLate};
use crate::shared::Shared;

/// The most connections to one server.
const MOST_STREAMS: usize = 1_000;
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The connections to one server.
pub(crate) type SseWire = PipePool<Streams>;

/// Opens connections to one server.
pub(crate) struct Streams {
    to: Arc<Target>,
    places: Arc<Semaphore>,
}

/// Where a server is, and what every request to it carries.
struct Target {
    shared: Arc<Shared>,
    reach: HttpReach,
    site: Site,
}

impl Streams {
    pub(crate) fn new(shared: Arc<Shared>, reach: HttpReach, site: Site) -> Self {
        let to = Arc::new(Target { shared, reach, site });
        Self { to, places: Arc::new(Semaphore::new(MOST_STREAMS)) }
    }
}

impl Begin for Streams {
    const IS_COSTLY: bool = false;

    /// The transport is of the legacy era.
    fn era_for(_: &Shared, _: Era) -> Era {
        Era::Legacy
    }

    async fn begin(&self, shared: &Arc<Shared>, whose: &Whose, _: &Signs) -> Result<Running, CallError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_full| {
            let what = format!("connections to {}", shared.plan.name);
            CallError::Overloaded { what, limit: MOST_STREAMS }
        })?;
        // The stream is the session, and so its cookies are those of no other.
        let jar = Jar::default();
        let (inlet, endpoint) = self.to.open(&jar).await?;
        let outlet = Poster { to: Arc::clone(&self.to), endpoint, jar };
        let ends = Ends { inlet, outlet, explained_within: Duration::ZERO };
        let (pipe, run) = Pipe::open(shared, whose, (ends, LastWords::default()));
        let gone = Arc::clone(shared);
        shared.world.tasks.spawn(async move {
            run.await;
            drop(place);
            tracing::info!(upstream = gone.plan.name, "an HTTP+SSE connection ended");
        });
        let fresh = NewPipe::new(pipe, None);
        match handshake::converse_legacy(shared, fresh.pipe(), whose, Transport::Sse).await {
            Ok(link) => Ok(Running::new(fresh.keep(), link)),
            Err(CallError::BrokeOff { why, .. }) => Err(shared.not_there(*why)),
            Err(error) => Err(error),
        }
    }

    fn was_late(&self, why: TooLate) -> String {
        let (TooLate::Silent(within) | TooLate::Slow(within)) = why;
        format!("its HTTP+SSE stream did not open within {within:?} (timeouts.connect)")
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("reach", &self.to.reach).finish_non_exhaustive()
    }
}

impl Target {
    /// Opens a stream and waits for the endpoint that it names. The caller bounds the time.
    async fn open(&self, jar: &Jar) -> Result<(EventsIn, Destination), CallError> {
        let to = &self.reach.destination;
        let reply = self.send(Method::GET, (to, jar), HeaderMap::new(), Bytes::new()).await?;
        let (status, media) = (reply.status(), reply.media_type());
        if !status.is_success() || media.as_deref() != Some("text/event-stream") {
            return Err(match self.shared.status_fault(status, media.as_deref()) {
                // No call was sent yet.
                CallError::BrokeOff { why, .. } => self.shared.not_there(*why),
                other => other,
            });
        }
        let decoder = Decoder::new(self.shared.plan.message_bytes);
        let mut events =
            EventsIn { reply, decoder, ready: VecDeque::new(), held: self.shared.share.nothing() };
        loop {
            let event = events.event().await.map_err(|why| {
                self.shared.invalid(&format!("its stream named no endpoint to POST to: {why}"))
            })?;
            if event.name.as_deref() != Some("endpoint") {
                continue;
            }
            let reference = std::str::from_utf8(&event.data).unwrap_or_default();
            let endpoint = endpoint::resolve(self.reach.destination.url(), reference)
                .map_err(|fault| self.shared.invalid(&fault.to_string()))?;
            let endpoint =
                Destination::new(endpoint).map_err(|fault| self.shared.invalid(&fault.to_string()))?;
            return Ok((events, endpoint));
        }
    }

    /// POSTs a message. Whatever the body of the reply is, it is no message.
    async fn post(
        &self,
        endpoint: (&Destination, &Jar),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), PostFault> {
        let sent = self.send(Method::POST, endpoint, headers, body).await;
        let mut reply = sent.map_err(|error| PostFault {
            untold: matches!(error, CallError::BrokeOff { .. }),
            error,
            session_lost: false,
        })?;
        let (status, media) = (reply.status(), reply.media_type());
        if !status.is_success() {
            let session_lost = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
            let error = if session_lost {
                // Nothing was carried out, so what reads can be asked for in a new session.
                let why = format!("it no longer knows the session (HTTP {})", status.as_u16());
                self.shared.unreached(&why, Fault::NoConnection)
            } else {
                self.shared.status_fault(status, media.as_deref())
            };
            return Err(PostFault { error, session_lost, untold: false });
        }
        // Read to its end, so that the connection can be used again.
        drop(reply.whole(post::REPLY_BYTES, &self.shared.share).await);
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        (destination, jar): (&Destination, &Jar),
        extra: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, CallError> {
        let mut all = extra;
        if method == Method::GET {
            all.insert(ACCEPT, EVENTS);
        } else {
            all.insert(CONTENT_TYPE, JSON);
        }
        for (name, value) in &self.reach.headers {
            all.insert(name.clone(), value.clone());
        }
        let forwards = self.shared.plan.sessions == SessionRule::Shared
            && self.reach.forward_headers.iter().any(|name| all.contains_key(name));
        // What one client's own headers are answered with may stand for that client, and others share the jar.
        let apart = if forwards { Some(jar.copy()) } else { None };
        let jar = apart.as_ref().unwrap_or(jar);
        self.shared.came(self.site.send(method, destination, all, body, jar).await)
    }
}

/// Why a message was not taken.
struct PostFault {
    error: CallError,
    /// Whether the server may no longer know the session.
    session_lost: bool,
    /// Whether the connection ended after the message had begun to go out and before any reply.
    untold: bool,
}

/// The stream, read as it comes.
struct EventsIn {
    reply: Reply,
    decoder: Decoder,
    ready: VecDeque<Event>,
    /// What is held of an event that is long.
    held: Held,
}

impl EventsIn {
    /// The next event; why there are no more as an error.
    async fn event(&mut self) -> Result<Event, String> {
        loop {
            if let Some(mut event) = self.ready.pop_front() {
                event.data = self.held.own(event.data);
                self.held.shrink(self.decoder.held());
                return Ok(event);
            }
            match self.reply.chunk().await {
                Ok(Some(chunk)) => {
                    let ready = &mut self.ready;
                    let fed = self.decoder.feed(&chunk, |event| ready.push_back(event));
                    fed.map_err(|too_large| too_large.to_string())?;
                    let ready = self.ready.iter().map(|event| event.data.len()).sum::<usize>();
                    if self.decoder.held() + ready > SMALL {
                        let held = self.held.hold(self.decoder.held() + ready).await;
                        held.map_err(|full| full.to_string())?;
                    }
                }
                Ok(None) => return Err("its stream has ended".to_owned()),
                Err(fault) => return Err(format!("its stream broke: {fault}")),
            }
        }
    }
}

impl Inlet for EventsIn {
    async fn next(&mut self) -> Result<Incoming, String> {
        loop {
            let event = self.event().await?;
            if event.name.as_deref().is_none_or(|name| name == "message") && !event.data.is_empty() {
                return Ok(Incoming::Message(event.data));
            }
        }
    }
}
