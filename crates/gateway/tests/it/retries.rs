//! What is sent again, how often, and what never is.

use std::sync::Arc;
use std::time::Duration;

use base::globs::Globs;
use globset::Glob;
use testkit::http::Client;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Asked, Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use transport::net::Address;

use crate::ask;
use crate::failures::{OK, reason};
use crate::stand::{Over, Running, Stand, http_reach};

const ADMIN: (&str, u16) = ("127.0.0.1", 9090);
const READ: &str = r#""uri":"a://b""#;
const CONTENTS: &str = r#"{"resultType":"complete","contents":[],"ttlMs":0,"cacheScope":"private"}"#;

/// A gateway before one server over HTTP, whose tools it knows.
struct Bench {
    running: Running,
    server: ScriptedServer,
    desk: Desk,
    network: MemoryNetwork,
    address: Address,
}

async fn bench(persona: Persona, change: impl FnOnce(&mut Stand)) -> Bench {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    stand.plan.admin = Some(Address::Tcp(ADMIN.0.to_owned(), ADMIN.1));
    let (server, desk) = ScriptedServer::new(persona);
    let address = Address::Tcp("up".to_owned(), 80);
    server.serve_http(&network, &address).await;
    stand.put(base::plan::UpstreamPlan::new("up", base::plan::Reach::Http(http_reach(&address))));
    change(&mut stand);
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    running.gateway.settled().await;
    testkit::idle().await;
    Bench { running, server, desk, network, address }
}

impl Bench {
    fn send(&self, method: &str, params: &str) -> JoinHandle<String> {
        let (client, method, params) = (self.running.client.clone(), method.to_owned(), params.to_owned());
        tokio::spawn(async move { ask::modern(&client, &method, &params).await.response().await })
    }

    /// The value of a metric of the server.
    async fn metric(&self, name: &str) -> u64 {
        metric(&self.network, name).await
    }
}

