//! How much callers may take: rates, calls at once, bytes of results, and the same call again and again.

use std::sync::Arc;
use std::time::Duration;

use base::globs::Globs;
use base::plan::limit::{LimitPlan, LimitingPlan, LoopAction, LoopPlan, Per, Rate};
use globset::Glob;
use testkit::http::{Client, Reply};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use transport::net::Address;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

pub(crate) fn limit(name: &str) -> LimitPlan {
    LimitPlan {
        name: name.to_owned(),
        per: Vec::new(),
        routes: None,
        servers: None,
        tools: None,
        rate: None,
        concurrent: None,
        result_bytes: None,
    }
}

pub(crate) fn rate(times: u32) -> Option<Rate> {
    Some(Rate { times, within: Duration::from_secs(60), burst: times })
}

pub(crate) fn globs(glob: &str) -> Option<Globs> {
    Some(Globs::new(vec![Glob::new(glob).unwrap()]).unwrap())
}

/// A gateway before a server whose tools answer at once, with these limits.
async fn limited(limits: Vec<LimitPlan>, loops: Option<LoopPlan>) -> (Running, ScriptedServer) {
    let (running, server, _desk) = with(Persona::modern(), limits, loops).await;
    (running, server)
}

async fn with(
    persona: Persona,
    limits: Vec<LimitPlan>,
    loops: Option<LoopPlan>,
) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    stand.plan.limiting = LimitingPlan { limits, loops };
    let running = stand.start().await;
    running.gateway.settled().await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    (running, server, desk)
}

const TOOL: &str = r#""name":"t","arguments":{"a":1}"#;

fn call(client: &Client, params: &str) -> JoinHandle<Reply> {
    let (client, params) = (client.clone(), params.to_owned());
    tokio::spawn(async move { ask::modern(&client, "tools/call", &params).await })
}

/// Calls the tool, and has its server answer.
async fn served(running: &Running, desk: &mut Desk, params: &str, result: &str) {
    let answered = call(&running.client, params);
    desk.asked("tools/call").await.result(result).await;
    let reply = answered.await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.response().await.contains("result"));
}

/// What of a limit a call was over.
async fn refused(mut reply: Reply) -> String {
    let text = reply.body().await;
    assert_eq!(reply.status, 429, "{text}");
    let reason = json::at(&text, &["error", "data", "reason"]);
    assert_eq!(reason, Some("\"rate_limited\""), "{text}");
    json::plain(json::at(&text, &["error", "data", "by"]).unwrap()).to_owned()
}

