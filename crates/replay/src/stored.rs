//! Streams that outlive the replica that writes them: what is said on one is in the store before its client hears it.

use std::sync::Arc;

use base::error::CallError;
use base::plan::Limits;
use base::reply;
use bytes::Bytes;
use mcp::json;
use mcp::jsonrpc::{Id, Message};
use mcp::version::Era;
use store::sessions::If;
use store::streams::{Event, Events, Kept};
use store::{Store, StoreFault};
use tokio::time::Duration;

/// How many events are read at once.
const READ: usize = 256;

/// Where the streams of one session last.
#[derive(Debug, Clone)]
pub struct StoredStreams {
    /// What the replicas share.
    pub store: Arc<Store>,
    /// The session's secret name.
    pub session: Arc<str>,
    /// How long the session may still go on.
    pub keep: Duration,
    /// How much is kept of a stream, and for how long.
    pub limits: Limits,
}

/// A stream as the store has it.
#[derive(Debug)]
pub(crate) struct Recalled {
    /// What was said after the position that was asked for.
    pub(crate) messages: Vec<Bytes>,
}

impl StoredStreams {
    fn kept(&self) -> Kept {
        let Limits { replay_events: events, replay_bytes: bytes, replay_for: time, .. } = self.limits;
        Kept { events, bytes, time }
    }

    fn fact(stream: &str) -> String {
        format!("stream:{stream}")
    }

    /// A stream begins that answers these requests. Without that, it lasts as long as this replica.
    pub(crate) async fn begin(&self, stream: &str, asks: &[Id]) -> bool {
        let asks: Vec<_> = asks.iter().map(|ask| ask.raw().to_owned()).collect();
        let value = format!("[{}]", asks.join(","));
        let fact = Self::fact(stream);
        let put = self.store.put_fact((&self.session, &fact), value.as_bytes(), self.keep, If::Any).await;
        told(put.map(|put| put.is_some()))
    }

    /// Something is about to be said, as the event of this number.
    pub(crate) async fn say(&self, stream: &str, sequence: u64, message: &Bytes) -> bool {
        let Ok(sequence) = i64::try_from(sequence) else { return false };
        let event = Event { sequence, value: message.to_vec() };
        told(self.store.append(stream, &event, self.kept()).await.map(|_| true))
    }

    /// It ends after the event of that number.
    pub(crate) async fn end(&self, stream: &str, last: u64) {
        let Ok(last) = i64::try_from(last) else { return };
        told(self.store.end_stream(stream, last, self.kept()).await.map(|_| true));
    }

    /// What was said on a stream of this session after a position by a replica that is gone. Whatever was not answered then
    /// never will be, and the stream ends with that.
    pub(crate) async fn recall(&self, stream: &str, after: u64) -> Result<Option<Recalled>, CallError> {
        let away = |fault: StoreFault| CallError::store_away("a stream", &fault);
        let store = &self.store;
        // That it is a stream of this session is what this fact says.
        let fact = store.fact((&self.session, &Self::fact(stream))).await.map_err(away)?;
        let Some(fact) = fact.and_then(|fact| String::from_utf8(fact.value).ok()) else { return Ok(None) };
        let asks = json::array(&fact).unwrap_or_default();
        let mut asks: Vec<Id> = asks.into_iter().filter_map(Id::parse).collect();
        let Ok(after) = i64::try_from(after) else { return Ok(None) };
        let (mut at, mut messages) = (after, Vec::new());
        loop {
            let read = store.events_after(stream, at, READ).await.map_err(away)?;
            let Events::Next { events, ended } = read else { return Ok(None) };
            for event in &events {
                at = event.sequence;
                messages.push(Bytes::copy_from_slice(&event.value));
            }
            if ended {
                return Ok(Some(Recalled { messages }));
            }
            if events.is_empty() {
                break;
            }
        }
        let answered = messages.iter().filter_map(|text| Message::parse(text.clone()).ok());
        let answered: Vec<_> =
            answered.filter_map(|message| message.response_id().map(Id::canonical)).collect();
        asks.retain(|ask| !answered.contains(&ask.canonical()));
        let wire = reply::wire_for(&CallError::ReplicaLost, Era::Legacy);
        for ask in &asks {
            at += 1;
            let lost = wire.body(Some(ask));
            let event = Event { sequence: at, value: lost.to_vec() };
            store.append(stream, &event, self.kept()).await.map_err(away)?;
            messages.push(lost);
        }
        store.end_stream(stream, at, self.kept()).await.map_err(away)?;
        Ok(Some(Recalled { messages }))
    }
}

/// Whether it was done; if not, somebody should know.
fn told(done: Result<bool, StoreFault>) -> bool {
    done.unwrap_or_else(|fault| {
        tracing::warn!("a stream does not last: {fault}");
        false
    })
}
