//! What is asked reaches the client, the answers reach the server, and nothing is called twice that must not be.

use testkit::json;
use testkit::server::Persona;

use super::{Ask, Asks, FORM, LEGACY, MODERN, ROOTS, SAMPLE, Scene, again, asked_of, carry, first, retry};
use crate::doors::{Door, Kind};
use crate::stand::Over;

const DONE: &str = r#"{"content":[],"n":1.0}"#;

#[tokio::test(start_paused = true)]
async fn any_client_answers_a_legacy_server_that_asks_one_after_the_other() {
    for asks in Asks::ALL {
        for kind in Kind::ALL {
            let mut scene = Scene::legacy(asks).await;
            let call = carry(scene.door(kind).await);
            let mut serving = scene.call(asks).await;
            serving.progress(1).await;
            for (n, what) in [FORM, SAMPLE, ROOTS].into_iter().enumerate() {
                let id = format!("\"ask-{n}\"");
                serving.ask(&id, what).await;
                let answer = scene.answer().await;
                assert_eq!(answer.id(), Some(id.as_str()), "{asks:?} {kind:?}");
                assert_eq!(json::at(answer.text(), &["result"]), Some(what.2), "{asks:?} {kind:?}");
                serving.progress(n + 2).await;
            }
            serving.end(DONE).await;
            let (_, heard) = call.await.unwrap();
            expect_all(&heard, kind);
            assert_eq!(json::at(&heard.response, &["result", "n"]), Some("1.0"), "{asks:?} {kind:?}");
            assert_eq!((scene.calls(), scene.cancels()), (1, 0), "{asks:?} {kind:?}");
        }
    }
}

/// A client was asked a form, a sample and its roots, one after the other, with progress between.
fn expect_all(heard: &super::Heard, kind: Kind) {
    let round = |n: usize| if kind.is_modern() { n } else { 0 };
    let asked =
        |n: usize, Ask(method, params, _): Ask| (round(n), method.to_owned(), params.map(str::to_owned));
    assert_eq!(heard.asked, [asked(0, FORM), asked(1, SAMPLE), asked(2, ROOTS)], "{kind:?}");
    let token = |n: usize| format!("token-{}", round(n));
    let told: Vec<_> = (0..4).map(|n| (token(n), (n + 1).to_string())).collect();
    assert_eq!(heard.progress, told, "{kind:?}");
}

