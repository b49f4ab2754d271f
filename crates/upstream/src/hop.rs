//! The span of a request to a server, where anybody follows calls: begun when it is about to be sent, so that the server hears of it;
//! ended with its answer. Each time that a call is sent again is a request of its own.

use std::borrow::Cow;
use std::sync::Arc;

use base::error::CallError;
use base::reply;
use base::traces::{Carrier, Sent, Span, SpanEnd};
use mcp::method::Method;
use mcp::trace::Trace;

use crate::arrival::Arrival;
use crate::failed::Failed;
use crate::http::HttpWire;
use crate::link::{Link, Transport};
use crate::order::Order;
use crate::shared::Shared;

/// What follows one request; nothing where nobody does.
pub(crate) type Hop = Option<Box<dyn Span>>;

/// Begins to follow a request. Streams of changes and questions how a server is are not followed: the ones have no end, the others
/// are nobody's.
pub(crate) fn begin(
    (shared, upstream): (&Shared, &Arc<str>),
    order: &Order<'_>,
    (link, id): (&Link, u64),
    wire: Option<&HttpWire>,
) -> Hop {
    let traces = shared.world.sinks.traces()?;
    if order.listens || order.probes {
        return None;
    }
    let name = order.subject.or_else(|| order.call.subject().map(|subject| &*subject.text));
    let theirs =
        if order.span.is_some() { None } else { order.trace.places(order.call.meta_object().as_ref()).0 };
    let reach = wire.map(HttpWire::reach);
    let socket = reach.and_then(|reach| reach.client.socket.as_ref());
    let url = reach.filter(|_| socket.is_none()).map(|reach| reach.destination.url());
    let address = url.and_then(|url| {
        let default = if url.scheme_str() == Some("https") { 443 } else { 80 };
        Some((url.host()?, url.port_u16().unwrap_or(default)))
    });
    let carrier = match (link.transport, socket) {
        (Transport::Stdio | Transport::Own, _) => Carrier::Pipe,
        (Transport::StreamableHttp | Transport::Sse, None) => Carrier::Http,
        (Transport::StreamableHttp | Transport::Sse, Some(_)) => Carrier::Unix,
    };
    Some(traces.sent(&Sent {
        method: order.call.method_name(),
        parent: order.span.or(theirs.as_ref()),
        is_remote: order.span.is_none(),
        thing: name.filter(|_| order.is_listed).map(|name| (order.call.kind(), name)),
        id,
        revision: link.revision.name,
        upstream,
        address,
        carrier,
    }))
}

/// The trace that a server hears of: the place of our span, or else what the client has said.
pub(crate) fn trace<'o>(hop: &Hop, order: &'o Order<'_>) -> Cow<'o, Trace> {
    match hop.as_ref().and_then(|span| span.place()) {
        Some(place) => Cow::Owned(Trace::ours(place)),
        None => Cow::Borrowed(&order.trace),
    }
}

/// It could not be sent, or has no answer.
pub(crate) fn failed(hop: Hop, failed: &Failed) {
    if let Some(mut span) = hop {
        span.ends(reply::span_end(&failed.error));
    }
}

/// It was not sent, for its conversation was over.
pub(crate) fn unsent(hop: Hop) {
    if let Some(mut span) = hop {
        span.ends(SpanEnd::Failed("session_lost", None));
    }
}

/// Something has come of it.
pub(crate) fn heard(hop: &mut Hop, arrival: &Result<Arrival, CallError>, method: Option<&'static Method>) {
    let Some(span) = hop else { return };
    match arrival {
        Ok(Arrival::Response(response)) => span.ends(SpanEnd::of(&response.message, method)),
        Ok(_) => return,
        Err(error) => span.ends(reply::span_end(error)),
    }
    *hop = None;
}
