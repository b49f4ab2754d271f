//! Clients over HTTP+SSE.

use std::sync::Arc;
use std::time::Duration;

use testkit::http::{Client, Piece, Reply};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::ask;
use crate::stand::{Over, Running, Stand};

/// A client with its stream open.
struct Old {
    client: Client,
    stream: Reply,
    endpoint: String,
}

impl Old {
    /// Opens a stream and reads where to POST to.
    async fn connect(running: &Running) -> Self {
        let client = running.client.clone();
        let mut stream =
            client.send(&client.request("GET /sse", &[("accept", "text/event-stream")], b"")).await;
        assert_eq!((stream.status, stream.media()), (200, "text/event-stream"));
        assert_eq!(stream.header("x-accel-buffering"), Some("no"));
        let Some(Piece::Event { name, data, .. }) = stream.piece().await.unwrap() else {
            panic!("a stream that does not begin with an event")
        };
        assert_eq!(name.as_deref(), Some("endpoint"));
        assert!(data.starts_with("/sse?sessionId="), "{data}");
        Self { client, stream, endpoint: data }
    }

    /// Connects and opens a session.
    async fn open(running: &Running) -> Self {
        let mut old = Self::connect(running).await;
        old.post(INITIALIZE).await;
        let answer = old.next().await;
        assert_eq!(json::at(&answer, &["result", "protocolVersion"]), Some("\"2024-11-05\""));
        old.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        old
    }

    async fn post(&self, body: &str) {
        let reply = post(&self.client, &self.endpoint, body).await;
        assert_eq!(reply.status, 202);
    }

    async fn call(&self, id: &str, name: &str) {
        let params = format!(r#"{{"name":"{name}","_meta":{{"progressToken":"of {name}"}}}}"#);
        self.post(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#)).await;
    }

    /// The next message.
    async fn next(&mut self) -> String {
        loop {
            match self.stream.piece().await.unwrap().unwrap() {
                Piece::Event { name, data, .. } => {
                    assert_eq!(name.as_deref(), Some("message"));
                    return data;
                }
                Piece::Comment => {}
            }
        }
    }
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"old","version":"1"}}}"#;

async fn post(client: &Client, endpoint: &str, body: &str) -> Reply {
    client.send(&client.request(&format!("POST {endpoint}"), &[("accept", "*/*")], body.as_bytes())).await
}

async fn with(persona: Persona, change: impl FnOnce(&mut Stand)) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.plan.routes[0].sse_path = Some("/sse".to_owned());
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    change(&mut stand);
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk)
}

