//! Legacy Streamable HTTP: sessions by header, a stream for each POST that needs one, GET for the rest.
//!
//! Source: MCP 2025-11-25 `basic/transports` §Streamable HTTP. That a client disconnects cancels nothing here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use mcp::headers::{self, LAST_EVENT_ID, PROTOCOL_VERSION, SESSION_ID};
use mcp::json;
use mcp::jsonrpc::{Message, MessageKind, Request};
use mcp::reject::code;
use mcp::version::Era;
use tokio::sync::mpsc;
use transport::http::body::ReplyBody;

use crate::answer::Refusal;
use crate::changes::Changes;
use crate::http::replies;
use crate::legacy::events::{EventId, EventLog, Reader};
use crate::legacy::session::Session;
use crate::legacy::sessions::HttpSession;
use crate::live::{Line, Said, line};
use crate::server::Server;

/// The first revision whose streams begin with an event without data; clients of earlier ones choke on it.
const PRIMED_SINCE: &str = "2025-11-25";

/// The only revision with JSON-RPC batches.
const BATCHES_IN: &str = "2025-03-26";

/// What the legacy SDKs answer to requests without or with an unknown session id.
mod sdk_code {
    pub(super) const BAD_REQUEST: i64 = -32000;
    pub(super) const NO_SUCH_SESSION: i64 = -32001;
}

type Reply = Response<ReplyBody>;

/// Answers a POST of one message.
pub(crate) async fn post(server: &Arc<Server>, headers: HeaderMap, message: Message) -> Reply {
    if let MessageKind::Request(request) = message.kind()
        && &*request.method == "initialize"
        && !headers.contains_key(&SESSION_ID)
    {
        return open(server, request, &message);
    }
    let found = match session_of(server, &headers) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let MessageKind::Request(request) = message.kind() else {
        found.session.hear(&message);
        return replies::accepted();
    };
    let id = request.id.clone();
    let (line, mut said) = line();
    if let Err(refusal) = found.session.request(server, message, headers, line) {
        let (status, message) = refusal.response(Some(&id), Era::Legacy);
        return replies::json(status, message);
    }
    match said.recv().await {
        Some(Said::Answer(status, message)) => replies::json(status, message),
        // A call that was cancelled has no response, so neither has its POST.
        first => stream(server, &found, first, said),
    }
}

/// Answers a POST of several messages, each of which is answered on one stream.
pub(crate) fn post_batch(server: &Arc<Server>, headers: &HeaderMap, body: &str) -> Reply {
    let found = match session_of(server, headers) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let messages = json::array(body).ok().filter(|all| !all.is_empty());
    let messages = messages.filter(|_| found.session.revision.name == BATCHES_IN);
    let read = |text: &str| Message::parse(Bytes::copy_from_slice(text.as_bytes())).ok();
    let Some(messages) = messages.and_then(|all| all.into_iter().map(read).collect::<Option<Vec<_>>>())
    else {
        return replies::refuse(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, "not a batch of messages");
    };
    let (line, said) = line();
    let mut requests = 0;
    let mut refusals = Vec::new();
    for message in messages {
        let MessageKind::Request(request) = message.kind() else {
            found.session.hear(&message);
            continue;
        };
        let id = request.id.clone();
        requests += 1;
        if let Err(refusal) = found.session.request(server, message, headers.clone(), Line::clone(&line)) {
            refusals.push(refusal.response(Some(&id), Era::Legacy).1);
        }
    }
    if requests == 0 {
        return replies::accepted();
    }
    drop(line);
    let log = found.open_stream();
    let reader = log.read(false);
    for refusal in refusals {
        log.push(refusal);
    }
    server.tracker.spawn(write(None, said, log));
    events(server, reader)
}

/// Opens the stream for what belongs to no request, or goes on with one that was left.
pub(crate) fn get(server: &Arc<Server>, headers: &HeaderMap) -> Reply {
    let found = match session_of(server, headers) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let Some(last) = headers.get(&LAST_EVENT_ID) else {
        return events(server, found.unasked.read(is_primed(&found.session)));
    };
    let last = last.to_str().ok().and_then(EventId::read);
    let reader = last.and_then(|last| found.stream_of(last)?.read_after(last));
    match reader {
        Some(reader) => events(server, reader),
        None => replies::refuse(
            StatusCode::BAD_REQUEST,
            code::INVALID_REQUEST,
            "the event that Last-Event-ID names is not, or no longer, known",
        ),
    }
}

