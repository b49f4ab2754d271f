//! How a gateway ends: what those hear who are connected, who connect, and who look whether it is ready.

use std::sync::Arc;
use std::time::Duration;

use testkit::http::{Client, Connection};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::time::Instant;
use transport::net::Address;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

struct Scene {
    running: Running,
    admin: Client,
    network: Arc<MemoryNetwork>,
    _server: ScriptedServer,
    desk: Desk,
}

impl Scene {
    async fn new(change: impl FnOnce(&mut Stand)) -> Self {
        let network: Arc<MemoryNetwork> = Arc::default();
        let mut stand = Stand::new(network.clone());
        let (server, desk) = stand.add("up", Over::Http, Persona::modern()).await;
        let admin = Address::Tcp("127.0.0.1".to_owned(), 9090);
        stand.plan.admin = Some(admin.clone());
        change(&mut stand);
        let running = stand.start().await;
        server.saw("tools/list", 1).await;
        Self { running, admin: Client::new(network.clone(), admin), network, _server: server, desk }
    }

    fn stop(&self) -> tokio::task::JoinHandle<()> {
        let gateway = Arc::clone(&self.running.gateway);
        tokio::spawn(async move { gateway.stop().await })
    }

    async fn readiness(&self) -> u16 {
        self.admin.send(&self.admin.request("GET /readyz", &[], b"")).await.status
    }

    /// Asks over a connection, has the server answer, and gives back the connection if it stays.
    async fn call(&mut self, mut connection: Connection) -> Option<Connection> {
        let body = ask::body("1", "tools/call", r#""name":"t""#);
        let headers = ask::mirrored(&body);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = self.running.client.request("POST /mcp", &headers, body.as_bytes());
        connection.write(&request).await;
        self.desk.asked("tools/call").await.result(r#"{"done":1}"#).await;
        let reply = connection.reply().await.unwrap();
        let last = reply.header("connection") == Some("close");
        let (body, connection) = reply.finish().await;
        assert_eq!(json::at(&body, &["result", "done"]), Some("1"), "{body}");
        (!last).then_some(connection)
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_clients_here_has_time_to_notice() {
    let mut scene = Scene::new(|stand| stand.plan.limits.drain_delay = Duration::from_secs(5)).await;
    let mut stream = ask::modern(
        &scene.running.client,
        "subscriptions/listen",
        r#""notifications":{"toolsListChanged":true}"#,
    )
    .await;
    stream.event().await.unwrap();
    let began = Instant::now();
    let stopping = scene.stop();
    testkit::idle().await;
    assert_eq!(scene.readiness().await, 503);
    for _ in 0..3 {
        // Whoever comes is served, and told to go elsewhere.
        let connection = scene.running.client.open().await;
        assert!(scene.call(connection).await.is_none());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let end = stream.event().await.unwrap();
    assert_eq!(json::at(&end, &["result", "resultType"]), Some("\"complete\""), "{end}");
    assert_eq!(began.elapsed().as_secs(), 5, "the stream goes on until then");
    testkit::idle().await;
    assert!(!scene.running.client.is_served().await);
    stopping.await.unwrap();
}

/// A client takes itself for connected before anybody has accepted, and the system resets what waits when a socket is closed.
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_made_is_served_however_late() {
    let mut scene = Scene::new(|_| {}).await;
    let idle = scene.running.client.open().await;
    let idle = scene.call(idle).await.expect("a connection that is kept");
    let silent = scene.running.client.open().await;
    testkit::idle().await;
    // Nobody has had the time to accept it.
    let waits = scene.running.client.open().await;
    scene.running.gateway.drain();
    let stopping = scene.stop();
    testkit::idle().await;
    assert!(!scene.running.client.is_served().await);
    for connection in [idle, silent, waits] {
        // With this answer each of them hears that it was the last.
        assert!(scene.call(connection).await.is_none());
    }
    stopping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connections_on_which_nothing_is_asked_are_closed_in_good_order() {
    let mut scene = Scene::new(|_| {}).await;
    let idle = scene.running.client.open().await;
    let idle = scene.call(idle).await.unwrap();
    let silent = scene.running.client.open().await;
    testkit::idle().await;
    let began = Instant::now();
    scene.stop().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
    assert!(idle.reply().await.is_none() && silent.reply().await.is_none());
}

/// A call that is under way has the whole time, and no more.
#[tokio::test(start_paused = true)]
async fn a_call_under_way_has_the_time_that_the_plan_gives() {
    for answered in [true, false] {
        let mut scene = Scene::new(|stand| stand.plan.limits.drain = Duration::from_secs(10)).await;
        let client = scene.running.client.clone();
        let call = tokio::spawn(async move {
            ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await
        });
        let asked = scene.desk.asked("tools/call").await;
        let (began, stopping) = (Instant::now(), scene.stop());
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(!stopping.is_finished());
        if answered {
            asked.result(r#"{"late":1}"#).await;
            assert!(call.await.unwrap().contains("late"));
        }
        stopping.await.unwrap();
        assert!(began.elapsed().as_secs() <= if answered { 9 } else { 12 }, "{:?}", began.elapsed());
    }
}

/// The call of a legacy client goes on when its connection ends; but once nobody can come back for its answer, a server that hangs
/// does not hold up the end for the whole time.
#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_can_hear_of_any_more_is_not_waited_for_long() {
    for answers_after in [1, 3600] {
        let mut scene = Scene::new(|stand| stand.plan.limits.drain = Duration::from_secs(30)).await;
        let mut door = Door::open(Kind::LegacyHttp, &scene.running).await;
        let begun = door.begin(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
        let asked = scene.desk.asked("tools/call").await;
        drop(begun);
        testkit::idle().await;
        assert!(!asked.is_gone(), "it goes on");
        let (began, stopping) = (Instant::now(), scene.stop());
        tokio::time::sleep(Duration::from_secs(answers_after).min(Duration::from_secs(1))).await;
        assert!(!stopping.is_finished());
        if answers_after == 1 {
            asked.result("{}").await;
        }
        stopping.await.unwrap();
        assert!(began.elapsed().as_secs() <= if answers_after == 1 { 2 } else { 5 }, "{:?}", began.elapsed());
    }
}

/// Where another process listens beside this one, who looks whether Portolan is ready finds the other one.
#[tokio::test(start_paused = true)]
async fn one_that_shares_its_address_leaves_the_admin_address_to_the_other() {
    let scene = Scene::new(|stand| stand.plan.listeners[0].reuse_port = true).await;
    assert_eq!(scene.readiness().await, 200);
    let stopping = scene.stop();
    testkit::idle().await;
    let admin = Address::Tcp("127.0.0.1".to_owned(), 9090);
    assert!(!scene.admin.is_served().await);
    assert_eq!(scene.network.live(&admin), 0);
    stopping.await.unwrap();
}
