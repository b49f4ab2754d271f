//! The HTTP client of one server: a pool of connections, raw bodies, no redirects, no cookies, no proxies.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::net::{Address, BoxFuture, BoxIo, Network};
use crate::tls::{self, TlsFault};
use crate::wire::{Tap, WireEvent};

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum SendFault {
    /// No connection could be made, so nothing was sent and a retry is safe.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke after the request had begun to go out: whether it was carried out is unknown.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The response's body is larger than allowed.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// The most bytes that are read.
        limit: usize,
    },
}

/// How long an unused connection is kept. Uvicorn and Node close theirs after five seconds: a request that is sent in just
/// that moment is lost, and whether it was carried out can then not be known. On a busy machine either side may notice
/// late, hence the distance.
const IDLE: Duration = Duration::from_secs(3);

/// How to reach one server.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// How long a connection may take to be made, TLS included.
    pub connect_timeout: Duration,
    /// The Unix socket to use instead of the URL's host.
    pub socket: Option<std::path::PathBuf>,
    /// Certificate authorities beside the system's.
    pub authorities: Option<std::path::PathBuf>,
    /// Whether to speak HTTP/2 without asking (h2c); over TLS it is negotiated anyway.
    pub http2: bool,
    /// The most idle connections that are kept.
    pub idle_connections: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            socket: None,
            authorities: None,
            http2: false,
            idle_connections: 256,
        }
    }
}

/// The client of one server.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pool: Client<Connector, Full<Bytes>>,
    tap: Option<Arc<dyn Tap>>,
}

impl HttpClient {
    /// A client that has no connection yet.
    #[must_use]
    pub fn new(network: Arc<dyn Network>, settings: ClientSettings, tap: Option<Arc<dyn Tap>>) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(settings.idle_connections)
            .http2_only(settings.http2)
            .set_host(true);
        let connector = Connector { network, settings: Arc::new(settings), tls: Arc::new(OnceLock::new()) };
        Self { pool: builder.build(connector), tap }
    }

    /// Sends a request and waits for the response's head.
    ///
    /// # Errors
    /// Says whether anything was sent.
    pub async fn send(
        &self,
        method: Method,
        url: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, SendFault> {
        if let Some(tap) = &self.tap {
            let url = url.to_string();
            tap.saw(&WireEvent::HttpRequest {
                method: method.as_str(),
                url: &url,
                headers: &headers,
                body: &body,
            });
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        let response = self.pool.request(request).await.map_err(|error| {
            let why = causes(&error);
            if error.is_connect() { SendFault::Connect(why) } else { SendFault::Broken(why) }
        })?;
        let (head, body) = response.into_parts();
        if let Some(tap) = &self.tap {
            tap.saw(&WireEvent::HttpResponse { status: head.status.as_u16(), headers: &head.headers });
        }
        Ok(Reply { head: Response::from_parts(head, ()), body, tap: self.tap.clone() })
    }
}

/// The outermost error of hyper-util says only "client error", so the causes are what a person needs.
fn causes(error: &hyper_util::client::legacy::Error) -> String {
    let mut parts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        parts.push(cause.to_string());
        next = cause.source();
    }
    if parts.is_empty() { error.to_string() } else { parts.join(": ") }
}

/// A response whose body is read as it comes. Dropping it closes the stream, or the connection under HTTP/1.1.
pub struct Reply {
    head: Response<()>,
    body: Incoming,
    tap: Option<Arc<dyn Tap>>,
}

impl Reply {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// The body's media type in lower case, without parameters.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let value = self.headers().get(http::header::CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SendFault> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| SendFault::Broken(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                if let Some(tap) = &self.tap {
                    tap.saw(&WireEvent::Received(&data));
                }
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body.
    ///
    /// # Errors
    /// When it is larger than `limit`, or the connection breaks.
    pub async fn whole(&mut self, limit: usize) -> Result<Bytes, SendFault> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let mut rest = bytes::BytesMut::new();
        while let Some(next) = self.chunk().await? {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&next);
            if rest.len() > limit {
                return Err(SendFault::TooLarge { limit });
            }
        }
        if first.len() > limit {
            return Err(SendFault::TooLarge { limit });
        }
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
struct Connector {
    network: Arc<dyn Network>,
    settings: Arc<ClientSettings>,
    /// Made at the first https connection: to read the system's authorities takes longer than a start should.
    tls: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = Connecting;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Connecting>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let within = connector.settings.connect_timeout;
            match tokio::time::timeout(within, connector.connect(&uri)).await {
                Ok(connected) => connected,
                Err(_elapsed) => {
                    Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {within:?}")))
                }
            }
        })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> io::Result<Connecting> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let address = match &self.settings.socket {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp(host.clone(), uri.port_u16().unwrap_or(if secure { 443 } else { 80 })),
        };
        let io = self.network.connect(&address).await?;
        if !secure {
            return Ok(Connecting { io: TokioIo::new(io), http2: self.settings.http2 });
        }
        let config = self.tls().map_err(io::Error::other)?;
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, io).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connecting { io: TokioIo::new(Box::new(stream) as BoxIo), http2 })
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let make =
            || tls::client(self.settings.authorities.as_deref()).map_err(|fault: TlsFault| fault.to_string());
        self.tls.get_or_init(make).clone()
    }
}

/// A connection that the pool can use.
pub struct Connecting {
    io: TokioIo<BoxIo>,
    http2: bool,
}

impl Connection for Connecting {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.http2 { connected.negotiated_h2() } else { connected }
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("http2", &self.http2).finish_non_exhaustive()
    }
}

impl Read for Connecting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Connecting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
