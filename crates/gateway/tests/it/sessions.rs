//! Many clients behind one door, and who shares what.

use std::sync::Arc;
use std::time::Duration;

use base::plan::SessionRule;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Stand};

const CLIENTS: usize = 100;

#[tokio::test(start_paused = true)]
async fn a_hundred_clients_cost_one_session_and_one_process() {
    for over in [Over::Http, Over::Stdio] {
        for kind in Kind::ALL {
            let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
            let (server, desk) = stand.add("up", over, Persona::legacy()).await;
            server.answer_all(desk, |asked| async move { asked.result("{}").await });
            let spawn = stand.spawn.clone();
            let running = Arc::new(stand.start().await);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    let running = Arc::clone(&running);
                    tokio::spawn(async move {
                        let mut door = Door::open(kind, &running).await;
                        let body = door.body("1", "tools/call", r#""name":"t""#, "");
                        door.response(&body).await
                    })
                })
                .collect();
            for client in clients {
                assert!(client.await.unwrap().contains("result"));
            }
            assert_eq!(server.seen_of("tools/call").len(), CLIENTS);
            assert_eq!(server.sessions_opened(), 1, "{kind:?} over {over:?}");
            assert_eq!(spawn.started(), usize::from(over == Over::Stdio));
        }
    }
}

/// And one more for what the gateway wants to know for itself.
#[tokio::test(start_paused = true)]
async fn each_client_has_its_own_session_or_process_where_that_is_configured() {
    for over in [Over::Http, Over::Stdio] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, desk) = stand.add("up", over, Persona::legacy().scripted(&["DELETE"])).await;
        stand.upstream("up").sessions = SessionRule::PerClient;
        let spawn = stand.spawn.clone();
        server.answer_all(desk, |asked| async move {
            match asked.seen.method().as_str() {
                "DELETE" => asked.respond(200, "", &[], b"").await,
                _ => {
                    let place = asked
                        .seen
                        .header("mcp-session-id")
                        .map_or_else(|| asked.seen.connection.to_string(), str::to_owned);
                    asked.result(&format!(r#"{{"place":"{place}"}}"#)).await;
                }
            }
        });
        let running = stand.start().await;
        let mut places = Vec::new();
        let mut doors = Vec::new();
        for _ in 0..5 {
            let mut door = Door::open(Kind::LegacyHttp, &running).await;
            let body = door.body("1", "tools/call", r#""name":"t""#, "");
            let (one, two) = (door.response(&body).await, door.response(&body).await);
            assert_eq!(one, two, "a client stays where it is");
            places.push(json::at(&one, &["result", "place"]).unwrap().to_owned());
            doors.push(door);
        }
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 5, "{over:?}: {places:?}");
        assert_eq!(server.sessions_opened(), 6);
        assert_eq!(spawn.live(), if over == Over::Stdio { 6 } else { 0 });
        // A client that ends its session ends what was its own.
        for door in &mut doors {
            door.end().await;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(spawn.live(), usize::from(over == Over::Stdio));
        assert_eq!(server.seen_of("DELETE").len(), if over == Over::Http { 5 } else { 0 });
    }
}

/// Ids are a client's own: equal ones of different clients never meet.
#[tokio::test(start_paused = true)]
async fn equal_ids_of_many_clients_get_each_their_own_answer() {
    for over in [Over::Http, Over::Stdio] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, mut desk) = stand.add("up", over, Persona::modern()).await;
        let running = Arc::new(stand.start().await);
        server.saw("tools/list", 1).await;
        testkit::idle().await;
        let calls: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let client = running.client.clone();
                let meta = r#""_meta":{"progressToken":"same","#;
                let body =
                    ask::body("\"same\"", "tools/call", &format!(r#""name":"t","arguments":{{"n":{n}}}"#));
                let body = body.replace(r#""_meta":{"#, meta);
                tokio::spawn(async move { (n, ask::send(&client, &body).await.response().await) })
            })
            .collect();
        let mut asked = Vec::new();
        for _ in 0..CLIENTS {
            asked.push(desk.asked("tools/call").await);
        }
        let mut ids: Vec<_> = asked.iter().map(|asked| asked.seen.id().unwrap().to_owned()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), CLIENTS, "the server gets no id twice");
        // The last one first.
        for asked in asked.into_iter().rev() {
            let arguments = asked.seen.param("arguments").unwrap().to_owned();
            let mut events = asked.stream().await;
            events.progress("1").await;
            events.result(&format!(r#"{{"echo":{arguments}}}"#)).await;
        }
        for call in calls {
            let (n, text) = call.await.unwrap();
            assert_eq!(json::at(&text, &["result", "echo", "n"]), Some(n.to_string().as_str()), "{over:?}");
            assert_eq!(json::at(&text, &["id"]), Some("\"same\""));
        }
    }
}

/// A session id is the gateway's own word: no bit of it can be changed, and it ends.
#[tokio::test(start_paused = true)]
async fn a_session_id_is_worth_nothing_when_it_was_changed_or_its_time_is_over() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let clock = stand.clock.clone();
    stand.plan.limits.session_ttl = Duration::from_secs(3600);
    let running = stand.start().await;
    let open = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let reply = running.client.post(&[], open.as_bytes()).await;
    let id = reply.header("mcp-session-id").unwrap().to_owned();
    let ping = |id: String| {
        let client = running.client.clone();
        async move {
            client
                .post(&[("mcp-session-id", &id)], br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
                .await
                .status
        }
    };
    assert_eq!(ping(id.clone()).await, 200);
    for at in 0..id.len() {
        let mut bytes = id.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(ping(changed).await, 404, "changed at {at}");
    }
    for wrong in [String::new(), id.to_uppercase(), format!("{id}A"), id.chars().skip(1).collect()] {
        assert!(matches!(ping(wrong.clone()).await, 400 | 404), "{wrong}");
    }
    clock.advance(Duration::from_secs(3599));
    assert_eq!(ping(id.clone()).await, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(ping(id).await, 404);
}

/// What a session holds at one path is worth nothing at another.
#[tokio::test(start_paused = true)]
async fn a_session_belongs_to_its_path() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let mut other = stand.plan.routes[0].clone();
    other.name = "other".to_owned();
    other.path = "/other".to_owned();
    stand.plan.routes.push(other);
    let running = stand.start().await;
    let open = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let reply = running.client.post(&[], open.as_bytes()).await;
    let id = reply.header("mcp-session-id").unwrap().to_owned();
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let request = running.client.request("POST /other", &[("mcp-session-id", &id)], ping);
    assert_eq!(running.client.send(&request).await.status, 404);
}

/// A session's terms travel in its id, so there is an end of what fits.
#[tokio::test(start_paused = true)]
async fn capabilities_that_fit_in_no_session_id_are_refused() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let running = stand.start().await;
    for (size, fits) in [(4_000, true), (20_000, false)] {
        let open = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{"experimental":{{"x":"{}"}}}},"clientInfo":{{"name":"c","version":"{}"}}}}}}"#,
            "x".repeat(size),
            "1".repeat(20_000)
        );
        let reply = running.client.post(&[], open.as_bytes()).await;
        let id = reply.header("mcp-session-id").map(str::to_owned);
        assert_eq!(id.is_some(), fits);
        let Some(id) = id else {
            assert_eq!(json::at(&reply.response().await, &["error", "code"]), Some("-32602"));
            continue;
        };
        // And it can be sent back within the bounds of our own heads.
        let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert_eq!(running.client.post(&[("mcp-session-id", &id)], ping).await.status, 200);
    }
}

