//! URLs that must be visited: asked for in mid-call, or (in one old revision) by an error.

use testkit::json;
use testkit::server::Persona;

use super::{Asks, Kind, LEGACY, MODERN, Scene, TOOL, again, asked_of, first, refusal, retry};
use crate::doors::Door;
use crate::stand::Over;

const DATA: &str = r#"{"elicitations":[{"mode":"url","elicitationId":"e1","url":"https://x","message":"m","n":1.0},{"mode":"url","elicitationId":"e2","url":"https://y","message":"n"}]}"#;

async fn refuses(scene: &mut Scene, data: &str) {
    scene.desk.asked("tools/call").await.error(-32042, "visit", Some(data)).await;
}

/// Modern client, legacy server: each URL becomes an elicitation, and the call is made again when all were visited.
#[tokio::test(start_paused = true)]
async fn a_modern_client_is_asked_to_visit_what_a_legacy_server_wants_visited() {
    for asks in [Asks::OnItsStream, Asks::InLines] {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let call = first(scene.door(kind).await);
            refuses(&mut scene, DATA).await;
            let (door, response) = call.await.unwrap();
            let asked = asked_of(&response).unwrap();
            let params: Vec<_> = asked.iter().map(|(.., params)| params.clone().unwrap()).collect();
            assert_eq!(
                params,
                [
                    r#"{"mode":"url","url":"https://x","message":"m","n":1.0}"#,
                    r#"{"mode":"url","url":"https://y","message":"n"}"#
                ]
            );
            // With one of them left it asks again, by asking the server again.
            let one = format!(r#""{}":{{"action":"accept"}}"#, asked[0].0);
            let call = again(door, retry(TOOL, &response, &one));
            refuses(&mut scene, DATA).await;
            let (door, response) = call.await.unwrap();
            assert_eq!(asked_of(&response).unwrap().len(), 2);
            let both = format!(r#"{one},"{}":{{"action":"accept"}}"#, asked[1].0);
            let call = again(door, retry(TOOL, &response, &both));
            let anew = scene.desk.asked("tools/call").await;
            assert_eq!((anew.seen.param("inputResponses"), anew.seen.param("requestState")), (None, None));
            anew.result("{}").await;
            assert!(call.await.unwrap().1.contains("complete"), "{asks:?} {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_declines_to_visit_has_not_called_again() {
    for kind in MODERN {
        for action in ["decline", "cancel"] {
            let mut scene = Scene::legacy(Asks::OnItsStream).await;
            let call = first(scene.door(kind).await);
            refuses(&mut scene, DATA).await;
            let (door, response) = call.await.unwrap();
            let answers = format!(r#""input-1":{{"action":"accept"}},"input-2":{{"action":"{action}"}}"#);
            let (door, refused) = again(door, retry(TOOL, &response, &answers)).await.unwrap();
            assert_eq!(refusal(&refused), ("-31505", "input_refused"), "{refused}");
            let (_, refused) =
                again(door, retry(TOOL, &response, &answers).replace(r#""a":1"#, r#""a":2"#)).await.unwrap();
            assert_eq!(refusal(&refused), ("-32602", "request_state"), "{refused}");
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// Whoever cannot visit URLs is told what is lacking; an error that names none is no answer.
#[tokio::test(start_paused = true)]
async fn urls_that_cannot_be_asked_for_are_an_error_with_the_reason() {
    for kind in MODERN {
        let mut scene = Scene::legacy(Asks::OnItsStream).await;
        for capabilities in ["{}", r#"{"elicitation":{}}"#] {
            let call = first(Door::open_with(kind, &scene.running, capabilities).await);
            refuses(&mut scene, DATA).await;
            let (_, response) = call.await.unwrap();
            assert_eq!(refusal(&response).0, "-32021", "{response}");
        }
        for data in [r#"{"elicitations":[]}"#, "{}", r#"{"elicitations":[7]}"#, r#"{"elicitations":7}"#] {
            let call = first(scene.door(kind).await);
            refuses(&mut scene, data).await;
            let (_, response) = call.await.unwrap();
            assert_eq!(refusal(&response), ("-31502", "upstream_invalid_answer"), "{data}: {response}");
        }
    }
}

/// Legacy to legacy it is an error like any other.
#[tokio::test(start_paused = true)]
async fn between_legacy_peers_the_error_passes() {
    for asks in [Asks::OnItsStream, Asks::InLines] {
        for kind in LEGACY {
            let mut scene = Scene::legacy(asks).await;
            let call = first(scene.door(kind).await);
            refuses(&mut scene, DATA).await;
            let (_, response) = call.await.unwrap();
            assert_eq!(json::at(&response, &["error", "code"]), Some("-32042"));
            assert_eq!(json::at(&response, &["error", "data"]), Some(DATA));
        }
    }
}

/// Who was told so hears when it is done, even if it declared nothing; and what a call's own stream says is that call's.
#[tokio::test(start_paused = true)]
async fn whoever_was_told_to_visit_urls_hears_when_that_is_done() {
    const OVER: &str = "notifications/elicitation/complete";
    let note = |name: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"{OVER}","params":{{"elicitationId":"{name}","x":1.0}}}}"#)
    };
    let mut scene = Scene::new(Over::Http, Persona::legacy().with_stream(), |_| {}).await;
    let mut door = Door::open_with(Kind::LegacyStdio, &scene.running, "{}").await;
    let mut begun = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
    refuses(&mut scene, DATA).await;
    assert!(door.next(&mut begun).await.unwrap().contains("-32042"));
    testkit::idle().await;
    scene.server.tell(OVER, r#""elicitationId":"e1","x":1.0"#).await;
    let told = door.next(&mut begun).await.unwrap();
    assert_eq!(json::at(&told, &["params"]), Some(r#"{"elicitationId":"e1","x":1.0}"#), "{told}");

    let mut begun = door.begin(&door.body("2", "tools/call", TOOL, "")).await;
    let asked = scene.desk.asked("tools/call").await;
    let (id, mut out) = (asked.seen.id().unwrap().to_owned(), asked.stream().await);
    out.message(&note("unknown")).await;
    assert_eq!(door.next(&mut begun).await.unwrap(), note("unknown"));
    out.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)).await;
    assert!(door.next(&mut begun).await.unwrap().contains("result"));
}

/// No modern server should use that code, but official SDKs do. A legacy client knows what it means, and between modern peers
/// it is none of our business.
#[tokio::test(start_paused = true)]
async fn from_a_modern_server_the_error_passes() {
    for over in [Over::Http, Over::Stdio] {
        for kind in Kind::ALL {
            let mut scene = Scene::new(over, Persona::modern(), |_| {}).await;
            let call = first(scene.door(kind).await);
            refuses(&mut scene, DATA).await;
            let (_, response) = call.await.unwrap();
            assert_eq!(json::at(&response, &["error", "code"]), Some("-32042"), "{kind:?}: {response}");
            assert_eq!(json::at(&response, &["error", "data"]), Some(DATA));
        }
    }
}

/// In mid-call the name of an elicitation goes with the era: a legacy client needs one, a modern one has none.
#[tokio::test(start_paused = true)]
async fn an_elicitation_by_url_has_a_name_in_the_legacy_era_only() {
    let url = super::Ask(
        "elicitation/create",
        Some(r#"{"mode":"url","elicitationId":"e1","url":"https://x","message":"m"}"#),
        "",
    );
    for asks in Asks::ALL {
        for kind in Kind::ALL {
            let mut scene = Scene::legacy(asks).await;
            let mut door = scene.door(kind).await;
            let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let mut serving = scene.call(asks).await;
            serving.ask("1", url).await;
            let asked = door.next(&mut call).await.unwrap();
            assert_eq!(asked.contains("elicitationId"), !kind.is_modern(), "{asks:?} {asked}");
            assert!(asked.contains(r#""url":"https://x","message":"m""#), "{asked}");
        }
    }
    for kind in LEGACY {
        let mut scene = Scene::new(Over::Http, Persona::modern(), |_| {}).await;
        let mut door = scene.door(kind).await;
        let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
        let request =
            r#"{"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"m"}}"#;
        let result = format!(r#"{{"resultType":"input_required","inputRequests":{{"k":{request}}}}}"#);
        scene.desk.asked("tools/call").await.result(&result).await;
        let asked = door.next(&mut call).await.unwrap();
        let name = json::at(&asked, &["params", "elicitationId"]).unwrap().to_owned();
        let id = json::at(&asked, &["id"]).unwrap();
        door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept"}}}}"#)).await;
        scene.desk.asked("tools/call").await.result(r#"{"resultType":"complete"}"#).await;
        let over = door.next(&mut call).await.unwrap();
        assert_eq!(json::at(&over, &["method"]), Some("\"notifications/elicitation/complete\""), "{over}");
        assert_eq!(json::at(&over, &["params", "elicitationId"]), Some(name.as_str()));
        assert!(door.next(&mut call).await.unwrap().contains("result"));
    }
}
