//! The HTTP server: accepts, speaks HTTP/1.1 and HTTP/2 (by ALPN, or h2c by prior knowledge), and drains.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::body::ReplyBody;
use crate::http::opening::{self, Spoken};
use crate::memory::{Full, Memory, SMALL};
use crate::net::{Accept, Accepted, Address, BoxIo};
use crate::tls::Presented;
use crate::workers::Workers;

mod drain;
mod flood;
mod framing;
pub mod places;
mod refusal;
mod stall;
mod streams;

use flood::Calm;
use places::{Answering, Arrival, Place, Places};
use stall::Stalling;
use streams::{Patient, Pieces};

/// One request, its body not yet read.
#[derive(Debug)]
pub struct Exchange {
    /// The HTTP method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// Who made the connection.
    pub peer: Address,
    /// The certificate that it has presented.
    pub certificate: Option<Arc<Presented>>,
    body: RequestBody,
}

#[derive(Debug)]
enum RequestBody {
    Incoming(Incoming),
    /// It was read before.
    Read(Bytes),
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// Larger than allowed.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The most bytes that are read.
        limit: usize,
    },
    /// It did not come in time.
    #[error("the body did not come within {0:?}")]
    Slow(Duration),
    /// There is no memory for it now.
    #[error(transparent)]
    Full(#[from] Full),
    /// The connection broke, or the framing is wrong.
    #[error("the body cannot be read: {0}")]
    Broken(#[from] hyper::Error),
}

impl BodyFault {
    /// The HTTP status that says it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl Exchange {
    /// Puts a body there that has been read already.
    pub fn put_body(&mut self, body: Bytes) {
        self.body = RequestBody::Read(body);
    }

    /// What was not read of the body.
    fn rest(self) -> Option<Incoming> {
        match self.body {
            RequestBody::Incoming(body) if !body.is_end_stream() => Some(body),
            _ => None,
        }
    }

    /// Reads the whole body. It counts as held for its client until the last of it is dropped; one that is long is not read
    /// before there is memory for all that it declares.
    ///
    /// # Errors
    /// When it is too large (told from its declared length where there is one), too slow, or broken, and when there is no
    /// memory for it.
    pub async fn read_body(
        &mut self,
        limit: usize,
        within: Duration,
        memory: &Memory,
    ) -> Result<Bytes, BodyFault> {
        let body = match &mut self.body {
            RequestBody::Incoming(body) => body,
            RequestBody::Read(body) if body.len() > limit => return Err(BodyFault::TooLarge { limit }),
            RequestBody::Read(body) => return Ok(std::mem::take(body)),
        };
        if body.size_hint().lower() > limit as u64 {
            return Err(BodyFault::TooLarge { limit });
        }
        let collected = {
            let collected = pin!(collect(body, limit, (memory, &self.peer)));
            timeout(within, collected).await
        };
        let read = match collected {
            Ok(read) => read?,
            Err(_elapsed) => return Err(BodyFault::Slow(within)),
        };
        self.put_body(Bytes::new());
        Ok(read)
    }
}

/// Room for so many bytes, so that they are not copied again and again. What is promised was admitted before ([`Memory`]).
pub(super) fn room(promised: u64, limit: usize) -> BytesMut {
    BytesMut::with_capacity(usize::try_from(promised).unwrap_or(usize::MAX).min(limit))
}

async fn collect(
    body: &mut Incoming,
    limit: usize,
    (memory, client): (&Memory, &Address),
) -> Result<Bytes, BodyFault> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut held = None;
    if declared > SMALL {
        held = Some(memory.share_of(client).wait(declared).await?);
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let size = first.len() + rest.len() + data.len();
        if size > limit {
            return Err(BodyFault::TooLarge { limit });
        }
        if size > SMALL {
            held.get_or_insert_with(|| memory.share_of(client).nothing()).hold(size).await?;
        }
        // Most bodies are one frame, which then needs no copy.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest = room(first.len() as u64 + data.len() as u64 + body.size_hint().lower(), limit);
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    let body = if rest.is_empty() { first } else { rest.freeze() };
    Ok(match &mut held {
        Some(held) => held.own(body),
        None => body,
    })
}

/// Answers requests. The future is dropped when the client goes away before it has an answer.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. What it does not read of the body is read and thrown away behind the answer, for a while.
    fn answer(&self, exchange: &mut Exchange) -> impl Future<Output = Response<ReplyBody>> + Send;
    /// What a client is told for whose connection there is no place beside so many.
    fn full(&self, _connections: usize) -> Response<Bytes> {
        refusal::bare()
    }
}

