//! Finding out which era a server speaks when it is slow, unwell, or changes.

use std::sync::Arc;
use std::time::Duration;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ask;
use crate::stand::{Over, Running, Stand};

const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public"}"#;

const REFUSED: Option<&str> = Some(r#"{"supported":["2026-07-28"],"requested":"2026-07-28"}"#);

async fn with(over: Over, persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    (stand.start().await, server, desk)
}

fn call(running: &Running) -> JoinHandle<String> {
    let client = running.client.clone();
    tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await })
}

fn reason(text: &str) -> Option<&str> {
    json::at(text, &["error", "data", "reason"]).map(json::plain)
}

/// A process that is slow to say what it is gets both questions. That it refuses the legacy one says nothing as long as the
/// modern one is open: modern servers refuse it, too.
#[tokio::test(start_paused = true)]
async fn a_refused_initialize_does_not_decide_while_the_modern_question_is_open() {
    for (code, late) in [(-32022, 20), (-32601, 2)] {
        let persona = Persona::modern().scripted(&["server/discover", "initialize"]);
        let (running, _server, mut desk) = with(Over::Stdio, persona).await;
        let answered = call(&running);
        let probe = desk.asked("server/discover").await;
        let data = r#"{"supported":["2026-07-28"],"requested":"2025-11-25"}"#;
        desk.asked("initialize").await.error(code, "no", Some(data)).await;
        tokio::time::sleep(Duration::from_secs(late)).await;
        probe.result(DISCOVERED).await;
        desk.asked("tools/call").await.result("{}").await;
        assert!(answered.await.unwrap().contains("complete"), "{code}");
    }
}

/// But it is not waited for for ever.
#[tokio::test(start_paused = true)]
async fn a_refused_initialize_is_told_when_nothing_else_comes() {
    let persona = Persona::legacy().scripted(&["server/discover", "initialize"]);
    let (running, _server, mut desk) = with(Over::Stdio, persona).await;
    let began = Instant::now();
    let refused = call(&running);
    let _silent = desk.asked("server/discover").await;
    desk.asked("initialize").await.error(-32603, "no database", None).await;
    let text = refused.await.unwrap();
    assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
    assert!(text.contains("no database"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// What the official suite's `request-metadata` does: a server that refuses a revision and says that it speaks it is asked
/// once more.
#[tokio::test(start_paused = true)]
async fn a_server_that_names_the_revision_it_refuses_is_asked_once_more() {
    let persona = Persona::modern().scripted(&["server/discover"]);
    let (running, _server, mut desk) = with(Over::Http, persona).await;
    let answered = call(&running);
    desk.asked("server/discover").await.error(-32022, "no", REFUSED).await;
    desk.asked("server/discover").await.result(DISCOVERED).await;
    desk.asked("tools/call").await.result("{}").await;
    assert!(answered.await.unwrap().contains("complete"));
}

/// But not for ever.
#[tokio::test(start_paused = true)]
async fn a_server_that_goes_on_refusing_what_it_names_is_told_of() {
    let persona = Persona::modern().scripted(&["server/discover"]);
    let (running, server, desk) = with(Over::Http, persona).await;
    server.answer_all(desk, async |asked| asked.error(-32022, "no", REFUSED).await);
    let text = call(&running).await.unwrap();
    assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
}
