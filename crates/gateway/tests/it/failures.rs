//! Servers over HTTP that are away, break, come back as others, or lie. Nothing is ever silently run twice, and nothing is
//! ever a silent success.

use std::sync::Arc;
use std::time::Duration;

use gateway::plan::{Reach, UpstreamPlan};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Era, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use transport::net::Address;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand, http_reach};

const OK: &str = r#"{"resultType":"complete","content":[]}"#;

fn call(running: &Running, name: &str) -> JoinHandle<String> {
    let (client, params) = (running.client.clone(), format!(r#""name":"{name}""#));
    tokio::spawn(async move { ask::modern(&client, "tools/call", &params).await.response().await })
}

fn reason(text: &str) -> Option<&str> {
    json::at(text, &["error", "data", "reason"]).map(json::plain)
}

async fn with(persona: Persona) -> (Running, ScriptedServer, Desk, MemoryNetwork, Address) {
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

/// That a server wants credentials says nothing of its era.
#[tokio::test(start_paused = true)]
async fn a_server_that_wants_credentials_is_not_taken_for_a_legacy_one() {
    for (status, label) in [
        (401, "upstream_unauthorized"),
        (403, "upstream_unauthorized"),
        (503, "upstream_unreachable"),
        (429, "upstream_unreachable"),
        (502, "upstream_unreachable"),
    ] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, desk) =
            stand.add("up", Over::Http, Persona::modern().scripted(&["server/discover"])).await;
        server.answer_all(desk, move |asked| async move {
            asked.respond(status, "text/html", &[("www-authenticate", "Bearer")], b"no").await;
        });
        let running = stand.start().await;
        let reply = ask::modern(&running.client, "tools/call", r#""name":"t""#).await;
        assert_eq!(reply.header("www-authenticate"), None);
        assert_eq!(reason(&reply.response().await), Some(label), "{status}");
        assert!(server.seen_of("initialize").is_empty());
    }
}

/// Redirects are not followed: they would carry the call, and its credentials, to somebody else.
#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let (running, _server, mut desk, ..) = with(Persona::modern()).await;
    for status in [301, 302, 303, 307, 308] {
        let refused = call(&running, "t");
        let asked = desk.asked("tools/call").await;
        asked.respond(status, "application/json", &[("location", "http://elsewhere/mcp")], b"{}").await;
        assert_eq!(reason(&refused.await.unwrap()), Some("upstream_invalid_answer"), "{status}");
    }
}

/// What belongs to one call never reaches another, whatever a server writes on its stream.
#[tokio::test(start_paused = true)]
async fn an_answer_on_the_wrong_stream_is_nobodys() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let (running, _server, mut desk, ..) = with(persona).await;
        let (one, two) = (call(&running, "one"), call(&running, "two"));
        let mut a = desk.asked("tools/call").await;
        let mut b = desk.asked("tools/call").await;
        if a.seen.param("name") != Some("\"one\"") {
            std::mem::swap(&mut a, &mut b);
        }
        let (id_a, id_b) = (a.seen.id().unwrap().to_owned(), b.seen.id().unwrap().to_owned());
        let (mut a, mut b) = (a.stream().await, b.stream().await);
        a.message(&format!(
            r#"{{"jsonrpc":"2.0","id":{id_b},"result":{{"of":"two, on the stream of one"}}}}"#
        ))
        .await;
        b.message(&format!(r#"{{"jsonrpc":"2.0","id":{id_a},"error":{{"code":1,"message":"of one"}}}}"#))
            .await;
        a.message(&format!(r#"{{"jsonrpc":"2.0","id":{id_a},"result":{{"of":"one"}}}}"#)).await;
        b.message(&format!(r#"{{"jsonrpc":"2.0","id":{id_b},"result":{{"of":"two"}}}}"#)).await;
        // There is one answer; what comes after it does not count.
        b.message(&format!(r#"{{"jsonrpc":"2.0","id":{id_b},"result":{{"of":"two again"}}}}"#)).await;
        a.end().await;
        b.end().await;
        assert_eq!(json::at(&one.await.unwrap(), &["result", "of"]), Some("\"one\""));
        assert_eq!(json::at(&two.await.unwrap(), &["result", "of"]), Some("\"two\""));
    }
}

/// What two readers could read in two ways is passed to none.
#[tokio::test(start_paused = true)]
async fn an_answer_that_means_two_things_is_refused() {
    let (running, _server, mut desk, ..) = with(Persona::modern()).await;
    for members in [
        r#""id":ID,"result":{},"result":{"content":[]}"#,
        r#""id":ID,"result":{},"\u0072esult":{"content":[]}"#,
        r#""id":ID,"result":{},"error":{"code":1,"message":"m"}"#,
        r#""id":ID,"id":7,"result":{}"#,
        r#""id":ID,"result":{"resultType":"complete","resultType":"input_required"}"#,
        r#""id":ID,"result":[]"#,
        r#""id":ID,"result":null"#,
        r#""id":ID,"result":{"resultType":7}"#,
        r#""id":ID,"error":{"code":1,"code":2,"message":"m"}"#,
        r#""id":ID,"error":{"code":"1","message":"m"}"#,
        r#""id":"ID","result":{}"#,
        r#""id":null,"result":{}"#,
        r#""result":{}"#,
        r#""id":ID.0,"result":{}"#,
        r#""id":ID,"method":"tools/call","result":{}"#,
    ] {
        let refused = call(&running, "t");
        let asked = desk.asked("tools/call").await;
        let body = format!("{{\"jsonrpc\":\"2.0\",{}}}", members.replace("ID", asked.seen.id().unwrap()));
        asked.respond(200, "application/json", &[], body.as_bytes()).await;
        let text = refused.await.unwrap();
        assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{members}: {text}");
        assert_eq!(json::at(&text, &["id"]), Some("1"));
    }
}

/// HTTP that is none, a body that is shorter than it says, one that never ends.
#[tokio::test(start_paused = true)]
async fn broken_http_is_told_as_what_it_is() {
    let (running, _server, mut desk, ..) = with(Persona::modern()).await;
    for (bytes, label) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "upstream_broke_off"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"jsonrpc\"", "upstream_broke_off"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}", "upstream_broke_off"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "upstream_broke_off"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n\xff\xfe", "upstream_invalid_answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n", "upstream_invalid_answer"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "upstream_invalid_answer"),
        (b"", "upstream_broke_off"),
    ] {
        let lost = call(&running, "t");
        desk.asked("tools/call").await.raw(bytes).await;
        let text = lost.await.unwrap();
        assert_eq!(reason(&text), Some(label), "{:?}: {text}", String::from_utf8_lossy(bytes));
    }
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

/// Only what is named in the configuration goes upstream, and nothing of a server's head comes down.
#[tokio::test(start_paused = true)]
async fn headers_pass_by_name_only() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    if let Reach::Http(reach) = &mut stand.upstream("up").reach {
        reach.forward_headers = vec!["x-tenant".parse().unwrap()];
        reach.headers = vec![("authorization".parse().unwrap(), "Bearer ours".parse().unwrap())];
    }
    let running = stand.start().await;
    running.gateway.settled().await;
    let body = ask::body("1", "tools/call", r#""name":"t""#);
    let client = running.client.clone();
    let call = tokio::spawn(async move {
        let mut headers = ask::mirrored(&body);
        for (name, value) in [
            ("authorization", "Bearer theirs"),
            ("cookie", "a=b"),
            ("x-tenant", "acme"),
            ("x-other", "x"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("user-agent", "c/1"),
        ] {
            headers.push((name, value.to_owned()));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.post(&headers, body.as_bytes()).await
    });
    let asked = desk.asked("tools/call").await;
    let mut names: Vec<_> = asked.seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "x-tenant",
    ];
    assert_eq!(names, expected);
    assert_eq!(asked.seen.header("authorization"), Some("Bearer ours"));
    let leaky = [
        ("set-cookie", "a=b"),
        ("server", "secret/1.0"),
        ("mcp-session-id", "theirs"),
        ("access-control-allow-origin", "*"),
    ];
    asked.result_with(&leaky, OK).await;
    let reply = call.await.unwrap();
    let names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "content-length", "date"]);
}

/// A server may send its legacy client requests and answers on the call's stream; none of that is the client's.
#[tokio::test(start_paused = true)]
async fn a_legacy_server_that_asks_is_refused_and_its_client_hears_nothing_of_it() {
    for kind in Kind::ALL {
        let (running, server, mut desk, ..) = with(Persona::legacy().scripted(&["response"])).await;
        let mut door = Door::open(kind, &running).await;
        let body = door.body("1", "tools/call", r#""name":"t""#, "");
        let asking = tokio::spawn(async move { door.ask(&body).await });
        let mut events = desk.asked("tools/call").await.stream().await;
        for method in ["sampling/createMessage", "elicitation/create", "roots/list", "nobody/knows"] {
            events
                .message(&format!(r#"{{"jsonrpc":"2.0","id":"{method}","method":"{method}","params":{{}}}}"#))
                .await;
            let refused = desk.asked("response").await;
            assert_eq!(json::at(refused.seen.text(), &["error", "code"]), Some("-32601"));
            assert_eq!(refused.seen.id(), Some(format!("\"{method}\"").as_str()));
            refused.accepted().await;
        }
        events.result(OK).await;
        let came = asking.await.unwrap();
        assert_eq!(came.len(), 1, "{kind:?}: {came:?}");
        assert_eq!(server.seen_of("tools/call").len(), 1);
    }
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
