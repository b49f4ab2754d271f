//! Streams of legacy servers that end early and go on later. Source: MCP 2025-11-25 `basic/transports` §Resumability.

use std::sync::Arc;
use std::time::Duration;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;

use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

async fn with(persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk)
}

async fn call(kind: Kind, running: &Running) -> JoinHandle<String> {
    let mut door = Door::open(kind, running).await;
    let body = door.body("1", "tools/call", r#""name":"t""#, "");
    tokio::spawn(async move { door.response(&body).await })
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_stream_ends_goes_on_where_it_was() {
    for kind in Kind::ALL {
        // The session's own stream is a GET, too: the server has none.
        let (running, server, mut desk) = with(Persona::legacy().scripted(&["GET"])).await;
        let own = desk.asked("GET").await;
        assert_eq!(own.seen.header("last-event-id"), None);
        own.respond(405, "", &[], b"").await;
        let answered = call(kind, &running).await;
        let asked = desk.asked("tools/call").await;
        let (id, session) =
            (asked.seen.id().unwrap().to_owned(), asked.seen.header("mcp-session-id").unwrap().to_owned());
        let mut events = asked.stream().await;
        events.raw(b"id: e1\nretry: 2500\ndata: \n\n").await;
        let began = tokio::time::Instant::now();
        events.end().await;
        let resumed = desk.asked("GET").await;
        assert_eq!(began.elapsed(), Duration::from_millis(2500));
        assert_eq!(resumed.seen.header("last-event-id"), Some("e1"));
        assert_eq!(resumed.seen.header("mcp-session-id"), Some(session.as_str()));
        // It may end again, with something newer to go on from, or break.
        let mut events = resumed.stream().await;
        events.raw(b"id: e2\ndata: \n\n").await;
        events.abort();
        let resumed = desk.asked("GET").await;
        assert_eq!(resumed.seen.header("last-event-id"), Some("e2"));
        let mut events = resumed.stream().await;
        events.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"at":"last"}}}}"#)).await;
        events.end().await;
        assert_eq!(json::at(&answered.await.unwrap(), &["result", "at"]), Some("\"last\""), "{kind:?}");
        assert_eq!(server.seen_of("tools/call").len(), 1);
    }
}

/// The pause is the server's, also when it is longer than the beat in which the client hears that we are alive.
#[tokio::test(start_paused = true)]
async fn a_long_pause_is_kept_once() {
    for kind in Kind::ALL {
        let (running, _server, mut desk) = with(Persona::legacy().scripted(&["GET"])).await;
        desk.asked("GET").await.respond(405, "", &[], b"").await;
        let answered = call(kind, &running).await;
        let asked = desk.asked("tools/call").await;
        let id = asked.seen.id().unwrap().to_owned();
        let mut events = asked.stream().await;
        events.raw(b"id: e1\nretry: 25000\ndata: \n\n").await;
        let began = tokio::time::Instant::now();
        events.end().await;
        let resumed = desk.asked("GET").await;
        assert_eq!(began.elapsed(), Duration::from_secs(25), "{kind:?}");
        let mut events = resumed.stream().await;
        events.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"at":"last"}}}}"#)).await;
        events.end().await;
        assert!(answered.await.unwrap().contains("last"), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_go_on_is_a_call_that_broke_off() {
    for resumable in [true, false] {
        let (running, server, mut desk) = with(Persona::legacy().scripted(&["GET"])).await;
        desk.asked("GET").await.respond(405, "", &[], b"").await;
        let lost = call(Kind::ModernHttp, &running).await;
        let mut events = desk.asked("tools/call").await.stream().await;
        if resumable {
            events.raw(b"id: e1\ndata: \n\n").await;
        }
        events.end().await;
        if resumable {
            desk.asked("GET").await.respond(404, "text/plain", &[], b"gone").await;
        }
        let text = lost.await.unwrap();
        assert_eq!(json::at(&text, &["error", "data", "reason"]), Some("\"upstream_broke_off\""), "{text}");
        assert_eq!(server.seen_of("tools/call").len(), 1);
    }
}

/// A modern server has no such thing: its call is over with its stream.
#[tokio::test(start_paused = true)]
async fn a_modern_stream_does_not_go_on() {
    let (running, server, mut desk) = with(Persona::modern()).await;
    let lost = call(Kind::ModernHttp, &running).await;
    let mut events = desk.asked("tools/call").await.stream().await;
    events.raw(b"id: e1\nretry: 1\ndata: \n\n").await;
    events.end().await;
    assert!(lost.await.unwrap().contains("upstream_broke_off"));
    assert!(server.seen_of("GET").is_empty());
}

/// A server may want us back at once, but not without end.
#[tokio::test(start_paused = true)]
async fn no_pause_is_a_short_one() {
    let (running, _server, mut desk) = with(Persona::legacy().scripted(&["GET"])).await;
    desk.asked("GET").await.respond(405, "", &[], b"").await;
    let answered = call(Kind::ModernHttp, &running).await;
    let asked = desk.asked("tools/call").await;
    let id = asked.seen.id().unwrap().to_owned();
    let mut events = asked.stream().await;
    let began = tokio::time::Instant::now();
    for number in 0..50 {
        let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
        events.raw(format!("id: e{number}\nretry: 0\ndata: {log}\n\n").as_bytes()).await;
        events.end().await;
        events = desk.asked("GET").await.stream().await;
    }
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    events.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"at":"last"}}}}"#)).await;
    assert!(answered.await.unwrap().contains("last"));
}

/// What a session's own stream said last is known as long as no other one has begun from there.
#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_where_it_was_though_it_could_not_at_once() {
    let (_running, _server, mut desk) = with(Persona::legacy().scripted(&["GET"])).await;
    let mut events = desk.asked("GET").await.stream().await;
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    events.raw(format!("id: e1\ndata: {changed}\n\n").as_bytes()).await;
    events.end().await;
    let from = |asked: &testkit::server::Asked| asked.seen.header("last-event-id").map(str::to_owned);
    let asked = desk.asked("GET").await;
    assert_eq!(from(&asked).as_deref(), Some("e1"));
    asked.abort();
    let asked = desk.asked("GET").await;
    assert_eq!(from(&asked).as_deref(), Some("e1"), "it could not be asked");
    asked.stream().await.end().await;
    let asked = desk.asked("GET").await;
    assert_eq!(from(&asked).as_deref(), Some("e1"), "nothing has come since");
    // Whoever does not know it is not asked for it again.
    asked.respond(400, "text/plain", &[], b"no such event").await;
    let asked = desk.asked("GET").await;
    assert_eq!(from(&asked), None);
}
