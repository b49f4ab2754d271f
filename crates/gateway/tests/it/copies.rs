//! One process or several: a server is told what its clients can be asked, and each client sees what it would see
//! directly, in no more processes than that takes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::http::Client;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;
use testkit::spawn::{MemorySpawn, Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use transport::net::Address;

use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

const NONE: &str = "{}";
const ELICITS: &str = r#"{"elicitation":{}}"#;
const SAMPLES: &str = r#"{"sampling":{}}"#;
const ROOTED: &str = r#"{"roots":{"listChanged":true}}"#;
const ALL: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{"tools":{}}}"#;

/// How a server is with clients that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It does not care.
    Plain,
    /// It lists a tool more, as server-everything does.
    Lists,
    /// Its tool asks, if the client can be asked to elicit, and says so otherwise.
    Asks,
    /// Its tool asks whoever it is.
    AsksAll,
}

/// A legacy server as a process, which counts the calls that each process has got.
#[derive(Debug, Clone, Default)]
struct Server {
    calls: Arc<Mutex<BTreeMap<usize, usize>>>,
    /// Which process was asked to watch what.
    watches: Arc<Mutex<Vec<(usize, String)>>>,
    started: Arc<AtomicUsize>,
}

impl Server {
    fn program(&self, spawn: &MemorySpawn, manner: Manner) {
        let server = self.clone();
        spawn.program("up", move |stdio| server.clone().live(stdio, manner));
    }

    async fn live(self, stdio: Stdio, manner: Manner) -> i32 {
        let number = 1 + self.started.fetch_add(1, Ordering::SeqCst);
        let (mut input, mut out) = (BufReader::new(stdio.stdin).lines(), stdio.stdout);
        let (mut elicits, mut waiting) = (false, None);
        while let Ok(Some(line)) = input.next_line().await {
            let id = json::at(&line, &["id"]).unwrap_or_default().to_owned();
            let method = json::at(&line, &["method"]).map_or("", json::plain);
            let answer = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
            let text = |id: &str, text: &str| {
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
                )
            };
            let said = match method {
                "initialize" => {
                    elicits = json::at(&line, &["params", "capabilities", "elicitation"]).is_some();
                    answer(
                        r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#,
                    )
                }
                "tools/list" if manner == Manner::Lists && elicits => answer(
                    r#"{"tools":[{"name":"t","inputSchema":{"type":"object"}},{"name":"ask","inputSchema":{"type":"object"}}]}"#,
                ),
                "tools/list" => answer(r#"{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}"#),
                "tools/call" => {
                    *self.calls.lock().unwrap().entry(number).or_default() += 1;
                    if manner == Manner::AsksAll || manner == Manner::Asks && elicits {
                        waiting = Some(id);
                        r#"{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}}"#.to_owned()
                    } else {
                        text(&id, if elicits { "told" } else { "not told" })
                    }
                }
                "resources/subscribe" => {
                    let uri = json::at(&line, &["params", "uri"]).map(json::plain).unwrap();
                    self.watches.lock().unwrap().push((number, uri.to_owned()));
                    answer("{}")
                }
                "" if id == "\"e\"" => {
                    let refused = json::at(&line, &["error"]).is_some();
                    text(&waiting.take().unwrap(), if refused { "refused" } else { "asked" })
                }
                _ if id.is_empty() => continue,
                _ => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"m"}}}}"#),
            };
            if out.write_all(format!("{said}\n").as_bytes()).await.is_err() {
                break;
            }
        }
        0
    }
}

async fn stand(manner: Manner, change: impl FnOnce(&mut Stand)) -> (Running, MemorySpawn, Server) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_unused, _desk) = stand.add("up", Over::Stdio, Persona::legacy()).await;
    let server = Server::default();
    server.program(&stand.spawn, manner);
    change(&mut stand);
    let spawn = stand.spawn.clone();
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, spawn, server)
}

/// A client, its list of tools, and what a call says.
struct Seat {
    door: Door,
    asked: usize,
}

impl Seat {
    async fn take(running: &Running, capabilities: &'static str) -> Self {
        Self { door: Door::open_with(Kind::LegacyStdio, running, capabilities).await, asked: 0 }
    }

    async fn tools(&mut self) -> usize {
        let list = self.door.body("1", "tools/list", r#""x":1"#, "");
        self.door.response(&list).await.matches("\"inputSchema\"").count()
    }

    /// What the tool says; a question on the way is answered.
    async fn call(&mut self) -> String {
        let call = self.door.body("2", "tools/call", r#""name":"t""#, "");
        let mut begun = self.door.begin(&call).await;
        loop {
            let said = self.door.next(&mut begun).await.unwrap();
            let id = json::at(&said, &["id"]).map(str::to_owned);
            if json::at(&said, &["method"]).is_some() {
                let Some(id) = id else { continue };
                self.asked += 1;
                self.door
                    .say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"decline"}}}}"#))
                    .await;
            } else if id.as_deref() == Some("2") {
                return json::at(&said, &["result", "content"]).unwrap_or(&said).to_owned();
            }
        }
    }
}

fn has(text: &str, what: &str) -> bool {
    text.contains(&format!("\"{what}\""))
}

