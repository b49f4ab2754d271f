//! What passes between legacy clients and legacy servers beside calls and their answers: changes that a server did not
//! declare, roots, progress of answers, the end of an elicitation by URL.

use std::time::Duration;

use base::plan::SessionRule;
use testkit::json;
use testkit::server::{Events, Persona};
use tokio::time::Instant;

use crate::asking::{ALL, Asks, LEGACY, Scene, TOOL};
use crate::doors::{Begun, Door, Kind, lines};
use crate::stand::{Over, Stand};

const UPDATED: &str = "notifications/resources/updated";
const CHANGED: &str = "notifications/tools/list_changed";
const COMPLETE: &str = "notifications/elicitation/complete";

fn method(text: &str) -> &str {
    json::at(text, &["method"]).map_or("", json::plain)
}

/// A server on the Python SDK 1.x declares neither by default, and does both.
#[tokio::test(start_paused = true)]
async fn what_a_server_does_counts_not_what_it_declares() {
    for over in [Over::Http, Over::Stdio] {
        let persona = Persona::legacy().able(r#"{"tools":{},"resources":{}}"#).with_stream();
        let persona = persona.scripted(&["resources/subscribe"]);
        let mut scene = Scene::new(over, persona, |_| {}).await;
        let mut door = Door::open(Kind::LegacyStdio, &scene.running).await;
        for (uri, refused) in [("a://no", true), ("a://b", false)] {
            let body = door.body("7", "resources/subscribe", &format!(r#""uri":"{uri}""#), "");
            let mut begun = door.begin(&body).await;
            let asked = loop {
                let asked = scene.desk.asked("resources/subscribe").await;
                // What was refused is asked for again when something else is wanted.
                if asked.seen.param("uri").map(json::plain) == Some(uri) {
                    break asked;
                }
                asked.error(-32099, "not here", None).await;
            };
            if refused {
                asked.error(-32099, "not here", Some(r#"{"x":1.0}"#)).await;
            } else {
                asked.result("{}").await;
            }
            let answer = door.next(&mut begun).await.unwrap();
            assert_eq!(json::at(&answer, &["id"]), Some("7"));
            let code = json::at(&answer, &["error", "code"]);
            assert_eq!(code, refused.then_some("-32099"), "{over:?} {answer}");
        }
        testkit::idle().await;
        scene.server.tell(UPDATED, r#""uri":"a://b""#).await;
        scene.server.tell(CHANGED, "").await;
        let mut begun = Begun::Lines;
        let told = [door.next(&mut begun).await.unwrap(), door.next(&mut begun).await.unwrap()];
        assert!(told.iter().any(|told| method(told) == UPDATED), "{over:?} {told:?}");
        assert!(told.iter().any(|told| method(told) == CHANGED), "{over:?} {told:?}");
    }
}

const SERVED: [Asks; 2] = [Asks::OnItsStream, Asks::InLines];

/// A server is told that the roots of a client may change if they may, and that they have; nobody else's server is.
#[tokio::test(start_paused = true)]
async fn roots_that_change_are_told_to_who_knows_them() {
    const CHANGES: &str = "notifications/roots/list_changed";
    for asks in SERVED {
        for (capabilities, told) in [
            (r#"{"roots":{"listChanged":true}}"#, r#"{"roots":{"listChanged":true}}"#),
            (r#"{"roots":{"listChanged":false}}"#, r#"{"roots":{}}"#),
            (r#"{"elicitation":{}}"#, r#"{"elicitation":{}}"#),
        ] {
            let mut scene = Scene::legacy(asks).await;
            let mut door = Door::open_with(Kind::LegacyStdio, &scene.running, capabilities).await;
            let mut begun = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            scene.call(asks).await.end("{}").await;
            door.next(&mut begun).await.unwrap();
            let declared = scene.server.seen_of("initialize");
            assert!(declared.iter().any(|seen| seen.param("capabilities") == Some(told)), "{declared:?}");
            door.say(&format!(r#"{{"jsonrpc":"2.0","method":"{CHANGES}"}}"#)).await;
            testkit::idle().await;
            let knows = usize::from(capabilities.contains("roots"));
            assert_eq!(scene.server.seen_of(CHANGES).len(), knows, "{asks:?} {capabilities}");
        }
    }
}

/// A session of the client's own is opened for that, as the client would have one without us.
#[tokio::test(start_paused = true)]
async fn roots_that_change_before_anything_else_are_told_in_a_clients_own_session() {
    for asks in SERVED {
        let per_client = |stand: &mut Stand| stand.upstream("up").sessions = SessionRule::PerClient;
        let scene = Scene::legacy_with(asks, per_client).await;
        let mut door =
            Door::open_with(Kind::LegacyStdio, &scene.running, r#"{"roots":{"listChanged":true}}"#).await;
        door.say(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#).await;
        scene.server.saw("notifications/roots/list_changed", 1).await;
        let declared = scene.server.seen_of("initialize");
        let told = Some(r#"{"roots":{"listChanged":true}}"#);
        assert_eq!(declared.last().unwrap().param("capabilities"), told, "{asks:?}");
    }
}

/// How far a client has come with an answer is told to the server that asked, under its own token.
#[tokio::test(start_paused = true)]
async fn progress_of_an_answer_reaches_who_asked() {
    for asks in SERVED {
        for kind in LEGACY {
            let mut scene = Scene::legacy(asks).await;
            let mut door = scene.door(kind).await;
            let mut begun = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let mut serving = scene.call(asks).await;
            let params = r#"{"messages":[],"maxTokens":1,"_meta":{"progressToken":"mine"}}"#;
            let ask =
                format!(r#"{{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{params}}}"#);
            serving.say(&ask).await;
            let asked = door.next(&mut begun).await.unwrap();
            let token = json::at(&asked, &["params", "_meta", "progressToken"]).unwrap().to_owned();
            for token in [token.as_str(), "12345"] {
                let params = format!(r#"{{"progressToken":{token},"progress":0.50,"x":1.0}}"#);
                let text =
                    format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#);
                door.say(&text).await;
            }
            testkit::idle().await;
            let seen = scene.server.seen_of("notifications/progress");
            let told: Vec<_> = seen.iter().map(|seen| json::at(seen.text(), &["params"]).unwrap()).collect();
            assert_eq!(told, [r#"{"progressToken":"mine","progress":0.50,"x":1.0}"#], "{asks:?} {kind:?}");
            serving.end("{}").await;
        }
    }
}

/// That a URL was visited hears who was asked to visit it, and nobody else.
#[tokio::test(start_paused = true)]
async fn the_end_of_an_elicitation_is_told_to_who_was_given_it() {
    for asks in SERVED {
        let mut scene = Scene::legacy(asks).await;
        let mut doors = Vec::new();
        let mut process: Vec<Events> = Vec::new();
        for name in ["e1", "e2"] {
            let mut door = Door::open_with(Kind::LegacyStdio, &scene.running, ALL).await;
            let mut begun = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let asked = scene.desk.asked("tools/call").await;
            let (id, mut out) = (asked.seen.id().unwrap().to_owned(), asked.stream().await);
            let params =
                format!(r#"{{"mode":"url","elicitationId":"{name}","url":"https://x","message":"m"}}"#);
            let ask = format!(
                r#"{{"jsonrpc":"2.0","id":"{name}","method":"elicitation/create","params":{params}}}"#
            );
            out.message(&ask).await;
            let question = door.next(&mut begun).await.unwrap();
            let number = json::at(&question, &["id"]).unwrap();
            let accept = r#"{"action":"accept"}"#;
            door.say(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{accept}}}"#)).await;
            scene.answer().await;
            let over = |name: &str| {
                format!(r#"{{"jsonrpc":"2.0","method":"{COMPLETE}","params":{{"elicitationId":"{name}"}}}}"#)
            };
            if name == "e1" {
                // In the call: it hears that before the answer.
                out.message(&over("e1")).await;
                assert_eq!(method(&door.next(&mut begun).await.unwrap()), COMPLETE, "{asks:?}");
            }
            out.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)).await;
            assert!(door.next(&mut begun).await.unwrap().contains("result"));
            doors.push(door);
            process.push(out);
        }
        if asks == Asks::InLines {
            // After the call: it is no call's, and still this one client's.
            let over =
                format!(r#"{{"jsonrpc":"2.0","method":"{COMPLETE}","params":{{"elicitationId":"e2"}}}}"#);
            process[0].message(&over).await;
            testkit::idle().await;
            for (door, heard) in doors.iter_mut().zip([false, true]) {
                let ping = door.body("9", "ping", r#""x":1"#, "");
                let mut begun = door.begin(&ping).await;
                let first = door.next(&mut begun).await.unwrap();
                assert_eq!(method(&first) == COMPLETE, heard, "{first}");
            }
        }
    }
}

/// Nothing of a server reaches a client that has not said yet that it is ready; then it does, in order.
#[tokio::test(start_paused = true)]
async fn a_client_is_told_nothing_before_it_is_ready() {
    let persona = Persona::legacy().able(r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true}}"#);
    let scene = Scene::new(Over::Stdio, persona, |_| {}).await;
    let mut client = lines(&scene.running);
    let params =
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
    let open = format!(r#"{{"jsonrpc":"2.0","id":"open","method":"initialize","params":{params}}}"#);
    client.send(open.as_bytes()).await;
    assert!(client.next().await.unwrap().contains("serverInfo"));
    testkit::idle().await;
    scene.server.tell(CHANGED, "").await;
    scene.server.tell("notifications/prompts/list_changed", "").await;
    testkit::idle().await;
    client.send(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(client.next().await.unwrap(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    client.send(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!(method(&client.next().await.unwrap()), CHANGED);
    assert_eq!(method(&client.next().await.unwrap()), "notifications/prompts/list_changed");
}

/// The head of a response comes soon, however long its server is silent, and with it what the client can come back with.
#[tokio::test(start_paused = true)]
async fn a_silent_call_has_a_head_within_a_second() {
    for (revision, primed) in [("2025-11-25", true), ("2025-06-18", false)] {
        let mut scene = Scene::new(Over::Http, Persona::legacy(), |_| {}).await;
        let door = Door::open_at(Kind::LegacyHttp, &scene.running, "{}", revision).await;
        let body = door.body("1", "tools/call", TOOL, "");
        let headers = [("mcp-session-id", door.session()), ("mcp-protocol-version", revision)];
        let began = Instant::now();
        let mut reply = scene.running.client.post(&headers, body.as_bytes()).await;
        assert_eq!(reply.media(), "text/event-stream");
        let first = reply.chunk().await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
        let first = String::from_utf8_lossy(&first).into_owned();
        assert_eq!(first.contains("id:"), primed, "{revision} {first}");
        assert_eq!(
            first.contains("data:"),
            primed,
            "some clients take an event without data for a message: {first}"
        );
        scene.desk.asked("tools/call").await.result(r#"{"done":1}"#).await;
        assert!(reply.event().await.unwrap().contains("done"));
    }
}

/// A legacy server decides by it which tools it has, so it hears whether its client shows apps; of no other extension.
#[tokio::test(start_paused = true)]
async fn a_server_hears_whether_its_client_shows_apps() {
    const APPS: &str = r#"{"extensions":{"com.example/x":{},"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#;
    for over in [Over::Http, Over::Stdio] {
        for kind in Kind::ALL {
            let mut scene = Scene::new(over, Persona::legacy(), |_| {}).await;
            for (capabilities, told) in [
                (
                    APPS,
                    r#"{"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#,
                ),
                ("{}", "{}"),
            ] {
                let mut door = Door::open_with(kind, &scene.running, capabilities).await;
                let mut begun = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
                let asked = scene.desk.asked("tools/call").await;
                asked.result("{}").await;
                door.next(&mut begun).await.unwrap();
                let declared = scene.server.seen_of("initialize");
                assert!(
                    declared.iter().any(|seen| seen.param("capabilities") == Some(told)),
                    "{over:?} {kind:?}"
                );
            }
        }
    }
}
