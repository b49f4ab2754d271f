//! A call's steps as an HTTP response: one JSON message, or server-sent events as soon as there is anything to say.

use std::pin::pin;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Response, StatusCode};
use mcp::answer::error_message;
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::method::Method;
use mcp::reject::code;
use mcp::version::Era;
use replay::Recorder;
use tokio::time::{Duration, timeout};
use tokio_util::task::TaskTracker;
use transport::http::body::{Pieces, ReplyBody};

use super::{events, heads};
use crate::flow::{Last, Step, Steps};

/// How long a legacy client waits for the head of a response.
pub(super) const HEAD_WITHIN: Duration = Duration::from_millis(700);

/// How a call's client wants its response.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) id: Id,
    pub(crate) era: Era,
    pub(crate) method: Option<&'static Method>,
    /// Whether it can read server-sent events; if not, it gets the response alone.
    pub(crate) reads_events: bool,
    pub(crate) keep_alive: Duration,
    /// Where a call that streams goes on by itself.
    pub(crate) tasks: TaskTracker,
    /// Records the stream of a client that may come back for it.
    pub(crate) recorder: Option<Box<Recorder>>,
}

/// Answers a call.
pub(crate) async fn respond(mut steps: Steps, delivery: Delivery) -> Response<ReplyBody> {
    if !delivery.reads_events {
        if delivery.method.is_some_and(|method| method.name == "subscriptions/listen") {
            let text = "Accept must list text/event-stream: a subscription is a stream";
            return heads::json(
                StatusCode::NOT_ACCEPTABLE,
                error_message(Some(&delivery.id), code::INVALID_REQUEST, text, None),
            );
        }
        return match wait_for_last(&mut steps).await {
            ResponseStart::Whole(last) => whole(last, &delivery),
            // Whoever declared that it can be asked must be able to hear it: clients MUST accept both media types
            // (2025-11-25 `basic/transports` §Sending Messages to the Server, 2).
            ResponseStart::Stream(first) => events(steps, first.map(First::Message), delivery),
            ResponseStart::Gone => cancelled(),
        };
    }
    // An intermediary may hold the head back until the first byte, and a silent connection is cut: past the first
    // interval the response becomes a stream.
    // Legacy clients and what stands before them give up sooner, and only from a stream can they come back.
    let silent = match delivery.era {
        Era::Legacy => delivery.keep_alive.min(HEAD_WITHIN),
        Era::Modern => delivery.keep_alive,
    };
    // Pinned where it lies: given to the timer by value it would be moved, and it is large.
    let begun = {
        let begun = pin!(begin(&mut steps));
        timeout(silent, begun).await
    };
    match begun {
        Ok(ResponseStart::Whole(last)) => whole(last, &delivery),
        Ok(ResponseStart::Stream(first)) => events(steps, first.map(First::Message), delivery),
        Ok(ResponseStart::Gone) => cancelled(),
        Err(_elapsed) => events(steps, Some(First::Comment), delivery),
    }
}

/// What a client gets that has cancelled its call: there is no response to it (2025-11-25 `utilities/cancellation`).
pub(crate) fn cancelled() -> Response<ReplyBody> {
    heads::stream(ReplyBody::empty())
}

/// What a stream begins with.
enum First {
    Message(Bytes),
    Comment,
}

enum ResponseStart {
    Whole(Last),
    Stream(Option<Bytes>),
    Gone,
}

async fn begin(steps: &mut Steps) -> ResponseStart {
    loop {
        match steps.next().await {
            Some(Step::Begun { streams: true }) => return ResponseStart::Stream(None),
            Some(Step::Begun { streams: false }) => {}
            Some(Step::Notice(bytes) | Step::Ask(bytes)) => return ResponseStart::Stream(Some(bytes)),
            Some(Step::Last(last)) => return ResponseStart::Whole(last),
            None => return ResponseStart::Gone,
        }
    }
}

async fn wait_for_last(steps: &mut Steps) -> ResponseStart {
    loop {
        match steps.next().await {
            Some(Step::Last(last)) => return ResponseStart::Whole(last),
            Some(Step::Ask(bytes)) => return ResponseStart::Stream(Some(bytes)),
            Some(Step::Begun { .. } | Step::Notice(_)) => {}
            None => return ResponseStart::Gone,
        }
    }
}

/// One JSON message.
fn whole(last: Last, delivery: &Delivery) -> Response<ReplyBody> {
    match last {
        Last::Message(message, status) => {
            let status = match delivery.era {
                // Legacy clients take a 4xx for a fault of the transport and never read the error in it.
                Era::Legacy => StatusCode::OK,
                Era::Modern => status.filter(|s| !s.is_success()).unwrap_or_else(|| status_of(&message)),
            };
            heads::json(status, message.bytes().clone())
        }
        Last::Built(text) => heads::json(StatusCode::OK, text),
        Last::Error(wire) => heads::error_of(&wire, Some(&delivery.id), delivery.era),
        Last::Ended(bytes) => heads::json(StatusCode::OK, bytes),
    }
}

/// The status that a server's error has when it did not come by HTTP. Source: MCP 2026-07-28 `basic` §Error Codes.
fn status_of(message: &Message) -> StatusCode {
    match message.kind() {
        MessageKind::Error(parts) if parts.code == code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        MessageKind::Error(parts) if code::is_modern(parts.code) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

fn events(steps: Steps, first: Option<First>, delivery: Delivery) -> Response<ReplyBody> {
    let steps = match first {
        None => match steps.listening() {
            Ok(listening) => return events::listen(listening, delivery.keep_alive),
            Err(steps) => steps,
        },
        Some(_) => steps,
    };
    // From here on the connection is read at the client's pace, and the call must not be.
    let steps = steps.driven(&delivery.tasks);
    let (comment, first) = match first {
        None => (None, None),
        Some(First::Comment) => (Some(events::comment()), None),
        Some(First::Message(message)) => (None, Some(message)),
    };
    let (keep_alive, recorder) = (delivery.keep_alive, delivery.recorder.clone());
    let messages = messages(steps, first, delivery);
    match recorder {
        Some(recorder) => {
            let memory = recorder.memory.clone();
            let messages = messages.map(move |message| message.counted_text(&memory));
            events::recorded(&recorder, messages, keep_alive)
        }
        None => {
            events::stream(messages.flat_map(|message| events::event(None, message)), comment, keep_alive)
        }
    }
}

/// What a call says, up to its response.
fn messages(
    steps: Steps,
    first: Option<Bytes>,
    delivery: Delivery,
) -> impl futures_util::Stream<Item = Pieces> + Send {
    let running = (Some(steps), delivery);
    let rest = futures_util::stream::unfold(running, |(mut steps, delivery)| async move {
        loop {
            match steps.as_mut()?.next().await? {
                Step::Begun { .. } => {}
                Step::Notice(bytes) | Step::Ask(bytes) => {
                    return Some((Pieces::from(bytes), (steps, delivery)));
                }
                Step::Last(last) => return Some((body(last, &delivery), (None, delivery))),
            }
        }
    });
    futures_util::stream::iter(first.map(Pieces::from)).chain(rest)
}

/// The text of a response.
pub(crate) fn body(last: Last, delivery: &Delivery) -> Pieces {
    match last {
        Last::Message(message, _) => message.bytes().clone().into(),
        Last::Built(text) => text,
        Last::Error(wire) => wire.body(Some(&delivery.id)).into(),
        Last::Ended(bytes) => bytes.into(),
    }
}
