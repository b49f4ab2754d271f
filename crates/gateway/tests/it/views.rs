//! What a principal may not use it does not see: not in lists, not by name, and not by what it hears of. The product has no such
//! gate yet; this one is told what to deny.

use std::sync::Arc;

use auth::testing::Denials;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

const ABLE: &str = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true}}"#;

/// One of each kind that is denied in these tests, and one that is not.
fn persona() -> Persona {
    let entries = |member: &str, before: &str| {
        format!(r#"[{{"{member}":"{before}x","name":"x"}},{{"{member}":"{before}y","name":"y"}}]"#)
    };
    let prompts = entries("title", "");
    Persona::modern()
        .able(ABLE)
        .tools(&["x", "y"])
        .listing("prompts/list", &prompts)
        .listing("resources/list", &entries("uri", "t://"))
        .listing("resources/templates/list", &entries("uriTemplate", "t://{p}"))
        .fresh(60_000, "public")
}

/// A gateway in front of servers of these names, whose clients are denied something.
async fn behind(
    denials: &Denials,
    names: &[&str],
    change: impl FnOnce(&mut Stand),
) -> (Running, Vec<ScriptedServer>) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.denials = Some(denials.clone());
    let mut servers = Vec::new();
    for name in names {
        let (server, desk): (_, Desk) = stand.add(name, Over::Http, persona()).await;
        server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
        servers.push(server);
    }
    change(&mut stand);
    let running = stand.start().await;
    running.gateway.settled().await;
    for server in &servers {
        server.saw("tools/list", 1).await;
        server.listened_to(1).await;
    }
    testkit::idle().await;
    (running, servers)
}

/// The names in a list, of all its pages.
async fn names(running: &Running, method: &str, entries: &str, member: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let text = ask::modern(&running.client, method, &cursor).await.response().await;
        let list = json::at(&text, &["result", entries]).unwrap_or_else(|| panic!("{text}"));
        let all = json::elements(list);
        names.extend(all.iter().map(|entry| json::unescaped(json::at(entry, &[member]).unwrap())));
        match json::at(&text, &["result", "nextCursor"]) {
            Some(next) => cursor = format!(r#""cursor":{next}"#),
            None => return names,
        }
    }
}

const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    ("resources/list", "resources", "uri"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate"),
];

/// What is kept for one view is not given to another, however fresh it is.
#[tokio::test(start_paused = true)]
async fn a_list_holds_only_what_its_reader_may_use() {
    for (servers, page_size) in [(&["a"][..], None), (&["a", "b"], None), (&["a", "b"], Some(1))] {
        let denials = Denials::default();
        let (running, servers) =
            behind(&denials, servers, |stand| stand.plan.routes[0].page_size = page_size).await;
        let mut before = Vec::new();
        for (method, entries, member) in LISTS {
            before.push(names(&running, method, entries, member).await);
        }
        for denied in ["x", "t://x", "t://{p}x"] {
            denials.deny("a", Some(denied));
        }
        for ((method, entries, member), before) in LISTS.into_iter().zip(before) {
            assert_eq!(before.len(), 2 * servers.len(), "{before:?}");
            let now = names(&running, method, entries, member).await;
            assert_eq!(now, [&before[1..]].concat(), "{method} {page_size:?}");
            let asked: usize = servers.iter().map(|server| server.seen_of(method).len()).sum();
            assert_eq!(asked, servers.len(), "the servers' own pages are for all views");
        }
    }
}

/// Of a server that may not be asked for its list nothing is said, and it is not asked.
#[tokio::test(start_paused = true)]
async fn a_list_says_nothing_of_a_server_that_is_denied() {
    let denials = Denials::default();
    denials.deny("a", None);
    let (running, servers) = behind(&denials, &["a", "b"], |_| {}).await;
    let text = ask::modern(&running.client, "prompts/list", "").await.response().await;
    assert!(text.contains("b__x") && !text.contains("a__") && !text.contains("degraded"), "{text}");
    assert_eq!(servers[0].seen_of("prompts/list").len(), 0);
}

