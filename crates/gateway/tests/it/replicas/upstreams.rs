//! What servers hold for clients goes on with them.

use gateway::plan::SessionRule;

use super::*;

/// The session that the server was called in last.
fn last_session(fleet: &Fleet) -> String {
    fleet.server.seen_of("tools/call").last().unwrap().header("mcp-session-id").unwrap().to_owned()
}

#[tokio::test]
async fn a_client_keeps_its_session_with_a_legacy_server() {
    let mut fleet = Fleet::new(Persona::legacy().scripted(&["DELETE"])).await;
    let desk = fleet.desk();
    fleet.server.answer_all(desk, |asked| async move {
        match asked.seen.method().as_str() {
            "DELETE" => asked.respond(200, "", &[], b"").await,
            _ => asked.result("{}").await,
        }
    });
    let own = |stand: &mut Stand| stand.upstream("up").sessions = SessionRule::PerClient;
    let (mut one, mut two) = (fleet.start_with(own).await, fleet.start_with(own).await);
    let three = fleet.start_with(own).await;
    let (session, other) = (Session::open(&one).await, Session::open(&one).await);
    let call = async |session: &Session, at: &One| {
        let reply = session.request(at, 1, "tools/call", r#"{"name":"t"}"#).await;
        assert!(reply.response().await.contains("\"result\""));
        last_session(&fleet)
    };
    let (mine, theirs) = (call(&session, &two).await, call(&other, &two).await);
    assert_ne!(mine, theirs);
    assert_eq!(call(&session, &one).await, mine);
    // Killed, or ended in good order.
    one.kill().await;
    assert_eq!(call(&session, &two).await, mine);
    two.stop().await;
    assert_eq!(call(&session, &three).await, mine);
    assert_eq!(session.delete(&three).await, 200);
    // Also one that this replica has never used.
    assert_eq!(other.delete(&three).await, 200);
    let ended: Vec<_> = fleet
        .server
        .seen_of("DELETE")
        .iter()
        .map(|seen| seen.header("mcp-session-id").unwrap().to_owned())
        .collect();
    for session in [&mine, &theirs] {
        assert_eq!(ended.iter().filter(|ended| *ended == session).count(), 1, "{ended:?}");
    }
}

#[tokio::test]
async fn what_a_process_of_one_replica_tells_clients_of_all_hear() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::Sqlite(dir.path().join("store.db"));
    let store = Arc::new(Store::open(&place, Settings::default()).await.unwrap());
    let network = Arc::new(MemoryNetwork::default());
    let able = r#"{"tools":{"listChanged":true}}"#;
    let mut gateways = Vec::new();
    let mut servers = Vec::new();
    for _ in 0..2 {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut stand = Stand::new(Arc::clone(&network) as _);
        let (server, desk) = stand.add("up", crate::stand::Over::Stdio, Persona::legacy().able(able)).await;
        stand.store = Some(Arc::clone(&store));
        stand.plan.replicas = Some(ReplicasPlan { listen: ANY(), advertise: None });
        let running = runtime.spawn(stand.start()).await.unwrap();
        running.gateway.settled().await;
        gateways.push(One { running: Some(running), runtime: Some(runtime) });
        servers.push((server, desk));
    }
    let body = ask::body("\"s\"", "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#);
    let mut heard = ask::send(&gateways[1].client(), &body).await;
    assert!(heard.event().await.unwrap().contains("acknowledged"));
    let tells = async {
        loop {
            servers[0].0.tell("notifications/tools/list_changed", "").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        event = heard.event() => assert!(event.unwrap().contains("tools/list_changed")),
        () = tells => {}
    }
}
