//! Calls that wait for their client are held by one replica, and go on wherever the client comes back.

use super::*;

const FORM: &str = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}}"#;
const PARAMS: &str = r#""name":"t","arguments":{}"#;

/// A modern client that can be asked.
async fn call(at: &One, more: &str) -> String {
    let body = ask::body("1", "tools/call", &format!("{PARAMS}{more}"));
    let body =
        body.replace(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"elicitation":{"form":{}}}"#);
    ask::send(&at.client(), &body).await.response().await
}

/// The members of a retry that answers everything.
fn answered(result: &str) -> String {
    let state = json::at(result, &["result", "requestState"]).unwrap();
    let asked = json::at(result, &["result", "inputRequests"]).unwrap();
    let key = asked.split('"').nth(1).unwrap();
    format!(r#","requestState":{state},"inputResponses":{{"{key}":{{"action":"accept","content":{{}}}}}}"#)
}

#[tokio::test]
async fn a_suspended_call_goes_on_from_every_replica_and_is_lost_with_its_own() {
    let mut fleet = Fleet::new(Persona::legacy().scripted(&["response"])).await;
    let (mut one, two) = (fleet.start().await, fleet.start().await);
    let mut desk = fleet.desk();
    let (asked, mut events) = tokio::join!(call(&one, ""), async {
        let mut events = desk.asked("tools/call").await.stream().await;
        events.message(FORM).await;
        events
    });
    let retry = answered(&asked);
    let (done, ()) = tokio::join!(call(&two, &retry), async {
        let answer = desk.asked("response").await;
        assert!(answer.seen.text().contains("accept"));
        answer.accepted().await;
        events.progress("1").await;
        events.result(r#"{"content":[]}"#).await;
    });
    assert!(json::at(&done, &["result", "content"]).is_some(), "{done}");
    // It works once, wherever it is tried.
    assert_eq!(reason(&call(&one, &retry).await), "\"request_state\"");
    assert_eq!(reason(&call(&two, &retry).await), "\"request_state\"");

    let (asked, events) = tokio::join!(call(&one, ""), async {
        let mut events = desk.asked("tools/call").await.stream().await;
        events.message(FORM).await;
        events
    });
    one.kill().await;
    let told = tokio::time::timeout(Duration::from_secs(5), call(&two, &answered(&asked))).await.unwrap();
    assert_eq!(reason(&told), "\"request_state\"");
    assert!(told.contains("is gone"), "{told}");
    assert_eq!(fleet.server.seen_of("tools/call").len(), 2, "nothing is called again");
    drop(events);
}

/// Each replica has a process of its own, and what one has said only that one understands.
#[tokio::test]
async fn the_state_of_a_process_finds_its_process() {
    let fleet = Fleet::new(Persona::legacy()).await;
    let mut all = Vec::new();
    for _ in 0..2 {
        let (server, desk) = ScriptedServer::new(Persona::modern());
        let one = fleet
            .start_with(|stand| {
                stand.plan.routes[0].upstreams.clear();
                stand.plan.upstreams.clear();
                server.program(&stand.spawn, "local");
                stand.put(UpstreamPlan::new("local", process("local")));
            })
            .await;
        all.push((one, server, desk));
    }
    let (two, one) = (all.pop().unwrap(), all.pop().unwrap());
    let mut desk = one.2;
    let (asked, ()) = tokio::join!(call(&one.0, ""), async {
        let asks = r#"{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}}},"requestState":"mine"}"#;
        desk.asked("tools/call").await.result(asks).await;
    });
    assert_ne!(json::at(&asked, &["result", "requestState"]), Some("\"mine\""), "{asked}");
    let retry = answered(&asked);
    let (done, ()) = tokio::join!(call(&two.0, &retry), async {
        let again = desk.asked("tools/call").await;
        assert_eq!(json::at(again.seen.text(), &["params", "requestState"]), Some("\"mine\""));
        assert!(json::at(again.seen.text(), &["params", "inputResponses", "k"]).is_some());
        again.result(r#"{"resultType":"complete","content":[]}"#).await;
    });
    assert!(json::at(&done, &["result", "content"]).is_some(), "{done}");
    assert!(two.1.seen_of("tools/call").is_empty());
}

#[tokio::test]
async fn between_replicas_strangers_are_not_served() {
    let fleet = Fleet::new(Persona::legacy()).await;
    let one = fleet.start().await;
    let at = fleet.store.living(Duration::from_secs(60)).await.unwrap().remove(0).said.forward.unwrap();
    let (host, port) = at.rsplit_once(':').unwrap();
    let inside =
        Client::new(Arc::clone(&fleet.network) as _, Address::Tcp(host.to_owned(), port.parse().unwrap()));
    let body = ask::body("1", "tools/list", "");
    for headers in [vec![], vec![("portolan-badge", "AAAA")]] {
        let reply =
            inside.post(&[headers, vec![("portolan-listener", "main")]].concat(), body.as_bytes()).await;
        assert_eq!(reply.status, 421);
    }
    assert_eq!(inside.send(&inside.request("GET /pulse", &[], b"")).await.status, 421);
    assert_eq!(ask::send(&one.client(), &body).await.status, 200);
}

/// A task of a legacy server is known in the session that made it, and that is the session of one replica.
#[tokio::test]
async fn a_task_of_a_legacy_server_is_asked_for_where_it_was_made() {
    const TASKS: &str = r#"{"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#;
    const TOOLS: &str =
        r#"[{"name":"t","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}]"#;
    const TASK: &str = r#"{"taskId":"its","status":"working","createdAt":"c","lastUpdatedAt":"l","ttl":60000,"pollInterval":200}"#;
    let mut fleet = Fleet::new(Persona::legacy().able(TASKS).listing("tools/list", TOOLS)).await;
    let (mut one, two) = (fleet.start().await, fleet.start().await);
    let mut desk = fleet.desk();
    let able = r#"clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    let send = async |at: &One, method: &str, params: &str| {
        let body = ask::body("1", method, params).replace(r#"clientCapabilities":{}"#, able);
        ask::send(&at.client(), &body).await.response().await
    };
    let (made, ()) = tokio::join!(send(&one, "tools/call", PARAMS), async {
        desk.asked("tools/call").await.result(&format!(r#"{{"task":{TASK}}}"#)).await;
    });
    let id = json::at(&made, &["result", "taskId"]).unwrap_or_else(|| panic!("{made}")).to_owned();
    let params = format!(r#""taskId":{id}"#);
    let (asked, ()) = tokio::join!(send(&two, "tasks/get", &params), async {
        desk.asked("tasks/get").await.result(TASK).await;
    });
    assert_eq!(json::at(&asked, &["result", "status"]), Some("\"working\""), "{asked}");
    let session = |method: &str| {
        let seen = fleet.server.seen_of(method);
        seen.last().unwrap().header("mcp-session-id").unwrap().to_owned()
    };
    assert_eq!(session("tasks/get"), session("tools/call"));
    // Without that replica its server may still know it.
    one.kill().await;
    let (asked, ()) = tokio::join!(send(&two, "tasks/get", &params), async {
        desk.asked("tasks/get").await.result(TASK).await;
    });
    assert_eq!(json::at(&asked, &["result", "status"]), Some("\"working\""), "{asked}");
}