/// Bounds on what clients may do to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// The most connections at once. Past it the one that idled longest is closed for a new one, which is refused where none
    /// idles.
    pub connections: usize,
    /// The most bytes of a request's head; past it the answer is 431.
    pub header_bytes: usize,
    /// The most headers of a request; past it the answer is 431.
    pub headers: usize,
    /// How long a request's head may take, and before the first one a TLS handshake and the first bytes.
    pub header_timeout: Duration,
    /// The most streams that one HTTP/2 connection may have open.
    pub http2_streams: u32,
    /// How long a client may take nothing of what it is sent before its connection is ended.
    pub write_stall: Duration,
}

/// What hyper has room for on its stack.
const HEADERS: usize = 100;

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 64 * 1024,
            headers: HEADERS,
            header_timeout: Duration::from_secs(30),
            http2_streams: 1_000,
            write_stall: Duration::from_secs(30),
        }
    }
}

/// How long a connection on which nothing is asked stays when a server closes: a client that has just connected is about to
/// ask, and one that asks again and again over the same connection hears with its next answer that this was the last.
const LINGER: Duration = Duration::from_secs(1);

/// How a server is asked to end, in two steps that may be one.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// It still accepts, but tells its clients to go elsewhere: with each answer over HTTP/1 (`Connection: close`), and at
    /// once over HTTP/2 (GOAWAY).
    pub leave: CancellationToken,
    /// It accepts no more.
    pub close: CancellationToken,
}

impl Ending {
    /// When connections on which nothing is asked are closed.
    async fn passed(&self) {
        self.close.cancelled().await;
        tokio::time::sleep(LINGER).await;
    }
}

impl From<CancellationToken> for Ending {
    fn from(token: CancellationToken) -> Self {
        Self { leave: token.clone(), close: token }
    }
}

/// One listening socket and how it is served.
#[derive(Debug)]
pub struct Server<S> {
    /// Where it listens.
    pub listener: Box<dyn Accept>,
    /// What it presents over TLS; plain HTTP without.
    pub tls: Option<Arc<ServerConfig>>,
    /// Its bounds.
    pub limits: ServerLimits,
    /// The places for its connections.
    pub places: Arc<Places>,
    /// Who carries its connections.
    pub workers: Workers,
    /// The bound on what is held for its clients, where it is counted how many of them took nothing for too long.
    pub memory: Memory,
    /// Who answers.
    pub service: Arc<S>,
}

