//! Several messages in one array: revision 2025-03-26, and no other. Source: its `basic` §Batching, `basic/transports`
//! §Sending Messages.

use std::sync::Arc;
use std::time::Duration;

use testkit::http::{Piece, Reply};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::doors::lines;
use crate::stand::{Over, Running, Stand};

async fn with(persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk)
}

fn opening(revision: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"open","method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
    )
}

async fn session(running: &Running, revision: &str) -> String {
    let reply = running.client.post(&[], opening(revision).as_bytes()).await;
    reply.header("mcp-session-id").unwrap().to_owned()
}

async fn post(running: &Running, session: &str, body: &str) -> Reply {
    running.client.post(&[("mcp-session-id", session)], body.as_bytes()).await
}

fn call(id: &str, tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","_meta":{{"progressToken":{id}}}}}}}"#
    )
}

const PING: &str = r#"{"jsonrpc":"2.0","id":"ping","method":"ping"}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The replies in an array, by their ids.
fn ids(array: &str) -> Vec<String> {
    let mut ids: Vec<_> = json::elements(array)
        .iter()
        .map(|reply| json::at(reply, &["id"]).unwrap_or("none").to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_batch_run_side_by_side_and_are_answered_in_one_array() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let session = session(&running, "2025-03-26").await;
    let body = format!("[{},{PING},{NOTE},{},7]", call("1", "a"), call("\"1\"", "b"));
    let (mut reply, ()) = tokio::join!(post(&running, &session, &body), async {
        // Both are there before either is answered.
        let (one, two) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
        two.result(r#"{"second":42.0}"#).await;
        one.error(-32602, "no", None).await;
    });
    assert_eq!((reply.status, reply.media()), (200, "application/json"));
    let body = reply.body().await;
    assert_eq!(ids(&body), ["\"1\"", "\"ping\"", "1", "none"], "{body}");
    for reply in json::elements(&body) {
        match json::at(reply, &["id"]) {
            Some("\"1\"") => assert_eq!(json::at(reply, &["result", "second"]), Some("42.0")),
            Some("1") => assert_eq!(json::at(reply, &["error", "code"]), Some("-32602")),
            Some(_) => assert_eq!(json::at(reply, &["result"]), Some("{}")),
            None => assert_eq!(json::at(reply, &["error", "code"]), Some("-32600")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_which_something_streams_is_one_stream_of_single_messages() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let session = session(&running, "2025-03-26").await;
    let body = format!("[{PING},{},{}]", call("1", "a"), call("2", "b"));
    let (mut reply, mut events) = tokio::join!(post(&running, &session, &body), async {
        let (one, two) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
        let mut events = one.stream().await;
        events.progress("1").await;
        two.result("{}").await;
        events
    });
    assert_eq!(reply.media(), "text/event-stream");
    events.progress("2").await;
    let mut seen = Vec::new();
    let mut last = String::new();
    while seen.len() < 4 {
        if let Piece::Event { id, data, .. } = reply.piece().await.unwrap().unwrap() {
            assert!(data.starts_with('{'), "not an array: {data}");
            last = id.unwrap();
            seen.push(data);
        }
    }
    // It is resumed like any other stream.
    drop(reply);
    events.result("{}").await;
    let headers = [("mcp-session-id", session.as_str()), ("last-event-id", last.as_str())];
    let mut reply = running.client.send(&running.client.request("GET /mcp", &headers, b"")).await;
    while let Some(data) = reply.event().await {
        seen.push(data);
    }
    let count = |text: &str| seen.iter().filter(|data| data.contains(text)).count();
    assert_eq!((seen.len(), count("\"result\""), count("notifications/progress")), (5, 3, 2), "{seen:?}");
}

/// A silent connection is cut, so past the first interval the response is a stream.
#[tokio::test(start_paused = true)]
async fn a_batch_that_takes_long_becomes_a_stream() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let session = session(&running, "2025-03-26").await;
    let body = format!("[{},{PING}]", call("1", "a"));
    let (mut reply, ()) = tokio::join!(post(&running, &session, &body), async {
        let asked = desk.asked("tools/call").await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        asked.result("{}").await;
    });
    assert_eq!(reply.media(), "text/event-stream");
    assert!(reply.event().await.unwrap().contains("\"ping\""));
    assert!(reply.event().await.unwrap().contains("\"id\":1"));
    assert_eq!(reply.event().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_json_only_gets_an_array() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let session = session(&running, "2025-03-26").await;
    let body = format!("[{}]", call("1", "a"));
    let headers = [("mcp-session-id", session.as_str()), ("accept", "application/json")];
    let (mut reply, ()) = tokio::join!(running.client.post(&headers, body.as_bytes()), async {
        let mut events = desk.asked("tools/call").await.stream().await;
        events.progress("1").await;
        tokio::time::sleep(Duration::from_secs(40)).await;
        events.result("{}").await;
    });
    assert_eq!(reply.media(), "application/json");
    assert_eq!(ids(&reply.body().await), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_requests_is_accepted() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let session = session(&running, "2025-03-26").await;
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    for body in [format!("[{NOTE}]"), format!("[{NOTE},{NOTE}]"), format!(" [{result},{NOTE}]")] {
        let mut reply = post(&running, &session, &body).await;
        assert_eq!((reply.status, reply.body().await.as_str()), (202, ""));
    }
    // And what it says counts.
    let cancel = r#"[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]"#;
    let body = format!("[{}]", call("1", "a"));
    let (mut cancelled, ()) = tokio::join!(post(&running, &session, &body), async {
        let asked = desk.asked("tools/call").await;
        assert_eq!(post(&running, &session, cancel).await.status, 202);
        asked.gone().await;
    });
    assert_eq!(cancelled.event().await, None, "there is no response to it");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_in_a_batch_is_refused_before_anything_is_done() {
    let (running, server, _desk) = with(Persona::modern()).await;
    let session = session(&running, "2025-03-26").await;
    let many = vec![PING; 65].join(",");
    for (body, code, says) in [
        ("[]".to_owned(), "-32600", "at least one"),
        (format!("[{many}]"), "-32600", "at most 64"),
        (format!("[{},{}]", call("1", "a"), call("1", "b")), "-32600", "the id 1"),
        (format!("[{},{}]", call("1", "a"), opening("2025-03-26")), "-32600", "initialize"),
        (format!("[{},", call("1", "a")), "-32700", "JSON"),
    ] {
        let reply = post(&running, &session, &body).await;
        assert_eq!(reply.status, 400, "{says}");
        let error = reply.response().await;
        assert_eq!(json::at(&error, &["error", "code"]), Some(code), "{error}");
        assert!(error.contains(says), "{error}");
    }
    assert!(server.seen_of("tools/call").is_empty());
}

/// An id in flight is not taken again, a modern message has no place here, and the others of the batch go on.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_refused_does_not_spoil_the_others() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let session = session(&running, "2025-03-26").await;
    let first = call("1", "a");
    let (_reply, ()) = tokio::join!(post(&running, &session, &first), async {
        let asked = desk.asked("tools/call").await;
        let modern = crate::ask::body("3", "tools/call", r#""name":"t""#);
        let body = format!("[{},{PING},{modern}]", call("1", "b"));
        let array = post(&running, &session, &body).await.response().await;
        assert_eq!(ids(&array), ["\"ping\"", "1", "3"]);
        assert_eq!(array.matches("-32600").count(), 2, "{array}");
        asked.result("{}").await;
    });
}

#[tokio::test(start_paused = true)]
async fn no_other_revision_has_batches() {
    let (running, _server, _desk) = with(Persona::modern()).await;
    let refused = async |headers: &[(&str, &str)], status| {
        let reply = running.client.post(headers, format!("[{PING}]").as_bytes()).await;
        assert_eq!(reply.status, status);
        let error = reply.response().await;
        assert_eq!(json::at(&error, &["error", "code"]), Some("-32600"), "{error}");
    };
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        refused(&[("mcp-session-id", &session(&running, revision).await)], 400).await;
    }
    refused(&[], 400).await;
    refused(&[("mcp-protocol-version", "2026-07-28")], 400).await;
    refused(&[("mcp-session-id", "x")], 404).await;
    let session = session(&running, "2025-03-26").await;
    refused(&[("mcp-session-id", &session), ("mcp-protocol-version", "2026-07-28")], 400).await;
}

#[tokio::test(start_paused = true)]
async fn batches_come_over_stdio_too() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let mut client = lines(&running);
    client.send(opening("2025-03-26").as_bytes()).await;
    client.next().await.unwrap();
    client.send(format!("[{},{PING},{NOTE},7]", call("1", "a")).as_bytes()).await;
    let mut events = desk.asked("tools/call").await.stream().await;
    events.progress("1").await;
    assert!(client.next().await.unwrap().contains("notifications/progress"));
    events.result("{}").await;
    assert_eq!(ids(&client.next().await.unwrap()), ["\"ping\"", "1", "none"]);
    // Nothing is said of notifications; what is no batch is an error.
    client.send(format!("[{NOTE}]").as_bytes()).await;
    client.send(b"[]").await;
    assert!(client.next().await.unwrap().contains("-32600"));
    // A call of a batch is cancelled like any other.
    client.send(format!("[{},{}]", call("2", "a"), call("3", "a")).as_bytes()).await;
    let (two, three) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
    client.send(br#"[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}]"#).await;
    two.gone().await;
    three.result("{}").await;
    assert_eq!(ids(&client.next().await.unwrap()), ["3"]);

    let mut newer = lines(&running);
    newer.send(opening("2025-06-18").as_bytes()).await;
    newer.next().await.unwrap();
    newer.send(format!("[{PING}]").as_bytes()).await;
    assert!(newer.next().await.unwrap().contains("-32600"));
}

/// A server of that revision may send arrays, in a stream or as its one answer; one of another revision may not.
#[tokio::test(start_paused = true)]
async fn servers_may_send_batches() {
    for (revision, able) in [("2025-03-26", true), ("2025-06-18", false)] {
        let persona = Persona { revision: revision.to_owned(), ..Persona::legacy() };
        let (running, _server, mut desk) = with(persona).await;
        let session = session(&running, "2025-11-25").await;
        for streams in [true, false] {
            let body = call("1", "t");
            let (reply, ()) = tokio::join!(post(&running, &session, &body), async {
                let asked = desk.asked("tools/call").await;
                let id = asked.seen.id().unwrap().to_owned();
                let note = format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{id},"progress":1}}}}"#
                );
                let answer = format!(r#"[{note},{{"jsonrpc":"2.0","id":{id},"result":{{"in":"a batch"}}}}]"#);
                if streams {
                    let mut events = asked.stream().await;
                    events.message(&answer).await;
                    events.end().await;
                } else {
                    asked.respond(200, "application/json", &[], answer.as_bytes()).await;
                }
            });
            assert_eq!(reply.media() == "text/event-stream", able && streams, "its progress is passed on");
            let response = reply.response().await;
            assert_eq!(json::at(&response, &["result", "in"]).is_some(), able, "{revision}: {response}");
        }
    }
}
