//! What an operator can see.

use std::sync::Arc;

use base::plan::{LeftOut, Reach, UpstreamPlan};
use testkit::http::Client;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};
use testkit::spawn::Stdio;
use tokio::io::AsyncWriteExt as _;
use transport::net::Address;
use upstream::Health;

use crate::ask;
use crate::protected::{Issuer, resource};
use crate::stand::{Over, Running, Stand, http_reach, stdio_reach};

const ADMIN: (&str, u16) = ("127.0.0.1", 9090);

async fn with(change: impl FnOnce(&mut Stand)) -> (Running, ScriptedServer, Client) {
    let network: Arc<MemoryNetwork> = Arc::default();
    let mut stand = Stand::new(network.clone());
    let (server, desk) = stand.add("up", Over::Http, Persona::modern()).await;
    server.answer_all(desk, |asked| async move { asked.result("{}").await });
    let address = Address::Tcp(ADMIN.0.to_owned(), ADMIN.1);
    stand.plan.admin = Some(address.clone());
    change(&mut stand);
    let running = stand.start().await;
    (running, server, Client::new(network, address))
}

async fn get(client: &Client, path: &str) -> (u16, String) {
    let mut reply = client.send(&client.request(&format!("GET {path}"), &[], b"")).await;
    (reply.status, reply.body().await)
}

#[tokio::test(start_paused = true)]
async fn ready_means_that_some_server_is_up_and_every_one_was_tried() {
    let (running, _server, admin) = with(|stand| {
        let nobody = http_reach(&Address::Tcp("nobody".to_owned(), 1));
        stand.put(UpstreamPlan::new("down", Reach::Http(nobody)));
        let (name, why) = ("odd".to_owned(), "${KEY} is not set".to_owned());
        stand.plan.left_out.push(LeftOut { name, why });
    })
    .await;
    running.gateway.settled().await;
    let (status, text) = get(&admin, "/readyz").await;
    assert_eq!(json::at(&text, &["upstreams", "odd", "state"]), Some("\"left out\""));
    assert_eq!(json::at(&text, &["upstreams", "odd", "why"]), Some("\"${KEY} is not set\""));
    let listed = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(listed.contains(r#"{"server":"odd","reason":"${KEY} is not set"}"#), "{listed}");
    assert_eq!((status, json::at(&text, &["ready"])), (200, Some("true")), "{text}");
    assert_eq!(json::at(&text, &["upstreams", "up", "era"]), Some("\"modern\""));
    assert_eq!(json::at(&text, &["upstreams", "down", "state"]), Some("\"down\""));
    running.gateway.drain();
    let (status, text) = get(&admin, "/readyz").await;
    assert_eq!((status, json::at(&text, &["why"])), (503, Some("\"draining\"")));
    assert_eq!(get(&admin, "/healthz").await, (200, "ok\n".to_owned()));
}

/// Also where one server is left, whose lists are given as they come.
#[tokio::test(start_paused = true)]
async fn what_is_left_out_beside_one_server_is_said_in_its_lists() {
    let (running, _server, _admin) = with(|stand| {
        let (name, why) = ("odd".to_owned(), "${KEY} is not set".to_owned());
        stand.plan.left_out.push(LeftOut { name, why });
    })
    .await;
    for _ in 0..2 {
        let listed = ask::modern(&running.client, "tools/list", "").await.response().await;
        let degraded = json::at(&listed, &["result", "_meta", "dev.portolan/degraded"]);
        assert_eq!(degraded, Some(r#"[{"server":"odd","reason":"${KEY} is not set"}]"#), "{listed}");
    }
}

/// Anybody who reaches the admin listener may read why a server is down; what its program has said may be anything.
#[tokio::test(start_paused = true)]
async fn what_a_program_said_before_it_ended_is_for_the_log() {
    let (running, _server, admin) = with(|stand| {
        stand.spawn.program("ends", |mut stdio: Stdio| async move {
            stdio.stderr.write_all(b"no key; it said: k\nnor database\n").await.unwrap();
            3
        });
        stand.put(UpstreamPlan::new("ends", Reach::Stdio(stdio_reach("ends"))));
    })
    .await;
    running.gateway.settled().await;
    let (_, text) = get(&admin, "/readyz").await;
    assert_eq!(json::at(&text, &["upstreams", "ends", "state"]), Some("\"down\""));
    let why = json::at(&text, &["upstreams", "ends", "why"]).unwrap();
    assert!(why.contains("the process ended (exit status: 3)"), "{text}");
    assert!(["no key", "database", "said"].iter().all(|said| !text.contains(said)), "{text}");
    let health = running.gateway.health();
    let (_, down) = health.iter().find(|(name, _)| name == "ends").unwrap();
    let Health::Down { said, .. } = down else { panic!("{down:?}") };
    assert_eq!(said.as_deref(), Some("no key; it said: k | nor database"));
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_what_came_of_them() {
    let (running, server, admin) = with(|_| {}).await;
    server.saw("tools/list", 1).await;
    ask::modern(&running.client, "tools/call", r#""name":"t""#).await.response().await;
    ask::modern(&running.client, "tools/call", r#""name":"t""#).await.response().await;
    ask::modern(&running.client, "evil/method\\u000a", "").await.response().await;
    let (_, text) = get(&admin, "/metrics").await;
    assert!(
        text.contains(r#"portolan_calls_total{upstream="up",method="tools/call",outcome="ok"} 2"#),
        "{text}"
    );
    assert!(!text.contains("evil"), "{text}");
    assert!(text.contains(r#"portolan_upstream_up{upstream="up"} 1"#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_admin_listener_answers_nothing_else() {
    let (running, _server, admin) = with(|_| {}).await;
    assert_eq!(get(&admin, "/mcp").await.0, 404);
    let body = ask::body("1", "tools/list", "");
    assert_eq!(admin.post(&[], body.as_bytes()).await.status, 405);
    // And clients do not see it.
    assert_eq!(get(&running.client, "/metrics").await.0, 404);
    assert_eq!(get(&running.client, "/readyz").await.0, 404);
}

/// Who is not let in makes no call; that somebody was refused is counted all the same.
#[tokio::test(start_paused = true)]
async fn who_is_refused_is_counted() {
    let (running, _server, admin) = with(|stand| {
        stand.plan.issuers = vec![Issuer::new("https://id.example").plan("id")];
        stand.plan.routes[0].resource = Some(resource(&["id"]));
    })
    .await;
    for _ in 0..2 {
        assert_eq!(ask::modern(&running.client, "tools/list", "").await.status, 401);
    }
    let (_, text) = get(&admin, "/metrics").await;
    let counted = r#"portolan_requests_refused_total{route="main",outcome="unauthenticated"} 2"#;
    assert!(text.contains(counted), "{text}");
}
