//! Servers over HTTP that are away, break, or come back as others. Nothing is ever silently run twice, and nothing is
//! ever a silent success.

use std::sync::Arc;
use std::time::Duration;

use base::plan::{Reach, UpstreamPlan};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Era, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use transport::net::Address;

use crate::ask;
use crate::stand::{Over, Running, Stand, http_reach};

pub(crate) const OK: &str = r#"{"resultType":"complete","content":[]}"#;

pub(crate) fn call(running: &Running, name: &str) -> JoinHandle<String> {
    let (client, params) = (running.client.clone(), format!(r#""name":"{name}""#));
    tokio::spawn(async move { ask::modern(&client, "tools/call", &params).await.response().await })
}

pub(crate) fn reason(text: &str) -> Option<&str> {
    json::at(text, &["error", "data", "reason"]).map(json::plain)
}

pub(crate) async fn with(persona: Persona) -> (Running, ScriptedServer, Desk, MemoryNetwork, Address) {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    let (server, desk) = ScriptedServer::new(persona);
    let address = Address::Tcp("up".to_owned(), 80);
    server.serve_http(&network, &address).await;
    stand.put(UpstreamPlan::new("up", Reach::Http(http_reach(&address))));
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk, network, address)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_unreachable_until_it_is_there() {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    let address = Address::Tcp("late".to_owned(), 80);
    stand.put(UpstreamPlan::new("late", Reach::Http(http_reach(&address))));
    let running = stand.start().await;
    let text = call(&running, "t").await.unwrap();
    assert_eq!(reason(&text), Some("upstream_unreachable"));
    assert_eq!(json::at(&text, &["error", "data", "notProcessed"]), Some("true"));
    let (server, mut desk) = ScriptedServer::new(Persona::modern());
    server.serve_http(&network, &address).await;
    let answered = call(&running, "t");
    desk.asked("tools/call").await.result(OK).await;
    assert!(answered.await.unwrap().contains("content"));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_swallows_everything_costs_the_deadline_and_no_more() {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    let address = Address::Tcp("void".to_owned(), 80);
    network.silence(&address, true);
    stand.put(UpstreamPlan::new("void", Reach::Http(http_reach(&address))));
    stand.upstream("void").deadlines.connect = Duration::from_secs(6);
    let (_fine, mut desk) = stand.add("fine", Over::Http, Persona::modern()).await;
    let running = stand.start().await;
    let began = tokio::time::Instant::now();
    let lost = call(&running, "void__t");
    let answered = call(&running, "fine__t");
    desk.asked("tools/call").await.result(OK).await;
    assert!(answered.await.unwrap().contains("content"));
    assert_eq!(began.elapsed().as_secs(), 0);
    assert_eq!(reason(&lost.await.unwrap()), Some("upstream_unreachable"));
    assert!(began.elapsed().as_secs() <= 6, "{:?}", began.elapsed());
}

/// A server that does not give its tools gets its calls all the same, and only the first one waits for the list.
#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_does_not_hold_up_every_call() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, mut desk) = stand.add("up", Over::Http, Persona::modern().scripted(&["tools/list"])).await;
    stand.upstream("up").deadlines.list = Duration::from_secs(8);
    let running = stand.start().await;
    let mut waited = Vec::new();
    for _ in 0..3 {
        let began = tokio::time::Instant::now();
        let answered = call(&running, "t");
        desk.asked("tools/call").await.result(OK).await;
        assert!(answered.await.unwrap().contains("content"));
        waited.push(began.elapsed().as_secs());
    }
    assert_eq!(waited, [8, 0, 0]);
}

/// A call in flight is lost with its connection, and told so; it is not sent again, whatever connection is next.
#[tokio::test(start_paused = true)]
async fn a_cut_connection_is_no_reason_to_send_a_call_twice() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let (running, server, mut desk, network, address) = with(persona).await;
        let calls = [call(&running, "t"), call(&running, "t"), call(&running, "t")];
        // Held, so that it is the network that breaks.
        let mut held = Vec::new();
        for _ in &calls {
            held.push(desk.asked("tools/call").await);
        }
        network.cut(&address);
        for lost in calls {
            let text = lost.await.unwrap();
            assert_eq!(reason(&text), Some("upstream_broke_off"), "{text}");
            assert_eq!(json::at(&text, &["error", "data", "notProcessed"]), Some("false"));
        }
        testkit::idle().await;
        assert_eq!(server.seen_of("tools/call").len(), 3);
        let answered = call(&running, "t");
        desk.asked("tools/call").await.result(OK).await;
        assert!(answered.await.unwrap().contains("content"));
    }
}

/// Connections that the server has closed while they were idle cost nobody a call.
#[tokio::test(start_paused = true)]
async fn idle_connections_that_were_closed_are_not_used() {
    let (running, server, mut desk, ..) = with(Persona::modern()).await;
    for round in 1..=20 {
        let answered = call(&running, "t");
        desk.asked("tools/call").await.result(OK).await;
        assert!(answered.await.unwrap().contains("content"), "round {round}");
        server.crash();
        if round % 2 == 0 {
            testkit::idle().await;
        }
    }
    assert_eq!(server.seen_of("tools/call").len(), 20);
}

