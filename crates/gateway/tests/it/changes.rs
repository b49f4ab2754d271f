//! Every change is announced: that a server comes, goes and is back, that a route changes; once, however much happens.

use std::sync::Arc;
use std::time::Duration;

use base::plan::{Reach, UpstreamPlan};
use testkit::http::{Piece, Reply};
use testkit::json;
use testkit::lines::LineClient;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};
use tokio::time::{Instant, timeout};
use transport::net::Address;

use crate::ask;
use crate::doors::{Door, Kind, lines};
use crate::stand::{Over, Running, Stand, http_reach};

const LISTEN: &str =
    r#""notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}"#;

/// One who hears of changes, by one of the three ways in which there is to hear of them.
enum Ear {
    Events(Box<Reply>),
    Lines(LineClient),
}

impl Ear {
    /// All of them.
    async fn all(running: &Running) -> Vec<Self> {
        let mut modern = ask::modern(&running.client, "subscriptions/listen", LISTEN).await;
        let acknowledged = modern.event().await.unwrap();
        let told = json::at(&acknowledged, &["params", "notifications", "toolsListChanged"]);
        assert_eq!(told, Some("true"), "{acknowledged}");
        let door = Door::open(Kind::LegacyHttp, running).await;
        let get = running.client.request("GET /mcp", &[("mcp-session-id", door.session())], b"");
        let legacy = running.client.send(&get).await;
        let mut stdio = lines(running);
        let open = r#"{"jsonrpc":"2.0","id":"open","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
        stdio.send(open.as_bytes()).await;
        let opened = stdio.next().await.unwrap();
        assert!(opened.contains(r#""tools":{"listChanged":true}"#), "{opened}");
        stdio.send(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        testkit::idle().await;
        vec![Self::Events(Box::new(modern)), Self::Events(Box::new(legacy)), Self::Lines(stdio)]
    }

    /// The methods that it hears of within that time.
    async fn hears(&mut self, within: Duration) -> Vec<String> {
        let (until, mut heard) = (Instant::now() + within, Vec::new());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let next = async {
                match self {
                    Self::Events(reply) => match reply.piece().await.unwrap() {
                        Some(Piece::Event { data, .. }) => Some(data),
                        Some(Piece::Comment) => Some(String::new()),
                        None => None,
                    },
                    Self::Lines(lines) => lines.next().await,
                }
            };
            match timeout(left, next).await {
                Ok(Some(text)) => heard.extend(json::at(&text, &["method"]).map(json::unescaped)),
                Ok(None) | Err(_) => return heard,
            }
        }
    }
}

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

fn count(heard: &[String]) -> usize {
    heard.iter().filter(|method| *method == TOOLS_CHANGED).count()
}

/// A gateway with servers at addresses that can be made to refuse: the second one is the one of the test.
async fn beside_another(persona: Persona, alone: bool) -> (Running, ScriptedServer, MemoryNetwork, Address) {
    let network = MemoryNetwork::default();
    let mut stand = Stand::new(Arc::new(network.clone()));
    if !alone {
        drop(stand.add("a", Over::Http, Persona::modern().tools(&["t"])).await);
    }
    let (server, desk) = ScriptedServer::new(persona.tools(&["t"]));
    let address = Address::Tcp("10.0.0.7".to_owned(), 80);
    server.serve_http(&network, &address).await;
    server.answer_all(desk, |asked| async move { asked.result("{}").await });
    stand.put(UpstreamPlan::new("up", Reach::Http(http_reach(&address))));
    let running = stand.start().await;
    running.gateway.settled().await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    (running, server, network, address)
}

/// Who holds a stream to its server sees it go. Nothing declares that, and nothing need.
#[tokio::test(start_paused = true)]
async fn a_server_that_goes_and_comes_back_is_announced_to_everybody() {
    let able = r#"{"tools":{},"resources":{"subscribe":true},"prompts":{"listChanged":true}}"#;
    for (persona, alone) in [
        (Persona::modern().able(able), true),
        (Persona::modern().able(able), false),
        (Persona::legacy().able(able).with_stream(), false),
    ] {
        let (running, server, network, address) = beside_another(persona, alone).await;
        server.listened_to(1).await;
        let mut ears = Ear::all(&running).await;
        for ear in &mut ears {
            assert_eq!(ear.hears(Duration::from_secs(1)).await, [""; 0], "alone {alone}");
        }
        network.refuse(&address, true);
        server.crash();
        for ear in &mut ears {
            assert!(count(&ear.hears(Duration::from_secs(10)).await) >= 1, "gone, alone {alone}");
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        for ear in &mut ears {
            ear.hears(Duration::from_millis(1)).await;
        }
        network.refuse(&address, false);
        for ear in &mut ears {
            assert!(count(&ear.hears(Duration::from_secs(40)).await) >= 1, "back, alone {alone}");
        }
    }
}

/// Who was told that it is missing hears when it is there for the first time.
#[tokio::test(start_paused = true)]
async fn a_server_that_comes_late_is_announced_to_everybody() {
    for persona in [Persona::modern().able(r#"{"tools":{}}"#), Persona::legacy().able(r#"{"tools":{}}"#)] {
        let network = MemoryNetwork::default();
        let mut stand = Stand::new(Arc::new(network.clone()));
        drop(stand.add("a", Over::Http, Persona::modern().tools(&["t"])).await);
        let address = Address::Tcp("10.0.0.7".to_owned(), 80);
        stand.put(UpstreamPlan::new("up", Reach::Http(http_reach(&address))));
        let running = stand.start().await;
        let mut ears = Ear::all(&running).await;
        let text = ask::modern(&running.client, "tools/list", "").await.response().await;
        assert!(text.contains("degraded") && text.contains("a__t"), "{text}");
        for ear in &mut ears {
            ear.hears(Duration::from_secs(1)).await;
        }
        let (server, _desk) = ScriptedServer::new(persona.tools(&["new"]));
        server.serve_http(&network, &address).await;
        for ear in &mut ears {
            assert!(count(&ear.hears(Duration::from_secs(40)).await) >= 1);
        }
        let text = ask::modern(&running.client, "tools/list", "").await.response().await;
        assert!(!text.contains("degraded") && text.contains("up__new"), "{text}");
    }
}

/// A reload that makes one server two changes the names of the first; and back.
#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_names_is_announced_to_everybody() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    drop(stand.add("a", Over::Http, Persona::modern().able(r#"{"tools":{}}"#).tools(&["t"])).await);
    let one = stand.plan.clone();
    drop(stand.add("b", Over::Http, Persona::legacy().able(r#"{"tools":{}}"#).tools(&["t"])).await);
    let two = std::mem::replace(&mut stand.plan, one.clone());
    let running = stand.start().await;
    running.gateway.settled().await;
    let mut ears = Ear::all(&running).await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
    for (plan, named) in [(two, "\"a__t\""), (one, "\"t\"")] {
        running.gateway.reload(plan);
        for ear in &mut ears {
            assert!(count(&ear.hears(Duration::from_secs(1)).await) >= 1);
        }
        // Streams over HTTP end with the route, and are opened anew.
        let Some(Ear::Lines(mut stdio)) = ears.pop() else { panic!() };
        stdio.send(body.as_bytes()).await;
        let text = stdio.next().await.unwrap();
        assert!(text.contains(named), "{text}");
        ears = Ear::all(&running).await;
        ears.pop();
        ears.push(Ear::Lines(stdio));
    }
}

/// However much happens, each client is told of a kind of list at most four times a second, and of the last change for sure.
#[tokio::test(start_paused = true)]
async fn a_burst_is_told_as_one() {
    let able = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true}}"#;
    let (running, server, _network, _address) = beside_another(Persona::modern().able(able), false).await;
    server.listened_to(1).await;
    let mut ears = Ear::all(&running).await;
    for _ in 0..500 {
        server.tell(TOOLS_CHANGED, "").await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let told = Instant::now();
    for ear in &mut ears {
        let heard = ear.hears(Duration::from_millis(300)).await;
        assert!((4..=6).contains(&count(&heard)), "{heard:?}");
    }
    assert!(told.elapsed() < Duration::from_secs(1));
    // Another kind does not wait for it, and two are the first and the last.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.tell(TOOLS_CHANGED, "").await;
    server.tell("notifications/prompts/list_changed", "").await;
    server.tell(TOOLS_CHANGED, "").await;
    testkit::idle().await;
    for ear in &mut ears {
        let heard = ear.hears(Duration::from_millis(300)).await;
        assert_eq!((heard.len(), count(&heard)), (3, 2), "{heard:?}");
    }
}

/// What is declared is so for every kind of list that is there, whatever the server says of changes; and nothing else is.
#[tokio::test(start_paused = true)]
async fn changes_are_declared_of_all_lists() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let able = r#"{"tools":{},"prompts":{"listChanged":false},"x":{"y":1}}"#;
        let (running, _server, _network, _address) = beside_another(persona.able(able), true).await;
        let modern = ask::modern(&running.client, "server/discover", "").await.response().await;
        let legacy = Door::open(Kind::LegacyHttp, &running).await.opened;
        for text in [modern, legacy] {
            for kind in ["tools", "prompts"] {
                let told = json::at(&text, &["result", "capabilities", kind, "listChanged"]);
                assert_eq!(told, Some("true"), "{text}");
            }
            assert!(json::at(&text, &["result", "capabilities", "resources"]).is_none(), "{text}");
        }
    }
}
