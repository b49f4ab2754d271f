//! An answer whose head has not come yet, although the server has already said something of its call on the session's
//! own stream: asked for something, for one, which must be answered before there will be a head.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcp::jsonrpc::Message;
use transport::http::client::Reply;

use super::stream::LegacyCall;
use super::{HttpWire, Session};
use crate::reply::CallError;
use crate::upstream::backlog::Said;

type Waiting<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// What came first of a legacy call.
pub(crate) enum First {
    /// The head of its answer, as usual.
    Head(Result<Reply, CallError>),
    /// Something on the session's stream.
    Said(Early),
}

/// The rest of an answer whose head has not come yet.
pub(crate) struct Early {
    said: Option<Said>,
    rest: Rest,
}

enum Rest {
    Head(Waiting<Reply>),
    Body(Waiting<Message>, StatusCode),
}

/// How it goes on.
pub(super) enum Opened {
    /// Something more on the session's stream.
    Said(Said),
    /// A stream.
    Stream(Reply),
    /// The whole answer.
    Whole(Message, StatusCode),
}

/// Sends a legacy call, and waits for what comes first.
pub(crate) async fn send(
    wire: &Arc<HttpWire>,
    call: &mut LegacyCall,
    headers: HeaderMap,
    body: Bytes,
) -> First {
    let posting = Arc::clone(wire);
    let mut head: Waiting<Reply> = Box::pin(async move { posting.post(headers, body).await });
    tokio::select! {
        biased;
        reply = &mut head => First::Head(reply),
        Some(said) = call.strayed.next() => First::Said(Early { said: Some(said), rest: Rest::Head(head) }),
    }
}

impl Early {
    /// Waits for what comes next. Safe to drop while waiting.
    pub(super) async fn next(
        &mut self,
        wire: &Arc<HttpWire>,
        call: (&Arc<Session>, &mut super::strays::Strayed),
    ) -> Result<Opened, CallError> {
        if let Some(said) = self.said.take() {
            return Ok(Opened::Said(said));
        }
        let (session, strayed) = call;
        loop {
            tokio::select! {
                biased;
                Some(said) = strayed.next() => return Ok(Opened::Said(said)),
                rest = self.rest.wait() => match rest? {
                    Came::Body(message, status) => return Ok(Opened::Whole(message, status)),
                    Came::Head(reply) => match self.read(wire, session, reply)? {
                        Some(stream) => return Ok(Opened::Stream(stream)),
                        None => continue,
                    },
                },
            }
        }
    }

    /// What an answer's head says: a stream, or a body that is read then.
    fn read(
        &mut self,
        wire: &Arc<HttpWire>,
        session: &Arc<Session>,
        mut reply: Reply,
    ) -> Result<Option<Reply>, CallError> {
        let (status, media) = (reply.status(), reply.media_type());
        if status == StatusCode::NOT_FOUND && session.has_id() {
            wire.lost(session);
        }
        match media.as_deref() {
            Some("text/event-stream") if status.is_success() => Ok(Some(reply)),
            Some("application/json") => {
                let (wire, session) = (Arc::clone(wire), Arc::clone(session));
                let body: Waiting<Message> =
                    Box::pin(async move { wire.read_answer(&mut reply, Some(&session)).await });
                self.rest = Rest::Body(body, status);
                Ok(None)
            }
            media => Err(wire.status_fault(status, media)),
        }
    }
}

enum Came {
    Head(Reply),
    Body(Message, StatusCode),
}

impl Rest {
    async fn wait(&mut self) -> Result<Came, CallError> {
        match self {
            Self::Head(head) => head.await.map(Came::Head),
            Self::Body(body, status) => Ok(Came::Body(body.await?, *status)),
        }
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Early").finish_non_exhaustive()
    }
}
