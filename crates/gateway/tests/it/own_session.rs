//! What passes between a legacy client and a legacy server that have a session of their own: nothing in it is anybody
//! else's, so it passes as it would without us.

use std::time::Duration;

use base::plan::SessionRule;
use testkit::json;
use testkit::server::Persona;
use tokio::time::Instant;

use crate::asking::{ALL, Asks, FORM, LEGACY, ROOTS, SAMPLE, Scene, TOOL};
use crate::doors::{Begun, Door, Kind};
use crate::stand::{Over, Stand};

const UPDATED: &str = "notifications/resources/updated";

fn per_client(stand: &mut Stand) {
    stand.upstream("up").sessions = SessionRule::PerClient;
}

/// A client that declared nothing is asked all the same, as its server asks it, and says itself that it cannot.
#[tokio::test(start_paused = true)]
async fn a_client_refuses_itself_what_it_did_not_declare() {
    for asks in [Asks::OnItsStream, Asks::OnTheSessions, Asks::InLines] {
        for kind in LEGACY {
            for what in [FORM, SAMPLE, ROOTS] {
                let mut scene = Scene::legacy_with(asks, per_client).await;
                let mut door = Door::open_with(kind, &scene.running, "{}").await;
                let mut begun = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
                let mut serving = scene.call(asks).await;
                serving.ask("77", what).await;
                let asked = door.next(&mut begun).await.unwrap();
                let id = json::at(&asked, &["id"]).unwrap();
                let error = r#"{"code":-32600,"message":"Not here","data":1.0}"#;
                door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)).await;
                let answer = scene.answer().await;
                assert_eq!(json::at(answer.text(), &["id"]), Some("77"), "{asks:?} {kind:?}");
                assert_eq!(json::at(answer.text(), &["error"]), Some(error), "{asks:?} {kind:?}");
                serving.end("{}").await;
                door.next(&mut begun).await.unwrap();
            }
        }
    }
}

/// One that says nothing to that is refused for, soon.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_refuse_itself_keeps_no_server_waiting() {
    for asks in [Asks::OnItsStream, Asks::OnTheSessions, Asks::InLines] {
        let mut scene = Scene::legacy_with(asks, per_client).await;
        let mut door = Door::open_with(Kind::LegacyHttp, &scene.running, "{}").await;
        let mut begun = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
        let mut serving = scene.call(asks).await;
        let asked_at = Instant::now();
        serving.ask("77", SAMPLE).await;
        door.next(&mut begun).await.unwrap();
        let answer = scene.answer().await;
        assert_eq!(json::at(answer.text(), &["error", "code"]), Some("-32601"), "{asks:?}");
        assert!(asked_at.elapsed() < Duration::from_secs(10), "{asks:?}");
        serving.end(r#"{"content":[]}"#).await;
        assert!(door.next(&mut begun).await.unwrap().contains("content"), "{asks:?}");
    }
}

/// That a resource has changed is told to a client that did not subscribe to it, if its server says so in its own session;
/// to one that did, once; and to no other.
#[tokio::test(start_paused = true)]
async fn what_changed_is_told_to_whom_its_server_tells_it() {
    for asks in [Asks::OnItsStream, Asks::InLines] {
        changes_are_told(asks).await;
    }
}

