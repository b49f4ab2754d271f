//! A server that fails again and again is left alone, found when it is back, and harms no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::plan::{BreakerPlan, Reach, UpstreamPlan};
use testkit::http::Client;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer, Seen};
use tokio::time::Instant;
use transport::net::Address;
use upstream::Health;

use crate::ask;
use crate::failures::{OK, reason};
use crate::retries::metric;
use crate::stand::{Over, Running, Stand, http_reach};

const CALLED: &str = r#""name":"t""#;

struct Bench {
    running: Running,
    server: ScriptedServer,
    network: MemoryNetwork,
    address: Address,
    /// Whether the server answers calls; else HTTP 503.
    is_well: Arc<AtomicBool>,
}

fn serve(server: &ScriptedServer, desk: Desk) -> Arc<AtomicBool> {
    let is_well = Arc::new(AtomicBool::new(true));
    let well = Arc::clone(&is_well);
    server.answer_all(desk, move |asked| {
        let is_well = well.load(Ordering::SeqCst);
        async move {
            match (is_well, asked.seen.method().as_str()) {
                (false, _) => asked.respond(503, "text/html", &[], b"<html>").await,
                (true, "server/discover") => {
                    let result = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;
                    asked.result(result).await;
                }
                (true, "ping") => asked.result("{}").await,
                (true, _) => asked.result(OK).await,
            }
        }
    });
    is_well
}

async fn bench(persona: Persona, change: impl FnOnce(&mut UpstreamPlan)) -> Bench {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    stand.plan.admin = Some(Address::Tcp("127.0.0.1".to_owned(), 9090));
    let (server, desk) = ScriptedServer::new(persona);
    let is_well = serve(&server, desk);
    let address = Address::Tcp("up".to_owned(), 80);
    server.serve_http(&network, &address).await;
    stand.put(UpstreamPlan::new("up", Reach::Http(http_reach(&address))));
    change(stand.upstream("up"));
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    running.gateway.settled().await;
    testkit::idle().await;
    Bench { running, server, network, address, is_well }
}

impl Bench {
    async fn call(&self) -> String {
        ask::modern(&self.running.client, "tools/call", CALLED).await.response().await
    }

    fn calls_seen(&self) -> usize {
        self.server.seen_of("tools/call").len()
    }

    async fn breaker(&self) -> u64 {
        metric(&self.network, "portolan_upstream_breaker").await
    }

    async fn ready(&self) -> String {
        let network = Arc::new(self.network.clone());
        let admin = Client::new(network, Address::Tcp("127.0.0.1".to_owned(), 9090));
        admin.send(&admin.request("GET /readyz", &[], b"")).await.body().await
    }

    fn is_up(&self) -> bool {
        matches!(self.running.gateway.health()[0].1, Health::Up { .. })
    }

    /// Lets calls fail until the breaker is open.
    async fn open(&self) {
        self.is_well.store(false, Ordering::SeqCst);
        for _ in 0..5 {
            assert_eq!(reason(&self.call().await), Some("upstream_broke_off"));
        }
        assert_eq!(self.breaker().await, 2);
    }
}

fn modern() -> Persona {
    Persona::modern().scripted(&["server/discover"])
}

/// `server/discover` comes to the desk only when the server is sick: at first it answers by itself.
async fn sick(persona: Persona, scripted: &[&str], change: impl FnOnce(&mut UpstreamPlan)) -> Bench {
    let bench = bench(persona, change).await;
    bench.server.persona().scripted.extend(scripted.iter().map(|method| (*method).to_owned()));
    bench
}

