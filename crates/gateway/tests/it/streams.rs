//! Streams to clients: they say that they are alive, end in good order, and cost a server one stream however many listen.

use std::sync::Arc;
use std::time::Duration;

use testkit::http::Piece;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::ask;
use crate::doors::{Door, Kind, lines};
use crate::stand::{Over, Running, Stand};

const ABLE: &str = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true}}"#;

async fn with(persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    let running = stand.start().await;
    server.saw("tools/list", 1).await;
    testkit::idle().await;
    (running, server, desk)
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_word_says_every_fifteen_seconds_that_it_is_alive() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let began = tokio::time::Instant::now();
    let client = running.client.clone();
    let call = tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"t""#).await });
    let asked = desk.asked("tools/call").await;
    let mut reply = call.await.unwrap();
    assert_eq!((began.elapsed().as_secs(), reply.media()), (15, "text/event-stream"));
    for beat in 1..=3 {
        assert_eq!(reply.piece().await.unwrap(), Some(Piece::Comment));
        assert_eq!(began.elapsed().as_secs(), 15 * beat);
    }
    asked.result("{}").await;
    assert!(reply.event().await.unwrap().contains("result"));
    assert_eq!(reply.event().await, None);
}

/// A client that cannot read events gets its one answer whenever it comes.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_json_only_gets_json() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let body = ask::body("1", "tools/call", r#""name":"t""#);
    let client = running.client.clone();
    let call = tokio::spawn(async move {
        let mut headers = ask::mirrored(&body);
        headers.push(("accept", "application/json".to_owned()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.post(&headers, body.as_bytes()).await
    });
    let mut events = desk.asked("tools/call").await.stream().await;
    events.progress("1").await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    events.result("{}").await;
    let mut reply = call.await.unwrap();
    assert_eq!(reply.media(), "application/json");
    assert!(reply.body().await.contains("result"));
}

#[tokio::test(start_paused = true)]
async fn listeners_hear_that_their_stream_is_alive() {
    let (running, _server, _desk) = with(Persona::modern().able(ABLE)).await;
    let mut modern = ask::modern(&running.client, "subscriptions/listen", r#""notifications":{}"#).await;
    assert!(matches!(modern.piece().await.unwrap(), Some(Piece::Event { .. })));
    assert_eq!(modern.piece().await.unwrap(), Some(Piece::Comment));
    assert_eq!(modern.piece().await.unwrap(), Some(Piece::Comment));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_listeners_cost_the_server_one_stream() {
    let (running, server, _desk) = with(Persona::modern().able(ABLE)).await;
    let mut streams = Vec::new();
    for n in 0..100 {
        let params = r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b"]}"#;
        let body = ask::body(&n.to_string(), "subscriptions/listen", params);
        let mut stream = ask::send(&running.client, &body).await;
        assert!(stream.event().await.unwrap().contains("acknowledged"));
        streams.push(stream);
    }
    // One for the lists, and a wider one for the first who wanted the resource.
    assert_eq!(server.seen_of("subscriptions/listen").len(), 2);
    server.tell("notifications/resources/updated", r#""uri":"a://b""#).await;
    for (n, stream) in streams.iter_mut().enumerate() {
        let told = stream.event().await.unwrap();
        let meta = json::at(&told, &["params", "_meta", "io.modelcontextprotocol/subscriptionId"]);
        assert_eq!(meta, Some(n.to_string().as_str()), "{told}");
    }
}

/// However quiet its servers are, and however often they are not.
#[tokio::test(start_paused = true)]
async fn an_open_stream_is_never_silent_for_longer_than_the_interval() {
    let (running, server, _desk) = with(Persona::modern().able(ABLE)).await;
    let listen = r#""notifications":{"toolsListChanged":true}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", listen).await;
    assert!(stream.event().await.unwrap().contains("acknowledged"));
    for silent in [15, 15, 7, 15] {
        let last = tokio::time::Instant::now();
        let told = if silent == 15 {
            stream.piece().await.unwrap()
        } else {
            tokio::time::sleep(Duration::from_secs(silent)).await;
            server.tell("notifications/tools/list_changed", "").await;
            stream.piece().await.unwrap()
        };
        assert_eq!(last.elapsed().as_secs(), silent);
        assert_eq!(matches!(told, Some(Piece::Comment)), silent == 15);
    }
}

/// A change is written once for all who hear of it; each gets it in the route's names and under its own stream's id, and
/// a session without any.
#[tokio::test(start_paused = true)]
async fn a_change_is_told_to_each_in_its_own_way() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (one, _) = stand.add("one", Over::Http, Persona::modern().able(ABLE)).await;
    let (two, _) = stand.add("two", Over::Http, Persona::modern().able(ABLE)).await;
    let running = stand.start().await;
    one.saw("tools/list", 1).await;
    two.saw("tools/list", 1).await;
    testkit::idle().await;
    let mut streams = Vec::new();
    for id in ["1", "\"1\"", "\"a\\u0000b\""] {
        let params = r#""notifications":{"resourceSubscriptions":["a://two__b"]}"#;
        let mut stream = ask::send(&running.client, &ask::body(id, "subscriptions/listen", params)).await;
        let acknowledged = stream.event().await.unwrap();
        assert!(acknowledged.contains("a://two__b"), "{acknowledged}");
        streams.push((id, stream));
    }
    let deaf = r#""notifications":{"promptsListChanged":true}"#;
    let mut deaf = ask::modern(&running.client, "subscriptions/listen", deaf).await;
    assert!(deaf.event().await.unwrap().contains("acknowledged"));
    // Of the same text, but another server's.
    one.tell("notifications/resources/updated", r#""uri":"a://b""#).await;
    two.tell("notifications/resources/updated", r#""uri":"a://b","more":[1.0]"#).await;
    for (id, stream) in &mut streams {
        let told = stream.event().await.unwrap();
        let meta = json::at(&told, &["params", "_meta", "io.modelcontextprotocol/subscriptionId"]);
        assert_eq!(meta, Some(*id), "{told}");
        assert_eq!(json::at(&told, &["params", "uri"]), Some("\"a://two__b\""));
        assert_eq!(json::at(&told, &["params", "more"]), Some("[1.0]"));
    }
    assert_eq!(deaf.piece().await.unwrap(), Some(Piece::Comment));
}

#[tokio::test(start_paused = true)]
async fn streams_have_a_bound_and_are_free_again_when_their_client_is_gone() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Http, Persona::modern().able(ABLE)).await;
    stand.plan.limits.streams = 1;
    let running = stand.start().await;
    let listen = r#""notifications":{"toolsListChanged":true}"#;
    let mut first = ask::modern(&running.client, "subscriptions/listen", listen).await;
    assert!(first.event().await.unwrap().contains("acknowledged"));
    assert_eq!(ask::modern(&running.client, "subscriptions/listen", listen).await.status, 503);
    drop(first);
    testkit::idle().await;
    let mut second = ask::modern(&running.client, "subscriptions/listen", listen).await;
    assert!(second.event().await.unwrap().contains("acknowledged"));
}

/// The id that names a stream keeps its type: `1` and `"1"` are two.
#[tokio::test(start_paused = true)]
async fn a_stream_is_named_by_its_id_as_it_is_written() {
    let (running, server, _desk) = with(Persona::modern().able(ABLE)).await;
    for id in ["1", "\"1\"", "\"\\u0061\"", "-5", "9007199254740993"] {
        let body = ask::body(id, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#);
        let mut stream = ask::send(&running.client, &body).await;
        let path = ["params", "_meta", "io.modelcontextprotocol/subscriptionId"];
        assert_eq!(json::at(&stream.event().await.unwrap(), &path), Some(id));
        server.tell("notifications/tools/list_changed", "").await;
        assert_eq!(json::at(&stream.event().await.unwrap(), &path), Some(id));
    }
}

/// But of lists, of which we tell ourselves.
#[tokio::test(start_paused = true)]
async fn what_a_server_does_not_honour_is_not_acknowledged() {
    let (running, _server, _desk) = with(Persona::modern().able(r#"{"tools":{}}"#)).await;
    let params = r#""notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a://b"],"later":true}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", params).await;
    let acknowledged = stream.event().await.unwrap();
    assert_eq!(
        json::at(&acknowledged, &["params", "notifications"]),
        Some(r#"{"toolsListChanged":true,"promptsListChanged":true}"#)
    );
}

/// Draining: streams end with their result, calls finish, and nobody new comes in.
#[tokio::test(start_paused = true)]
async fn when_the_gateway_ends_streams_end_in_good_order_and_calls_finish() {
    let (running, _server, mut desk) = with(Persona::modern().able(ABLE)).await;
    let mut stream =
        ask::modern(&running.client, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#)
            .await;
    stream.event().await.unwrap();
    let client = running.client.clone();
    let call =
        tokio::spawn(
            async move { ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await },
        );
    let asked = desk.asked("tools/call").await;
    running.gateway.drain();
    let end = stream.event().await.unwrap();
    assert_eq!(json::at(&end, &["result", "resultType"]), Some("\"complete\""), "{end}");
    assert_eq!(stream.event().await, None);
    asked.result(r#"{"late":1}"#).await;
    assert!(call.await.unwrap().contains("late"));
    running.gateway.stop().await;
    assert!(!running.client.is_served().await);
}

/// A legacy session has one stream of notifications: the newest.
#[tokio::test(start_paused = true)]
async fn a_newer_stream_of_a_session_takes_the_place_of_the_older() {
    let (running, server, _desk) = with(Persona::modern().able(ABLE)).await;
    let door = Door::open(Kind::LegacyHttp, &running).await;
    let get = running.client.request("GET /mcp", &[("mcp-session-id", door.session())], b"");
    let (mut old, mut new) = (running.client.send(&get).await, running.client.send(&get).await);
    assert_eq!(old.event().await, None);
    server.tell("notifications/tools/list_changed", "").await;
    let told = new.event().await.unwrap();
    assert_eq!(
        told,
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{}}}"#
    );
    // And it ends with the session.
    let mut door = door;
    door.end().await;
    assert_eq!(new.event().await, None);
}

/// Over stdio both eras share a pipe: notifications that belong to nothing go to the session, those of streams name them.
#[tokio::test(start_paused = true)]
async fn a_client_over_stdio_may_speak_both_eras_at_once() {
    let (running, server, mut desk) = with(Persona::modern().able(ABLE)).await;
    let mut client = lines(&running);
    let open = r#"{"jsonrpc":"2.0","id":"open","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    client.send(open.as_bytes()).await;
    assert!(client.next().await.unwrap().contains("2025-06-18"));
    let modern = ask::body("1", "tools/call", r#""name":"t""#);
    client.send(modern.as_bytes()).await;
    desk.asked("tools/call").await.result("{}").await;
    assert!(client.next().await.unwrap().contains("resultType"));
    client.send(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#).await;
    desk.asked("tools/call").await.result("{}").await;
    assert_eq!(client.next().await.unwrap(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    server.tell("notifications/tools/list_changed", "").await;
    assert!(client.next().await.unwrap().contains("tools/list_changed"));
}

/// What a client sent before it closed its input is still answered.
#[tokio::test(start_paused = true)]
async fn a_client_over_stdio_that_closes_its_input_gets_its_answers() {
    let (running, _server, mut desk) = with(Persona::modern()).await;
    let mut client = lines(&running);
    client.send(ask::body("1", "tools/call", r#""name":"t""#).as_bytes()).await;
    client.close().await;
    let asked = desk.asked("tools/call").await;
    testkit::idle().await;
    asked.result("{}").await;
    assert!(client.next().await.unwrap().contains("\"id\":1"));
    assert_eq!(client.next().await, None);
}

/// Who reads too slowly misses something, and is told so: everything may have changed.
#[tokio::test(start_paused = true)]
async fn a_listener_that_missed_something_hears_that_everything_changed() {
    for over in [Over::Http, Over::Stdio] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, _desk) = stand.add("up", over, Persona::modern().able(ABLE)).await;
        let running = stand.start().await;
        server.listened_to(1).await;
        let listen = r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b"]}"#;
        let mut stream = ask::modern(&running.client, "subscriptions/listen", listen).await;
        assert!(stream.event().await.unwrap().contains("acknowledged"));
        // More than all buffers between hold.
        for n in 0..5_000 {
            server.tell("notifications/resources/updated", &format!(r#""uri":"a://b/{n}""#)).await;
        }
        testkit::idle().await;
        server.tell("notifications/resources/updated", r#""uri":"a://b/last""#).await;
        let (mut lists, mut resources, mut count) = (0, 0, 0);
        while lists == 0 || resources == 0 {
            let told = stream.event().await.unwrap();
            count += 1;
            lists += usize::from(told.contains("tools/list_changed"));
            resources += usize::from(told.contains("\"a://b\""));
        }
        assert!(count < 5_000, "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_of_sessions_have_a_bound_too_and_are_free_again_when_they_end() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, _desk) = stand.add("up", Over::Http, Persona::modern()).await;
    stand.plan.limits.streams = 1;
    let running = stand.start().await;
    let (one, two) =
        (Door::open(Kind::LegacyHttp, &running).await, Door::open(Kind::LegacyHttp, &running).await);
    let get = |door: &Door| running.client.request("GET /mcp", &[("mcp-session-id", door.session())], b"");
    let first = running.client.send(&get(&one)).await;
    assert_eq!(first.status, 200);
    assert_eq!(running.client.send(&get(&two)).await.status, 503);
    drop(first);
    testkit::idle().await;
    assert_eq!(running.client.send(&get(&two)).await.status, 200);
}
