//! Whose question it is, where a server does not say; and which clients share a session or a process with a server.

use testkit::json;
use testkit::server::Persona;

use super::{ALL, Asks, FORM, LEGACY, ROOTS, Scene, TOOL, again, asked_of, carry, first};
use crate::doors::{Door, Kind};
use crate::stand::Over;

/// Where a request says of itself to which call it belongs, which is only on that call's stream.
const UNSAID: [Asks; 3] = [Asks::OnTheSessions, Asks::OnTheSessionsOnly, Asks::InLines];

/// To guess could show one client's question to another.
#[tokio::test(start_paused = true)]
async fn a_question_that_could_be_two_clients_is_nobodys() {
    for asks in UNSAID {
        for kinds in [[Kind::ModernHttp; 2], [Kind::ModernHttp, Kind::LegacyHttp], [Kind::LegacyHttp; 2]] {
            let mut scene = Scene::legacy(asks).await;
            let one = carry(scene.door(kinds[0]).await);
            let mut first = scene.call(asks).await;
            let two = carry(scene.door(kinds[1]).await);
            let other = scene.desk.asked("tools/call").await;
            first.ask("1", FORM).await;
            let refused = scene.answer().await;
            assert_eq!(refused.id(), Some("1"));
            assert_eq!(json::at(refused.text(), &["error", "code"]), Some("-32602"), "{}", refused.text());
            // The calls themselves go on; alone, it can be meant by nothing else.
            other.result("{}").await;
            assert!(two.await.unwrap().1.asked.is_empty());
            first.ask("2", ROOTS).await;
            assert_eq!(json::at(scene.answer().await.text(), &["result"]), Some(ROOTS.2));
            first.end("{}").await;
            assert_eq!(one.await.unwrap().1.methods(), ["roots/list"], "{asks:?} {kinds:?}");
        }
    }
}

/// On a call's own stream there is nothing to guess.
#[tokio::test(start_paused = true)]
async fn on_its_own_stream_a_question_is_its_calls() {
    let asks = Asks::OnItsStream;
    let mut scene = Scene::legacy(asks).await;
    let mut calls = Vec::new();
    for kind in [Kind::ModernHttp, Kind::LegacyHttp, Kind::ModernStdio] {
        let call = carry(scene.door(kind).await);
        calls.push((call, scene.call(asks).await));
    }
    for (n, (_, serving)) in calls.iter_mut().enumerate() {
        serving.ask("7", if n == 1 { FORM } else { ROOTS }).await;
        scene.answer().await;
    }
    for (n, (call, serving)) in calls.into_iter().enumerate() {
        serving.end(&format!(r#"{{"n":{n}}}"#)).await;
        let (_, heard) = call.await.unwrap();
        assert_eq!(heard.methods(), [if n == 1 { FORM.0 } else { ROOTS.0 }]);
        assert_eq!(json::at(&heard.response, &["result", "n"]), Some(n.to_string().as_str()));
    }
}

/// Of several calls of one client the newest is the one that is asked: it is one and the same who answers.
#[tokio::test(start_paused = true)]
async fn of_one_clients_calls_the_newest_is_asked() {
    for asks in UNSAID {
        for kind in [Kind::LegacyHttp, Kind::LegacyStdio, Kind::ModernStdio] {
            let mut scene = Scene::legacy(asks).await;
            let mut door = scene.door(kind).await;
            let mut one = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
            let first = scene.call(asks).await;
            let mut two = door.begin(&door.body("2", "tools/call", TOOL, "")).await;
            let second = scene.desk.asked("tools/call").await;
            let mut first = first;
            first.ask("5", ROOTS).await;
            if kind.is_modern() {
                let response = door.next(&mut two).await.unwrap();
                assert_eq!(json::at(&response, &["id"]), Some("2"), "{response}");
                assert_eq!(asked_of(&response).unwrap().len(), 1);
                first.end("{}").await;
                assert!(door.next(&mut one).await.unwrap().contains("complete"));
                continue;
            }
            let question = door.next(&mut two).await.unwrap();
            assert_eq!(json::at(&question, &["method"]), Some("\"roots/list\""), "{question}");
            let id = json::at(&question, &["id"]).unwrap();
            door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, ROOTS.2)).await;
            assert_eq!(scene.answer().await.id(), Some("5"));
            first.end("{}").await;
            assert!(door.next(&mut one).await.unwrap().contains("result"));
            second.result("{}").await;
            assert!(door.next(&mut two).await.unwrap().contains("result"), "{asks:?} {kind:?}");
        }
    }
}

