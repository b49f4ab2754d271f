//! A modern client, and a legacy server with tasks in its core.

use super::*;

async fn task(door: &mut Door, desk: &mut Desk) -> String {
    let call = ("tools/call", r#""name":"must","arguments":{"n":1.0}"#);
    let answer = asked(door, call, desk, ("tools/call", &created_core("own"))).await;
    member(&answer, &["result", "taskId"])
}

const RELATED: &str = r#""_meta":{"io.modelcontextprotocol/related-task":{"taskId":"own"}}"#;

fn keys_of(object: &str) -> Vec<String> {
    json::members(object).into_iter().map(|(key, _)| json::plain(key).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_must_be_a_task_is_one() {
    let (running, [(server, mut desk)]) = with([("up", legacy())]).await;
    let mut door = modern_door(&running).await;
    let discovered = door.response(&door.body("1", "server/discover", r#""x":1"#, "")).await;
    assert_eq!(member(&discovered, &["result", "capabilities"]), WITH_EXTENSION);
    let call = ("tools/call", r#""name":"must","arguments":{"n":1.0}"#);
    let answer = asked(&mut door, call, &mut desk, ("tools/call", &created_core("own"))).await;
    let id = member(&answer, &["result", "taskId"]);
    assert_eq!(
        answer,
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"taskId":"{id}","status":"working","resultType":"task","createdAt":"c","lastUpdatedAt":"l","ttlMs":60000.0,"pollIntervalMs":200}}}}"#
        )
    );
    assert_eq!(server.seen_of("tools/call")[0].param("task"), Some("{}"));
    // One that may be a task is called as any other.
    asked(&mut door, ("tools/call", r#""name":"t""#), &mut desk, ("tools/call", r#"{"content":[]}"#)).await;
    assert_eq!(server.seen_of("tools/call")[1].param("task"), None);

    let about = format!(r#""taskId":"{id}""#);
    let got =
        asked(&mut door, ("tasks/get", &about), &mut desk, ("tasks/get", &core("own", "working"))).await;
    assert_eq!(member(&got, &["result", "resultType"]), "complete");
    for (method, result) in [("tasks/cancel", core("own", "cancelled"))] {
        let answer = asked(&mut door, (method, &about), &mut desk, (method, &result)).await;
        assert_eq!(answer, r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}"#);
        assert_eq!(server.seen_of(method)[0].param("taskId"), Some("\"own\""));
    }
    for gone in ["tasks/list", "tasks/result"] {
        assert_eq!(code(&door.response(&door.body("1", gone, &about, "")).await), Some("-32601"));
    }
}

/// A task that is over comes with its result or its error.
#[tokio::test(start_paused = true)]
async fn results_come_with_the_task() {
    let (running, [(_, mut desk)]) = with([("up", legacy())]).await;
    let mut door = modern_door(&running).await;
    let id = task(&mut door, &mut desk).await;
    let body = door.body("1", "tasks/get", &format!(r#""taskId":"{id}""#), "");
    // A tool that failed is a failed task in the core only.
    let result = format!(r#"{{"content":[],"isError":true,"n":1.0,{RELATED}}}"#);
    let (got, ()) = tokio::join!(door.response(&body), async {
        desk.asked("tasks/get").await.result(&core("own", "failed")).await;
        desk.asked("tasks/result").await.result(&result).await;
    });
    assert_eq!(member(&got, &["result", "status"]), "completed");
    let inline = member(&got, &["result", "result"]);
    assert!(
        inline.contains(r#""content":[],"isError":true,"n":1.0"#) && !inline.contains("related"),
        "{inline}"
    );
    let (got, ()) = tokio::join!(door.response(&body), async {
        desk.asked("tasks/get").await.result(&core("own", "failed")).await;
        desk.asked("tasks/result").await.error(-7, "m", Some("1.0")).await;
    });
    assert_eq!(member(&got, &["result", "status"]), "failed");
    assert_eq!(member(&got, &["result", "error"]), r#"{"code":-7,"message":"m","data":1.0}"#);
    // Cancelling one that is over does nothing; one that nobody knows is an error.
    let cancel = door.body("1", "tasks/cancel", &format!(r#""taskId":"{id}""#), "");
    let (got, ()) = tokio::join!(door.response(&cancel), async {
        desk.asked("tasks/cancel").await.error(-32602, "over", None).await;
        desk.asked("tasks/get").await.result(&core("own", "completed")).await;
    });
    assert_eq!(member(&got, &["result", "resultType"]), "complete");
    let (got, ()) = tokio::join!(door.response(&cancel), async {
        desk.asked("tasks/cancel").await.error(-32602, "which?", None).await;
        desk.asked("tasks/get").await.error(-32602, "which?", None).await;
    });
    assert_eq!(code(&got), Some("-32602"));
}

/// What the server asks on a stream of its own is shown with the task, and answered by an update.
#[tokio::test(start_paused = true)]
async fn questions_come_with_the_task() {
    let (running, [(server, mut desk)]) = with([("up", legacy())]).await;
    let mut door = modern_door(&running).await;
    let id = task(&mut door, &mut desk).await;
    let about = format!(r#""taskId":"{id}""#);
    let get = door.body("1", "tasks/get", &about, "");
    let (got, mut events) = tokio::join!(door.response(&get), async {
        desk.asked("tasks/get").await.result(&core("own", "input_required")).await;
        let mut events = desk.asked("tasks/result").await.stream().await;
        for id in ["p", "q"] {
            let params = format!(r#"{{"message":"{id}","x":1.0,{RELATED}}}"#);
            let question =
                format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"elicitation/create","params":{params}}}"#);
            events.message(&question).await;
        }
        events
    });
    assert_eq!(member(&got, &["result", "status"]), "input_required");
    let asked_for = member(&got, &["result", "inputRequests"]);
    let keys = keys_of(&asked_for);
    assert_eq!(keys.len(), 2);
    let [first, second] = [0, 1].map(|n: usize| keys[n].clone());
    assert_eq!(
        member(&asked_for, &[&first]),
        r#"{"method":"elicitation/create","params":{"message":"p","x":1.0}}"#
    );

    let update = |key: &str| {
        format!(
            r#"{about},"inputResponses":{{"unknown":{{}},"{key}":{{"action":"accept","content":{{"n":42.0}}}}}}"#
        )
    };
    let body = door.body("1", "tasks/update", &update(&second), "");
    assert_eq!(door.response(&body).await, r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}"#);
    let paid = server.saw("response", 1).await;
    assert_eq!(
        paid[0].text(),
        r#"{"jsonrpc":"2.0","id":"q","result":{"action":"accept","content":{"n":42.0}}}"#
    );
    // The other one is still open, under the same key.
    let (got, ()) = tokio::join!(door.response(&get), async {
        desk.asked("tasks/get").await.result(&core("own", "input_required")).await;
    });
    let left = member(&got, &["result", "inputRequests"]);
    assert_eq!(keys_of(&left), std::slice::from_ref(&first));
    assert_eq!(
        door.response(&door.body("1", "tasks/update", &update(&first), "")).await.matches("complete").count(),
        1
    );
    server.saw("response", 2).await;
    // Nothing is asked for now, whatever the status says.
    let (got, ()) = tokio::join!(door.response(&get), async {
        desk.asked("tasks/get").await.result(&core("own", "input_required")).await;
    });
    assert_eq!(member(&got, &["result", "status"]), "working");
    assert_eq!(server.seen_of("tasks/result").len(), 1, "it is held open");
    let request = server.seen_of("tasks/result").remove(0);
    events
        .message(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, request.id().unwrap()))
        .await;
    events.end().await;
    let (got, ()) = tokio::join!(door.response(&get), async {
        desk.asked("tasks/get").await.result(&core("own", "completed")).await;
        desk.asked("tasks/result").await.result(r#"{"content":[]}"#).await;
    });
    assert_eq!(member(&got, &["result", "status"]), "completed");
}

/// Who cannot have tasks gets the result as that of the call.
#[tokio::test(start_paused = true)]
async fn a_task_is_run_for_those_who_cannot_have_one() {
    let (running, [(server, mut desk)]) = with([("up", legacy())]).await;
    let modern = Door::open_with(Kind::ModernHttp, &running, r#"{"elicitation":{}}"#).await;
    let old = Door::open_at(Kind::LegacyHttp, &running, r#"{"elicitation":{}}"#, "2025-06-18").await;
    for mut door in [modern, old] {
        let body = door.body("1", "tools/call", r#""name":"must""#, "");
        let (got, ()) = tokio::join!(door.response(&body), async {
            desk.asked("tools/call").await.result(&created_core("own")).await;
            let wait = desk.asked("tasks/result").await;
            // It takes as long as it takes.
            tokio::time::sleep(std::time::Duration::from_secs(1000)).await;
            wait.result(&format!(r#"{{"content":[],"n":1.0,{RELATED}}}"#)).await;
        });
        assert!(got.ends_with(r#""content":[],"n":1.0}}"#), "{got}");
        // An error, or a server that answers at once.
        let (got, ()) = tokio::join!(door.response(&body), async {
            desk.asked("tools/call").await.error(-7, "m", None).await;
        });
        assert_eq!(code(&got), Some("-7"));
    }
    assert!(server.seen_of("tools/call").iter().all(|call| call.param("task") == Some("{}")));
    assert!(server.seen_of("tasks/cancel").is_empty());
}

/// The call's token is good for as long as its task goes on.
#[tokio::test(start_paused = true)]
async fn progress_of_a_task_that_is_run_is_that_of_the_call() {
    for over in [Over::Http, Over::Stdio] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, mut desk) = stand.add("up", over, legacy()).await;
        let running = stand.start().await;
        let mut door = Door::open(Kind::ModernHttp, &running).await;
        let body = door.body("1", "tools/call", r#""name":"must""#, r#""progressToken":"mine""#);
        let (said, ()) = tokio::join!(door.ask(&body), async {
            desk.asked("tools/call").await.result(&created_core("own")).await;
            let mut events = desk.asked("tasks/result").await.stream().await;
            let token = server.seen_of("tools/call").remove(0).id().unwrap().to_owned();
            for (token, progress) in [(token.as_str(), "1.0"), ("99999", "2.0")] {
                let params = format!(r#"{{"progressToken":{token},"progress":{progress},{RELATED}}}"#);
                events.notify("notifications/progress", &params).await;
            }
            events.result(r#"{"content":[]}"#).await;
        });
        assert_eq!(said.len(), 2, "{over:?}: {said:?}");
        assert_eq!(member(&said[0], &["params", "progressToken"]), "mine");
    }
}

/// A question in mid-task is one in mid-call then; and nobody else can cancel what the client gives up.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_run_asks_and_is_cancelled_as_a_call() {
    let (running, [(server, mut desk)]) = with([("up", legacy())]).await;
    let mut door = Door::open_with(Kind::ModernHttp, &running, r#"{"elicitation":{}}"#).await;
    let call = r#""name":"must""#;
    let body = door.body("1", "tools/call", call, "");
    let (got, events) = tokio::join!(door.response(&body), async {
        desk.asked("tools/call").await.result(&created_core("own")).await;
        let mut events = desk.asked("tasks/result").await.stream().await;
        let params = format!(r#"{{"message":"m",{RELATED}}}"#);
        events
            .message(&format!(
                r#"{{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{params}}}"#
            ))
            .await;
        events
    });
    assert_eq!(member(&got, &["result", "resultType"]), "input_required");
    assert!(!got.contains("related-task"), "{got}");
    let state = member(&got, &["result", "requestState"]);
    let again =
        format!(r#"{call},"inputResponses":{{"input-1":{{"action":"accept"}}}},"requestState":"{state}""#);
    let body = door.body("2", "tools/call", &again, "");
    let mirrored =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "must")];
    let mut connection = running.client.open().await;
    connection.write(&running.client.request("POST /mcp", &mirrored, body.as_bytes())).await;
    assert_eq!(
        server.saw("response", 1).await[0].text(),
        r#"{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}"#
    );
    drop(connection);
    let cancel = desk.asked("tasks/cancel").await;
    assert_eq!(cancel.seen.param("taskId"), Some("\"own\""));
    drop(events);
}
