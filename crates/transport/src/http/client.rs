//! The HTTP client of one server: a pool of connections, and raw bodies.
//!
//! Reading order: [`HttpClient::send`], then `pool` (connections that wait), `lent` (one that is in use), `connect`. On top of it
//! is [`Site`], the client of an MCP server: redirects within its origin, its cookies, who we are.

use std::borrow::Cow;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;

use super::body::Pieces;
use super::server::room;
use crate::memory::{Full, SMALL, Share};
use crate::net::Network;
use crate::wire::{Tap, WireEvent};
use crate::workers::Workers;

mod connect;
mod date;
mod jar;
mod lent;
mod pool;
mod proxy;
mod site;

pub use date::seconds as seconds_of_date;
pub use jar::Jar;
pub use proxy::{BadProxy, Proxy};
pub use site::Site;

use connect::{Connected, Connector};
use lent::Lent;
use pool::{Http1, Pool, Unsent};

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum SendFault {
    /// No connection could be made, so nothing was sent and a retry is safe.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No connection could be made for want of a file descriptor of ours, so nothing was sent.
    #[error("{0}")]
    OutOfDescriptors(String),
    /// No connection was made in time, so nothing was sent.
    #[error("cannot connect: {0}")]
    Late(String),
    /// The connection broke after the request had begun to go out: whether it was carried out is unknown.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The response's body is larger than allowed.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// The most bytes that are read.
        limit: usize,
    },
    /// There is no memory for the response's body now.
    #[error("{0}")]
    Full(#[from] Full),
    /// It is elsewhere; the text says where, and what to do. Nothing was carried out.
    #[error("{0}")]
    Redirected(String),
    /// The response's body is in an encoding that was not asked for.
    #[error(
        "it answers with Content-Encoding: {0}, although it was asked for none (Accept-Encoding: identity)"
    )]
    Encoded(String),
}

/// How to reach one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// How long a connection may take to be made, TLS included.
    pub connect_timeout: Duration,
    /// The Unix socket to use instead of the URL's host.
    pub socket: Option<std::path::PathBuf>,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
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
            proxy: None,
            authorities: None,
            http2: false,
            idle_connections: 256,
        }
    }
}

/// Where requests go: a URL, taken apart once.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    url: Uri,
    scheme: Scheme,
    authority: Authority,
    /// What stands in the first line of a request over HTTP/1.1.
    origin_form: Uri,
    host: HeaderValue,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its query may hold a secret.
        f.debug_struct("Destination").field("scheme", &self.0.scheme.as_str()).finish_non_exhaustive()
    }
}

/// The URL names no host, or one that no header can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the URL names no host")]
pub struct NoHost;

impl Destination {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// When it names no host.
    pub fn new(url: Uri) -> Result<Self, NoHost> {
        let authority = url.authority().cloned().ok_or(NoHost)?;
        let scheme = url.scheme().cloned().unwrap_or(Scheme::HTTP);
        let path = url.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        // RFC 9110 §4.2.4: credentials in a URL are not sent; §7.2: a default port need not be.
        let named = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, named)| named);
        let default = if scheme == Scheme::HTTPS { ":443" } else { ":80" };
        let host =
            HeaderValue::from_str(named.strip_suffix(default).unwrap_or(named)).map_err(|_bytes| NoHost)?;
        let authority = Authority::try_from(named).map_err(|_malformed| NoHost)?;
        Ok(Self(Arc::new(Parts { url, scheme, authority, origin_form: Uri::from(path), host })))
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Uri {
        &self.0.url
    }

    /// Whether requests to it can go by the connections of another one.
    fn is_near(&self, other: &Self) -> bool {
        let (mine, theirs) = (&*self.0, &*other.0);
        Arc::ptr_eq(&self.0, &other.0)
            || (&mine.scheme, &mine.authority) == (&theirs.scheme, &theirs.authority)
    }
}

/// The client of one server.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pool: Arc<Pool>,
    connector: Arc<Connector>,
    tap: Option<Arc<dyn Tap>>,
}

impl HttpClient {
    /// A client that has no connection yet.
    #[must_use]
    pub fn new(
        network: Arc<dyn Network>,
        settings: ClientSettings,
        tap: Option<Arc<dyn Tap>>,
        workers: &Workers,
    ) -> Self {
        let pool = Arc::new(Pool::new(workers.seats(), settings.idle_connections));
        Self { pool, connector: Arc::new(Connector::new(network, settings)), tap }
    }

    /// Sends a request and waits for the response's head.
    ///
    /// # Errors
    /// Says whether anything was sent.
    pub async fn send(
        &self,
        method: Method,
        to: &Destination,
        headers: HeaderMap,
        body: impl Into<Pieces>,
    ) -> Result<Reply, SendFault> {
        let body = body.into();
        if let Some(tap) = &self.tap {
            let url = to.0.url.to_string();
            tap.saw(&WireEvent::HttpRequest {
                method: method.as_str(),
                url: &url,
                headers: &headers,
                body: &body.text(),
            });
        }
        let (response, connection) = self.exchange(request(method, headers, body), to).await?;
        let (head, body) = response.into_parts();
        if let Some(tap) = &self.tap {
            tap.saw(&WireEvent::HttpResponse { status: head.status.as_u16(), headers: &head.headers });
        }
        let connection = connection.map(|connection| (connection, to.clone()));
        let body = Lent::new(body, connection, Arc::clone(&self.pool));
        Ok(Reply { head: Response::from_parts(head, ()), body, tap: self.tap.clone() })
    }