/// Two calls that want different levels of one session: the server is told one after the other, or the higher level might
/// be what stays.
#[tokio::test(start_paused = true)]
async fn levels_do_not_overtake_each_other() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = Persona::legacy().able(r#"{"logging":{},"tools":{}}"#).scripted(&["logging/setLevel"]);
    let (server, mut desk) = stand.add("up", Over::Http, persona).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    let call = |level: &str| {
        let level = format!(r#""_meta":{{"io.modelcontextprotocol/logLevel":"{level}","#);
        let body = ask::body("1", "tools/call", r#""name":"t""#).replace(r#""_meta":{"#, &level);
        let client = running.client.clone();
        tokio::spawn(async move { ask::send(&client, &body).await })
    };
    let calls = [call("critical"), call("warning"), call("error")];
    testkit::idle().await;
    let levels = || -> Vec<_> {
        let told = server.seen_of("logging/setLevel");
        told.iter().map(|told| told.param("level").unwrap().to_owned()).collect()
    };
    assert_eq!(levels(), [r#""critical""#]);
    desk.asked("logging/setLevel").await.result("{}").await;
    testkit::idle().await;
    assert_eq!(levels(), [r#""critical""#, r#""warning""#]);
    desk.asked("logging/setLevel").await.result("{}").await;
    // For the third the second's level is low enough.
    for _ in &calls {
        desk.asked("tools/call").await.result("{}").await;
    }
    assert_eq!(levels().len(), 2);
    for call in calls {
        call.await.unwrap();
    }
}
