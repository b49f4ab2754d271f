//! Servers that are processes: found out, started when needed, started again with a pause, ended when nobody uses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::plan::SessionRule;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use testkit::spawn::{Event, MemorySpawn, Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::Instant;
use upstream::Health;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

async fn with(
    persona: Persona,
    change: impl FnOnce(&mut Stand),
) -> (Running, ScriptedServer, Desk, MemorySpawn) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Stdio, persona).await;
    change(&mut stand);
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    (running, server, desk, spawn)
}

fn call(running: &Running) -> tokio::task::JoinHandle<String> {
    let client = running.client.clone();
    tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await })
}

fn reason(text: &str) -> Option<&str> {
    json::at(text, &["error", "data", "reason"]).map(json::plain)
}

/// MCP 2026-07-28 `basic/versioning` §Era detection: whatever a legacy server says to a modern question, it is then asked in its own way.
#[tokio::test(start_paused = true)]
async fn a_process_that_answers_anything_else_is_asked_in_the_legacy_way() {
    for answer in [
        r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":ID,"error":{"code":0,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":ID,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"2025-11-25"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m"}}"#,
        "Welcome to my server!",
        "",
    ] {
        let (running, server, mut desk, spawn) =
            with(Persona::legacy().scripted(&["server/discover"]), |_| {}).await;
        let asked = desk.asked("server/discover").await;
        let id = asked.seen.id().unwrap().to_owned();
        asked.raw(answer.replace("ID", &id).as_bytes()).await;
        let answered = call(&running);
        desk.asked("tools/call").await.result("{}").await;
        assert!(answered.await.unwrap().contains("result"), "{answer}");
        assert_eq!((server.sessions_opened(), spawn.started()), (1, 1), "{answer}");
    }
}

/// Some end themselves at anything before `initialize`; they get a second process, and no third.
#[tokio::test(start_paused = true)]
async fn a_process_that_ends_at_a_modern_question_is_started_again_for_the_legacy_one() {
    let (running, server, mut desk, spawn) =
        with(Persona::legacy().scripted(&["server/discover"]), |_| {}).await;
    desk.asked("server/discover").await;
    server.crash();
    let answered = call(&running);
    desk.asked("tools/call").await.result("{}").await;
    assert!(answered.await.unwrap().contains("result"));
    assert_eq!((server.seen_of("server/discover").len(), spawn.started()), (1, 2));
}

/// Answers lines as a legacy server does, from `from` on.
async fn serve_legacy(stdio: Stdio, from: Instant, is_deaf: impl Fn(&str) -> bool) -> i32 {
    let mut lines = BufReader::new(stdio.stdin).lines();
    let mut stdout = stdio.stdout;
    let mut deaf = None;
    tokio::time::sleep_until(from).await;
    while let Ok(Some(line)) = lines.next_line().await {
        let method = json::at(&line, &["method"]).map_or("", json::plain);
        if *deaf.get_or_insert_with(|| is_deaf(method)) {
            continue;
        }
        let Some(id) = json::at(&line, &["id"]) else { continue };
        let outcome = match method {
            "server/discover" => r#""error":{"code":-32601,"message":"m"}"#,
            "initialize" => {
                r#""result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#
            }
            _ => r#""result":{"content":[]}"#,
        };
        let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{outcome}}}\n");
        stdout.write_all(answer.as_bytes()).await.unwrap();
    }
    0
}