/// Ends a session.
pub(crate) fn delete(server: &Arc<Server>, headers: &HeaderMap) -> Reply {
    match session_of(server, headers) {
        Ok(_) => {
            if let Some(id) = headers.get(&SESSION_ID).and_then(|id| id.to_str().ok()) {
                server.sessions.end(id);
            }
            replies::empty(StatusCode::NO_CONTENT)
        }
        Err(refused) => *refused,
    }
}

fn open(server: &Arc<Server>, request: &Request, message: &Message) -> Reply {
    let opened = Session::open(server, request.params.map(|at| message.at(at)));
    let added = opened.and_then(|(session, answer)| {
        let added = server.sessions.add(session);
        let (id, session) =
            added.map_err(|_no_randomness| Refusal::Internal("no session id could be made"))?;
        Ok((id, session, answer))
    });
    let (id, session, answer) = match added {
        Ok(added) => added,
        Err(refusal) => {
            let (status, message) = refusal.response(Some(&request.id), Era::Legacy);
            return replies::json(status, message);
        }
    };
    server.world.sessions_opened.fetch_add(1, Ordering::Relaxed);
    // From here on, so that nothing is lost before the task runs.
    let changes = server.world.follow();
    server.tracker.spawn(tell_changes(Arc::clone(server), session, changes));
    let result = answer.text(Era::Legacy, &server.info);
    let mut reply = replies::json(StatusCode::OK, mcp::answer::result_message(&request.id, &result));
    if let Ok(id) = HeaderValue::from_str(&id) {
        reply.headers_mut().insert(SESSION_ID.clone(), id);
    }
    reply
}

/// Tells a session of changes until it or the server ends.
async fn tell_changes(server: Arc<Server>, found: Arc<HttpSession>, mut changes: Changes) {
    loop {
        let messages = tokio::select! {
            messages = found.session.next_changes(&mut changes) => messages,
            () = found.session.over.cancelled() => break,
            () = server.drain.cancelled() => break,
        };
        for message in messages {
            found.unasked.push(message);
        }
    }
    found.unasked.end();
}

/// The session that a request names. Boxed, because a response is large and an error rare.
fn session_of(server: &Server, headers: &HeaderMap) -> Result<Arc<HttpSession>, Box<Reply>> {
    let refuse = |status, code, why: &str| Err(Box::new(replies::refuse(status, code, why)));
    let Some(id) = headers.get(&SESSION_ID) else {
        let why = "Bad Request: Mcp-Session-Id header is required";
        return refuse(StatusCode::BAD_REQUEST, sdk_code::BAD_REQUEST, why);
    };
    let Some(found) = id.to_str().ok().and_then(|id| server.sessions.find(id)) else {
        return refuse(StatusCode::NOT_FOUND, sdk_code::NO_SUCH_SESSION, "Session not found");
    };
    // Absent means 2025-03-26, whose clients do not send it; whoever sends it, sends what was agreed on.
    match headers::only(headers, &PROTOCOL_VERSION) {
        Ok(None) => Ok(found),
        Ok(Some(version)) if version == found.session.revision.name => Ok(found),
        _ => {
            let why = format!(
                "Bad Request: MCP-Protocol-Version is not that of the session, {}",
                found.session.revision.name
            );
            refuse(StatusCode::BAD_REQUEST, sdk_code::BAD_REQUEST, &why)
        }
    }
}

fn is_primed(session: &Session) -> bool {
    session.revision.name >= PRIMED_SINCE
}

/// Answers a POST by a stream, from which the client may go away and to which it may come back.
fn stream(
    server: &Arc<Server>,
    found: &HttpSession,
    first: Option<Said>,
    said: mpsc::Receiver<Said>,
) -> Reply {
    let log = found.open_stream();
    let reader = log.read(is_primed(&found.session));
    server.tracker.spawn(write(first, said, log));
    events(server, reader)
}

/// Writes what calls say into a stream, until the last of them has ended.
async fn write(first: Option<Said>, mut said: mpsc::Receiver<Said>, log: Arc<EventLog>) {
    let put = |said| match said {
        Said::Message(message) | Said::Answer(_, message) => log.push(message),
        Said::HangUp => log.hang_up(),
    };
    if let Some(first) = first {
        put(first);
    }
    while let Some(next) = said.recv().await {
        put(next);
    }
    log.end();
}

fn events(server: &Server, reader: Reader) -> Reply {
    let counted = server.world.streams.count();
    replies::events(unfold((reader, counted), |(mut reader, counted)| async {
        let event = reader.next().await?;
        Some((event, (reader, counted)))
    }))
}
