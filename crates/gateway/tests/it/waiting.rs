//! Nobody waits twice for a sick server: what the others say is given in good time, and what comes late is announced.

use std::sync::Arc;
use std::time::Duration;

use base::plan::{Reach, SessionRule, UpstreamPlan};
use testkit::http::Reply;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::time::Instant;
use transport::net::Address;
use upstream::Health;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand, http_reach};

/// What there is no waiting for: in virtual time everything that comes at once takes none.
const AT_ONCE: Duration = Duration::from_millis(10);

/// A server that takes everything and answers nothing.
fn mute() -> Persona {
    Persona::modern().scripted(&["server/discover", "initialize", "tools/list", "prompts/list"])
}

/// Two servers that are well, and one between them that is not.
async fn three(over: Over, sick: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    drop(stand.add("a", Over::Http, Persona::modern().tools(&["t"])).await);
    let (server, desk) = stand.add("sick", over, sick).await;
    drop(stand.add("c", Over::Http, Persona::legacy().tools(&["t"])).await);
    (stand.start().await, server, desk)
}

async fn timed(door: &mut Door, method: &str) -> (String, Duration) {
    let began = Instant::now();
    let body = door.body("1", method, r#""x":1"#, "");
    (door.response(&body).await, began.elapsed())
}

/// Whether the healthy ones' tools are there, and the other is said to be missing.
fn is_partial(text: &str) -> bool {
    let degraded = json::at(text, &["result", "_meta", "dev.portolan/degraded"]).unwrap_or_default();
    text.contains("\"a__t\"") && text.contains("\"c__t\"") && degraded.contains("\"sick\"")
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_among_three_costs_no_client_more_than_its_own_budget() {
    for (over, most) in [(Over::Http, 1), (Over::Stdio, 4)] {
        for kind in Kind::ALL {
            let (running, _sick, _desk) = three(over, mute()).await;
            let began = Instant::now();
            // Right after the start, when nothing is known of anybody.
            let mut cold = Door::open(kind, &running).await;
            let discovered = if kind.is_modern() {
                timed(&mut cold, "server/discover").await.0
            } else {
                cold.opened.clone()
            };
            assert!(began.elapsed() <= Duration::from_millis(500), "{over:?} {kind:?}");
            assert!(discovered.contains(r#""tools":{"listChanged":true}"#), "{discovered}");
            let (text, took) = timed(&mut cold, "tools/list").await;
            assert!(is_partial(&text), "{over:?} {kind:?} {text}");
            assert!(took <= Duration::from_secs(most), "{over:?} {kind:?} {took:?}");
            // And no further list costs anything, nor any other client, however long the server hangs.
            for minute in 0..3 {
                let mut warm = Door::open(kind, &running).await;
                for method in ["tools/list", "tools/list", "prompts/list", "resources/list"] {
                    let (text, took) = timed(&mut warm, method).await;
                    assert!(
                        took <= Duration::from_millis(100),
                        "{minute} {over:?} {kind:?} {method} {took:?}"
                    );
                    assert_eq!(is_partial(&text), method == "tools/list", "{text}");
                }
                if kind.is_modern() {
                    let (_, took) = timed(&mut warm, "server/discover").await;
                    assert!(took <= Duration::from_millis(100), "{minute} {over:?} {kind:?} {took:?}");
                }
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        }
    }
}

/// It was reached, and that is what whoever gets a list without it is told.
#[tokio::test(start_paused = true)]
async fn one_that_answers_and_does_not_serve_is_not_said_to_be_out_of_reach() {
    let (running, _sick, mut desk) = three(Over::Http, mute()).await;
    for method in ["server/discover", "initialize"] {
        desk.asked(method).await.respond(503, "text/plain", &[], b"busy").await;
    }
    running.gateway.settled().await;
    // It is asked again meanwhile, and says nothing.
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    let (text, _) = timed(&mut door, "tools/list").await;
    assert!(is_partial(&text) && text.contains("does not serve now"), "{text}");
    assert!(!text.contains("cannot be reached"), "{text}");
}

/// What was known of a server that hangs stays, marked; and that it hangs is known of it.
#[tokio::test(start_paused = true)]
async fn one_that_begins_to_hang_is_waited_for_once() {
    let (running, sick, mut desk) = three(Over::Http, Persona::modern().tools(&["t"])).await;
    running.gateway.settled().await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    let (text, _) = timed(&mut door, "tools/list").await;
    assert!(text.contains("sick__t") && !text.contains("degraded"), "{text}");
    sick.persona().scripted.insert("tools/list".to_owned());
    let (text, took) = timed(&mut door, "tools/list").await;
    assert_eq!(took, Duration::from_secs(1));
    assert!(is_partial(&text) && text.contains("sick__t"), "{text}");
    let reason = json::at(&text, &["result", "_meta", "dev.portolan/degraded"]).unwrap().to_owned();
    assert!(reason.contains("what is shown of it is"), "{reason}");
    for _ in 0..5 {
        let (text, took) = timed(&mut door, "tools/list").await;
        assert!(took <= AT_ONCE && is_partial(&text), "{took:?} {text}");
    }
    // It is asked once, and that this was in vain says that it is sick.
    let asked = desk.asked("tools/list").await;
    assert!(desk.left().is_empty());
    asked.gone().await;
    testkit::idle().await;
    assert!(matches!(&running.gateway.health()[2], (_, Health::Down { why, .. }) if why.contains("15s")));
    let (text, took) = timed(&mut door, "tools/list").await;
    assert!(took <= AT_ONCE && is_partial(&text), "{took:?} {text}");
    // Calls of the others never wait for it, nor its own that need no list.
    for name in ["a__t", "c__t"] {
        let began = Instant::now();
        let body = door.body("1", "tools/call", &format!(r#""name":"{name}""#), "");
        drop(tokio::time::timeout(Duration::from_millis(100), door.response(&body)).await);
        assert!(began.elapsed() <= Duration::from_millis(100));
    }
}

async fn heard(stream: &mut Reply, what: &str) {
    while !stream.event().await.unwrap().contains(what) {}
}

/// Those who were given a list without it hear when it has come, and find it then.
#[tokio::test(start_paused = true)]
async fn what_comes_late_is_announced_and_there() {
    let (running, _sick, mut desk) = three(Over::Http, Persona::modern().scripted(&["tools/list"])).await;
    let listen = r#""notifications":{"toolsListChanged":true}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", listen).await;
    heard(&mut stream, "acknowledged").await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    let (text, _) = timed(&mut door, "tools/list").await;
    assert!(is_partial(&text), "{text}");
    let asked = desk.asked("tools/list").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    asked.result(r#"{"tools":[{"name":"late","inputSchema":{}}],"ttlMs":0,"cacheScope":"private"}"#).await;
    heard(&mut stream, "tools/list_changed").await;
    for _ in 0..3 {
        let (text, took) = timed(&mut door, "tools/list").await;
        assert!(took <= AT_ONCE && text.contains("sick__late") && !text.contains("degraded"), "{text}");
    }
    // One that is always slow is not announced again for what has not changed.
    tokio::time::sleep(Duration::from_secs(20)).await;
    for _ in 0..3 {
        let (text, _) = timed(&mut door, "tools/list").await;
        assert!(text.contains("sick__late") && text.contains("degraded"), "{text}");
        let asked = desk.asked("tools/list").await;
        asked
            .result(r#"{"tools":[{"name":"late","inputSchema":{}}],"ttlMs":0,"cacheScope":"private"}"#)
            .await;
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    let told = async { while !stream.event().await.unwrap().contains("list_changed") {} };
    assert!(tokio::time::timeout(Duration::from_secs(60), told).await.is_err());
}

/// A server alone is waited for as it would be without us, but not again and again.
#[tokio::test(start_paused = true)]
async fn a_lone_server_that_hangs_costs_its_deadline_once() {
    for kind in [Kind::ModernHttp, Kind::ModernStdio] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (_server, _desk) = stand.add("up", Over::Http, mute()).await;
        let running = stand.start().await;
        let mut door = Door::open(kind, &running).await;
        let (text, took) = timed(&mut door, "server/discover").await;
        assert!(text.contains("did not answer within 15s"), "{text}");
        assert!(took <= Duration::from_secs(15));
        for method in ["server/discover", "tools/list", "tools/list", "prompts/list"] {
            let (text, took) = timed(&mut door, method).await;
            // A list is waited for a little: there is nothing else to show.
            let most = if method == "server/discover" { AT_ONCE } else { Duration::from_secs(1) };
            assert!(took <= most && text.contains("within 15s"), "{method} {took:?} {text}");
        }
    }
}

/// One that was only busy is not taken for sick by the next who lists.
#[tokio::test(start_paused = true)]
async fn a_lone_server_that_was_late_once_is_waited_for_again() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, mut desk) = stand.add("up", Over::Http, Persona::modern().tools(&["mine"])).await;
    let running = stand.start().await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    server.persona().scripted.insert("tools/list".to_owned());
    let (text, _) = timed(&mut door, "tools/list").await;
    assert!(text.contains("within 15s"), "{text}");
    let busy = tokio::spawn(async move {
        loop {
            let asked = desk.asked("tools/list").await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            asked.result(r#"{"tools":[{"name":"mine","inputSchema":{"type":"object"}}]}"#).await;
        }
    });
    let (text, took) = timed(&mut door, "tools/list").await;
    assert!(text.contains("mine") && took <= Duration::from_secs(1), "{took:?} {text}");
    busy.abort();
}

#[tokio::test(start_paused = true)]
async fn what_a_lone_server_was_is_told_when_it_hangs() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, _desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let running = stand.start().await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    let (before, _) = timed(&mut door, "server/discover").await;
    server.persona().scripted.insert("server/discover".to_owned());
    for most in [500, 10, 10] {
        let (text, took) = timed(&mut door, "server/discover").await;
        assert_eq!(text, before);
        assert!(took <= Duration::from_millis(most), "{took:?}");
    }
    let legacy = Instant::now();
    drop(Door::open(Kind::LegacyHttp, &running).await);
    assert!(legacy.elapsed() <= AT_ONCE);
}

/// Without prefixes it takes all lists to know whose a name is; a server that hangs has none.
#[tokio::test(start_paused = true)]
async fn a_name_is_found_without_a_server_that_hangs() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.plan.routes[0].naming.prefix = base::plan::PrefixRule::Never;
    let (_a, mut desk) = stand.add("a", Over::Http, Persona::modern().tools(&["mine"])).await;
    let (_sick, _sick_desk) = stand.add("sick", Over::Http, mute()).await;
    let running = stand.start().await;
    for most in [Duration::from_secs(1), AT_ONCE, AT_ONCE] {
        let began = Instant::now();
        let client = running.client.clone();
        let call = tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"mine""#).await });
        desk.asked("tools/call").await.result("{}").await;
        assert!(began.elapsed() <= most, "{:?}", began.elapsed());
        assert!(call.await.unwrap().response().await.contains("result"));
    }
}

/// Nor does who listens.
#[tokio::test(start_paused = true)]
async fn who_listens_waits_for_no_server_that_hangs() {
    let (running, _sick, _desk) = three(Over::Http, mute()).await;
    let listen = r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://sick__b"]}"#;
    for most in [Duration::from_secs(1), Duration::from_millis(100)] {
        let began = Instant::now();
        let mut stream = ask::modern(&running.client, "subscriptions/listen", listen).await;
        heard(&mut stream, "acknowledged").await;
        assert!(began.elapsed() <= most, "{:?}", began.elapsed());
    }
}

/// A client that lists only when it is told to has the tools of a server that hung, once that answers again.
#[tokio::test(start_paused = true)]
async fn who_was_told_nothing_of_a_server_that_hung_hears_when_it_is_back() {
    let (running, sick, _desk) = three(Over::Http, mute().tools(&["t"])).await;
    let listen = r#""notifications":{"toolsListChanged":true}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", listen).await;
    heard(&mut stream, "acknowledged").await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    assert!(is_partial(&timed(&mut door, "tools/list").await.0));
    tokio::time::sleep(Duration::from_secs(20)).await;
    sick.persona().scripted.clear();
    let has_it = async {
        loop {
            heard(&mut stream, "tools/list_changed").await;
            if timed(&mut door, "tools/list").await.0.contains("sick__t") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), has_it).await.unwrap();
}

/// One list that is never given is no reason to take all else for sick, again and again.
#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_alone_is_told_of_once() {
    let sick =
        Persona::modern().tools(&["t"]).able(r#"{"tools":{},"prompts":{}}"#).scripted(&["prompts/list"]);
    let (running, server, _desk) = three(Over::Http, sick).await;
    let listen = r#""notifications":{"toolsListChanged":true,"promptsListChanged":true}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", listen).await;
    heard(&mut stream, "acknowledged").await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    let lists = async {
        loop {
            timed(&mut door, "prompts/list").await;
            tokio::time::sleep(Duration::from_secs(30)).await;
            let (text, _) = timed(&mut door, "tools/list").await;
            assert!(text.contains("sick__t"), "{text}");
        }
    };
    let mut told = 0;
    let counted = async {
        loop {
            heard(&mut stream, "list_changed").await;
            told += 1;
        }
    };
    let both = async { tokio::join!(lists, counted) };
    assert!(tokio::time::timeout(Duration::from_secs(600), both).await.is_err());
    assert!(told <= 4, "{told}");
    drop(server);
}

/// What nobody can reach is not there, however well it is remembered; what only hangs is.
#[tokio::test(start_paused = true)]
async fn nothing_old_is_shown_of_a_server_that_is_gone() {
    for is_gone in [true, false] {
        let network = MemoryNetwork::default();
        let mut stand = Stand::new(Arc::new(network.clone()));
        drop(stand.add("a", Over::Http, Persona::modern().tools(&["t"])).await);
        drop(stand.add("c", Over::Http, Persona::legacy().tools(&["t"])).await);
        let (server, _desk) = ScriptedServer::new(Persona::modern().tools(&["t"]));
        let address = Address::Tcp("sick".to_owned(), 80);
        server.serve_http(&network, &address).await;
        stand.put(UpstreamPlan::new("sick", Reach::Http(http_reach(&address))));
        let running = stand.start().await;
        running.gateway.settled().await;
        let mut door = Door::open(Kind::ModernHttp, &running).await;
        let (text, _) = timed(&mut door, "tools/list").await;
        assert!(text.contains("sick__t") && !text.contains("degraded"), "{text}");
        if is_gone {
            network.refuse(&address, true);
            network.cut(&address);
            let (text, _) = timed(&mut door, "tools/list").await;
            assert!(is_partial(&text) && !text.contains("sick__t"), "{text}");
            assert!(matches!(&running.gateway.health()[2], (_, Health::Down { .. })));
            // From now on there is not even anybody who refuses.
            network.refuse(&address, false);
        }
        network.cut(&address);
        network.silence(&address, true);
        for _ in 0..3 {
            let (text, took) = timed(&mut door, "tools/list").await;
            assert!(took <= Duration::from_secs(1), "{took:?}");
            assert!(is_partial(&text), "{text}");
            assert_eq!(text.contains("sick__t"), !is_gone, "{text}");
        }
    }
}

/// A program that is begun for one client alone is waited for like one that is begun for the first time, whoever else has one.
#[tokio::test(start_paused = true)]
async fn a_program_for_one_client_is_given_the_time_to_start() {
    for (rule, most) in [(SessionRule::PerClient, 3_000), (SessionRule::Shared, 1_000)] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        drop(stand.add("a", Over::Http, Persona::modern().tools(&["t"])).await);
        let (server, desk) = stand.add("own", Over::Stdio, Persona::legacy().tools(&["t"])).await;
        stand.upstream("own").sessions = rule;
        let running = stand.start().await;
        running.gateway.settled().await;
        server.persona().scripted.insert("initialize".to_owned());
        server.answer_all(desk, |asked| async move {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            let info = r#""serverInfo":{"name":"scripted","version":"1"}"#;
            let able = r#""capabilities":{"tools":{}}"#;
            asked.result(&format!(r#"{{"protocolVersion":"2025-11-25",{able},{info}}}"#)).await;
        });
        let elicits = r#"{"elicitation":{}}"#;
        let mut door = Door::open_with(Kind::LegacyHttp, &running, elicits).await;
        let (text, took) = timed(&mut door, "tools/list").await;
        assert!(took <= Duration::from_millis(most), "{rule:?} {took:?}");
        assert!(text.contains("a__t"), "{text}");
        assert_eq!(text.contains("own__t"), rule == SessionRule::PerClient, "{text}");
    }
}

/// That a lone server said what it has not says nothing of a cursor, whether or not it can be asked now.
#[tokio::test(start_paused = true)]
async fn a_lone_server_that_hangs_is_said_to_hang_whatever_is_listed() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = Persona::modern().able(r#"{"tools":{}}"#);
    let (server, _desk) = stand.add("up", Over::Http, persona).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    // What was read before anybody asked is good for a moment.
    tokio::time::sleep(Duration::from_secs(10)).await;
    server.persona().scripted.extend(mute().scripted);
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    let (text, _) = timed(&mut door, "tools/list").await;
    assert!(text.contains("within 15s"), "{text}");
    for members in [r#""x":1"#, r#""cursor":"c""#] {
        for method in ["prompts/list", "tools/list"] {
            let began = Instant::now();
            let text = door.response(&door.body("1", method, members, "")).await;
            assert!(text.contains("within 15s"), "{method} {members} {text}");
            assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
        }
    }
}