/// Byte for byte, but for the name that the client itself gave.
#[tokio::test(start_paused = true)]
async fn a_denied_name_answers_exactly_like_an_unknown_one() {
    let denials = Denials::default();
    for name in ["x", "t://x"] {
        denials.deny("a", Some(name));
    }
    let (running, servers) = behind(&denials, &["a", "b"], |_| {}).await;
    let uris = names(&running, "resources/list", "resources", "uri").await;
    let theirs = uris.iter().find(|uri| uri.contains('b') && uri.ends_with('x')).unwrap();
    let (mine, unknown) = (theirs.replacen('b', "a", 1), theirs.replacen('b', "c", 1));
    for (method, member, denied, unknown, open) in [
        ("tools/call", "name", "a__x", "c__x", "a__y"),
        ("prompts/get", "name", "a__x", "c__x", "a__y"),
        ("resources/read", "uri", &*mine, &*unknown, &**theirs),
    ] {
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &running).await;
            let mut answer = async |name: &str| {
                let body = door.body("1", method, &format!(r#""{member}":"{name}""#), "");
                door.response(&body).await
            };
            let told = answer(denied).await;
            assert_eq!(told.replace(denied, unknown), answer(unknown).await, "{kind:?} {method}");
            assert!(json::at(&told, &["error"]).is_some(), "{told}");
            assert!(json::at(&answer(open).await, &["result"]).is_some(), "{kind:?} {method}");
        }
        let seen = servers[0].seen_of(method);
        assert!(seen.iter().all(|seen| !seen.text().contains(r#"x""#)), "nothing was sent");
    }
}

/// A name that two servers have, of which one is denied, is the other one's.
#[tokio::test(start_paused = true)]
async fn what_is_denied_makes_no_name_ambiguous() {
    let denials = Denials::default();
    denials.deny("a", Some("x"));
    let (running, servers) = behind(&denials, &["a", "b"], |stand| {
        for name in ["a", "b"] {
            stand.upstream(name).prefix = String::new();
        }
    })
    .await;
    assert_eq!(names(&running, "tools/list", "tools", "name").await, ["x"]);
    let text = ask::modern(&running.client, "tools/call", r#""name":"x""#).await.response().await;
    assert!(json::at(&text, &["result"]).is_some(), "{text}");
    assert_eq!((servers[0].seen_of("tools/call").len(), servers[1].seen_of("tools/call").len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_hears_of_no_resource_that_is_denied() {
    let denials = Denials::default();
    for denied in ["t://x", "t://d/x"] {
        denials.deny("a", Some(denied));
    }
    let (running, servers) = behind(&denials, &["a"], |_| {}).await;
    let wish = r#""notifications":{"resourceSubscriptions":["t://x","t://d/"]}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", wish).await;
    let acknowledged = stream.event().await.unwrap();
    let honoured = json::at(&acknowledged, &["params", "notifications", "resourceSubscriptions"]);
    assert_eq!(honoured, Some(r#"["t://d/"]"#), "{acknowledged}");
    let asked = servers[0].seen_of("subscriptions/listen");
    assert!(asked.iter().all(|seen| !seen.text().contains("t://x")), "its server is not asked for it");
    for uri in ["t://x", "t://d/x", "t://d/y"] {
        servers[0].tell("notifications/resources/updated", &format!(r#""uri":"{uri}""#)).await;
    }
    assert!(stream.event().await.unwrap().contains("t://d/y"), "the first that it hears of");
}

/// Changes of a list are told together, so a client may hear of a server's because of another's: it hears of no other.
#[tokio::test(start_paused = true)]
async fn a_subscription_hears_of_no_list_of_a_server_that_is_denied() {
    let denials = Denials::default();
    denials.deny("a", None);
    let (running, servers) = behind(&denials, &["a", "b"], |_| {}).await;
    let wish = r#""notifications":{"toolsListChanged":true,"promptsListChanged":true}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", wish).await;
    assert!(stream.event().await.unwrap().contains("acknowledged"));
    const TOOLS: &str = "notifications/tools/list_changed";
    const PROMPTS: &str = "notifications/prompts/list_changed";
    servers[0].tell(TOOLS, "").await;
    testkit::idle().await;
    servers[1].tell(PROMPTS, "").await;
    assert!(stream.event().await.unwrap().contains(PROMPTS), "nothing of the denied one");
    // What comes soon after is told later, together, and is told to those who may hear of any of it.
    for (server, method) in [(1, PROMPTS), (0, PROMPTS), (1, TOOLS)] {
        servers[server].tell(method, "").await;
        testkit::idle().await;
    }
    let mut heard = vec![stream.event().await.unwrap(), stream.event().await.unwrap()];
    heard.sort();
    assert!(heard[0].contains(PROMPTS) && heard[1].contains(TOOLS), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_cannot_watch_what_is_denied() {
    let denials = Denials::default();
    denials.deny("a", Some("t://x"));
    let (running, servers) = behind(&denials, &["a", "b"], |_| {}).await;
    let uris = names(&running, "resources/list", "resources", "uri").await;
    let of = |server: char, end: char| {
        uris.iter().find(|uri| uri.contains(server) && uri.ends_with(end)).unwrap().clone()
    };
    let (open, other) = (of('a', 'y'), of('b', 'x'));
    let (denied, unknown) = (other.replacen('b', "a", 1), other.replacen('b', "c", 1));
    for kind in [Kind::LegacyHttp, Kind::LegacyStdio] {
        let mut door = Door::open(kind, &running).await;
        let mut watch = async |uri: &str| {
            let body = door.body("1", "resources/subscribe", &format!(r#""uri":"{uri}""#), "");
            door.response(&body).await
        };
        let told = watch(&denied).await;
        assert!(json::at(&told, &["error"]).is_some(), "{told}");
        assert_eq!(told.replace(&denied, &unknown), watch(&unknown).await);
        let watched = watch(&open).await;
        assert_eq!(json::at(&watched, &["result"]), Some("{}"), "{watched}");
    }
    let asked = servers[0].seen_of("subscriptions/listen");
    assert!(asked.iter().all(|seen| !seen.text().contains("t://x")), "its server is not asked for it");
}
