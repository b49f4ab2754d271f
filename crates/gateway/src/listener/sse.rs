//! HTTP+SSE towards clients: a GET opens a stream, which is the session, and each message is POSTed to the address that the
//! stream names first. Source: MCP 2024-11-05 `basic/transports`.
//!
//! Nobody can read an answer when the stream is gone, so its end cancels what is under way, other than in Streamable
//! HTTP, where a legacy client that goes away may come back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use auth::{Identity, Principal};
use base::aside::client_message;
use base::checks;
use base::error::CallError;
use base::plan::Limits;
use base::random;
use base::sync::lock;
use bytes::{Bytes, BytesMut};
use catalog::changes::subscription::StreamSlot;
use futures_util::StreamExt as _;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use mcp::jsonrpc::Message;
use mcp::legacy::batch::is_array;
use mcp::reject::Reject;
use mcp::sse;
use mcp::version::Era;
use store::seal::{Bound, SealFault};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use transport::http::body::ReplyBody;
use transport::http::server::Exchange;

use crate::bridge::endpoint::Endpoint;
use crate::listener::Listener;
use crate::listener::conversation::Conversation;
use crate::listener::events;
use crate::listener::heads::{self, preflight, refusal, refuse, refuse_call, reject, text, unread};
use crate::listener::hop::Hop;
use crate::listener::outbox::{self, Waiting};

/// How many messages of a client may wait to be taken.
const WAITING_MESSAGES: usize = 16;
/// A client that takes nothing for this long takes nothing any more.
const STALLED: Duration = Duration::from_secs(30);
/// Stands between the replica and the name in what a token says.
const AT: &str = "/";
const NO_SESSION: &str = "no such HTTP+SSE session: it ends with its stream; open the stream again";

/// The sessions that are open, of all routes. They outlive a generation.
#[derive(Debug, Default)]
pub(crate) struct SseSessions {
    sessions: Mutex<HashMap<String, mpsc::Sender<Post>>>,
}

/// What was posted, with its headers and credentials.
type Post = (Posted, HeaderMap, Identity);

/// What a client POSTs.
enum Posted {
    Message(Message),
    /// An array of messages, which only some revisions have.
    Batch(Bytes),
}

/// Answers a request to the path of a route's streams.
pub(super) async fn answer(
    listener: &Listener,
    exchange: &mut Exchange,
    endpoint: &Arc<Endpoint>,
    (limits, (hop, identity)): (&Limits, (&Hop, &Identity)),
) -> Response<ReplyBody> {
    let open = &listener.sse;
    match exchange.method {
        Method::GET => stream(open, exchange, endpoint, (limits, identity)).await,
        Method::POST if session_id(&exchange.uri).is_some() => {
            message(listener, exchange, endpoint, (limits, (hop, identity))).await
        }
        Method::OPTIONS => preflight(&exchange.headers),
        // To a client that tries Streamable HTTP first, this says that it is not spoken here.
        _ => {
            let said = "GET opens a stream, which names the address to POST messages to (HTTP+SSE)\n";
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, said);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, OPTIONS"));
            response
        }
    }
}

/// Opens a stream.
async fn stream(
    open: &Arc<SseSessions>,
    exchange: &Exchange,
    endpoint: &Arc<Endpoint>,
    (limits, identity): (&Limits, &Identity),
) -> Response<ReplyBody> {
    if !checks::readable(&exchange.headers).events {
        let why = "Accept must list text/event-stream";
        return refuse(checks::Rejected { status: StatusCode::NOT_ACCEPTABLE, why });
    }
    match begin(open, exchange.uri.path(), endpoint, (limits, identity)).await {
        Ok(body) => heads::stream(body),
        Err(error) => refuse_call(&error, None, Era::Legacy),
    }
}

async fn begin(
    open: &Arc<SseSessions>,
    path: &str,
    endpoint: &Arc<Endpoint>,
    (limits, identity): (&Limits, &Identity),
) -> Result<ReplyBody, CallError> {
    let seat = StreamSlot::take(&endpoint.route.changes).await?;
    let (name, token) = name(path, endpoint, &identity.principal, limits)
        .map_err(|fault| CallError::Internal(fault.to_string()))?;
    let end = CancellationToken::new();
    let (out, waiting) = outbox::new(end.clone(), Some(STALLED));
    let (sender, messages) = mpsc::channel(WAITING_MESSAGES);
    lock(&open.sessions).insert(name.clone(), sender);
    let session = SseSession {
        conversation: Conversation::new(
            Arc::clone(endpoint),
            (format!("sse:{name}").into(), identity.clone()),
            out,
            end,
        ),
        registration: Registration { open: Arc::clone(open), name },
        endpoint: Arc::clone(endpoint),
        ttl: limits.session_ttl,
    };
    endpoint.route.world.tasks.spawn(async move {
        session.run(messages).await;
        drop(seat);
    });
    let mut first = BytesMut::new();
    sse::write_event("endpoint", &format!("{path}?sessionId={token}"), &mut first);
    Ok(body(first.freeze(), waiting, limits.keep_alive))
}