#[tokio::test(start_paused = true)]
async fn after_faults_in_a_row_calls_are_refused_at_once_and_told_why() {
    let bench = sick(Persona::modern(), &["server/discover"], |_| {}).await;
    bench.open().await;
    assert_eq!(bench.calls_seen(), 5);
    let began = Instant::now();
    let text = bench.call().await;
    assert!(began.elapsed().is_zero());
    assert_eq!(reason(&text), Some("breaker_open"), "{text}");
    assert_eq!(json::at(&text, &["error", "code"]), Some("-31503"));
    assert_eq!(json::at(&text, &["error", "data", "upstream"]), Some("\"up\""));
    assert_eq!(json::at(&text, &["error", "data", "notProcessed"]), Some("true"));
    assert_eq!(json::at(&text, &["error", "data", "retry"]), Some("\"after-delay\""));
    let millis: u64 = json::at(&text, &["error", "data", "retryAfterMs"]).unwrap().parse().unwrap();
    assert!((1..=1000).contains(&millis), "{text}");
    assert!(text.contains("it answered HTTP 503; it is tried again in 1s"), "{text}");
    // Lists and reads, too, and none of them reaches the server.
    for (method, params) in [("tools/list", ""), ("resources/read", r#""uri":"a://b""#)] {
        let text = ask::modern(&bench.running.client, method, params).await.response().await;
        assert!(text.contains("has failed again and again"), "{text}");
    }
    assert_eq!(bench.calls_seen(), 5);
    assert_eq!(bench.server.seen_of("resources/read").len(), 0);
    assert_eq!(metric(&bench.network, "portolan_breaker_openings_total").await, 1);
    let ready = bench.ready().await;
    assert_eq!(json::at(&ready, &["upstreams", "up", "state"]), Some("\"down\""), "{ready}");
    assert_eq!(json::at(&ready, &["upstreams", "up", "breaker"]), Some("\"open\""), "{ready}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_back_is_found_before_any_client_asks() {
    for (persona, probe) in [(Persona::modern(), "server/discover"), (Persona::legacy(), "ping")] {
        let bench = sick(persona, &[probe], |_| {}).await;
        let before = bench.server.seen_of(probe).len();
        bench.open().await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(!bench.is_up());
        let probes = bench.server.seen_of(probe).len() - before;
        // Pauses of 1, 2, 4, 8, 16 and then 30 seconds, each by up to half shorter.
        assert!((6..=14).contains(&probes), "{probes}");
        bench.is_well.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert!(bench.is_up());
        assert_eq!((bench.breaker().await, bench.calls_seen()), (0, 5));
        assert!(bench.ready().await.contains(r#""ready":true"#));
        assert!(bench.call().await.contains("content"));
    }
}

/// The probe is Portolan's own.
#[tokio::test(start_paused = true)]
async fn a_probe_says_nothing_of_any_client() {
    for (persona, probe) in [(Persona::modern(), "server/discover"), (Persona::legacy(), "ping")] {
        let bench = sick(persona, &[probe], |plan| {
            if let Reach::Http(reach) = &mut plan.reach {
                reach.forward_headers = vec!["x-who".parse().unwrap()];
                reach.headers = vec![("x-key".parse().unwrap(), "ours".parse().unwrap())];
            }
        })
        .await;
        let before = bench.server.seen_of(probe).len();
        let body = ask::body("1", "tools/call", r#""name":"t","arguments":{"secret":"tell-nobody"}"#);
        let mut headers = ask::mirrored(&body);
        headers.push(("x-who", "somebody".to_owned()));
        headers.push(("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        bench.is_well.store(false, Ordering::SeqCst);
        for _ in 0..5 {
            drop(bench.running.client.post(&headers, body.as_bytes()).await.body().await);
        }
        assert_eq!(bench.server.seen_of("tools/call")[0].header("x-who"), Some("somebody"));
        let probes: Vec<Seen> = bench.server.saw(probe, before + 1).await.split_off(before);
        for seen in probes {
            assert_eq!((seen.header("x-who"), seen.header("traceparent")), (None, None));
            assert_eq!(seen.header("x-key"), Some("ours"));
            assert!(!seen.text().contains("tell-nobody"), "{}", seen.text());
            assert_eq!(seen.param("arguments"), None);
        }
    }
}

/// One at a time, even if the server takes them and says nothing.
#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_the_only_one_and_ends() {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    let (server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    stand.upstream("up").deadlines.connect = Duration::from_secs(5);
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    running.gateway.settled().await;
    testkit::idle().await;
    server.persona().scripted.insert("server/discover".to_owned());
    for _ in 0..5 {
        let client = running.client.clone();
        let call =
            tokio::spawn(async move { ask::modern(&client, "tools/call", CALLED).await.response().await });
        desk.asked("tools/call").await.abort();
        drop(call.await.unwrap());
    }
    for _ in 0..4 {
        let held = desk.asked("server/discover").await;
        let began = Instant::now();
        // Meanwhile calls do not wait for what becomes of it, and none takes its place.
        let text = ask::modern(&running.client, "tools/call", CALLED).await.response().await;
        assert_eq!(reason(&text), Some("breaker_open"), "{text}");
        assert_eq!(desk.left().len(), 0);
        held.gone().await;
        assert_eq!(began.elapsed().as_secs(), 5);
    }
}

/// What is no fault of the server does not count.
#[tokio::test(start_paused = true)]
async fn errors_limits_and_clients_that_go_away_open_nothing() {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    stand.plan.admin = Some(Address::Tcp("127.0.0.1".to_owned(), 9090));
    let (server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    stand.upstream("up").breaker.failures = 1;
    stand.upstream("up").deadlines.call = Duration::from_secs(2);
    (stand.upstream("up").concurrent_calls, stand.upstream("up").queued_calls) = (1, 0);
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    running.gateway.settled().await;
    testkit::idle().await;
    let call = || {
        let client = running.client.clone();
        tokio::spawn(async move { ask::modern(&client, "tools/call", CALLED).await.response().await })
    };
    // An error of its own, even with HTTP 500.
    let failed = call();
    let asked = desk.asked("tools/call").await;
    let id = asked.seen.id().unwrap().to_owned();
    let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32603,"message":"no"}}}}"#);
    asked.respond(500, "application/json", &[], error.as_bytes()).await;
    assert!(failed.await.unwrap().contains("-32603"));
    // Our limits, and a client that goes away.
    let hanging = call();
    let held = desk.asked("tools/call").await;
    assert_eq!(reason(&call().await.unwrap()), Some("overloaded"));
    hanging.abort();
    held.gone().await;
    // A deadline: the server may well be busy with what it was asked.
    let late = call();
    let held = desk.asked("tools/call").await;
    assert_eq!(reason(&late.await.unwrap()), Some("upstream_deadline"));
    drop(held);
    // Rubbish.
    for (status, media) in [(200, "text/html"), (400, "text/html"), (401, "text/plain"), (429, "text/plain")]
    {
        let refused = call();
        desk.asked("tools/call").await.respond(status, media, &[], b"x").await;
        assert!(refused.await.unwrap().contains("error"));
        testkit::idle().await;
    }
    assert_eq!(metric(&network, "portolan_breaker_openings_total").await, 0);
    // And what is.
    let broken = call();
    desk.asked("tools/call").await.respond(500, "text/html", &[], b"x").await;
    assert_eq!(reason(&broken.await.unwrap()), Some("upstream_invalid_answer"));
    assert_eq!(metric(&network, "portolan_breaker_openings_total").await, 1);
}

/// A stream that breaks is a fault, however well it began; an answer in between begins the count anew.
#[tokio::test(start_paused = true)]
async fn streams_that_break_count_and_answers_begin_the_count_anew() {
    for persona in [Persona::modern().streaming(), Persona::legacy().streaming()] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, mut desk) = stand.add("up", Over::Http, persona).await;
        stand.upstream("up").breaker.failures = 3;
        let running = stand.start().await;
        server.saw("tools/list", 1).await;
        running.gateway.settled().await;
        testkit::idle().await;
        for is_broken in [true, true, false, true, true, true] {
            let client = running.client.clone();
            let call =
                tokio::spawn(
                    async move { ask::modern(&client, "tools/call", CALLED).await.response().await },
                );
            let events = desk.asked("tools/call").await.stream().await;
            if is_broken {
                events.abort();
                assert!(call.await.unwrap().contains("upstream_broke_off"));
            } else {
                events.result(OK).await;
                assert!(call.await.unwrap().contains("content"));
            }
        }
        let text = ask::modern(&running.client, "tools/call", CALLED).await.response().await;
        assert_eq!(reason(&text), Some("breaker_open"), "{text}");
    }
}

/// Without anybody who looks after it, a client's call is the trial: one, and the others are refused meanwhile.
#[tokio::test(start_paused = true)]
async fn of_many_calls_one_is_the_trial() {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    let (server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let plan = stand.upstream("up");
    plan.watched = false;
    plan.breaker = BreakerPlan { failures: 2, ..BreakerPlan::default() };
    let running = stand.start().await;
    let call = || {
        let client = running.client.clone();
        tokio::spawn(async move { ask::modern(&client, "tools/call", CALLED).await.response().await })
    };
    for _ in 0..2 {
        let failed = call();
        desk.asked("tools/call").await.abort();
        failed.await.unwrap();
    }
    assert_eq!(reason(&call().await.unwrap()), Some("breaker_open"));
    for is_well in [false, true] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let trial = call();
        let asked = desk.asked("tools/call").await;
        for _ in 0..10 {
            assert_eq!(reason(&call().await.unwrap()), Some("breaker_open"));
        }
        if is_well {
            asked.result(OK).await;
            assert!(trial.await.unwrap().contains("content"));
        } else {
            asked.abort();
            assert_eq!(reason(&trial.await.unwrap()), Some("upstream_broke_off"));
        }
    }
    assert_eq!(server.seen_of("tools/call").len(), 4);
    let (one, two) = (call(), call());
    desk.asked("tools/call").await.result(OK).await;
    desk.asked("tools/call").await.result(OK).await;
    assert!(one.await.unwrap().contains("content") && two.await.unwrap().contains("content"));
}

/// A trial whose client goes away was none.
#[tokio::test(start_paused = true)]
async fn a_trial_that_nobody_waits_for_is_begun_again() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let plan = stand.upstream("up");
    (plan.watched, plan.breaker.failures) = (false, 1);
    let running = stand.start().await;
    let call = || {
        let client = running.client.clone();
        tokio::spawn(async move { ask::modern(&client, "tools/call", CALLED).await.response().await })
    };
    let failed = call();
    desk.asked("tools/call").await.abort();
    failed.await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let trial = call();
    let held = desk.asked("tools/call").await;
    trial.abort();
    held.gone().await;
    let next = call();
    desk.asked("tools/call").await.result(OK).await;
    assert!(next.await.unwrap().contains("content"));
}

