//! What is not asked, not answered, or answered with an error.

use std::time::Duration;

use testkit::json;
use testkit::server::Persona;

use super::{Ask, Asks, FORM, LEGACY, MODERN, ROOTS, SAMPLE, Scene, TOOL, first, refusal, suspended};
use crate::doors::{Door, Kind};
use crate::stand::Over;

/// Nobody is asked for what they have not declared, and the server hears that.
#[tokio::test(start_paused = true)]
async fn what_a_client_has_not_declared_it_is_not_asked() {
    let url = Ask(
        "elicitation/create",
        Some(r#"{"mode":"url","url":"https://x","elicitationId":"e","message":"m"}"#),
        "",
    );
    let tools = Ask("sampling/createMessage", Some(r#"{"messages":[],"maxTokens":1,"tools":[]}"#), "");
    for asks in Asks::ALL {
        for kind in Kind::ALL {
            for (capabilities, what) in [
                ("{}", FORM),
                (r#"{"roots":{},"sampling":{}}"#, FORM),
                (r#"{"elicitation":{"url":{}}}"#, FORM),
                (r#"{"elicitation":{}}"#, url),
                (r#"{"elicitation":{}}"#, SAMPLE),
                (r#"{"sampling":{}}"#, tools),
                (r#"{"sampling":{}}"#, ROOTS),
            ] {
                // Who can be asked nothing shares a session whose stream is read for changes only.
                if capabilities == "{}" && asks == Asks::OnTheSessionsOnly {
                    continue;
                }
                let mut scene = Scene::legacy(asks).await;
                let call = super::carry(Door::open_with(kind, &scene.running, capabilities).await);
                let mut serving = scene.call(asks).await;
                serving.ask("1", what).await;
                let refused = scene.answer().await;
                let code = json::at(refused.text(), &["error", "code"]);
                assert!(matches!(code, Some("-32601" | "-32602")), "{asks:?} {kind:?}: {}", refused.text());
                serving.end(r#"{"n":1}"#).await;
                let (_, heard) = call.await.unwrap();
                assert!(heard.asked.is_empty(), "{asks:?} {kind:?} {heard:?}");
                assert_eq!(json::at(&heard.response, &["result", "n"]), Some("1"));
            }
        }
    }
}

/// What could be read as another question than the one that was checked is no question.
#[tokio::test(start_paused = true)]
async fn a_question_that_means_two_things_is_refused() {
    let twice = Ask("elicitation/create", Some(r#"{"mode":"form","message":"m","\u006dode":"url"}"#), "");
    for asks in Asks::ALL {
        for kind in Kind::ALL {
            let mut scene = Scene::legacy(asks).await;
            let call = super::carry(Door::open_with(kind, &scene.running, r#"{"elicitation":{}}"#).await);
            let mut serving = scene.call(asks).await;
            serving.ask("1", twice).await;
            let refused = scene.answer().await;
            assert_eq!(json::at(refused.text(), &["error", "code"]), Some("-32602"), "{}", refused.text());
            serving.end("{}").await;
            assert!(call.await.unwrap().1.asked.is_empty(), "{asks:?} {kind:?}");
        }
    }
}

/// A modern server that asks all the same breaks the protocol; its client is told what it lacks.
#[tokio::test(start_paused = true)]
async fn a_modern_server_that_asks_for_what_was_not_declared_is_refused() {
    for over in [Over::Http, Over::Stdio] {
        for kind in Kind::ALL {
            let mut scene = Scene::new(over, Persona::modern(), |_| {}).await;
            let call = first(Door::open_with(kind, &scene.running, r#"{"roots":{}}"#).await);
            let asked = scene.desk.asked("tools/call").await;
            let request = format!(r#"{{"method":"{}"{}}}"#, SAMPLE.0, SAMPLE.params());
            asked
                .result(&format!(r#"{{"resultType":"input_required","inputRequests":{{"k":{request}}}}}"#))
                .await;
            let (_, response) = call.await.unwrap();
            let code = if kind.is_modern() { "-32021" } else { "-31501" };
            assert_eq!(refusal(&response).0, code, "{response}");
            let required = json::at(&response, &["error", "data", "requiredCapabilities"]);
            assert_eq!(required, Some(r#"{"sampling":{}}"#), "{response}");
        }
    }
}

/// A legacy client's error is a legacy server's to hear.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_legacy_client_reaches_a_legacy_server_as_it_is() {
    for asks in Asks::ALL {
        for kind in LEGACY {
            let mut scene = Scene::legacy(asks).await;
            let mut door = scene.door(kind).await;
            let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let mut serving = scene.call(asks).await;
            serving.ask("\"q\"", SAMPLE).await;
            let question = door.next(&mut call).await.unwrap();
            let id = json::at(&question, &["id"]).unwrap();
            let error = r#"{"code":-1,"message":"User rejected","data":{"x":1.0}}"#;
            door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)).await;
            let told = scene.answer().await;
            assert_eq!(told.text(), format!(r#"{{"jsonrpc":"2.0","id":"q","error":{error}}}"#));
            serving.end("{}").await;
            assert!(door.next(&mut call).await.unwrap().contains("result"));
        }
    }
}

/// A modern server cannot be told an error; that nobody filled in a form it can.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_legacy_client_is_a_cancelled_form_or_the_end_of_the_call() {
    for over in [Over::Http, Over::Stdio] {
        for kind in LEGACY {
            for what in [FORM, SAMPLE, ROOTS] {
                let mut scene = Scene::new(over, Persona::modern(), |_| {}).await;
                let mut door = scene.door(kind).await;
                let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
                let request = format!(r#"{{"method":"{}"{}}}"#, what.0, what.params());
                let result =
                    format!(r#"{{"resultType":"input_required","inputRequests":{{"k":{request}}}}}"#);
                scene.desk.asked("tools/call").await.result(&result).await;
                let question = door.next(&mut call).await.unwrap();
                let id = json::at(&question, &["id"]).unwrap();
                let error = r#"{"code":-1,"message":"User rejected"}"#;
                door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)).await;
                if what.0 == FORM.0 {
                    let again = scene.desk.asked("tools/call").await;
                    assert_eq!(again.seen.param("inputResponses"), Some(r#"{"k":{"action":"cancel"}}"#));
                    again.result(r#"{"resultType":"complete"}"#).await;
                    assert!(door.next(&mut call).await.unwrap().contains("result"));
                    continue;
                }
                let failed = door.next(&mut call).await.unwrap();
                assert_eq!(refusal(&failed), ("-31505", "input_refused"), "{failed}");
                assert!(failed.contains("User rejected") && failed.contains(what.0), "{failed}");
                assert_eq!(scene.calls(), 1);
            }
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(300);

/// It is the client that did not answer, and the error says so. The server hears that nobody waits.
#[tokio::test(start_paused = true)]
async fn a_legacy_client_that_never_answers_is_named() {
    for asks in Asks::ALL {
        for kind in LEGACY {
            let mut scene =
                Scene::legacy_with(asks, |stand| stand.upstream("up").deadlines.input = PATIENCE).await;
            let mut door = scene.door(kind).await;
            let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let mut serving = scene.call(asks).await;
            let began = tokio::time::Instant::now();
            serving.ask("\"q\"", FORM).await;
            assert!(door.next(&mut call).await.unwrap().contains("elicitation/create"));
            let failed = later(&mut door, &mut call).await;
            assert_eq!(refusal(&failed), ("-31505", "input_refused"), "{asks:?} {kind:?}: {failed}");
            assert!(failed.contains("elicitation/create") && failed.contains("300s"), "{failed}");
            assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
            assert!(json::at(scene.answer().await.text(), &["error"]).is_some());
            let cancelled = scene.server.saw("notifications/cancelled", 1).await;
            assert_eq!(cancelled[0].param("requestId"), Some(serving.id.as_str()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_that_never_answers_a_modern_server_is_named() {
    for over in [Over::Http, Over::Stdio] {
        for kind in LEGACY {
            let mut scene =
                Scene::new(over, Persona::modern(), |stand| stand.upstream("up").deadlines.input = PATIENCE)
                    .await;
            let mut door = scene.door(kind).await;
            let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let asked = r#"{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}"#;
            scene.desk.asked("tools/call").await.result(asked).await;
            let began = tokio::time::Instant::now();
            assert!(door.next(&mut call).await.unwrap().contains("roots/list"));
            let failed = later(&mut door, &mut call).await;
            assert_eq!(refusal(&failed), ("-31505", "input_refused"), "{failed}");
            assert!(failed.contains("roots/list") && failed.contains("300s"), "{failed}");
            assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// A server that got its answer and then says nothing is the one that did not answer.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_after_the_answer_is_named() {
    for asks in Asks::ALL {
        for kind in LEGACY {
            let mut scene =
                Scene::legacy_with(asks, |stand| stand.upstream("up").deadlines.input = PATIENCE).await;
            let mut door = scene.door(kind).await;
            let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let mut serving = scene.call(asks).await;
            serving.ask("\"q\"", ROOTS).await;
            let question = door.next(&mut call).await.unwrap();
            let id = json::at(&question, &["id"]).unwrap();
            door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, ROOTS.2)).await;
            scene.answer().await;
            let failed = later(&mut door, &mut call).await;
            assert_eq!(refusal(&failed), ("-31504", "upstream_deadline"), "{asks:?} {kind:?}: {failed}");
        }
    }
}

/// The next message, however long it takes.
async fn later(door: &mut Door, call: &mut crate::doors::Begun) -> String {
    tokio::time::sleep(PATIENCE - Duration::from_secs(30)).await;
    loop {
        let message = tokio::time::timeout(2 * PATIENCE, door.next(call)).await.unwrap().unwrap();
        if json::at(&message, &["id"]).is_some() {
            return message;
        }
    }
}

/// The deadline of the server does not run while its modern client thinks, and begins anew when the client is back.
#[tokio::test(start_paused = true)]
async fn a_servers_deadline_begins_anew_with_the_retry() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let door = scene.door(kind).await;
            let (door, response, serving) = suspended(&mut scene, door, asks).await;
            tokio::time::sleep(Duration::from_secs(500)).await;
            let call = super::again(door, super::retry(TOOL, &response, r#""input-1":{"action":"accept"}"#));
            scene.answer().await;
            tokio::time::sleep(Duration::from_secs(50)).await;
            serving.end("{}").await;
            assert!(call.await.unwrap().1.contains("complete"), "{asks:?} {kind:?}");
        }
    }
}