#[tokio::test(start_paused = true)]
async fn too_many_calls_are_refused_with_what_the_draft_says() {
    let per = vec![Per::Principal];
    let limits = vec![LimitPlan { per, rate: rate(2), ..limit("each caller") }];
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    stand.plan.limiting.limits = limits;
    let admin = Address::Tcp("127.0.0.1".to_owned(), 9090);
    stand.plan.admin = Some(admin.clone());
    let admin = Client::new(Arc::clone(&stand.network), admin);
    let running = stand.start().await;
    for _ in 0..2 {
        served(&running, &mut desk, TOOL, "{}").await;
    }
    let mut reply = call(&running.client, TOOL).await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("30")));
    assert_eq!(reply.header("ratelimit-limit"), Some("2"));
    assert_eq!(reply.header("ratelimit-remaining"), Some("0"));
    let text = reply.body().await;
    let data = |name| json::at(&text, &["error", "data", name]);
    assert_eq!(json::at(&text, &["error", "code"]), Some("-31430"));
    assert_eq!(data("reason"), Some("\"rate_limited\""));
    assert_eq!((data("limit"), data("remaining")), (Some("2"), Some("0")));
    assert_eq!((data("name"), data("notProcessed")), (Some("\"each caller\""), Some("true")));
    let ms: u64 = data("retryAfterMs").unwrap().parse().unwrap();
    assert!((29_000..=30_000).contains(&ms), "{ms}");
    assert_eq!(server.seen_of("tools/call").len(), 2);
    let metrics = admin.send(&admin.request("GET /metrics", &[], b"")).await.body().await;
    assert!(metrics.contains(r#"portolan_limited_total{limit="each caller",by="rate"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"outcome="rate_limited""#), "{metrics}");
    tokio::time::advance(Duration::from_millis(ms)).await;
    served(&running, &mut desk, TOOL, "{}").await;
}

/// Every kind of client reads the error; a legacy one in an answer with the status 200, since some end their session at others.
#[tokio::test(start_paused = true)]
async fn all_clients_hear_why() {
    for kind in Kind::ALL {
        let limits = vec![LimitPlan { tools: globs("t"), rate: rate(1), ..limit("t") }];
        let (running, _server, mut desk) = with(Persona::modern(), limits, None).await;
        let mut door = Door::open(kind, &running).await;
        let body = door.body("1", "tools/call", TOOL, "");
        let mut begun = door.begin(&body).await;
        desk.asked("tools/call").await.result("{}").await;
        assert!(door.next(&mut begun).await.unwrap().contains("result"), "{kind:?}");
        let refused = door.response(&door.body("2", "tools/call", TOOL, "")).await;
        assert_eq!(json::at(&refused, &["id"]), Some("2"), "{kind:?}");
        assert_eq!(json::at(&refused, &["error", "code"]), Some("-31430"), "{kind:?}");
        if kind == Kind::LegacyHttp {
            let headers = [("mcp-session-id", door.session()), ("mcp-protocol-version", "2025-11-25")];
            let body = door.body("3", "tools/call", TOOL, "");
            let reply = running.client.post(&headers, body.as_bytes()).await;
            assert_eq!((reply.status, reply.header("ratelimit-limit")), (200, Some("1")));
        }
    }
}

/// Lists, and what leads nowhere, count by who asks for them, and no tool's limit concerns them.
#[tokio::test(start_paused = true)]
async fn everything_counts_by_its_caller_and_only_tools_as_tools() {
    let callers = LimitPlan { per: vec![Per::Principal], rate: rate(3), ..limit("callers") };
    let tools = LimitPlan { per: vec![Per::Tool], rate: rate(1), ..limit("tools") };
    let (running, server) = limited(vec![callers, tools], None).await;
    let asked = |method: &'static str, params: &'static str| {
        let client = running.client.clone();
        async move { ask::modern(&client, method, params).await }
    };
    assert_eq!(asked("tools/list", "").await.status, 200);
    assert_eq!(asked("tools/list", "").await.status, 200);
    assert_eq!(asked("resources/read", r#""uri":"file:///none""#).await.status, 200);
    let before = server.seen_of("tools/list").len();
    assert_eq!(refused(asked("tools/list", "").await).await, "rate");
    assert_eq!(refused(asked("tools/call", TOOL).await).await, "rate");
    assert_eq!(refused(asked("subscriptions/listen", r#""notifications":{}"#).await).await, "rate");
    assert_eq!(server.seen_of("tools/list").len(), before);
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_are_counted_until_they_are_answered_or_their_client_goes_away() {
    let limits = vec![LimitPlan { servers: globs("u*"), concurrent: Some(2), ..limit("two") }];
    let (running, _server, mut desk) = with(Persona::modern(), limits, None).await;
    let (one, two) = (call(&running.client, TOOL), call(&running.client, TOOL));
    let first = desk.asked("tools/call").await;
    let _second = desk.asked("tools/call").await;
    assert_eq!(refused(call(&running.client, TOOL).await.unwrap()).await, "concurrent");
    first.result("{}").await;
    assert_eq!(one.await.unwrap().status, 200);
    let three = call(&running.client, TOOL);
    let _third = desk.asked("tools/call").await;
    assert_eq!(refused(call(&running.client, TOOL).await.unwrap()).await, "concurrent");
    // Its connection is closed.
    two.abort();
    testkit::idle().await;
    served(&running, &mut desk, TOOL, "{}").await;
    three.abort();
}

/// The last answer may be as long as it likes; then it is the next call that is refused, of this and no other tool.
#[tokio::test(start_paused = true)]
async fn bytes_of_results_have_a_quota() {
    let limits = vec![LimitPlan { per: vec![Per::Tool], result_bytes: Some(20_000), ..limit("bytes") }];
    let (running, _server, mut desk) = with(Persona::modern(), limits, None).await;
    for length in [10_000, 30_000] {
        let result = format!(r#"{{"content":[],"x":"{}"}}"#, "x".repeat(length));
        served(&running, &mut desk, TOOL, &result).await;
    }
    let reply = call(&running.client, TOOL).await.unwrap();
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(reply.header("ratelimit-limit"), None);
    // Half of the quota too much is half an hour and an hour's quota has passed.
    assert!((3600..3800).contains(&wait), "{wait}");
    assert_eq!(refused(reply).await, "result_bytes");
    served(&running, &mut desk, r#""name":"u""#, "{}").await;
    tokio::time::advance(Duration::from_secs(wait)).await;
    served(&running, &mut desk, TOOL, "{}").await;
}

/// Lists are results, too.
#[tokio::test(start_paused = true)]
async fn bytes_of_lists_count_for_their_callers() {
    let tool =
        format!(r#"[{{"name":"t","description":"{}","inputSchema":{{"type":"object"}}}}]"#, "x".repeat(9000));
    let persona = Persona::modern().listing("tools/list", &tool);
    let per = vec![Per::Principal];
    let limits = vec![LimitPlan { per, result_bytes: Some(10_000), ..limit("bytes") }];
    let (running, _server, _desk) = with(persona, limits, None).await;
    for _ in 0..2 {
        assert_eq!(ask::modern(&running.client, "tools/list", "").await.status, 200);
    }
    assert_eq!(refused(ask::modern(&running.client, "tools/list", "").await).await, "result_bytes");
}

#[tokio::test(start_paused = true)]
async fn the_same_call_again_and_again_is_refused() {
    let loops = LoopPlan { calls: 3, within: Duration::from_secs(60), action: LoopAction::Refuse };
    let (running, server, mut desk) = with(Persona::modern(), Vec::new(), Some(loops)).await;
    for _ in 0..3 {
        served(&running, &mut desk, TOOL, "{}").await;
    }
    let spaced = r#""arguments": { "a": 1 }, "name":"t""#;
    assert_eq!(refused(call(&running.client, spaced).await.unwrap()).await, "loop");
    served(&running, &mut desk, r#""name":"t","arguments":{"a":2}"#, "{}").await;
    assert_eq!(server.seen_of("tools/call").len(), 4);
    // Another client: each legacy session is looked at by itself.
    let mut door = Door::open(Kind::LegacyHttp, &running).await;
    let body = door.body("1", "tools/call", TOOL, "");
    let mut begun = door.begin(&body).await;
    desk.asked("tools/call").await.result("{}").await;
    assert!(door.next(&mut begun).await.unwrap().contains("result"));
}

#[tokio::test(start_paused = true)]
async fn the_same_call_again_and_again_is_made_slow() {
    let loops = LoopPlan { calls: 3, within: Duration::from_secs(60), action: LoopAction::Slow };
    let (running, server, mut desk) = with(Persona::modern(), Vec::new(), Some(loops)).await;
    for _ in 0..3 {
        served(&running, &mut desk, TOOL, "{}").await;
    }
    let began = Instant::now();
    let slow = call(&running.client, TOOL);
    testkit::idle().await;
    assert_eq!(server.seen_of("tools/call").len(), 3);
    desk.asked("tools/call").await.result("{}").await;
    assert_eq!(slow.await.unwrap().status, 200);
    // By the clock of the test, which stands still while anything is done.
    assert!(began.elapsed() > Duration::from_secs(19), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_counts_of_limits_that_are_the_same() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let same = LimitPlan { tools: globs("t"), rate: rate(1), ..limit("same") };
    stand.plan.limiting = LimitingPlan { limits: vec![same.clone()], loops: None };
    let mut plan = stand.plan.clone();
    let running = stand.start().await;
    served(&running, &mut desk, TOOL, "{}").await;
    plan.limiting.limits.insert(0, LimitPlan { rate: rate(10), ..limit("new") });
    running.gateway.reload(plan.clone());
    assert_eq!(refused(call(&running.client, TOOL).await.unwrap()).await, "rate");
    // One that allows something else begins anew, and without any nothing is counted.
    plan.limiting.limits = vec![LimitPlan { rate: rate(2), ..same }];
    running.gateway.reload(plan.clone());
    served(&running, &mut desk, TOOL, "{}").await;
    plan.limiting = LimitingPlan::default();
    running.gateway.reload(plan);
    for _ in 0..5 {
        served(&running, &mut desk, TOOL, "{}").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_of_its_route() {
    let limits = vec![LimitPlan { routes: globs("other"), rate: rate(1), ..limit("other") }];
    let (running, _server, mut desk) = with(Persona::modern(), limits, None).await;
    for _ in 0..3 {
        served(&running, &mut desk, TOOL, "{}").await;
    }
}

/// What says that it goes on with a call counts as long as nothing shows that it does; of whatever leads nowhere, too.
#[tokio::test(start_paused = true)]
async fn who_only_says_that_it_comes_back_is_counted() {
    for (persona, name, answered) in
        [(Persona::legacy(), "t", 400), (Persona::modern(), "none", 200), (Persona::legacy(), "none", 400)]
    {
        let limits = vec![LimitPlan { per: vec![Per::Principal], rate: rate(3), ..limit("callers") }];
        let tools = format!(r#"[{{"name":"{name}","inputSchema":{{"type":"object"}}}}]"#);
        let persona = persona.listing("tools/list", &tools);
        let (running, _server, mut desk) = with(persona, limits, None).await;
        let params = format!(r#""name":"{name}","requestState":"x""#);
        for n in 0..20 {
            let called = call(&running.client, &params);
            if n < 3 && answered == 200 {
                desk.asked("tools/call").await.result("{}").await;
            }
            let reply = called.await.unwrap();
            assert_eq!(reply.status, if n < 3 { answered } else { 429 }, "{name} {n}");
        }
    }
}

/// A limit of the target that refuses a call costs nothing of those of its caller, nor is the call one that was made again.
#[tokio::test(start_paused = true)]
async fn a_limit_of_a_tool_that_refuses_costs_nothing_of_its_callers_limits() {
    let callers = LimitPlan { per: vec![Per::Principal], rate: rate(4), ..limit("callers") };
    let tools = LimitPlan { tools: globs("t"), rate: rate(1), ..limit("tools") };
    let loops = LoopPlan { calls: 2, within: Duration::from_secs(60), action: LoopAction::Refuse };
    let (running, _server, mut desk) = with(Persona::modern(), vec![callers, tools], Some(loops)).await;
    served(&running, &mut desk, TOOL, "{}").await;
    for _ in 0..10 {
        assert_eq!(refused(call(&running.client, TOOL).await.unwrap()).await, "rate");
    }
    // Those of its caller's that are left pass, and no more.
    for n in 0..3 {
        served(&running, &mut desk, &format!(r#""name":"u","arguments":{{"n":{n}}}"#), "{}").await;
    }
    assert_eq!(refused(call(&running.client, r#""name":"u""#).await.unwrap()).await, "rate");
}
