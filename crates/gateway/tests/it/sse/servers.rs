//! Servers over HTTP+SSE.

use std::sync::Arc;
use std::time::Duration;

use base::plan::{Reach, SessionRule, TransportRule};
use testkit::http::Reply;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Era, Persona, ScriptedServer, Sse};
use tokio::task::JoinHandle;
use upstream::{Health, Transport};

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

async fn with(persona: Persona, change: impl FnOnce(&mut Stand)) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    change(&mut stand);
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk)
}

fn transport(stand: &mut Stand, rule: TransportRule) {
    let Reach::Http(reach) = &mut stand.upstream("up").reach else { panic!("a server over HTTP") };
    reach.transport = rule;
}

fn named(endpoint: &str) -> Persona {
    let sse = Sse { endpoint: Some(endpoint.to_owned()), ..Sse::default() };
    Persona { sse: Some(sse), ..Persona::over_sse() }
}

fn call(running: &Running, name: &str) -> JoinHandle<String> {
    let reply = begin(running, name, "");
    tokio::spawn(async move { reply.await.unwrap().response().await })
}

fn begin(running: &Running, name: &str, meta: &str) -> JoinHandle<Reply> {
    let body = ask::body("7", "tools/call", &format!(r#""name":"{name}""#));
    let body = body.replace(r#""_meta":{"#, &format!(r#""_meta":{{{meta}"#));
    let client = running.client.clone();
    tokio::spawn(async move { ask::send(&client, &body).await })
}

fn reason(text: &str) -> Option<&str> {
    json::at(text, &["error", "data", "reason"]).map(json::plain)
}

fn why_down(running: &Running) -> String {
    match running.gateway.health().remove(0).1 {
        Health::Down { why, .. } => why,
        other => panic!("it is not down: {other:?}"),
    }
}

/// MCP 2025-11-25 `basic/transports` §Backwards Compatibility: POST first; 400, 404 or 405 means GET.
#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_posts_is_spoken_to_over_its_stream() {
    for refuses in [400, 404, 405, 406, 410, 415, 422, 500, 501] {
        let mut persona = Persona::over_sse().tools(&["t"]);
        persona.sse.as_mut().unwrap().refuses = refuses;
        let (running, server, mut desk) = with(persona, |_| {}).await;
        let (_, health) = running.gateway.health().remove(0);
        let up = Health::Up { era: Era::Legacy, revision: "2024-11-05", transport: Transport::Sse };
        assert_eq!(health, up);
        let one = call(&running, "t");
        let asked = desk.asked("tools/call").await;
        assert!(asked.seen.line.starts_with("POST /messages?sessionId="), "{}", asked.seen.line);
        assert_eq!(asked.seen.param("_meta"), Some("{}"));
        asked.result(r#"{"content":[]}"#).await;
        let text = one.await.unwrap();
        assert_eq!(json::at(&text, &["id"]), Some("7"));
        assert_eq!(json::at(&text, &["result", "resultType"]), Some("\"complete\""));
        // It is asked for both once, and not again for each call.
        assert_eq!((server.seen_of("server/discover").len(), server.sessions_opened()), (1, 1));
        assert_eq!((server.seen_of("initialize").len(), server.seen_of("GET").len()), (2, 1));
        assert_eq!(server.seen_of("notifications/initialized").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_configured_transport_is_the_only_one_that_is_tried() {
    let only = |rule| move |stand: &mut Stand| transport(stand, rule);
    let (running, server, _desk) = with(Persona::over_sse(), only(TransportRule::Sse)).await;
    assert!(matches!(running.gateway.health()[0].1, Health::Up { transport: Transport::Sse, .. }));
    assert_eq!((server.seen_of("server/discover").len(), server.seen_of("initialize").len()), (0, 1));

    let (running, server, _desk) = with(Persona::over_sse(), only(TransportRule::Streamable)).await;
    assert!(
        why_down(&running).contains("HTTP 404 to both server/discover and initialize: not an MCP endpoint")
    );
    assert_eq!(server.seen_of("GET").len(), 0);

    // One that has the newer transport only.
    let (running, server, _desk) = with(Persona::modern(), only(TransportRule::Sse)).await;
    assert!(why_down(&running).contains("HTTP 405"), "{}", why_down(&running));
    assert_eq!(server.seen_of("server/discover").len(), 0);
}

/// Many calls go over one stream, and each gets what is its own.
#[tokio::test(start_paused = true)]
async fn calls_share_the_stream() {
    let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
    let one = begin(&running, "one", r#""progressToken":"mine","#);
    let two = call(&running, "two");
    let (mut first, mut second) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
    if first.seen.param("name") != Some("\"one\"") {
        std::mem::swap(&mut first, &mut second);
    }
    second.result(r#"{"of":"two"}"#).await;
    assert!(two.await.unwrap().contains(r#""of":"two""#));
    let mut out = first.stream().await;
    out.progress("0.5").await;
    let mut one = one.await.unwrap();
    let told = one.event().await.unwrap();
    assert_eq!(json::at(&told, &["params", "progressToken"]), Some("\"mine\""));
    out.result(r#"{"of":"one"}"#).await;
    assert!(one.response().await.contains(r#""of":"one""#));
    assert_eq!(server.sse_connections(), 1);
}

/// A server that a call is taken from hears it, because it does not see who waits.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_cancels() {
    let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
    let (client, body) = (running.client.clone(), ask::body("7", "tools/call", r#""name":"t""#));
    let waiting = tokio::spawn(async move { ask::send(&client, &body).await.response().await });
    let asked = desk.asked("tools/call").await;
    waiting.abort();
    let cancelled = server.saw("notifications/cancelled", 1).await.remove(0);
    assert_eq!(cancelled.param("requestId"), asked.seen.id());
    assert_eq!(cancelled.line, asked.seen.line);
}

#[tokio::test(start_paused = true)]
async fn changes_are_told() {
    let able = Persona::over_sse().able(r#"{"tools":{"listChanged":true}}"#);
    let (running, server, _desk) = with(able, |_| {}).await;
    let mut heard =
        ask::modern(&running.client, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#)
            .await;
    let acknowledged = heard.event().await.unwrap();
    assert!(acknowledged.contains(r#""toolsListChanged":true"#), "{acknowledged}");
    server.tell("notifications/tools/list_changed", "").await;
    assert!(heard.event().await.unwrap().contains("notifications/tools/list_changed"));
    // What was missed while there was no stream is unknown, so everything counts as changed.
    server.end_sse();
    assert!(heard.event().await.unwrap().contains("notifications/tools/list_changed"));
    assert_eq!(server.sse_connections(), 1);
}

/// Nothing is sent twice: whether it was carried out is not known.
#[tokio::test(start_paused = true)]
async fn when_the_stream_ends_its_calls_break_off_and_the_next_one_works() {
    for crash in [false, true] {
        let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
        let lost = call(&running, "lost");
        let asked = desk.asked("tools/call").await;
        if crash {
            server.crash();
        } else {
            server.end_sse();
        }
        assert_eq!(reason(&lost.await.unwrap()), Some("upstream_broke_off"));
        drop(asked);
        let next = call(&running, "next");
        desk.asked("tools/call").await.result(r#"{"of":"next"}"#).await;
        assert!(next.await.unwrap().contains(r#""of":"next""#));
        assert_eq!(server.seen_of("tools/call").len(), 2);
        assert_eq!(server.sessions_opened(), 2);
        // It is still known which transport it speaks.
        assert_eq!(server.seen_of("server/discover").len(), 1);
    }
}

/// Many calls are no reason to ask a server all the time that has just refused.
#[tokio::test(start_paused = true)]
async fn a_server_that_opens_no_stream_is_tried_again_with_pauses() {
    let persona = Persona::over_sse().scripted(&["GET"]);
    let (running, server, desk) = with(persona, |stand| {
        transport(stand, TransportRule::Sse);
        stand.upstream("up").watched = false;
    })
    .await;
    server.answer_all(desk, |asked| asked.respond(502, "text/plain", &[], b"away"));
    for _ in 0..20 {
        assert!(reason(&call(&running, "t").await.unwrap()).is_some());
    }
    assert_eq!(server.seen_of("GET").len(), 1);
    server.persona().scripted.clear();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let listed = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(json::at(&listed, &["result"]).is_some(), "{listed}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_of_another_origin_is_refused() {
    for endpoint in
        ["http://evil.example/m", "//evil.example/m", "https://127.0.0.1/m", "http://127.0.0.1:1/m"]
    {
        let (running, server, _desk) = with(named(endpoint), |_| {}).await;
        let why = why_down(&running);
        assert!(why.contains("leads to another origin"), "{why}");
        assert_eq!(server.sessions_opened(), 0);
        let text = call(&running, "t").await.unwrap();
        assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_may_be_relative() {
    for (endpoint, line) in [
        ("/messages/?session_id=sessionId=ID", "POST /messages/?session_id=sessionId="),
        ("messages?sessionId=ID", "POST /messages?sessionId="),
        ("?sessionId=ID", "POST /mcp?sessionId="),
    ] {
        let (running, _server, mut desk) = with(named(endpoint), |_| {}).await;
        let one = call(&running, "t");
        let asked = desk.asked("tools/call").await;
        assert!(asked.seen.line.starts_with(line), "{}", asked.seen.line);
        asked.result("{}").await;
        assert!(one.await.unwrap().contains("complete"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_names_no_endpoint_is_given_up() {
    let mut silent = Persona::over_sse();
    silent.sse.as_mut().unwrap().endpoint = None;
    let unwatched = |stand: &mut Stand| stand.upstream("up").watched = false;
    let (running, server, _desk) = with(silent, unwatched).await;
    let text = call(&running, "t").await.unwrap();
    // Which of two deadlines of the same length passes first is not known.
    assert!(matches!(reason(&text), Some("upstream_unreachable" | "upstream_invalid_answer")), "{text}");
    let why = why_down(&running);
    assert!(why.contains("did not open within 30s"), "{why}");
    testkit::idle().await;
    assert_eq!((server.seen_of("GET").len(), server.sse_connections()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_ends_the_stream() {
    let short = |stand: &mut Stand| stand.upstream("up").message_bytes = 10_000;
    let (running, server, mut desk) = with(Persona::over_sse(), short).await;
    let lost = call(&running, "lost");
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000));
    desk.asked("tools/call").await.result(&long).await;
    assert_eq!(reason(&lost.await.unwrap()), Some("upstream_broke_off"));
    let next = call(&running, "next");
    desk.asked("tools/call").await.result("{}").await;
    assert!(next.await.unwrap().contains("complete"));
    assert_eq!(server.sse_connections(), 1);
}

/// A status that is no 2xx fails the one call; 200 is as good as 202.
#[tokio::test(start_paused = true)]
async fn a_refused_post_fails_its_call_at_once() {
    let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
    let waits = call(&running, "waits");
    let waiting = desk.asked("tools/call").await;
    for (status, expected) in
        [(500, "upstream_invalid_answer"), (401, "upstream_unauthorized"), (503, "upstream_broke_off")]
    {
        server.persona().sse.as_mut().unwrap().taken = status;
        assert_eq!(reason(&call(&running, "refused").await.unwrap()), Some(expected));
    }
    server.persona().sse.as_mut().unwrap().taken = 200;
    let other = call(&running, "other");
    desk.asked("tools/call").await.result("{}").await;
    assert!(other.await.unwrap().contains("complete"));
    waiting.result("{}").await;
    assert!(waits.await.unwrap().contains("complete"));
    assert_eq!(server.sessions_opened(), 1);
}

/// The answer does not come by the POST: one that is cut short may have been taken.
#[tokio::test(start_paused = true)]
async fn an_answer_is_taken_from_the_stream_though_its_post_was_cut() {
    let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
    server.persona().sse.as_mut().unwrap().taken = 0;
    let cut = call(&running, "cut");
    let asked = desk.asked("tools/call").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    asked.result("{}").await;
    assert!(cut.await.unwrap().contains("complete"));
    assert_eq!(server.sessions_opened(), 1);
    // Whose server is gone waits no longer.
    let lost = call(&running, "lost");
    let asked = desk.asked("tools/call").await;
    server.crash();
    assert_eq!(reason(&lost.await.unwrap()), Some("upstream_broke_off"));
    drop(asked);
}

/// The stream may live on in something between although the server knows nothing of it any more.
#[tokio::test(start_paused = true)]
async fn a_session_that_the_server_has_lost_is_opened_anew() {
    let unwatched = |stand: &mut Stand| stand.upstream("up").watched = false;
    let (running, server, mut desk) = with(Persona::over_sse(), unwatched).await;
    let first = call(&running, "first");
    desk.asked("tools/call").await.result("{}").await;
    assert!(first.await.unwrap().contains("complete"));
    server.persona().sse.as_mut().unwrap().taken = 404;
    assert_eq!(reason(&call(&running, "lost").await.unwrap()), Some("upstream_unreachable"));
    server.persona().sse.as_mut().unwrap().taken = 202;
    let next = call(&running, "next");
    desk.asked("tools/call").await.result("{}").await;
    assert!(next.await.unwrap().contains("complete"));
    assert_eq!(server.sessions_opened(), 2);
}

/// Nothing was carried out, and what reads does no harm.
#[tokio::test(start_paused = true)]
async fn what_reads_is_asked_for_again_in_the_session_that_follows_a_lost_one() {
    for (method, params, answer) in [
        ("resources/read", r#""uri":"a://b""#, r#"{"contents":[]}"#),
        ("prompts/get", r#""name":"p""#, r#"{"messages":[]}"#),
    ] {
        let unwatched = |stand: &mut Stand| stand.upstream("up").watched = false;
        let (running, server, mut desk) = with(Persona::over_sse(), unwatched).await;
        let first = call(&running, "first");
        desk.asked("tools/call").await.result("{}").await;
        first.await.unwrap();
        server.persona().sse.as_mut().unwrap().taken = 404;
        let client = running.client.clone();
        let read = tokio::spawn(async move { ask::modern(&client, method, params).await.response().await });
        server.saw(method, 1).await;
        server.persona().sse.as_mut().unwrap().taken = 202;
        let asked = desk.asked(method).await;
        assert_ne!(asked.seen.line, server.seen_of(method)[0].line, "in another session");
        asked.result(answer).await;
        assert!(read.await.unwrap().contains("complete"), "{method}");
        assert_eq!((server.seen_of(method).len(), server.sessions_opened()), (2, 2), "{method}");
    }
}

/// Whatever it is that meets with a lost session: nobody waits for what can come no more.
#[tokio::test(start_paused = true)]
async fn an_answer_that_a_lost_session_refuses_ends_it() {
    for status in [404, 500] {
        let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
        let mut door = Door::open_with(Kind::LegacyStdio, &running, r#"{"elicitation":{}}"#).await;
        let body = door.body("7", "tools/call", r#""name":"t""#, "");
        let mut begun = door.begin(&body).await;
        let mut out = desk.asked("tools/call").await.stream().await;
        let question = r#"{"message":"m","requestedSchema":{"type":"object","properties":{}}}"#;
        out.message(&format!(
            r#"{{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{question}}}"#
        ))
        .await;
        let asked = door.next(&mut begun).await.unwrap();
        let id = json::at(&asked, &["id"]).unwrap().to_owned();
        server.persona().sse.as_mut().unwrap().taken = status;
        let began = tokio::time::Instant::now();
        door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"decline"}}}}"#)).await;
        server.saw("response", 1).await;
        if status == 404 {
            let text = door.next(&mut begun).await.unwrap();
            assert_eq!(reason(&text), Some("upstream_broke_off"), "{text}");
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        } else {
            // It may have been a bad moment.
            out.result("{}").await;
            assert!(door.next(&mut begun).await.unwrap().contains("result"));
        }
    }
}

/// A balancer sticks by them: each session has those that were set in it, and nobody else's.
#[tokio::test(start_paused = true)]
async fn cookies_stay_in_their_session() {
    for per_client in [true, false] {
        let mut persona = Persona::over_sse();
        persona.sse.as_mut().unwrap().sets_cookies = true;
        let (running, server, desk) = with(persona, |stand| {
            if per_client {
                stand.upstream("up").sessions = SessionRule::PerClient;
            }
        })
        .await;
        server.answer_all(desk, |asked| async move { asked.result("{}").await });
        for _ in 0..2 {
            let mut door = Door::open(Kind::LegacyHttp, &running).await;
            for _ in 0..2 {
                let body = door.body("1", "tools/call", r#""name":"t""#, "");
                assert!(door.response(&body).await.contains("result"));
            }
        }
        // What a client has for another server goes nowhere, and what this one sets to no client.
        let body = ask::body("1", "tools/call", r#""name":"t""#);
        let mut headers = ask::mirrored(&body);
        headers.push(("cookie", "client=1".to_owned()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = running.client.post(&headers, body.as_bytes()).await;
        assert_eq!(reply.header("set-cookie"), None);
        assert!(reply.response().await.contains("result"));
        // Where the stream ends another session begins, with none.
        server.end_sse();
        testkit::idle().await;
        assert!(ask::modern(&running.client, "tools/call", r#""name":"t""#).await.status == 200);

        let (mut told, mut sessions) = (0, Vec::new());
        for seen in server.seen() {
            let cookie = seen.header("cookie");
            let Some((_, id)) = seen.line.split_once("sessionId=") else {
                assert_eq!(cookie, None, "{seen:?}");
                continue;
            };
            let all = [format!("heard={id}"), format!("heard={id}; told={id}")];
            assert!(all.iter().any(|all| cookie == Some(all)), "{seen:?}");
            told += usize::from(cookie == Some(&all[1]));
            sessions.push(id.to_owned());
        }
        sessions.dedup();
        sessions.sort();
        sessions.dedup();
        assert!(told >= 5, "{told}");
        assert_eq!(sessions.len(), if per_client { 4 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn headers_go_with_the_stream_and_with_every_message() {
    let (running, server, mut desk) = with(Persona::over_sse(), |stand| {
        let Reach::Http(reach) = &mut stand.upstream("up").reach else { panic!("a server over HTTP") };
        reach.headers.push(("x-key".parse().unwrap(), "secret".parse().unwrap()));
        reach.forward_headers.push("x-tenant".parse().unwrap());
    })
    .await;
    let body = ask::body("1", "tools/call", r#""name":"t""#);
    let mut headers = ask::mirrored(&body);
    headers.push(("x-tenant", "blue".to_owned()));
    headers.push(("x-other", "no".to_owned()));
    let client = running.client.clone();
    let one = tokio::spawn(async move {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.post(&headers, body.as_bytes()).await.response().await
    });
    let asked = desk.asked("tools/call").await;
    let seen = asked.seen.clone();
    asked.result("{}").await;
    assert!(one.await.unwrap().contains("complete"));
    assert_eq!((seen.header("x-tenant"), seen.header("x-other")), (Some("blue"), None));
    assert!(server.seen().iter().all(|seen| seen.header("x-key") == Some("secret")));
    assert_eq!(server.seen_of("GET")[0].header("accept"), Some("text/event-stream"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_upgraded_is_found_out() {
    let (running, server, _desk) = with(Persona::over_sse(), |_| {}).await;
    *server.persona() = Persona::modern().tools(&["t"]);
    server.crash();
    tokio::time::sleep(Duration::from_secs(120)).await;
    let text = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(text.contains(r#""name":"t""#), "{text}");
    assert!(matches!(running.gateway.health()[0].1, Health::Up { era: Era::Modern, .. }));
}

/// What it asks in mid-call comes on the stream, and the answer goes to the endpoint.
#[tokio::test(start_paused = true)]
async fn a_server_asks_a_modern_client_in_mid_call() {
    let (running, server, mut desk) = with(Persona::over_sse(), |_| {}).await;
    let asking = r#""io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}"#;
    let body = ask::body("7", "tools/call", r#""name":"t""#)
        .replace(r#""io.modelcontextprotocol/clientCapabilities":{}"#, asking);
    let (client, first) = (running.client.clone(), body.clone());
    let one = tokio::spawn(async move { ask::send(&client, &first).await.response().await });
    let mut out = desk.asked("tools/call").await.stream().await;
    let question = r#"{"message":"m","requestedSchema":{"type":"object","properties":{}}}"#;
    out.message(&format!(
        r#"{{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{question}}}"#
    ))
    .await;
    let text = one.await.unwrap();
    assert_eq!(json::at(&text, &["result", "resultType"]), Some("\"input_required\""), "{text}");
    let state = json::at(&text, &["result", "requestState"]).unwrap();
    let retry =
        format!(r#""name":"t","inputResponses":{{"input-1":{{"action":"decline"}}}},"requestState":{state}"#);
    let (client, retry) = (running.client.clone(), body.replace(r#""name":"t""#, &retry));
    let two = tokio::spawn(async move { ask::send(&client, &retry).await.response().await });
    let answers = server.saw("response", 1).await.remove(0);
    assert_eq!(answers.text(), r#"{"jsonrpc":"2.0","id":"q","result":{"action":"decline"}}"#);
    assert!(answers.line.starts_with("POST /messages?sessionId="));
    out.result(r#"{"of":"t"}"#).await;
    assert!(two.await.unwrap().contains(r#""of":"t""#));
    assert_eq!(server.seen_of("tools/call").len(), 1);
}
