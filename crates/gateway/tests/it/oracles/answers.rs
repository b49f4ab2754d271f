//! What servers answer and say.

use testkit::json;
use testkit::server::Persona;

use super::{before, code};
use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Stand};

const CHANGES: &str = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true}}"#;

#[tokio::test(start_paused = true)]
async fn e17_a_result_of_an_unknown_type_is_no_success() {
    for over in [Over::Http, Over::Stdio] {
        for kind in Kind::ALL {
            let (running, _server, mut desk) = before(over, Persona::modern()).await;
            let mut door = Door::open(kind, &running).await;
            let body = door.body("1", "tools/call", r#""name":"t""#, "");
            let calling = tokio::spawn(async move { door.response(&body).await });
            desk.asked("tools/call").await.result(r#"{"resultType":"later","content":[]}"#).await;
            let text = calling.await.unwrap();
            assert_eq!(code(&text), Some("-31502"), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn e19_a_change_ends_what_was_fresh() {
    for over in [Over::Http, Over::Stdio] {
        let persona = Persona::modern().able(CHANGES).tools(&["old"]).fresh(3_600_000, "public");
        let (running, server, _desk) = before(over, persona).await;
        server.listened_to(1).await;
        let listed = |expected: &'static str| {
            let client = running.client.clone();
            async move {
                let text = ask::modern(&client, "tools/list", "").await.response().await;
                assert!(text.contains(expected), "{text}");
            }
        };
        listed("\"old\"").await;
        let asked = server.seen_of("tools/list").len();
        listed("\"old\"").await;
        assert_eq!(server.seen_of("tools/list").len(), asked, "it was fresh");
        let new = server.persona().clone().tools(&["new"]);
        *server.persona() = new;
        server.tell("notifications/tools/list_changed", "").await;
        testkit::idle().await;
        listed("\"new\"").await;
    }
}

#[tokio::test(start_paused = true)]
async fn e20_an_empty_cursor_is_a_cursor() {
    let mut stand = Stand::new(std::sync::Arc::new(testkit::net::MemoryNetwork::default()));
    let (server, mut desk) = stand.add("up", Over::Http, Persona::modern().scripted(&["prompts/list"])).await;
    let (_other, _other_desk) = stand.add("other", Over::Http, Persona::modern()).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    let client = running.client.clone();
    let listing =
        tokio::spawn(async move { ask::modern(&client, "prompts/list", "").await.response().await });
    let page = |name: &str, next: &str| {
        format!(
            r#"{{"resultType":"complete","ttlMs":0,"cacheScope":"private","prompts":[{{"name":"{name}"}}]{next}}}"#
        )
    };
    let one = desk.asked("prompts/list").await;
    assert_eq!(one.seen.param("cursor"), None);
    one.result(&page("a", r#","nextCursor":"""#)).await;
    let two = desk.asked("prompts/list").await;
    assert_eq!(two.seen.param("cursor"), Some("\"\""));
    two.result(&page("b", "")).await;
    let text = listing.await.unwrap();
    assert!(text.contains("up__a") && text.contains("up__b"), "{text}");
    assert_eq!(server.seen_of("prompts/list").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn e21_a_stream_begins_with_its_acknowledgement_under_its_own_id() {
    let (running, ..) = before(Over::Http, Persona::modern().able(CHANGES)).await;
    for id in ["1", "\"1\"", "-7"] {
        let body = ask::body(id, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#);
        let first = ask::send(&running.client, &body).await.event().await.unwrap();
        let method = json::at(&first, &["method"]);
        assert_eq!(method, Some("\"notifications/subscriptions/acknowledged\""), "{first}");
        let named = json::at(&first, &["params", "_meta", "io.modelcontextprotocol/subscriptionId"]);
        assert_eq!(named, Some(id), "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn e22_what_was_not_asked_for_does_not_come() {
    let (running, server, _desk) = before(Over::Http, Persona::modern().able(CHANGES)).await;
    server.listened_to(1).await;
    let wanted = r#""notifications":{"promptsListChanged":true}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", wanted).await;
    stream.event().await.unwrap();
    server.tell("notifications/tools/list_changed", "").await;
    server.tell("notifications/prompts/list_changed", "").await;
    assert!(stream.event().await.unwrap().contains("prompts/list_changed"));
}

#[tokio::test(start_paused = true)]
async fn e25_without_a_level_there_are_no_log_messages() {
    for (over, persona) in [
        (Over::Http, Persona::modern()),
        (Over::Http, Persona::legacy()),
        (Over::Stdio, Persona::modern()),
        (Over::Stdio, Persona::legacy()),
    ] {
        let (running, _server, mut desk) = before(over, persona).await;
        for (level, expected) in [("", 1), (r#""io.modelcontextprotocol/logLevel":"warning""#, 2)] {
            let mut door = Door::open(Kind::ModernHttp, &running).await;
            let body = door.body("1", "tools/call", r#""name":"t""#, level);
            let calling = tokio::spawn(async move { door.ask(&body).await });
            let mut stream = desk.asked("tools/call").await.stream().await;
            stream.log("info").await;
            stream.log("error").await;
            stream.result("{}").await;
            assert_eq!(calling.await.unwrap().len(), expected, "{over:?} {level}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn e26_progress_that_does_not_increase_is_left_out_but_within_the_legacy_era() {
    const ALL: [&str; 6] = ["1", "3", "2", "3", "3.5", "-1"];
    for (over, persona) in [(Over::Http, Persona::modern()), (Over::Stdio, Persona::legacy())] {
        for kind in Kind::ALL {
            let (running, _server, mut desk) = before(over, persona.clone()).await;
            let is_legacy = !kind.is_modern() && over == Over::Stdio;
            let mut door = Door::open(kind, &running).await;
            let body = door.body("1", "tools/call", r#""name":"t""#, r#""progressToken":"p""#);
            let calling = tokio::spawn(async move { door.ask(&body).await });
            let mut stream = desk.asked("tools/call").await.stream().await;
            for progress in ALL {
                stream.progress(progress).await;
            }
            stream.result("{}").await;
            let came = calling.await.unwrap();
            let told: Vec<_> =
                came.iter().filter_map(|message| json::at(message, &["params", "progress"])).collect();
            let expected: &[&str] = if is_legacy { &ALL } else { &["1", "3", "3.5"] };
            assert_eq!(told, expected, "{over:?} {kind:?}");
        }
    }
}
