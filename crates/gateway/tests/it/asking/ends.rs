//! Calls that end while something is asked: cancelled, left, withdrawn, answered all the same, or their server gone.

use std::time::Duration;

use testkit::json;
use testkit::server::Persona;

use super::{
    Asks, FORM, LEGACY, MODERN, ROOTS, Scene, TOOL, again, asked_of, first, refusal, retry, suspended,
};
use crate::doors::{Begun, Door, Kind};
use crate::stand::Over;

const ACCEPT: &str = r#""input-1":{"action":"accept"}"#;

/// A legacy client's call whose server asks for a form: the question's id at the client.
async fn asked(scene: &mut Scene, kind: Kind, asks: Asks) -> (Door, Begun, super::Serving, String) {
    let mut door = scene.door(kind).await;
    let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
    let mut serving = scene.call(asks).await;
    serving.ask("\"q\"", FORM).await;
    let question = door.next(&mut call).await.unwrap();
    assert_eq!(json::at(&question, &["method"]), Some("\"elicitation/create\""), "{question}");
    let id = json::at(&question, &["id"]).unwrap().to_owned();
    (door, call, serving, id)
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_that_cancels_ends_what_is_asked_too() {
    for asks in Asks::ALL {
        for kind in LEGACY {
            let mut scene = Scene::legacy(asks).await;
            let (mut door, _call, serving, id) = asked(&mut scene, kind, asks).await;
            let cancelled =
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
            door.say(cancelled).await;
            let refused = scene.answer().await;
            assert_eq!(refused.id(), Some("\"q\""));
            assert!(json::at(refused.text(), &["error"]).is_some());
            let cancelled = scene.server.saw("notifications/cancelled", 1).await;
            assert_eq!(cancelled[0].param("requestId"), Some(serving.id.as_str()));
            // An answer that comes after that is nobody's.
            door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept"}}}}"#)).await;
            testkit::idle().await;
            assert!(scene.desk.left().is_empty(), "{asks:?} {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_that_cancels_ends_the_round_of_a_modern_server() {
    for over in [Over::Http, Over::Stdio] {
        for kind in LEGACY {
            let mut scene = Scene::new(over, Persona::modern(), |_| {}).await;
            let mut door = scene.door(kind).await;
            let mut call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let asked = r#"{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}"#;
            scene.desk.asked("tools/call").await.result(asked).await;
            let question = door.next(&mut call).await.unwrap();
            let id = json::at(&question, &["id"]).unwrap().to_owned();
            let cancelled =
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
            door.say(cancelled).await;
            door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[]}}}}"#)).await;
            tokio::time::sleep(Duration::from_secs(700)).await;
            assert!(scene.desk.left().is_empty(), "{over:?} {kind:?}");
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// A legacy client that goes away has not cancelled. It may come back with its answer.
#[tokio::test(start_paused = true)]
async fn a_legacy_client_that_goes_away_may_still_answer() {
    for asks in [Asks::OnItsStream, Asks::OnTheSessions, Asks::OnTheSessionsOnly] {
        let mut scene = Scene::legacy(asks).await;
        let (mut door, call, serving, id) = asked(&mut scene, Kind::LegacyHttp, asks).await;
        drop(call);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!((scene.cancels(), scene.server.seen_of("response").len()), (0, 0));
        door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept"}}}}"#)).await;
        assert_eq!(json::at(scene.answer().await.text(), &["result"]), Some(r#"{"action":"accept"}"#));
        serving.end("{}").await;
        testkit::idle().await;
        assert_eq!(scene.cancels(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_ended_ends_what_is_asked_in_it() {
    let mut scene = Scene::legacy(Asks::OnItsStream).await;
    let (mut door, _call, _serving, _) = asked(&mut scene, Kind::LegacyHttp, Asks::OnItsStream).await;
    door.end().await;
    assert!(json::at(scene.answer().await.text(), &["error"]).is_some());
    scene.server.saw("notifications/cancelled", 1).await;
}

/// A suspended call has given its response: that the client goes away, or cancels what is answered, is nothing to it.
#[tokio::test(start_paused = true)]
async fn a_suspended_call_does_not_end_with_its_clients_connection() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let door = scene.door(kind).await;
            let (mut door, response, serving) = suspended(&mut scene, door, asks).await;
            if kind == Kind::ModernStdio {
                let id = json::at(&response, &["id"]).unwrap();
                let params = format!(r#"{{"requestId":{id}}}"#);
                let method = "notifications/cancelled";
                door.say(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)).await;
            }
            drop(door);
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(
                (scene.cancels(), scene.server.seen_of("response").len()),
                (0, 0),
                "{asks:?} {kind:?}"
            );
            let call = again(scene.door(kind).await, retry(TOOL, &response, ACCEPT));
            scene.answer().await;
            serving.end("{}").await;
            assert!(call.await.unwrap().1.contains("complete"), "{asks:?} {kind:?}");
        }
    }
}

/// The retry is a call like any other: who goes away in it cancels it.
#[tokio::test(start_paused = true)]
async fn a_modern_client_that_leaves_its_retry_cancels_the_call() {
    for asks in Asks::ALL {
        let mut scene = Scene::legacy(asks).await;
        let door = scene.door(Kind::ModernHttp).await;
        let (mut door, response, serving) = suspended(&mut scene, door, asks).await;
        let call = door.begin(&door.body("2", "tools/call", &retry(TOOL, &response, ACCEPT), "")).await;
        scene.answer().await;
        let began = tokio::time::Instant::now();
        drop(call);
        let cancelled = scene.server.saw("notifications/cancelled", 1).await;
        assert!(began.elapsed() < Duration::from_millis(100));
        assert_eq!(cancelled[0].param("requestId"), Some(serving.id.as_str()), "{asks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_withdraws_a_request_has_its_legacy_client_told() {
    for asks in Asks::ALL {
        for kind in LEGACY {
            let mut scene = Scene::legacy(asks).await;
            let (mut door, mut call, mut serving, id) = asked(&mut scene, kind, asks).await;
            // Of another request, and of one that is only like it.
            serving.withdraw("7").await;
            serving.withdraw("q").await;
            serving.withdraw("\"q\"").await;
            let told = door.next(&mut call).await.unwrap();
            assert_eq!(json::at(&told, &["method"]), Some("\"notifications/cancelled\""), "{told}");
            assert_eq!(json::at(&told, &["params", "requestId"]), Some(id.as_str()), "{asks:?} {kind:?}");
            serving.end(r#"{"n":1}"#).await;
            let response = door.next(&mut call).await.unwrap();
            assert_eq!(json::at(&response, &["result", "n"]), Some("1"), "{response}");
            assert_eq!(scene.cancels(), 0);
        }
    }
}

/// What is withdrawn before its client hears of it is not asked.
#[tokio::test(start_paused = true)]
async fn what_a_server_withdraws_at_once_a_modern_client_is_not_asked() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let call = first(scene.door(kind).await);
            let mut serving = scene.call(asks).await;
            serving.ask("1", FORM).await;
            serving.ask("2", ROOTS).await;
            serving.withdraw("1").await;
            let (door, response) = call.await.unwrap();
            let asked: Vec<_> =
                asked_of(&response).unwrap().into_iter().map(|(_, method, _)| method).collect();
            assert_eq!(asked, ["roots/list"], "{asks:?} {kind:?}");
            let call = again(door, retry(TOOL, &response, &format!(r#""input-1":{}"#, ROOTS.2)));
            serving.ask("3", FORM).await;
            serving.withdraw("3").await;
            serving.end(r#"{"n":1}"#).await;
            let (_, response) = call.await.unwrap();
            assert_eq!(json::at(&response, &["result", "n"]), Some("1"), "{response}");
        }
    }
}

/// A server that does not wait for what it has asked: the answer is the answer.
#[tokio::test(start_paused = true)]
async fn a_server_may_answer_while_it_asks() {
    for asks in Asks::ALL {
        for kind in Kind::ALL {
            let mut scene = Scene::legacy(asks).await;
            let call = super::carry(scene.door(kind).await);
            let mut serving = scene.call(asks).await;
            serving.ask("\"q\"", FORM).await;
            serving.end(r#"{"n":1}"#).await;
            let (_, heard) = call.await.unwrap();
            assert_eq!(
                json::at(&heard.response, &["result", "n"]),
                Some("1"),
                "{asks:?} {kind:?}: {heard:?}"
            );
            testkit::idle().await;
            // It gets an answer all the same, the client's or ours.
            assert_eq!((scene.server.seen_of("response").len(), scene.calls()), (1, 1), "{asks:?} {kind:?}");
            assert_eq!(scene.cancels(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_may_answer_while_its_call_is_suspended() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let door = scene.door(kind).await;
            let (door, response, serving) = suspended(&mut scene, door, asks).await;
            serving.end(r#"{"n":1}"#).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let (_, response) = again(door, retry(TOOL, &response, ACCEPT)).await.unwrap();
            assert_eq!(json::at(&response, &["result", "n"]), Some("1"), "{asks:?} {kind:?}: {response}");
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// What was begun is lost with its server. That is said, and nothing is called twice.
#[tokio::test(start_paused = true)]
async fn a_server_that_dies_takes_its_suspended_calls_with_it() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let door = scene.door(kind).await;
            let (door, response, serving) = suspended(&mut scene, door, asks).await;
            scene.server.crash();
            scene.server.forget_sessions();
            drop(serving);
            tokio::time::sleep(Duration::from_secs(5)).await;
            let (door, lost) = again(door, retry(TOOL, &response, ACCEPT)).await.unwrap();
            assert_eq!(refusal(&lost), ("-31520", "upstream_broke_off"), "{asks:?} {kind:?}: {lost}");
            assert_eq!(json::at(&lost, &["error", "data", "notProcessed"]), Some("false"));
            let (door, lost) = again(door, retry(TOOL, &response, ACCEPT)).await.unwrap();
            assert_eq!(refusal(&lost), ("-32602", "request_state"));
            assert_eq!(scene.calls(), 1, "{asks:?} {kind:?}");
            // It is another server now, and may be asked anew.
            let call = again(door, r#""name":"new""#.to_owned());
            scene.desk.asked("tools/call").await.result("{}").await;
            assert!(call.await.unwrap().1.contains("complete"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_while_it_asks_a_legacy_client_is_a_call_that_broke_off() {
    for asks in Asks::ALL {
        for kind in LEGACY {
            let mut scene = Scene::legacy(asks).await;
            let (mut door, mut call, serving, id) = asked(&mut scene, kind, asks).await;
            scene.server.crash();
            drop(serving);
            let lost = door.next(&mut call).await.unwrap();
            assert_eq!(refusal(&lost), ("-31520", "upstream_broke_off"), "{asks:?} {kind:?}: {lost}");
            door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)).await;
            testkit::idle().await;
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// What a suspended call waits for may come until the last moment, on whatever connection.
#[tokio::test(start_paused = true)]
async fn a_suspended_call_can_be_answered_while_portolan_ends() {
    for asks in Asks::ALL {
        let mut scene = Scene::legacy(asks).await;
        let door = scene.door(Kind::ModernHttp).await;
        let (door, response, serving) = suspended(&mut scene, door, asks).await;
        let gateway = std::sync::Arc::clone(&scene.running.gateway);
        let stopping = tokio::spawn(async move { gateway.stop().await });
        tokio::time::sleep(Duration::from_secs(8)).await;
        let call = again(door, retry(TOOL, &response, ACCEPT));
        scene.answer().await;
        serving.end(r#"{"n":1}"#).await;
        let (_, response) = call.await.unwrap();
        assert_eq!(json::at(&response, &["result", "n"]), Some("1"), "{asks:?}: {response}");
        stopping.await.unwrap();
        assert!(!scene.running.client.is_served().await);
    }
}

/// Nobody comes back to a Portolan that has ended.
#[tokio::test(start_paused = true)]
async fn suspended_calls_end_with_portolan() {
    for asks in Asks::ALL {
        let mut scene = Scene::legacy(asks).await;
        let door = scene.door(Kind::ModernHttp).await;
        let (_, _, _serving) = suspended(&mut scene, door, asks).await;
        let gateway = std::sync::Arc::clone(&scene.running.gateway);
        let stopping = tokio::spawn(async move { gateway.stop().await });
        if asks != Asks::InLines {
            assert!(json::at(scene.answer().await.text(), &["error"]).is_some(), "{asks:?}");
        }
        // A process has its end instead.
        stopping.await.unwrap();
        assert_eq!(scene.spawn.live(), 0);
    }
}