/// Whoever came first, a client sees and calls what it would see and call directly.
#[tokio::test(start_paused = true)]
async fn a_client_is_not_shown_what_another_one_can_be_asked() {
    for first in [NONE, ELICITS] {
        let (running, spawn, _server) = stand(Manner::Lists, |_| {}).await;
        let second = if first == NONE { ELICITS } else { NONE };
        for capabilities in [first, second, first] {
            let mut seat = Seat::take(&running, capabilities).await;
            assert_eq!(seat.tools().await, if capabilities == ELICITS { 2 } else { 1 }, "{capabilities}");
            let said = seat.call().await;
            assert!(has(&said, if capabilities == ELICITS { "told" } else { "not told" }), "{said}");
        }
        testkit::idle().await;
        assert_eq!(spawn.live(), 2, "{first} first");
    }
}

/// Five kinds of clients that only look are no reason for five processes, and copies of which nothing is wanted end.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_mind_has_one_process_after_all() {
    let address = Address::Tcp("127.0.0.1".to_owned(), 9090);
    let mut network = None;
    let (running, spawn, _server) = stand(Manner::Plain, |stand| {
        stand.plan.admin = Some(address.clone());
        network = Some(Arc::clone(&stand.network));
    })
    .await;
    let admin = Client::new(network.unwrap(), address);
    let mut seats = Vec::new();
    for capabilities in [NONE, ELICITS, SAMPLES, ROOTED, ALL] {
        let mut seat = Seat::take(&running, capabilities).await;
        assert_eq!(seat.tools().await, 1);
        testkit::idle().await;
        seats.push(seat);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(spawn.live(), 1);
    // Those who call may have one each at first, but not five.
    for seat in &mut seats {
        seat.call().await;
        testkit::idle().await;
    }
    assert!(spawn.live() <= 3, "{}", spawn.live());
    let metrics = admin.send(&admin.request("GET /metrics", &[], b"")).await.body().await;
    let counted = format!("portolan_upstream_processes{{upstream=\"up\"}} {}\n", spawn.live());
    assert!(metrics.contains(&counted), "{metrics}");
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(spawn.live(), 1);
    let started = spawn.started();
    for seat in &mut seats {
        seat.call().await;
    }
    assert!(spawn.started() <= started + 2, "{started} and then {}", spawn.started());
}

/// A server that asks is told what is true of the client of each call, in whichever order they come.
#[tokio::test(start_paused = true)]
async fn a_server_that_asks_asks_only_who_can_be_asked() {
    for order in [[NONE, ELICITS, SAMPLES], [ELICITS, NONE, SAMPLES], [SAMPLES, NONE, ELICITS]] {
        let (running, _spawn, _server) = stand(Manner::Asks, |_| {}).await;
        for capabilities in order.into_iter().chain(order) {
            let mut seat = Seat::take(&running, capabilities).await;
            seat.tools().await;
            let said = seat.call().await;
            let asked = usize::from(capabilities == ELICITS);
            assert_eq!(seat.asked, asked, "{capabilities} of {order:?}");
            assert!(has(&said, if asked == 1 { "asked" } else { "not told" }), "{said} {order:?}");
        }
    }
}

/// One that asks whoever it is never asks a client what that has not declared, and never waits for it.
#[tokio::test(start_paused = true)]
async fn a_question_to_who_cannot_be_asked_is_refused_at_once() {
    let (running, _spawn, _server) = stand(Manner::AsksAll, |_| {}).await;
    for capabilities in [NONE, SAMPLES, ALL, ROOTED, ELICITS, NONE] {
        let mut seat = Seat::take(&running, capabilities).await;
        let began = tokio::time::Instant::now();
        let said = seat.call().await;
        let can = capabilities.contains("elicitation");
        assert!(has(&said, if can { "asked" } else { "refused" }), "{capabilities}: {said}");
        assert_eq!((seat.asked, began.elapsed() < Duration::from_secs(1)), (usize::from(can), true));
    }
}

/// There are never more than the configuration allows; the one that was idle the longest makes room.
#[tokio::test(start_paused = true)]
async fn copies_are_bounded() {
    let (running, spawn, _server) = stand(Manner::Asks, |stand| stand.upstream("up").processes = 2).await;
    for capabilities in [ELICITS, NONE, SAMPLES, ROOTED, ALL, ELICITS] {
        let mut seat = Seat::take(&running, capabilities).await;
        seat.call().await;
        testkit::idle().await;
        assert!(spawn.live() <= 2, "{}", spawn.live());
    }
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(spawn.live(), 1, "idle copies end");
}

/// Wherever a resource is watched, it still is when that process has ended beside others.
#[tokio::test(start_paused = true)]
async fn what_is_watched_in_a_copy_is_watched_elsewhere_when_it_ends() {
    let (running, spawn, server) = stand(Manner::Asks, |_| {}).await;
    let mut seats = Vec::new();
    for (capabilities, uri) in [(ELICITS, "a://1"), (NONE, "a://2")] {
        let mut seat = Seat::take(&running, capabilities).await;
        seat.call().await;
        // What was begun to see what the server is ends.
        tokio::time::sleep(Duration::from_secs(if seats.is_empty() { 700 } else { 0 })).await;
        let body = seat.door.body("3", "resources/subscribe", &format!(r#""uri":"{uri}""#), "");
        let done = seat.door.response(&body).await;
        assert_eq!(json::at(&done, &["result"]), Some("{}"), "{done}");
        testkit::idle().await;
        seats.push(seat);
    }
    let of = |uri: &str| {
        let watches = server.watches.lock().unwrap();
        watches.iter().filter(|(_, watched)| watched == uri).map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let (one, two) = (of("a://1"), of("a://2"));
    assert!(one.len() == 1 && two.len() == 1 && one < two, "{one:?} {two:?}");
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(spawn.live(), 1, "{:?}", spawn.log());
    assert_eq!(of("a://1"), [one, two].concat());
}