#[tokio::test(start_paused = true)]
async fn any_client_answers_a_modern_server_that_asks_one_after_the_other() {
    for over in [Over::Http, Over::Stdio] {
        for kind in Kind::ALL {
            let mut scene = Scene::new(over, Persona::modern(), |_| {}).await;
            let call = carry(scene.door(kind).await);
            for (n, what) in [Some(FORM), Some(SAMPLE), Some(ROOTS), None].into_iter().enumerate() {
                let asked = scene.desk.asked("tools/call").await;
                if let Some(before) = n.checked_sub(1) {
                    let given = [FORM, SAMPLE, ROOTS][before].2;
                    let responses = asked.seen.param("inputResponses").map(str::to_owned);
                    assert_eq!(responses, Some(format!(r#"{{"k":{given}}}"#)), "{over:?} {kind:?}");
                    let state = format!(r#""\u0073-{before}""#);
                    assert_eq!(asked.seen.param("requestState"), Some(state.as_str()), "{over:?} {kind:?}");
                }
                assert_eq!(asked.seen.param("arguments"), Some(r#"{"a":1}"#));
                let mut stream = asked.stream().await;
                stream.progress(&(n + 1).to_string()).await;
                let result = match what {
                    Some(what) => {
                        let request = format!(r#"{{"method":"{}"{}}}"#, what.0, what.params());
                        let state = format!(r#""requestState":"\u0073-{n}""#);
                        format!(
                            r#"{{"resultType":"input_required","inputRequests":{{"k":{request}}},{state}}}"#
                        )
                    }
                    None => r#"{"resultType":"complete","n":1.0}"#.to_owned(),
                };
                stream.result(&result).await;
            }
            let (_, heard) = call.await.unwrap();
            expect_all(&heard, kind);
            assert_eq!(json::at(&heard.response, &["result", "n"]), Some("1.0"));
        }
    }
}

/// What a server asks at once a modern client gets at once, and a legacy client as so many requests. The answers may come in
/// any order.
#[tokio::test(start_paused = true)]
async fn several_asks_at_once_are_one_map_or_several_requests() {
    for asks in Asks::ALL {
        for kind in Kind::ALL {
            let mut scene = Scene::legacy(asks).await;
            let call = carry(scene.door(kind).await);
            let mut serving = scene.call(asks).await;
            for (id, what) in [("1", FORM), ("\"1\"", SAMPLE), ("-3", ROOTS)] {
                serving.ask(id, what).await;
            }
            let mut answers = Vec::new();
            for _ in 0..3 {
                let answer = scene.answer().await;
                let result = json::at(answer.text(), &["result"]).unwrap().to_owned();
                answers.push((answer.id().unwrap().to_owned(), result));
            }
            answers.sort();
            let expected = [("\"1\"", SAMPLE.2), ("-3", ROOTS.2), ("1", FORM.2)];
            assert_eq!(
                answers,
                expected.map(|(id, text)| (id.to_owned(), text.to_owned())),
                "{asks:?} {kind:?}"
            );
            serving.end(DONE).await;
            let (_, heard) = call.await.unwrap();
            assert_eq!(heard.methods(), [FORM.0, SAMPLE.0, ROOTS.0], "{asks:?} {kind:?}");
            assert!(heard.asked.iter().all(|(round, ..)| *round == 0), "{asks:?} {kind:?}");
            assert_eq!(scene.calls(), 1);
        }
    }
}

/// What a modern server asks at once, a legacy client may answer in any order.
#[tokio::test(start_paused = true)]
async fn a_legacy_client_answers_in_the_order_that_it_likes() {
    for over in [Over::Http, Over::Stdio] {
        for kind in LEGACY {
            let mut scene = Scene::new(over, Persona::modern(), |_| {}).await;
            let mut door = scene.door(kind).await;
            let mut call = door.begin(&door.body("1", "tools/call", super::TOOL, "")).await;
            let asked = r#"{"resultType":"input_required","inputRequests":{"b":{"method":"roots/list"},"a":{"method":"roots/list"}}}"#;
            scene.desk.asked("tools/call").await.result(asked).await;
            let (one, two) = (door.next(&mut call).await.unwrap(), door.next(&mut call).await.unwrap());
            for (n, question) in [(2, two), (1, one)] {
                let id = json::at(&question, &["id"]).unwrap();
                door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[{n}]}}}}"#)).await;
            }
            let retried = scene.desk.asked("tools/call").await;
            let responses = retried.seen.param("inputResponses");
            assert_eq!(responses, Some(r#"{"b":{"roots":[1]},"a":{"roots":[2]}}"#), "{over:?} {kind:?}");
            assert_eq!(retried.seen.param("requestState"), None, "none was given");
            retried.result(r#"{"resultType":"complete"}"#).await;
            assert!(door.next(&mut call).await.unwrap().contains("result"));
        }
    }
}

/// A state without a question means: again. Whoever asks that of a legacy client's call is asked again with pauses.
#[tokio::test(start_paused = true)]
async fn a_modern_server_that_only_wants_to_be_called_again_is_called_again() {
    for kind in LEGACY {
        let mut scene = Scene::new(Over::Http, Persona::modern(), |_| {}).await;
        let call = first(scene.door(kind).await);
        let began = tokio::time::Instant::now();
        for n in 0..4 {
            let asked = scene.desk.asked("tools/call").await;
            assert_eq!(asked.seen.param("inputResponses"), None);
            asked.result(&format!(r#"{{"resultType":"input_required","requestState":"{n}"}}"#)).await;
        }
        let last = scene.desk.asked("tools/call").await;
        assert_eq!(last.seen.param("requestState"), Some("\"3\""));
        assert!(began.elapsed().as_millis() >= 1500, "{:?}", began.elapsed());
        last.result(r#"{"resultType":"complete"}"#).await;
        let (_, response) = call.await.unwrap();
        assert_eq!(json::at(&response, &["result"]), Some("{}"));
    }
}

/// But not for ever.
#[tokio::test(start_paused = true)]
async fn a_modern_server_that_asks_for_ever_is_told_no() {
    for kind in LEGACY {
        let scene = Scene::new(Over::Http, Persona::modern(), |_| {}).await;
        scene.server.answer_all(scene.desk, |asked| async move {
            asked.result(r#"{"resultType":"input_required","requestState":"x"}"#).await;
        });
        let mut door = Door::open_with(kind, &scene.running, super::ALL).await;
        let mut call = door.begin(&door.body("1", "tools/call", super::TOOL, "")).await;
        tokio::time::sleep(std::time::Duration::from_secs(200)).await;
        let response = door.next(&mut call).await.unwrap();
        assert_eq!(super::refusal(&response), ("-31505", "input_refused"), "{response}");
        assert_eq!(scene.server.seen_of("tools/call").len(), 33);
    }
}

/// Prompts and resources may ask as tools do.
#[tokio::test(start_paused = true)]
async fn prompts_and_resources_ask_as_tools_do() {
    for (method, members) in [("prompts/get", r#""name":"p""#), ("resources/read", r#""uri":"a://b""#)] {
        for kind in MODERN {
            let mut scene = Scene::legacy(Asks::OnItsStream).await;
            let mut door = scene.door(kind).await;
            let body = door.body("1", method, members, "");
            let call = tokio::spawn(async move { (door.response(&body).await, door) });
            let mut stream = scene.desk.asked(method).await.stream().await;
            stream.message(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
            let (response, mut door) = call.await.unwrap();
            let key = &asked_of(&response).unwrap()[0].0;
            let members = retry(members, &response, &format!(r#""{key}":{{"roots":[]}}"#));
            let body = door.body("2", method, &members, "");
            let call = tokio::spawn(async move { door.response(&body).await });
            assert_eq!(json::at(scene.answer().await.text(), &["result"]), Some(r#"{"roots":[]}"#));
            stream.result(r#"{"messages":[],"contents":[]}"#).await;
            assert!(call.await.unwrap().contains("complete"), "{method} {kind:?}");
            assert_eq!(scene.server.seen_of(method).len(), 1);
        }
    }
}

/// The same where several servers are behind one route, and names are theirs only with a prefix.
#[tokio::test(start_paused = true)]
async fn a_call_is_resumed_behind_a_prefix_too() {
    for kind in MODERN {
        let mut scene = Scene::legacy_with(Asks::OnItsStream, |stand| {
            let reach = stand.upstream("up").reach.clone();
            stand.put(base::plan::UpstreamPlan::new("other", reach));
        })
        .await;
        let members = r#""name":"up__t""#;
        let call = again(scene.door(kind).await, members.to_owned());
        let mut serving = scene.call(Asks::OnItsStream).await;
        assert_eq!(serving.seen.param("name"), Some("\"t\""));
        serving.ask("1", ROOTS).await;
        let (door, response) = call.await.unwrap();
        let call = again(door, retry(members, &response, &format!(r#""input-1":{}"#, ROOTS.2)));
        scene.answer().await;
        serving.end(DONE).await;
        assert!(call.await.unwrap().1.contains("complete"));
        assert_eq!(scene.calls(), 1);
    }
}