    /// Sends a request on a connection that is there, or else on a new one.
    #[expect(clippy::manual_async_fn, reason = "an async function would have room for its arguments twice")]
    fn exchange(
        &self,
        mut request: Request<Pieces>,
        to: &Destination,
    ) -> impl Future<Output = Result<(Response<Incoming>, Option<Http1>), SendFault>> + Send {
        async move {
            loop {
                if let Some(mut sender) = self.pool.shared(to) {
                    *request.uri_mut() = to.0.url.clone();
                    match sender.try_send_request(request).await {
                        Ok(response) => return Ok((response, None)),
                        // The connection was closed before it took the request.
                        Err(mut fault) => match fault.take_message() {
                            Some(whole) if sender.is_closed() => request = whole,
                            _ => return Err(broken(&fault.into_error())),
                        },
                    }
                    continue;
                }
                let kept = self.pool.take(to);
                let is_new = kept.is_none();
                let mut connection = match kept {
                    Some(connection) => connection,
                    None => match Box::pin(self.connector.connect(to)).await? {
                        Connected::Http1(connection) => connection,
                        Connected::Http2(sender) => {
                            self.pool.share(to.clone(), sender);
                            continue;
                        }
                    },
                };
                *request.uri_mut() = to.0.origin_form.clone();
                request.headers_mut().insert(HOST, to.0.host.clone());
                if let Some(proxy) = self.connector.forwards(to) {
                    *request.uri_mut() = to.0.url.clone();
                    let authorization =
                        proxy.authorization().map(|value| (PROXY_AUTHORIZATION, value.clone()));
                    request.headers_mut().extend(authorization);
                }
                match connection.send(request).await {
                    Ok(response) => return Ok((response, Some(connection))),
                    Err(Unsent::Whole(whole, _)) if !is_new => request = *whole,
                    Err(Unsent::Whole(_, fault)) => return Err(SendFault::Connect(causes(&fault))),
                    Err(Unsent::Partly(fault)) => return Err(broken(&fault)),
                }
                request.headers_mut().remove(HOST);
            }
        }
    }
}

fn request(method: Method, headers: HeaderMap, body: Pieces) -> Request<Pieces> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    request
}

fn broken(fault: &hyper::Error) -> SendFault {
    // What a TLS server says to plain HTTP is not HTTP.
    let cure =
        if fault.is_parse() { "; what answers there does not speak HTTP: is its URL https://?" } else { "" };
    SendFault::Broken(format!("{}{cure}", causes(fault)))
}

/// An error with its causes, which are what a person needs.
fn causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// A response whose body is read as it comes. Dropping it closes the stream, or the connection under HTTP/1.1.
pub struct Reply {
    head: Response<()>,
    body: Lent,
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

    /// Whether there is no body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.is_over()
    }

    /// The body's media type in lower case, without parameters.
    #[must_use]
    pub fn media_type(&self) -> Option<Cow<'static, str>> {
        let value = self.headers().get(http::header::CONTENT_TYPE)?.to_str().ok()?;
        let media = value.split(';').next().unwrap_or_default().trim();
        let usual = ["application/json", "text/event-stream"]
            .into_iter()
            .find(|usual| usual.eq_ignore_ascii_case(media));
        Some(usual.map_or_else(|| Cow::Owned(media.to_ascii_lowercase()), Cow::Borrowed))
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

    /// The whole body, which counts as held for `share` until the last of it is dropped. One that is long is not read before
    /// there is memory for all that it declares, and one that declares more than is allowed not at all.
    ///
    /// # Errors
    /// When it is larger than `limit`, the connection breaks, or there is no memory for it.
    pub async fn whole(&mut self, limit: usize, share: &Share) -> Result<Bytes, SendFault> {
        let declared = usize::try_from(self.body.left()).unwrap_or(usize::MAX);
        if declared > limit {
            return Err(SendFault::TooLarge { limit });
        }
        let mut held = None;
        if declared > SMALL {
            held = Some(share.wait(declared).await?);
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let mut rest = BytesMut::new();
        while let Some(next) = self.chunk().await? {
            if rest.is_empty() {
                rest = room(first.len() as u64 + next.len() as u64 + self.body.left(), limit);
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&next);
            if rest.len() > limit {
                return Err(SendFault::TooLarge { limit });
            }
            if rest.len() > SMALL {
                held.get_or_insert_with(|| share.nothing()).hold(rest.len()).await?;
            }
        }
        if first.len() > limit {
            return Err(SendFault::TooLarge { limit });
        }
        let body = if rest.is_empty() { first } else { rest.freeze() };
        Ok(match &mut held {
            Some(held) => held.own(body),
            None => body,
        })
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status()).finish_non_exhaustive()
    }
}
