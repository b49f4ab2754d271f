//! Pages of lists: what a client of one server gets of them, and lists that have no end.

use std::sync::Arc;
use std::time::Duration;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Asked, Persona, ScriptedServer};
use tokio::time::Instant;

use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

async fn page(asked: Asked, next: Option<&str>) {
    let cursor = asked.seen.param("cursor").map_or_else(|| "first".to_owned(), json::unescaped);
    let next = next.map(|next| format!(r#","nextCursor":{next}"#)).unwrap_or_default();
    asked.result(&format!(r#"{{"tools":[{{"name":"t-{cursor}","inputSchema":{{}}}}]{next}}}"#)).await;
}

/// A server whose pages lead to each other so: cursor to next cursor, without the last.
async fn with(
    persona: Persona,
    alone: bool,
    next: impl Fn(&str) -> Option<String> + Send + Sync + Clone + 'static,
) -> (Running, ScriptedServer) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona.scripted(&["tools/list"])).await;
    server.answer_all(desk, move |asked| {
        let cursor = asked.seen.param("cursor").map_or_else(|| "first".to_owned(), json::unescaped);
        let next = next(&cursor).map(|next| format!("\"{next}\""));
        async move { page(asked, next.as_deref()).await }
    });
    if !alone {
        drop(stand.add("fine", Over::Http, Persona::modern().tools(&["t"])).await);
    }
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server)
}

async fn list(door: &mut Door, params: &str) -> String {
    let body = door.body("1", "tools/list", params, "");
    door.response(&body).await
}

fn four(cursor: &str) -> Option<String> {
    let next = match cursor {
        "first" => "b",
        "b" => "c",
        "c" => "d",
        _ => return None,
    };
    Some(next.to_owned())
}

fn names(text: &str) -> Vec<String> {
    let tools = json::at(text, &["result", "tools"]).unwrap_or_else(|| panic!("{text}"));
    json::elements(tools).iter().map(|tool| json::unescaped(json::at(tool, &["name"]).unwrap())).collect()
}

/// Four known clients read the first page only. Modern ones get the server's own.
#[tokio::test(start_paused = true)]
async fn a_legacy_client_of_one_server_gets_the_whole_list_at_once() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let (running, _server) = with(persona, true, four).await;
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &running).await;
            let text = list(&mut door, r#""x":1"#).await;
            let next = json::at(&text, &["result", "nextCursor"]);
            if kind.is_modern() {
                assert_eq!((names(&text), next), (vec!["t-first".to_owned()], Some("\"b\"")));
            } else {
                assert_eq!((names(&text).join(" "), next), ("t-first t-b t-c t-d".to_owned(), None));
                // Who has a cursor from before gets the rest.
                let text = list(&mut door, r#""cursor":"c""#).await;
                assert_eq!(names(&text), ["t-c", "t-d"]);
            }
        }
    }
}

