//! One caller: a connection, or a stream of one, on which a call follows the other.

use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::check::Check;
use super::request::{Http1, Template};
use super::who::{Credentials, Who};
use super::{Era, Load};
use crate::fault::Fault;
use crate::wire::{self, Wire};

/// Streams that share an HTTP/2 connection.
const STREAMS: usize = 8;

/// A connection that calls.
#[derive(Debug)]
pub(super) struct Caller {
    path: Path,
    check: Check,
    /// What it says of itself, if that is another thing each time.
    credentials: Option<Rc<Credentials>>,
    /// The number of the next call, and how far apart the numbers of one caller are: no two callers share one.
    next: u64,
    step: u64,
}

#[derive(Debug)]
enum Path {
    /// The requests are sent in turn: one for each session.
    Http1(Wire<TcpStream>, Vec<Http1>),
    Http2(SendRequest<Full<Bytes>>, Template, String),
}

/// Where a URL leads.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) authority: String,
    pub(super) path: String,
}

impl Target {
    pub(super) fn of(url: &str) -> Result<Self, Fault> {
        let rest =
            url.strip_prefix("http://").ok_or_else(|| Fault::new(format!("{url}: not an http:// URL")))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self { authority: authority.to_owned(), path: format!("/{path}") })
    }

    pub(super) async fn connect(&self) -> Result<TcpStream, Fault> {
        let doing = format!("connecting to {}", self.authority);
        let stream = TcpStream::connect(&self.authority).await.map_err(Fault::of(&doing))?;
        stream.set_nodelay(true).map_err(Fault::of(&doing))?;
        Ok(stream)
    }
}

/// All callers of a load, connected, with their sessions open.
pub(super) async fn callers(load: &Load) -> Result<Vec<Caller>, Fault> {
    let target = Target::of(&load.url)?;
    if load.http2 {
        if load.who != Who::Anonymous {
            return Err(Fault::new("--who goes with HTTP/1.1 only"));
        }
        return over_http2(load, &target).await;
    }
    let mut wires = Vec::new();
    for _ in 0..load.connections {
        wires.push(Wire::new(target.connect().await?));
    }
    let mut sessions = Vec::new();
    if load.era == Era::Legacy {
        for number in 0..load.sessions {
            let at = number % wires.len();
            sessions.push(open_session(&mut wires[at], &target).await?);
        }
    }
    let step = wires.len();
    let credentials = load.credentials()?.map(Rc::new);
    let said =
        credentials.as_ref().map(|credentials| credentials.headers(0)).transpose()?.unwrap_or_default();
    let credentials = credentials.filter(|credentials| credentials.change());
    let callers = wires.into_iter().enumerate().map(|(at, wire)| {
        let mine = sessions_of(at, step, &sessions);
        let request = |session| {
            let mut template = Template::of(load, session);
            template.headers.extend(said.iter().cloned());
            template.http1(&target.authority, &target.path)
        };
        let requests = mine.map(request).collect();
        Caller {
            path: Path::Http1(wire, requests),
            check: Check::of(load),
            credentials: credentials.clone(),
            next: at as u64,
            step: step as u64,
        }
    });
    Ok(callers.collect())
}

/// The sessions that one of `step` callers uses: its share, one that it has in common with others, or none.
fn sessions_of(at: usize, step: usize, sessions: &[Option<String>]) -> impl Iterator<Item = Option<&str>> {
    let first = if sessions.is_empty() { 0 } else { at % sessions.len() };
    let stateless = sessions.is_empty().then_some(None);
    stateless.into_iter().chain(sessions.iter().skip(first).step_by(step).map(Option::as_deref))
}

async fn over_http2(load: &Load, target: &Target) -> Result<Vec<Caller>, Fault> {
    let template = Template::of(load, None);
    let mut callers = Vec::new();
    let mut sender: Option<SendRequest<Full<Bytes>>> = None;
    for at in 0..load.connections {
        let shared = match &sender {
            Some(shared) if at % STREAMS != 0 => shared.clone(),
            _ => connect_http2(target).await?,
        };
        sender = Some(shared.clone());
        callers.push(Caller {
            path: Path::Http2(shared, template.clone(), load.url.clone()),
            check: Check::of(load),
            credentials: None,
            next: at as u64,
            step: load.connections as u64,
        });
    }
    Ok(callers)
}

