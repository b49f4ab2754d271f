//! Clients whose connection breaks and who come back for the rest. Source: MCP 2025-11-25 `basic/transports`
//! §Resumability and Redelivery.

use std::sync::Arc;
use std::time::Duration;

use testkit::http::{Client, Piece, Reply};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Events, Persona, ScriptedServer};

use crate::ask;
use crate::stand::{Over, Running, Stand};

const ABLE: &str = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true}}"#;
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","_meta":{"progressToken":"p"}}}"#;

async fn stand() -> (Stand, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, Persona::modern().able(ABLE)).await;
    (stand, server, desk)
}

async fn start(stand: Stand) -> Running {
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    running
}

/// A client with a session.
#[derive(Debug, Clone)]
struct Session {
    client: Client,
    id: String,
}

impl Session {
    async fn open(running: &Running, revision: &str) -> Self {
        let params = format!(
            r#"{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}"#
        );
        let open = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{params}}}"#);
        let reply = running.client.post(&[], open.as_bytes()).await;
        let id = reply.header("mcp-session-id").unwrap().to_owned();
        Self { client: running.client.clone(), id }
    }

    async fn new(running: &Running) -> Self {
        Self::open(running, "2025-11-25").await
    }

    async fn post(&self, body: &str) -> Reply {
        self.client.post(&[("mcp-session-id", &self.id)], body.as_bytes()).await
    }

    /// A call that the server has begun to stream, with its first event said.
    async fn call(&self, desk: &mut Desk) -> (Reply, Events) {
        let (reply, events) = tokio::join!(self.post(CALL), async {
            let mut events = desk.asked("tools/call").await.stream().await;
            events.progress("0").await;
            events
        });
        (reply, events)
    }

    async fn get(&self, last: Option<&str>) -> Reply {
        let mut headers = vec![("mcp-session-id", self.id.as_str())];
        headers.extend(last.map(|id| ("last-event-id", id)));
        self.client.send(&self.client.request("GET /mcp", &headers, b"")).await
    }

    async fn delete(&self) {
        let request = self.client.request("DELETE /mcp", &[("mcp-session-id", &self.id)], b"");
        assert_eq!(self.client.send(&request).await.status, 200);
    }
}

/// The next event's id and data.
async fn event(reply: &mut Reply) -> Option<(String, String)> {
    loop {
        match reply.piece().await.unwrap()? {
            Piece::Event { id, data, .. } => return Some((id.unwrap(), data)),
            Piece::Comment => {}
        }
    }
}

/// The data of all events up to the end, without the primer.
async fn rest(reply: &mut Reply) -> Vec<String> {
    let mut data = Vec::new();
    while let Some(event) = reply.event().await {
        data.push(event);
    }
    data
}

async fn refused(reply: Reply) -> String {
    assert_eq!(reply.status, 400);
    let body = reply.response().await;
    assert_eq!(json::at(&body, &["error", "code"]), Some("-32600"), "{body}");
    assert_eq!(json::at(&body, &["error", "data", "reason"]), Some("\"not_resumable\""), "{body}");
    body
}

fn progress(data: &str) -> &str {
    json::at(data, &["params", "progress"]).unwrap_or("response")
}

