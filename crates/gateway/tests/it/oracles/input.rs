//! Input that is asked for in mid-call.

use std::time::Duration;

use testkit::json;
use testkit::server::Persona;

use crate::asking::{
    ALL, Asks, FORM, MODERN, Scene, TOOL, again, asked_of, changed, first, refusal, retry, suspended,
};
use crate::doors::{Door, Kind};
use crate::stand::Over;

const ACCEPT: &str = r#""input-1":{"action":"accept"}"#;

#[tokio::test(start_paused = true)]
async fn e13_nobody_is_asked_for_what_he_has_not_declared() {
    let asks = r#"{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"message":"m"}}}}"#;
    for over in [Over::Http, Over::Stdio] {
        for kind in MODERN {
            let mut scene = Scene::new(over, Persona::modern(), |_| {}).await;
            let call = first(Door::open(kind, &scene.running).await);
            scene.desk.asked("tools/call").await.result(asks).await;
            let (_, text) = call.await.unwrap();
            assert_eq!(refusal(&text).0, "-32021", "{text}");
            let required = json::at(&text, &["error", "data", "requiredCapabilities"]);
            assert_eq!(required, Some(r#"{"elicitation":{"form":{}}}"#));
            assert!(!text.contains("inputRequests"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn e14_a_state_that_was_changed_used_or_is_anothers_is_refused() {
    let mut scene = Scene::legacy_with(Asks::OnItsStream, |stand| {
        stand.upstream("up").deadlines.input = Duration::from_secs(100);
    })
    .await;
    let door = scene.door(Kind::ModernHttp).await;
    let (mut door, response, serving) = suspended(&mut scene, door, Asks::OnItsStream).await;
    let good = retry(TOOL, &response, ACCEPT);
    let state = json::plain(json::at(&response, &["result", "requestState"]).unwrap());
    let flip = |at: usize| good.replace(state, &changed(state, at));
    // The last character holds bits that mean nothing.
    let flipped = (0..state.len() - 1).step_by(7).map(flip);
    for bad in flipped.chain([good.replace(r#""name":"t""#, r#""name":"other""#)]) {
        let text;
        (door, text) = again(door, bad).await.unwrap();
        assert_eq!(refusal(&text), ("-32602", "request_state"), "{text}");
    }
    let call = again(door, good.clone());
    scene.answer().await;
    serving.end("{}").await;
    let (door, _) = call.await.unwrap();
    let (door, replayed) = again(door, good).await.unwrap();
    assert_eq!(refusal(&replayed), ("-32602", "request_state"));
    let (door, response, _serving) = suspended(&mut scene, door, Asks::OnItsStream).await;
    scene.clock.advance(Duration::from_secs(101));
    let (_, expired) = again(door, retry(TOOL, &response, ACCEPT)).await.unwrap();
    assert_eq!(refusal(&expired), ("-32602", "request_state"));
}

#[tokio::test(start_paused = true)]
async fn e15_a_retry_without_its_state_is_asked_afresh() {
    let mut scene = Scene::legacy(Asks::OnItsStream).await;
    let door = scene.door(Kind::ModernHttp).await;
    let (door, _, _serving) = suspended(&mut scene, door, Asks::OnItsStream).await;
    let call = again(door, format!(r#"{TOOL},"inputResponses":{{{ACCEPT}}}"#));
    let mut new = scene.call(Asks::OnItsStream).await;
    new.ask("1", FORM).await;
    assert!(asked_of(&call.await.unwrap().1).is_some());
    assert!(scene.server.seen_of("response").is_empty());
}

#[tokio::test(start_paused = true)]
async fn e16_what_is_missing_is_asked_for_again() {
    let mut scene = Scene::legacy(Asks::OnItsStream).await;
    let door = scene.door(Kind::ModernHttp).await;
    let (door, response, _serving) = suspended(&mut scene, door, Asks::OnItsStream).await;
    let (_, text) = again(door, retry(TOOL, &response, r#""other":{"action":"accept"}"#)).await.unwrap();
    assert_eq!(asked_of(&text), asked_of(&response));
    assert_ne!(
        json::at(&text, &["result", "requestState"]),
        json::at(&response, &["result", "requestState"])
    );
}

#[tokio::test(start_paused = true)]
async fn e32_an_elicitation_of_a_legacy_server_is_answered_in_the_same_call() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let door = scene.door(kind).await;
            let (door, response, serving) = suspended(&mut scene, door, asks).await;
            let call = again(door, retry(TOOL, &response, ACCEPT));
            assert_eq!(scene.answer().await.id(), Some("\"q\""));
            serving.end(r#"{"content":[]}"#).await;
            assert!(call.await.unwrap().1.contains("complete"), "{asks:?} {kind:?}");
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// With the key that seals states in common, and no more: what one Portolan holds another has not.
#[tokio::test(start_paused = true)]
async fn e33_a_call_that_another_portolan_holds_is_a_clean_error() {
    let mut here = Scene::legacy(Asks::OnItsStream).await;
    let there = Scene::legacy(Asks::OnItsStream).await;
    let door = here.door(Kind::ModernHttp).await;
    let (door, response, serving) = suspended(&mut here, door, Asks::OnItsStream).await;
    let other = Door::open_with(Kind::ModernHttp, &there.running, ALL).await;
    let (_, text) = again(other, retry(TOOL, &response, ACCEPT)).await.unwrap();
    assert_eq!(refusal(&text), ("-32602", "request_state"), "{text}");
    assert_eq!((here.calls(), there.calls()), (1, 0));
    // It is not harmed by that.
    let call = again(door, retry(TOOL, &response, ACCEPT));
    here.answer().await;
    serving.end("{}").await;
    assert!(call.await.unwrap().1.contains("complete"));
}
