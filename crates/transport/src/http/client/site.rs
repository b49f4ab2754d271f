//! The client of one MCP server as it is met in the field: it says who we are, goes along when the server has moved within its
//! origin, keeps the origin's cookies, and takes no encoding that it has not asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use mcp::legacy::endpoint;
use tokio::time::Instant;

use super::jar::Jar;
use super::{Destination, HttpClient, Reply, SendFault};
use crate::http::body::Pieces;

/// What a server is told of us where the configuration says nothing else. Firewalls refuse those who say nothing.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION")));
/// Messages are short, and streams must not wait until a block is full.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
/// The most redirects that are followed for one request. `/mcp` → `/mcp/` is one.
const MOST_HOPS: usize = 5;
/// The most places that are remembered.
const MOST_MOVED: usize = 16;
/// How long it is remembered where something is, for a temporary redirect and for a permanent one.
const TEMPORARY: Duration = Duration::from_secs(300);
const PERMANENT: Duration = Duration::from_secs(3600);

/// The client of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Site(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: HttpClient,
    /// Where the server is, as configured.
    home: Destination,
    /// Whether it has answered a POST there (or where that has led to) without a redirect. Then nothing is kept for another try.
    settled: AtomicBool,
    /// Whether it has redirected after that: some redirect only some of what they get. Then all is kept for another try.
    wavers: AtomicBool,
    moved: Mutex<Vec<Moved>>,
    has_moved: AtomicBool,
}

#[derive(Debug, Clone)]
struct Moved {
    from: Destination,
    to: Destination,
    until: Instant,
}

impl Site {
    /// The client of the server at `home`.
    #[must_use]
    pub fn new(client: HttpClient, home: Destination) -> Self {
        Self(Arc::new(Inner {
            client,
            home,
            settled: AtomicBool::new(false),
            wavers: AtomicBool::new(false),
            moved: Mutex::default(),
            has_moved: AtomicBool::new(false),
        }))
    }