/// However many events have come when the connection breaks, and however many are said before the client is back.
#[tokio::test(start_paused = true)]
async fn each_event_comes_once_and_in_order_wherever_the_connection_breaks() {
    const EVENTS: usize = 5;
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    for got in 0..=EVENTS {
        for said in got.max(1)..=EVENTS + 1 {
            let session = Session::new(&running).await;
            let (mut reply, mut events) = session.call(&mut desk).await;
            let (mut last, primer) = event(&mut reply).await.unwrap();
            assert_eq!(primer, "", "a stream is primed");
            for n in 1..got {
                events.progress(&n.to_string()).await;
            }
            let mut seen = Vec::new();
            for _ in 0..got {
                let (id, data) = event(&mut reply).await.unwrap();
                assert_ne!(id, last);
                last = id;
                seen.push(progress(&data).to_owned());
            }
            drop(reply);
            testkit::idle().await;
            for n in got.max(1)..said.min(EVENTS) {
                events.progress(&n.to_string()).await;
            }
            let mut events = Some(events);
            if said > EVENTS {
                events.take().unwrap().result("{}").await;
            }
            testkit::idle().await;
            let mut reply = session.get(Some(&last)).await;
            assert_eq!((reply.status, reply.media()), (200, "text/event-stream"));
            if let Some(mut events) = events {
                for n in said..EVENTS {
                    events.progress(&n.to_string()).await;
                }
                events.result("{}").await;
            }
            seen.extend(rest(&mut reply).await.iter().map(|data| progress(data).to_owned()));
            let (response, seen) = seen.split_last().unwrap();
            assert_eq!(response, "response", "got {got}, said {said}");
            let wanted: Vec<_> = (0..seen.len()).map(|n| n.to_string()).collect();
            assert_eq!(seen, wanted, "got {got}, said {said}");
        }
    }
}

