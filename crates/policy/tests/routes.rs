//! One decision for lists and calls: whatever policies say of a thing, every client hears the same of it, by every way.
//!
//! It stands here and not beside the gateway's tests, whose world it has: the gateway is built for many things without Cedar.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../../gateway/tests/it/ask.rs"]
mod ask;
#[expect(dead_code, reason = "the gateway's tests need more of it")]
#[path = "../../gateway/tests/it/doors.rs"]
mod doors;
#[expect(dead_code, reason = "the gateway's tests need more of it")]
#[path = "../../gateway/tests/it/stand.rs"]
mod stand;
#[path = "routes/tasks.rs"]
mod tasks;

use std::sync::Arc;

use auth::Decide;
use base::clock::SystemClock;
use base::plan::Plan;
use base::plan::policy::{Decider, PolicyPlan, PolicySource, ServerFacts};
use policy::{Ground, Policies, RoutePolicies};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};

use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

const ABLE: &str = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true}}"#;

const PAY: &str =
    r#"{"name":"pay","inputSchema":{"type":"object","properties":{"amount":{"type":"integer"}}}}"#;

fn look(hints: &str) -> String {
    format!(r#"{{"name":"look","annotations":{hints},"inputSchema":{{"type":"object"}}}}"#)
}

fn tools(look: &str) -> String {
    format!(r#"[{look},{PAY},{{"name":"drop","inputSchema":{{"type":"object"}}}}]"#)
}

fn persona() -> Persona {
    Persona::modern()
        .able(ABLE)
        .listing("tools/list", &tools(&look(r#"{"readOnlyHint":true}"#)))
        .listing("prompts/list", r#"[{"name":"open"},{"name":"admin"}]"#)
        .listing("resources/list", r#"[{"uri":"t://open","name":"x"},{"uri":"t://secret","name":"x"}]"#)
        .listing("resources/templates/list", r#"[{"uriTemplate":"t://open/{p}","name":"x"}]"#)
        .fresh(60_000, "public")
}

const POLICIES: &str = r#"
@id("reads") permit (principal, action == Mcp::Action::"call", resource) when { resource.read_only };
@id("small") permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/pay")
when { context.arguments.hasTag("/amount") && context.arguments.getTag("/amount") has integer
       && context.arguments.getTag("/amount").integer <= 100 };
@id("large") @reason("ask the treasury")
forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/pay")
when { context.arguments.hasTag("/amount") && context.arguments.getTag("/amount") has integer
       && context.arguments.getTag("/amount").integer > 1000 };
@id("rest") permit (principal, action in [Mcp::Action::"get", Mcp::Action::"read"], resource);
@id("admin") forbid (principal, action == Mcp::Action::"get", resource == Mcp::Prompt::"a/admin");
@id("secret") forbid (principal, action == Mcp::Action::"read", resource) when { resource.uri like "t://secret*" };
"#;

fn decider(text: &str, (enforce, explain): (bool, bool)) -> Decider {
    let sources = vec![PolicySource { name: "p.cedar".to_owned(), text: text.into() }];
    let of = |name: &str| ServerFacts { name: name.to_owned(), trusted: true, ..ServerFacts::default() };
    let ground = Ground { route: "main", servers: &[of("a"), of("b")], issuers: &[] };
    let plan = PolicyPlan { sources, enforce, explain };
    let policies = Policies::new(&plan, ground, Arc::new(SystemClock)).unwrap();
    Decider(Arc::new(RoutePolicies(Arc::new(policies))) as Arc<dyn Decide>)
}

async fn behind(names: &[&str], decider: Decider) -> (Running, Vec<ScriptedServer>) {
    let (running, servers, _) = planned(names, decider).await;
    (running, servers)
}

/// The same with the plan that is carried out.
async fn planned(names: &[&str], decider: Decider) -> (Running, Vec<ScriptedServer>, Plan) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.plan.routes[0].decides = Some(decider);
    let mut servers = Vec::new();
    for name in names {
        let (server, desk) = stand.add(name, Over::Http, persona()).await;
        server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
        servers.push(server);
    }
    let plan = stand.plan.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    for server in &servers {
        server.saw("tools/list", 1).await;
        server.listened_to(1).await;
    }
    testkit::idle().await;
    (running, servers, plan)
}

async fn answer(door: &mut Door, method: &str, params: &str) -> String {
    let body = door.body("1", method, params, "");
    door.response(&body).await
}

async fn names(door: &mut Door, method: &str, entries: &str, member: &str) -> Vec<String> {
    let text = answer(door, method, r#""x":1"#).await;
    let list = json::at(&text, &["result", entries]).unwrap_or_else(|| panic!("{text}"));
    json::elements(list).iter().map(|entry| json::unescaped(json::at(entry, &[member]).unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn every_way_leads_to_one_decision() {
    let (running, servers) = behind(&["a"], decider(POLICIES, (true, false))).await;
    for kind in Kind::ALL {
        let mut door = Door::open(kind, &running).await;
        assert_eq!(names(&mut door, "tools/list", "tools", "name").await, ["look", "pay"], "{kind:?}");
        assert_eq!(names(&mut door, "prompts/list", "prompts", "name").await, ["open"], "{kind:?}");
        assert_eq!(names(&mut door, "resources/list", "resources", "uri").await, ["t://open"], "{kind:?}");
        let templates =
            names(&mut door, "resources/templates/list", "resourceTemplates", "uriTemplate").await;
        assert_eq!(templates, ["t://open/{p}"], "{kind:?}");
        for (method, params, is_allowed) in [
            ("tools/call", r#""name":"look","arguments":{}"#, true),
            ("tools/call", r#""name":"pay","arguments":{"amount":100}"#, true),
            ("tools/call", r#""name":"pay","arguments":{"amount":1e2}"#, true),
            ("tools/call", r#""name":"pay","arguments":{"amount":101}"#, false),
            ("tools/call", r#""name":"pay","arguments":{"amount":5000}"#, false),
            ("tools/call", r#""name":"pay","arguments":{"amount":"1_0"}"#, false),
            ("tools/call", r#""name":"pay","arguments":{"amount":1,"amount":5000}"#, false),
            ("tools/call", r#""name":"pay""#, false),
            ("tools/call", r#""name":"drop","arguments":{}"#, false),
            ("prompts/get", r#""name":"open""#, true),
            ("prompts/get", r#""name":"admin""#, false),
            ("resources/read", r#""uri":"t://open""#, true),
            ("resources/read", r#""uri":"t://secret""#, false),
            ("resources/read", r#""uri":"t://secret/more""#, false),
            ("resources/read", r#""uri":"T://secret""#, false),
            (
                "completion/complete",
                r#""ref":{"type":"ref/prompt","name":"admin"},"argument":{"name":"x","value":""}"#,
                false,
            ),
            (
                "completion/complete",
                r#""ref":{"type":"ref/prompt","name":"open"},"argument":{"name":"x","value":""}"#,
                true,
            ),
        ] {
            let sent = servers[0].seen_of(method).len();
            let text = answer(&mut door, method, params).await;
            assert_eq!(
                json::at(&text, &["error"]).is_none(),
                is_allowed,
                "{kind:?} {method} {params}: {text}"
            );
            let was_sent = servers[0].seen_of(method).len() - sent;
            assert_eq!(was_sent, usize::from(is_allowed), "{kind:?} {method} {params}");
        }
    }
}

/// What somebody may never do is to them as if it were not there. What they may do otherwise is refused, in words.
#[tokio::test(start_paused = true)]
async fn what_is_denied_says_so_only_where_it_is_shown() {
    let (running, _servers) = behind(&["a"], decider(POLICIES, (true, false))).await;
    for kind in Kind::ALL {
        let mut door = Door::open(kind, &running).await;
        let denied = answer(&mut door, "tools/call", r#""name":"drop""#).await;
        let unknown = answer(&mut door, "tools/call", r#""name":"none""#).await;
        assert_eq!(denied.replace("drop", "none"), unknown, "{kind:?}");
        let large = answer(&mut door, "tools/call", r#""name":"pay","arguments":{"amount":5000}"#).await;
        assert!(large.contains("a policy does not allow this: ask the treasury"), "{kind:?}: {large}");
        assert_eq!(json::at(&large, &["error", "data", "reason"]), Some(r#""policy""#), "{kind:?}: {large}");
        assert_eq!(json::at(&large, &["id"]), Some("1"), "{large}");
    }
    let large =
        ask::modern(&running.client, "tools/call", r#""name":"pay","arguments":{"amount":5000}"#).await;
    assert_eq!(large.status, 200, "a host shows it as the answer that it is");
}

/// An operator may want callers to know.
#[tokio::test(start_paused = true)]
async fn a_denial_may_speak() {
    let (running, servers) = behind(&["a"], decider(POLICIES, (true, true))).await;
    let text = ask::modern(&running.client, "tools/call", r#""name":"drop""#).await.response().await;
    assert!(text.contains("a policy does not allow this"), "{text}");
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(!list.contains("drop"), "{list}");
    assert!(servers[0].seen_of("tools/call").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_only_observed_is_not_refused() {
    let (running, _servers) = behind(&["a"], decider(POLICIES, (false, false))).await;
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(list.contains("drop"), "{list}");
    let text = ask::modern(&running.client, "tools/call", r#""name":"drop""#).await.response().await;
    assert!(json::at(&text, &["result"]).is_some(), "{text}");
}

/// A tool that was changed is not the tool that was allowed.
#[tokio::test(start_paused = true)]
async fn a_tool_that_says_another_thing_of_itself_is_another() {
    let (running, servers) = behind(&["a"], decider(POLICIES, (true, false))).await;
    let call = async || ask::modern(&running.client, "tools/call", r#""name":"look""#).await.response().await;
    let before = call().await;
    assert!(json::at(&before, &["result"]).is_some(), "{before}");
    let mut stream =
        ask::modern(&running.client, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#)
            .await;
    assert!(stream.event().await.unwrap().contains("acknowledged"));
    let changed = persona().listing("tools/list", &tools(&look("{}")));
    *servers[0].persona() = changed;
    servers[0].tell("notifications/tools/list_changed", "").await;
    assert!(stream.event().await.unwrap().contains("list_changed"));
    // Also where nobody lists before they call.
    assert!(json::at(&call().await, &["error"]).is_some());
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(!list.contains("look"), "{list}");
    assert_eq!(servers[0].seen_of("tools/call").len(), 1);
}

/// Names that clients are shown are not what policies speak of.
#[tokio::test(start_paused = true)]
async fn a_policy_speaks_of_a_server_and_its_own_name() {
    let text = r#"permit (principal, action, resource == Mcp::Tool::"b/pay");"#;
    let (running, servers) = behind(&["a", "b"], decider(text, (true, false))).await;
    for kind in Kind::ALL {
        let mut door = Door::open(kind, &running).await;
        assert_eq!(names(&mut door, "tools/list", "tools", "name").await, ["b__pay"], "{kind:?}");
        let text = answer(&mut door, "tools/call", r#""name":"b__pay""#).await;
        assert!(json::at(&text, &["result"]).is_some(), "{kind:?} {text}");
        let text = answer(&mut door, "tools/call", r#""name":"a__pay""#).await;
        assert!(json::at(&text, &["error"]).is_some(), "{kind:?} {text}");
    }
    assert!(servers[0].seen_of("tools/call").is_empty());
}

/// Whoever may not read a resource hears nothing of it.
#[tokio::test(start_paused = true)]
async fn a_subscription_tells_of_what_may_be_read() {
    let (running, servers) = behind(&["a"], decider(POLICIES, (true, false))).await;
    let wish = r#""notifications":{"resourceSubscriptions":["t://secret","t://"]}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", wish).await;
    let acknowledged = stream.event().await.unwrap();
    let honoured = json::at(&acknowledged, &["params", "notifications", "resourceSubscriptions"]);
    assert_eq!(honoured, Some(r#"["t://"]"#), "{acknowledged}");
    for uri in ["t://secret", "t://open"] {
        servers[0].tell("notifications/resources/updated", &format!(r#""uri":"{uri}""#)).await;
    }
    assert!(stream.event().await.unwrap().contains("t://open"), "the first that it hears of");
    let mut door = Door::open(Kind::LegacyHttp, &running).await;
    let denied = answer(&mut door, "resources/subscribe", r#""uri":"t://secret""#).await;
    assert!(json::at(&denied, &["error"]).is_some(), "{denied}");
    let open = answer(&mut door, "resources/subscribe", r#""uri":"t://open""#).await;
    assert!(json::at(&open, &["result"]).is_some(), "{open}");
}

/// A reload with other policies counts from the next call on, also in a session.
#[tokio::test(start_paused = true)]
async fn other_policies_count_from_the_next_call_on() {
    let (running, _servers, mut plan) = planned(&["a"], decider(POLICIES, (true, false))).await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    let drop = r#""name":"drop""#;
    assert!(json::at(&answer(&mut door, "tools/call", drop).await, &["error"]).is_some());
    plan.routes[0].decides = Some(decider("permit (principal, action, resource);", (true, false)));
    running.gateway.reload(plan);
    assert!(json::at(&answer(&mut door, "tools/call", drop).await, &["result"]).is_some());
    assert_eq!(names(&mut door, "tools/list", "tools", "name").await, ["look", "pay", "drop"]);
}

/// Where a connection comes from, and what its client speaks.
#[tokio::test(start_paused = true)]
async fn what_only_a_call_has_reaches_policies() {
    let text = r#"
        permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/look")
        when { context has address && context.address.isLoopback() };
        permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/pay")
        when { context.era == "legacy" };
        permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/drop")
        when { context has trace && context.trace == "0af7651916cd43dd8448eb211c80319c" };"#;
    let (running, _servers) = behind(&["a"], decider(text, (true, false))).await;
    for kind in Kind::ALL {
        let mut door = Door::open(kind, &running).await;
        let over_http = matches!(kind, Kind::ModernHttp | Kind::LegacyHttp);
        for (tool, is_allowed) in [("look", over_http), ("pay", !kind.is_modern()), ("drop", false)] {
            let text = answer(&mut door, "tools/call", &format!(r#""name":"{tool}""#)).await;
            assert_eq!(json::at(&text, &["error"]).is_none(), is_allowed, "{kind:?} {tool}: {text}");
        }
    }
    let body = ask::body("1", "tools/call", r#""name":"drop""#);
    let mut headers = ask::mirrored(&body);
    headers.push(("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = running.client.post(&headers, body.as_bytes()).await.response().await;
    assert!(json::at(&text, &["result"]).is_some(), "{text}");
}

/// Where there should be policies and nobody has read them, nothing is allowed.
#[tokio::test(start_paused = true)]
async fn policies_that_nobody_has_read_allow_nothing() {
    let (running, servers, mut plan) = planned(&["a"], decider(POLICIES, (true, false))).await;
    let sources = vec![PolicySource { name: "p.cedar".to_owned(), text: POLICIES.into() }];
    plan.routes[0].policy = Some(PolicyPlan { sources, enforce: true, explain: false });
    plan.routes[0].decides = None;
    running.gateway.reload(plan);
    let text = ask::modern(&running.client, "tools/call", r#""name":"look""#).await.response().await;
    assert!(json::at(&text, &["error"]).is_some(), "{text}");
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(!list.contains("look"), "{list}");
    assert!(servers[0].seen_of("tools/call").is_empty());
}

/// A change is told without anybody being asked again, so that it must be allowed as things stand.
#[tokio::test(start_paused = true)]
async fn a_subscription_is_decided_by_what_varies() {
    let text = r#"permit (principal, action, resource);
        forbid (principal, action == Mcp::Action::"subscribe", resource) when { context.now > datetime("2000-01-01") };
        forbid (principal, action == Mcp::Action::"read", resource) when { context.now > datetime("2000-01-01") && resource.uri == "t://open" };"#;
    let (running, _servers) = behind(&["a"], decider(text, (true, false))).await;
    let wish = r#""notifications":{"resourceSubscriptions":["t://secret","t://open"]}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", wish).await;
    let acknowledged = stream.event().await.unwrap();
    assert!(!acknowledged.contains("t://"), "{acknowledged}");
}

/// What a server may take for a URI that is forbidden is forbidden, also where denials speak.
#[tokio::test(start_paused = true)]
async fn a_uri_is_held_to_what_its_server_may_read() {
    for explain in [false, true] {
        let (running, servers) = behind(&["a"], decider(POLICIES, (true, explain))).await;
        for kind in [Kind::ModernHttp, Kind::LegacyHttp] {
            let mut door = Door::open(kind, &running).await;
            for uri in ["T://secret", " t://secret", "t:\\\\\\\\secret"] {
                let params = format!(r#""uri":"{uri}""#);
                let text = answer(&mut door, "resources/read", &params).await;
                assert!(json::at(&text, &["error"]).is_some(), "{kind:?} {uri}: {text}");
                if kind == Kind::LegacyHttp {
                    let text = answer(&mut door, "resources/subscribe", &params).await;
                    assert!(json::at(&text, &["error"]).is_some(), "{kind:?} {uri}: {text}");
                }
            }
        }
        assert!(servers[0].seen_of("resources/read").is_empty());
    }
}

/// Those who come by a policy come as often as it says, and any number of times by one that says nothing.
#[tokio::test(start_paused = true)]
async fn a_policy_says_how_often() {
    let text = r#"
        @id("some") @limit("2/min") permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/pay");
        @id("more") @limit("3/min") permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/pay")
        when { context.arguments.hasTag("/amount") };
        @id("any") @limit("1/min") permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/look");
        @id("reads") permit (principal, action == Mcp::Action::"call", resource) when { resource.read_only };
    "#;
    for kind in Kind::ALL {
        let (running, servers) = behind(&["a"], decider(text, (true, false))).await;
        let mut door = Door::open(kind, &running).await;
        for _ in 0..4 {
            let text = answer(&mut door, "tools/call", r#""name":"look","arguments":{}"#).await;
            assert!(text.contains("\"result\""), "{kind:?} {text}");
        }
        for (params, passes) in [
            (r#""name":"pay","arguments":{}"#, 2),
            // Two permit it, and one of them has nothing left.
            (r#""name":"pay","arguments":{"amount":1}"#, 3),
        ] {
            for _ in 0..passes {
                let text = answer(&mut door, "tools/call", params).await;
                assert!(text.contains("\"result\""), "{kind:?} {text}");
            }
            let refused = answer(&mut door, "tools/call", params).await;
            assert_eq!(json::at(&refused, &["error", "code"]), Some("-31430"), "{kind:?} {refused}");
        }
        let calls = servers[0].seen_of("tools/call").len();
        assert_eq!(calls, 9, "{kind:?}");
        tokio::time::advance(std::time::Duration::from_secs(30)).await;
        let text = answer(&mut door, "tools/call", r#""name":"pay","arguments":{}"#).await;
        assert!(text.contains("\"result\""), "{kind:?} {text}");
    }
}

/// Whoever says that a call is a retry makes it as often as others, and no oftener.
#[tokio::test(start_paused = true)]
async fn a_retry_is_limited_by_its_policy_as_any_call() {
    let text = r#"@id("some") @limit("2/min") permit (principal, action == Mcp::Action::"call", resource);"#;
    for members in [r#","inputResponses":{}"#, r#","inputResponses":{"a":{}}"#] {
        let (running, servers) = behind(&["a"], decider(text, (true, false))).await;
        let mut door = Door::open(Kind::ModernHttp, &running).await;
        let params = format!(r#""name":"pay","arguments":{{}}{members}"#);
        let mut refused = 0;
        for _ in 0..5 {
            let text = answer(&mut door, "tools/call", &params).await;
            refused += usize::from(json::at(&text, &["error", "code"]) == Some("-31430"));
        }
        assert_eq!((refused, servers[0].seen_of("tools/call").len()), (3, 2), "{members}");
    }
}

/// Who only tries policies out limits nothing.
#[tokio::test(start_paused = true)]
async fn policies_that_only_observe_limit_nothing() {
    let text = r#"@id("some") @limit("1/h") permit (principal, action, resource);"#;
    let (running, _servers) = behind(&["a"], decider(text, (false, false))).await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    for _ in 0..3 {
        let text = answer(&mut door, "tools/call", r#""name":"pay","arguments":{}"#).await;
        assert!(text.contains("\"result\""), "{text}");
    }
}
