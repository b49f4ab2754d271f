//! Servers that come back, and routes that change: whoever listens hears of it, and nobody has to call to find out.

use std::sync::Arc;
use std::time::Duration;

use base::plan::{Reach, UpstreamPlan};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};
use transport::net::Address;
use upstream::Health;

use crate::ask;
use crate::stand::{Over, Running, Stand, http_reach};

const ABLE: &str = r#"{"tools":{"listChanged":true}}"#;
const TOOLS: &str = r#""notifications":{"toolsListChanged":true}"#;

fn address() -> Address {
    Address::Tcp("10.0.0.7".to_owned(), 80)
}

/// A gateway in front of an address where nobody listens yet.
async fn before_anybody() -> (Running, Arc<MemoryNetwork>) {
    let network = Arc::new(MemoryNetwork::default());
    let mut stand = Stand::new(Arc::clone(&network) as Arc<_>);
    stand.put(UpstreamPlan::new("up", Reach::Http(http_reach(&address()))));
    let running = stand.start().await;
    running.gateway.settled().await;
    (running, network)
}

fn is_up(running: &Running) -> bool {
    running.gateway.health().iter().all(|(_, health)| matches!(health, Health::Up { .. }))
}

async fn method_of(event: Option<String>) -> String {
    json::at(&event.unwrap(), &["method"]).map(json::unescaped).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_is_found_though_nobody_calls_it() {
    let (running, network) = before_anybody().await;
    assert!(!is_up(&running));
    let (server, _desk) = ScriptedServer::new(Persona::modern().able(ABLE));
    server.serve_http(&*network, &address()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(is_up(&running));
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_connection_broke_once_is_not_down_for_good() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let network = Arc::new(MemoryNetwork::default());
        let mut stand = Stand::new(Arc::clone(&network) as Arc<_>);
        let (_server, mut desk) = stand.add("up", Over::Http, persona).await;
        let running = stand.start().await;
        running.gateway.settled().await;
        let client = running.client.clone();
        let call = tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"t""#).await });
        desk.asked("tools/call").await.abort();
        drop(call.await.unwrap().body().await);
        assert!(!is_up(&running));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(is_up(&running));
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_died_is_started_again_though_nobody_calls_it() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, _desk) = stand.add("up", Over::Stdio, Persona::modern()).await;
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    server.crash();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(is_up(&running));
    assert_eq!((spawn.started(), spawn.live()), (2, 1));
}

/// Whether somebody has asked for the list while it was not there or not.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_started_again_is_told_of_once() {
    for asks in [false, true] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, _desk) = stand.add("up", Over::Stdio, Persona::legacy().able(ABLE).tools(&["t"])).await;
        drop(stand.add("other", Over::Http, Persona::modern().tools(&["o"])).await);
        let spawn = stand.spawn.clone();
        let running = stand.start().await;
        running.gateway.settled().await;
        let mut stream = ask::modern(&running.client, "subscriptions/listen", TOOLS).await;
        assert!(stream.event().await.unwrap().contains("acknowledged"));
        server.crash();
        if asks {
            drop(ask::modern(&running.client, "tools/list", "").await.response().await);
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        drop(ask::modern(&running.client, "prompts/get", r#""name":"up__p""#).await.response().await);
        assert_eq!(spawn.started(), 2);
        assert_eq!(method_of(stream.event().await).await, "notifications/tools/list_changed");
        let again = tokio::time::timeout(Duration::from_secs(30), stream.event()).await;
        assert!(again.is_err(), "{asks} {again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_listened_while_a_server_was_away_hears_when_it_is_back() {
    let (running, network) = before_anybody().await;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", TOOLS).await;
    let first = stream.event().await.unwrap();
    assert!(first.contains("acknowledged") && first.contains(r#""toolsListChanged":true"#), "{first}");
    let (server, _desk) = ScriptedServer::new(Persona::modern().able(ABLE));
    server.serve_http(&*network, &address()).await;
    assert_eq!(method_of(stream.event().await).await, "notifications/tools/list_changed");
    server.listened_to(1).await;
    server.tell("notifications/tools/list_changed", "").await;
    assert_eq!(method_of(stream.event().await).await, "notifications/tools/list_changed");
}

#[tokio::test(start_paused = true)]
async fn a_changed_route_ends_its_streams_and_an_unchanged_one_keeps_them() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_one, _desk) = stand.add("one", Over::Http, Persona::modern().able(ABLE)).await;
    let (_two, _desk) = stand.add("two", Over::Http, Persona::modern().able(ABLE)).await;
    let mut all = stand.plan.routes.remove(0);
    let mut one = all.clone();
    (one.name, one.path, one.upstreams) = ("one".to_owned(), "/one".to_owned(), vec!["one".to_owned()]);
    stand.plan.routes = vec![all.clone(), one.clone()];
    let plan = stand.plan.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    let mut changes = ask::modern(&running.client, "subscriptions/listen", TOOLS).await;
    let body = ask::body("7", "subscriptions/listen", TOOLS);
    let headers = ask::mirrored(&body);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let request = running.client.request("POST /one", &headers, body.as_bytes());
    let mut stays = running.client.send(&request).await;
    assert!(changes.event().await.unwrap().contains("acknowledged"));
    assert!(stays.event().await.unwrap().contains("acknowledged"));

    all.upstreams.pop();
    let mut next = plan;
    next.upstreams.pop();
    next.routes = vec![all, one];
    running.gateway.reload(next);
    let told = changes.event().await.unwrap();
    assert!(told.contains("notifications/tools/list_changed") && told.contains("subscriptionId"), "{told}");
    let end = changes.event().await.unwrap();
    assert_eq!(json::at(&end, &["result", "resultType"]), Some("\"complete\""), "{end}");
    assert_eq!(changes.event().await, None);
    let beat = tokio::time::timeout(Duration::from_secs(14), stays.event()).await;
    assert!(beat.is_err(), "the other route is as it was: {beat:?}");
}

#[tokio::test(start_paused = true)]
async fn the_admin_listener_knows_its_hosts_and_keeps_what_processes_say_to_itself() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.plan.admin = Some(Address::Tcp("127.0.0.1".to_owned(), 9999));
    let (_server, _desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let network = Arc::clone(&stand.network);
    let running = stand.start().await;
    running.gateway.settled().await;
    let admin = testkit::http::Client::new(network, Address::Tcp("127.0.0.1".to_owned(), 9999));
    for (host, status) in
        [("evil.example", 403), ("10.1.2.3:9999", 200), ("localhost", 200), ("[::1]:1", 200)]
    {
        let request = admin.request("GET /readyz", &[("host", host)], b"");
        assert_eq!(admin.send(&request).await.status, status, "{host}");
    }
}
