//! Bounds: on calls, on what waits, on streams, on processes, and on what a server may send.

use std::sync::Arc;
use std::time::Duration;

use mcp::listen::MOST_URIS;
use testkit::http::{Client, Reply};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use transport::net::Address;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::protected::{Issuer, resource};
use crate::stand::{Over, Running, Stand};

fn call(client: &Client, id: u64) -> JoinHandle<Reply> {
    let (client, body) = (client.clone(), ask::body(&id.to_string(), "tools/call", r#""name":"t""#));
    tokio::spawn(async move { ask::send(&client, &body).await })
}

fn code(text: &str) -> Option<&str> {
    json::at(text, &["error", "code"])
}

async fn stand(persona: Persona) -> (Stand, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    (stand, server, desk)
}

/// Starts it, and waits until it has read the tools for itself.
async fn start(stand: Stand, server: &ScriptedServer) -> Running {
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    running
}

async fn refused(mut reply: Reply) {
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    let text = reply.body().await;
    assert_eq!(code(&text), Some("-31429"), "{text}");
    assert_eq!(json::at(&text, &["error", "data", "reason"]), Some("\"overloaded\""));
    assert_eq!(json::at(&text, &["error", "data", "notProcessed"]), Some("true"));
}

#[tokio::test(start_paused = true)]
async fn past_the_places_of_a_server_calls_wait_and_past_its_queue_they_are_refused() {
    let (mut stand, server, mut desk) = stand(Persona::modern()).await;
    (stand.upstream("up").concurrent_calls, stand.upstream("up").queued_calls) = (2, 1);
    let running = start(stand, &server).await;
    let (one, two) = (call(&running.client, 1), call(&running.client, 2));
    let (first, second) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
    let third = call(&running.client, 3);
    testkit::idle().await;
    assert_eq!(server.seen_of("tools/call").len(), 2);
    refused(call(&running.client, 4).await.unwrap()).await;
    first.result("{}").await;
    desk.asked("tools/call").await.result("{}").await;
    second.result("{}").await;
    for answered in [one, two, third] {
        assert_eq!(answered.await.unwrap().status, 200);
    }
}

/// The Python SDK 1.x ends its whole session at a status that is an error.
#[tokio::test(start_paused = true)]
async fn a_legacy_client_reads_that_too_much_is_under_way() {
    let (mut stand, server, mut desk) = stand(Persona::modern()).await;
    (stand.upstream("up").concurrent_calls, stand.upstream("up").queued_calls) = (1, 0);
    let running = start(stand, &server).await;
    let _one = call(&running.client, 1);
    let _asked = desk.asked("tools/call").await;
    let door = Door::open(Kind::LegacyHttp, &running).await;
    let body = door.body("1", "tools/call", r#""name":"t""#, "");
    let headers = [("mcp-session-id", door.session()), ("mcp-protocol-version", "2025-11-25")];
    let mut reply = running.client.post(&headers, body.as_bytes()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(code(&reply.body().await), Some("-31429"));
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_and_goes_away_leaves_the_queue() {
    let (mut stand, server, mut desk) = stand(Persona::modern()).await;
    (stand.upstream("up").concurrent_calls, stand.upstream("up").queued_calls) = (1, 1);
    let running = start(stand, &server).await;
    let _one = call(&running.client, 1);
    let first = desk.asked("tools/call").await;
    let two = call(&running.client, 2);
    testkit::idle().await;
    two.abort();
    testkit::idle().await;
    let three = call(&running.client, 3);
    testkit::idle().await;
    first.result("{}").await;
    let asked = desk.asked("tools/call").await;
    asked.result("{}").await;
    assert!(three.await.unwrap().response().await.contains("\"id\":3"));
    assert_eq!(server.seen_of("tools/call").len(), 2);
}

/// The bulkhead: one server's calls that hang take no place from another's.
#[tokio::test(start_paused = true)]
async fn a_full_server_leaves_the_others_their_places() {
    let (mut stand, _full, mut full_desk) = stand(Persona::modern()).await;
    let (other, mut other_desk) = stand.add("other", Over::Http, Persona::modern()).await;
    (stand.upstream("up").concurrent_calls, stand.upstream("up").queued_calls) = (1, 0);
    let running = start(stand, &other).await;
    let client = running.client.clone();
    let send = move |name: &str| {
        let (client, params) = (client.clone(), format!(r#""name":"{name}""#));
        tokio::spawn(async move { ask::modern(&client, "tools/call", &params).await })
    };
    let hanging = send("up__t");
    let _held = full_desk.asked("tools/call").await;
    refused(send("up__t").await.unwrap()).await;
    let served = send("other__t");
    other_desk.asked("tools/call").await.result("{}").await;
    assert_eq!(served.await.unwrap().status, 200);
    hanging.abort();
}

#[tokio::test(start_paused = true)]
async fn calls_over_all_servers_have_a_bound_too() {
    let (mut stand, server, mut desk) = stand(Persona::modern()).await;
    stand.plan.limits.concurrent_calls = 2;
    let running = start(stand, &server).await;
    let (one, two) = (call(&running.client, 1), call(&running.client, 2));
    let (first, second) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
    refused(call(&running.client, 3).await.unwrap()).await;
    first.result("{}").await;
    assert_eq!(
        one.await.unwrap().response().await,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}"#
    );
    // A place is free again as soon as its call is answered.
    let four = call(&running.client, 4);
    desk.asked("tools/call").await.result("{}").await;
    second.result("{}").await;
    assert_eq!((two.await.unwrap().status, four.await.unwrap().status), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn past_the_connections_of_a_listener_an_idle_one_makes_room_and_else_the_new_one_is_refused() {
    let (mut stand, server, mut desk) = stand(Persona::modern()).await;
    stand.plan.listeners[0].limits.connections = 2;
    let admin = Address::Tcp("127.0.0.1".to_owned(), 9090);
    stand.plan.admin = Some(admin.clone());
    let admin = Client::new(Arc::clone(&stand.network), admin);
    let running = start(stand, &server).await;
    let mut silent = running.client.open().await;
    let one = call(&running.client, 1);
    let first = desk.asked("tools/call").await;
    let two = call(&running.client, 2);
    let second = desk.asked("tools/call").await;
    silent.write(b"POST /mcp HTTP/1.1\r\n").await;
    assert!(silent.reply().await.is_none(), "it made room");
    let refused_one = call(&running.client, 3).await.unwrap();
    assert_eq!(refused_one.header("connection"), Some("close"));
    refused(refused_one).await;
    let page = admin.send(&admin.request("GET /metrics", &[], b"")).await.body().await;
    for line in ["_connections", "_connections_limit", "_idle_closed_total", "_refused_total"] {
        assert!(page.contains(&format!("portolan_listener{line}{{listener=\"main\"}} ")), "{page}");
    }
    assert!(page.contains("listener_connections{listener=\"main\"} 2\n"), "{page}");
    assert!(page.contains("listener_refused_total{listener=\"main\"} 1\n"), "{page}");
    first.result("{}").await;
    second.result("{}").await;
    for answered in [one, two] {
        assert_eq!(answered.await.unwrap().status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_have_a_bound() {
    let (mut stand, server, _desk) = stand(Persona::modern()).await;
    stand.plan.limits.streams = 1;
    let running = start(stand, &server).await;
    let listen = r#""notifications":{"toolsListChanged":true}"#;
    let mut first = ask::modern(&running.client, "subscriptions/listen", listen).await;
    assert!(first.event().await.unwrap().contains("acknowledged"));
    refused(ask::modern(&running.client, "subscriptions/listen", listen).await).await;
    drop(first);
    testkit::idle().await;
    assert_eq!(ask::modern(&running.client, "subscriptions/listen", listen).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn processes_have_a_bound() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_a, _desk_a) = stand.add("a", Over::Stdio, Persona::modern().tools(&["t"])).await;
    let (_b, _desk_b) = stand.add("b", Over::Stdio, Persona::modern().tools(&["t"])).await;
    stand.plan.limits.children = 1;
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    testkit::idle().await;
    let text = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert_eq!(spawn.started(), 1);
    assert!(text.contains("too many child processes at once (the limit is 1)"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_refused_and_not_kept() {
    for persona in
        [Persona::modern(), Persona::modern().streaming(), Persona::legacy(), Persona::legacy().streaming()]
    {
        let (mut stand, server, desk) = stand(persona).await;
        stand.upstream("up").message_bytes = 10_000;
        server.answer_all(desk, |asked| async move {
            let size = if asked.seen.text().contains("\"big\"") { 20_000 } else { 9_000 };
            asked.result(&format!(r#"{{"content":[],"x":"{}"}}"#, "x".repeat(size))).await;
        });
        let running = start(stand, &server).await;
        let text = ask::modern(&running.client, "tools/call", r#""name":"big""#).await.response().await;
        assert_eq!(code(&text), Some("-31502"), "{text:.200}");
        let text = ask::modern(&running.client, "tools/call", r#""name":"fits""#).await.response().await;
        assert_eq!(code(&text), None, "{text:.200}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_of_a_process_that_is_too_long_costs_its_call_and_others_go_on() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, mut desk) = stand.add("up", Over::Stdio, Persona::modern()).await;
    stand.upstream("up").message_bytes = 10_000;
    stand.upstream("up").deadlines.call = Duration::from_secs(5);
    let running = start(stand, &server).await;
    let (one, two) = (call(&running.client, 1), call(&running.client, 2));
    let (first, second) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
    first.result(&format!(r#"{{"x":"{}"}}"#, "x".repeat(20_000))).await;
    second.result("{}").await;
    assert!(two.await.unwrap().response().await.contains("result"));
    assert_eq!(code(&one.await.unwrap().response().await), Some("-31502"));
}

/// A server that never stops talking harms its own call at most.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_notifications_are_passed_or_dropped_and_the_answer_comes() {
    for over in [Over::Http, Over::Stdio] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, mut desk) = stand.add("up", over, Persona::modern()).await;
        let running = start(stand, &server).await;
        let client = running.client.clone();
        let body = ask::body("1", "tools/call", r#""name":"t""#)
            .replace(r#""_meta":{"#, r#""_meta":{"progressToken":7,"#);
        let flooded = tokio::spawn(async move { ask::send(&client, &body).await.response().await });
        let mut events = desk.asked("tools/call").await.stream().await;
        for n in 1..=100_000 {
            events.progress(&n.to_string()).await;
        }
        events.result("{}").await;
        assert!(flooded.await.unwrap().contains("result"), "{over:?}");
    }
}

/// A client that does not read holds up its own call, and nothing of what others do.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_up_nobody_else() {
    for over in [Over::Http, Over::Stdio] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, mut desk) = stand.add("up", over, Persona::modern()).await;
        let running = start(stand, &server).await;
        let body = ask::body("1", "tools/call", r#""name":"t""#)
            .replace(r#""_meta":{"#, r#""_meta":{"progressToken":7,"#);
        let headers = ask::mirrored(&body);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut deaf = running.client.open().await;
        deaf.write(&running.client.request("POST /mcp", &headers, body.as_bytes())).await;
        let mut events = desk.asked("tools/call").await.stream().await;
        let flood = tokio::spawn(async move {
            for n in 1..=20_000 {
                events.progress(&n.to_string()).await;
            }
        });
        testkit::idle().await;
        let other = call(&running.client, 2);
        desk.asked("tools/call").await.result("{}").await;
        assert_eq!(other.await.unwrap().status, 200, "{over:?}");
        flood.abort();
    }
}

/// Also where many ask at once.
#[tokio::test(start_paused = true)]
async fn a_session_watches_so_many_resources_and_no_more() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    drop(stand.add("up", Over::Http, Persona::legacy().with_stream()).await);
    let running = stand.start().await;
    running.gateway.settled().await;
    let door = Door::open(Kind::LegacyHttp, &running).await;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..MOST_URIS + 20 {
        let body = door.body("1", "resources/subscribe", &format!(r#""uri":"a://{number}""#), "");
        let body = body.replace(r#""id":1"#, &format!(r#""id":{number}"#));
        let (client, session) = (running.client.clone(), door.session().to_owned());
        asking.spawn(async move {
            let headers = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
            client.post(&headers, body.as_bytes()).await.response().await
        });
    }
    let all = asking.join_all().await;
    let done = all.iter().filter(|text| json::at(text, &["result"]).is_some()).count();
    assert_eq!(done, MOST_URIS, "{:?}", all.last());
}

/// One agent has 64 calls against four places of a server when another comes with one: that is the next but one to be served.
#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_a_server_take_turns() {
    let company = Issuer::new("https://id.example");
    let (mut stand, _server, mut desk) = stand(Persona::modern()).await;
    let now = stand.clock.now();
    stand.plan.issuers = vec![company.plan("company")];
    stand.plan.routes[0].resource = Some(resource(&["company"]));
    (stand.upstream("up").concurrent_calls, stand.upstream("up").queued_calls) = (4, 1024);
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    let call = |who: &str| {
        let bearer = format!("Bearer {}", company.token(who, "", now));
        let body = ask::body("1", "tools/call", &format!(r#""name":"t","arguments":{{"who":"{who}"}}"#));
        let client = running.client.clone();
        tokio::spawn(async move {
            let mut headers = ask::mirrored(&body);
            headers.push(("authorization", bearer));
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            client.post(&headers, body.as_bytes()).await
        })
    };
    let mut under_way: Vec<_> = (0..64).map(|_| call("noisy")).collect();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(desk.asked("tools/call").await);
    }
    testkit::idle().await;
    under_way.push(call("quiet"));
    testkit::idle().await;
    let mut served = Vec::new();
    for asked in held {
        asked.result("{}").await;
        let next = desk.asked("tools/call").await;
        served.push(json::at(next.seen.param("arguments").unwrap(), &["who"]).map(str::to_owned));
        next.result("{}").await;
        // That freed another place.
        let after = desk.asked("tools/call").await;
        served.push(json::at(after.seen.param("arguments").unwrap(), &["who"]).map(str::to_owned));
        after.result("{}").await;
    }
    let turn = served.iter().position(|who| who.as_deref() == Some("\"quiet\""));
    assert_eq!(turn, Some(1), "{served:?}");
    under_way.iter().for_each(JoinHandle::abort);
}
