//! Lists that are given again: the same bytes to all who may have the same, and never after they are no longer true.

use std::sync::Arc;
use std::time::Duration;

use base::plan::SessionRule;
use testkit::http::Client;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

const CHANGING: &str = r#"{"tools":{"listChanged":true}}"#;
const LONG: &str = "a description that makes an entry so long that it is worth to be shared between answers";

fn many(of: &str) -> String {
    let tool = |n: usize| {
        format!(r#"{{"name":"{of}{n}","description":"{LONG}","inputSchema":{{"type":"object"}}}}"#)
    };
    format!("[{}]", (0..30).map(tool).collect::<Vec<_>>().join(","))
}

/// A gateway with these servers, after each was asked for its tools once.
async fn with(personas: Vec<Persona>, page_size: Option<usize>) -> (Running, Vec<ScriptedServer>) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.plan.routes[0].page_size = page_size;
    let mut servers = Vec::new();
    for (persona, name) in personas.into_iter().zip(["a", "b", "c"]) {
        let (server, _desk) = stand.add(name, Over::Http, persona).await;
        servers.push(server);
    }
    let running = stand.start().await;
    running.gateway.settled().await;
    for server in &servers {
        server.saw("tools/list", 1).await;
    }
    testkit::idle().await;
    (running, servers)
}

fn asked(servers: &[ScriptedServer]) -> Vec<usize> {
    servers.iter().map(|server| server.seen_of("tools/list").len()).collect()
}

async fn list(client: &Client, id: &str, params: &str) -> String {
    ask::send(client, &ask::body(id, "tools/list", params)).await.response().await
}

fn left(text: &str) -> u64 {
    json::at(text, &["result", "ttlMs"]).unwrap().parse().unwrap()
}

/// The answer without what differs from one time to the next.
fn rest(text: &str) -> String {
    json::masked(text, &[&["id"], &["result", "ttlMs"]])
}

#[tokio::test(start_paused = true)]
async fn a_list_is_given_again_with_the_clients_own_id_and_the_time_that_is_left() {
    let persona = |of| Persona::modern().listing("tools/list", &many(of)).fresh(60_000, "public");
    for personas in [vec![persona("x")], vec![persona("x"), persona("y")]] {
        let several = personas.len() > 1;
        let (running, servers) = with(personas, None).await;
        let before = asked(&servers);
        let first = list(&running.client, "1", "").await;
        assert!(first.contains(if several { "\"b__y29\"" } else { "\"x29\"" }), "{first}");
        tokio::time::advance(Duration::from_secs(20)).await;
        let second = list(&running.client, "\"a\\u0062c\"", "").await;
        assert_eq!(json::at(&second, &["id"]), Some("\"a\\u0062c\""));
        assert_eq!(rest(&first), rest(&second));
        assert!(left(&second) <= left(&first) - 20_000 && left(&second) > 39_000, "{second:.200}");
        assert_eq!(asked(&servers), before);
        tokio::time::advance(Duration::from_secs(41)).await;
        let third = list(&running.client, "1", "").await;
        assert!(left(&third) > 59_000);
        let once_more: Vec<_> = before.iter().map(|times| times + 1).collect();
        assert_eq!(asked(&servers), once_more);
    }
}

