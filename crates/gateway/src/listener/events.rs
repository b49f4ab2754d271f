//! Responses that are streams of server-sent events. An idle one says every now and then that it is alive.

use base::aside::LARGE;
use bytes::{Bytes, BytesMut};
use futures_util::stream::iter;
use futures_util::{Stream, StreamExt as _};
use http::Response;
use mcp::sse;
use replay::Recorder;
use tokio::time::{Duration, timeout};
use transport::http::body::{Pieces, ReplyBody};

use super::heads;
use crate::bridge::listening::SeatedReader;
use crate::flow::Listening;

/// How long a client shall wait before it comes back, in milliseconds: as long as the SDKs wait when they are not told.
const COME_BACK_AFTER: u64 = 1000;

/// A stream of messages that is recorded, so that its client can come back for it.
pub(crate) fn recorded(
    recorder: &Recorder,
    messages: impl Stream<Item = Bytes> + Send + 'static,
    keep_alive: Duration,
) -> Response<ReplyBody> {
    match recorder.record(messages) {
        Ok(reader) => read(reader.into(), recorder.primes, keep_alive),
        // Nothing is said of coming back to a stream to which nobody can.
        Err(messages) => {
            let events = messages.flat_map(|message| event(None, message.into()));
            stream(events, Some(comment()), keep_alive)
        }
    }
}

/// What a reader of a recording gets, from where it begins.
pub(crate) fn read(reader: SeatedReader, primes: bool, keep_alive: Duration) -> Response<ReplyBody> {
    // Each connection is primed, those of clients that came back included: some forget where they were.
    let first = if primes {
        let mut out = BytesMut::new();
        sse::write_primer(&reader.began(), COME_BACK_AFTER, &mut out);
        out.freeze()
    } else {
        comment()
    };
    let events = futures_util::stream::unfold(reader, |mut reader| async move {
        let (id, message) = reader.next().await?;
        Some((event(Some(&id), message.into()), reader))
    });
    stream(events.flatten(), Some(first), keep_alive)
}

/// A subscription stream. There may be very many, and nearly always they say nothing, so this holds what it must.
pub(crate) fn listen(listening: Listening, keep_alive: Duration) -> Response<ReplyBody> {
    let chunks = futures_util::stream::unfold(listening, move |mut listening| async move {
        let chunk = match timeout(keep_alive, listening.next()).await {
            Ok(message) => short(None, &message?),
            Err(_elapsed) => comment(),
        };
        Some((chunk, listening))
    });
    heads::stream(ReplyBody::Stream(Box::pin(chunks)))
}

/// A message as an event. A long one is not copied: who reads slowly would hold it twice, and nobody would count that.
pub(crate) fn event(id: Option<&str>, message: Pieces) -> impl Stream<Item = Bytes> + Send + use<> {
    if message.len() < LARGE as u64 {
        return iter(std::iter::once(short(id, &message.text()))).left_stream();
    }
    iter(sse::message_chunks(id, message.into_pieces())).right_stream()
}

/// A message that is not long, as an event.
fn short(id: Option<&str>, message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    match id {
        None => sse::write_message(message, &mut out),
        Some(id) => sse::write_message_with_id(id, message, &mut out),
    }
    out.freeze()
}

/// What means nothing, but lets a head through that something on the way holds back.
pub(crate) fn comment() -> Bytes {
    let mut out = BytesMut::new();
    sse::write_comment(&mut out);
    out.freeze()
}

/// A response of these events.
pub(crate) fn stream(
    events: impl Stream<Item = Bytes> + Send + 'static,
    first: Option<Bytes>,
    keep_alive: Duration,
) -> Response<ReplyBody> {
    heads::stream(body(events, first, keep_alive))
}

/// A body of these events, with a comment whenever none has come for a while.
pub(crate) fn body(
    events: impl Stream<Item = Bytes> + Send + 'static,
    first: Option<Bytes>,
    keep_alive: Duration,
) -> ReplyBody {
    let chunks =
        futures_util::stream::unfold((Box::pin(events), first), move |(mut events, first)| async move {
            if let Some(first) = first {
                return Some((first, (events, None)));
            }
            let chunk = match timeout(keep_alive, events.next()).await {
                Ok(event) => event?,
                Err(_elapsed) => comment(),
            };
            Some((chunk, (events, None)))
        });
    ReplyBody::Stream(Box::pin(chunks))
}
