//! How messages go out: each is a POST of its own, and many are under way at once, because a server may take its time to
//! answer one. What must not overtake another message waits for it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::HeaderMap;
use mcp::answer;
use mcp::jsonrpc::Id;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transport::http::client::{Destination, Jar};

use super::{PostFault, Target};
use crate::pipe::Pipe;
use crate::pipe::ends::{Outgoing, Outlet};

/// The most bytes of the reply to a POST that are read.
pub(super) const REPLY_BYTES: usize = 64 * 1024;
/// The most POSTs under way.
const MOST_UNDER_WAY: usize = 1_024;
/// How long a cancel waits for its request to be taken. A server that holds replies back until a call is done has read
/// the request by then.
const TAKEN_WITHIN: Duration = Duration::from_millis(50);

/// Where messages are POSTed to.
pub(super) struct Poster {
    pub(super) to: Arc<Target>,
    pub(super) endpoint: Destination,
    pub(super) jar: Jar,
}

type Sending = Pin<Box<dyn Future<Output = Option<u64>> + Send>>;

impl Outlet for Poster {
    async fn run(self, mut outgoing: mpsc::Receiver<Outgoing>, pipe: Pipe) -> String {
        let poster = Arc::new(self);
        let mut sending: FuturesUnordered<Sending> = FuturesUnordered::new();
        let mut under_way: HashMap<u64, CancellationToken> = HashMap::new();
        loop {
            let next = tokio::select! {
                Some(sent) = sending.next(), if !sending.is_empty() => {
                    if let Some(id) = sent {
                        under_way.remove(&id);
                    }
                    continue;
                }
                next = outgoing.recv(), if sending.len() < MOST_UNDER_WAY => next,
            };
            match next {
                None => return "nobody writes any more".to_owned(),
                Some(Outgoing::Request { id, headers, body }) => {
                    let taken = CancellationToken::new();
                    under_way.insert(id, taken.clone());
                    let (poster, pipe) = (Arc::clone(&poster), pipe.clone());
                    sending.push(Box::pin(async move {
                        let _taken = taken.drop_guard();
                        poster.request(id, headers, body, &pipe).await;
                        Some(id)
                    }));
                }
                Some(Outgoing::Cancel { id, body }) => {
                    let (poster, taken) = (Arc::clone(&poster), under_way.get(&id).cloned());
                    let pipe = pipe.clone();
                    sending.push(Box::pin(async move {
                        if let Some(taken) = taken {
                            drop(timeout(TAKEN_WITHIN, taken.cancelled()).await);
                        }
                        poster.word(body, &pipe).await;
                        None
                    }));
                }
                Some(Outgoing::Word(body)) => {
                    // Meanwhile nothing else is sent, but what is under way goes on.
                    let mut word = std::pin::pin!(poster.word(body, &pipe));
                    loop {
                        tokio::select! {
                            () = &mut word => break,
                            Some(sent) = sending.next(), if !sending.is_empty() => {
                                if let Some(id) = sent {
                                    under_way.remove(&id);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Poster {
    async fn request(&self, id: u64, headers: HeaderMap, body: Bytes, pipe: &Pipe) {
        let within = self.to.shared.plan.deadlines.call_max;
        // A call has deadlines of its own; this is for a server that never answers the POST, which is not its answer.
        let sent = timeout(within, self.to.post((&self.endpoint, &self.jar), headers, body)).await;
        let Ok(Err(PostFault { error, session_lost, untold })) = sent else { return };
        if untold {
            // Its answer does not come here, so it may come all the same. If the server is gone, so is the stream.
            let upstream = &self.to.shared.plan.name;
            tracing::debug!(upstream, %error, "whether a request was taken is not known; its answer is waited for");
            return;
        }
        pipe.fail(id, error);
        if session_lost {
            pipe.close("it no longer knows the session");
        }
    }

    async fn word(&self, body: Bytes, pipe: &Pipe) {
        let within = self.to.shared.plan.deadlines.connect;
        let sent = timeout(within, self.to.post((&self.endpoint, &self.jar), HeaderMap::new(), body)).await;
        let upstream = &self.to.shared.plan.name;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(PostFault { error, session_lost, .. })) => {
                tracing::debug!(upstream, %error, "could not be told");
                if session_lost {
                    drop(timeout(within, self.doubt(pipe)).await);
                }
            }
            Err(_elapsed) => tracing::debug!(upstream, "could not be told within {within:?}"),
        }
    }

    /// It may only be the word that the server does not take. Refused too, a request that does nothing ends the conversation.
    async fn doubt(&self, pipe: &Pipe) {
        let id = self.to.shared.next_id();
        let ping = answer::request_message(&Id::number(id), "ping", None);
        self.request(id, HeaderMap::new(), ping, pipe).await;
    }
}
