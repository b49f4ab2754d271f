//! What legacy servers ask outside of any call.

use std::sync::Arc;
use std::time::Duration;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Events, Persona};

use crate::doors::lines;
use crate::stand::{Over, Running, Stand};

const OPEN: &str = r#"{"jsonrpc":"2.0","id":"open","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"c","version":"1"}}}"#;
const ASK: &str = r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#;

async fn stand() -> (Running, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = Persona::legacy().scripted(&["notifications/initialized", "response"]);
    let (_server, desk) = stand.add("up", Over::Stdio, persona).await;
    stand.upstream("up").watched = false;
    (stand.start().await, desk)
}

/// A server that asks as soon as it may.
async fn asks(desk: &mut Desk) -> Events {
    let mut events = desk.asked("notifications/initialized").await.stream().await;
    events.message(ASK).await;
    events
}

#[tokio::test(start_paused = true)]
async fn the_only_client_is_asked_although_it_was_not_even_open() {
    let (running, mut desk) = stand().await;
    let mut client = lines(&running);
    client.send(OPEN.as_bytes()).await;
    let _events = asks(&mut desk).await;
    assert!(client.next().await.unwrap().contains("serverInfo"));
    let asked = client.next().await.unwrap();
    assert_eq!(json::at(&asked, &["method"]), Some("\"roots/list\""));
    let id = json::at(&asked, &["id"]).unwrap();
    client.send(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[]}}}}"#).as_bytes()).await;
    let answer = desk.asked("response").await;
    assert_eq!(answer.seen.text(), r#"{"jsonrpc":"2.0","id":"r","result":{"roots":[]}}"#);
}

#[tokio::test(start_paused = true)]
async fn where_two_clients_can_be_meant_nobody_is_asked() {
    let (running, mut desk) = stand().await;
    let (mut one, mut other) = (lines(&running), lines(&running));
    one.send(OPEN.as_bytes()).await;
    let mut events = desk.asked("notifications/initialized").await.stream().await;
    one.next().await.unwrap();
    other.send(OPEN.as_bytes()).await;
    other.next().await.unwrap();
    testkit::idle().await;
    events.message(ASK).await;
    let refused = desk.asked("response").await;
    assert_eq!(json::at(refused.seen.text(), &["error", "code"]), Some("-32602"));
}

/// A modern client has nothing that it could be asked on (MCP 2026-07-28 `basic/patterns/mrtr`).
#[tokio::test(start_paused = true)]
async fn where_no_legacy_client_listens_the_server_is_told_so() {
    let (running, mut desk) = stand().await;
    let client = running.client.clone();
    let body = crate::ask::body("1", "tools/list", "")
        .replace(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"roots":{}}"#);
    let listed = tokio::spawn(async move { crate::ask::send(&client, &body).await.response().await });
    let _events = asks(&mut desk).await;
    assert!(listed.await.unwrap().contains("tools"));
    let began = tokio::time::Instant::now();
    let refused = desk.asked("response").await;
    assert_eq!(json::at(refused.seen.text(), &["error", "code"]), Some("-32602"));
    assert!(refused.seen.text().contains("no client listens"));
    assert!(began.elapsed() < Duration::from_secs(6));
}