/// Half a line that a program writes before it listens looks like an answer to the first request, whoever waits for that.
#[tokio::test(start_paused = true)]
async fn a_line_that_was_cut_is_no_reason_to_end_a_process() {
    for (cut, is_served) in
        [(r#"{"jsonrpc":"2.0","id":1,"result":"#, true), (r#"{"jsonrpc":"2.0","id":ID,"result":"#, false)]
    {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (_unused, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
        stand.spawn.program("up", move |mut stdio: Stdio| async move {
            if is_served {
                stdio.stdout.write_all(format!("{cut}\n").as_bytes()).await.unwrap();
                return serve_legacy(stdio, Instant::now(), |_| false).await;
            }
            // One whose every answer is cut is told as what it is.
            let mut lines = BufReader::new(stdio.stdin).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Some(id) = json::at(&line, &["id"]) else { continue };
                stdio.stdout.write_all(format!("{}\n", cut.replace("ID", id)).as_bytes()).await.unwrap();
            }
            0
        });
        let spawn = stand.spawn.clone();
        let running = stand.start().await;
        let text = call(&running).await.unwrap();
        assert_eq!(reason(&text), (!is_served).then_some("upstream_invalid_answer"), "{text}");
        assert_eq!(spawn.started(), 1, "{text}");
    }
}

/// What comes when a process is ending already was not sent, and is not lost with it.
#[tokio::test(start_paused = true)]
async fn a_call_that_comes_while_a_process_ends_is_the_next_ones() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_unused, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
    let started = Arc::new(AtomicUsize::new(0));
    stand.spawn.program("up", move |mut stdio: Stdio| {
        let is_first = started.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if !is_first {
                return serve_legacy(stdio, Instant::now(), |_| false).await;
            }
            // It says nothing any more, and takes its time to end.
            let (stdout, nobody) = tokio::io::duplex(1024);
            let mut out = std::mem::replace(&mut stdio.stdout, stdout);
            let (mut lines, mut ended) = (BufReader::new(stdio.stdin).lines(), nobody);
            while let Ok(Some(line)) = lines.next_line().await {
                let outcome = match json::at(&line, &["method"]).map_or("", json::plain) {
                    "tools/call" => break,
                    "initialize" => r#""result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#,
                    _ => r#""error":{"code":-32601,"message":"m"}"#,
                };
                let Some(id) = json::at(&line, &["id"]) else { continue };
                out.write_all(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{outcome}}}\n").as_bytes()).await.unwrap();
            }
            drop(out);
            drop(ended.read(&mut [0]).await);
            std::future::pending().await
        }
    });
    let running = stand.start().await;
    running.gateway.settled().await;
    let lost = call(&running);
    testkit::idle().await;
    let next = call(&running);
    assert_eq!(reason(&lost.await.unwrap()), Some("upstream_broke_off"));
    let text = next.await.unwrap();
    assert!(text.contains("content"), "{text}");
}

/// Others say nothing any more after it: another one is begun with `initialize`, early enough for who waits for a list, and
/// from then on at once.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_stuck_after_a_modern_question_is_started_again_for_the_legacy_one() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_unused, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
    let program = |stdio: Stdio| serve_legacy(stdio, Instant::now(), |method| method != "initialize");
    stand.spawn.program("up", program);
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(list.contains("result"), "{list}");
    assert!(call(&running).await.unwrap().contains("content"));
    assert_eq!((spawn.started(), spawn.live()), (2, 1));
}

/// One that is only slow to start is never ended for that, even where a second one cannot run beside it.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_slow_to_start_is_the_one_that_is_kept() {
    for can_run_twice in [true, false] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (_unused, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
        let (begun, started) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        stand.spawn.program("up", move |stdio: Stdio| {
            let is_first = started.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if !is_first && !can_run_twice {
                    return 1;
                }
                let late = if is_first { begun } else { Instant::now() } + Duration::from_secs(12);
                serve_legacy(stdio, late, |_| false).await
            }
        });
        let spawn = stand.spawn.clone();
        let running = stand.start().await;
        assert!(call(&running).await.unwrap().contains("content"));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!spawn.log().iter().any(|event| matches!(event, Event::Terminated(1) | Event::Killed(1))));
        assert_eq!(spawn.live(), 1, "{can_run_twice} {:?}", spawn.log());
    }
}

/// A server of both eras, as the official TypeScript SDK makes them: once it has opened a session it answers nothing modern.
async fn serve_both(stdio: Stdio, from: Instant) -> i32 {
    let mut lines = BufReader::new(stdio.stdin).lines();
    let mut stdout = stdio.stdout;
    let mut has_session = false;
    tokio::time::sleep_until(from).await;
    while let Ok(Some(line)) = lines.next_line().await {
        let Some(id) = json::at(&line, &["id"]) else { continue };
        let is_modern = line.contains("io.modelcontextprotocol/protocolVersion");
        let outcome = match json::at(&line, &["method"]).map_or("", json::plain) {
            "initialize" => {
                has_session = true;
                r#""result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#
            }
            _ if is_modern && has_session => r#""error":{"code":-32601,"message":"Method not found"}"#,
            "server/discover" => {
                r#""result":{"resultType":"complete","ttlMs":0,"cacheScope":"private","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#
            }
            _ => r#""result":{"resultType":"complete","content":[]}"#,
        };
        let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{outcome}}}\n");
        stdout.write_all(answer.as_bytes()).await.unwrap();
    }
    0
}