/// A server that was never there, and one that refuses connections.
#[tokio::test(start_paused = true)]
async fn refused_connections_open_it_and_are_not_made_any_more() {
    let bench = bench(Persona::modern(), |_| {}).await;
    bench.server.crash();
    testkit::idle().await;
    bench.network.refuse(&bench.address, true);
    for _ in 0..5 {
        assert_eq!(reason(&bench.call().await), Some("upstream_unreachable"));
    }
    let tried = bench.network.refused(&bench.address);
    for _ in 0..100 {
        assert_eq!(reason(&bench.call().await), Some("breaker_open"));
    }
    assert_eq!(bench.network.refused(&bench.address), tried);
    bench.network.refuse(&bench.address, false);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(bench.is_up());
    assert!(bench.call().await.contains("content"));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_can_be_switched_off() {
    let bench = sick(Persona::modern(), &[], |plan| plan.breaker.failures = 0).await;
    bench.is_well.store(false, Ordering::SeqCst);
    for _ in 0..50 {
        assert_eq!(reason(&bench.call().await), Some("upstream_broke_off"));
    }
    assert_eq!((bench.calls_seen(), bench.breaker().await), (50, 0));
}

/// Who lies idle is asked now and then, if the operator wants that.
#[tokio::test(start_paused = true)]
async fn an_idle_server_is_asked_how_it_is_when_that_is_wanted() {
    for wanted in [false, true] {
        let bench = bench(Persona::modern(), |plan| {
            plan.health_check = wanted.then_some(Duration::from_secs(30));
        })
        .await;
        let before = bench.server.seen_of("server/discover").len();
        tokio::time::sleep(Duration::from_secs(300)).await;
        let probes = bench.server.seen_of("server/discover").len() - before;
        if wanted {
            assert!((9..=20).contains(&probes), "{probes}");
            bench.server.crash();
            bench.network.refuse(&bench.address, true);
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(!bench.is_up());
        } else {
            assert_eq!(probes, 0);
        }
    }
}

/// Everything at once: one server hangs, one fails, and a third one on the same route knows nothing of it.
#[tokio::test(start_paused = true)]
async fn bad_servers_take_nothing_from_a_good_one() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (hangs, _held) = stand.add("hangs", Over::Http, Persona::modern()).await;
    let (fails, desk) = stand.add("fails", Over::Http, modern()).await;
    let is_well = serve(&fails, desk);
    let (good, desk) = stand.add("good", Over::Http, Persona::modern()).await;
    serve(&good, desk);
    (stand.upstream("hangs").concurrent_calls, stand.upstream("hangs").queued_calls) = (20, 20);
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    is_well.store(false, Ordering::SeqCst);
    let call = |name: &str| {
        let (client, params) = (running.client.clone(), format!(r#""name":"{name}__t""#));
        tokio::spawn(async move { ask::modern(&client, "tools/call", &params).await.response().await })
    };
    let hanging: Vec<_> = (0..60).map(|_| call("hangs")).collect();
    testkit::idle().await;
    let began = Instant::now();
    for _ in 0..50 {
        let failed = call("fails").await.unwrap();
        assert!(json::at(&failed, &["error"]).is_some());
        assert!(call("good").await.unwrap().contains("content"));
    }
    assert!(began.elapsed().is_zero());
    assert_eq!(hangs.seen_of("tools/call").len(), 20);
    assert_eq!(fails.seen_of("tools/call").len(), 5);
    assert_eq!(good.seen_of("tools/call").len(), 50);
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}