async fn connect_http2(target: &Target) -> Result<SendRequest<Full<Bytes>>, Fault> {
    let io = TokioIo::new(target.connect().await?);
    let shaken = hyper::client::conn::http2::Builder::new(TokioExecutor::new()).handshake(io).await;
    let (sender, connection) = shaken.map_err(Fault::of("HTTP/2"))?;
    // Its end is the end of the streams on it, and those say so.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

/// Opens a legacy session and gives its id, if the server has such.
pub(super) async fn open_session(
    wire: &mut Wire<TcpStream>,
    target: &Target,
) -> Result<Option<String>, Fault> {
    let mut first = Template::initialize().http1(&target.authority, &target.path);
    wire.write(first.with_id(0).1).await.map_err(Fault::of("initialize"))?;
    let answer = wire.next().await.map_err(Fault::of("initialize"))?;
    let answer = answer.ok_or_else(|| Fault::new("initialize: the connection was closed"))?;
    if wire::status(answer.head) != 200 || memchr::memmem::find(answer.body, b"\"result\"").is_none() {
        return Err(Fault::new(format!("initialize: {}", String::from_utf8_lossy(answer.body))));
    }
    let session = wire::header(answer.head, "mcp-session-id");
    let session = session.map(|value| String::from_utf8_lossy(value).into_owned());
    let mut second = Template::initialized(session.as_deref()).http1(&target.authority, &target.path);
    wire.write(second.with_id(0).1).await.map_err(Fault::of("initialized"))?;
    let answer = wire.next().await.map_err(Fault::of("initialized"))?;
    match answer.map(|answer| wire::status(answer.head)) {
        Some(202 | 200) => Ok(session),
        other => Err(Fault::new(format!("initialized: HTTP {other:?}"))),
    }
}

impl Caller {
    /// Gives it numbers that no other caller has.
    pub(super) fn number(&mut self, first: u64, step: u64) {
        (self.next, self.step) = (first, step);
    }

    /// The body of the last answer, over HTTP/1.1.
    pub(super) fn body(&self) -> &[u8] {
        match &self.path {
            Path::Http1(wire, _) => wire.last_body(),
            Path::Http2(..) => &[],
        }
    }

    /// Makes one call and looks at its answer.
    pub(super) async fn call(&mut self) -> Result<(), Fault> {
        let number = self.next;
        self.next += self.step;
        match &mut self.path {
            Path::Http1(wire, requests) => {
                let turn = usize::try_from(number / self.step).unwrap_or(0) % requests.len();
                if let Some(credentials) = &self.credentials {
                    for (name, value) in credentials.headers(number)? {
                        requests[turn].say(name, &value)?;
                    }
                }
                let (id, bytes) = requests[turn].with_id(number);
                wire.write(bytes).await.map_err(Fault::of("sending"))?;
                let answer = wire.next().await.map_err(Fault::of("receiving"))?;
                let answer = answer.ok_or_else(|| Fault::new("the connection was closed in mid-call"))?;
                self.check.answer(wire::status(answer.head), answer.body, id)
            }
            Path::Http2(sender, template, url) => {
                let (id, body) = template.with_id(number);
                let mut request = http::Request::builder().method(template.method).uri(url.as_str());
                for (name, value) in &template.headers {
                    request = request.header(*name, value);
                }
                let request = request.body(Full::new(Bytes::from(body))).map_err(Fault::of("a request"))?;
                sender.ready().await.map_err(Fault::of("HTTP/2"))?;
                let answer = sender.send_request(request).await.map_err(Fault::of("HTTP/2"))?;
                let status = answer.status().as_u16();
                let body = answer.into_body().collect().await.map_err(Fault::of("HTTP/2"))?.to_bytes();
                self.check.answer(status, &body, id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_its_caller_and_every_caller_a_session() {
        let names = |count: usize| -> Vec<_> { (0..count).map(|at| Some(at.to_string())).collect() };
        let of = |at, sessions: &[Option<String>]| -> Vec<Option<String>> {
            sessions_of(at, 3, sessions).map(|id| id.map(str::to_owned)).collect()
        };
        assert_eq!(of(0, &[]), [None]);
        assert_eq!(of(2, &names(1)), names(1));
        assert_eq!(of(1, &names(7)), [Some("1".to_owned()), Some("4".to_owned())]);
        assert_eq!((0..3).map(|at| of(at, &names(10)).len()).sum::<usize>(), 10);
    }

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::of("http://127.0.0.1:80/a/b").unwrap();
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("127.0.0.1:80", "/a/b"));
        assert!(Target::of("https://x").is_err());
    }
}