/// The value of a metric of the server `up`; 0 where it was never counted.
pub(crate) async fn metric(network: &MemoryNetwork, name: &str) -> u64 {
    let admin = Client::new(Arc::new(network.clone()), Address::Tcp(ADMIN.0.to_owned(), ADMIN.1));
    let text = admin.send(&admin.request("GET /metrics", &[], b"")).await.body().await;
    let begins = format!("{name}{{upstream=\"up\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&begins));
    value.map_or(0, |value| value.parse().unwrap())
}

fn globs(glob: &str) -> Option<Globs> {
    Some(Globs::new(vec![Glob::new(glob).unwrap()]).unwrap())
}

fn personas() -> [Persona; 4] {
    [Persona::modern(), Persona::modern().streaming(), Persona::legacy(), Persona::legacy().streaming()]
}

/// Breaks off at one moment or another: before the head, in the middle of a stream that has said nothing, or by a proxy
/// that has lost the server.
async fn break_off(asked: Asked, how: usize) {
    match how {
        0 => asked.abort(),
        1 => asked.stream().await.abort(),
        2 => asked.respond(502, "text/html", &[], b"<html>").await,
        3 => asked.respond(503, "text/plain", &[], b"").await,
        _ => asked.respond(504, "text/plain", &[], b"").await,
    }
}

/// The most important one: whatever breaks, an unmarked tool is called once.
#[tokio::test(start_paused = true)]
async fn a_tool_call_that_broke_off_is_never_sent_twice() {
    for persona in personas() {
        for how in 0..5 {
            let mut bench = bench(persona.clone(), |stand| {
                stand.upstream("up").retries = 10;
                stand.upstream("up").retry_tools = globs("search_*");
            })
            .await;
            let called = bench.send("tools/call", r#""name":"pay""#);
            break_off(bench.desk.asked("tools/call").await, how).await;
            let text = called.await.unwrap();
            assert_eq!(reason(&text), Some("upstream_broke_off"), "{how}: {text}");
            assert_eq!(json::at(&text, &["error", "data", "notProcessed"]), Some("false"));
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(bench.server.seen_of("tools/call").len(), 1, "{how}");
            assert_eq!(bench.metric("portolan_retries_total").await, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_reads_is_sent_again_and_so_are_marked_tools() {
    for persona in personas() {
        for how in 0..5 {
            for (method, params, result) in [
                ("resources/read", READ, CONTENTS),
                ("prompts/get", r#""name":"p""#, r#"{"resultType":"complete","messages":[]}"#),
                ("tools/call", r#""name":"search_web""#, OK),
            ] {
                let mut bench =
                    bench(persona.clone(), |stand| stand.upstream("up").retry_tools = globs("search_*"))
                        .await;
                let called = bench.send(method, params);
                for _ in 0..2 {
                    break_off(bench.desk.asked(method).await, how).await;
                }
                let asked = bench.desk.asked(method).await;
                asked.result(result).await;
                let text = called.await.unwrap();
                assert!(json::at(&text, &["result"]).is_some(), "{how} {method}: {text}");
                assert_eq!(bench.server.seen_of(method).len(), 3);
                assert_eq!(bench.metric("portolan_retries_total").await, 2);
                // Each time under another id, so that a late answer cannot be taken for another one's.
                let ids: Vec<_> =
                    bench.server.seen_of(method).iter().map(|seen| seen.id().map(str::to_owned)).collect();
                assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retries_come_to_an_end_and_can_be_switched_off() {
    for retries in [0, 1, 2] {
        let mut bench = bench(Persona::modern(), |stand| stand.upstream("up").retries = retries).await;
        let called = bench.send("resources/read", READ);
        for _ in 0..=retries {
            bench.desk.asked("resources/read").await.abort();
        }
        assert_eq!(reason(&called.await.unwrap()), Some("upstream_broke_off"));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.server.seen_of("resources/read").len(), retries + 1);
    }
}

/// An error is an answer, and an answer that is wrong would be wrong again.
#[tokio::test(start_paused = true)]
async fn what_was_answered_is_not_sent_again() {
    let mut bench = bench(Persona::modern(), |_| {}).await;
    let called = bench.send("resources/read", READ);
    bench.desk.asked("resources/read").await.error(-32603, "no", None).await;
    assert_eq!(json::at(&called.await.unwrap(), &["error", "code"]), Some("-32603"));
    for (status, media) in [(500, "text/html"), (200, "text/html"), (429, "text/plain"), (401, "text/plain")]
    {
        let called = bench.send("resources/read", READ);
        bench.desk.asked("resources/read").await.respond(status, media, &[], b"x").await;
        assert!(json::at(&called.await.unwrap(), &["error"]).is_some());
    }
    assert_eq!(bench.server.seen_of("resources/read").len(), 5);
    assert_eq!(bench.metric("portolan_retries_total").await, 0);
}

/// Once a client has seen anything of its answer, there is no going back.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_after_the_client_has_seen_something() {
    for over in [Over::Http, Over::Stdio] {
        for persona in [Persona::modern().streaming(), Persona::legacy().streaming()] {
            let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
            let (server, mut desk) = stand.add("up", over, persona).await;
            let running = stand.start().await;
            server.saw("tools/list", 1).await;
            testkit::idle().await;
            let client = running.client.clone();
            let body = ask::body("1", "resources/read", READ)
                .replace(r#""_meta":{"#, r#""_meta":{"progressToken":7,"#);
            let called = tokio::spawn(async move { ask::send(&client, &body).await.response().await });
            let mut events = desk.asked("resources/read").await.stream().await;
            events.progress("1").await;
            testkit::idle().await;
            events.abort();
            server.crash();
            let text = called.await.unwrap();
            assert!(text.contains("upstream_broke_off"), "{over:?}: {text}");
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(server.seen_of("resources/read").len(), 1);
        }
    }
}

/// A stream that is silent for long is given to its client as it is, who must see that something is under way.
#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_not_held_back_for_ever() {
    let mut bench = bench(Persona::modern().streaming(), |_| {}).await;
    let client = bench.running.client.clone();
    let begun = tokio::spawn(async move { ask::modern(&client, "resources/read", READ).await });
    let events = bench.desk.asked("resources/read").await.stream().await;
    assert_eq!(begun.await.unwrap().media(), "text/event-stream");
    drop(events);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_is_asked_again_what_only_reads() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, mut desk) = stand.add("up", Over::Stdio, Persona::modern()).await;
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    for (method, params, times) in [("resources/read", READ, 2), ("tools/call", r#""name":"t""#, 1)] {
        let client = running.client.clone();
        let called = tokio::spawn(async move { ask::modern(&client, method, params).await.response().await });
        let held = desk.asked(method).await;
        server.crash();
        drop(held);
        if times == 2 {
            desk.asked(method).await.result(CONTENTS).await;
        }
        assert_eq!(called.await.unwrap().contains("contents"), times == 2);
        assert_eq!(server.seen_of(method).len(), times);
    }
}

/// Nothing was sent, so anything may be sent.
#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_tried_again_whatever_is_to_be_sent() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let mut bench = bench(persona, |_| {}).await;
        bench.server.crash();
        testkit::idle().await;
        bench.network.refuse(&bench.address, true);
        let called = bench.send("tools/call", r#""name":"pay""#);
        while bench.network.refused(&bench.address) == 0 {
            tokio::task::yield_now().await;
        }
        bench.network.refuse(&bench.address, false);
        bench.desk.asked("tools/call").await.result(OK).await;
        assert!(called.await.unwrap().contains("content"));
        assert_eq!(bench.server.seen_of("tools/call").len(), 1);
        assert_eq!(bench.metric("portolan_retries_total").await, 1);
    }
}

/// A connection that was kept and closed by the server is no fault and costs no retry: the pool takes another one.
#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_was_closed_is_no_retry() {
    let mut bench = bench(Persona::modern(), |_| {}).await;
    for _ in 0..5 {
        let called = bench.send("tools/call", r#""name":"t""#);
        bench.desk.asked("tools/call").await.result(OK).await;
        called.await.unwrap();
        bench.server.crash();
        testkit::idle().await;
    }
    assert_eq!(bench.server.seen_of("tools/call").len(), 5);
    assert_eq!(bench.metric("portolan_retries_total").await, 0);
}

/// A server that is sick because of its load is not given twice of it.
#[tokio::test(start_paused = true)]
async fn retries_are_bounded_by_a_budget() {
    let bench = bench(Persona::modern(), |stand| {
        stand.upstream("up").breaker.failures = 0;
        stand.upstream("up").retries = 10;
    })
    .await;
    let Bench { running, server, desk, network, .. } = bench;
    server.answer_all(desk, |asked| async move { asked.respond(503, "text/plain", &[], b"").await });
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = running.client.clone();
            tokio::spawn(async move { ask::modern(&client, "resources/read", READ).await.response().await })
        })
        .collect();
    for call in calls {
        assert_eq!(reason(&call.await.unwrap()), Some("upstream_broke_off"));
    }
    let seen = server.seen_of("resources/read").len();
    assert!((101..=135).contains(&seen), "{seen}");
    assert_eq!(metric(&network, "portolan_retries_total").await, u64::try_from(seen - 100).unwrap());
    assert!(metric(&network, "portolan_retries_withheld_total").await > 0);
}

/// A subscription has pauses of its own.
#[tokio::test(start_paused = true)]
async fn a_subscription_is_no_retry() {
    let able = Persona::modern().able(r#"{"tools":{"listChanged":true}}"#);
    let bench = bench(able, |_| {}).await;
    bench.server.listened_to(1).await;
    for _ in 0..3 {
        bench.server.crash();
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(bench.metric("portolan_retries_total").await, 0);
    assert!(bench.server.seen_of("subscriptions/listen").len() >= 4);
}
