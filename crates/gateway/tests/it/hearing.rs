//! A session's own stream with a legacy server (GET): what it means that there is none, and what comes there.

use std::sync::Arc;
use std::time::Duration;

use base::plan::SessionRule;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::doors::{Door, Kind};
use crate::failures::call;
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

/// A refusal of the GET says that there is no stream: the session is left as it is, and the stream is not asked for without end.
#[tokio::test(start_paused = true)]
async fn a_refused_stream_says_nothing_of_its_session() {
    const GONE: &str =
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"GET is not offered"}}"#;
    let refusals = [
        (404, "text/html", "<pre>Cannot GET /mcp</pre>", 1),
        (404, "application/json", GONE, 1),
        (405, "", "", 1),
        (406, "", "", 1),
        (410, "", "", 1),
        (501, "", "", 1),
        (200, "text/html", "<h1>It works</h1>", 1),
        (302, "", "", 1),
        (400, "text/plain", "no", 8),
        (401, "text/plain", "no", 8),
        (409, "text/plain", "no", 8),
        (500, "text/plain", "no", 8),
    ];
    for (status, media, body, most) in refusals {
        let persona = Persona::legacy().scripted(&["GET"]).tools(&["t"]);
        let (running, server, desk) = with(persona, |_| {}).await;
        server.answer_all(desk, move |asked| async move {
            match asked.seen.method().as_str() {
                "GET" => asked.respond(status, media, &[], body.as_bytes()).await,
                _ => asked.result(r#"{"content":[]}"#).await,
            }
        });
        let mut client = Door::open(Kind::LegacyHttp, &running).await;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let body = client.body("1", "tools/call", r#""name":"t""#, "");
            assert!(client.response(&body).await.contains("content"));
        }
        assert_eq!(server.sessions_opened(), 1, "{status}");
        let asked = server.seen_of("GET").len();
        assert!((1..=most).contains(&asked), "{status}: {asked}");
    }
}

/// One that was open, ends, and is refused then: the server may have been restarted, and nobody calls it.
#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_opened_again_makes_us_look_after_the_session() {
    let (_running, server, _desk) = with(Persona::legacy().with_stream(), |_| {}).await;
    server.listened_to(1).await;
    server.forget_sessions();
    server.end_listening(true).await;
    server.listened_to(2).await;
    assert_eq!(server.sessions_opened(), 2);
    // And one whose session lives is opened again in that.
    server.end_listening(true).await;
    server.listened_to(3).await;
    assert_eq!(server.sessions_opened(), 2);
}

/// Some servers only say that they have taken a request, and answer it on the session's own stream.
#[tokio::test(start_paused = true)]
async fn an_answer_may_come_on_the_sessions_own_stream() {
    for status in [202, 204, 200] {
        for first in ["head", "answer"] {
            let (running, server, mut desk) = with(Persona::legacy().with_stream(), |_| {}).await;
            server.listened_to(1).await;
            for n in 0..3 {
                let called = call(&running, "t");
                let asked = desk.asked("tools/call").await;
                let id = asked.seen.id().unwrap().to_owned();
                let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"n":{n}}}}}"#);
                if first == "head" {
                    asked.respond(status, "", &[], b"").await;
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    server.tell_raw(&answer).await;
                } else {
                    server.tell_raw(&answer).await;
                    testkit::idle().await;
                    asked.respond(status, "", &[], b"").await;
                }
                let text = called.await.unwrap();
                assert_eq!(
                    json::at(&text, &["result", "n"]),
                    Some(n.to_string().as_str()),
                    "{status} {first}"
                );
            }
            assert!(server.seen_of("notifications/cancelled").is_empty());
        }
    }
}

/// The stream is opened for that where nobody reads it; and the wait has the call's own bound.
#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_there_opens_the_stream_and_waits_no_longer_than_for_any() {
    let unwatched = |stand: &mut Stand| {
        stand.upstream("up").watched = false;
        stand.upstream("up").deadlines.call = Duration::from_secs(20);
    };
    let (running, server, mut desk) = with(Persona::legacy().with_stream(), unwatched).await;
    let called = call(&running, "t");
    let asked = desk.asked("tools/call").await;
    let id = asked.seen.id().unwrap().to_owned();
    assert!(server.seen_of("GET").is_empty());
    asked.respond(202, "", &[], b"").await;
    server.listened_to(1).await;
    server.tell_raw(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#)).await;
    assert!(called.await.unwrap().contains("content"));
    let silent = call(&running, "t");
    desk.asked("tools/call").await.respond(202, "", &[], b"").await;
    let began = tokio::time::Instant::now();
    assert!(silent.await.unwrap().contains("upstream_deadline"));
    assert!(began.elapsed() <= Duration::from_secs(20));
}

/// A server without such a stream cannot answer there.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_only_taken_has_no_answer_where_there_is_no_stream() {
    let (running, _server, mut desk) = with(Persona::legacy(), |_| {}).await;
    let called = call(&running, "t");
    desk.asked("tools/call").await.respond(202, "", &[], b"").await;
    let text = called.await.unwrap();
    assert!(text.contains("upstream_invalid_answer"), "{text}");
}

/// An answer may come there, too, when the call's own stream was cut.
#[tokio::test(start_paused = true)]
async fn an_answer_may_come_there_after_the_calls_own_stream_was_cut() {
    for cut in [true, false] {
        let (running, server, mut desk) = with(Persona::legacy().with_stream(), |_| {}).await;
        server.listened_to(1).await;
        let called = call(&running, "t");
        let asked = desk.asked("tools/call").await;
        let id = asked.seen.id().unwrap().to_owned();
        let stream = asked.stream().await;
        if cut {
            stream.abort();
        } else {
            stream.end().await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        server.tell_raw(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#)).await;
        assert!(called.await.unwrap().contains("content"), "{cut}");
    }
}

/// A client that can be asked nothing, with a session of its own: what the server says there is heard, and what it asks is
/// refused, so that it does not wait for ever.
#[tokio::test(start_paused = true)]
async fn a_session_of_ones_own_is_listened_to_although_its_client_can_be_asked_nothing() {
    let per_client = |stand: &mut Stand| {
        stand.upstream("up").sessions = SessionRule::PerClient;
        stand.upstream("up").watched = false;
    };
    let persona = Persona::legacy()
        .able(r#"{"tools":{"listChanged":true}}"#)
        .tools(&["t"])
        .with_stream()
        .scripted(&["response"]);
    let (running, server, mut desk) = with(persona, per_client).await;
    let mut client = Door::open(Kind::LegacyHttp, &running).await;
    let body = client.body("1", "tools/call", r#""name":"t""#, "");
    let called = tokio::spawn(async move { client.response(&body).await });
    let asked = desk.asked("tools/call").await;
    server.listened_to(1).await;
    server.tell_raw(r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"messages":[],"maxTokens":5}}"#).await;
    let refused = desk.asked("response").await;
    assert_eq!(json::at(refused.seen.text(), &["error", "code"]), Some("-32601"), "{}", refused.seen.text());
    refused.accepted().await;
    asked.result(r#"{"content":[]}"#).await;
    assert!(called.await.unwrap().contains("content"));
}
