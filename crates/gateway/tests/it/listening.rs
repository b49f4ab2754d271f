//! The streams of legacy sessions whose clients can be asked: some servers ask there, and what they ask before it is open
//! is lost.

use std::sync::Arc;
use std::time::Duration;

use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;

use crate::ask;
use crate::stand::{Over, Running, Stand};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}}}}}}"#;

async fn stand() -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, Persona::legacy().scripted(&["GET", "response"])).await;
    // Its own stream would be a second one.
    stand.upstream("up").watched = false;
    (stand.start().await, server, desk)
}

fn call(running: &Running) -> JoinHandle<String> {
    let client = running.client.clone();
    tokio::spawn(async move { ask::send(&client, CALL).await.response().await })
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_until_its_server_can_ask() {
    let (running, server, mut desk) = stand().await;
    let answered = call(&running);
    let get = desk.asked("GET").await;
    // All that can happen meanwhile has happened then: the clock goes on when nothing else does.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(server.seen_of("tools/call").is_empty());
    let mut stream = get.stream().await;
    let called = desk.asked("tools/call").await.stream().await;
    stream.message(r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"Who?","requestedSchema":{"type":"object","properties":{}}}}"#).await;
    let text = answered.await.unwrap();
    assert!(text.contains("input_required") && text.contains("Who?"), "{text}");
    drop(called);
}

/// A server may ask there before it has said anything on the call's own connection, and then wait for the answer.
#[tokio::test(start_paused = true)]
async fn a_question_may_come_before_the_answers_head() {
    for answer in ["json", "stream"] {
        let (running, _server, mut desk) = stand().await;
        let answered = call(&running);
        let mut stream = desk.asked("GET").await.stream().await;
        let called = desk.asked("tools/call").await;
        stream.message(r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"Who?","requestedSchema":{"type":"object","properties":{}}}}"#).await;
        let text = answered.await.unwrap();
        let state = testkit::json::at(&text, &["result", "requestState"]).expect("a state");
        let inputs = format!(
            r#""name":"t","inputResponses":{{"input-1":{{"action":"accept"}}}},"requestState":{state},"#
        );
        let retry = CALL.replace(r#""name":"t","#, &inputs);
        let client = running.client.clone();
        let answered = tokio::spawn(async move { ask::send(&client, &retry).await.response().await });
        let reply = desk.asked("response").await;
        assert_eq!(reply.seen.id(), Some("\"q\""));
        reply.accepted().await;
        if answer == "json" {
            called.result(r#"{"content":[]}"#).await;
        } else {
            let events = called.stream().await;
            events.result(r#"{"content":[]}"#).await;
        }
        assert!(answered.await.unwrap().contains("complete"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_opens_its_stream_is_called_nevertheless() {
    for refuses in [false, true] {
        let (running, _server, mut desk) = stand().await;
        let answered = call(&running);
        let get = desk.asked("GET").await;
        if refuses {
            get.respond(405, "", &[], b"").await;
            desk.asked("tools/call").await.result("{}").await;
        } else {
            desk.asked("tools/call").await.result("{}").await;
            drop(get);
        }
        assert!(answered.await.unwrap().contains("complete"));
    }
}
