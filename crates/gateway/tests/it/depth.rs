//! How deep JSON goes that clients and servers say: what is within the bound passes as it came, whoever reads it on its way,
//! and what is beyond is refused by a text that says so.

use std::sync::Arc;

use base::plan::{Limits, RoutePlan};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::failures::reason;
use crate::stand::{Over, Running, Stand};

const MOST: usize = Limits::JSON_DEPTH;
/// More brackets than any stack has room for.
const VERY_DEEP: usize = 1_000_000;

/// An object that is so many levels deep, with what others look for on the way: names that mean something, nothing written
/// as null, escapes.
fn nested(levels: usize) -> String {
    let kind = |level: usize| level.is_multiple_of(2);
    let open = |level| if kind(level) { r#"{"n":null,"\u00fcri":1,"uri":"# } else { r#"["]}",[],"# };
    let close = |level| if kind(level) { "}" } else { "]" };
    let last = levels - 1;
    // The empty arrays are a level deeper than what they stand in.
    let core = if kind(last) { "{}" } else { "[]" };
    let opens: String = (0..last).map(open).collect();
    let closes: String = (0..last).rev().map(close).collect();
    format!("{opens}{core}{closes}")
}

/// Arguments of a call whose message is so many levels deep.
fn arguments(depth: usize) -> String {
    format!(r#""name":"t","arguments":{}"#, nested(depth - 2))
}

/// A result whose message is so many levels deep.
fn result(depth: usize) -> String {
    format!(r#"{{"resultType":"complete","content":[],"structuredContent":{}}}"#, nested(depth - 2))
}

fn too_deep(depth: usize) -> String {
    format!(
        "the message is nested {depth} levels deep, and no more than {MOST} are taken (json_depth of the limits or the route)"
    )
}

/// Every way in which a server speaks.
fn ways() -> [(Over, Persona); 6] {
    [
        (Over::Http, Persona::modern()),
        (Over::Http, Persona::modern().streaming()),
        (Over::Http, Persona::legacy()),
        (Over::Http, Persona::legacy().streaming()),
        (Over::Http, Persona::over_sse()),
        (Over::Stdio, Persona::legacy()),
    ]
}

async fn with(
    over: Over,
    persona: Persona,
    change: impl FnOnce(&mut Stand),
) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona.tools(&["t"])).await;
    change(&mut stand);
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk)
}

fn call(running: &Running) -> JoinHandle<String> {
    let client = running.client.clone();
    tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await })
}

fn message(text: &str) -> &str {
    json::at(text, &["error", "message"]).map_or("", json::plain)
}

fn code(text: &str) -> Option<&str> {
    json::at(text, &["error", "code"])
}

/// Whoever reads recursively ends at 128, as serde_json does.
#[tokio::test(start_paused = true)]
async fn what_is_within_the_bound_passes_as_it_came_between_any_two() {
    for (over, persona) in ways() {
        let (running, server, desk) = with(over, persona, |_| {}).await;
        server.answer_all(desk, |asked| async move {
            let depth: usize =
                json::at(asked.seen.text(), &["params", "_meta", "x/depth"]).unwrap().parse().unwrap();
            asked.result(&result(depth)).await;
        });
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &running).await;
            for depth in [127, 129, 500, MOST] {
                let body = door.body("1", "tools/call", &arguments(depth), &format!(r#""x/depth":{depth}"#));
                let answered = door.response(&body).await;
                assert!(json::at(&answered, &["error"]).is_none(), "{kind:?} {depth}: {answered}");
                let given = json::at(&answered, &["result", "structuredContent"]);
                assert!(given == Some(&nested(depth - 2)), "{kind:?} {depth}: {answered}");
                let seen = server.seen_of("tools/call").pop().unwrap();
                assert!(
                    seen.param("arguments") == Some(&nested(depth - 2)),
                    "{kind:?} {depth}: {}",
                    seen.text()
                );
            }
        }
    }
}

