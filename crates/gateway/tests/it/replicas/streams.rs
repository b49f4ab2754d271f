//! Clients that come back, to another replica, for what they have missed.

use testkit::http::Piece;

use super::*;

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","_meta":{"progressToken":"p"}}}"#;

/// The next event's id and data.
async fn event(reply: &mut Reply) -> Option<(String, String)> {
    loop {
        match reply.piece().await.unwrap()? {
            Piece::Event { id, data, .. } => return Some((id.unwrap_or_default(), data)),
            Piece::Comment => {}
        }
    }
}

/// A call whose stream has said its first word, which its client has got.
async fn begun(session: &Session, at: &One, desk: &mut Desk) -> (String, testkit::server::Events) {
    let (mut reply, events) = tokio::join!(session.post(at, CALL), async {
        let mut events = desk.asked("tools/call").await.stream().await;
        events.progress("1").await;
        events
    });
    let mut last = event(&mut reply).await.unwrap();
    if last.1.is_empty() {
        last = event(&mut reply).await.unwrap();
    }
    assert!(last.1.contains("progress"), "{last:?}");
    (last.0, events)
}

/// All that comes after an event, without what only primes.
async fn after(session: &Session, at: &One, last: &str) -> Vec<(String, String)> {
    let mut reply = session.get(at, Some(last)).await;
    assert_eq!(reply.status, 200);
    let mut said = Vec::new();
    while let Some(event) = event(&mut reply).await {
        if !event.1.is_empty() {
            said.push(event);
        }
    }
    said
}

#[tokio::test]
async fn a_stream_goes_on_at_another_replica_while_its_own_lives() {
    let mut fleet = Fleet::new(Persona::modern()).await;
    let (one, two) = (fleet.start().await, fleet.start().await);
    let mut desk = fleet.desk();
    let session = Session::open(&one).await;
    let (last, mut events) = begun(&session, &two, &mut desk).await;
    events.progress("2").await;
    events.result("{}").await;
    let said = after(&session, &two, &last).await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].1.contains("\"result\""), "{said:?}");
}

#[tokio::test]
async fn a_durable_stream_outlives_its_replica() {
    let mut fleet = Fleet::new(Persona::modern()).await;
    let durable = |stand: &mut Stand| stand.plan.routes[0].durable_streams = true;
    let (mut one, two) = (fleet.start_with(durable).await, fleet.start_with(durable).await);
    let mut desk = fleet.desk();
    let session = Session::open(&one).await;

    // One that was over, and one that was not.
    let (over, mut events) = begun(&session, &one, &mut desk).await;
    events.progress("2").await;
    events.result("{}").await;
    assert_eq!(after(&session, &two, &over).await.len(), 2);
    let (open, mut events) = begun(&session, &one, &mut desk).await;
    events.progress("2").await;
    // That it is in the store shows when a client has got it.
    let mut rest = session.get(&one, Some(&open)).await;
    while !event(&mut rest).await.unwrap().1.contains("\"progress\":2") {}
    one.kill().await;

    let said = after(&session, &two, &over).await;
    assert!(said.len() == 2 && said[1].1.contains("\"result\""), "{said:?}");
    for _ in 0..2 {
        let said = after(&session, &two, &open).await;
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].1.contains("\"progress\":2"), "{said:?}");
        assert_eq!(reason(&said[1].1), "\"replica_lost\"");
        assert_eq!(json::at(&said[1].1, &["id"]), Some("\"c\""));
    }
    assert_eq!(fleet.server.seen_of("tools/call").len(), 2, "nothing is called again");
    // It is this session's alone.
    let other = Session::open(&two).await;
    assert_eq!(other.get(&two, Some(&open)).await.status, 400);
}

#[tokio::test]
async fn a_stream_that_is_not_durable_is_lost_with_its_replica_and_says_so() {
    let mut fleet = Fleet::new(Persona::modern()).await;
    let (mut one, two) = (fleet.start().await, fleet.start().await);
    let mut desk = fleet.desk();
    let session = Session::open(&one).await;
    let (last, events) = begun(&session, &one, &mut desk).await;
    one.kill().await;
    let refused = session.get(&two, Some(&last)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(reason(&refused.response().await), "\"not_resumable\"");
    drop(events);
}

/// Over HTTP+SSE the answer goes to the stream, wherever the message comes.
#[tokio::test]
async fn messages_of_http_sse_find_their_stream() {
    let fleet = Fleet::new(Persona::legacy()).await;
    let with_sse = |stand: &mut Stand| stand.plan.routes[0].sse_path = Some("/sse".to_owned());
    let (mut one, two) = (fleet.start_with(with_sse).await, fleet.start_with(with_sse).await);
    let client = one.client();
    let mut stream = client.send(&client.request("GET /sse", &[], b"")).await;
    let endpoint = stream.event().await.unwrap();
    let post = async |body: &str| {
        let client = two.client();
        client.send(&client.request(&format!("POST {endpoint}"), &[], body.as_bytes())).await.status
    };
    let open = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    assert_eq!(post(open).await, 202);
    assert!(stream.event().await.unwrap().contains("2024-11-05"));
    assert_eq!(post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await, 202);
    assert!(stream.event().await.unwrap().contains("\"id\":1"));
    // It ends with its stream.
    one.kill().await;
    assert_eq!(post(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await, 404);
}
