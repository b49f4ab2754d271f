//! Conversations with processes: many calls on one pipe, and a server that says what cannot be read, too much, or nothing
//! any more.

use std::sync::Arc;
use std::time::Duration;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use testkit::spawn::MemorySpawn;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ask;
use crate::stand::{Over, Running, Stand};

async fn with(
    over: Over,
    persona: Persona,
    change: impl FnOnce(&mut Stand),
) -> (Running, ScriptedServer, Desk, MemorySpawn) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    change(&mut stand);
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk, spawn)
}

fn call(running: &Running, name: &str) -> JoinHandle<String> {
    let (client, params) = (running.client.clone(), format!(r#""name":"{name}""#));
    tokio::spawn(async move { ask::modern(&client, "tools/call", &params).await.response().await })
}

fn reason(text: &str) -> Option<&str> {
    json::at(text, &["error", "data", "reason"]).map(json::plain)
}

/// An answer that cannot be read is an answer all the same: nobody waits for another one.
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_fails_its_call_at_once() {
    for (over, persona) in [(Over::Stdio, Persona::modern()), (Over::Http, Persona::modern().streaming())] {
        let (running, _server, mut desk, _spawn) = with(over, persona, |_| {}).await;
        for line in [
            &br#"{"jsonrpc":"2.0","id":ID,"result":null}"#[..],
            br#"{"jsonrpc":"2.0","id":ID,"result":[]}"#,
            br#"{"jsonrpc":"2.0","id":ID,"error":"it failed"}"#,
            br#"{"jsonrpc":"2.0","id":ID,"error":{"message":"it failed"}}"#,
            br#"{"jsonrpc":"2.0","result":{},"error":{"code":1,"message":"m"},"id":ID}"#,
            br#"{"id":ID,"result":{}}"#,
            br#"{"jsonrpc":"2.0","id":ID,"result":{"text":"cut off"#,
            b"{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"text\":\"\xff\"}}",
        ] {
            let (lost, other) = (call(&running, "lost"), call(&running, "other"));
            let (mut one, mut two) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
            if one.seen.param("name") != Some("\"lost\"") {
                std::mem::swap(&mut one, &mut two);
            }
            let id = one.seen.id().unwrap().to_owned();
            let at = line.windows(2).position(|two| two == b"ID").unwrap();
            let line = [&line[..at], id.as_bytes(), &line[at + 2..]].concat();
            let began = Instant::now();
            let mut out = one.stream().await;
            match over {
                Over::Stdio => out.raw(&line).await,
                Over::Http => out.raw(&[b"data: ", &line[..], b"\n\n"].concat()).await,
            }
            let text = lost.await.unwrap();
            assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{}", line.escape_ascii());
            assert_eq!(began.elapsed().as_secs(), 0);
            two.result("{}").await;
            assert!(other.await.unwrap().contains("complete"));
        }
    }
}

/// Wherever the id stands in it: the TypeScript SDK writes it last.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_fails_its_call_at_once() {
    let short = |stand: &mut Stand| stand.upstream("up").message_bytes = 10_000;
    let (running, _server, mut desk, spawn) = with(Over::Stdio, Persona::modern(), short).await;
    let long = "x".repeat(100_000);
    for line in [
        format!(r#"{{"jsonrpc":"2.0","id":ID,"result":{{"text":"{long}"}}}}"#),
        format!(r#"{{"result":{{"text":"{long}","id":1}},"jsonrpc":"2.0","id":ID}}"#),
    ] {
        let (lost, other) = (call(&running, "lost"), call(&running, "other"));
        let (mut one, mut two) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
        if one.seen.param("name") != Some("\"lost\"") {
            std::mem::swap(&mut one, &mut two);
        }
        let began = Instant::now();
        let line = line.replace("ID", one.seen.id().unwrap());
        one.raw(line.as_bytes()).await;
        let text = lost.await.unwrap();
        assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
        assert!(text.contains("longer than 10000 bytes"), "{text}");
        assert_eq!(began.elapsed(), Duration::ZERO);
        two.result("{}").await;
        assert!(other.await.unwrap().contains("complete"));
    }
    assert_eq!(spawn.started(), 1);
}

/// Over stdio that is how a server ends a subscription (MCP 2026-07-28 `basic/patterns/cancellation`).
#[tokio::test(start_paused = true)]
async fn a_subscription_that_its_server_cancels_is_over() {
    let able = Persona::modern().able(r#"{"tools":{"listChanged":true}}"#);
    let (_running, _server, mut desk, _spawn) =
        with(Over::Stdio, able.scripted(&["subscriptions/listen"]), |_| {}).await;
    let listening = desk.asked("subscriptions/listen").await;
    let id = listening.seen.id().unwrap().to_owned();
    let mut out = listening.stream().await;
    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
    let accepted = format!(r#"{{{meta},"notifications":{{"toolsListChanged":true}}}}"#);
    out.notify("notifications/subscriptions/acknowledged", &accepted).await;
    testkit::idle().await;
    // Of another request, and of one that is only like it.
    out.notify("notifications/cancelled", r#"{"requestId":424242}"#).await;
    out.notify("notifications/cancelled", &format!(r#"{{"requestId":"{id}"}}"#)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(desk.left().is_empty());
    out.notify("notifications/cancelled", &format!(r#"{{"requestId":{id}}}"#)).await;
    desk.asked("subscriptions/listen").await;
    // The result may come as well.
    out.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete"}}}}"#)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(desk.left().is_empty());
}

/// What a client does not read waits for it, but only so much: a process is not made to wait, because others share it.
#[tokio::test(start_paused = true)]
async fn notifications_that_nobody_reads_are_bounded_by_their_bytes() {
    let (running, _server, mut desk, _spawn) = with(Over::Stdio, Persona::modern(), |_| {}).await;
    let body = ask::body("1", "tools/call", r#""name":"t""#);
    let level = r#""_meta":{"io.modelcontextprotocol/logLevel":"debug","#;
    let client = running.client.clone();
    let slow = tokio::spawn(async move { ask::send(&client, &body.replace(r#""_meta":{"#, level)).await });
    let mut out = desk.asked("tools/call").await.stream().await;
    let long = "x".repeat(128 * 1024);
    for _ in 0..400 {
        out.notify("notifications/message", &format!(r#"{{"level":"info","data":"{long}"}}"#)).await;
    }
    let mut slow = slow.await.unwrap();
    testkit::idle().await;
    // Others are not held up, and get all of theirs.
    let other = call(&running, "other");
    desk.asked("tools/call").await.result("{}").await;
    assert!(other.await.unwrap().contains("complete"));
    out.result(r#"{"last":1}"#).await;
    let mut events = Vec::new();
    while let Some(event) = slow.event().await {
        events.push(event.len());
    }
    // 64 are on their way to the client already, and of more, only 4 MiB wait.
    assert!((32..=64 + 32 + 8).contains(&events.len()), "{}", events.len());
    assert!(*events.last().unwrap() < 100, "the response is not lost: {events:?}");
}