async fn changes_are_told(asks: Asks) {
    let over = if asks == Asks::InLines { Over::Stdio } else { Over::Http };
    let persona = Persona::legacy().able(r#"{"tools":{},"resources":{"subscribe":true}}"#);
    let mut scene = Scene::new(over, persona.scripted(&["resources/subscribe"]), per_client).await;
    let mut doors = Vec::new();
    for _ in 0..2 {
        doors.push(Door::open_with(Kind::LegacyStdio, &scene.running, ALL).await);
    }
    let tell =
        |uri: &str| format!(r#"{{"jsonrpc":"2.0","method":"{UPDATED}","params":{{"uri":"{uri}","x":1.0}}}}"#);
    let body = doors[0].body("1", "tools/call", TOOL, "");
    let mut begun = doors[0].begin(&body).await;
    let mut serving = scene.call(asks).await;
    serving.say(&tell("a://b")).await;
    assert_eq!(doors[0].next(&mut begun).await.unwrap(), tell("a://b"));
    serving.end("{}").await;
    doors[0].next(&mut begun).await.unwrap();

    let body = doors[0].body("2", "resources/subscribe", r#""uri":"a://b""#, "");
    let mut begun = doors[0].begin(&body).await;
    scene.desk.asked("resources/subscribe").await.result("{}").await;
    doors[0].next(&mut begun).await.unwrap();
    let body = doors[0].body("3", "tools/call", TOOL, "");
    let mut begun = doors[0].begin(&body).await;
    let mut serving = scene.call(asks).await;
    serving.say(&tell("a://b")).await;
    assert_eq!(doors[0].next(&mut begun).await.unwrap(), tell("a://b"));
    testkit::idle().await;
    serving.end("{}").await;
    let answer = doors[0].next(&mut begun).await.unwrap();
    assert_eq!(json::at(&answer, &["id"]), Some("3"), "{answer}");

    let answer = doors[1].response(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#).await;
    assert_eq!(answer, r#"{"jsonrpc":"2.0","id":9,"result":{}}"#);
}

/// A server that declares no logging says itself what it has to say to a level.
#[tokio::test(start_paused = true)]
async fn a_level_is_refused_by_the_server_itself() {
    for over in [Over::Http, Over::Stdio] {
        for kind in LEGACY {
            let persona = Persona::legacy().able(r#"{"tools":{}}"#).scripted(&["logging/setLevel"]);
            let mut scene = Scene::new(over, persona, per_client).await;
            let mut door = Door::open_with(kind, &scene.running, "{}").await;
            let body = door.body("5", "logging/setLevel", r#""level":"error""#, "");
            let mut begun: Begun = door.begin(&body).await;
            let asked = scene.desk.asked("logging/setLevel").await;
            assert_eq!(asked.seen.param("level"), Some(r#""error""#));
            asked.error(-32601, "Method not found", Some(r#""logging/setLevel""#)).await;
            let answer = door.next(&mut begun).await.unwrap();
            assert_eq!(json::at(&answer, &["id"]), Some("5"), "{over:?} {kind:?}");
            let error = r#"{"code":-32601,"message":"Method not found","data":"logging/setLevel"}"#;
            assert_eq!(json::at(&answer, &["error"]), Some(error), "{over:?} {kind:?}");
        }
    }
}

/// Progress that answers no question of a server is told to the only server that can be meant, as the client says it.
#[tokio::test(start_paused = true)]
async fn progress_of_its_own_accord_reaches_the_only_server() {
    for over in [Over::Http, Over::Stdio] {
        for kind in LEGACY {
            let scene = Scene::new(over, Persona::legacy(), per_client).await;
            let mut door = Door::open_with(kind, &scene.running, "{}").await;
            let params = r#"{"progressToken":"upload-1","progress":0.50,"x":1.0}"#;
            door.say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#))
                .await;
            let seen = scene.server.saw("notifications/progress", 1).await;
            assert_eq!(json::at(seen[0].text(), &["params"]), Some(params), "{over:?} {kind:?}");
        }
    }
}

/// What a client says of itself in `initialize`, and a server in its answer, is between those two.
#[tokio::test(start_paused = true)]
async fn both_hear_of_the_others_extensions() {
    const DECLARED: &str = r#"{"roots":{},"extensions":{"com.example/flags":{"x":1.0}}}"#;
    for over in [Over::Http, Over::Stdio] {
        for kind in LEGACY {
            let mut scene = Scene::new(over, Persona::legacy(), per_client).await;
            let mut door = Door::open_with(kind, &scene.running, DECLARED).await;
            let mut begun = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            scene.desk.asked("tools/call").await.result("{}").await;
            door.next(&mut begun).await.unwrap();
            let told = scene.server.seen_of("initialize");
            assert_eq!(told.last().unwrap().param("capabilities"), Some(DECLARED), "{over:?} {kind:?}");
            // Its session is the same for all that it says.
            let sessions = told.iter().filter(|told| told.param("capabilities") == Some(DECLARED)).count();
            door.say(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#).await;
            scene.server.saw("notifications/roots/list_changed", 1).await;
            let told = scene.server.seen_of("initialize");
            let now = told.iter().filter(|told| told.param("capabilities") == Some(DECLARED)).count();
            assert_eq!(now, sessions, "{over:?} {kind:?}");
        }
    }
}
