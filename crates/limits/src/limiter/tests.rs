use std::time::Duration;

use auth::Principal;
use base::plan::limit::{LimitPlan, LoopAction, LoopPlan, Per, Rate};
use tokio::time::advance;

use super::*;

fn principal(name: &str) -> Principal {
    Principal::of("issuer", name, None)
}

fn limit(name: &str, per: &[Per]) -> LimitPlan {
    LimitPlan {
        name: name.to_owned(),
        per: per.to_vec(),
        routes: None,
        servers: None,
        tools: None,
        rate: None,
        concurrent: None,
        result_bytes: None,
    }
}

fn rate(times: u32, burst: u32) -> Option<Rate> {
    Some(Rate { times, within: Duration::from_secs(60), burst })
}

fn limiter(limits: Vec<LimitPlan>, loops: Option<LoopPlan>) -> Limiter {
    let limiter = Limiter::new(Arc::new(Metrics::new()), None);
    limiter.follow(&LimitingPlan { limits, loops });
    limiter
}

fn subject(principal: &Principal) -> Subject<'_> {
    Subject { principal, client: None, route: "main", server: None, tool: None }
}

fn now(entry: Entry<'_>) -> Result<Entered, (String, &'static str, Duration)> {
    match entry {
        Entry::Now(Ok(entered)) => Ok(entered),
        Entry::Now(Err(CallError::RateLimited(limited))) => {
            Err((limited.name, limited.by, limited.retry_after))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn each_principal_has_a_rate_of_its_own() {
    let limits = limiter(vec![LimitPlan { rate: rate(60, 2), ..limit("each", &[Per::Principal]) }], None);
    let limits = limits.of_route("main").unwrap();
    let (a, b) = (principal("a"), principal("b"));
    for _ in 0..2 {
        now(limits.enter(&subject(&a), Turn::New)).unwrap();
    }
    let refused = ("each".to_owned(), "rate", Duration::from_secs(1));
    assert_eq!(now(limits.enter(&subject(&a), Turn::New)).unwrap_err(), refused);
    now(limits.enter(&subject(&b), Turn::New)).unwrap();
    advance(Duration::from_secs(1)).await;
    now(limits.enter(&subject(&a), Turn::New)).unwrap();
    now(limits.enter(&subject(&a), Turn::New)).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_refuses_costs_nothing_of_the_others() {
    let all = LimitPlan { rate: rate(60, 3), ..limit("all", &[]) };
    let each = LimitPlan { rate: rate(60, 1), ..limit("each", &[Per::Principal]) };
    let limits = limiter(vec![all, each], None).of_route("main").unwrap();
    let (a, b, c) = (principal("a"), principal("b"), principal("c"));
    now(limits.enter(&subject(&a), Turn::New)).unwrap();
    for _ in 0..10 {
        assert_eq!(now(limits.enter(&subject(&a), Turn::New)).unwrap_err().0, "each");
    }
    now(limits.enter(&subject(&b), Turn::New)).unwrap();
    now(limits.enter(&subject(&c), Turn::New)).unwrap();
    assert_eq!(now(limits.enter(&subject(&principal("d")), Turn::New)).unwrap_err().0, "all");
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_are_counted_until_they_are_dropped() {
    let limits = limiter(vec![LimitPlan { concurrent: Some(2), ..limit("two", &[Per::Principal]) }], None);
    let limits = limits.of_route("main").unwrap();
    let a = principal("a");
    let first = now(limits.enter(&subject(&a), Turn::New)).unwrap();
    let second = now(limits.enter(&subject(&a), Turn::New)).unwrap();
    assert_eq!(now(limits.enter(&subject(&a), Turn::New)).unwrap_err().1, "concurrent");
    // What we send again is not refused in mid-call, and counts.
    let again = now(limits.enter(&subject(&a), Turn::Again)).unwrap();
    drop(first);
    assert!(now(limits.enter(&subject(&a), Turn::New)).is_err());
    drop((second, again));
    now(limits.enter(&subject(&a), Turn::New)).unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn bytes_are_counted_and_the_next_call_is_refused() {
    let limits = limiter(vec![LimitPlan { result_bytes: Some(3600), ..limit("bytes", &[]) }], None);
    let limits = limits.of_route("main").unwrap();
    let a = principal("a");
    let held = now(limits.enter(&subject(&a), Turn::New)).unwrap().unwrap();
    held.count(3610);
    drop(held);
    let (name, by, wait) = now(limits.enter(&subject(&a), Turn::New)).unwrap_err();
    assert_eq!((name.as_str(), by, wait.as_secs()), ("bytes", "result_bytes", 10));
    advance(Duration::from_secs(11)).await;
    now(limits.enter(&subject(&a), Turn::New)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_counts_of_limits_that_are_the_same() {
    let same = LimitPlan { rate: rate(60, 1), ..limit("same", &[Per::Principal]) };
    let other = |burst| LimitPlan { rate: rate(60, burst), ..limit("other", &[]) };
    let limiter = limiter(vec![same.clone(), other(1)], None);
    let a = principal("a");
    now(limiter.of_route("main").unwrap().enter(&subject(&a), Turn::New)).unwrap();
    limiter.follow(&LimitingPlan { limits: vec![other(5), same], loops: None });
    let limits = limiter.of_route("main").unwrap();
    assert_eq!(now(limits.enter(&subject(&a), Turn::New)).unwrap_err().0, "same");
    now(limits.enter(&subject(&principal("b")), Turn::New)).unwrap();
    limiter.follow(&LimitingPlan::default());
    assert!(limiter.of_route("main").is_none());
}

fn tool<'a>(principal: &'a Principal, server: &'a str, tool: &'a str) -> Subject<'a> {
    Subject { server: Some(server), tool: Some(tool), ..subject(principal) }
}

#[tokio::test(start_paused = true)]
async fn tools_are_those_of_their_server_and_what_is_no_tool_is_not_counted() {
    let limits = limiter(vec![LimitPlan { rate: rate(60, 1), ..limit("tools", &[Per::Tool]) }], None);
    let limits = limits.of_route("main").unwrap();
    let a = principal("a");
    now(limits.enter(&subject(&a), Turn::New)).unwrap();
    now(limits.enter_target(tool(&a, "x", "add"), None, Turn::New)).unwrap();
    now(limits.enter_target(tool(&a, "y", "add"), None, Turn::New)).unwrap();
    now(limits.enter_target(tool(&a, "x", "sub"), None, Turn::New)).unwrap();
    now(limits.enter_target(tool(&a, "x", "add"), None, Turn::New)).unwrap_err();
    for _ in 0..3 {
        let prompt = Subject { server: Some("x"), ..subject(&a) };
        now(limits.enter_target(prompt, None, Turn::New)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_is_asked_is_not_under_way() {
    let limits = limiter(vec![LimitPlan { concurrent: Some(1), ..limit("one", &[]) }], None);
    let limits = limits.of_route("main").unwrap();
    let a = principal("a");
    let mut first = now(limits.enter(&subject(&a), Turn::New)).unwrap().unwrap();
    first.suspend();
    first.suspend();
    let second = now(limits.enter(&subject(&a), Turn::New)).unwrap().unwrap();
    // It comes back whether or not there is room.
    first.go_on();
    drop(second);
    now(limits.enter(&subject(&a), Turn::New)).unwrap_err();
    first.suspend();
    drop(first);
    let third = now(limits.enter(&subject(&a), Turn::New)).unwrap();
    now(limits.enter(&subject(&a), Turn::New)).unwrap_err();
    drop(third);
}

fn again<'a>(arguments: &'a str) -> Option<Repeated<'a>> {
    Some(Repeated { session: Some("s"), arguments: Some(arguments) })
}

#[tokio::test(start_paused = true)]
async fn the_same_call_again_and_again_is_refused() {
    let loops = LoopPlan { calls: 3, within: Duration::from_secs(60), action: LoopAction::Refuse };
    let limits = limiter(Vec::new(), Some(loops)).of_route("main").unwrap();
    let a = principal("a");
    for _ in 0..3 {
        now(limits.enter_target(tool(&a, "x", "add"), again(r#"{"a":1,"b":2}"#), Turn::New)).unwrap();
    }
    let refused = now(limits.enter_target(tool(&a, "x", "add"), again(r#"{ "b":2, "a":1 }"#), Turn::New));
    assert_eq!(refused.unwrap_err(), ("loops".to_owned(), "loop", Duration::from_secs(20)));
    now(limits.enter_target(tool(&a, "x", "add"), again(r#"{"a":2,"b":2}"#), Turn::New)).unwrap();
    now(limits.enter_target(tool(&a, "x", "sub"), again(r#"{"a":1,"b":2}"#), Turn::New)).unwrap();
    let other = Some(Repeated { session: Some("t"), arguments: Some(r#"{"a":1,"b":2}"#) });
    now(limits.enter_target(tool(&a, "x", "add"), other, Turn::New)).unwrap();
    // What we send again is no loop.
    now(limits.enter_target(tool(&a, "x", "add"), again(r#"{"a":1,"b":2}"#), Turn::Again)).unwrap();
    advance(Duration::from_secs(20)).await;
    now(limits.enter_target(tool(&a, "x", "add"), again(r#"{"a":1,"b":2}"#), Turn::New)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_same_call_again_and_again_is_made_slow_and_then_refused() {
    let loops = LoopPlan { calls: 6, within: Duration::from_secs(60), action: LoopAction::Slow };
    let limits = limiter(Vec::new(), Some(loops)).of_route("main").unwrap();
    let a = principal("a");
    let enter = || limits.enter_target(tool(&a, "x", "add"), again("{}"), Turn::New);
    for _ in 0..6 {
        now(enter()).unwrap();
    }
    let began = Instant::now();
    let mut waits = Vec::new();
    let mut slow = Vec::new();
    for _ in 0..3 {
        match enter() {
            Entry::Later(entered) => slow.push(entered),
            Entry::Now(entered) => panic!("{entered:?}"),
        }
    }
    assert_eq!(now(enter()).unwrap_err().1, "loop", "nobody waits for more than half a minute");
    for entered in slow {
        entered.await.unwrap();
        waits.push(began.elapsed().as_secs());
    }
    assert_eq!(waits, [10, 20, 30]);
}

/// What is given back can be taken again, by whichever limit it was counted.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_made_costs_nothing() {
    let each = LimitPlan { rate: rate(60, 1), ..limit("each", &[Per::Principal]) };
    let tools = LimitPlan { rate: rate(60, 1), concurrent: Some(1), ..limit("tools", &[Per::Tool]) };
    let loops = LoopPlan { calls: 1, within: Duration::from_secs(60), action: LoopAction::Refuse };
    let limits = limiter(vec![each, tools], Some(loops)).of_route("main").unwrap();
    let a = principal("a");
    for _ in 0..5 {
        let mut by_caller = now(limits.enter(&subject(&a), Turn::New)).unwrap().unwrap();
        let call = || now(limits.enter_target(tool(&a, "x", "add"), again("{}"), Turn::New));
        call().unwrap().unwrap().give_back();
        by_caller.give_back();
        by_caller.give_back();
    }
    drop(now(limits.enter_target(tool(&a, "x", "add"), again("{}"), Turn::New)).unwrap().unwrap());
    // One that a tool's limit refuses is no loop.
    for n in 0..3 {
        let arguments = format!("{{\"n\":{}}}", n / 2);
        let refused = now(limits.enter_target(tool(&a, "x", "add"), again(&arguments), Turn::New));
        assert_eq!(refused.unwrap_err().1, "rate");
    }
    now(limits.enter(&subject(&a), Turn::New)).unwrap();
    now(limits.enter(&subject(&a), Turn::New)).unwrap_err();
}
