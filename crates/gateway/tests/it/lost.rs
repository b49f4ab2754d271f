//! The table «Lost sessions» of docs/development/decisions.md: what counts as a lost session, and what may then be sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base::plan::{Reach, UpstreamPlan};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Asked, Desk, Persona, ScriptedServer};
use transport::net::Address;

use crate::doors::{Door, Kind};
use crate::failures::{call, reason};
use crate::retries::metric;
use crate::stand::{Running, Stand, http_reach};

/// A way to refuse a request: status, media type, and body, in which ID stands for the request's id.
#[derive(Debug, Clone, Copy)]
struct Way(u16, &'static str, &'static str);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// What servers say who do not know a session (any more), or know none and have not been introduced.
const LOST: [Way; 20] = [
    Way(404, TEXT, "Session not found"),
    Way(404, "", ""),
    Way(404, JSON, r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#),
    Way(404, JSON, r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":ID}"#),
    Way(
        404,
        JSON,
        r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}"#,
    ),
    Way(404, JSON, r#"{"error":"Session not found"}"#),
    Way(
        404,
        "text/event-stream",
        "data: {\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32001,\"message\":\"Session not found\"},\"id\":null}\n\n",
    ),
    Way(400, TEXT, "Bad Request: No valid session ID provided"),
    Way(
        400,
        JSON,
        r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}"#,
    ),
    Way(
        400,
        JSON,
        r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#,
    ),
    Way(400, "text/html", "<h1>Bad Request</h1>"),
    Way(401, TEXT, "Unauthorized: Session not found"),
    Way(409, TEXT, "unknown session"),
    Way(410, TEXT, "gone"),
    Way(422, TEXT, "Unexpected message, expect initialize request"),
    Way(200, JSON, r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#),
    Way(
        200,
        JSON,
        r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid session"},"id":"server-error"}"#,
    ),
    Way(200, JSON, r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Session not found"},"id":ID}"#),
    Way(404, JSON, r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Not Found"},"id":ID}"#),
    Way(400, JSON, r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request"},"id":ID}"#),
];

/// What a call may be refused with in a session that lives, and the code of the error that the client gets.
const STANDS: [(Way, &str); 12] = [
    (
        Way(404, JSON, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"No such record"}}"#),
        "-32602",
    ),
    (
        Way(404, JSON, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32001,"message":"Session not found"}}"#),
        "-32001",
    ),
    (Way(404, TEXT, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":7,"message":"x"}}"#), "7"),
    (
        Way(
            404,
            "text/event-stream",
            "data: {\"jsonrpc\":\"2.0\",\"id\":ID,\"error\":{\"code\":7,\"message\":\"x\"}}\n\n",
        ),
        "7",
    ),
    (Way(400, JSON, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"bad"}}"#), "-32602"),
    (Way(500, JSON, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"bad"}}"#), "-32603"),
    (
        Way(200, JSON, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32600,"message":"no browser session"}}"#),
        "-32600",
    ),
    (
        Way(400, JSON, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#),
        "-32700",
    ),
    (Way(404, TEXT, "no such record"), "-31502"),
    (Way(400, TEXT, "no"), "-31502"),
    (Way(401, TEXT, "who are you?"), "-31511"),
    (Way(500, TEXT, "oops"), "-31502"),
];

async fn refuse(asked: Asked, Way(status, media, body): Way) {
    let body = body.replace("ID", asked.seen.id().unwrap_or("null"));
    asked.respond(status, media, &[], body.as_bytes()).await;
}

/// A server all of whose requests come to the desk, but those that open sessions.
fn persona() -> Persona {
    Persona::legacy().scripted(&["ping", "tools/list", "tools/call"])
}

struct Scene {
    running: Running,
    server: ScriptedServer,
    network: MemoryNetwork,
    /// How often the tool ran.
    ran: Arc<AtomicUsize>,
}

async fn scene<F>(persona: Persona, answer: impl Fn(ScriptedServer, Asked) -> F + Send + 'static) -> Scene
where
    F: Future<Output = bool> + Send + 'static,
{
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    stand.plan.admin = Some(Address::Tcp("127.0.0.1".to_owned(), 9090));
    let (server, desk): (_, Desk) = ScriptedServer::new(persona);
    let address = Address::Tcp("up".to_owned(), 80);
    server.serve_http(&network, &address).await;
    stand.put(UpstreamPlan::new("up", Reach::Http(http_reach(&address))));
    let ran = Arc::new(AtomicUsize::new(0));
    let (same, counted) = (server.clone(), Arc::clone(&ran));
    server.answer_all(desk, move |asked| {
        let counted = Arc::clone(&counted);
        let is_call = asked.seen.method() == "tools/call";
        let answered = answer(same.clone(), asked);
        async move {
            if answered.await && is_call {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    running.gateway.settled().await;
    testkit::idle().await;
    Scene { running, server, network, ran }
}

impl Scene {
    async fn call(&self) -> String {
        call(&self.running, "t").await.unwrap()
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

async fn do_well(asked: Asked) -> bool {
    match asked.seen.method().as_str() {
        "tools/list" => asked.result(r#"{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}"#).await,
        _ => asked.result(r#"{"content":[]}"#).await,
    }
    true
}

/// Whatever says that a session is lost: a new one is opened, and what was refused in the old one is done in it, once.
#[tokio::test(start_paused = true)]
async fn a_lost_session_is_opened_anew_however_it_is_told() {
    for way in LOST {
        let scene = scene(persona(), move |server, asked| async move {
            if server.has_lost_session(&asked) {
                refuse(asked, way).await;
                return false;
            }
            do_well(asked).await
        })
        .await;
        assert!(scene.call().await.contains("content"), "{way:?}");
        for n in 2..5 {
            scene.server.forget_sessions();
            let (one, other) = tokio::join!(scene.call(), scene.call());
            assert!(one.contains("content") && other.contains("content"), "{way:?}: {one} {other}");
            assert_eq!(scene.server.sessions_opened(), n, "{way:?}");
        }
        assert_eq!(scene.ran(), 7, "{way:?}");
        assert_eq!(metric(&scene.network, "portolan_upstream_sessions_lost_total").await, 3);
    }
}

/// A server that gives its sessions no ids and has been restarted wants to be introduced.
#[tokio::test(start_paused = true)]
async fn a_server_without_session_ids_that_was_restarted_is_introduced_again() {
    let fresh = Arc::new(AtomicBool::new(false));
    let restarted = Arc::clone(&fresh);
    let mut persona = persona();
    persona.gives_session_ids = false;
    let scene = scene(persona, move |server, asked| {
        let fresh = Arc::clone(&fresh);
        async move {
            if fresh.load(Ordering::SeqCst) && server.sessions_opened() == 1 {
                let way = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#;
                refuse(asked, Way(400, JSON, way)).await;
                return false;
            }
            do_well(asked).await
        }
    })
    .await;
    assert!(scene.call().await.contains("content"));
    restarted.store(true, Ordering::SeqCst);
    assert!(scene.call().await.contains("content"));
    assert_eq!((scene.ran(), scene.server.sessions_opened()), (2, 2));
}

/// Another server may be there by now, of another era or transport; then what it is is found out anew.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_replaced_by_another_one_is_found_out() {
    let modern = Persona::modern().scripted(&["tools/call"]);
    for (persona, refusal) in [
        (modern.clone(), Way(404, TEXT, "no such session")),
        (
            modern,
            Way(
                400,
                JSON,
                r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}}"#,
            ),
        ),
    ] {
        let scene = scene(Persona::legacy().scripted(&["tools/call"]), move |_, asked| async move {
            let is_old = asked.seen.header("mcp-session-id").is_some();
            if is_old && asked.seen.text().contains("new") {
                refuse(asked, refusal).await;
                return false;
            }
            asked.result(r#"{"resultType":"complete","content":[]}"#).await;
            true
        })
        .await;
        assert!(scene.call().await.contains("content"));
        *scene.server.persona() = persona;
        scene.server.forget_sessions();
        let text = call(&scene.running, "new").await.unwrap();
        assert!(text.contains("content"), "{refusal:?}: {text}");
        assert_eq!((scene.ran(), scene.server.sessions_opened()), (2, 1), "{refusal:?}");
    }
}

/// A status of 500 and more may have been given in the middle of a call, so that is not done again; but the next one finds a
/// session.
#[tokio::test(start_paused = true)]
async fn a_server_that_fails_over_an_unknown_session_gets_another_but_no_call_twice() {
    let ways = [
        (Way(500, "text/html", "TypeError: Cannot read properties of undefined"), "upstream_invalid_answer"),
        (Way(503, JSON, r#"{"error":"unknown session"}"#), "upstream_broke_off"),
        (Way(200, "text/event-stream", "data: {\"error\":\"Session not found\"}\n\n"), "upstream_broke_off"),
    ];
    for (way, why) in ways {
        let scene = scene(persona(), move |server, asked| async move {
            if server.has_lost_session(&asked) {
                refuse(asked, way).await;
                return false;
            }
            do_well(asked).await
        })
        .await;
        scene.server.forget_sessions();
        assert_eq!(reason(&scene.call().await), Some(why));
        assert_eq!((scene.ran(), scene.server.seen_of("tools/call").len()), (0, 1));
        testkit::idle().await;
        assert!(scene.call().await.contains("content"));
        assert_eq!(scene.server.sessions_opened(), 2);
    }
}

/// A body that answers our id is the answer, and any other refusal stands where the session lives.
#[tokio::test(start_paused = true)]
async fn what_is_refused_in_a_session_that_lives_is_not_sent_again() {
    for (way, code) in STANDS {
        let scene = scene(persona(), move |_, asked| async move {
            if asked.seen.method() == "tools/call" {
                refuse(asked, way).await;
                return true;
            }
            do_well(asked).await
        })
        .await;
        let text = scene.call().await;
        assert_eq!(json::at(&text, &["error", "code"]), Some(code), "{way:?}: {text}");
        assert_eq!((scene.ran(), scene.server.sessions_opened()), (1, 1), "{way:?}");
    }
}

/// Where nothing but lists and calls is known, a ping that is refused says nothing.
#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_pings_runs_no_tool_twice() {
    for way in [Way(404, TEXT, "no such record"), Way(400, TEXT, "no session for you"), LOST[3]] {
        let scene = scene(persona(), move |_, asked| async move {
            if asked.seen.method() != "tools/list" {
                refuse(asked, way).await;
                return true;
            }
            do_well(asked).await
        })
        .await;
        for n in 1..=50 {
            assert!(json::at(&scene.call().await, &["error"]).is_some());
            assert_eq!(scene.ran(), n, "{way:?}");
        }
        assert!(scene.server.sessions_opened() <= 2, "{way:?}: {}", scene.server.sessions_opened());
    }
}

/// One that answers a ping with an error answers it, whatever the status.
#[tokio::test(start_paused = true)]
async fn an_error_with_our_id_is_an_answer_to_a_ping() {
    for status in [200, 400, 404, 405, 501] {
        let unknown = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"Method not found"}}"#;
        let scene = scene(persona(), move |_, asked| async move {
            match asked.seen.method().as_str() {
                "ping" => refuse(asked, Way(status, JSON, unknown)).await,
                "tools/call" => refuse(asked, Way(400, TEXT, "no")).await,
                _ => return do_well(asked).await,
            }
            true
        })
        .await;
        for n in 1..5 {
            assert!(json::at(&scene.call().await, &["error"]).is_some());
            assert_eq!((scene.ran(), scene.server.sessions_opened()), (n, 1), "{status}");
        }
    }
}

/// Nobody opens sessions without end, whatever the cause.
#[tokio::test(start_paused = true)]
async fn sessions_that_end_at_once_are_opened_ever_more_slowly() {
    let scene = scene(persona(), |server, asked| async move {
        if server.has_lost_session(&asked) {
            refuse(asked, LOST[0]).await;
            return false;
        }
        if asked.seen.method() == "tools/call" {
            server.forget_sessions();
            refuse(asked, LOST[0]).await;
            return false;
        }
        do_well(asked).await
    })
    .await;
    let began = tokio::time::Instant::now();
    let mut reasons = std::collections::BTreeSet::new();
    while began.elapsed() < Duration::from_secs(120) {
        let text = scene.call().await;
        reasons.insert(reason(&text).unwrap_or_default().to_owned());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let opened = scene.server.sessions_opened();
    assert!((4..30).contains(&opened), "{opened}");
    assert!(reasons.contains("upstream_unreachable") && reasons.contains("breaker_open"), "{reasons:?}");
    assert!(metric(&scene.network, "portolan_upstream_sessions_withheld_total").await > 0);
}

/// A server that comes back as another version says in its new session what it is now.
#[tokio::test(start_paused = true)]
async fn what_a_server_says_of_itself_is_that_of_its_newest_session() {
    let mut before = persona();
    before.instructions = Some("the first".to_owned());
    let scene = scene(before, |server, asked| async move {
        if server.has_lost_session(&asked) {
            refuse(asked, LOST[0]).await;
            return false;
        }
        do_well(asked).await
    })
    .await;
    assert!(Door::open(Kind::LegacyHttp, &scene.running).await.opened.contains("the first"));
    scene.server.persona().instructions = Some("the second".to_owned());
    scene.server.forget_sessions();
    assert!(scene.call().await.contains("content"));
    let opened = Door::open(Kind::LegacyHttp, &scene.running).await.opened;
    assert!(opened.contains("the second"), "{opened}");
}

/// Calls that are refused at the same time do not wait for each other's question whether the session lives.
#[tokio::test(start_paused = true)]
async fn what_many_calls_are_refused_with_is_asked_about_once() {
    let scene = scene(persona(), |_, asked| async move {
        match asked.seen.method().as_str() {
            "tools/call" => {
                refuse(asked, STANDS[0].0).await;
                true
            }
            "ping" => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                do_well(asked).await
            }
            _ => do_well(asked).await,
        }
    })
    .await;
    let began = tokio::time::Instant::now();
    let all = futures_util::future::join_all((0..20).map(|_| scene.call())).await;
    assert!(all.iter().all(|text| text.contains("-32602")), "{all:?}");
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(scene.server.seen_of("ping").len() <= 2);
    assert_eq!((scene.ran(), scene.server.sessions_opened()), (20, 1));
}
