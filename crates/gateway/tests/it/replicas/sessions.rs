//! Legacy sessions are wherever their client comes.

use super::*;

const WATCHING: &str = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}}"#;

#[tokio::test]
async fn a_session_is_one_session_at_every_replica() {
    let mut fleet = Fleet::new(Persona::legacy().able(WATCHING).with_stream()).await;
    let (mut one, two) = (fleet.start().await, fleet.start().await);
    let session = Session::open(&one).await;
    let mut desk = fleet.desk();

    // A call at one place is cancelled at the other.
    let (reply, asked) = tokio::join!(session.request(&two, 1, "tools/call", r#"{"name":"t"}"#), async {
        let events = desk.asked("tools/call").await.stream().await;
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
        assert_eq!(session.post(&one, cancel).await.status, 202);
        fleet.server.saw("notifications/cancelled", 1).await;
        events
    });
    drop(asked);
    assert_eq!(reply.status, 200);

    // What it watches at one place it hears at the other.
    let mut heard = session.get(&two, None).await;
    assert_eq!(heard.status, 200);
    let watched = session.request(&one, 2, "resources/subscribe", r#"{"uri":"file:///a"}"#).await;
    assert!(watched.response().await.contains("\"result\":{}"));
    fleet.server.tell("notifications/resources/updated", r#""uri":"file:///a""#).await;
    loop {
        if heard.event().await.unwrap().contains("file:///a") {
            break;
        }
    }

    // Whoever ends it ends it everywhere.
    assert_eq!(session.delete(&two).await, 200);
    assert!(heard.event().await.is_none());
    assert_eq!((session.ping(&one).await, session.ping(&two).await), (404, 404));
    assert_eq!(session.delete(&one).await, 404);
    // Also where its home is not known any more.
    one.kill().await;
    let three = fleet.start().await;
    assert_eq!((session.ping(&two).await, session.ping(&three).await), (404, 404));
}

#[tokio::test]
async fn a_session_outlives_the_replica_that_opened_it() {
    let mut fleet = Fleet::new(Persona::legacy().able(WATCHING).with_stream()).await;
    let (mut one, two, three) = (fleet.start().await, fleet.start().await, fleet.start().await);
    let session = Session::open(&one).await;
    let mut desk = fleet.desk();
    let levelled = session.request(&two, 1, "logging/setLevel", r#"{"level":"error"}"#).await;
    assert!(levelled.response().await.contains("\"result\":{}"));
    let watched = session.request(&two, 2, "resources/subscribe", r#"{"uri":"file:///a"}"#).await;
    assert!(watched.response().await.contains("\"result\":{}"));

    // A call under way is lost with it, and its client hears so.
    let begun = Arc::new(tokio::sync::Notify::new());
    let call = tokio::spawn({
        let (session, client, begun) = (session.clone(), two.client(), Arc::clone(&begun));
        async move {
            let body = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"t"}}"#;
            let mut reply = client.post(&[("mcp-session-id", &session.0)], body.as_bytes()).await;
            begun.notify_one();
            let mut events = Vec::new();
            while let Some(event) = reply.event().await {
                events.push(event);
            }
            events
        }
    });
    let mut events = desk.asked("tools/call").await.stream().await;
    events.log("error").await;
    begun.notified().await;
    one.kill().await;
    let said = call.await.unwrap();
    assert_eq!(reason(said.last().unwrap()), "\"replica_lost\"", "{said:?}");

    // The session goes on, with all that it was: once at one place, and the other follows.
    assert_eq!(session.ping(&two).await, 200);
    assert_eq!(session.ping(&three).await, 200);
    assert_eq!(fleet.server.seen_of("tools/call").len(), 1, "nothing is called again");
    let mut heard = session.get(&three, None).await;
    let first = heard.event().await;
    assert!(first.is_some(), "it is told that something may have been missed");
    let hears = async {
        loop {
            if heard.event().await.unwrap().contains("file:///a") {
                return;
            }
        }
    };
    tokio::select! {
        () = hears => {}
        () = tells(&fleet) => {}
    }
    let (reply, ()) = tokio::join!(session.request(&three, 4, "tools/call", r#"{"name":"t"}"#), async {
        let mut events = desk.asked("tools/call").await.stream().await;
        events.log("info").await;
        events.log("error").await;
        events.result("{}").await;
    });
    let text = all(reply).await;
    assert!(text.contains("\"error\"") && !text.contains("\"info\""), "its level is as it was set: {text}");
}

/// Everything that is said.
async fn all(mut reply: Reply) -> String {
    reply.body().await
}

#[tokio::test]
async fn a_replica_that_ends_in_good_order_hands_its_sessions_over() {
    let mut fleet = Fleet::new(Persona::legacy().able(WATCHING).with_stream()).await;
    let desk = fleet.desk();
    fleet.server.answer_all(desk, |asked| async move { asked.result("{}").await });
    let (mut one, two) = (fleet.start().await, fleet.start().await);
    let session = Session::open(&one).await;
    let watched = session.request(&two, 1, "resources/subscribe", r#"{"uri":"file:///a"}"#).await;
    assert!(watched.response().await.contains("\"result\":{}"));
    let asks = async {
        for id in 0..50 {
            let reply = session.request(&two, id, "tools/call", r#"{"name":"t"}"#).await;
            assert_eq!(reply.status, 200);
            assert!(reply.response().await.contains("\"result\""), "call {id}");
        }
    };
    tokio::join!(asks, one.stop());
    assert_eq!(session.ping(&two).await, 200);
    // With all that it was.
    let mut heard = session.get(&two, None).await;
    let hears = async { while !heard.event().await.unwrap().contains("file:///a") {} };
    tokio::select! {
        () = hears => {}
        () = tells(&fleet) => {}
    }
}

/// Not even what listens whether another replica is still there.
#[tokio::test]
async fn nothing_runs_any_more_when_a_replica_has_ended() {
    let fleet = Fleet::new(Persona::legacy()).await;
    let (one, mut two) = (fleet.start().await, fleet.start().await);
    let session = Session::open(&one).await;
    assert_eq!(session.ping(&two).await, 200);
    assert!(!two.tasks.is_empty());
    two.stop().await;
    assert!(two.tasks.is_empty(), "{} tasks are left", two.tasks.len());
}

/// Tells of a change again and again.
async fn tells(fleet: &Fleet) {
    loop {
        fleet.server.tell("notifications/resources/updated", r#""uri":"file:///a""#).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A process that crashed and is there again has another id, whatever address it has.
#[tokio::test]
async fn a_session_outlives_a_crash_of_the_only_replica() {
    let at = Address::Tcp("127.0.0.1".to_owned(), 7070);
    for listen in [None, Some(at)] {
        let fleet = Fleet::new(Persona::legacy()).await;
        let replicas = listen.map(|listen| ReplicasPlan { listen, advertise: None });
        let mut one = fleet.start_with(|stand| stand.plan.replicas.clone_from(&replicas)).await;
        let session = Session::open(&one).await;
        assert_eq!(session.ping(&one).await, 200);
        one.kill().await;
        let again = fleet.start_with(|stand| stand.plan.replicas.clone_from(&replicas)).await;
        assert_eq!(session.ping(&again).await, 200, "{replicas:?}");
    }
}
