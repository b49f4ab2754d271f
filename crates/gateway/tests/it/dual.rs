//! Servers that speak both eras: each client is spoken for in its own, and what stays in one era passes as it came.

use std::sync::Arc;
use std::time::Duration;

use base::plan::{EraRule, SessionRule};
use mcp::version::Era;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use testkit::spawn::MemorySpawn;

use crate::ask;
use crate::doors::{Begun, Door, Kind};
use crate::stand::{Over, Running, Stand};

const BOTH: [Over; 2] = [Over::Http, Over::Stdio];

/// A server of which each era has tools of its own.
fn dual() -> Persona {
    let able = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}}"#;
    let legacy = Persona::legacy().able(able).tools(&["old"]).with_stream();
    Persona::modern().able(able).tools(&["new"]).fresh(60_000, "public").and(legacy)
}

async fn with(
    over: Over,
    persona: Persona,
    change: impl FnOnce(&mut Stand),
) -> (Running, ScriptedServer, Desk, MemorySpawn) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    change(&mut stand);
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    (running, server, desk, spawn)
}

/// The era in which a request came to a server.
fn era_of(text: &str) -> Era {
    if text.contains("io.modelcontextprotocol/protocolVersion") { Era::Modern } else { Era::Legacy }
}

#[tokio::test(start_paused = true)]
async fn each_client_is_spoken_for_in_its_own_era() {
    for over in BOTH {
        let (running, server, desk, spawn) = with(over, dual(), |_| {}).await;
        server.answer_all(desk, |asked| async move {
            let era = era_of(asked.seen.text()).name();
            asked.result(&format!(r#"{{"content":[],"era":"{era}"}}"#)).await;
        });
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &running).await;
            let (era, tool) = if kind.is_modern() { ("modern", "new") } else { ("legacy", "old") };
            let list = door.response(&door.body("1", "tools/list", r#""x":1"#, "")).await;
            assert_eq!(json::at(&list, &["result", "tools"]).map(|t| t.contains(tool)), Some(true), "{list}");
            let called =
                door.response(&door.body("2", "tools/call", &format!(r#""name":"{tool}""#), "")).await;
            assert_eq!(
                json::at(&called, &["result", "era"]).map(json::plain),
                Some(era),
                "{kind:?} {over:?}"
            );
        }
        assert_eq!(spawn.live(), if over == Over::Stdio { 2 } else { 0 });
    }
}

/// Whoever comes first, and in whichever order it answers: nobody is spoken for in another one's era.
#[tokio::test(start_paused = true)]
async fn clients_of_both_eras_may_be_the_first_at_once() {
    const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"1"}}"#;
    const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"ttlMs":0,"cacheScope":"private"}"#;
    for over in BOTH {
        for modern_first in [true, false] {
            let persona = dual().scripted(&["server/discover", "initialize"]);
            let (running, server, mut desk, _spawn) =
                with(over, persona, |stand| stand.upstream("up").watched = false).await;
            let mut doors = Vec::new();
            let kinds = [Kind::ModernHttp, Kind::LegacyHttp];
            for kind in if modern_first { kinds } else { [kinds[1], kinds[0]] } {
                let gateway = Arc::clone(&running.gateway);
                let running = Running { gateway, client: running.client.clone() };
                doors.push(tokio::spawn(async move {
                    let mut door = Door::open(kind, &running).await;
                    let text = door.response(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
                    json::at(&text, &["result", "era"]).map(json::unescaped).unwrap_or(text)
                }));
            }
            let order = if modern_first { [Era::Modern, Era::Legacy] } else { [Era::Legacy, Era::Modern] };
            // Over HTTP neither waits for the other. A process at a time is begun as long as one may be enough.
            for era in order.into_iter().filter(|_| over == Over::Http) {
                let (method, result) = match era {
                    Era::Modern => ("server/discover", DISCOVERED),
                    Era::Legacy => ("initialize", INITIALIZED),
                };
                desk.asked(method).await.result(result).await;
                testkit::idle().await;
            }
            server.answer_all(desk, |asked| async move {
                let era = era_of(asked.seen.text()).name();
                match asked.seen.method().as_str() {
                    "server/discover" => asked.result(DISCOVERED).await,
                    "initialize" => asked.result(INITIALIZED).await,
                    _ => asked.result(&format!(r#"{{"content":[],"era":"{era}"}}"#)).await,
                }
            });
            for (door, era) in doors.into_iter().zip(order) {
                assert_eq!(door.await.unwrap(), era.name(), "{over:?} {modern_first}");
            }
        }
    }
}

/// Whatever it says, it is not touched: members, codes, data and order.
#[tokio::test(start_paused = true)]
async fn what_stays_in_the_legacy_era_passes_as_it_came() {
    let read = ("resources/read", r#""uri":"a://b""#);
    let call = ("tools/call", r#""name":"old""#);
    for over in BOTH {
        for (persona, modern) in [(dual(), true), (Persona::legacy(), false)] {
            let (running, _server, mut desk, _spawn) = with(over, persona, |_| {}).await;
            let mut door = Door::open(Kind::LegacyHttp, &running).await;
            for ((method, members), answer) in [
                (
                    call,
                    r#""result":{ "resultType":"mine","content":[ ],"ttlMs":1.0,"cacheScope":7,"_meta":{"io.modelcontextprotocol/serverInfo":{}} }"#,
                ),
                (call, r#""result":{}"#),
                (call, r#""error":{"code":-32602,"message":"Unknown tool: old","data":{"uri":"a://b"}}"#),
                (call, r#""error":{"data":[{"elicitations":1}],"code":-32042,"message":"visit"}"#),
                (call, r#""error":{"code":-32021,"message":"mine","data":{"requiredCapabilities":{}}}"#),
                (read, r#""error":{"code":-32602,"message":"no","data":{"uri":"a://b"}}"#),
                (read, r#""error":{"code":-32002,"message":"no","data":{"x":1}}"#),
                (read, r#""error":{"code":-32002,"message":"no"}"#),
            ] {
                let body = door.body("\"c\"", method, members, "");
                let answering = async {
                    let asked = desk.asked(method).await;
                    assert_eq!(era_of(asked.seen.text()), Era::Legacy, "{modern}");
                    let text = format!(r#"{{"jsonrpc":"2.0","id":{},{answer}}}"#, asked.seen.id().unwrap());
                    asked.response(&[], &text).await;
                };
                let (response, ()) = tokio::join!(door.response(&body), answering);
                assert_eq!(response, format!(r#"{{"jsonrpc":"2.0","id":"c",{answer}}}"#), "{over:?}");
            }
        }
    }
}

/// One that only speaks the modern era is asked for a session once, not for each client.
#[tokio::test(start_paused = true)]
async fn a_modern_server_refuses_once_for_all() {
    for over in BOTH {
        let (running, server, desk, spawn) = with(over, Persona::modern(), |_| {}).await;
        server.answer_all(desk, |asked| async move { asked.result(r#"{"resultType":"complete"}"#).await });
        let capabilities = ["{}", r#"{"roots":{}}"#, r#"{"sampling":{}}"#, r#"{"elicitation":{}}"#];
        for capabilities in capabilities {
            let mut door = Door::open_with(Kind::LegacyHttp, &running, capabilities).await;
            let called = door.response(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
            assert_eq!(json::at(&called, &["result"]), Some("{}"), "{called}");
        }
        assert_eq!(server.seen_of("initialize").len(), 1, "{over:?}");
        assert_eq!(server.seen_of("tools/call").len(), 4);
        assert_eq!(spawn.live(), usize::from(over == Over::Stdio));
    }
}

/// There are many ways to refuse a session. None is a verdict by itself.
#[tokio::test(start_paused = true)]
async fn whatever_opens_no_session_leads_to_the_modern_era() {
    for (status, body) in [
        (
            400,
            r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32022,"message":"m","data":{"supported":["2026-07-28"]}}}"#,
        ),
        (400, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32020,"message":"m"}}"#),
        (404, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"m"}}"#),
        (400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m"}}"#),
        (200, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"m"}}"#),
        (200, r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete"}}"#),
        (200, r#"{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"2026-07-28","capabilities":{}}}"#),
        (500, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"m"}}"#),
        (404, "not found"),
        (405, ""),
        (415, ""),
        (403, ""),
        (503, ""),
    ] {
        let persona = Persona::modern().scripted(&["initialize"]);
        let (running, server, desk, _spawn) = with(Over::Http, persona, |_| {}).await;
        server.answer_all(desk, move |asked| async move {
            if asked.seen.method() != "initialize" {
                return asked.result(r#"{"resultType":"complete"}"#).await;
            }
            let body = body.replace("ID", asked.seen.id().unwrap());
            let media = if body.starts_with('{') { "application/json" } else { "text/plain" };
            asked.respond(status, media, &[], body.as_bytes()).await;
        });
        let mut door = Door::open(Kind::LegacyHttp, &running).await;
        let called = door.response(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
        assert_eq!(json::at(&called, &["result"]), Some("{}"), "{status} {body}: {called}");
        assert_eq!(server.seen_of("initialize").len(), 1, "{status} {body}");
    }
}

/// What a modern server lists says nothing, and neither does a moment in which it was away.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_away_has_refused_nothing() {
    let (running, server, desk, _spawn) = with(Over::Http, dual(), |_| {}).await;
    server.answer_all(desk, |asked| async move {
        match asked.seen.method().as_str() {
            // It is never answered.
            "initialize" => std::future::pending::<()>().await,
            _ => asked.result("{}").await,
        }
    });
    server.saw("tools/list", 1).await;
    server.persona().scripted.insert("initialize".to_owned());
    let open = Door::open(Kind::LegacyHttp, &running);
    drop(tokio::time::timeout(Duration::from_secs(1), open).await);
    server.persona().scripted.clear();
    server.crash();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut door = Door::open(Kind::LegacyHttp, &running).await;
    door.response(&door.body("1", "tools/call", r#""name":"old""#, "")).await;
    let called = server.saw("tools/call", 1).await;
    assert_eq!(era_of(called[0].text()), Era::Legacy);
}

/// Who has a session goes on in it when none is opened for somebody else: that may be a bad moment, or what he has declared.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_opened_takes_nobody_elses_away() {
    for over in BOTH {
        let (running, server, desk, _spawn) = with(over, dual(), |_| {}).await;
        server.answer_all(desk, |asked| async move {
            if asked.seen.method() != "initialize" {
                let era = era_of(asked.seen.text()).name();
                return asked.result(&format!(r#"{{"content":[],"era":"{era}"}}"#)).await;
            }
            match asked.is_http() {
                true => asked.respond(503, "text/plain", &[], b"busy").await,
                false => asked.error(-32603, "busy", None).await,
            }
        });
        let called = async |door: &mut Door| {
            let text = door.response(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
            json::at(&text, &["result", "era"]).map(json::plain).map(str::to_owned).unwrap_or(text)
        };
        let mut first = Door::open(Kind::LegacyHttp, &running).await;
        assert_eq!(called(&mut first).await, "legacy", "{over:?}");
        let opened = server.seen_of("initialize").len();
        server.persona().scripted.insert("initialize".to_owned());
        let mut second = Door::open_with(Kind::LegacyHttp, &running, r#"{"elicitation":{}}"#).await;
        for _ in 0..3 {
            assert_eq!(called(&mut second).await, "modern", "{over:?}");
            assert_eq!(called(&mut first).await, "legacy", "{over:?}");
        }
        // It is not asked for at each call.
        assert_eq!(server.seen_of("initialize").len(), opened + 1, "{over:?}");
        if over == Over::Http {
            server.persona().scripted.clear();
            tokio::time::sleep(Duration::from_secs(61)).await;
            assert_eq!(called(&mut second).await, "legacy");
        }
    }
}

/// A legacy server needs no question of the modern era for legacy clients, and no second process for anybody.
#[tokio::test(start_paused = true)]
async fn a_legacy_server_has_one_conversation_for_both() {
    for over in BOTH {
        let (running, server, desk, spawn) = with(over, Persona::legacy(), |_| {}).await;
        server.answer_all(desk, |asked| async move { asked.result("{}").await });
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &running).await;
            door.response(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
        }
        let probes = server.seen_of("server/discover").len();
        assert_eq!((server.sessions_opened(), probes), (1, 1), "{over:?}");
        assert_eq!(spawn.started(), usize::from(over == Over::Stdio));
    }
}

/// The process that was started to see what the server is goes when nobody needs it.
#[tokio::test(start_paused = true)]
async fn a_process_of_an_era_that_nobody_speaks_is_ended() {
    let (running, server, desk, spawn) = with(Over::Stdio, dual(), |_| {}).await;
    server.answer_all(desk, |asked| async move { asked.result("{}").await });
    running.gateway.settled().await;
    assert_eq!(spawn.live(), 1);
    let mut old = Door::open(Kind::LegacyHttp, &running).await;
    old.response(&old.body("1", "tools/call", r#""name":"old""#, "")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((spawn.started(), spawn.live()), (2, 1));
    let mut new = Door::open(Kind::ModernHttp, &running).await;
    new.response(&new.body("1", "tools/call", r#""name":"new""#, "")).await;
    old.response(&old.body("2", "tools/call", r#""name":"old""#, "")).await;
    assert_eq!((spawn.started(), spawn.live()), (3, 2));
}

/// Where the program takes no second process, what it has is what all use.
#[tokio::test(start_paused = true)]
async fn a_program_that_can_run_once_serves_all_in_one_era() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Stdio, dual()).await;
    stand.plan.limits.children = 1;
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    server.answer_all(desk, |asked| async move { asked.result(r#"{"resultType":"complete"}"#).await });
    running.gateway.settled().await;
    let mut door = Door::open(Kind::LegacyHttp, &running).await;
    let called = door.response(&door.body("1", "tools/call", r#""name":"new""#, "")).await;
    assert_eq!(json::at(&called, &["result"]), Some("{}"), "{called}");
    assert_eq!(spawn.started(), 1);
}

/// What a server says in one era concerns the clients of that era, their caches and their streams.
#[tokio::test(start_paused = true)]
async fn changes_are_told_to_the_clients_of_their_era() {
    for over in BOTH {
        let (running, server, desk, _spawn) = with(over, dual(), |_| {}).await;
        server.answer_all(desk, |asked| async move { asked.result("{}").await });
        let mut old = Door::open(Kind::LegacyStdio, &running).await;
        old.response(&old.body("1", "tools/call", r#""name":"old""#, "")).await;
        let wish = r#""notifications":{"toolsListChanged":true}"#;
        let mut new = ask::modern(&running.client, "subscriptions/listen", wish).await;
        assert!(new.event().await.unwrap().contains("acknowledged"));
        server.listened_to(2).await;
        testkit::idle().await;
        let list = ask::body("1", "tools/list", "");
        let listed = |server: &ScriptedServer| {
            server.seen_of("tools/list").iter().filter(|seen| era_of(seen.text()) == Era::Modern).count()
        };
        ask::send(&running.client, &list).await.response().await;
        let before = listed(&server);
        server.tell_in(Era::Legacy, "notifications/tools/list_changed", "").await;
        let heard = old.next(&mut Begun::Lines).await.unwrap();
        assert!(heard.contains("notifications/tools/list_changed"), "{heard}");
        ask::send(&running.client, &list).await.response().await;
        assert_eq!(listed(&server), before, "what changed in the other era made nothing old");
        server.tell_in(Era::Modern, "notifications/tools/list_changed", "").await;
        let heard = new.event().await.unwrap();
        assert!(heard.contains("notifications/tools/list_changed"), "{heard}");
        ask::send(&running.client, &list).await.response().await;
        assert_eq!(listed(&server), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_watches_a_resource_in_its_own_era() {
    for over in BOTH {
        let (running, server, desk, _spawn) = with(over, dual(), |_| {}).await;
        server.answer_all(desk, |asked| async move { asked.result("{}").await });
        let mut old = Door::open(Kind::LegacyStdio, &running).await;
        let done = old.response(&old.body("1", "resources/subscribe", r#""uri":"a://b""#, "")).await;
        assert_eq!(json::at(&done, &["result"]), Some("{}"), "{done}");
        server.saw("resources/subscribe", 1).await;
        server.tell_in(Era::Legacy, "notifications/resources/updated", r#""uri":"a://b""#).await;
        assert!(old.next(&mut Begun::Lines).await.unwrap().contains("a://b"));
    }
}

/// The refusal is the server's own, in the era that refuses.
#[tokio::test(start_paused = true)]
async fn what_a_server_refuses_to_a_session_it_says_itself() {
    for over in BOTH {
        let subscribe = &["resources/subscribe"];
        let persona = Persona::modern().and(Persona::legacy().with_stream().scripted(subscribe));
        let (running, server, desk, _spawn) = with(over, persona.scripted(subscribe), |_| {}).await;
        server.answer_all(desk, |asked| async move {
            asked.error(-32601, "Method not found", Some(r#""resources/subscribe""#)).await;
        });
        let mut old = Door::open(Kind::LegacyStdio, &running).await;
        let refused = old.response(&old.body("1", "resources/subscribe", r#""uri":"a://b""#, "")).await;
        assert_eq!(json::at(&refused, &["error", "code"]), Some("-32601"), "{over:?} {refused}");
        assert_eq!(json::at(&refused, &["error", "data"]), Some(r#""resources/subscribe""#), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_era_that_is_configured_is_the_only_one() {
    for over in BOTH {
        for era in [Era::Modern, Era::Legacy] {
            let rule = |stand: &mut Stand| stand.upstream("up").era = EraRule::Is(era);
            let (running, server, desk, spawn) = with(over, dual(), rule).await;
            server
                .answer_all(desk, |asked| async move { asked.result(r#"{"resultType":"complete"}"#).await });
            for kind in Kind::ALL {
                let mut door = Door::open(kind, &running).await;
                door.response(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
            }
            let eras: Vec<_> = server.seen_of("tools/call").iter().map(|seen| era_of(seen.text())).collect();
            assert_eq!(eras, [era; 4], "{over:?}");
            let other = if era == Era::Modern { "initialize" } else { "server/discover" };
            assert!(server.seen_of(other).is_empty());
            assert!(spawn.started() <= 1);
        }
    }
}

/// A client with a session of its own introduces itself there; all others share one, which is ours.
#[tokio::test(start_paused = true)]
async fn a_client_introduces_itself_where_the_session_is_its_own() {
    for over in BOTH {
        for (rule, name) in [(SessionRule::PerClient, "c"), (SessionRule::Shared, "portolan")] {
            let persona = Persona::legacy();
            let (running, server, desk, _spawn) =
                with(over, persona, |stand| stand.upstream("up").sessions = rule).await;
            server.answer_all(desk, |asked| async move { asked.result("{}").await });
            let mut door = Door::open(Kind::LegacyHttp, &running).await;
            door.response(&door.body("1", "tools/call", r#""name":"t""#, "")).await;
            let opened = server.seen_of("initialize");
            let last = opened.last().unwrap();
            let named = json::at(last.text(), &["params", "clientInfo", "name"]).map(json::plain);
            assert_eq!(named, Some(name), "{over:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_level_is_for_servers_that_log() {
    for (capabilities, code) in [(r#"{"tools":{}}"#, Some("-32601")), (r#"{"logging":{}}"#, None)] {
        for persona in [Persona::legacy(), Persona::modern()] {
            let (running, _server, _desk, _spawn) =
                with(Over::Http, persona.able(capabilities), |_| {}).await;
            let mut door = Door::open(Kind::LegacyHttp, &running).await;
            let set = door.response(&door.body("1", "logging/setLevel", r#""level":"info""#, "")).await;
            assert_eq!(json::at(&set, &["error", "code"]), code, "{set}");
        }
    }
}

/// The tool has run: its result is the client's, who knows the extension.
#[tokio::test(start_paused = true)]
async fn a_result_of_an_extension_that_the_client_declared_is_passed() {
    let receipts = r#"{"extensions":{"com.example/receipts":{}}}"#;
    let ui = r#"{"extensions":{"io.modelcontextprotocol/ui":{}}}"#;
    for servers in [1, 2] {
        for (capabilities, passes) in [(receipts, true), (ui, false), ("{}", false)] {
            let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
            let (server, desk) = stand.add("up", Over::Http, Persona::modern()).await;
            if servers == 2 {
                stand.add("other", Over::Http, Persona::modern()).await;
            }
            let running = stand.start().await;
            let result = r#"{"resultType":"receipt","receiptToken":"r-117"}"#;
            server.answer_all(desk, move |asked| async move { asked.result(result).await });
            let mut door = Door::open_with(Kind::ModernHttp, &running, capabilities).await;
            let tool = if servers == 2 { r#""name":"up__buy""# } else { r#""name":"buy""# };
            let called = door.response(&door.body("1", "tools/call", tool, "")).await;
            assert_eq!(json::at(&called, &["result"]) == Some(result), passes, "{servers}: {called}");
        }
    }
}

/// What one client says of itself may be refused where others' is not: that says nothing of the server.
#[tokio::test(start_paused = true)]
async fn who_is_refused_for_itself_is_bridged_alone() {
    for over in BOTH {
        let per_client = |stand: &mut Stand| stand.upstream("up").sessions = SessionRule::PerClient;
        let (running, server, desk, _spawn) = with(over, dual(), per_client).await;
        server.answer_all(desk, |asked| async move {
            if asked.seen.method() != "initialize" {
                let era = era_of(asked.seen.text()).name();
                return asked.result(&format!(r#"{{"content":[],"era":"{era}"}}"#)).await;
            }
            let id = asked.seen.id().unwrap().to_owned();
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"no"}}}}"#);
            asked.response(&[], &body).await;
        });
        for (is_refused, era) in [(false, "legacy"), (true, "modern"), (false, "legacy")] {
            if is_refused {
                server.persona().scripted.insert("initialize".to_owned());
            }
            let mut door = Door::open(Kind::LegacyHttp, &running).await;
            let called = door.response(&door.body("1", "tools/call", r#""name":"old""#, "")).await;
            assert_eq!(
                json::at(&called, &["result", "era"]).map(json::plain),
                Some(era),
                "{over:?} {called}"
            );
            server.persona().scripted.remove("initialize");
        }
    }
}
