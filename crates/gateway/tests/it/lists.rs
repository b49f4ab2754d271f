//! Lists: fetched once, fresh as long as they say, and never shown to those for whom they are not.

use std::sync::Arc;
use std::time::Duration;

use testkit::http::Client;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

/// A gateway with one server, after it has read the tools for itself.
async fn with(persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    (running, server, desk)
}

async fn tools(client: &Client) -> String {
    ask::modern(client, "tools/list", "").await.response().await
}

/// A list request of a client with these capabilities.
fn of(capabilities: &str, method: &str) -> String {
    ask::body("1", method, "")
        .replace(r#"clientCapabilities":{}"#, &format!(r#"clientCapabilities":{capabilities}"#))
}

const CHANGING: &str = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true}}"#;

#[tokio::test(start_paused = true)]
async fn a_hundred_who_ask_at_once_cost_the_server_one_request() {
    let (running, server, mut desk) = with(Persona::modern().scripted(&["prompts/list"])).await;
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let client = running.client.clone();
            tokio::spawn(async move { ask::modern(&client, "prompts/list", "").await.response().await })
        })
        .collect();
    let asked = desk.asked("prompts/list").await;
    testkit::idle().await;
    asked
        .result(r#"{"resultType":"complete","prompts":[{"name":"p"}],"ttlMs":0,"cacheScope":"private"}"#)
        .await;
    for answer in asking {
        assert!(answer.await.unwrap().contains(r#"{"name":"p"}"#));
    }
    assert_eq!(server.seen_of("prompts/list").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_shared_with_those_who_ask_later() {
    let (running, server, mut desk) = with(Persona::modern().scripted(&["prompts/list"])).await;
    let client = running.client.clone();
    let first = tokio::spawn(async move { ask::modern(&client, "prompts/list", "").await.response().await });
    desk.asked("prompts/list").await.error(-32603, "not now", None).await;
    assert!(first.await.unwrap().contains("not now"));
    let client = running.client.clone();
    let second = tokio::spawn(async move { ask::modern(&client, "prompts/list", "").await.response().await });
    desk.asked("prompts/list").await.result(r#"{"prompts":[]}"#).await;
    assert!(second.await.unwrap().contains("\"prompts\":[]"));
    assert_eq!(server.seen_of("prompts/list").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_fresh_as_long_as_it_says_and_says_what_is_left() {
    let (running, server, _desk) = with(Persona::modern().fresh(60_000, "public")).await;
    tokio::time::advance(Duration::from_secs(20)).await;
    let text = tools(&running.client).await;
    let left: u64 = json::at(&text, &["result", "ttlMs"]).unwrap().parse().unwrap();
    assert!((39_000..=40_000).contains(&left), "{left}");
    assert_eq!(server.seen_of("tools/list").len(), 1);
    tokio::time::advance(Duration::from_secs(41)).await;
    tools(&running.client).await;
    assert_eq!(server.seen_of("tools/list").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_says_nothing_of_freshness_is_asked_for_each_time() {
    // But for what was read before anybody asked.
    let mut persona = Persona::modern();
    persona.list_members = String::new();
    let (running, server, _desk) = with(persona).await;
    let text = tools(&running.client).await;
    assert!(text.contains(r#""ttlMs":0,"cacheScope":"private""#), "{text}");
    for asked in 2..5 {
        tools(&running.client).await;
        assert_eq!(server.seen_of("tools/list").len(), asked);
    }
}

/// Servers that change what they list when a tool is called may say nothing of it.
#[tokio::test(start_paused = true)]
async fn what_was_listed_before_a_call_is_not_given_after_it() {
    for persona in [Persona::modern().fresh(0, "public"), Persona::legacy()] {
        let (running, server, mut desk) = with(persona.scripted(&["tools/call"])).await;
        let client = running.client.clone();
        let call = tokio::spawn(async move {
            ask::modern(&client, "tools/call", r#""name":"echo","arguments":{}"#).await.response().await
        });
        let asked = desk.asked("tools/call").await;
        let before = server.seen_of("tools/list").len();
        // In the middle of it, and when it is over.
        tools(&running.client).await;
        assert_eq!(server.seen_of("tools/list").len(), before + 1);
        asked.result(r#"{"resultType":"complete","content":[]}"#).await;
        call.await.unwrap();
        tools(&running.client).await;
        assert_eq!(server.seen_of("tools/list").len(), before + 2);
    }
}

/// A list on its way when a call ends may be what was before it.
#[tokio::test(start_paused = true)]
async fn who_lists_after_a_call_gets_no_list_that_was_asked_for_before() {
    let (running, _server, mut desk) =
        with(Persona::modern().fresh(0, "public").scripted(&["tools/call", "prompts/list"])).await;
    let list = |client: Client| {
        tokio::spawn(async move { ask::modern(&client, "prompts/list", "").await.response().await })
    };
    let first = list(running.client.clone());
    let old = desk.asked("prompts/list").await;
    let client = running.client.clone();
    let call = tokio::spawn(async move {
        ask::modern(&client, "tools/call", r#""name":"echo","arguments":{}"#).await.response().await
    });
    desk.asked("tools/call").await.result(r#"{"resultType":"complete","content":[]}"#).await;
    call.await.unwrap();
    let second = list(running.client.clone());
    testkit::idle().await;
    old.result(r#"{"resultType":"complete","prompts":[{"name":"old"}]}"#).await;
    assert!(first.await.unwrap().contains(r#""old""#));
    desk.asked("prompts/list").await.result(r#"{"resultType":"complete","prompts":[{"name":"new"}]}"#).await;
    assert!(second.await.unwrap().contains(r#""new""#));
}

#[tokio::test(start_paused = true)]
async fn clients_of_other_capabilities_do_not_share_lists() {
    for scope in ["private", "public"] {
        let (running, server, _desk) = with(Persona::modern().fresh(60_000, scope)).await;
        let other = of(r#"{"sampling":{}}"#, "tools/list");
        ask::send(&running.client, &other).await.response().await;
        ask::send(&running.client, &other).await.response().await;
        let seen = server.seen_of("tools/list");
        assert_eq!(seen.len(), 2, "{scope}");
        assert!(seen[1].text().contains(r#"clientCapabilities":{"sampling":{}}"#));
    }
}

/// Where each client has a session of its own with a legacy server, its lists are its own, too.
#[tokio::test(start_paused = true)]
async fn clients_with_sessions_of_their_own_do_not_share_lists() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = Persona::legacy().scripted(&["prompts/list"]);
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    stand.upstream("up").sessions = base::plan::SessionRule::PerClient;
    stand.upstream("up").list_ttl = Some(Duration::from_secs(60));
    server.answer_all(desk, |asked| async move {
        let session = asked.seen.header("mcp-session-id").unwrap().to_owned();
        asked.result(&format!(r#"{{"prompts":[{{"name":"of-{session}"}}]}}"#)).await;
    });
    let running = stand.start().await;
    let (mut one, mut two) =
        (Door::open(Kind::LegacyHttp, &running).await, Door::open(Kind::LegacyHttp, &running).await);
    let body = one.body("1", "prompts/list", r#""x":1"#, "");
    let (a, b) = (one.response(&body).await, two.response(&body).await);
    assert_ne!(json::at(&a, &["result"]), json::at(&b, &["result"]));
    assert_eq!(a, one.response(&body).await);
}

#[tokio::test(start_paused = true)]
async fn a_change_ends_freshness_of_its_own_kind_at_once() {
    let (running, server, _desk) = with(Persona::modern().able(CHANGING).fresh(600_000, "public")).await;
    server.listened_to(1).await;
    tools(&running.client).await;
    ask::modern(&running.client, "prompts/list", "").await;
    let before = (server.seen_of("tools/list").len(), server.seen_of("prompts/list").len());
    server.tell("notifications/tools/list_changed", "").await;
    testkit::idle().await;
    tools(&running.client).await;
    ask::modern(&running.client, "prompts/list", "").await;
    let after = (server.seen_of("tools/list").len(), server.seen_of("prompts/list").len());
    assert_eq!(after, (before.0 + 1, before.1));
}

/// What changed while nobody listened is not known, so after a gap everything counts as changed.
#[tokio::test(start_paused = true)]
async fn a_gap_in_listening_ends_freshness() {
    for in_order in [true, false] {
        let (running, server, _desk) = with(Persona::modern().able(CHANGING).fresh(600_000, "public")).await;
        server.listened_to(1).await;
        testkit::idle().await;
        let before = server.seen_of("tools/list").len();
        server.end_listening(in_order).await;
        server.listened_to(2).await;
        testkit::idle().await;
        tools(&running.client).await;
        assert_eq!(server.seen_of("tools/list").len(), before + 1, "in order: {in_order}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_a_legacy_stream_ends_freshness() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, _desk) = stand.add("up", Over::Http, Persona::legacy().able(CHANGING).with_stream()).await;
    stand.upstream("up").list_ttl = Some(Duration::from_secs(600));
    let running = stand.start().await;
    server.listened_to(1).await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    let before = server.seen_of("tools/list").len();
    server.end_listening(false).await;
    server.listened_to(2).await;
    testkit::idle().await;
    tools(&running.client).await;
    assert_eq!(server.seen_of("tools/list").len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_without_its_entries_is_no_answer() {
    let (running, _server, mut desk) = with(Persona::modern().scripted(&["prompts/list"])).await;
    for result in [r#"{"prompts":{"p":{}}}"#, r#"{"prompts":"none"}"#, r#"{"prompts":[],"prompts":[]}"#] {
        let client = running.client.clone();
        let answer =
            tokio::spawn(async move { ask::modern(&client, "prompts/list", "").await.response().await });
        desk.asked("prompts/list").await.result(result).await;
        let text = answer.await.unwrap();
        assert_eq!(json::at(&text, &["error", "code"]), Some("-31502"), "{text}");
    }
}

/// A server that pages without end is read to a bound, and its list is not taken for the whole.
#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_cut_off() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (endless, desk) =
        stand.add("endless", Over::Http, Persona::modern().scripted(&["prompts/list"])).await;
    let fine = Persona::modern().listing("prompts/list", r#"[{"name":"p"}]"#);
    let (_fine, _desk) = stand.add("fine", Over::Http, fine).await;
    endless.answer_all(desk, |asked| async move {
        let n = asked.seen.param("cursor").map_or("0", json::plain).parse::<u64>().unwrap();
        let page = format!(r#"{{"prompts":[{{"name":"p{n}"}}],"nextCursor":"{}"}}"#, n + 1);
        asked.result(&page).await;
    });
    let running = stand.start().await;
    let text = ask::modern(&running.client, "prompts/list", "").await.response().await;
    assert!(text.contains("fine__p") && text.contains("endless__p0"), "{text}");
    let asked = endless.seen_of("prompts/list").len();
    assert!((2..=1000).contains(&asked), "{asked}");
}

/// And it is not read anew for each call.
#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_not_read_before_every_call() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, Persona::modern().scripted(&["tools/list"])).await;
    server.answer_all(desk, |asked| async move {
        let n = asked.seen.param("cursor").map_or("0", json::plain).parse::<u64>().unwrap();
        let page = format!(r#"{{"tools":[{{"name":"t{n}","inputSchema":{{}}}}],"nextCursor":"{}"}}"#, n + 1);
        let result = if asked.seen.method() == "tools/list" { page } else { "{}".to_owned() };
        asked.result(&result).await;
    });
    let running = stand.start().await;
    ask::modern(&running.client, "tools/call", r#""name":"t""#).await.response().await;
    let asked = server.seen_of("tools/list").len();
    for _ in 0..5 {
        ask::modern(&running.client, "tools/call", r#""name":"t""#).await.response().await;
    }
    assert_eq!((server.seen_of("tools/list").len(), server.seen_of("tools/call").len()), (asked, 6));
}

#[tokio::test(start_paused = true)]
async fn the_same_page_again_and_again_is_cut_off() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (looping, desk) =
        stand.add("looping", Over::Http, Persona::modern().scripted(&["prompts/list"])).await;
    let (_fine, _desk) = stand.add("fine", Over::Http, Persona::modern()).await;
    looping.answer_all(desk, |asked| async move {
        asked
            .result(r#"{"prompts":[{"name":"p"}],"nextCursor":"again","ttlMs":60000,"cacheScope":"public"}"#)
            .await;
    });
    let running = stand.start().await;
    let text = ask::modern(&running.client, "prompts/list", "").await.response().await;
    assert!(looping.seen_of("prompts/list").len() <= 200);
    // A name that one server lists twice is one entry.
    assert_eq!(text.matches("looping__p").count(), 1, "{text}");
}

/// Whoever goes from page to page of a lone server comes to an end where a cursor comes back, however long the way round is.
#[tokio::test(start_paused = true)]
async fn cursors_that_go_round_end_from_page_to_page() {
    for (ways, length) in
        [(&["a", "a"][..], 2), (&["a", "b", "a"], 3), (&["a", "b", "c", "b"], 4), (&["", ""], 2)]
    {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, desk) = stand.add("up", Over::Http, Persona::modern().scripted(&["prompts/list"])).await;
        let next = |cursor: Option<&str>| match cursor {
            None => ways[0],
            Some(cursor) => {
                ways[(ways.iter().position(|way| *way == cursor).unwrap() + 1).min(ways.len() - 1)]
            }
        };
        server.answer_all(desk, move |asked| async move {
            let to = next(asked.seen.param("cursor").map(json::plain));
            asked.result(&format!(r#"{{"prompts":[{{"name":"p"}}],"nextCursor":"{to}"}}"#)).await;
        });
        let running = stand.start().await;
        for _ in 0..2 {
            let (mut pages, mut params) = (0, String::new());
            loop {
                let text = ask::modern(&running.client, "prompts/list", &params).await.response().await;
                pages += 1;
                let Some(next) = json::at(&text, &["result", "nextCursor"]) else { break };
                assert!(pages < 10, "{ways:?}: {text}");
                params = format!(r#""cursor":{next}"#);
            }
            assert_eq!(pages, length, "{ways:?}");
        }
    }
}

/// A server that is slow or dead costs its own entries, and no more time than its grace.
#[tokio::test(start_paused = true)]
async fn a_slow_server_costs_its_own_entries_only() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_slow, mut desk) =
        stand.add("slow", Over::Http, Persona::modern().scripted(&["prompts/list"])).await;
    let fine = Persona::modern().listing("prompts/list", r#"[{"name":"p"}]"#).scripted(&["prompts/get"]);
    let (_fine, mut fine_desk) = stand.add("fine", Over::Http, fine).await;
    stand.upstream("slow").deadlines.list = Duration::from_secs(7);
    stand.upstream("slow").deadlines.grace = Duration::from_secs(3);
    let running = stand.start().await;
    running.gateway.settled().await;
    let began = tokio::time::Instant::now();
    let client = running.client.clone();
    let list = tokio::spawn(async move { ask::modern(&client, "prompts/list", "").await.response().await });
    let asked = desk.asked("prompts/list").await;
    // Meanwhile calls of the other one go on.
    let client = running.client.clone();
    let call = tokio::spawn(async move {
        ask::modern(&client, "prompts/get", r#""name":"fine__p""#).await.response().await
    });
    fine_desk.asked("prompts/get").await.result("{}").await;
    assert!(call.await.unwrap().contains("result"));
    assert_eq!(began.elapsed(), Duration::ZERO);
    let text = list.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
    assert!(text.contains("fine__p"), "{text}");
    assert!(text.contains(r#""dev.portolan/degraded":[{"server":"slow","reason":"upstream \"slow\" did not answer within 3s"}]"#), "{text}");
    asked.gone().await;
}

#[tokio::test(start_paused = true)]
async fn names_that_two_servers_have_are_served_by_neither_without_prefixes() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.plan.routes[0].naming.prefix = base::plan::PrefixRule::Never;
    let (_a, _desk_a) = stand.add("a", Over::Http, Persona::modern().tools(&["both", "mine"])).await;
    let (b, _desk_b) = stand.add("b", Over::Http, Persona::modern().tools(&["both"])).await;
    let running = stand.start().await;
    let text = tools(&running.client).await;
    let shown = json::at(&text, &["result", "tools"]).unwrap();
    assert!(shown.contains("\"mine\"") && !shown.contains("\"both\""), "{text}");
    let left_out = json::at(&text, &["result", "_meta", "dev.portolan/left-out"]).unwrap();
    assert_eq!(left_out.matches("\"name\":\"both\"").count(), 2, "{text}");
    let text = ask::modern(&running.client, "tools/call", r#""name":"both""#).await.response().await;
    assert_eq!(json::at(&text, &["error", "code"]), Some("-32602"), "{text}");
    assert!(b.seen_of("tools/call").is_empty());
}