/// What has come is given, and where the rest is to be had.
#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_come_does_not_take_the_others_away() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, Persona::legacy().scripted(&["tools/list"])).await;
    server.answer_all(desk, |asked| async move {
        match asked.seen.param("cursor") {
            Some("\"b\"") => asked.error(-32603, "not this one", None).await,
            _ => page(asked, Some("\"b\"")).await,
        }
    });
    let running = stand.start().await;
    let mut door = Door::open(Kind::LegacyHttp, &running).await;
    let text = list(&mut door, r#""x":1"#).await;
    assert_eq!(names(&text), ["t-first"]);
    assert_eq!(json::at(&text, &["result", "nextCursor"]), Some("\"b\""));
    assert!(list(&mut door, r#""cursor":"b""#).await.contains("not this one"));
}

/// A cursor that was sent before says nothing new.
#[tokio::test(start_paused = true)]
async fn a_list_whose_cursors_go_round_ends_where_they_do() {
    let circle = |cursor: &str| {
        let next = match cursor {
            "first" => "b",
            "b" => "c",
            _ => "b",
        };
        Some(next.to_owned())
    };
    let same = |_: &str| Some("same".to_owned());
    let empty = |_: &str| Some(String::new());
    for persona in [Persona::modern(), Persona::legacy()] {
        for (round, shown) in [(0, 2), (1, 2), (2, 3)] {
            for alone in [true, false] {
                let next = move |cursor: &str| match round {
                    0 => empty(cursor),
                    1 => same(cursor),
                    _ => circle(cursor),
                };
                let (running, server) = with(persona.clone(), alone, next).await;
                for kind in [Kind::LegacyHttp, Kind::LegacyStdio, Kind::ModernHttp] {
                    let before = server.seen_of("tools/list").len();
                    let began = Instant::now();
                    let mut door = Door::open(kind, &running).await;
                    let (mut found, text, goes_on) = follow(&mut door, shown).await;
                    // A modern client of one server is told what the server says, but never the cursor that it has just sent.
                    assert!(!goes_on || (alone && kind == Kind::ModernHttp && round == 2));
                    found.retain(|name| !name.starts_with("fine"));
                    assert!(found.len() >= shown, "{round} {alone} {kind:?} {found:?}");
                    assert!(began.elapsed() < Duration::from_millis(100));
                    assert!(server.seen_of("tools/list").len() - before <= shown + 1);
                    assert!(!text.contains("degraded"), "{text}");
                }
            }
        }
    }
}

/// Reads page after page, up to one more than are expected. Gives the names, the last page, and whether there would be more.
async fn follow(door: &mut Door, expected: usize) -> (Vec<String>, String, bool) {
    let mut text = list(door, r#""x":1"#).await;
    let mut found = names(&text);
    let mut asked = 1;
    while let Some(next) = json::at(&text, &["result", "nextCursor"]) {
        let params = format!(r#""cursor":{next}"#);
        text = list(door, &params).await;
        found.extend(names(&text));
        asked += 1;
        if asked > expected {
            return (found, text, true);
        }
    }
    (found, text, false)
}

/// It is read to a bound and served, and said not to be the whole.
#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_served_as_far_as_it_was_read_and_marked() {
    for alone in [true, false] {
        let next = |cursor: &str| Some(format!("{}", cursor.parse::<u64>().unwrap_or(0) + 1));
        let (running, server) = with(Persona::legacy(), alone, next).await;
        let mut door = Door::open(Kind::LegacyHttp, &running).await;
        let text = list(&mut door, r#""x":1"#).await;
        assert!(names(&text).iter().any(|name| name.ends_with("t-9")), "{text:.300}");
        assert!(server.seen_of("tools/list").len() <= 500);
        if alone {
            assert_eq!(json::at(&text, &["result", "nextCursor"]), Some("\"200\""));
        } else {
            let why = json::at(&text, &["result", "_meta", "dev.portolan/degraded"]).unwrap_or_default();
            assert!(why.contains("the rest of its list is left out"), "{why}");
        }
    }
}

/// Before anybody has the list, everybody waits for the same one; what was read for the first is not read again for it.
#[tokio::test(start_paused = true)]
async fn a_cold_list_is_read_once() {
    for persona in [Persona::modern(), Persona::legacy()] {
        for alone in [true, false] {
            let (running, server) = with(persona.clone(), alone, |_| None).await;
            let mut doors = Vec::new();
            for _ in 0..1 {
                doors.push(Door::open(Kind::LegacyHttp, &running).await);
            }
            for mut door in doors {
                assert!(list(&mut door, r#""x":1"#).await.contains("t-first"));
            }
            assert_eq!(server.seen_of("tools/list").len(), 1, "{alone}");
        }
        // Many at once, right after the start.
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, mut desk) = stand.add("up", Over::Http, persona.scripted(&["tools/list"])).await;
        let running = Arc::new(stand.start().await);
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let running = Arc::clone(&running);
                tokio::spawn(async move {
                    let mut door = Door::open(Kind::LegacyHttp, &running).await;
                    list(&mut door, r#""x":1"#).await
                })
            })
            .collect();
        let asked = desk.asked("tools/list").await;
        testkit::idle().await;
        page(asked, None).await;
        for client in clients {
            assert!(client.await.unwrap().contains("t-first"));
        }
        assert_eq!(server.seen_of("tools/list").len(), 1);
    }
}
