//! What servers hold for clients goes on with them.

use base::plan::SessionRule;

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

/// Another session would be one in which nothing is as the client has left it.
#[tokio::test]
async fn without_the_store_no_other_session_is_opened_in_the_place_of_one() {
    let fleet = Fleet::new(Persona::legacy()).await;
    let one = fleet.start_with(|stand| stand.upstream("up").sessions = SessionRule::PerClient).await;
    let session = Session::open(&one).await;
    let opened = fleet.server.sessions_opened();
    fleet.store.close().await;
    let reply = session.request(&one, 1, "tools/call", r#"{"name":"t"}"#).await.response().await;
    assert_eq!(reason(&reply), "\"store_away\"", "{reply}");
    assert_eq!(fleet.server.sessions_opened(), opened);
    assert!(fleet.server.seen_of("tools/call").is_empty());
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
        let tasks = stand.tasks.clone();
        let running = runtime.spawn(stand.start()).await.unwrap();
        running.gateway.settled().await;
        gateways.push(One { running: Some(running), tasks, runtime: Some(runtime) });
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

/// A process that remembers something is one for all clients, wherever they come, and another one only when it is gone.
#[tokio::test]
async fn a_process_at_one_replica_serves_the_clients_of_all() {
    let fleet = Fleet::new(Persona::legacy()).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        let (server, desk) = ScriptedServer::new(Persona::modern());
        server.answer_all(desk, |asked| async move {
            asked.result(r#"{"resultType":"complete","content":[]}"#).await;
        });
        let one = fleet
            .start_with(|stand| {
                server.program(&stand.spawn, "local");
                let mut local = UpstreamPlan::new("local", process("local"));
                local.single = true;
                stand.put(local);
            })
            .await;
        all.push((one, server));
    }
    let served = |all: &[(One, ScriptedServer)]| -> Vec<usize> {
        all.iter().map(|(_, server)| server.seen_of("tools/call").len()).collect()
    };
    let call = async |one: &One| {
        let body = ask::body("1", "tools/call", r#""name":"local__t""#);
        let reply = ask::send(&one.client(), &body).await.response().await;
        assert!(reply.contains("\"content\""), "{reply}");
    };
    // Modern clients, and a legacy one whose session follows it.
    for (one, _) in &all {
        call(one).await;
    }
    let session = Session::open(&all[0].0).await;
    for (one, _) in &all {
        let reply = session.request(one, 1, "tools/call", r#"{"name":"local__t"}"#).await;
        assert!(reply.response().await.contains("\"content\""));
    }
    let calls = served(&all);
    let holder = calls.iter().position(|calls| *calls > 0).unwrap();
    assert_eq!(calls.iter().sum::<usize>(), 6);
    assert_eq!(calls[holder], 6, "{calls:?}");

    all[holder].0.kill().await;
    let left: Vec<_> = (0..3).filter(|at| *at != holder).collect();
    for at in &left {
        call(&all[*at].0).await;
        let reply = session.request(&all[*at].0, 1, "tools/call", r#"{"name":"local__t"}"#).await;
        assert!(reply.response().await.contains("\"content\""));
    }
    let mut after: Vec<_> = left.iter().map(|at| served(&all)[*at]).collect();
    after.sort_unstable();
    assert_eq!(after, [0, 4], "one of them has taken over");
    assert_eq!(session.delete(&all[left[0]].0).await, 200);
    for at in left {
        assert_eq!(session.ping(&all[at].0).await, 404);
    }
}