/// Calls in which nobody may be asked, as lists and completions, are not meant.
#[tokio::test(start_paused = true)]
async fn calls_in_which_nobody_is_asked_are_not_meant() {
    for asks in UNSAID {
        let mut scene = Scene::legacy(asks).await;
        let call = carry(scene.door(Kind::ModernHttp).await);
        let mut serving = scene.call(asks).await;
        let mut other = scene.door(Kind::ModernHttp).await;
        let members = r#""ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}"#;
        let body = other.body("1", "completion/complete", members, "");
        let completing = tokio::spawn(async move { other.response(&body).await });
        let completion = scene.desk.asked("completion/complete").await;
        serving.ask("1", ROOTS).await;
        assert_eq!(json::at(scene.answer().await.text(), &["result"]), Some(ROOTS.2));
        completion.result(r#"{"completion":{"values":[]}}"#).await;
        completing.await.unwrap();
        serving.end("{}").await;
        assert_eq!(call.await.unwrap().1.methods(), ["roots/list"], "{asks:?}");
    }
}

const SETS: [&str; 4] = [
    r#"{"elicitation":{}}"#,
    r#"{"elicitation":{"form":{}}}"#,
    r#"{"elicitation":{},"sampling":{}}"#,
    r#"{"roots":{},"sampling":{"tools":{}}}"#,
];

async fn one_call(scene: &mut Scene, kind: Kind, capabilities: &'static str) -> testkit::server::Seen {
    let call = first(Door::open_with(kind, &scene.running, capabilities).await);
    let asked = scene.desk.asked("tools/call").await;
    let seen = asked.seen.clone();
    asked.result("{}").await;
    call.await.unwrap();
    seen
}

/// A legacy server is told once what its client can be asked: who can be asked the same shares its session.
#[tokio::test(start_paused = true)]
async fn clients_with_the_same_capabilities_share_a_session() {
    // Of processes there are fewer, as long as their server asks nothing: `copies`.
    for asks in [Asks::OnItsStream] {
        let mut scene = Scene::legacy(asks).await;
        let mut seen = Vec::new();
        for set in SETS {
            for kind in Kind::ALL {
                seen.push(one_call(&mut scene, kind, set).await);
            }
        }
        let partner = |seen: &testkit::server::Seen| match asks {
            Asks::InLines => seen.connection.to_string(),
            _ => seen.header("mcp-session-id").unwrap().to_owned(),
        };
        let partners: Vec<_> = seen.iter().map(partner).collect();
        for (set, group) in partners.chunks(4).enumerate() {
            assert!(group.iter().all(|one| *one == group[0]), "{asks:?} {partners:?}");
            assert!(!partners[..4 * set].contains(&group[0]), "{asks:?} {partners:?}");
        }
        let opened: Vec<_> = scene.server.seen_of("initialize").iter().map(declared).collect();
        for set in SETS {
            assert_eq!(opened.iter().filter(|one| *one == set).count(), 1, "{asks:?} {opened:?}");
        }
    }
}

fn declared(seen: &testkit::server::Seen) -> String {
    seen.param("capabilities").unwrap().to_owned()
}

/// What is no business of the server's makes no difference: not how it is written, and not what is not asked.
#[tokio::test(start_paused = true)]
async fn capabilities_that_mean_the_same_are_the_same() {
    let mut scene = Scene::legacy(Asks::OnItsStream).await;
    for set in [
        r#"{"roots":{"listChanged":false},"elicitation":{},"x":{}}"#,
        r#"{"elicitation":{},"roots":{}}"#,
        r#"{"elicitation":{},"extensions":{"a/b":{}},"roots":{},"experimental":{"y":{}}}"#,
    ] {
        one_call(&mut scene, Kind::ModernHttp, set).await;
    }
    let opened: Vec<_> = scene.server.seen_of("initialize").iter().map(declared).collect();
    let told: Vec<_> = opened.iter().filter(|set| *set != "{}").collect();
    assert_eq!(told, [r#"{"elicitation":{},"roots":{}}"#]);
}

/// A modern server hears with each call what its client can be asked.
#[tokio::test(start_paused = true)]
async fn a_modern_process_is_one_whatever_is_declared() {
    let mut scene = Scene::new(Over::Stdio, Persona::modern(), |_| {}).await;
    for set in SETS {
        for kind in Kind::ALL {
            let seen = one_call(&mut scene, kind, set).await;
            let meta =
                json::at(seen.text(), &["params", "_meta", "io.modelcontextprotocol/clientCapabilities"]);
            assert_eq!(meta, Some(set), "{kind:?}");
        }
    }
    // Another one was asked for a session, once, and refused.
    assert_eq!((scene.spawn.live(), scene.spawn.started()), (1, 2));
    assert_eq!(scene.server.seen_of("initialize").len(), 1);
}

/// Clients choose their capabilities, and each set costs a session or a process: what is not known here makes no set.
#[tokio::test(start_paused = true)]
async fn there_are_only_so_many_sets_of_capabilities() {
    for asks in [Asks::OnItsStream, Asks::InLines] {
        let mut scene = Scene::legacy(asks).await;
        for n in 0..40 {
            let set = format!(r#"{{"elicitation":{{ "form":{{"y":{n}}},"x{n}":{{}}}}}}"#);
            one_call(&mut scene, Kind::ModernHttp, Box::leak(set.into_boxed_str())).await;
        }
        let opened: std::collections::BTreeSet<_> =
            scene.server.seen_of("initialize").iter().map(declared).collect();
        assert!(
            opened.contains(r#"{"elicitation":{"form":{}}}"#) && opened.len() <= 2,
            "{asks:?}: {opened:?}"
        );
        let call = carry(
            Door::open_with(Kind::LegacyHttp, &scene.running, r#"{"elicitation":{"form":{},"x1":{}}}"#).await,
        );
        let mut serving = scene.call(asks).await;
        serving.ask("2", FORM).await;
        scene.answer().await;
        serving.end("{}").await;
        assert_eq!(call.await.unwrap().1.methods(), [FORM.0], "{asks:?}");
    }
}

/// Each client has its own, where that is configured, and takes it along when it ends.
#[tokio::test(start_paused = true)]
async fn a_session_for_each_client_is_for_each_set_of_capabilities_too() {
    let mut scene = Scene::legacy_with(Asks::OnItsStream, |stand| {
        stand.upstream("up").sessions = base::plan::SessionRule::PerClient;
    })
    .await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        for kind in LEGACY {
            let seen = one_call(&mut scene, kind, ALL).await;
            sessions.push(seen.header("mcp-session-id").unwrap().to_owned());
        }
    }
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 4);
    let call = again(scene.door(Kind::LegacyHttp).await, TOOL.to_owned());
    let asked = scene.desk.asked("tools/call").await;
    let session = asked.seen.header("mcp-session-id").unwrap().to_owned();
    asked.result("{}").await;
    call.await.unwrap().0.end().await;
    let ended = scene.server.saw("DELETE", 1).await;
    assert_eq!(ended[0].header("mcp-session-id"), Some(session.as_str()));
}
