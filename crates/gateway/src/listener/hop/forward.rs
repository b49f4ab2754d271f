//! Forwarding: a request goes to the replica that holds what it is about, as it came, and the response comes back as it is
//! said. What breaks on the way is told at once: that nothing was sent, or that nobody knows what was done.

use std::sync::Arc;

use auth::Identity;
use base::error::CallError;
use base::reply;
use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};
use mcp::jsonrpc::{Id, Message};
use mcp::sse::{self, Decoder};
use mcp::version::Era;
use replica::peers::{Felt, Peer, Unfelt};
use replica::{Replica, badge};
use tokio_util::sync::CancellationToken;
use transport::http::body::ReplyBody;
use transport::http::client::{Reply, SendFault};
use transport::memory::Share;

use crate::listener::heads;

/// Says that a request has come to the wrong replica, and perhaps which is the right one.
static MOVED_TO: HeaderName = HeaderName::from_static("portolan-moved-to");
/// What ends an event, as we write it.
const END: &[u8] = b"\n\n";
/// The largest response that is not streamed.
const WHOLE: usize = 1 << 30;

/// A client's request.
#[derive(Debug)]
pub(super) struct Request<'r> {
    /// The name of the listener that it came in by.
    pub(super) listener: &'r str,
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    /// Who sends it.
    pub(super) identity: &'r Identity,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: Bytes,
    /// What it asks, and must hear an answer to.
    pub(super) asks: Vec<Id>,
    pub(super) era: Era,
}

/// Why a request has no response from the other replica.
#[derive(Debug)]
pub(super) enum Unforwarded {
    /// It is not there; perhaps it says where it is.
    Moved(Option<String>),
    /// Nothing was sent.
    Unreached(String),
    /// It was sent, and nobody knows what became of it.
    Lost(String),
}

