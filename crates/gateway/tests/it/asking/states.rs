//! The state that a modern client carries: whose it is, for what, how often and how long.

use std::time::Duration;

use testkit::json;

use super::{
    Asks, FORM, MODERN, ROOTS, Scene, TOOL, again, asked_of, changed, first, refusal, retry, suspended,
};
use crate::doors::{Door, Kind};
use crate::stand::Stand;

const ACCEPT: &str = r#""input-1":{"action":"accept"}"#;
const REFUSED: (&str, &str) = ("-32602", "request_state");

/// A second route before the same server.
fn other_route(stand: &mut Stand) {
    let mut route = stand.plan.routes[0].clone();
    (route.name, route.path) = ("other".to_owned(), "/other".to_owned());
    stand.plan.routes.push(route);
}

/// Refused is what was changed, or belongs to something else. What is open is not harmed by it.
#[tokio::test(start_paused = true)]
async fn a_state_is_good_for_the_very_call_that_it_was_given_for() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let door = scene.door(kind).await;
            let (mut door, response, serving) = suspended(&mut scene, door, asks).await;
            let state = json::plain(json::at(&response, &["result", "requestState"]).unwrap()).to_owned();
            let good = retry(TOOL, &response, ACCEPT);
            let cut = state.chars().skip(1).collect::<String>();
            for bad in [
                good.replace(&state, &changed(&state, state.len() / 2)),
                good.replace(&state, &cut),
                good.replace(&state, ""),
                good.replace(&state, "x"),
                good.replace(r#""a":1"#, r#""a":2"#),
                good.replace(r#""a":1"#, r#""a":1.0"#),
                good.replace(r#""a":1"#, r#""a":1,"b":2"#),
                good.replace(r#""arguments":{"a":1},"#, ""),
                good.replace(r#""name":"t""#, r#""name":"other""#),
                format!(r#"{good},"more":1"#),
            ] {
                let answer;
                (door, answer) = again(door, bad.clone()).await.unwrap();
                assert_eq!(refusal(&answer), REFUSED, "{bad}\n{answer}");
            }
            // Another method with the same params.
            let body = door.body("5", "prompts/get", &good, "");
            assert_eq!(refusal(&door.response(&body).await), REFUSED);
            // And the right one, in another order, with another id, and answers that nobody asked for.
            let reordered = format!(
                r#""arguments":{{"a":1}},"requestState":"{state}","inputResponses":{{"x":{{}},{ACCEPT}}},"name":"t""#
            );
            let call = again(door, reordered);
            let answer = scene.answer().await;
            assert_eq!(json::at(answer.text(), &["result"]), Some(r#"{"action":"accept"}"#));
            serving.end("{}").await;
            let (door, done) = call.await.unwrap();
            assert_eq!(json::at(&done, &["result", "resultType"]), Some("\"complete\""), "{done}");
            // It was used.
            let (_, replayed) = again(door, good).await.unwrap();
            assert_eq!(refusal(&replayed), REFUSED, "{replayed}");
            assert_eq!((scene.calls(), scene.cancels()), (1, 0), "{asks:?} {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_of_another_route_is_worth_nothing() {
    let mut scene = Scene::legacy_with(Asks::OnItsStream, other_route).await;
    let door = scene.door(Kind::ModernHttp).await;
    let (door, response, serving) = suspended(&mut scene, door, Asks::OnItsStream).await;
    let good = retry(TOOL, &response, ACCEPT);
    let body = door.body("2", "tools/call", &good, "");
    let headers = crate::ask::mirrored(&body);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let client = &scene.running.client;
    let reply = client.send(&client.request("POST /other", &headers, body.as_bytes())).await;
    assert_eq!(reply.status, 400);
    assert_eq!(refusal(&reply.response().await), REFUSED);
    let call = again(door, good);
    scene.answer().await;
    serving.end("{}").await;
    assert!(call.await.unwrap().1.contains("complete"));
}

/// A malformed retry is the client's mistake, and the call waits for a better one.
#[tokio::test(start_paused = true)]
async fn answers_that_cannot_be_read_are_refused_and_the_call_waits() {
    for kind in MODERN {
        let mut scene = Scene::legacy(Asks::InLines).await;
        let door = scene.door(kind).await;
        let (mut door, response, serving) = suspended(&mut scene, door, Asks::InLines).await;
        for answers in [r#""input-1":7"#, r#""input-1":null"#, r#""input-1":{},"input-1":{}"#] {
            let answer;
            (door, answer) = again(door, retry(TOOL, &response, answers)).await.unwrap();
            assert_eq!(refusal(&answer).0, "-32602", "{answer}");
        }
        let call = again(door, retry(TOOL, &response, ACCEPT));
        scene.answer().await;
        serving.end("{}").await;
        assert!(call.await.unwrap().1.contains("complete"));
    }
}

/// What is missing is asked for again, under the same key; what came is not asked for twice.
#[tokio::test(start_paused = true)]
async fn what_is_missing_is_asked_for_again() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy(asks).await;
            let call = first(scene.door(kind).await);
            let mut serving = scene.call(asks).await;
            serving.ask("1", FORM).await;
            serving.ask("2", ROOTS).await;
            let (door, response) = call.await.unwrap();
            let asked = asked_of(&response).unwrap();
            assert_eq!(asked.len(), 2);
            // Nothing at all.
            let (door, response) = again(door, retry(TOOL, &response, "")).await.unwrap();
            assert_eq!(asked_of(&response).unwrap(), asked);
            let roots = format!(r#""{}":{}"#, asked[1].0, ROOTS.2);
            let (door, second) = again(door, retry(TOOL, &response, &roots)).await.unwrap();
            assert_eq!(asked_of(&second).unwrap(), asked[..1], "{second}");
            assert_eq!(scene.answer().await.id(), Some("2"));
            // The state before it is used.
            let (door, replayed) = again(door, retry(TOOL, &response, &roots)).await.unwrap();
            assert_eq!(refusal(&replayed), REFUSED);
            let form = format!(r#""{}":{}"#, asked[0].0, FORM.2);
            let call = again(door, retry(TOOL, &second, &form));
            assert_eq!(scene.answer().await.id(), Some("1"));
            serving.end("{}").await;
            assert!(call.await.unwrap().1.contains("complete"), "{asks:?} {kind:?}");
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// Without the state a retry is a call like any other. The open one is open still.
#[tokio::test(start_paused = true)]
async fn a_retry_without_its_state_is_a_new_call() {
    for kind in MODERN {
        let mut scene = Scene::legacy(Asks::OnItsStream).await;
        let door = scene.door(kind).await;
        let (door, response, serving) = suspended(&mut scene, door, Asks::OnItsStream).await;
        let call = again(door, format!(r#"{TOOL},"inputResponses":{{{ACCEPT}}}"#));
        let new = scene.call(Asks::OnItsStream).await;
        assert_eq!(new.seen.param("inputResponses"), None, "{}", new.seen.text());
        new.end(r#"{"new":1}"#).await;
        let (door, done) = call.await.unwrap();
        assert_eq!(json::at(&done, &["result", "new"]), Some("1"));
        let call = again(door, retry(TOOL, &response, ACCEPT));
        scene.answer().await;
        serving.end(r#"{"old":1}"#).await;
        assert!(call.await.unwrap().1.contains(r#""old":1"#));
        assert_eq!(scene.calls(), 2);
    }
}

/// Of two retries with one state one goes on.
#[tokio::test(start_paused = true)]
async fn of_two_retries_at_once_one_is_too_late() {
    let mut scene = Scene::legacy(Asks::OnItsStream).await;
    let door = scene.door(Kind::ModernHttp).await;
    let (one, response, serving) = suspended(&mut scene, door, Asks::OnItsStream).await;
    let two = scene.door(Kind::ModernHttp).await;
    let good = retry(TOOL, &response, ACCEPT);
    let (one, two) = (again(one, good.clone()), again(two, good));
    scene.answer().await;
    serving.end("{}").await;
    let ends = [one.await.unwrap().1, two.await.unwrap().1];
    assert_eq!(ends.iter().filter(|end| end.contains("complete")).count(), 1, "{ends:?}");
    assert_eq!(ends.iter().filter(|end| refusal(end) == REFUSED).count(), 1, "{ends:?}");
    testkit::idle().await;
    assert_eq!((scene.calls(), scene.server.seen_of("response").len()), (1, 1));
}

/// What is not resumed in time is over: its server hears that nobody answers, and that the call is cancelled.
#[tokio::test(start_paused = true)]
async fn a_suspended_call_has_its_time() {
    for asks in Asks::ALL {
        for kind in MODERN {
            let mut scene = Scene::legacy_with(asks, |stand| {
                stand.upstream("up").deadlines.input = Duration::from_secs(100);
            })
            .await;
            let door = scene.door(kind).await;
            let (door, response, serving) = suspended(&mut scene, door, asks).await;
            tokio::time::sleep(Duration::from_secs(99)).await;
            assert_eq!((scene.server.seen_of("response").len(), scene.cancels()), (0, 0));
            let refused = scene.answer().await;
            assert_eq!(refused.id(), Some("\"q\""));
            assert!(json::at(refused.text(), &["error", "code"]).is_some(), "{}", refused.text());
            let cancelled = scene.server.saw("notifications/cancelled", 1).await;
            assert_eq!(cancelled[0].param("requestId"), Some(serving.id.as_str()));
            // Whether or not the state itself has run out by the clock on the wall.
            let late = retry(TOOL, &response, ACCEPT);
            let (door, answer) = again(door, late.clone()).await.unwrap();
            assert_eq!(refusal(&answer), REFUSED, "{answer}");
            scene.clock.advance(Duration::from_secs(101));
            let (_, answer) = again(door, late).await.unwrap();
            assert_eq!(refusal(&answer), REFUSED, "{answer}");
            assert!(answer.contains("time"), "{answer}");
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// There are only so many at once. The one too many is no call that was not begun: it must not be taken for one.
#[tokio::test(start_paused = true)]
async fn only_so_many_calls_are_suspended() {
    let asks = Asks::OnItsStream;
    let mut scene = Scene::legacy_with(asks, |stand| stand.plan.limits.suspended_calls = 2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let door = scene.door(Kind::ModernHttp).await;
        open.push(suspended(&mut scene, door, asks).await);
    }
    let call = first(scene.door(Kind::ModernHttp).await);
    let mut serving = scene.call(asks).await;
    serving.ask("\"q\"", FORM).await;
    let (door, refused) = call.await.unwrap();
    assert_eq!(refusal(&refused), ("-31505", "input_refused"), "{refused}");
    assert_eq!(json::at(&refused, &["error", "data", "notProcessed"]), Some("false"), "{refused}");
    let told = scene.answer().await;
    assert!(json::at(told.text(), &["error"]).is_some());
    let cancelled = scene.server.saw("notifications/cancelled", 1).await;
    assert_eq!(cancelled[0].param("requestId"), Some(serving.id.as_str()));
    // One that goes on makes room.
    let (one, response, first) = open.remove(0);
    let call = again(one, retry(TOOL, &response, ACCEPT));
    scene.answer().await;
    first.end("{}").await;
    call.await.unwrap();
    drop::<Door>(suspended(&mut scene, door, asks).await.0);
}

/// A retry takes no place at the server that its call has not: calls that wait for people do not hold up others.
#[tokio::test(start_paused = true)]
async fn a_suspended_call_holds_no_place() {
    for asks in [Asks::OnItsStream, Asks::InLines] {
        let mut scene = Scene::legacy_with(asks, |stand| {
            stand.upstream("up").concurrent_calls = 1;
            stand.upstream("up").queued_calls = 0;
        })
        .await;
        let door = scene.door(Kind::ModernHttp).await;
        let (door, response, serving) = suspended(&mut scene, door, asks).await;
        let other = first(scene.door(Kind::ModernHttp).await);
        scene.desk.asked("tools/call").await.result("{}").await;
        assert!(other.await.unwrap().1.contains("complete"));
        let call = again(door, retry(TOOL, &response, ACCEPT));
        scene.answer().await;
        serving.end("{}").await;
        assert!(call.await.unwrap().1.contains("complete"));
    }
}