/// Connections are kept: one after the other, calls share one.
#[tokio::test(start_paused = true)]
async fn calls_one_after_the_other_share_a_connection() {
    for persona in
        [Persona::modern(), Persona::modern().streaming(), Persona::legacy(), Persona::legacy().streaming()]
    {
        let (running, _server, mut desk, network, address) = with(persona.clone()).await;
        let mut counts = Vec::new();
        for _ in 0..20 {
            let answered = call(&running, "t");
            desk.asked("tools/call").await.result(OK).await;
            answered.await.unwrap();
            testkit::idle().await;
            counts.push(network.opened(&address));
        }
        assert_eq!(counts.first(), counts.last(), "{:?} {:?}: {counts:?}", persona.era, persona.style);
    }
}

/// A server restarted: its sessions are gone, and what was cached of it is asked for again.
#[tokio::test(start_paused = true)]
async fn a_legacy_server_that_restarts_costs_one_new_session() {
    let (running, server, mut desk, ..) = with(Persona::legacy()).await;
    server.crash();
    server.forget_sessions();
    let calls: Vec<_> = (0..10).map(|_| call(&running, "t")).collect();
    let mut answered = 0;
    while answered < calls.len() {
        let asked = desk.asked("tools/call").await;
        if server.has_lost_session(&asked) {
            asked.respond(404, "text/plain", &[], b"").await;
        } else {
            asked.result(OK).await;
            answered += 1;
        }
    }
    for call in calls {
        assert!(call.await.unwrap().contains("content"));
    }
    assert_eq!(server.sessions_opened(), 2);
}

/// A server that was upgraded still answers `initialize`, so the verdict is asked for again after a while.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_upgraded_is_spoken_to_in_the_modern_way_after_a_while() {
    let (running, server, mut desk, ..) = with(Persona::legacy()).await;
    server.persona().era = Era::Modern;
    server.persona().revision = "2026-07-28".to_owned();
    tokio::time::advance(Duration::from_secs(3601)).await;
    let answered = call(&running, "t");
    let asked = desk.asked("tools/call").await;
    assert_eq!(asked.seen.header("mcp-protocol-version"), Some("2026-07-28"));
    asked.result(OK).await;
    assert!(answered.await.unwrap().contains("content"));
}

/// One that was replaced by an older one refuses; the next call finds out.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_replaced_by_an_older_one_is_found_out() {
    let (running, server, mut desk, ..) = with(Persona::modern()).await;
    server.persona().era = Era::Legacy;
    server.persona().revision = "2025-11-25".to_owned();
    let refused = call(&running, "t");
    desk.asked("tools/call").await.respond(400, "text/html", &[], b"<html>").await;
    assert_eq!(reason(&refused.await.unwrap()), Some("upstream_invalid_answer"));
    let answered = call(&running, "t");
    let asked = desk.asked("tools/call").await;
    assert_eq!(asked.seen.header("mcp-session-id"), Some("session-1"));
    asked.result(OK).await;
    assert!(answered.await.unwrap().contains("content"));
}

/// A deadline counts from sign of life to sign of life, and there is an end of it.
#[tokio::test(start_paused = true)]
async fn progress_puts_the_deadline_off_but_not_for_ever() {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network));
    let (_server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    stand.upstream("up").deadlines.call = Duration::from_secs(10);
    stand.upstream("up").deadlines.call_max = Duration::from_secs(35);
    let running = stand.start().await;
    running.gateway.settled().await;
    let began = tokio::time::Instant::now();
    let client = running.client.clone();
    let body = ask::body("1", "tools/call", r#""name":"t""#)
        .replace(r#""_meta":{"#, r#""_meta":{"progressToken":7,"#);
    let lost = tokio::spawn(async move { ask::send(&client, &body).await.response().await });
    let mut events = desk.asked("tools/call").await.stream().await;
    for n in 1..=3 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        events.progress(&n.to_string()).await;
    }
    events.gone().await;
    assert_eq!(began.elapsed().as_secs(), 35);
    assert_eq!(reason(&lost.await.unwrap()), Some("upstream_deadline"));
}

/// A configuration that changes keeps what is the same: no session, connection or call is lost.
#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_did_not_change_and_lets_calls_finish() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (kept, mut kept_desk) = stand.add("kept", Over::Http, Persona::legacy()).await;
    let (gone, mut gone_desk) = stand.add("gone", Over::Stdio, Persona::legacy()).await;
    let (spawn, mut plan) = (stand.spawn.clone(), stand.plan.clone());
    let running = stand.start().await;
    running.gateway.settled().await;
    let (one, two) = (call(&running, "kept__t"), call(&running, "gone__t"));
    let (a, b) = (kept_desk.asked("tools/call").await, gone_desk.asked("tools/call").await);
    plan.upstreams.retain(|upstream| upstream.name == "kept");
    plan.routes[0].upstreams.retain(|name| name == "kept");
    running.gateway.reload(plan);
    // With one server left, names have no prefix any more.
    let three = call(&running, "t");
    kept_desk.asked("tools/call").await.result(OK).await;
    assert!(three.await.unwrap().contains("content"));
    a.result(OK).await;
    b.result(OK).await;
    assert!(one.await.unwrap().contains("content") && two.await.unwrap().contains("content"));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((kept.sessions_opened(), gone.sessions_opened(), spawn.live()), (1, 1, 0));
}
