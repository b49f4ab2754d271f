//! Servers and clients that mean what they do not quite say: nothing written as null, ids in another spelling, no
//! Content-Type. What can only mean one thing is taken for it; all else is told at once, and by the id that could be read.

use std::sync::Arc;

use testkit::json;
use testkit::lines::LineClient;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Era, Persona};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ask;
use crate::doors::{Door, Kind, lines};
use crate::failures::reason;
use crate::stand::{Over, Running, Stand};

/// Every way in which a server speaks.
fn ways() -> [(Over, Persona); 5] {
    [
        (Over::Http, Persona::modern()),
        (Over::Http, Persona::legacy()),
        (Over::Http, Persona::modern().streaming()),
        (Over::Http, Persona::over_sse()),
        (Over::Stdio, Persona::legacy()),
    ]
}

async fn with(over: Over, persona: Persona) -> (Running, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, desk) = stand.add("up", over, persona).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, desk)
}

fn call(running: &Running) -> JoinHandle<String> {
    let client = running.client.clone();
    tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await })
}

/// The result of a server that answers by that id.
fn answer(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

#[tokio::test(start_paused = true)]
async fn an_id_that_comes_back_in_another_spelling_is_the_same() {
    for (over, persona) in ways() {
        let (running, mut desk) = with(over, persona).await;
        for spelling in ["\"ID\"", "ID.0", "\"ID.0\""] {
            let answered = call(&running);
            let asked = desk.asked("tools/call").await;
            let id = spelling.replace("ID", asked.seen.id().unwrap());
            asked.response(&[], &answer(&id, r#"{"content":[],"x":1.0}"#)).await;
            let text = answered.await.unwrap();
            assert_eq!(json::at(&text, &["id"]), Some("1"), "{text}");
            assert_eq!(json::at(&text, &["result", "x"]), Some("1.0"), "{spelling}: {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_nobodys_is_shown_at_once() {
    for (over, persona) in ways() {
        let persona_streams = persona.sse.is_none();
        let (running, mut desk) = with(over, persona).await;
        // On a pipe a number may be the answer to what was given up.
        let numbers = (over == Over::Http && persona_streams).then_some("99999");
        for strange in ["\"4f-a\"", "7.5", "-1"].into_iter().chain(numbers) {
            let lost = call(&running);
            let asked = desk.asked("tools/call").await;
            let began = Instant::now();
            asked.response(&[], &answer(strange, "{}")).await;
            let text = lost.await.unwrap();
            // An id that cannot be read is told as that.
            let shown = strange.trim_matches('"');
            assert!(text.contains(shown) || text.contains("must be a string or an integer"), "{text}");
            assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
            assert!(began.elapsed().as_secs() < 5, "{strange}: {:?}", began.elapsed());
        }
    }
}

/// Some answer what nobody has asked them: a cancel, for one.
#[tokio::test(start_paused = true)]
async fn an_answer_to_a_notification_costs_no_call() {
    for others in 1..=3 {
        let persona = Persona::legacy().scripted(&["notifications/cancelled"]);
        let (running, mut desk) = with(Over::Stdio, persona).await;
        let given_up = call(&running);
        let _asked = desk.asked("tools/call").await;
        let waiting: Vec<_> = (0..others).map(|_| call(&running)).collect();
        let mut asked = Vec::new();
        for _ in 0..others {
            asked.push(desk.asked("tools/call").await);
        }
        given_up.abort();
        let cancelled = desk.asked("notifications/cancelled").await;
        let refusal = r#"{"jsonrpc":"2.0","id":"who","error":{"code":-32600,"message":"m"}}"#;
        cancelled.respond(200, "", &[], refusal.as_bytes()).await;
        for asked in asked {
            testkit::idle().await;
            asked.result(r#"{"content":[]}"#).await;
        }
        for answered in waiting {
            let text = answered.await.unwrap();
            assert!(text.contains("content"), "{others}: {text}");
        }
    }
}

/// On a pipe it cannot be told whose such an answer was, as long as more calls wait.
#[tokio::test(start_paused = true)]
async fn an_answer_to_nobody_costs_no_call_that_may_still_be_answered() {
    let (running, mut desk) = with(Over::Stdio, Persona::legacy()).await;
    let (one, two) = (call(&running), call(&running));
    let (a, b) = (desk.asked("tools/call").await, desk.asked("tools/call").await);
    a.respond(200, "", &[], answer("\"who\"", "{}").as_bytes()).await;
    testkit::idle().await;
    assert!(!one.is_finished() && !two.is_finished());
    b.result(r#"{"content":[]}"#).await;
    let texts = [one.await.unwrap(), two.await.unwrap()];
    assert_eq!(texts.iter().filter(|text| reason(text) == Some("upstream_invalid_answer")).count(), 1);
    // Nothing is left of it.
    let next = call(&running);
    desk.asked("tools/call").await.result(r#"{"content":[]}"#).await;
    assert_eq!(reason(&next.await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn progress_comes_by_a_token_in_another_spelling() {
    for (over, persona) in [(Over::Http, Persona::legacy().streaming()), (Over::Stdio, Persona::legacy())] {
        let (running, mut desk) = with(over, persona).await;
        let mut door = Door::open(Kind::LegacyHttp, &running).await;
        let mut begun =
            door.begin(&door.body("1", "tools/call", r#""name":"t""#, r#""progressToken":"mine""#)).await;
        let asked = desk.asked("tools/call").await;
        let id = asked.seen.id().unwrap().to_owned();
        let mut events = asked.stream().await;
        for (token, progress) in [(format!("\"{id}\""), 1), (format!("{id}.0"), 2)] {
            events
                .message(&format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{progress}}}}}"#
                ))
                .await;
            let told = door.next(&mut begun).await.unwrap();
            assert_eq!(json::at(&told, &["params", "progressToken"]), Some("\"mine\""), "{told}");
            assert_eq!(json::at(&told, &["params", "progress"]), Some(&*progress.to_string()));
        }
        events.result(r#"{"content":[]}"#).await;
        assert!(door.next(&mut begun).await.unwrap().contains("result"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_null_of_a_server_is_absent_and_reaches_no_client() {
    for (over, mut persona) in ways() {
        if persona.era == Era::Legacy {
            persona.capabilities = r#"{"tools":{"listChanged":null},"prompts":null,"logging":{}}"#.to_owned();
            persona.info = r#"{"name":"s","version":"1","title":null}"#.to_owned();
        }
        let tool = r#"{"name":"t","description":null,"annotations":null,"inputSchema":{"type":"object"},"_meta":null}"#;
        let members = persona.list_members.clone();
        persona = persona.listing("tools/list", &format!("[{tool}]"));
        persona.list_members = [members.as_str(), r#""nextCursor":null,"_meta":null"#]
            .iter()
            .filter(|m| !m.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(",");
        let (running, mut desk) = with(over, persona).await;
        let mut door = Door::open(Kind::LegacyHttp, &running).await;
        let listed = door.response(&door.body("1", "tools/list", "", "").replace(":{,", ":{")).await;
        assert!(listed.contains(r#""name":"t""#), "{listed}");
        let mut begun = door.begin(&door.body("2", "tools/call", r#""name":"t""#, "")).await;
        let asked = desk.asked("tools/call").await;
        let id = asked.seen.id().unwrap().to_owned();
        let result = r#"{"content":[{"type":"text","text":"x","annotations":null,"_meta":null}],"isError":null,"_meta":null,"v":[null]}"#;
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result},"error":null}}"#);
        asked.response(&[], &text).await;
        let called = door.next(&mut begun).await.unwrap();
        assert_eq!(
            json::at(&called, &["result", "content"]),
            Some(r#"[{"type":"text","text":"x"}]"#),
            "{called}"
        );
        assert_eq!(json::at(&called, &["result", "v"]), Some("[null]"));
        for text in [&door.opened, &listed, &called.replace("[null]", "")] {
            assert!(!text.contains("null"), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_type_or_with_a_mark_is_read() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let (running, mut desk) = with(Over::Http, persona).await;
        for (media, mark) in [("", ""), ("application/json", "\u{feff}"), ("", "\u{feff}")] {
            let answered = call(&running);
            let asked = desk.asked("tools/call").await;
            let text = format!("{mark}{}", answer(asked.seen.id().unwrap(), r#"{"content":[]}"#));
            asked.respond(200, media, &[], text.as_bytes()).await;
            assert_eq!(reason(&answered.await.unwrap()), None);
        }
        let refused = call(&running);
        desk.asked("tools/call").await.respond(200, "", &[], b"<html>").await;
        let text = refused.await.unwrap();
        assert!(text.contains("no Content-Type"), "{text}");
    }
}

async fn line(client: &mut LineClient, text: &str) -> String {
    client.send(text.as_bytes()).await;
    client.next().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_client_leaves_empty_is_absent() {
    let (running, mut desk) = with(Over::Http, Persona::legacy().tools(&["t"])).await;
    let mut client = lines(&running);
    let opening = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":[],"clientInfo":{"name":"php","version":"1"}}}"#;
    assert!(line(&mut client, opening).await.contains("serverInfo"));
    for params in [
        "null",
        "[]",
        r#"{"cursor":null}"#,
        r#"{"_meta":null,"cursor":null}"#,
        r#"{"_meta":[]}"#,
        r#"{"_meta":{"progressToken":null}}"#,
    ] {
        let asked = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{params}}}"#);
        let listed = line(&mut client, &asked).await;
        assert!(listed.contains(r#""name":"t""#), "{params}: {listed}");
    }
    for (arguments, sent) in
        [("null", None), ("[]", Some("{}")), (r#"{"a":null,"b":[]}"#, Some(r#"{"a":null,"b":[]}"#))]
    {
        let asked = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"t","arguments":{arguments},"_meta":null}}}}"#
        );
        client.send(asked.as_bytes()).await;
        let asked = desk.asked("tools/call").await;
        assert_eq!(asked.seen.param("arguments"), sent);
        assert_eq!(asked.seen.param("_meta"), None);
        asked.result(r#"{"content":[]}"#).await;
        assert!(client.next().await.unwrap().contains("content"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_carries_the_id_that_could_be_read() {
    let (running, _desk) = with(Over::Http, Persona::legacy()).await;
    let mut client = lines(&running);
    for (body, id) in [
        (r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, Some("\"a\"")),
        (r#"{"id":5,"method":"ping"}"#, Some("5")),
        (r#"{"jsonrpc":"2.0","id":5,"method":"tools/list","params":[1]}"#, Some("5")),
        (r#"{"jsonrpc":"2.0","id":5,"method":7}"#, Some("5")),
        (r#"{"jsonrpc":"2.0","id":5,"id":6,"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":5.5,"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":5,"method":"#, None),
    ] {
        let reply = running.client.post(&[], body.as_bytes()).await;
        assert_eq!(reply.status, 400);
        let text = reply.response().await;
        assert_eq!(json::at(&text, &["id"]), id, "{body}: {text}");
        let text = line(&mut client, body).await;
        assert_eq!(json::at(&text, &["id"]), id, "{body}: {text}");
    }
}

/// 2025-11-25 `basic/lifecycle`: pings may come before `initialize`.
#[tokio::test(start_paused = true)]
async fn a_ping_before_initialize_is_answered() {
    let (running, _desk) = with(Over::Http, Persona::modern()).await;
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    let pong = r#"{"jsonrpc":"2.0","id":"p","result":{}}"#;
    for headers in [&[][..], &[("mcp-protocol-version", "2025-06-18")]] {
        let reply = running.client.post(headers, ping.as_bytes()).await;
        assert_eq!((reply.status, reply.response().await.as_str()), (200, pong));
    }
    assert_eq!(line(&mut lines(&running), ping).await, pong);
    // A session that is named must be there.
    let lost = running.client.post(&[("mcp-session-id", "x")], ping.as_bytes()).await;
    assert_eq!(lost.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_slash_at_the_end_of_a_path_makes_no_difference() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.add("up", Over::Http, Persona::modern().tools(&["t"])).await;
    stand.plan.routes[0].sse_path = Some("/sse".to_owned());
    let running = stand.start().await;
    let body = ask::body("1", "tools/list", "");
    let headers = ask::mirrored(&body);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (path, status) in
        [("/mcp", 200), ("/mcp/", 200), ("/mcp//", 404), ("/mc", 404), ("/mcp/x", 404), ("/", 404)]
    {
        let request = running.client.request(&format!("POST {path}"), &headers, body.as_bytes());
        assert_eq!(running.client.send(&request).await.status, status, "{path}");
    }
    for path in ["/sse", "/sse/"] {
        let request = running.client.request(&format!("GET {path}"), &[], b"");
        let reply = running.client.send(&request).await;
        assert_eq!((reply.status, reply.media()), (200, "text/event-stream"), "{path}");
    }
}