/// It is slow to start, and so it finds both questions at once.
#[tokio::test(start_paused = true)]
async fn a_process_of_both_eras_that_was_asked_in_both_is_spoken_to_in_that_of_its_session() {
    for (late, era) in [(0, "modern"), (4, "legacy")] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (_unused, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
        let from = Instant::now() + Duration::from_secs(late);
        stand.spawn.program("up", move |stdio: Stdio| serve_both(stdio, from));
        let spawn = stand.spawn.clone();
        let running = stand.start().await;
        assert!(call(&running).await.unwrap().contains("content"), "{late}");
        let health = running.gateway.health();
        assert!(matches!(health[0].1, Health::Up { era: found, .. } if found.name() == era), "{health:?}");
        let described = ask::modern(&running.client, "server/discover", "").await.response().await;
        assert!(described.contains("result"), "{late} {described}");
        assert_eq!(spawn.started(), 1, "{late}");
    }
}

/// MCP 2026-07-28 `basic/versioning`: an error that names other revisions is a modern server's.
#[tokio::test(start_paused = true)]
async fn a_process_of_another_modern_revision_is_not_asked_in_the_legacy_way() {
    let (running, server, mut desk, _spawn) =
        with(Persona::modern().scripted(&["server/discover"]), |_| {}).await;
    let asked = desk.asked("server/discover").await;
    asked.error(-32022, "m", Some(r#"{"supported":["2031-01-01"],"requested":"2026-07-28"}"#)).await;
    testkit::idle().await;
    assert!(server.seen_of("initialize").is_empty());
    drop(running);
}

/// A process that cannot be started, or ends at once, is not started again at every call.
#[tokio::test(start_paused = true)]
async fn a_process_that_fails_is_started_again_after_ever_longer_pauses() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
    stand.spawn.program("up", |mut stdio: Stdio| async move {
        stdio.stderr.write_all(b"no database\n").await.unwrap();
        3
    });
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    // Each start takes two processes: the first one might have disliked the modern question.
    let mut starts = vec![spawn.started()];
    for _ in 0..50 {
        let text = call(&running).await.unwrap();
        assert_eq!(reason(&text), Some("upstream_unreachable"), "{text}");
        assert_eq!(json::at(&text, &["error", "data", "notProcessed"]), Some("true"));
        // What it said before it ended is for the operator.
        assert!(!text.contains("database"), "{text}");
        starts.push(spawn.started());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // In five seconds, with pauses of 0.1, 0.2, 0.4 and so on: at 0, 0.1, 0.3, 0.7, 1.5 and 3.1, of two processes each, or later, as
    // calls and health checks come.
    assert!((4..=12).contains(&spawn.started()), "{starts:?}");
    assert_eq!(spawn.live(), 0);
    let health = running.gateway.health();
    let Health::Down { why, said, .. } = &health[0].1 else { panic!("{health:?}") };
    assert_eq!(said.as_deref(), Some("no database"));
    assert!(!why.contains("database"), "{why}");
}

/// What one client says of itself is no reason to leave the others without theirs.
#[tokio::test(start_paused = true)]
async fn a_process_that_fails_for_one_client_is_started_for_the_next() {
    let (running, server, desk, spawn) = with(Persona::legacy(), |stand| {
        stand.upstream("up").sessions = SessionRule::PerClient;
    })
    .await;
    server.answer_all(desk, |asked| async move {
        match asked.seen.method().as_str() {
            "initialize" => asked.error(-32602, "not you", None).await,
            _ => asked.result(r#"{"content":[]}"#).await,
        }
    });
    running.gateway.settled().await;
    let called =
        async |door: &mut Door| door.response(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
    server.persona().scripted.insert("initialize".to_owned());
    let mut refused = Door::open(Kind::LegacyHttp, &running).await;
    for _ in 0..20 {
        let text = called(&mut refused).await;
        assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
    }
    assert_eq!(spawn.started(), 2, "with pauses of its own");
    assert!(matches!(running.gateway.health()[0].1, Health::Up { .. }), "{:?}", running.gateway.health());
    server.persona().scripted.clear();
    let mut next = Door::open(Kind::LegacyHttp, &running).await;
    let text = called(&mut next).await;
    assert!(text.contains("content"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_not_there_is_said_to_be_unreachable() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
    if let base::plan::Reach::Stdio(reach) = &mut stand.upstream("up").reach {
        reach.child.program = "nowhere".to_owned();
    }
    let running = stand.start().await;
    assert_eq!(reason(&call(&running).await.unwrap()), Some("upstream_unreachable"));
}

#[tokio::test(start_paused = true)]
async fn a_call_is_lost_with_its_process_and_the_next_one_starts_another() {
    let (running, server, mut desk, spawn) = with(Persona::modern(), |_| {}).await;
    let (one, two) = (call(&running), call(&running));
    desk.asked("tools/call").await;
    desk.asked("tools/call").await;
    server.crash();
    for lost in [one, two] {
        assert_eq!(reason(&lost.await.unwrap()), Some("upstream_broke_off"));
    }
    // It is not sent again by itself: it may have been carried out.
    testkit::idle().await;
    assert_eq!(server.seen_of("tools/call").len(), 2);
    let answered = call(&running);
    desk.asked("tools/call").await.result("{}").await;
    assert!(answered.await.unwrap().contains("result"));
    assert_eq!(spawn.started(), 2);
}

/// Subscriptions end with the process; the new one is asked again, and those who listen hear that things may have changed.
#[tokio::test(start_paused = true)]
async fn a_subscription_outlives_the_process() {
    let able = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true}}"#;
    for persona in [Persona::modern(), Persona::legacy()] {
        let (running, server, mut desk, _spawn) = with(persona.able(able), |_| {}).await;
        server.saw("tools/list", 1).await;
        testkit::idle().await;
        let listen = r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b"]}"#;
        let mut stream = ask::modern(&running.client, "subscriptions/listen", listen).await;
        let acknowledged = stream.event().await.unwrap();
        assert!(
            acknowledged
                .contains(r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b"]}"#)
        );
        server.crash();
        testkit::idle().await;
        // Nobody starts a process only to hear of its changes; a call does.
        let answered = call(&running);
        desk.asked("tools/call").await.result("{}").await;
        answered.await.unwrap();
        let mut told = Vec::new();
        while told.len() < 2 || !told.iter().any(|text: &String| text.contains("tools/list_changed")) {
            told.push(stream.event().await.unwrap());
        }
        testkit::idle().await;
        server.tell("notifications/resources/updated", r#""uri":"a://b","mark":1"#).await;
        loop {
            if stream.event().await.unwrap().contains("\"mark\":1") {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_nobody_uses_ends_and_starts_again_when_it_is_needed() {
    let (running, _server, mut desk, spawn) = with(Persona::modern(), |stand| {
        if let base::plan::Reach::Stdio(reach) = &mut stand.upstream("up").reach {
            reach.idle_after = Some(Duration::from_secs(60));
        }
    })
    .await;
    running.gateway.settled().await;
    let answered = call(&running);
    let held = desk.asked("tools/call").await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(spawn.live(), 1, "it is in use");
    held.result("{}").await;
    answered.await.unwrap();
    tokio::time::sleep(Duration::from_secs(130)).await;
    // It ended because its input did, and needed no signal.
    assert_eq!(spawn.log(), [Event::Started(1), Event::Exited(1)]);
    let answered = call(&running);
    desk.asked("tools/call").await.result("{}").await;
    assert!(answered.await.unwrap().contains("result"));
    assert_eq!(spawn.live(), 1);
}

/// One that does not end when its input does is asked to, and killed if it does not.
#[tokio::test(start_paused = true)]
async fn no_process_is_left_behind() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Stdio, Persona::modern()).await;
    stand.spawn.program("up", |stdio: Stdio| async move {
        let mut input = BufReader::new(stdio.stdin);
        let mut stdout = stdio.stdout;
        let mut line = String::new();
        while input.read_line(&mut line).await.unwrap_or(0) > 0 {
            let id = json::at(&line, &["id"]).unwrap_or("null");
            let result = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"public"}"#;
            let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n");
            stdout.write_all(answer.as_bytes()).await.unwrap();
            line.clear();
        }
        std::future::pending().await
    });
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    assert_eq!(spawn.live(), 1);
    running.gateway.stop().await;
    assert_eq!(spawn.log(), [Event::Started(1), Event::Terminated(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_cancelled_at_the_process_and_the_process_goes_on() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let (running, server, mut desk, spawn) =
            with(persona.scripted(&["notifications/cancelled"]), |stand| {
                stand.upstream("up").deadlines.call = Duration::from_secs(9);
            })
            .await;
        let hanging = call(&running);
        let asked = desk.asked("tools/call").await;
        assert_eq!(reason(&hanging.await.unwrap()), Some("upstream_deadline"));
        let cancelled = desk.asked("notifications/cancelled").await;
        assert_eq!(cancelled.seen.param("requestId"), asked.seen.id());
        // An answer that comes all the same is nobody's.
        asked.result("{}").await;
        let answered = call(&running);
        desk.asked("tools/call").await.result(r#"{"second":1}"#).await;
        assert!(answered.await.unwrap().contains("second"));
        assert_eq!((spawn.started(), server.seen_of("tools/call").len()), (1, 2));
    }
}

/// What a process writes that is no message harms nobody, and neither does what it says of calls that are not there.
#[tokio::test(start_paused = true)]
async fn noise_on_the_output_is_skipped() {
    let (running, _server, mut desk, _spawn) = with(Persona::modern(), |_| {}).await;
    let answered = call(&running);
    let asked = desk.asked("tools/call").await;
    let id = asked.seen.id().unwrap().to_owned();
    let mut out = asked.stream().await;
    for noise in [
        "starting up...",
        "{",
        "[]",
        "{\"jsonrpc\":\"2.0\"}",
        "\u{feff}{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}",
        r#"{"jsonrpc":"2.0","id":424242,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":424242,"progress":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":424242}}"#,
        r#"{"jsonrpc":"2.0","id":"x","method":"sampling/createMessage","params":{}}"#,
    ] {
        out.message(noise).await;
    }
    // An id counts by its value.
    out.message(&format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{{"right":1}}}}"#)).await;
    out.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"again":1}}}}"#)).await;
    assert!(answered.await.unwrap().contains("right"));
}

/// A server may say something on stderr for ever.
#[tokio::test(start_paused = true)]
async fn stderr_is_read_and_holds_up_nothing() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Stdio, Persona::modern()).await;
    stand.spawn.program("up", |stdio: Stdio| async move {
        let Stdio { mut stdin, stdout: _silent, mut stderr, .. } = stdio;
        stderr.write_all(&b"x".repeat(1_000_000)).await.unwrap();
        stdin.read_to_end(&mut Vec::new()).await.unwrap();
        0
    });
    let spawn = stand.spawn.clone();
    stand.upstream("up").deadlines.connect = Duration::from_secs(5);
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    assert_eq!(spawn.live(), 0, "{:?}", spawn.log());
    let health = format!("{:?}", running.gateway.health());
    assert!(health.contains("said nothing within 5s"), "{health}");
}

/// What a program was given, it may tell of: in its last words, to the operator, and by its own name.
#[tokio::test(start_paused = true)]
async fn secrets_are_masked_in_what_is_told_of_a_process() {
    let mut secrets = base::masks::Secrets::default();
    secrets.add("s3cret-token", "${env:TOKEN}");
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
    stand.upstream("up").masks = secrets.masks();
    let (_server, _desk) = stand.add("s3cret-token", Over::Stdio, Persona::legacy()).await;
    let nameless = stand.upstream("s3cret-token");
    "nameless".clone_into(&mut nameless.name);
    nameless.masks = secrets.masks();
    stand.plan.routes[0].upstreams = vec!["up".to_owned(), "nameless".to_owned()];
    stand.spawn.program("up", |mut stdio: Stdio| async move {
        stdio.stderr.write_all(b"bad token s3cret-token\nreally: \"s3cret-token\"\n").await.unwrap();
        3
    });
    stand.spawn.forget("s3cret-token");
    let running = stand.start().await;
    running.gateway.settled().await;
    let health = format!("{:?}", running.gateway.health());
    assert!(health.contains("bad token ${env:TOKEN} | really: \\\"${env:TOKEN}\\\""), "{health}");
    assert!(health.contains("\\\"${env:TOKEN}\\\" cannot be started"), "{health}");
    assert!(!health.contains("s3cret"), "{health}");
}