/// The shortest time counts, and only those are asked again whose time is over.
#[tokio::test(start_paused = true)]
async fn a_list_of_several_is_fresh_as_long_as_all_of_it_is() {
    let (short, long) = (Persona::modern().tools(&["t"]), Persona::modern().tools(&["t"]));
    let personas = vec![short.fresh(10_000, "public"), long.fresh(60_000, "private")];
    let (running, servers) = with(personas, None).await;
    let before = asked(&servers);
    let text = list(&running.client, "1", "").await;
    assert!(left(&text) <= 10_000 && text.contains(r#""cacheScope":"private""#), "{text}");
    tokio::time::advance(Duration::from_secs(11)).await;
    list(&running.client, "1", "").await;
    assert_eq!(asked(&servers), [before[0] + 1, before[1]]);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_by_the_next_who_asks() {
    for several in [false, true] {
        let persona = || Persona::modern().able(CHANGING).tools(&["before"]).fresh(600_000, "public");
        let other = several.then(|| Persona::modern().tools(&["other"]).fresh(600_000, "public"));
        let (running, servers) = with([persona()].into_iter().chain(other).collect(), None).await;
        servers[0].listened_to(1).await;
        for (name, next) in [("before", "after"), ("after", "later")] {
            for _ in 0..2 {
                let text = list(&running.client, "1", "").await;
                assert!(text.contains(&format!("{name}\"")) && !text.contains(next), "{text}");
            }
            let changed = Persona::modern().tools(&[next]).lists;
            servers[0].persona().lists = changed;
            servers[0].tell("notifications/tools/list_changed", "").await;
            testkit::idle().await;
        }
        let text = list(&running.client, "1", "").await;
        assert!(text.contains("later\"") && text.contains("other") == several, "{text}");
    }
}

/// A server's list may depend on what the client can do, and each gets its own, however they take turns.
#[tokio::test(start_paused = true)]
async fn clients_that_declare_something_else_do_not_get_each_others() {
    for (scope, several) in [("public", false), ("private", false), ("public", true), ("private", true)] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, desk) = stand.add("a", Over::Http, Persona::modern().scripted(&["tools/list"])).await;
        server.answer_all(desk, move |asked| async move {
            let name = if asked.seen.text().contains("sampling") { "sampled" } else { "plain" };
            let tools = format!(r#"[{{"name":"{name}","inputSchema":{{}}}}]"#);
            asked.result(&format!(r#"{{"tools":{tools},"ttlMs":60000,"cacheScope":"{scope}"}}"#)).await;
        });
        if several {
            drop(stand.add("b", Over::Http, Persona::modern().fresh(60_000, "public")).await);
        }
        let running = stand.start().await;
        running.gateway.settled().await;
        let plain = ask::body("1", "tools/list", "");
        let capabilities = [
            r#"{"sampling":{}}"#,
            r#"{"sampling":{},"elicitation":{"form":{},"url":{}},"roots":{"listChanged":true}}"#,
        ];
        let others = capabilities.map(|capabilities| {
            plain.replace(r#"clientCapabilities":{}"#, &format!(r#"clientCapabilities":{capabilities}"#))
        });
        for _ in 0..2 {
            let text = ask::send(&running.client, &plain).await.response().await;
            assert!(text.contains("plain\"") && !text.contains("sampled"), "{text}");
            for other in &others {
                let text = ask::send(&running.client, other).await.response().await;
                assert!(text.contains("sampled\"") && !text.contains("plain"), "{text}");
            }
        }
        assert!(server.seen_of("tools/list").len() <= 3);
    }
}

/// Where one server of several has a session with each client, their lists are their own.
#[tokio::test(start_paused = true)]
async fn clients_with_sessions_of_their_own_do_not_get_each_others() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("a", Over::Http, Persona::legacy().scripted(&["prompts/list"])).await;
    stand.upstream("a").sessions = SessionRule::PerClient;
    stand.upstream("a").list_ttl = Some(Duration::from_secs(60));
    drop(stand.add("b", Over::Http, Persona::modern().fresh(60_000, "public")).await);
    server.answer_all(desk, |asked| async move {
        let session = asked.seen.header("mcp-session-id").unwrap().to_owned();
        asked.result(&format!(r#"{{"prompts":[{{"name":"of-{session}"}}]}}"#)).await;
    });
    let running = stand.start().await;
    running.gateway.settled().await;
    let (mut one, mut two) =
        (Door::open(Kind::LegacyHttp, &running).await, Door::open(Kind::LegacyHttp, &running).await);
    let body = one.body("1", "prompts/list", r#""x":1"#, "");
    let (a, b) = (one.response(&body).await, two.response(&body).await);
    assert!(a.contains("a__of-") && b.contains("a__of-"), "{a} {b}");
    assert_ne!(a, b);
    let before = server.seen_of("prompts/list").len();
    assert_eq!((a, b), (one.response(&body).await, two.response(&body).await));
    assert_eq!(server.seen_of("prompts/list").len(), before);
}

/// Each revision reads a list in its own way, whoever asked before it.
#[tokio::test(start_paused = true)]
async fn each_revision_gets_its_own() {
    let tools = r#"[{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}]"#;
    let persona = || Persona::modern().listing("tools/list", tools).fresh(60_000, "public");
    for personas in [vec![persona()], vec![persona(), Persona::modern().fresh(60_000, "public")]] {
        let (running, servers) = with(personas, None).await;
        let mut doors = vec![Door::open(Kind::ModernHttp, &running).await];
        doors.push(Door::open(Kind::ModernStdio, &running).await);
        for revision in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
            doors.push(Door::open_at(Kind::LegacyHttp, &running, "{}", revision).await);
            doors.push(Door::open_at(Kind::LegacyStdio, &running, "{}", revision).await);
        }
        let before = asked(&servers);
        let mut rounds = Vec::new();
        for id in ["7", "8"] {
            let mut round = Vec::new();
            for door in &mut doors {
                let body = door.body(id, "tools/list", r#""x":1"#, "");
                let text = door.response(&body).await;
                assert_eq!(json::at(&text, &["id"]), Some(id));
                let modern = door.kind.is_modern();
                for member in ["ttlMs", "cacheScope", "resultType"] {
                    assert_eq!(json::at(&text, &["result", member]).is_some(), modern, "{text}");
                }
                round.push(rest(&text));
            }
            rounds.push(round);
        }
        assert_eq!(rounds[0], rounds[1]);
        let [modern, _, new, _, newer, _, old, _, first, _] = rounds[0].as_slice() else { panic!() };
        assert!(modern.contains(r#""outputSchema":{"type":"array"}"#), "{modern}");
        for object in [new, newer] {
            assert!(object.contains(r#""result":{"type":"array"}"#), "{object}");
        }
        for without in [old, first] {
            assert!(!without.contains("outputSchema"), "{without}");
        }
        for pair in rounds[0].chunks(2) {
            assert_eq!(pair[0], pair[1]);
        }
        assert_eq!(asked(&servers), before);
    }
}

/// All pages of a list, and their names.
async fn walk(client: &Client) -> (Vec<String>, Vec<String>) {
    let (mut pages, mut names, mut params) = (Vec::new(), Vec::new(), String::new());
    loop {
        let text = list(client, "1", &params).await;
        let tools = json::at(&text, &["result", "tools"]).unwrap_or_else(|| panic!("{text}"));
        let name = |tool: &&str| json::at(tool, &["name"]).map(json::unescaped).unwrap();
        names.extend(json::elements(tools).iter().map(name));
        pages.push(rest(&text));
        let Some(next) = json::at(&text, &["result", "nextCursor"]) else { return (pages, names) };
        params = format!(r#""cursor":{next}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn each_page_is_given_again_until_the_list_changes() {
    let persona =
        |of| Persona::modern().able(CHANGING).listing("tools/list", &many(of)).fresh(60_000, "public");
    let (running, servers) = with(vec![persona("x"), persona("y")], Some(7)).await;
    servers[0].listened_to(1).await;
    let (pages, names) = walk(&running.client).await;
    let all = |of: &str| (0..30).map(|n| format!("{of}{n}")).collect::<Vec<_>>();
    assert_eq!((pages.len(), &names), (9, &[all("a__x"), all("b__y")].concat()));
    let before = asked(&servers);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(walk(&running.client).await, (pages.clone(), names));
    assert_eq!(asked(&servers), before);
    let next = json::at(&pages[0], &["result", "nextCursor"]).unwrap().to_owned();
    let unknown = list(&running.client, "1", r#""cursor":"of-nobody""#).await;
    assert_eq!(json::at(&unknown, &["error", "code"]), Some("-32602"), "{unknown}");
    servers[0].persona().lists = Persona::modern().tools(&["z"]).lists;
    servers[0].tell("notifications/tools/list_changed", "").await;
    testkit::idle().await;
    let stale = list(&running.client, "1", &format!(r#""cursor":{next}"#)).await;
    assert_eq!(json::at(&stale, &["error", "code"]), Some("-32602"), "{stale}");
    let (_, names) = walk(&running.client).await;
    assert_eq!(names, [vec!["a__z".to_owned()], all("b__y")].concat());
}

#[tokio::test(start_paused = true)]
async fn each_page_of_one_server_is_kept_by_its_cursor() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("a", Over::Http, Persona::modern().scripted(&["tools/list"])).await;
    server.answer_all(desk, |asked| async move {
        let n = asked.seen.param("cursor").map_or("0", json::plain).parse::<u64>().unwrap();
        let next = if n < 3 { format!(r#","nextCursor":"{}""#, n + 1) } else { String::new() };
        let tools = format!(r#"[{{"name":"t{n}","inputSchema":{{}}}}]"#);
        asked.result(&format!(r#"{{"tools":{tools}{next},"ttlMs":60000,"cacheScope":"public"}}"#)).await;
    });
    let running = stand.start().await;
    running.gateway.settled().await;
    let first = walk(&running.client).await;
    let before = server.seen_of("tools/list").len();
    assert_eq!(first.1, ["t0", "t1", "t2", "t3"]);
    assert_eq!(walk(&running.client).await, first);
    assert_eq!(server.seen_of("tools/list").len(), before);
}

/// What is missing may be back at any moment: such a list is given once.
#[tokio::test(start_paused = true)]
async fn a_list_that_lacks_a_server_is_not_given_again() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_a, mut desk) = stand.add("a", Over::Http, Persona::modern().scripted(&["prompts/list"])).await;
    let fine = Persona::modern().listing("prompts/list", r#"[{"name":"p"}]"#).fresh(60_000, "public");
    let (b, _desk) = stand.add("b", Over::Http, fine).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    let ask = || {
        let client = running.client.clone();
        tokio::spawn(async move { ask::modern(&client, "prompts/list", "").await.response().await })
    };
    for _ in 0..2 {
        let answer = ask();
        desk.asked("prompts/list").await.error(-32603, "not now", None).await;
        let text = answer.await.unwrap();
        assert!(text.contains("dev.portolan/degraded") && text.contains("b__p"), "{text}");
        assert_eq!(left(&text), 0);
    }
    let answer = ask();
    let whole = r#"{"prompts":[{"name":"q"}],"ttlMs":60000,"cacheScope":"public"}"#;
    desk.asked("prompts/list").await.result(whole).await;
    let text = answer.await.unwrap();
    assert!(text.contains("a__q") && text.contains("b__p") && !text.contains("degraded"), "{text}");
    assert_eq!(rest(&ask().await.unwrap()), rest(&text));
    assert_eq!(b.seen_of("prompts/list").len(), 1);
}
