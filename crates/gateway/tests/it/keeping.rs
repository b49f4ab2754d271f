//! What is asked of a server once for many, and what nobody can make us keep.

use std::sync::Arc;
use std::time::Duration;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ask;
use crate::stand::{Over, Running, Stand};

/// A gateway with these servers, after each was reached.
async fn with(personas: Vec<(&str, Persona)>) -> (Running, Vec<(ScriptedServer, Desk)>) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let mut servers = Vec::new();
    for (name, persona) in personas {
        servers.push(stand.add(name, Over::Http, persona).await);
        stand.upstream(name).deadlines.list = Duration::from_secs(1);
    }
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, servers)
}

fn send(running: &Running, body: String) -> JoinHandle<String> {
    let client = running.client.clone();
    tokio::spawn(async move { ask::send(&client, &body).await.response().await })
}

fn reason(text: &str) -> Option<&str> {
    json::at(text, &["error", "data", "reason"]).map(json::plain)
}

/// A server that hangs costs each of those who wait for the same list one deadline, not one for each who came before.
#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_costs_all_who_wait_one_deadline() {
    let hangs = || Persona::modern().scripted(&["prompts/list"]);
    for personas in [vec![("up", hangs())], vec![("up", hangs()), ("other", Persona::modern())]] {
        let merged = personas.len() > 1;
        let (running, servers) = with(personas).await;
        let began = Instant::now();
        let waiting: Vec<_> = (0..8).map(|_| send(&running, ask::body("1", "prompts/list", ""))).collect();
        for answer in waiting {
            let text = answer.await.unwrap();
            if merged {
                assert!(text.contains(r#""server":"up","reason":"upstream \"up\" did not answer"#), "{text}");
            } else {
                assert_eq!(reason(&text), Some("upstream_deadline"), "{text}");
            }
            assert_eq!(began.elapsed().as_secs(), 1);
        }
        assert_eq!(servers[0].0.seen_of("prompts/list").len(), 1);
    }
}

/// A failure is told to those who wait for it, and to nobody after them.
#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_by_those_who_wait_for_it() {
    let (running, mut servers) = with(vec![("up", Persona::modern().scripted(&["prompts/list"]))]).await;
    let waiting: Vec<_> = (0..8).map(|_| send(&running, ask::body("1", "prompts/list", ""))).collect();
    testkit::idle().await;
    let (server, desk) = &mut servers[0];
    desk.asked("prompts/list").await.error(-32603, "not now", None).await;
    for answer in waiting {
        assert!(answer.await.unwrap().contains("not now"));
    }
    assert_eq!(server.seen_of("prompts/list").len(), 1);
    let later = send(&running, ask::body("1", "prompts/list", ""));
    desk.asked("prompts/list").await.result(r#"{"prompts":[]}"#).await;
    assert!(later.await.unwrap().contains("\"prompts\":[]"));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_has_a_bound() {
    let paged = Persona::modern().scripted(&["prompts/list"]);
    let (running, mut servers) = with(vec![("up", paged)]).await;
    let (server, desk) = &mut servers[0];
    for (length, fits) in [(4096, true), (4097, false), (3_900_000, false)] {
        let cursor = format!(r#""cursor":"{}""#, "c".repeat(length));
        let answer = send(&running, ask::body("1", "prompts/list", &cursor));
        if fits {
            desk.asked("prompts/list").await.result(r#"{"prompts":[]}"#).await;
        }
        let text = answer.await.unwrap();
        assert_eq!(json::at(&text, &["error", "code"]), (!fits).then_some("-32602"), "{text:.300}");
    }
    assert_eq!(server.seen_of("prompts/list").len(), 1);
}

/// Clients of which each may be told something else do not wait for each other.
#[tokio::test(start_paused = true)]
async fn a_description_that_hangs_holds_up_its_own_clients_only() {
    let (running, mut servers) = with(vec![("up", Persona::modern())]).await;
    let (server, desk) = &mut servers[0];
    server.persona().scripted.insert("server/discover".to_owned());
    let seen = server.seen_of("server/discover").len();
    let began = Instant::now();
    let plain = ask::body("1", "server/discover", "");
    let other = plain.replace(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"sampling":{}}"#);
    let hanging = [send(&running, plain.clone()), send(&running, plain)];
    let held = desk.asked("server/discover").await;
    let served = send(&running, other);
    let asked = desk.asked("server/discover").await;
    assert!(asked.seen.text().contains("sampling"));
    asked.result(r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}"#).await;
    assert!(served.await.unwrap().contains("supportedVersions"));
    assert_eq!(began.elapsed(), Duration::ZERO);
    for late in hanging {
        assert_eq!(reason(&late.await.unwrap()), Some("upstream_deadline"));
    }
    assert_eq!(began.elapsed().as_secs(), 1);
    // Of those that waited for the one that hung, the next asks once more before its own time is over.
    let asked = server.seen_of("server/discover").len() - seen;
    assert!((2..=3).contains(&asked), "{asked}");
    held.gone().await;
}
