//! The bound on all bytes that are held at once: who is refused past it, and that everything is given back.

use std::sync::Arc;
use std::time::Duration;

use base::plan::Plan;
use testkit::http::Client;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Asked, Desk, Persona, ScriptedServer};
use tokio::task::JoinHandle;
use transport::memory::Memory;
use upstream::Health;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

const LIMIT: usize = 100_000;

async fn bounded(over: Over, persona: Persona) -> (Running, ScriptedServer, Desk, Memory) {
    let (running, server, desk, memory, _plan) = of_plan(over, persona).await;
    (running, server, desk, memory)
}

async fn of_plan(over: Over, persona: Persona) -> (Running, ScriptedServer, Desk, Memory, Plan) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    let memory = Memory::new(LIMIT);
    stand.memory = memory.clone();
    let plan = stand.plan.clone();
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    (running, server, desk, memory, plan)
}

fn echo(size: usize) -> String {
    ask::body("1", "tools/call", &format!(r#""name":"echo","arguments":{{"text":"{}"}}"#, "x".repeat(size)))
}

fn call(client: &Client, size: usize) -> JoinHandle<(u16, String)> {
    let (client, body) = (client.clone(), echo(size));
    tokio::spawn(async move {
        let reply = ask::send(&client, &body).await;
        (reply.status, reply.response().await)
    })
}

fn result(size: usize) -> String {
    format!(r#"{{"resultType":"complete","content":[{{"type":"text","text":"{}"}}]}}"#, "y".repeat(size))
}

#[tokio::test(start_paused = true)]
async fn a_request_that_there_is_no_memory_for_is_refused_before_it_is_read() {
    let (running, server, mut desk, memory) = bounded(Over::Http, Persona::modern()).await;
    let first = call(&running.client, 60_000);
    let asked = desk.asked("tools/call").await;
    assert!((60_000..70_000).contains(&memory.held()), "{}", memory.held());
    // All come from the same place, so what is left is for those who need little.
    let body = echo(60_000);
    let headers = ask::mirrored(&body);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let head = running.client.request("POST /mcp", &headers, body.as_bytes());
    let mut connection = running.client.open().await;
    connection.write(&head[..head.len() - body.len()]).await;
    let mut refused = connection.reply().await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    let text = refused.body().await;
    assert_eq!(json::at(&text, &["error", "data", "reason"]), Some("\"overloaded\""), "{text}");
    assert!(text.contains("the limit is 100000"), "{text}");
    let small = call(&running.client, 10);
    desk.asked("tools/call").await.result(&result(10)).await;
    assert_eq!(small.await.unwrap().0, 200);
    // Who can wait for a moment need not be refused.
    let waits = call(&running.client, 60_000);
    testkit::idle().await;
    asked.result(&result(10)).await;
    assert_eq!(first.await.unwrap().0, 200);
    desk.asked("tools/call").await.result(&result(10)).await;
    assert_eq!(waits.await.unwrap().0, 200);
    testkit::idle().await;
    assert_eq!((memory.held(), server.seen_of("tools/call").len()), (0, 3));
}

/// Nothing is wrong with the server then, and whether the call was carried out is not hidden.
#[tokio::test(start_paused = true)]
async fn an_answer_that_there_is_no_memory_for_is_no_fault_of_its_server() {
    for persona in [Persona::modern(), Persona::modern().streaming(), Persona::legacy()] {
        let (running, _server, mut desk, memory) = bounded(Over::Http, persona).await;
        for _ in 0..12 {
            let large = call(&running.client, 10);
            desk.asked("tools/call").await.result(&result(2 * LIMIT)).await;
            let (status, text) = large.await.unwrap();
            // Over a stream that has begun there is no other status any more.
            assert!(matches!(status, 503 | 200), "{text}");
            assert_eq!(json::at(&text, &["error", "code"]), Some("-31507"), "{text}");
            assert_eq!(json::at(&text, &["error", "data", "retry"]), Some("\"unknown\""), "{text}");
        }
        let [(_, health)] = &running.gateway.health()[..] else { panic!("one server") };
        assert!(matches!(health, Health::Up { .. }), "{health:?}");
        let small = call(&running.client, 10);
        desk.asked("tools/call").await.result(&result(10)).await;
        assert_eq!(small.await.unwrap().0, 200);
        testkit::idle().await;
        assert_eq!(memory.held(), 0);
    }
}

/// What waits for a client that does not read it is another text than what the server wrote.
#[tokio::test(start_paused = true)]
async fn progress_that_waits_for_its_client_is_counted() {
    let (running, _server, mut desk, memory) = bounded(Over::Http, Persona::modern().streaming()).await;
    let body = ask::body("1", "tools/call", r#""name":"echo","arguments":{}"#);
    let body = body.replace(r#""_meta":{"#, r#""_meta":{"progressToken":"t","#);
    let mut reply = ask::send(&running.client, &body).await;
    let asked = desk.asked("tools/call").await;
    let token = asked.seen.id().unwrap().to_owned();
    let mut events = asked.stream().await;
    let says = tokio::spawn(async move {
        for n in 1..=40 {
            let text = "p".repeat(10_000);
            let params = format!(r#"{{"progressToken":{token},"progress":{n},"message":"{text}"}}"#);
            events.notify("notifications/progress", &params).await;
        }
    });
    testkit::idle().await;
    // What is on its way is little; what waits behind that is no more than there may be.
    assert!((10_000..=LIMIT).contains(&memory.held()), "{}", memory.held());
    while reply.event().await.is_some() {}
    says.abort();
    testkit::idle().await;
    assert_eq!(memory.held(), 0);
}

/// Clients choose what they declare, and for each choice a list may be kept.
#[tokio::test(start_paused = true)]
async fn lists_that_are_only_kept_leave_room_for_calls() {
    let description = "x".repeat(100_000);
    let tool =
        format!(r#"[{{"name":"echo","description":"{description}","inputSchema":{{"type":"object"}}}}]"#);
    let persona = Persona::modern().listing("tools/list", &tool).fresh(3_600_000, "private");
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Http, persona).await;
    let memory = Memory::new(20 * LIMIT);
    stand.memory = memory.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    for number in 0..60 {
        let body = ask::body("1", "tools/list", "").replace(
            r#""io.modelcontextprotocol/clientCapabilities":{}"#,
            &format!(
                r#""io.modelcontextprotocol/clientCapabilities":{{"extensions":{{"x/{number}":{{}}}}}}"#
            ),
        );
        assert!(body.contains("extensions"), "{body}");
        let reply = ask::send(&running.client, &body).await;
        assert_eq!((reply.status, reply.response().await.contains(&description)), (200, true));
        testkit::idle().await;
        assert!(memory.held() <= memory.limit() / 2, "{} after {number}", memory.held());
    }
}

/// A number that looks drawn, and is the same in each run.
fn drawn(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// What becomes of a call.
async fn play(asked: Asked, waits: JoinHandle<()>, server: &ScriptedServer, how: u64) {
    match how {
        0 => asked.result(&result(20_000)).await,
        1 => asked.result(&result(3 * LIMIT)).await,
        2 => asked.error(-1, &"z".repeat(20_000), None).await,
        3 => {
            waits.abort();
            testkit::idle().await;
            asked.result(&result(20_000)).await;
            return;
        }
        4 if asked.is_http() => asked.abort(),
        5 if asked.is_http() => {
            let mut events = asked.stream().await;
            events.log("info").await;
            events
                .message(&format!(
                    r#"{{"jsonrpc":"2.0","method":"x","params":{{"a":"{}"}}}}"#,
                    "w".repeat(30_000)
                ))
                .await;
            waits.abort();
            testkit::idle().await;
            return events.end().await;
        }
        6 => {
            server.crash();
            drop(asked);
        }
        4.. if !asked.is_http() => asked.result(&result(50_000)).await,
        _ => asked.raw(format!("{}\n", "q".repeat(20_000)).as_bytes()).await,
    }
    drop(tokio::time::timeout(Duration::from_secs(600), waits).await);
}

/// Twelve calls of clients of one kind, each with another end.
async fn ends(kind: Kind, running: &Running, (server, desk): (&ScriptedServer, &mut Desk), seed: &mut u64) {
    for _ in 0..12 {
        let mut door = Door::open(kind, running).await;
        let text = format!(r#""name":"echo","arguments":{{"text":"{}"}}"#, "x".repeat(15_000));
        let body = door.body("1", "tools/call", &text, "");
        let waits = tokio::spawn(async move {
            let mut begun = door.begin(&body).await;
            while door.next(&mut begun).await.is_some_and(|text| !text.contains(r#""id":1"#)) {}
        });
        match tokio::time::timeout(Duration::from_secs(30), desk.asked("tools/call")).await {
            Ok(asked) => play(asked, waits, server, drawn(seed, 8)).await,
            // It is left alone for a while, because of what was done before.
            Err(_) => waits.abort(),
        }
    }
}

/// A call that its server has, if that is well, and does not answer.
async fn left_open(kind: Kind, running: &Running, desk: &mut Desk) -> (JoinHandle<()>, Option<Asked>) {
    let mut door = Door::open(kind, running).await;
    let text = format!(r#""name":"echo","arguments":{{"text":"{}"}}"#, "x".repeat(15_000));
    let body = door.body("1", "tools/call", &text, "");
    let waits = tokio::spawn(async move {
        let mut begun = door.begin(&body).await;
        while door.next(&mut begun).await.is_some() {}
    });
    (waits, tokio::time::timeout(Duration::from_secs(30), desk.asked("tools/call")).await.ok())
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_a_call_all_of_it_is_given_back() {
    let mut seed = 11;
    let personas = [Persona::modern(), Persona::legacy(), Persona::legacy().with_stream()];
    for (over, persona) in
        [Over::Http, Over::Stdio].iter().flat_map(|over| personas.iter().map(|it| (*over, it)))
    {
        for kind in Kind::ALL {
            let (running, server, mut desk, memory, plan) = of_plan(over, persona.clone()).await;
            ends(kind, &running, (&server, &mut desk), &mut seed).await;
            let waiting = left_open(kind, &running, &mut desk).await;
            // The server is another one from now on, and the gateway ends, while calls of either wait.
            let mut next = plan.clone();
            next.upstreams[0].message_bytes -= 1;
            running.gateway.reload(next);
            let more = left_open(kind, &running, &mut desk).await;
            running.gateway.stop().await;
            drop((desk, waiting, more));
            testkit::idle().await;
            assert_eq!(memory.held(), 0, "{over:?} {kind:?}");
        }
    }
}
