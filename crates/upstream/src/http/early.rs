//! An answer whose head has not come yet, although the server has already said something of its call on the session's
//! own stream: asked for something, for one, which must be answered before there will be a head.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use base::error::CallError;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcp::jsonrpc::Message;
use transport::http::client::Reply;

use super::legacy_call::LegacyCall;
use super::reading::{self, Reading};
use super::{HttpWire, Session};
use crate::backlog::Said;

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// What came first of a legacy call.
pub(crate) enum CallStart {
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
    Head(Pending<Reply>),
    Reading(Pending<Reading>),
    /// All that is to come comes on the session's stream.
    Nothing,
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
) -> CallStart {
    let posting = Arc::clone(wire);
    let mut head: Pending<Reply> = Box::pin(async move { posting.post(headers, body).await });
    tokio::select! {
        biased;
        reply = &mut head => CallStart::Head(reply),
        Some(said) = call.routed.next() => CallStart::Said(Early { said: Some(said), rest: Rest::Head(head) }),
    }
}

/// Waits for what a server says on the session's stream of a call that it has taken without answering it.
pub(crate) async fn taken(wire: &Arc<HttpWire>, call: &mut LegacyCall) -> Result<Early, CallError> {
    call.session.ensure_get_stream(wire).await?;
    let session = Arc::clone(&call.session);
    tokio::select! {
        biased;
        Some(said) = call.routed.next() => Ok(Early { said: Some(said), rest: Rest::Nothing }),
        () = session.gone() => {
            let why = "the session in which it would have answered is gone".to_owned();
            Err(CallError::BrokeOff { upstream: wire.shared.plan.name.clone(), why: why.into() })
        }
    }
}

impl Early {
    /// Waits for what comes next. Cancel safe.
    pub(super) async fn next(
        &mut self,
        wire: &Arc<HttpWire>,
        call: (&Arc<Session>, &mut super::session_router::RoutedMessages),
        id: u64,
    ) -> Result<Opened, CallError> {
        if let Some(said) = self.said.take() {
            return Ok(Opened::Said(said));
        }
        let (session, routed) = call;
        loop {
            tokio::select! {
                biased;
                Some(said) = routed.next() => return Ok(Opened::Said(said)),
                rest = self.rest.wait() => match rest? {
                    Came::Head(reply) => self.read((wire, session), id, reply),
                    Came::Reading(Reading::Stream(reply)) => return Ok(Opened::Stream(reply)),
                    Came::Reading(Reading::Response(message, status)) => return Ok(Opened::Whole(message, status)),
                    Came::Reading(Reading::Taken) => self.rest = Rest::Nothing,
                    // Something was said of the call, so it was begun.
                    Came::Reading(Reading::Refused(refusal)) => {
                        let (message, status) = refusal.stands(wire).map_err(|failed| failed.error)?;
                        return Ok(Opened::Whole(message, status));
                    }
                },
            }
        }
    }

    /// What the answer's head begins is read next.
    fn read(&mut self, (wire, session): (&Arc<HttpWire>, &Arc<Session>), id: u64, reply: Reply) {
        let (wire, session) = (Arc::clone(wire), Arc::clone(session));
        self.rest = Rest::Reading(Box::pin(async move {
            let reading = reading::read(&wire, &session, reply, id).await.map_err(|failed| failed.error)?;
            if matches!(reading, Reading::Taken) {
                session.ensure_get_stream(&wire).await?;
            }
            Ok(reading)
        }));
    }
}

enum Came {
    Head(Reply),
    Reading(Reading),
}

impl Rest {
    async fn wait(&mut self) -> Result<Came, CallError> {
        match self {
            Self::Head(head) => head.await.map(Came::Head),
            Self::Reading(reading) => reading.await.map(Came::Reading),
            Self::Nothing => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Early").finish_non_exhaustive()
    }
}