/// A client that has everything is told so in the way that makes event sources stop: the TypeScript SDK comes back after
/// an error response, too.
#[tokio::test(start_paused = true)]
async fn a_client_that_has_everything_hears_that_there_is_no_more() {
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let (mut reply, events) = session.call(&mut desk).await;
    events.result("{}").await;
    let mut last = String::new();
    while let Some((id, _)) = event(&mut reply).await {
        last = id;
    }
    assert_eq!(session.get(Some(&last)).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn the_newest_of_two_who_come_back_is_told() {
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let (mut reply, mut events) = session.call(&mut desk).await;
    let (primer, _) = event(&mut reply).await.unwrap();
    let mut one = session.get(Some(&primer)).await;
    assert_eq!(progress(&one.event().await.unwrap()), "0");
    // What was connected before hears no more.
    assert!(rest(&mut reply).await.len() <= 1);
    let mut two = session.get(Some(&primer)).await;
    assert_eq!(one.event().await, None);
    events.progress("1").await;
    events.result("{}").await;
    let told = rest(&mut two).await;
    assert_eq!(told.iter().map(|data| progress(data)).collect::<Vec<_>>(), ["0", "1", "response"]);
}

#[tokio::test(start_paused = true)]
async fn an_id_is_worth_nothing_in_another_session_or_when_it_was_made_up() {
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    let (mine, other) = (Session::new(&running).await, Session::new(&running).await);
    let (mut reply, _events) = mine.call(&mut desk).await;
    let (id, _) = event(&mut reply).await.unwrap();
    let mut notices = mine.get(None).await;
    let (notice, _) = event(&mut notices).await.unwrap();
    for id in [&id, &notice] {
        refused(other.get(Some(id)).await).await;
    }
    let (name, _) = id.rsplit_once('-').unwrap();
    for wrong in
        [format!("{name}-99"), format!("{name}--1"), format!("{name}-x"), name.to_owned(), "1".to_owned()]
    {
        refused(mine.get(Some(&wrong)).await).await;
    }
    let nobody = Session { id: "x".to_owned(), ..mine.clone() };
    assert_eq!(nobody.get(Some(&id)).await.status, 404);
    // It still is worth something where it belongs.
    assert_eq!(mine.get(Some(&id)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_kept_for_a_while_only() {
    let (mut stand, _server, mut desk) = stand().await;
    stand.plan.limits.replay_for = Duration::from_secs(60);
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let (mut reply, events) = session.call(&mut desk).await;
    let (primer, _) = event(&mut reply).await.unwrap();
    drop(reply);
    events.result("{}").await;
    testkit::idle().await;
    tokio::time::sleep(Duration::from_secs(58)).await;
    assert_eq!(rest(&mut session.get(Some(&primer)).await).await.len(), 2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    refused(session.get(Some(&primer)).await).await;
}

#[tokio::test(start_paused = true)]
async fn the_newest_events_are_kept_and_the_response_is_the_last_to_go() {
    let (mut stand, _server, mut desk) = stand().await;
    stand.plan.limits.replay_events = 3;
    stand.plan.limits.replay_bytes = 2000;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let text = |size: usize| format!(r#"{{"x":"{}"}}"#, "y".repeat(size));
    // (events said while nobody listens, the response's size, how it ends)
    for (said, size, kept) in
        [(2, 10, true), (3, 10, false), (1, 1800, true), (0, 1900, true), (0, 2100, false)]
    {
        let (mut reply, mut events) = session.call(&mut desk).await;
        event(&mut reply).await.unwrap();
        let (last, _) = event(&mut reply).await.unwrap();
        drop(reply);
        testkit::idle().await;
        for n in 1..=said {
            events.progress(&n.to_string()).await;
        }
        events.result(&text(size)).await;
        testkit::idle().await;
        let mut reply = session.get(Some(&last)).await;
        if kept {
            assert_eq!(rest(&mut reply).await.len(), said + 1, "{said} and {size}");
        } else {
            let why = refused(reply).await;
            assert!(why.contains("not kept any more"), "{why}");
        }
    }
    // Whoever reads as it comes gets everything, however little is kept.
    let (mut reply, mut events) = session.call(&mut desk).await;
    for n in 1..=20 {
        events.progress(&n.to_string()).await;
    }
    events.result(&text(10_000)).await;
    assert_eq!(rest(&mut reply).await.len(), 22);
}

/// All sessions together have a bound, too.
#[tokio::test(start_paused = true)]
async fn what_is_kept_for_all_sessions_is_bounded() {
    let (mut stand, _server, mut desk) = stand().await;
    stand.plan.limits.replay_total = 3000;
    let running = start(stand).await;
    let mut kept = 0;
    for _ in 0..4 {
        let session = Session::new(&running).await;
        let (mut reply, events) = session.call(&mut desk).await;
        let (primer, _) = event(&mut reply).await.unwrap();
        drop(reply);
        events.result(&format!(r#"{{"x":"{}"}}"#, "y".repeat(1000))).await;
        testkit::idle().await;
        let reply = session.get(Some(&primer)).await;
        kept += usize::from(reply.status == 200);
    }
    assert_eq!(kept, 2);
}

/// Where nothing more can be recorded a stream has no ids, so that nobody comes back in vain.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_recorded_has_no_ids() {
    let (mut stand, _server, mut desk) = stand().await;
    stand.plan.limits.streams = 1;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let (mut first, _events) = session.call(&mut desk).await;
    event(&mut first).await.unwrap();
    let (mut second, events) = Session::new(&running).await.call(&mut desk).await;
    events.result("{}").await;
    let mut count = 0;
    while let Some(piece) = second.piece().await.unwrap() {
        if let Piece::Event { id, .. } = piece {
            assert_eq!(id, None);
            count += 1;
        }
    }
    assert_eq!(count, 2);
}

/// Clients before 2025-11-25 take an event without data for a broken message; those of today have no ids at all.
#[tokio::test(start_paused = true)]
async fn only_clients_that_know_primers_get_them() {
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    for revision in ["2025-03-26", "2025-06-18"] {
        let session = Session::open(&running, revision).await;
        let (mut reply, events) = session.call(&mut desk).await;
        let (id, data) = event(&mut reply).await.unwrap();
        assert_eq!(progress(&data), "0", "{revision}");
        drop(reply);
        events.result("{}").await;
        let (_, data) = event(&mut session.get(Some(&id)).await).await.unwrap();
        assert_eq!(progress(&data), "response");
    }
    let body = ask::body("1", "tools/call", r#""name":"t""#);
    let (mut reply, ()) = tokio::join!(ask::send(&running.client, &body), async {
        desk.asked("tools/call").await.stream().await.result("{}").await;
    });
    assert!(matches!(reply.piece().await.unwrap(), Some(Piece::Event { id: None, .. })));
}

/// A client that does not read makes the call wait, but not for ever; and what it did not read it can come back for.
#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_comes_back_for_everything() {
    const EVENTS: usize = 400;
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let (mut reply, mut events) = session.call(&mut desk).await;
    let (primer, _) = event(&mut reply).await.unwrap();
    let long = format!(r#"{{"level":"info","data":"{}"}}"#, "y".repeat(2000));
    let says = tokio::spawn(async move {
        for n in 1..EVENTS {
            events.notify("notifications/message", &long).await;
            events.progress(&n.to_string()).await;
        }
        events.result("{}").await;
    });
    tokio::time::sleep(Duration::from_secs(200)).await;
    says.await.unwrap();
    let mut back = session.get(Some(&primer)).await;
    let told = rest(&mut back).await;
    let numbers: Vec<_> =
        told.iter().filter_map(|data| json::at(data, &["params", "progress"])).map(str::to_owned).collect();
    assert_eq!(numbers, (0..EVENTS).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(progress(told.last().unwrap()), "response");
    drop(reply);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_has_no_more_to_say() {
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let (mut reply, events) = session.call(&mut desk).await;
    event(&mut reply).await.unwrap();
    let (last, _) = event(&mut reply).await.unwrap();
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}"#;
    assert_eq!(session.post(cancel).await.status, 202);
    events.gone().await;
    assert_eq!(event(&mut reply).await, None);
    assert_eq!(session.get(Some(&last)).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn what_a_session_has_said_ends_with_it() {
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let (mut call, events) = session.call(&mut desk).await;
    let (id, _) = event(&mut call).await.unwrap();
    let mut notices = session.get(None).await;
    event(&mut notices).await.unwrap();
    session.delete().await;
    events.gone().await;
    assert_eq!(notices.event().await, None);
    rest(&mut call).await;
    assert_eq!(session.get(Some(&id)).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_a_client_is_away_it_hears_when_it_is_back() {
    let (stand, server, _desk) = stand().await;
    let running = start(stand).await;
    for names_it in [true, false] {
        let session = Session::new(&running).await;
        let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a://b"}}"#;
        assert_eq!(session.post(subscribe).await.status, 200);
        let mut reply = session.get(None).await;
        event(&mut reply).await.unwrap();
        server.tell("notifications/tools/list_changed", "").await;
        let (last, told) = event(&mut reply).await.unwrap();
        assert!(told.contains("tools/list_changed"));
        drop(reply);
        testkit::idle().await;
        server.tell("notifications/resources/updated", r#""uri":"a://b""#).await;
        server.tell("notifications/tools/list_changed", "").await;
        testkit::idle().await;
        let mut reply = session.get(Some(last.as_str()).filter(|_| names_it)).await;
        assert!(reply.event().await.unwrap().contains("\"a://b\""));
        assert!(reply.event().await.unwrap().contains("tools/list_changed"));
        // And live from there.
        server.tell("notifications/resources/list_changed", "").await;
        assert!(reply.event().await.unwrap().contains("resources/list_changed"));
        session.delete().await;
    }
}

/// Past the bounds it is told that everything may have changed, rather than nothing.
#[tokio::test(start_paused = true)]
async fn a_client_that_was_away_for_too_long_hears_that_everything_changed() {
    for events in [1000, 2] {
        let (mut stand, server, _desk) = stand().await;
        stand.plan.limits.replay_for = Duration::from_secs(60);
        stand.plan.limits.replay_events = events;
        let running = start(stand).await;
        let session = Session::new(&running).await;
        let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a://b"}}"#;
        assert_eq!(session.post(subscribe).await.status, 200);
        let mut reply = session.get(None).await;
        let (primer, _) = event(&mut reply).await.unwrap();
        drop(reply);
        testkit::idle().await;
        for _ in 0..4 {
            server.tell("notifications/tools/list_changed", "").await;
            // So that they are not told as one.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        if events == 1000 {
            tokio::time::sleep(Duration::from_secs(61)).await;
        }
        let mut reply = session.get(Some(&primer)).await;
        let (mut lists, mut resources) = (0, 0);
        while lists == 0 || resources == 0 {
            let told = reply.event().await.unwrap();
            lists += usize::from(told.contains("tools/list_changed"));
            resources += usize::from(told.contains("\"a://b\""));
        }
    }
}

/// A reload puts another endpoint in the place of the one that a client came to; its streams are still there.
#[tokio::test(start_paused = true)]
async fn a_client_finds_its_streams_again_after_a_reload() {
    let (stand, server, mut desk) = stand().await;
    let mut plan = stand.plan.clone();
    plan.limits.replay_events += 1;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let mut notices = session.get(None).await;
    let (listened, _) = event(&mut notices).await.unwrap();
    let (mut reply, events) = session.call(&mut desk).await;
    let (primer, _) = event(&mut reply).await.unwrap();
    drop(reply);
    running.gateway.reload(plan);
    // Who listens hears that everything may be different, and that it is to come back.
    assert!(!rest(&mut notices).await.is_empty());
    let mut reply = session.get(Some(&primer)).await;
    events.result("{}").await;
    let told = rest(&mut reply).await;
    assert_eq!(told.iter().map(|data| progress(data)).collect::<Vec<_>>(), ["0", "response"]);
    let mut notices = session.get(Some(&listened)).await;
    assert!(notices.event().await.unwrap().contains("changed"));
    server.tell("notifications/tools/list_changed", "").await;
    while !notices.event().await.unwrap().contains("tools/list_changed") {}
}

/// What is kept for clients that are away does not keep the gateway from ending.
#[tokio::test(start_paused = true)]
async fn when_the_gateway_ends_nothing_is_kept_any_more() {
    let (stand, _server, mut desk) = stand().await;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let mut notices = session.get(None).await;
    event(&mut notices).await.unwrap();
    let (reply, events) = session.call(&mut desk).await;
    drop(reply);
    events.result("{}").await;
    testkit::idle().await;
    let began = tokio::time::Instant::now();
    running.gateway.stop().await;
    assert_eq!(notices.event().await, None);
    // The time in which a connection may still say something, and not that for which anything is kept.
    assert!(began.elapsed().as_secs() <= 1, "nobody was waited for");
}

/// To watch one resource more takes a new stream at a modern server: what is told meanwhile comes once.
#[tokio::test(start_paused = true)]
async fn a_session_that_watches_more_misses_nothing_and_hears_nothing_twice() {
    let (stand, server, _desk) = stand().await;
    let running = start(stand).await;
    let session = Session::new(&running).await;
    let watch = |uri: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"{uri}","method":"resources/subscribe","params":{{"uri":"{uri}"}}}}"#
        )
    };
    session.post(&watch("a://0")).await;
    let mut heard = session.get(None).await;
    let mut all = Vec::new();
    for n in 1..=20 {
        let watched = tokio::spawn({
            let (session, body) = (session.clone(), watch(&format!("a://{n}")));
            async move { session.post(&body).await.status }
        });
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        server.tell("notifications/resources/updated", &format!(r#""uri":"a://0","n":{n}"#)).await;
        assert_eq!(watched.await.unwrap(), 200);
        testkit::idle().await;
    }
    let (_, primer) = event(&mut heard).await.unwrap();
    assert_eq!(primer, "");
    for _ in 1..=20 {
        let (_, data) = event(&mut heard).await.unwrap();
        all.push(json::at(&data, &["params", "n"]).unwrap_or(&data).to_owned());
    }
    assert_eq!(all, (1..=20).map(|n| n.to_string()).collect::<Vec<_>>());
}
