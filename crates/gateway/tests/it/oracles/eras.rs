//! Finding out which era a server speaks.

use std::sync::Arc;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::ask;
use crate::stand::{Over, Running, Stand};

async fn with(over: Over, persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    (stand.start().await, server, desk)
}

#[tokio::test(start_paused = true)]
async fn e29_a_legacy_process_is_found_out_however_it_answers_discover() {
    for answer in [Some(-32601), Some(-32602), Some(-32000), Some(0), None] {
        let (running, server, mut desk) =
            with(Over::Stdio, Persona::legacy().scripted(&["server/discover"])).await;
        let client = running.client.clone();
        let calling = tokio::spawn(async move {
            ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await
        });
        let probe = desk.asked("server/discover").await;
        let mut silent = None;
        match answer {
            Some(0) => probe.raw(b"what?").await,
            Some(code) => probe.error(code, "no", None).await,
            None => silent = Some(probe),
        }
        desk.asked("tools/call").await.result("{}").await;
        assert!(calling.await.unwrap().contains("complete"), "{answer:?}");
        assert_eq!(server.seen_of("initialize").len(), 1, "{answer:?}");
        drop(silent);
    }
}

/// There is one modern revision here, so a server that has it takes it, and one that has not is named with what it has.
#[tokio::test(start_paused = true)]
async fn e30_a_process_that_refuses_our_revision_is_modern() {
    for over in [Over::Stdio, Over::Http] {
        let (running, server, desk) =
            with(over, Persona::modern().scripted(&["server/discover", "initialize"])).await;
        server.answer_all(desk, |asked| async move {
            let data = r#"{"supported":["2027-01-01"],"requested":"2026-07-28"}"#;
            asked.error(-32022, "no", Some(data)).await;
        });
        let text = ask::modern(&running.client, "tools/call", r#""name":"t""#).await.response().await;
        assert_eq!(json::at(&text, &["error", "code"]), Some("-31502"), "{text}");
        assert!(text.contains("2027-01-01"), "{text}");
        assert!(server.seen_of("initialize").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn e31_a_400_with_a_page_is_a_legacy_server() {
    let (running, server, mut desk) =
        with(Over::Http, Persona::legacy().scripted(&["server/discover"])).await;
    let client = running.client.clone();
    let calling =
        tokio::spawn(
            async move { ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await },
        );
    let probe = desk.asked("server/discover").await;
    probe.respond(400, "text/html", &[], b"<html>Bad Request</html>").await;
    desk.asked("tools/call").await.result("{}").await;
    assert!(calling.await.unwrap().contains("complete"));
    assert!(!server.seen_of("initialize").is_empty());
}
