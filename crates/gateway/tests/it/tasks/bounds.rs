//! What is held, how much of it, and what a restart takes away.

use base::plan::Plan;

use super::*;

/// An id says all that is needed to find its task.
#[tokio::test(start_paused = true)]
async fn ids_outlive_a_restart() {
    for (persona, created, get) in [
        (modern(), created_flat("own"), flat("own", "working", "")),
        (legacy(), created_core("own"), core("own", "working")),
    ] {
        let (before, [(server, mut desk)]) = stand([("up", persona)]).await;
        let (network, plan) = (Arc::clone(&before.network), before.plan.clone());
        let mut after = Stand::new(network);
        after.plan = Plan { listeners: after.plan.listeners.clone(), ..plan };
        let modern_server = created.contains("resultType");
        let call = if modern_server { r#""name":"t","task":{}"# } else { r#""name":"must""# };
        let running = before.start().await;
        let mut door = if modern_server { legacy_door(&running).await } else { modern_door(&running).await };
        let answer = asked(&mut door, ("tools/call", call), &mut desk, ("tools/call", &created)).await;
        let path: &[&str] = if modern_server { &["result", "task", "taskId"] } else { &["result", "taskId"] };
        let about = format!(r#""taskId":"{}""#, member(&answer, path));
        running.gateway.drain();

        let running = after.start().await;
        let mut door = if modern_server { legacy_door(&running).await } else { modern_door(&running).await };
        let got = asked(&mut door, ("tasks/get", &about), &mut desk, ("tasks/get", &get)).await;
        assert_eq!(member(&got, &["result", "status"]), "working");
        assert_eq!(server.seen_of("tasks/get")[0].param("taskId"), Some("\"own\""));
    }
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_for_a_task() {
    let (mut stand, [(_server, mut desk)]) = stand([("up", legacy())]).await;
    stand.plan.limits.suspended_calls = 1;
    let running = stand.start().await;
    let mut door = legacy_door(&running).await;
    let body = door.body("1", "tasks/result", r#""taskId":"own""#, "");
    let first = tokio::spawn({
        let (session, client) = (door.session().to_owned(), running.client.clone());
        let headers = move || {
            [
                ("mcp-session-id".to_owned(), session),
                ("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()),
            ]
        };
        async move {
            let headers = headers();
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            client.post(&headers, body.as_bytes()).await.response().await
        }
    });
    let wait = desk.asked("tasks/result").await;
    let refused = door.response(&door.body("2", "tasks/result", r#""taskId":"own""#, "")).await;
    assert_eq!(member(&refused, &["error", "data", "reason"]), "overloaded");
    // Other calls are not held up.
    let body = door.body("3", "tasks/get", r#""taskId":"own""#, "");
    let (got, ()) = tokio::join!(door.response(&body), async {
        desk.asked("tasks/get").await.result(&core("own", "working")).await;
    });
    assert_eq!(member(&got, &["result", "status"]), "working");
    wait.result("{}").await;
    assert!(first.await.unwrap().contains("result"));
    let again =
        asked(&mut door, ("tasks/result", r#""taskId":"own""#), &mut desk, ("tasks/result", "{}")).await;
    assert!(again.contains("result"));
}

/// A client that never answers does not keep its task waiting for ever: the server hears that nobody is there.
#[tokio::test(start_paused = true)]
async fn questions_are_not_held_for_ever() {
    let (running, [(server, mut desk)]) = with([("up", legacy())]).await;
    let mut door = modern_door(&running).await;
    let call = ("tools/call", r#""name":"must""#);
    let answer = asked(&mut door, call, &mut desk, ("tools/call", &created_core("own"))).await;
    let get =
        door.body("1", "tasks/get", &format!(r#""taskId":"{}""#, member(&answer, &["result", "taskId"])), "");
    let (got, _events) = tokio::join!(door.response(&get), async {
        desk.asked("tasks/get").await.result(&core("own", "input_required")).await;
        let mut events = desk.asked("tasks/result").await.stream().await;
        events
            .message(r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m"}}"#)
            .await;
        events
    });
    assert_eq!(member(&got, &["result", "status"]), "input_required");
    tokio::time::sleep(std::time::Duration::from_secs(601)).await;
    assert_eq!(code(server.saw("response", 1).await[0].text()), Some("-32603"));
}