    /// Sends a request and waits for the response's head. A redirect that keeps the method (307, 308) is followed within
    /// the origin; any other is a fault that says where it leads.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub async fn send(
        &self,
        method: Method,
        to: &Destination,
        mut headers: HeaderMap,
        body: impl Into<Pieces>,
        jar: &Jar,
    ) -> Result<Reply, SendFault> {
        let body = body.into();
        headers.entry(USER_AGENT).or_insert(AGENT);
        headers.entry(ACCEPT_ENCODING).or_insert(IDENTITY);
        let there = self.moved(to);
        let there = there.as_ref().unwrap_or(to);
        // What usually is answered at once need not be kept.
        let is_usual = method == Method::POST && *to == self.0.home;
        if is_usual && self.0.settled.load(Ordering::Relaxed) {
            jar.write(there, &mut headers);
            let reply = self.0.client.send(method, there, headers, body).await;
            let reply = reply.inspect_err(|_| self.unsettle(to))?;
            jar.keep(there, reply.headers());
            if is_redirect(&reply) {
                self.0.wavers.store(true, Ordering::Relaxed);
                self.unsettle(to);
                next(there, &reply)?;
                let status = reply.status().as_u16();
                // Nothing was carried out, so it may be sent again.
                return Err(SendFault::Connect(format!("it has begun to redirect (HTTP {status})")));
            }
            if there != to && !is_there(&reply) {
                self.unsettle(to);
            }
            return readable(reply);
        }
        Box::pin(self.follow((method, headers, body), (to, there), jar)).await
    }

    /// Sends a request wherever it is redirected to.
    async fn follow(
        &self,
        (method, headers, body): (Method, HeaderMap, Pieces),
        (to, first): (&Destination, &Destination),
        jar: &Jar,
    ) -> Result<Reply, SendFault> {
        let mut there = first.clone();
        let mut kept = PERMANENT;
        for _ in 0..=MOST_HOPS {
            let mut headers = headers.clone();
            jar.write(&there, &mut headers);
            let sent = self.0.client.send(method.clone(), &there, headers, body.clone()).await;
            let reply = sent.inspect_err(|_| self.unsettle(to))?;
            jar.keep(&there, reply.headers());
            if !is_redirect(&reply) {
                let is_there = there == *to || is_there(&reply);
                if !is_there {
                    self.forget(to);
                } else if there != *to && there != *first {
                    self.remember(to, &there, kept);
                }
                let is_usual = method == Method::POST && *to == self.0.home;
                if is_there && is_usual && !self.0.wavers.load(Ordering::Relaxed) {
                    self.0.settled.store(true, Ordering::Relaxed);
                }
                return readable(reply);
            }
            self.forget(to);
            there = next(&there, &reply)?;
            if reply.status() == StatusCode::TEMPORARY_REDIRECT {
                kept = TEMPORARY;
            }
        }
        Err(SendFault::Redirected(format!(
            "it redirects again and again, the last time to {}: write the url at which it answers",
            shown(there.url())
        )))
    }

    /// Where a destination is now, if that is known to be elsewhere.
    fn moved(&self, from: &Destination) -> Option<Destination> {
        if !self.0.has_moved.load(Ordering::Relaxed) {
            return None;
        }
        let mut moved = self.lock();
        let now = Instant::now();
        moved.retain(|moved| moved.until > now);
        moved.iter().find(|moved| moved.from == *from).map(|moved| moved.to.clone())
    }

    fn remember(&self, from: &Destination, to: &Destination, keep: Duration) {
        let mut moved = self.lock();
        moved.retain(|moved| moved.from != *from);
        if moved.len() >= MOST_MOVED {
            moved.remove(0);
        }
        moved.push(Moved { from: from.clone(), to: to.clone(), until: Instant::now() + keep });
        self.0.has_moved.store(true, Ordering::Relaxed);
    }

    fn forget(&self, from: &Destination) {
        if self.0.has_moved.load(Ordering::Relaxed) {
            self.lock().retain(|moved| moved.from != *from);
        }
    }

    /// What was known of the way there need not be so any more.
    fn unsettle(&self, to: &Destination) {
        self.forget(to);
        if *to == self.0.home {
            self.0.settled.store(false, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Moved>> {
        self.0.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_redirect(reply: &Reply) -> bool {
    matches!(reply.status().as_u16(), 301 | 302 | 303 | 307 | 308) && reply.headers().contains_key(LOCATION)
}

/// Whether the server may well be where it has moved to. Otherwise it is looked for again where it is configured.
fn is_there(reply: &Reply) -> bool {
    !matches!(reply.status().as_u16(), 404 | 405 | 410 | 421 | 500..)
}

/// Where a redirect leads, if it may be followed there.
fn next(here: &Destination, reply: &Reply) -> Result<Destination, SendFault> {
    let status = reply.status();
    let location = reply.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let resolved = endpoint::resolve(here.url(), location).ok();
    let keeps = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if let (true, Some(url)) = (keeps, &resolved)
        && let Ok(there) = Destination::new(url.clone())
    {
        return Ok(there);
    }
    let named = resolved.or_else(|| location.parse().ok());
    let (leads, write) = match &named {
        Some(url) => (shown(url), shown(&advised(here.url(), url))),
        None => ("somewhere that is no URL".to_owned(), String::new()),
    };
    let why = if keeps { "which is another origin" } else { "by a status that does not keep the method" };
    Err(SendFault::Redirected(format!(
        "it redirects (HTTP {}) to {leads}, {why}, and is not followed: if the server is there, write url = \"{write}\"",
        status.as_u16()
    )))
}

/// What to write instead. A server behind something that ends TLS does not know that it is spoken to over TLS.
fn advised(here: &Uri, there: &Uri) -> Uri {
    let same_host = here.host() == there.host();
    let is_downgrade = here.scheme_str() == Some("https") && there.scheme_str() == Some("http");
    if !(same_host && is_downgrade) {
        return there.clone();
    }
    let mut parts = here.clone().into_parts();
    parts.path_and_query = there.path_and_query().cloned();
    Uri::from_parts(parts).unwrap_or_else(|_| there.clone())
}

/// A URL without its query, which may hold a secret.
fn shown(url: &Uri) -> String {
    let text = url.to_string();
    match text.split_once('?') {
        Some((bare, _)) => format!("{bare}?…"),
        None => text,
    }
}

/// A response that is said in an encoding nobody asked for cannot be read.
fn readable(reply: Reply) -> Result<Reply, SendFault> {
    let Some(encoding) = reply.headers().get(CONTENT_ENCODING) else { return Ok(reply) };
    let named = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
    let is_none = named.trim().is_empty() || named.trim().eq_ignore_ascii_case("identity");
    if is_none || !reply.status().is_success() || reply.is_empty() {
        return Ok(reply);
    }
    Err(SendFault::Encoded(named))
}