/// Whatever the server speaks.
#[tokio::test(start_paused = true)]
async fn an_old_client_uses_any_server() {
    for persona in [Persona::modern().streaming(), Persona::legacy(), Persona::over_sse()] {
        let (running, _server, mut desk) = with(persona.tools(&["t"]), |_| {}).await;
        let mut old = Old::open(&running).await;
        old.post(r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#).await;
        let listed = old.next().await;
        assert!(listed.contains(r#""name":"t""#), "{listed}");
        old.call("1", "one").await;
        let mut first = desk.asked("tools/call").await;
        old.call("2", "two").await;
        let mut second = desk.asked("tools/call").await;
        if first.seen.param("name") != Some("\"one\"") {
            std::mem::swap(&mut first, &mut second);
        }
        second.result(r#"{"content":[],"of":"two"}"#).await;
        let answer = old.next().await;
        assert_eq!(
            (json::at(&answer, &["id"]), json::at(&answer, &["result", "of"])),
            (Some("2"), Some("\"two\""))
        );
        if first.is_http() && first.seen.header("mcp-session-id").is_some() {
            first.result(r#"{"of":"one"}"#).await;
        } else {
            let mut out = first.stream().await;
            out.progress("1").await;
            let told = old.next().await;
            assert_eq!(json::at(&told, &["params", "progressToken"]), Some("\"of one\""));
            out.result(r#"{"of":"one"}"#).await;
        }
        assert!(old.next().await.contains(r#""of":"one""#));
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_on_the_stream() {
    let able = Persona::over_sse().able(r#"{"tools":{"listChanged":true}}"#);
    let (running, server, _desk) = with(able, |_| {}).await;
    let mut old = Old::open(&running).await;
    testkit::idle().await;
    server.tell("notifications/tools/list_changed", "").await;
    assert!(old.next().await.contains("notifications/tools/list_changed"));
}

#[tokio::test(start_paused = true)]
async fn a_client_cancels_what_it_says() {
    let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
    let old = Old::open(&running).await;
    old.call("1", "t").await;
    let asked = desk.asked("tools/call").await;
    old.post(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    let cancelled = server.saw("notifications/cancelled", 1).await.remove(0);
    assert_eq!(cancelled.param("requestId"), asked.seen.id());
}

#[tokio::test(start_paused = true)]
async fn what_is_too_deep_is_refused_where_it_was_posted() {
    let (running, server, mut desk) = with(Persona::modern(), |_| {}).await;
    let mut old = Old::open(&running).await;
    let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
    let call = |arguments: &str| {
        let params = format!(r#"{{"name":"t","arguments":{arguments}}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#)
    };
    let mut reply = post(&old.client, &old.endpoint, &call(&format!(r#"{{"a":{deep}}}"#))).await;
    let text = reply.body().await;
    assert_eq!((reply.status, json::at(&text, &["error", "code"])), (400, Some("-32600")));
    assert_eq!(json::at(&text, &["id"]), Some("7"));
    assert!(text.contains("603 levels") && text.contains("json_depth of the limits or the route"), "{text}");
    old.post(&call("{}")).await;
    desk.asked("tools/call").await.result("{}").await;
    assert_eq!(json::at(&old.next().await, &["id"]), Some("7"));
    assert_eq!(server.seen_of("tools/call").len(), 1);
}

/// Nobody could ever read the answer.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_closed_cancels_its_calls_and_ends_its_session() {
    let (running, server, mut desk) = with(Persona::modern(), |_| {}).await;
    let old = Old::open(&running).await;
    old.call("1", "t").await;
    let asked = desk.asked("tools/call").await;
    let (client, endpoint) = (old.client.clone(), old.endpoint.clone());
    drop(old);
    asked.gone().await;
    let mut reply = post(&client, &endpoint, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(reply.status, 404);
    assert!(reply.body().await.contains("no such HTTP+SSE session"));
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn only_a_session_of_this_path_is_known() {
    let (running, _server, _desk) = with(Persona::modern(), |stand| {
        let other = base::plan::RoutePlan {
            name: "other".to_owned(),
            path: "/other".to_owned(),
            sse_path: Some("/other/sse".to_owned()),
            ..stand.plan.routes[0].clone()
        };
        stand.plan.routes.push(other);
    })
    .await;
    let old = Old::open(&running).await;
    let token = old.endpoint.split_once('=').unwrap().1;
    let mut altered = old.endpoint.clone();
    let last = altered.pop();
    altered.push(if last == Some('A') { 'B' } else { 'A' });
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for endpoint in
        ["/sse?sessionId=", "/sse?sessionId=1", &altered, &format!("/other/sse?sessionId={token}")]
    {
        assert_eq!(post(&old.client, endpoint, ping).await.status, 404, "{endpoint}");
    }
    assert_eq!(post(&old.client, &format!("/sse?x=1&sessionId={token}"), ping).await.status, 202);
}

/// A client that tries the newer transport first must be told that it is not spoken here; where nothing is said of the older
/// one, it is not spoken either.
#[tokio::test(start_paused = true)]
async fn the_older_transport_is_served_where_the_route_says_so_and_by_get_only() {
    let (running, _server, _desk) = with(Persona::modern(), |_| {}).await;
    let client = running.client.clone();
    let reply = post(&client, "/sse", INITIALIZE).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, OPTIONS")));
    let wants_json = client.request("GET /sse", &[("accept", "application/json")], b"");
    assert_eq!(client.send(&wants_json).await.status, 406);
    let foreign = client.request("GET /sse", &[("origin", "https://evil.example")], b"");
    assert_eq!(client.send(&foreign).await.status, 403);
    let elsewhere = client.request("GET /sse", &[("host", "evil.example")], b"");
    assert_eq!(client.send(&elsewhere).await.status, 403);

    let (running, _server, _desk) =
        with(Persona::modern(), |stand| stand.plan.routes[0].sse_path = None).await;
    let client = running.client.clone();
    assert_eq!(client.send(&client.request("GET /sse", &[], b"")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_is_refused_in_the_reply_to_the_post() {
    let (running, _server, _desk) =
        with(Persona::modern(), |stand| stand.plan.limits.request_bytes = 1000).await;
    let mut old = Old::open(&running).await;
    assert_eq!(post(&old.client, &old.endpoint, "{").await.status, 400);
    assert_eq!(post(&old.client, &old.endpoint, &format!("\"{}\"", "x".repeat(2000))).await.status, 413);
    let text = [("content-type", "text/plain")];
    let request = old.client.request(&format!("POST {}", old.endpoint), &text, INITIALIZE.as_bytes());
    assert_eq!(old.client.send(&request).await.status, 415);
    // The session goes on.
    old.post(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
    assert_eq!(json::at(&old.next().await, &["id"]), Some("\"p\""));
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_says_that_it_is_alive() {
    let (running, _server, _desk) = with(Persona::modern(), |_| {}).await;
    let mut old = Old::connect(&running).await;
    for _ in 0..3 {
        assert_eq!(old.stream.piece().await.unwrap(), Some(Piece::Comment));
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_bounded() {
    let (running, _server, _desk) = with(Persona::modern(), |stand| stand.plan.limits.streams = 2).await;
    let (one, _two) = (Old::connect(&running).await, Old::connect(&running).await);
    let client = running.client.clone();
    let mut refused = client.send(&client.request("GET /sse", &[], b"")).await;
    assert_eq!(refused.status, 503);
    assert!(refused.body().await.contains("too many streams"));
    drop(one);
    testkit::idle().await;
    Old::connect(&running).await;
}

/// It is given up after a while, with all that it has going on, and nobody else is held up.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed() {
    let (running, _server, mut desk) = with(Persona::modern(), |_| {}).await;
    let mut slow = Old::open(&running).await;
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(1024 * 1024));
    for id in 0..16 {
        slow.call(&id.to_string(), "t").await;
        desk.asked("tools/call").await.result(&long).await;
    }
    slow.call("99", "waits").await;
    let waits = desk.asked("tools/call").await;
    let quick = Old::open(&running).await;
    quick.call("1", "quick").await;
    desk.asked("tools/call").await.result("{}").await;
    waits.gone().await;
    assert_eq!(post(&slow.client, &slow.endpoint, INITIALIZE).await.status, 404);
    let mut read = 0;
    while let Ok(Some(_)) = slow.stream.piece().await {
        read += 1;
    }
    assert!(read < 10, "{read}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_calls_finish_and_ends_the_stream() {
    let (running, _server, mut desk) = with(Persona::modern(), |_| {}).await;
    let mut old = Old::open(&running).await;
    old.call("1", "t").await;
    let asked = desk.asked("tools/call").await;
    let gateway = Arc::clone(&running.gateway);
    let stopping = tokio::spawn(async move { gateway.stop().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    asked.result(r#"{"of":"one"}"#).await;
    assert!(old.next().await.contains(r#""of":"one""#));
    assert_eq!(old.stream.piece().await.unwrap(), None);
    stopping.await.unwrap();
}

/// The client comes back to the servers as they are now.
#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_route_is_another_one() {
    let mut plan = None;
    let (running, _server, _desk) = with(Persona::modern(), |stand| plan = Some(stand.plan.clone())).await;
    let mut old = Old::open(&running).await;
    let mut plan = plan.unwrap();
    running.gateway.reload(plan.clone());
    old.post(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
    old.next().await;
    plan.routes[0].page_size = Some(1);
    running.gateway.reload(plan);
    assert_eq!(old.stream.piece().await.unwrap(), None);
}

/// Both transports at once.
#[tokio::test(start_paused = true)]
async fn a_modern_client_shares_the_route() {
    let (running, _server, mut desk) = with(Persona::over_sse(), |_| {}).await;
    let mut old = Old::open(&running).await;
    let client = running.client.clone();
    let modern =
        tokio::spawn(
            async move { ask::modern(&client, "tools/call", r#""name":"m""#).await.response().await },
        );
    let asked = desk.asked("tools/call").await;
    old.call("1", "o").await;
    desk.asked("tools/call").await.result(r#"{"of":"o"}"#).await;
    asked.result(r#"{"of":"m"}"#).await;
    assert!(modern.await.unwrap().contains(r#""of":"m""#));
    assert!(old.next().await.contains(r#""of":"o""#));
}

#[tokio::test(start_paused = true)]
async fn an_old_client_is_asked_in_mid_call() {
    let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
    let mut old = Old::connect(&running).await;
    old.post(&INITIALIZE.replace(r#""capabilities":{}"#, r#""capabilities":{"sampling":{}}"#)).await;
    old.next().await;
    old.call("1", "t").await;
    let mut out = desk.asked("tools/call").await.stream().await;
    out.message(r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"maxTokens":1,"messages":[]}}"#).await;
    let asked = old.next().await;
    assert_eq!(json::at(&asked, &["method"]), Some("\"sampling/createMessage\""), "{asked}");
    let id = json::at(&asked, &["id"]).unwrap();
    old.post(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"model":"m"}}}}"#)).await;
    let answer = server.saw("response", 1).await.remove(0);
    assert_eq!(answer.text(), r#"{"jsonrpc":"2.0","id":"q","result":{"model":"m"}}"#);
    out.result(r#"{"of":"t"}"#).await;
    assert!(old.next().await.contains(r#""of":"t""#));
}

/// A client of a revision that has batches may well use the older transport.
#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_with_one_event() {
    let (running, _server, _desk) = with(Persona::modern(), |_| {}).await;
    let mut old = Old::connect(&running).await;
    old.post(&INITIALIZE.replace("2024-11-05", "2025-03-26")).await;
    old.next().await;
    let ping = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    old.post(&format!("[{},{}]", ping("1"), ping("2"))).await;
    let pong = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    assert_eq!(old.next().await, format!("[{},{}]", pong("1"), pong("2")));
    // Of others it is not taken.
    let mut older = Old::open(&running).await;
    older.post(&format!("[{}]", ping("1"))).await;
    assert_eq!(json::at(&older.next().await, &["error", "code"]), Some("-32600"));
}
