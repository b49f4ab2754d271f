//! The modern era: every request stands for itself, and a client that goes away has cancelled its call.
//!
//! Source: MCP 2026-07-28 `basic/transports/streamable-http`, `basic/transports/stdio`, `basic/patterns`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use http::{HeaderMap, Response, StatusCode};
use mcp::answer::error_message;
use mcp::call::Call;
use mcp::inbound;
use mcp::json::{self, Object};
use mcp::jsonrpc::{Message, MessageKind};
use mcp::listen::Filter;
use mcp::meta::{PROTOCOL_VERSION, SUBSCRIPTION_ID};
use mcp::reject::{Reject, code};
use mcp::sse;
use mcp::version::{self, Era, Revision};
use tokio::sync::mpsc;
use tokio::time::timeout;
use transport::http::body::ReplyBody;

use crate::answer::{Answer, Refusal};
use crate::calls::{Calls, Ticket};
use crate::http::replies::{self, KEEP_ALIVE};
use crate::live::{Asking, Line, LiveCall, Origin, Said, line};
use crate::methods;
use crate::rounds::Rounds;
use crate::server::{self, Server};

/// Answers a POST.
pub(crate) async fn post(server: &Arc<Server>, headers: HeaderMap, message: Message) -> Response<ReplyBody> {
    if matches!(message.kind(), MessageKind::Notification(_)) {
        // None is defined over HTTP, and one that nobody knows is no error.
        return replies::accepted();
    }
    let (line, said) = line();
    let cancelled = server.stop.child_token();
    // Dropped with the response: whoever closes its stream has cancelled the call.
    let gone = cancelled.clone().drop_guard();
    match read(server, &headers, message.clone()) {
        Ok(call) => match begin(server, call, headers, line, Ticket::unnamed(cancelled)) {
            Ok(()) => respond(server, said, gone).await,
            Err(refusal) => refuse(&message, &refusal),
        },
        Err(refusal) => refuse(&message, &refusal),
    }
}

fn read(server: &Server, headers: &HeaderMap, message: Message) -> Result<Call, Refusal> {
    let call = inbound::modern_http(headers, message)?;
    let tool = call.subject().filter(|_| call.method_name() == "tools/call");
    if let Some(mirrored) = tool.and_then(|tool| server.mirrored(&tool.text)) {
        mirrored.check(headers, call.arguments()).map_err(|fault| Reject::HeaderMismatch {
            header: fault.header().to_string(),
            why: fault.to_string(),
        })?;
    }
    Ok(call)
}

/// Answers a request that came over stdio, on `line`.
pub(crate) fn request(
    server: &Arc<Server>,
    message: Message,
    line: &Line,
    calls: &Arc<Calls>,
) -> Result<(), Refusal> {
    let call = inbound::modern_stdio(message)?;
    let ticket = calls.enter(call.id(), &server.stop)?;
    begin(server, call, HeaderMap::new(), line.clone(), ticket)
}

fn begin(
    server: &Arc<Server>,
    call: Call,
    headers: HeaderMap,
    line: Line,
    ticket: Ticket,
) -> Result<(), Refusal> {
    let asking = Asking::ByRetry(Rounds::read(&call, &server.seal)?);
    let origin = Origin { revision: revision_of(&call), headers };
    LiveCall::new(server, call, origin, asking, line).start(ticket, answer);
    Ok(())
}

/// The revision that a call names; that it is a modern one was checked when it was read.
fn revision_of(call: &Call) -> &'static Revision {
    let meta = call.meta().and_then(|raw| Object::parse(raw).ok());
    let named = meta.and_then(|meta| meta.string(PROTOCOL_VERSION).ok().flatten());
    named.and_then(|name| version::find(&name)).unwrap_or_else(|| version::newest(Era::Modern))
}

async fn answer(live: LiveCall) -> Result<Answer, Refusal> {
    match live.call.method_name() {
        "server/discover" => Ok(discover()),
        "subscriptions/listen" => listen(live).await,
        _ => methods::answer(live).await,
    }
}

fn discover() -> Answer {
    let versions: Vec<_> = version::names(Era::Modern).map(json::quote).collect();
    Answer::complete(format!(
        r#""supportedVersions":[{}],"capabilities":{},"instructions":{}"#,
        versions.join(","),
        server::capabilities(),
        json::quote(server::INSTRUCTIONS)
    ))
    .fresh(methods::CONSTANT)
}

/// Tells of changes until the client goes away or the server ends. Source: `basic/patterns/subscriptions`.
async fn listen(live: LiveCall) -> Result<Answer, Refusal> {
    let filter = server::honoured(&Filter::read(live.call.params())?);
    let stream = live.call.id().clone();
    // Before the acknowledgement, so that nothing is lost between the two.
    let mut changes = live.server.world.follow();
    let _counted = live.server.world.listens.count();
    live.notify("notifications/subscriptions/acknowledged", &filter.acknowledgement(&stream)).await;
    loop {
        let changed = tokio::select! {
            changed = changes.next() => changed,
            () = live.server.drain.cancelled() => break,
        };
        for change in changed {
            if let Some(notification) = change.notification(&filter, Some(&stream)) {
                live.send(notification).await;
            }
        }
    }
    Ok(Answer::complete("").with_meta(format!(r#""{SUBSCRIPTION_ID}":{}"#, stream.raw())))
}

/// JSON if the call says nothing before its answer, else an event stream.
async fn respond(
    server: &Arc<Server>,
    mut said: mpsc::Receiver<Said>,
    gone: impl Send + 'static,
) -> Response<ReplyBody> {
    let first = loop {
        match said.recv().await {
            Some(Said::Answer(status, message)) => return replies::json(status, message),
            Some(Said::Message(message)) => break message,
            // To close the stream would cancel the call.
            Some(Said::HangUp) => {}
            // Only a server that ends at once cancels a call whose client is there.
            None => {
                let message = error_message(None, code::INTERNAL_ERROR, "the server is shutting down", None);
                return replies::json(StatusCode::SERVICE_UNAVAILABLE, message);
            }
        }
    };
    let held = (gone, server.world.streams.count());
    replies::events(unfold((Some(first), said, held), |(first, mut said, held)| async {
        let bytes = match first {
            Some(message) => event(&message),
            None => next_event(&mut said).await?,
        };
        Some((bytes, (None, said, held)))
    }))
}

async fn next_event(said: &mut mpsc::Receiver<Said>) -> Option<Bytes> {
    loop {
        match timeout(KEEP_ALIVE, said.recv()).await {
            Ok(Some(Said::Message(message) | Said::Answer(_, message))) => return Some(event(&message)),
            Ok(Some(Said::HangUp)) => {}
            Ok(None) => return None,
            Err(_elapsed) => return Some(replies::comment()),
        }
    }
}

fn event(message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    sse::write_message(message, &mut out);
    out.freeze()
}

fn refuse(message: &Message, refusal: &Refusal) -> Response<ReplyBody> {
    let id = match message.kind() {
        MessageKind::Request(request) => Some(&request.id),
        MessageKind::Error(_) | MessageKind::Notification(_) | MessageKind::Result(_) => None,
    };
    let (status, body) = refusal.response(id, Era::Modern);
    replies::json(status, body)
}
