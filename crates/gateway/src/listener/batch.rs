//! Batches of revision 2025-03-26: each member goes its own way, beside the others, and the replies come together: as
//! one array, or, once anything else is to be said, each as an event of one stream.

use std::pin::Pin;
use std::sync::Arc;

use base::error::CallError;
use base::plan::Limits;
use base::reply;
use bytes::Bytes;
use futures_util::stream::{SelectAll, Stream, StreamExt as _, iter, once, unfold};
use http::{HeaderMap, Response, StatusCode};
use mcp::answer::error_message;
use mcp::inbound;
use mcp::jsonrpc::MessageKind;
use mcp::legacy::batch::{self, Member};
use mcp::reject::{Reject, code};
use mcp::version::Era;
use tokio::time::timeout;
use transport::http::body::ReplyBody;

use super::respond::{self, Delivery};
use super::{events, heads, request_id};
use crate::bridge::endpoint::{Disposition, Endpoint};
use crate::bridge::session::SessionClaims;
use crate::flow::{Step, Steps};
use base::checks::Readable;

/// Something that is said in answer to a batch.
enum BatchItem {
    /// A notification.
    Notice(Bytes),
    /// A request to the client.
    Ask(Bytes),
    /// The reply to one member.
    Reply(Bytes),
}

type Saying = Pin<Box<dyn Stream<Item = BatchItem> + Send>>;

/// Answers a batch.
pub(super) async fn answer(
    headers: HeaderMap,
    body: &Bytes,
    (endpoint, claims): (&Arc<Endpoint>, SessionClaims),
    (readable, limits): (Readable, &Limits),
) -> Response<ReplyBody> {
    let members = match batch::read(body, endpoint.route.json_depth) {
        Ok(members) => members,
        Err(fault) => return heads::reject(&Reject::from(fault), None),
    };
    let asks = members.iter().any(wants_reply);
    let each = members.iter().flatten().filter_map(request_id).collect();
    let recorder = endpoint.recorder(&claims, each);
    let shared = Arc::new((headers, claims));
    let mut said: SelectAll<Saying> =
        members.into_iter().map(|member| say(member, endpoint, &shared)).collect();
    let mut replies = Vec::new();
    let begun = collect(&mut said, &mut replies, readable.events);
    let first = if readable.events {
        timeout(limits.keep_alive.min(respond::HEAD_WITHIN), begun).await
    } else {
        Ok(begun.await)
    };
    match first {
        Ok(None) if !asks => heads::empty(StatusCode::ACCEPTED),
        Ok(None) if replies.is_empty() => respond::cancelled(),
        Ok(None) => heads::json(StatusCode::OK, batch::join(&replies)),
        // Single messages, because clients of that revision read no arrays in events.
        Ok(Some(_)) | Err(_) => {
            let notice = first.ok().flatten();
            let rest = said.map(|said| match said {
                BatchItem::Notice(bytes) | BatchItem::Ask(bytes) | BatchItem::Reply(bytes) => bytes,
            });
            let messages = iter(replies).chain(iter(notice)).chain(rest);
            events::recorded(&recorder, messages, limits.keep_alive)
        }
    }
}

/// Whether there is something to answer: a request, or what was perhaps meant to be one.
pub(super) fn wants_reply(member: &Member) -> bool {
    member.as_ref().map_or(true, |message| matches!(message.kind(), MessageKind::Request(_)))
}

/// Gathers replies until all are there, or until something else is said to a client that can read it.
async fn collect(
    said: &mut SelectAll<Saying>,
    replies: &mut Vec<Bytes>,
    reads_events: bool,
) -> Option<Bytes> {
    while let Some(said) = said.next().await {
        match said {
            BatchItem::Reply(bytes) => replies.push(bytes),
            // Whoever declared that it can be asked must be able to hear it: clients MUST accept both media types
            // (2025-03-26 `basic/transports` §Sending Messages to the Server, 2).
            BatchItem::Ask(bytes) => return Some(bytes),
            BatchItem::Notice(bytes) if reads_events => return Some(bytes),
            BatchItem::Notice(_) => {}
        }
    }
    None
}

/// What one member leads to.
fn say(member: Member, endpoint: &Arc<Endpoint>, shared: &Arc<(HeaderMap, SessionClaims)>) -> Saying {
    let (endpoint, shared) = (Arc::clone(endpoint), Arc::clone(shared));
    let begin = async move {
        let (headers, claims) = &*shared;
        match take(member, &endpoint, claims, headers).await {
            Taken::Nothing => iter(None).boxed(),
            Taken::Reply(bytes) => iter(Some(BatchItem::Reply(bytes))).boxed(),
            Taken::Call(steps, delivery) => calls(steps, *delivery),
        }
    };
    once(begin).flatten().boxed()
}

/// What became of a member.
pub(super) enum Taken {
    /// There is no reply to it.
    Nothing,
    /// It has a reply.
    Reply(Bytes),
    /// It is a call, which goes on by itself.
    Call(Steps, Box<Delivery>),
}

/// Takes one member in.
pub(super) async fn take(
    member: Member,
    endpoint: &Endpoint,
    claims: &SessionClaims,
    headers: &HeaderMap,
) -> Taken {
    let message = match member {
        Ok(message) => message,
        Err(unread) => {
            let fault = Reject::from(unread.fault);
            return Taken::Reply(error_message(unread.id.as_ref(), fault.code(), &fault.to_string(), None));
        }
    };
    let id = request_id(&message);
    if inbound::claims_modern(&message) {
        let why = "a request of the modern era is never part of a batch";
        return id.map_or(Taken::Nothing, |id| {
            Taken::Reply(error_message(Some(&id), code::INVALID_REQUEST, why, None))
        });
    }
    match endpoint.take(message, claims, headers.clone()).await {
        Ok(Disposition::Accepted) => Taken::Nothing,
        Ok(Disposition::Answer(bytes)) => Taken::Reply(bytes),
        Ok(Disposition::Call(flow, in_flight)) => {
            let tasks = &endpoint.route.world.tasks;
            let delivery = Delivery {
                id: flow.id().clone(),
                era: Era::Legacy,
                method: flow.method(),
                reads_events: true,
                keep_alive: endpoint.limits.keep_alive,
                tasks: tasks.clone(),
                recorder: None,
            };
            Taken::Call(Steps::detached(*flow, in_flight, tasks), Box::new(delivery))
        }
        Err(error) => id.map_or(Taken::Nothing, |id| Taken::Reply(refused(&error, &id))),
    }
}

fn refused(error: &CallError, id: &mcp::jsonrpc::Id) -> Bytes {
    let wire = reply::wire_for(error, Era::Legacy);
    wire.log(error, "");
    wire.body(Some(id))
}

/// What a call says.
fn calls(steps: Steps, delivery: Delivery) -> Saying {
    unfold((Some(steps), delivery), |(mut steps, delivery)| async move {
        loop {
            match steps.as_mut()?.next().await? {
                Step::Begun { .. } => {}
                Step::Notice(bytes) => return Some((BatchItem::Notice(bytes), (steps, delivery))),
                Step::Ask(bytes) => return Some((BatchItem::Ask(bytes), (steps, delivery))),
                Step::Last(last) => {
                    return Some((BatchItem::Reply(respond::body(last, &delivery).text()), (None, delivery)));
                }
            }
        }
    })
    .boxed()
}