impl<S: Service> Server<S> {
    /// Serves until it is asked to close: then it takes what waits to be accepted, accepts no more, lets requests in
    /// flight finish, and returns when the last connection is gone. Who will not wait that long drops the future.
    pub async fn run(mut self, ending: impl Into<Ending>) {
        let ending = ending.into();
        let connections = TaskTracker::new();
        let serve = Arc::new(Connections {
            http1: http1(&self.limits),
            http2: http2(&self.limits, self.memory.clone()),
            tls: self.tls.take().map(TlsAcceptor::from),
            opening: self.limits.header_timeout,
            headers: self.limits.headers,
            stall: (self.limits.write_stall, self.memory.clone()),
            places: Arc::clone(&self.places),
            service: Arc::clone(&self.service),
            leaving: AtomicBool::new(false),
            ending: ending.clone(),
        });
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = ending.leave.cancelled(), if !serve.is_leaving() => {
                    serve.leaving.store(true, Ordering::Relaxed);
                    continue;
                }
                () = ending.close.cancelled() => break,
            };
            match accepted {
                Ok((accepted, peer)) => {
                    let arrival = self.places.arrive().await;
                    carry(&self.workers, &connections, &serve, (accepted, peer, arrival));
                }
                Err(error) => {
                    // The loop must neither spin nor end.
                    self.places.unaccepted(&error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        serve.leaving.store(true, Ordering::Relaxed);
        // Their clients take them for connected, and the system resets them when the socket is closed. Nothing is waited for
        // between the last of them and the end of the socket.
        loop {
            match self.listener.accept_waiting() {
                Ok(Some((accepted, peer))) => {
                    let place = Arrival::Seated(self.places.beyond());
                    carry(&self.workers, &connections, &serve, (accepted, peer, place));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept the connections that wait; they are lost");
                    break;
                }
            }
        }
        drop(self.listener);
        connections.close();
        connections.wait().await;
    }
}

/// Carries a connection.
fn carry<S: Service>(
    workers: &Workers,
    connections: &TaskTracker,
    serve: &Arc<Connections<S>>,
    (accepted, peer, arrival): (Accepted, Address, Arrival),
) {
    if matches!(arrival, Arrival::Cut) {
        return;
    }
    let serve = Arc::clone(serve);
    workers.carry(connections, move || async move {
        let io = match accepted.open() {
            Ok(io) => io,
            Err(error) => return tracing::warn!(%peer, %error, "cannot carry a connection"),
        };
        let seated = match arrival {
            Arrival::Seated(place) => Ok(place),
            Arrival::Waits(waiting) => waiting.place().await,
            Arrival::Refused(doorstep) => Err(doorstep),
            Arrival::Cut => return,
        };
        match seated {
            Ok(place) => serve.connection(io, peer, place).await,
            Err(doorstep) => {
                serve.refuse(io).await;
                drop(doorstep);
            }
        }
    });
}

fn http1(limits: &ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // hyper's buffer must hold a whole head, and it refuses less than 8 KiB.
        .max_buf_size(limits.header_bytes.max(8 * 1024));
    // To say the number costs an allocation for each request.
    if limits.headers != HEADERS {
        builder.max_headers(limits.headers);
    }
    builder
}

/// What is read of a request before anybody asks for it, and what was taken of an answer and waits for the socket, is counted nowhere:
/// it must not be much.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const STREAM_SENDS: usize = 32 * 1024;

fn http2(limits: &ServerLimits, memory: Memory) -> http2::Builder<Patient> {
    let mut builder = http2::Builder::new(Patient { patience: limits.write_stall, memory });
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.http2_streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_SENDS)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

struct Connections<S> {
    http1: http1::Builder,
    http2: http2::Builder<Patient>,
    tls: Option<TlsAcceptor>,
    opening: Duration,
    headers: usize,
    /// How long a client may take nothing, and where it is counted.
    stall: (Duration, Memory),
    places: Arc<Places>,
    service: Arc<S>,
    ending: Ending,
    /// What `ending.leave` says, for every answer to look at: the token has a lock.
    leaving: AtomicBool,
}

impl<S: Service> Connections<S> {
    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Reads the first bytes of a connection, over TLS if that is what is spoken here.
    async fn open(&self, io: BoxIo) -> std::io::Result<Option<(BoxIo, Spoken, Option<Arc<Presented>>)>> {
        let (io, certificate) = match &self.tls {
            // A handshake is large, and its place would be kept as long as the connection.
            Some(tls) => {
                let io = Box::pin(tls.accept(io)).await?;
                let certificate = Presented::of(io.get_ref().1.peer_certificates());
                (Box::new(io) as BoxIo, certificate)
            }
            None => (io, None),
        };
        Ok(opening::read(io).await?.map(|(io, spoken)| (io, spoken, certificate)))
    }

    /// Tells a client that there is no place for its connection.
    async fn refuse(&self, io: BoxIo) {
        if let Ok(Ok(Some((io, spoken, _)))) = timeout(refusal::WITHIN, self.open(io)).await {
            let response = self.service.full(self.places.most());
            Box::pin(refusal::say(io, spoken, response)).await;
        }
    }

    async fn connection(self: Arc<Self>, io: BoxIo, peer: Address, place: Place) {
        let opened = tokio::select! {
            // What has come is read before the connection is closed.
            biased;
            opened = timeout(self.opening, self.open(io)) => opened,
            // It has asked nothing, and is not about to.
            () = self.ending.passed() => return,
            () = place.asked_to_leave_unopened() => return,
        };
        match opened {
            Ok(Ok(Some((io, spoken, certificate)))) => {
                self.http(io, spoken, (peer, certificate), &place).await;
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection did not open"),
            Err(_elapsed) => tracing::debug!(%peer, "a connection said nothing for too long"),
        }
    }

    async fn http(
        self: &Arc<Self>,
        io: BoxIo,
        spoken: Spoken,
        (peer, certificate): (Address, Option<Arc<Presented>>),
        place: &Place,
    ) {
        let (from, counter) = (peer.clone(), place.counter());
        let serve = Arc::clone(self);
        let service = service_fn(move |request: Request<Incoming>| {
            let (serve, peer, asked) = (Arc::clone(&serve), from.clone(), counter.request());
            let certificate = certificate.clone();
            // hyper keeps the place of this future as long as the connection: what it holds must be small, or idle
            // connections and open streams cost what a call costs.
            Box::pin(async move {
                let (head, body) = request.into_parts();
                let refused = match spoken {
                    // One whose length is said has no coding.
                    Spoken::Http1 if body.size_hint().exact().is_some() => None,
                    Spoken::Http1 => framing::refuse_coding(&head.headers),
                    // Over HTTP/1 hyper counts them itself.
                    Spoken::Http2 => framing::refuse_many(&head.headers, serve.headers),
                };
                let body = RequestBody::Incoming(body);
                let (method, uri, headers) = (head.method, head.uri, head.headers);
                let mut exchange = Exchange { method, uri, headers, peer, certificate, body };
                let response = match refused {
                    Some(refused) => refused,
                    None => serve.service.answer(&mut exchange).await,
                };
                let mut response = drain::with_rest(response, exchange.rest(), spoken);
                // HTTP/2 says it by GOAWAY, and has no such header (RFC 9113 §8.2.2).
                if spoken == Spoken::Http1 && serve.is_leaving() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(|body| {
                    let body = Pieces::new(body, spoken == Spoken::Http2);
                    Answering::new(body, asked)
                }))
            })
        });
        let (patience, memory) = &self.stall;
        let io = Stalling::new(io, *patience, memory.clone());
        let served = match spoken {
            Spoken::Http1 => {
                let connection = self.http1.serve_connection(TokioIo::new(io), service);
                until_asked(connection, self.ending.passed(), place, http1::Connection::graceful_shutdown)
                    .await
            }
            Spoken::Http2 => {
                let connection = self.http2.serve_connection(TokioIo::new(Calm::new(io)), service);
                // A request that crosses a GOAWAY is still answered, so there is nothing to wait for.
                let asked = self.ending.leave.cancelled();
                Box::pin(until_asked(connection, asked, place, http2::Connection::graceful_shutdown)).await
            }
        };
        if let Some(Err(error)) = served {
            tracing::debug!(%peer, error = %DisplayChain(&error), "connection ended");
        }
    }
}

/// Serves a connection to its end, and lets it take no more requests once it is asked to end, or to make room; none if it
/// had to be cut for that.
async fn until_asked<C: Future>(
    connection: C,
    asked: impl Future<Output = ()>,
    place: &Place,
    wind: fn(Pin<&mut C>),
) -> Option<C::Output> {
    tokio::pin!(connection);
    tokio::select! {
        // A request that has come is taken before the connection is closed.
        biased;
        served = connection.as_mut() => Some(served),
        () = place.asked_to_leave() => {
            wind(connection.as_mut());
            place.part(connection).await
        }
        () = asked => {
            wind(connection.as_mut());
            Some(connection.await)
        }
    }
}

/// An error with its causes on one line.
struct DisplayChain<'e>(&'e (dyn std::error::Error + 'static));

impl std::fmt::Display for DisplayChain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