/// Sends a request to another replica, and gives what it answers.
pub(super) async fn forward(
    replica: &Arc<Replica>,
    peer: &Arc<Peer>,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, Unforwarded> {
    let sent = send(replica, peer, request).await;
    replica.count_forwarded(match &sent {
        Ok(_) => "answered",
        Err(Unforwarded::Moved(_)) => "moved",
        Err(Unforwarded::Unreached(_)) => "unreached",
        Err(Unforwarded::Lost(_)) => "lost",
    });
    sent
}

async fn send(
    replica: &Arc<Replica>,
    peer: &Arc<Peer>,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, Unforwarded> {
    let unreached = |why: String| Unforwarded::Unreached(why);
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    let to = peer.url(path).ok_or_else(|| unreached("it has no address for other replicas".to_owned()))?;
    let mut headers = request.headers.clone();
    badge::name_listener(&mut headers, request.listener).map_err(|fault| unreached(fault.to_string()))?;
    let headers =
        badge::show(replica, (&peer.id, request.identity), (request.method, path), headers, &request.body);
    let headers = headers.map_err(|fault| unreached(fault.to_string()))?;
    let Felt { gone, .. } = peer.felt(replica).await.map_err(|unfelt| match unfelt {
        Unfelt::Silent => unreached("it does not answer".to_owned()),
        Unfelt::Stranger => Unforwarded::Moved(None),
    })?;
    let sent = replica.peers().client().send(request.method.clone(), &to, headers, request.body.clone());
    let reply = tokio::select! {
        sent = sent => sent.map_err(|fault| match fault {
            SendFault::Connect(why) | SendFault::OutOfDescriptors(why) => unreached(why),
            other => Unforwarded::Lost(other.to_string()),
        })?,
        () = gone.cancelled() => return Err(Unforwarded::Lost("it does not answer any more".to_owned())),
    };
    if reply.status() == StatusCode::MISDIRECTED_REQUEST {
        let to = reply.headers().get(&MOVED_TO).and_then(|to| to.to_str().ok());
        return Err(Unforwarded::Moved(to.map(str::to_owned)));
    }
    passed_on(reply, gone, request, replica.peers().share()).await
}

async fn passed_on(
    mut reply: Reply,
    gone: CancellationToken,
    request: &Request<'_>,
    share: &Share,
) -> Result<Response<ReplyBody>, Unforwarded> {
    let (status, mut headers) = (reply.status(), reply.headers().clone());
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, http::header::CONNECTION, http::header::DATE] {
        headers.remove(name);
    }
    let streams = reply.media_type().as_deref() == Some("text/event-stream");
    let body = if streams {
        let (asks, era) = (request.asks.clone(), request.era);
        let rest = Rest { reply, gone, begun: BytesMut::new(), decoder: Decoder::new(WHOLE), asks, era };
        ReplyBody::Stream(Box::pin(unfold(Some(rest), |rest| async move { rest?.next().await })))
    } else {
        let whole = tokio::select! {
            whole = reply.whole(WHOLE, share) => whole.map_err(|fault| Unforwarded::Lost(fault.to_string()))?,
            () = gone.cancelled() => return Err(Unforwarded::Lost("it does not answer any more".to_owned())),
        };
        ReplyBody::from(whole)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// A stream of events on its way.
struct Rest {
    reply: Reply,
    gone: CancellationToken,
    /// An event that has not come as a whole. One half of it would spoil what we may have to say after it.
    begun: BytesMut,
    decoder: Decoder,
    /// What has not been answered so far.
    asks: Vec<Id>,
    era: Era,
}

impl Rest {
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        loop {
            let chunk = tokio::select! {
                chunk = self.reply.chunk() => chunk,
                () = self.gone.cancelled() => Err(SendFault::Broken("it does not answer any more".to_owned())),
            };
            match chunk {
                Ok(Some(bytes)) => {
                    self.note(&bytes);
                    if let Some(whole) = self.whole_events(bytes) {
                        return Some((whole, Some(self)));
                    }
                }
                // It ended in good order. What has no answer then was cancelled.
                Ok(None) => return None,
                Err(fault) => {
                    tracing::warn!("a stream of another replica broke: {fault}");
                    let last = self.lost();
                    return (!last.is_empty()).then_some((last, None));
                }
            }
        }
    }

    /// What can be passed on now.
    fn whole_events(&mut self, bytes: Bytes) -> Option<Bytes> {
        if self.begun.is_empty() && bytes.ends_with(END) {
            return Some(bytes);
        }
        self.begun.extend_from_slice(&bytes);
        let end = memchr::memmem::rfind(&self.begun, END)? + END.len();
        Some(self.begun.split_to(end).freeze())
    }

    /// Notes what is answered by these bytes.
    fn note(&mut self, bytes: &Bytes) {
        if self.asks.is_empty() {
            return;
        }
        let asks = &mut self.asks;
        let answered = |event: sse::Event| {
            let message = Message::parse(event.data).ok();
            if let Some(id) = message.as_ref().and_then(Message::response_id) {
                asks.retain(|ask| ask.canonical() != id.canonical());
            }
        };
        if let Err(fault) = self.decoder.feed(bytes, answered) {
            tracing::debug!(%fault, "an event of another replica");
        }
    }

    /// What is said to those who wait for what nobody knows any more.
    fn lost(&self) -> Bytes {
        let wire = reply::wire_for(&CallError::ReplicaLost, self.era);
        let mut out = BytesMut::new();
        for ask in &self.asks {
            sse::write_message(&wire.body(Some(ask)), &mut out);
        }
        out.freeze()
    }
}

/// Says that a request is not for this replica.
pub(super) fn misdirected(to: Option<&str>) -> Response<ReplyBody> {
    let mut response = heads::json(StatusCode::MISDIRECTED_REQUEST, Bytes::from_static(b"{}"));
    response.headers_mut().remove(CONTENT_TYPE);
    if let Some(to) = to.and_then(|to| to.parse().ok()) {
        response.headers_mut().insert(MOVED_TO.clone(), to);
    }
    response
}