/// Arguments that are mirrored in headers are looked for in a walk of its own.
#[tokio::test(start_paused = true)]
async fn deep_schemas_are_shown_and_arguments_found_in_them() {
    // `properties` in `properties`: as deep as a message may be.
    let levels = (MOST - 8) / 2;
    let schema = |escape: &str, within: &str| {
        let opens =
            format!(r#"{{"type":"object","description":"{escape}","properties":{{"p":"#).repeat(levels);
        format!(r#"{{"type":"object","properties":{{{within}"deep":{opens}{{}}{}}}}}"#, "}}".repeat(levels))
    };
    let mirrored = r#""where":{"type":"string","x-mcp-header":"Where"},"#;
    let tool = |name: &str, schema: &str| format!(r#"{{"name":"{name}","inputSchema":{schema}}}"#);
    let tools = [
        tool("plain", &schema("u", "")),
        tool("escapes", &schema(r"\u00fc\u003c", "")),
        tool("mirrors", &schema(r"\u00fc", mirrored)),
    ];
    for alone in [true, false] {
        for persona in [Persona::modern(), Persona::legacy()] {
            let persona = persona.listing("tools/list", &format!("[{}]", tools.join(",")));
            let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
            let (server, desk) = stand.add("up", Over::Http, persona).await;
            if !alone {
                drop(stand.add("other", Over::Http, Persona::modern().tools(&["t"])).await);
            }
            server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
            let running = stand.start().await;
            running.gateway.settled().await;
            for kind in Kind::ALL {
                let mut door = Door::open(kind, &running).await;
                let body = door.body("1", "tools/list", r#""x":1"#, "");
                let listed = door.response(&body).await;
                for tool in &tools {
                    let schema = json::at(tool, &["inputSchema"]).unwrap();
                    assert!(listed.contains(schema), "{kind:?} {alone}: {listed}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_deep_is_refused_by_its_id() {
    let (running, server, desk) = with(Over::Http, Persona::modern(), |_| {}).await;
    server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
    for kind in Kind::ALL {
        let mut door = Door::open(kind, &running).await;
        for depth in [MOST + 1, 600] {
            let body = door.body("\"mine\"", "tools/call", &arguments(depth), "");
            let refused = door.response(&body).await;
            assert_eq!((json::at(&refused, &["id"]), code(&refused)), (Some("\"mine\""), Some("-32600")));
            assert_eq!(message(&refused), too_deep(depth), "{kind:?}");
        }
        let body = door.body("2", "tools/call", r#""name":"t""#, "");
        assert!(json::at(&door.response(&body).await, &["result"]).is_some(), "{kind:?}");
    }
    let seen = server.seen_of("tools/call");
    assert_eq!(seen.len(), Kind::ALL.len());
    for seen in seen {
        assert!(seen.param("arguments").is_none());
    }
}

/// Legacy clients have a status that is an error only for what they did wrong themselves.
#[tokio::test(start_paused = true)]
async fn over_http_it_has_the_status_of_a_bad_request() {
    let (running, _server, _desk) = with(Over::Http, Persona::modern(), |_| {}).await;
    let body = ask::body("1", "tools/call", &arguments(MOST + 1));
    assert_eq!(ask::send(&running.client, &body).await.status, 400);
    let door = Door::open(Kind::LegacyHttp, &running).await;
    let headers = [("mcp-session-id", door.session()), ("mcp-protocol-version", "2025-11-25")];
    let request = door.body("1", "tools/call", &arguments(MOST + 1), "");
    // Of what is no request nobody knows the id.
    let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, nested(MOST));
    let note = format!(r#"{{"jsonrpc":"2.0","method":"notifications/x","params":{}}}"#, nested(MOST));
    for (body, id) in [(request, Some("1")), (answer, None), (note, None)] {
        let mut reply = running.client.post(&headers, body.as_bytes()).await;
        assert_eq!(reply.status, 400);
        let text = reply.body().await;
        assert_eq!((json::at(&text, &["id"]), message(&text)), (id, &*too_deep(MOST + 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_of_a_batch_is_judged_by_itself() {
    let (running, server, desk) = with(Over::Http, Persona::modern(), |_| {}).await;
    server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
    let batch = |door: &Door| {
        let call = |id: &str, depth| door.body(id, "tools/call", &arguments(depth), "");
        format!("[{},{}]", call("1", MOST), call("2", MOST + 1))
    };
    let check = |answers: &str| {
        for answer in json::elements(answers) {
            match json::at(answer, &["id"]) {
                Some("1") => assert!(json::at(answer, &["result"]).is_some(), "{answer}"),
                _ => assert_eq!(
                    (json::at(answer, &["id"]), message(answer)),
                    (Some("2"), &*too_deep(MOST + 1))
                ),
            }
        }
        assert_eq!(json::elements(answers).len(), 2);
    };
    let door = Door::open_at(Kind::LegacyHttp, &running, "{}", "2025-03-26").await;
    let mut reply = running.client.post(&[("mcp-session-id", door.session())], batch(&door).as_bytes()).await;
    check(&reply.body().await);
    let mut door = Door::open_at(Kind::LegacyStdio, &running, "{}", "2025-03-26").await;
    let body = batch(&door);
    let mut begun = door.begin(&body).await;
    check(&door.next(&mut begun).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_route_has_a_bound_of_its_own() {
    let (running, _server, _desk) = with(Over::Http, Persona::modern(), |stand| {
        let route = &stand.plan.routes[0];
        let deep =
            RoutePlan { name: "deep".to_owned(), path: "/deep".to_owned(), json_depth: 600, ..route.clone() };
        stand.plan.routes[0].json_depth = 100;
        stand.plan.routes.push(deep);
    })
    .await;
    for (path, most) in [("/mcp", 100), ("/deep", 600)] {
        for depth in [most, most + 1] {
            let body = ask::body("1", "tools/list", &format!(r#""x":{}"#, nested(depth - 2)));
            let headers = ask::mirrored(&body);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let request = running.client.request(&format!("POST {path}"), &headers, body.as_bytes());
            let mut reply = running.client.send(&request).await;
            assert_eq!(reply.status, if depth > most { 400 } else { 200 }, "{path} {depth}");
            let text = reply.body().await;
            assert_eq!(text.contains(&format!("no more than {most} are taken")), depth > most, "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_deep_is_an_invalid_one() {
    for (over, persona) in ways() {
        let (running, _server, mut desk) = with(over, persona, |_| {}).await;
        for depth in [MOST + 1, 100_000] {
            let lost = call(&running);
            let asked = desk.asked("tools/call").await;
            let began = Instant::now();
            let (open, close) = ("[".repeat(depth - 3), "]".repeat(depth - 3));
            asked.result(&format!(r#"{{"structuredContent":{{"a":{open}{close}}}}}"#)).await;
            let text = lost.await.unwrap();
            assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
            assert!(message(&text).contains(&too_deep(depth)), "{text}");
            assert!(began.elapsed().as_secs() < 5);
        }
        let next = call(&running);
        desk.asked("tools/call").await.result(r#"{"content":[]}"#).await;
        assert!(json::at(&next.await.unwrap(), &["result"]).is_some());
    }
}

/// What is told beside an answer is left out.
#[tokio::test(start_paused = true)]
async fn a_notification_that_is_too_deep_costs_no_call() {
    for (over, persona) in ways() {
        let (running, _server, mut desk) = with(over, persona, |_| {}).await;
        let called = call(&running);
        let mut events = desk.asked("tools/call").await.stream().await;
        events
            .notify("notifications/message", &format!(r#"{{"level":"error","data":{}}}"#, nested(MOST - 1)))
            .await;
        events.result(r#"{"content":[],"x":1}"#).await;
        let text = called.await.unwrap();
        assert_eq!(json::at(&text, &["result", "x"]), Some("1"), "{text}");
    }
}

/// 2025-03-26: a server may answer with an array.
#[tokio::test(start_paused = true)]
async fn an_answer_in_a_batch_of_a_server_is_judged_by_itself() {
    let persona = Persona { revision: "2025-03-26".to_owned(), ..Persona::legacy() };
    let (running, _server, mut desk) = with(Over::Http, persona, |_| {}).await;
    for streams in [false, true] {
        for (depth, deep) in [(MOST, false), (MOST + 1, true)] {
            let called = call(&running);
            let asked = desk.asked("tools/call").await;
            let began = Instant::now();
            let id = asked.seen.id().unwrap();
            let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
            let array = format!(r#"[{note},{{"jsonrpc":"2.0","id":{id},"result":{}}}]"#, result(depth));
            if streams {
                let mut events = asked.stream().await;
                events.message(&array).await;
                // The server thinks that it has answered; others may never end their streams.
                let text = called.await.unwrap();
                judge(&text, deep.then_some(depth));
            } else {
                asked.respond(200, "application/json", &[], array.as_bytes()).await;
                judge(&called.await.unwrap(), deep.then_some(depth));
            }
            assert!(began.elapsed().as_secs() < 5, "{streams} {depth}");
        }
    }
}

fn judge(text: &str, deep: Option<usize>) {
    match deep {
        Some(depth) => {
            assert_eq!(reason(text), Some("upstream_invalid_answer"), "{text}");
            assert!(message(text).contains(&too_deep(depth)), "{text}");
        }
        None => assert!(json::at(text, &["result"]).is_some(), "{text}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_levels_are_refused_without_harm() {
    let (running, server, desk) = with(Over::Http, Persona::legacy(), |_| {}).await;
    server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
    let (open, close) = ("[".repeat(VERY_DEEP), "]".repeat(VERY_DEEP));
    for kind in Kind::ALL {
        let mut door = Door::open(kind, &running).await;
        let within = |value: &str| {
            door.body("1", "tools/call", &format!(r#""name":"t","arguments":{{"a":{value}}}"#), "")
        };
        for (body, code_of) in [
            (within(&format!("{open}{close}")), "-32600"),
            (within(&open), "-32700"),
            (open.clone(), "-32600"),
            (format!("{open}{close}"), "-32600"),
            (r#"{"a":"#.repeat(VERY_DEEP / 2), "-32700"),
        ] {
            let refused = match kind {
                Kind::ModernHttp => refused(&running, &[], &body).await,
                Kind::LegacyHttp => refused(&running, &[("mcp-session-id", door.session())], &body).await,
                Kind::ModernStdio | Kind::LegacyStdio => {
                    let mut begun = door.begin(&body).await;
                    door.next(&mut begun).await.unwrap()
                }
            };
            assert_eq!(code(&refused), Some(code_of), "{kind:?} {refused}");
        }
        let body = door.body("2", "tools/call", r#""name":"t""#, "");
        assert!(json::at(&door.response(&body).await, &["result"]).is_some(), "{kind:?}");
    }
}

async fn refused(running: &Running, headers: &[(&str, &str)], body: &str) -> String {
    let mut reply = running.client.post(headers, body.as_bytes()).await;
    assert_eq!(reply.status, 400);
    reply.body().await
}

/// Where the configuration allows it, nobody reads more deeply than there is room for.
#[tokio::test(start_paused = true)]
async fn what_a_configuration_allows_passes_too() {
    const ALLOWED: usize = 20_000;
    for (over, persona) in ways() {
        let (running, server, desk) = with(over, persona, |stand| {
            stand.plan.routes[0].json_depth = ALLOWED;
            stand.upstream("up").json_depth = ALLOWED;
        })
        .await;
        server.answer_all(desk, |asked| async move { asked.result(&result(ALLOWED)).await });
        for kind in [Kind::ModernHttp, Kind::LegacyStdio] {
            let mut door = Door::open(kind, &running).await;
            let body = door.body("1", "tools/call", &arguments(ALLOWED), "");
            let answered = door.response(&body).await;
            let given = json::at(&answered, &["result", "structuredContent"]);
            assert!(given == Some(&nested(ALLOWED - 2)), "{kind:?}");
            assert!(server.seen_of("tools/call").pop().unwrap().param("arguments") == given);
        }
    }
}
