//! Time: no call lives longer than it may, whoever is slow, and no place is held by one that is over.

use std::sync::Arc;
use std::time::Duration;

use testkit::http::{Client, Reply};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ask;
use crate::stand::{Over, Running, Stand};

fn call(client: &Client, id: u64, members: &str) -> JoinHandle<Reply> {
    let body = ask::body(&id.to_string(), "tools/call", &format!(r#""name":"t"{members}"#));
    let client = client.clone();
    tokio::spawn(async move { ask::send(&client, &body).await })
}

async fn stand(over: Over, persona: Persona) -> (Stand, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    let deadlines = &mut stand.upstream("up").deadlines;
    (deadlines.call, deadlines.call_max) = (Duration::from_secs(3), Duration::from_secs(20));
    (stand, server, desk)
}

async fn start(stand: Stand, server: &ScriptedServer) -> Running {
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    running
}

/// The error that ends a call, however it comes.
async fn error(reply: JoinHandle<Reply>) -> String {
    let text = reply.await.unwrap().body().await;
    let at = text.rfind("{\"jsonrpc\"").unwrap_or_else(|| panic!("{text}"));
    let line = text.split_at(at).1.lines().next().unwrap();
    json::at(line, &["error", "data", "reason"]).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_of_ours_are_none_of_the_servers() {
    for over in [Over::Http, Over::Stdio] {
        let (mut stand, server, mut desk) = stand(over, Persona::modern()).await;
        stand.plan.limits.keep_alive = Duration::from_secs(1);
        let running = start(stand, &server).await;
        let began = Instant::now();
        let called = call(&running.client, 1, "");
        let asked = desk.asked("tools/call").await;
        assert_eq!(error(called).await, "\"upstream_deadline\"");
        assert_eq!(began.elapsed().as_secs(), 3, "{over:?}");
        drop(asked);
    }
}

#[tokio::test(start_paused = true)]
async fn progress_keeps_a_call_alive_until_its_longest_time() {
    let (stand, server, mut desk) = stand(Over::Http, Persona::modern()).await;
    let running = start(stand, &server).await;
    let began = Instant::now();
    let body = ask::body("1", "tools/call", r#""name":"t""#);
    let body = body.replace(r#""_meta":{"#, r#""_meta":{"progressToken":"p","#);
    let client = running.client.clone();
    let called = tokio::spawn(async move { ask::send(&client, &body).await });
    let mut events = desk.asked("tools/call").await.stream().await;
    let reporting = tokio::spawn(async move {
        for step in 1..60 {
            events.progress(&step.to_string()).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    });
    assert_eq!(error(called).await, "\"upstream_deadline\"");
    assert_eq!(began.elapsed().as_secs(), 20);
    reporting.abort();
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_part_of_a_calls_time() {
    let (mut stand, server, mut desk) = stand(Over::Http, Persona::modern()).await;
    stand.upstream("up").concurrent_calls = 1;
    stand.upstream("up").deadlines.call = Duration::from_secs(10);
    let running = start(stand, &server).await;
    let _holds = call(&running.client, 1, "");
    let mut events = desk.asked("tools/call").await.stream().await;
    let began = Instant::now();
    let waits = call(&running.client, 2, "");
    // The first one keeps its place: it lives.
    let living = tokio::spawn(async move {
        loop {
            events.log("info").await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });
    assert_eq!(error(waits).await, "\"upstream_deadline\"");
    assert_eq!(began.elapsed().as_secs(), 10);
    living.abort();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_over_headers_gives_its_place_back_before_the_second_try() {
    let tool = r#"[{"name":"t","inputSchema":{"type":"object","properties":{"r":{"type":"string","x-mcp-header":"R"}}}}]"#;
    let (mut stand, server, mut desk) = stand(Over::Http, Persona::modern().tools(&["t"])).await;
    stand.upstream("up").concurrent_calls = 1;
    let running = start(stand, &server).await;
    let called = call(&running.client, 1, r#","arguments":{"r":"x"}"#);
    let first = desk.asked("tools/call").await;
    server.persona().lists.insert("tools/list".to_owned(), tool.to_owned());
    let refusal = format!(
        r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32020,"message":"Mcp-Param-R is missing"}}}}"#,
        first.seen.id().unwrap()
    );
    first.respond(400, "application/json", &[], refusal.as_bytes()).await;
    // The client did not send the header that the new schema wants, so now it is told.
    let text = called.await.unwrap().body().await;
    assert_eq!(json::at(&text, &["error", "code"]), Some("-32020"), "{text}");
    let again = call(&running.client, 2, "");
    desk.asked("tools/call").await.result("{}").await;
    assert_eq!(again.await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_legacy_server_means_by_a_modern_code_is_its_own() {
    let (stand, server, mut desk) = stand(Over::Http, Persona::legacy().tools(&["t"])).await;
    let running = start(stand, &server).await;
    let called = call(&running.client, 1, "");
    desk.asked("tools/call").await.error(-32020, "out of cheese", None).await;
    let text = called.await.unwrap().body().await;
    assert_eq!(json::at(&text, &["error", "message"]), Some("\"out of cheese\""), "{text}");
    assert_eq!(server.seen_of("tools/call").len(), 1, "it may have been carried out");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_no_place() {
    let (mut stand, server, mut desk) = stand(Over::Http, Persona::modern()).await;
    stand.upstream("up").concurrent_calls = 1;
    stand.upstream("up").deadlines.call = Duration::from_secs(600);
    stand.upstream("up").deadlines.call_max = Duration::from_secs(600);
    let running = start(stand, &server).await;
    let body = ask::body("1", "tools/call", r#""name":"t""#)
        .replace(r#""_meta":{"#, r#""_meta":{"io.modelcontextprotocol/logLevel":"debug","#);
    let client = running.client.clone();
    let deaf = tokio::spawn(async move { ask::send(&client, &body).await });
    let mut events = desk.asked("tools/call").await.stream().await;
    events.log("info").await;
    let unread = deaf.await.unwrap();
    // Until nothing more fits between the server and the client that does not read.
    let words = "word ".repeat(4_000);
    let flood = tokio::spawn(async move {
        loop {
            events.notify("notifications/message", &format!(r#"{{"level":"info","data":"{words}"}}"#)).await;
            if events.is_gone() {
                return;
            }
        }
    });
    let next = call(&running.client, 2, "");
    desk.asked("tools/call").await.result("{}").await;
    assert_eq!(next.await.unwrap().status, 200);
    drop(unread);
    flood.abort();
}

#[tokio::test(start_paused = true)]
async fn connections_that_say_nothing_are_closed() {
    let (mut stand, server, _desk) = stand(Over::Http, Persona::modern()).await;
    stand.plan.listeners[0].limits.header_timeout = Duration::from_secs(5);
    let running = start(stand, &server).await;
    let silent = running.client.open().await;
    let mut half = running.client.open().await;
    half.write(b"PRI * HT").await;
    let began = Instant::now();
    assert!(silent.reply().await.is_none() && half.reply().await.is_none());
    assert_eq!(began.elapsed().as_secs(), 5);
}