/// A new session's name, and the token that stands for it. Like every token it is worthless to another principal, and at
/// another route.
fn name(
    path: &str,
    endpoint: &Endpoint,
    principal: &Principal,
    limits: &Limits,
) -> Result<(String, String), SealFault> {
    let name = random::hex::<16>().map_err(|_none| SealFault::Random)?;
    let purpose = purpose(path);
    let bound = Bound { purpose: &purpose, principal: principal.id() };
    let world = &endpoint.route.world;
    // Only this replica has the stream.
    let at =
        endpoint.route.replica.as_ref().map(|replica| format!("{}{AT}", replica.id())).unwrap_or_default();
    let named = format!("{at}{name}");
    let token = world.seal.seal(bound, world.clock.now() + limits.session_ttl, named.as_bytes())?;
    Ok((name, token))
}

fn purpose(path: &str) -> String {
    format!("sse-session:{path}")
}

fn body(first: Bytes, waiting: Waiting, keep_alive: Duration) -> ReplyBody {
    let messages = futures_util::stream::unfold(waiting, |waiting| async move {
        let message = waiting.next().await?;
        Some((events::event(None, message.into()), waiting))
    });
    events::body(messages.flatten(), Some(first), keep_alive)
}

/// Takes a message of a session. The answer to it goes to the session's stream.
async fn message(
    listener: &Listener,
    exchange: &mut Exchange,
    endpoint: &Endpoint,
    (limits, from): (&Limits, (&Hop, &Identity)),
) -> Response<ReplyBody> {
    let Some((holder, name)) = find(&exchange.uri, endpoint, &from.1.principal) else {
        return refusal(StatusCode::NOT_FOUND, NO_SESSION);
    };
    let session = lock(&listener.sse.sessions).get(&name).cloned();
    let Some(session) = session else {
        let elsewhere = listener.post_to_stream(&holder, exchange, (limits, from)).await;
        return elsewhere.unwrap_or_else(|| refusal(StatusCode::NOT_FOUND, NO_SESSION));
    };
    if let Err(refused) = checks::content_type(&exchange.headers) {
        return refuse(refused);
    }
    let body = match exchange.read_body(limits.request_bytes, limits.request_timeout, &listener.memory).await
    {
        Ok(body) => body,
        Err(fault) => return unread(&fault),
    };
    let said = if is_array(&body) {
        Posted::Batch(body)
    } else {
        match client_message(&body, endpoint.route.json_depth).await {
            Ok(message) => Posted::Message(message),
            Err(unread) => return reject(&Reject::from(unread.fault), unread.id.as_ref()),
        }
    };
    match timeout(
        limits.request_timeout,
        session.send((said, std::mem::take(&mut exchange.headers), from.1.clone())),
    )
    .await
    {
        Ok(Ok(())) => text(StatusCode::ACCEPTED, "Accepted"),
        Ok(Err(_gone)) => refusal(StatusCode::NOT_FOUND, NO_SESSION),
        Err(_elapsed) => {
            let what = "messages that wait in this session".to_owned();
            refuse_call(&CallError::Overloaded { what, limit: WAITING_MESSAGES }, None, Era::Legacy)
        }
    }
}

/// The replica that has the stream of the session that a request names, and its name, if it is the principal's.
fn find(uri: &Uri, endpoint: &Endpoint, principal: &Principal) -> Option<(String, String)> {
    let purpose = purpose(uri.path());
    let bound = Bound { purpose: &purpose, principal: principal.id() };
    let world = &endpoint.route.world;
    let opened = world.seal.open(bound, world.clock.now(), session_id(uri).unwrap_or_default());
    let named = opened.inspect_err(|fault| tracing::debug!(%fault, "an HTTP+SSE session id is not valid"));
    let named = named.ok().and_then(|named| String::from_utf8(named).ok());
    named.map(|named| match named.split_once(AT) {
        Some((holder, name)) => (holder.to_owned(), name.to_owned()),
        None => (String::new(), named),
    })
}

fn session_id(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("sessionId="))
}

/// One stream's session.
struct SseSession {
    registration: Registration,
    conversation: Arc<Conversation>,
    endpoint: Arc<Endpoint>,
    ttl: Duration,
}

impl SseSession {
    /// Takes messages until the client goes away, or the session has to end.
    async fn run(self, mut messages: mpsc::Receiver<Post>) {
        let over = async {
            tokio::select! {
                () = tokio::time::sleep(self.ttl) => {}
                // The client opens a stream to the route as it is now.
                () = self.endpoint.route.changes.replaced.cancelled() => {}
                () = self.conversation.eof.cancelled() => {}
                () = self.conversation.end.cancelled() => {}
            }
        };
        tokio::pin!(over);
        loop {
            let next = tokio::select! {
                biased;
                () = &mut over => break,
                next = messages.recv() => next,
            };
            let Some((said, headers, identity)) = next else { break };
            self.conversation.shows(identity);
            let taken = async {
                match said {
                    Posted::Message(message) => self.conversation.take(message, headers).await,
                    Posted::Batch(bytes) => self.conversation.take_bytes(bytes, headers).await,
                }
            };
            tokio::select! {
                () = taken => {}
                () = self.conversation.end.cancelled() => break,
            }
        }
        drop(self.registration);
        drop(messages);
        self.conversation.finish().await;
        if let Some(claims) = self.conversation.claims() {
            // It is known here alone, so nothing can keep it from ending.
            drop(self.endpoint.end(&claims).await);
        }
    }
}

/// Stands for an open session until it is dropped.
struct Registration {
    open: Arc<SseSessions>,
    name: String,
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.open.sessions).remove(&self.name);
    }
}
