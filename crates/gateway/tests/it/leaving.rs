//! What is left of clients that go: nothing, here or at the servers, however they go and whatever a server does about it.

use std::sync::Arc;
use std::time::Duration;

use base::plan::SessionRule;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;
use testkit::spawn::MemorySpawn;
use upstream::Health;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::failures::{call, reason};
use crate::stand::{Over, Running, Stand};

const MINUTE: Duration = Duration::from_secs(60);

fn per_client(stand: &mut Stand, name: &str) {
    stand.upstream(name).sessions = SessionRule::PerClient;
}

/// A process for each client of `up`, beside one of our own, and another server that answers no DELETE.
async fn beside_one_that_hangs() -> (Running, MemorySpawn) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
    server.answer_all(desk, |asked| async move { asked.result("{}").await });
    let (slow, desk) = stand.add("slow", Over::Http, Persona::legacy().scripted(&["DELETE"])).await;
    slow.answer_all(desk, |asked| async move {
        match asked.seen.method().as_str() {
            // It is never answered.
            "DELETE" => {
                std::future::pending::<()>().await;
                drop(asked);
            }
            _ => asked.result("{}").await,
        }
    });
    per_client(&mut stand, "up");
    per_client(&mut stand, "slow");
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    assert_eq!(spawn.live(), 1, "our own");
    (running, spawn)
}

async fn use_tool(door: &mut Door, name: &str) {
    let text = door.response(&door.body("1", "tools/call", &format!(r#""name":"{name}""#), "")).await;
    assert!(text.contains("\"result\""), "{text}");
}

/// A server that hangs would cost a connection for ever for each call that nobody waits for any more.
#[tokio::test(start_paused = true)]
async fn a_cancel_that_nobody_takes_is_given_up() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = Persona::legacy().scripted(&["notifications/cancelled"]);
    let (_server, mut desk) = stand.add("up", Over::Http, persona).await;
    stand.upstream("up").deadlines.call = Duration::from_secs(9);
    let running = stand.start().await;
    let hangs = call(&running, "t");
    let _asked = desk.asked("tools/call").await;
    assert_eq!(reason(&hangs.await.unwrap()), Some("upstream_deadline"));
    let cancelled = desk.asked("notifications/cancelled").await;
    tokio::time::sleep(MINUTE).await;
    assert!(cancelled.is_gone());
}

/// However long one server takes over the end of a session, and whether or not its client waits for that, nothing is left of it
/// elsewhere, and nothing begun for it that nobody would end again.
#[tokio::test(start_paused = true)]
async fn a_session_ends_everywhere_though_a_server_does_not_end_it() {
    for waits in [true, false] {
        let (running, spawn) = beside_one_that_hangs().await;
        let mut door = Door::open(Kind::LegacyHttp, &running).await;
        use_tool(&mut door, "slow__t").await;
        use_tool(&mut door, "up__t").await;
        assert_eq!(spawn.live(), 2);
        let (client, id) = (running.client.clone(), door.session().to_owned());
        let request = client.request("DELETE /mcp", &[("mcp-session-id", &id)], b"");
        let ending = tokio::spawn(async move { client.send(&request).await.status });
        testkit::idle().await;
        // Said before the client knew that it is over.
        let body = door.body("2", "tools/call", r#""name":"up__t""#, "");
        drop(tokio::time::timeout(Duration::from_secs(1), door.ask(&body)).await);
        let health = running.gateway.health();
        assert!(health.iter().all(|(_, health)| matches!(health, Health::Up { .. })), "{health:?}");
        if waits {
            assert_eq!(ending.await.unwrap(), 200);
        } else {
            ending.abort();
        }
        tokio::time::sleep(MINUTE).await;
        assert_eq!(spawn.live(), 1, "{waits} {:?}", spawn.log());
        let request = running.client.request("GET /mcp", &[("mcp-session-id", &id)], b"");
        assert_eq!(running.client.send(&request).await.status, 404, "{waits}");
    }
}

/// A list that is read for a client goes on when nobody waits for it, but not into another process.
#[tokio::test(start_paused = true)]
async fn a_list_is_not_read_on_for_a_session_that_has_ended() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, mut desk) = stand.add("up", Over::Stdio, Persona::legacy().scripted(&["tools/list"])).await;
    drop(stand.add("other", Over::Http, Persona::modern().tools(&["t"])).await);
    per_client(&mut stand, "up");
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    desk.asked("tools/list").await.result(r#"{"tools":[]}"#).await;
    running.gateway.settled().await;
    testkit::idle().await;
    let mut door = Door::open(Kind::LegacyHttp, &running).await;
    let list = door.response(&door.body("1", "tools/list", r#""x":1"#, "")).await;
    assert!(list.contains("other__t"), "{list}");
    assert_eq!(spawn.live(), 2);
    door.end().await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!(spawn.live(), 1, "{:?}", spawn.log());
}

/// Most clients go without a word.
#[tokio::test(start_paused = true)]
async fn what_a_client_had_ends_when_its_session_is_over() {
    for over in [Over::Http, Over::Stdio] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, desk) = stand.add("up", over, Persona::legacy()).await;
        server.answer_all(desk, |asked| async move { asked.result("{}").await });
        per_client(&mut stand, "up");
        let (spawn, clock, ttl) = (stand.spawn.clone(), stand.clock.clone(), stand.plan.limits.session_ttl);
        let running = stand.start().await;
        running.gateway.settled().await;
        for _ in 0..3 {
            use_tool(&mut Door::open(Kind::LegacyHttp, &running).await, "t").await;
        }
        clock.advance(ttl / 2);
        let mut later = Door::open(Kind::LegacyHttp, &running).await;
        use_tool(&mut later, "t").await;
        clock.advance(ttl / 2);
        use_tool(&mut Door::open(Kind::LegacyHttp, &running).await, "t").await;
        testkit::idle().await;
        use_tool(&mut later, "t").await;
        match over {
            Over::Http => assert_eq!(server.seen_of("DELETE").len(), 3),
            Over::Stdio => assert_eq!(spawn.live(), 3, "our own, the later one's and the last one's"),
        }
    }
}

/// What was opened for somebody who did not wait for it would stay at the server.
#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_waited_for_is_ended() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = Persona::legacy().scripted(&["notifications/initialized"]);
    let (server, mut desk) = stand.add("up", Over::Http, persona).await;
    stand.upstream("up").watched = false;
    let running = stand.start().await;
    let client = running.client.clone();
    let waits = tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"t""#).await });
    let _opening = desk.asked("notifications/initialized").await;
    waits.abort();
    let ended = server.saw("DELETE", 1).await.remove(0);
    assert_eq!(ended.header("mcp-session-id"), Some("session-1"));
}
