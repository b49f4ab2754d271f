//! A legacy client, and a modern server with the extension.

use super::*;

const WANTED: (&str, &str) = ("tools/call", r#""name":"t","task":{"ttl":60000}"#);

async fn task(door: &mut Door, desk: &mut Desk) -> String {
    let answer = asked(door, WANTED, desk, ("tools/call", &created_flat("own"))).await;
    member(&answer, &["result", "task", "taskId"])
}

#[tokio::test(start_paused = true)]
async fn a_call_becomes_a_task_of_the_core() {
    let (running, [(server, mut desk)]) = with([("up", modern())]).await;
    let mut door = legacy_door(&running).await;
    assert_eq!(
        member(&door.opened, &["result", "capabilities"]),
        r#"{"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}},"tools":{"listChanged":true}}"#
    );
    let listed = door.response(&door.body("1", "tools/list", r#""x":1"#, "")).await;
    assert!(listed.contains(r#""execution":{"taskSupport":"optional"}"#), "{listed}");

    let answer = asked(&mut door, WANTED, &mut desk, ("tools/call", &created_flat("own"))).await;
    let id = member(&answer, &["result", "task", "taskId"]);
    assert_eq!(
        answer,
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"task":{}}}}}"#,
            core(&id, "working").replace(".0", "")
        )
    );
    let call = server.seen_of("tools/call").remove(0);
    assert_eq!(call.param("task"), None);
    assert!(call.text().contains(r#""extensions":{"io.modelcontextprotocol/tasks":{}}"#), "{}", call.text());
    assert!(!call.text().contains(r#""tasks":{"#), "clients carry out no tasks: {}", call.text());

    // What the core has no place for is left out.
    let about = format!(r#""taskId":"{id}""#);
    let failed = flat("own", "completed", r#","result":{"isError":true}"#);
    for (theirs, ours) in [(flat("own", "working", ""), "working"), (failed, "failed")] {
        let answer = asked(&mut door, ("tasks/get", &about), &mut desk, ("tasks/get", &theirs)).await;
        let task = core(&id, ours).replace(".0", "");
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{task}}}"#));
    }
    assert!(server.seen_of("tasks/get")[0].text().contains("io.modelcontextprotocol/tasks"));

    // A client that wants no task gets none.
    let plain = ("tools/call", r#""name":"t""#);
    asked(&mut door, plain, &mut desk, ("tools/call", r#"{"content":[]}"#)).await;
    assert!(!server.seen_of("tools/call")[1].text().contains("extensions"));
    // And an older one is not told of them.
    let mut old = Door::open_at(Kind::LegacyHttp, &running, "{}", "2025-06-18").await;
    assert_eq!(member(&old.opened, &["result", "capabilities"]), r#"{"tools":{"listChanged":true}}"#);
    let listed = old.response(&old.body("1", "tools/list", r#""x":1"#, "")).await;
    assert!(!listed.contains("execution"), "{listed}");
}

/// It waits, asks the client on its stream, and gives what the call would have given.
#[tokio::test(start_paused = true)]
async fn a_result_is_waited_for() {
    let (running, [(server, mut desk)]) = with([("up", modern())]).await;
    let mut door = legacy_door(&running).await;
    let id = task(&mut door, &mut desk).await;
    let related = format!(r#""_meta":{{"io.modelcontextprotocol/related-task":{{"taskId":"{id}"}}}}"#);
    let body = door.body("7", "tasks/result", &format!(r#""taskId":"{id}""#), "");
    let asks = flat(
        "own",
        "input_required",
        r#","inputRequests":{"k":{"method":"elicitation/create","params":{"message":"m","x":1.0}}}"#,
    );
    let (mut reply, ()) = tokio::join!(begin(&door, &running, &body), async {
        desk.asked("tasks/get").await.result(&flat("own", "working", "")).await;
        desk.asked("tasks/get").await.result(&asks).await;
    });
    let question = reply.event().await.unwrap();
    assert_eq!(
        json::without(&question, &["id"]),
        format!(
            r#"{{"jsonrpc":"2.0","method":"elicitation/create","params":{{{related},"message":"m","x":1.0}}}}"#
        )
    );
    let number = member(&question, &["id"]);
    let content = r#"{"action":"accept","content":{"n":42.0}}"#;
    door.say(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{content}}}"#)).await;
    let update = desk.asked("tasks/update").await;
    assert_eq!(update.seen.param("taskId"), Some("\"own\""));
    assert_eq!(update.seen.param("inputResponses"), Some(&*format!(r#"{{"k":{content}}}"#)));
    update.result(r#"{"resultType":"complete"}"#).await;
    // The server may still show what it was answered; the client is not asked twice.
    desk.asked("tasks/get").await.result(&asks).await;
    let done = r#","result":{"content":[],"structuredContent":[1.0]}"#;
    desk.asked("tasks/get").await.result(&flat("own", "completed", done)).await;
    let answer = reply.event().await.unwrap();
    assert_eq!(
        answer,
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"result":{{{related},"content":[],"structuredContent":{{"result":[1.0]}}}}}}"#
        )
    );
    assert_eq!(server.seen_of("tasks/update").len(), 1);
}

/// An elicitation by URL has an id in the legacy era, and an end.
#[tokio::test(start_paused = true)]
async fn urls_end_with_the_task() {
    let (running, [(_, mut desk)]) = with([("up", modern())]).await;
    let mut door = Door::open_with(Kind::LegacyHttp, &running, r#"{"elicitation":{"url":{}}}"#).await;
    let id = task(&mut door, &mut desk).await;
    let body = door.body("7", "tasks/result", &format!(r#""taskId":"{id}""#), "");
    let asks =
        r#","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"url","url":"https://x"}}}"#;
    let (mut reply, ()) = tokio::join!(begin(&door, &running, &body), async {
        desk.asked("tasks/get").await.result(&flat("own", "input_required", asks)).await;
    });
    let question = reply.event().await.unwrap();
    let (number, url) = (member(&question, &["id"]), member(&question, &["params", "elicitationId"]));
    door.say(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{"action":"accept"}}}}"#)).await;
    desk.asked("tasks/update").await.result("{}").await;
    desk.asked("tasks/get").await.result(&flat("own", "completed", r#","result":{}"#)).await;
    let over = reply.event().await.unwrap();
    assert_eq!(member(&over, &["method"]), "notifications/elicitation/complete");
    assert_eq!(member(&over, &["params", "elicitationId"]), url);
    assert_eq!(member(&reply.event().await.unwrap(), &["id"]), "7");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_result_has_an_error() {
    let (running, [(_, mut desk)]) = with([("up", modern())]).await;
    let mut door = legacy_door(&running).await;
    let id = task(&mut door, &mut desk).await;
    let result = format!(r#""taskId":"{id}""#);
    let failed = flat("own", "failed", r#","error":{"code":-7,"message":"m","data":1.0}"#);
    let answer = asked(&mut door, ("tasks/result", &result), &mut desk, ("tasks/get", &failed)).await;
    assert_eq!(answer, r#"{"jsonrpc":"2.0","id":1,"error":{"code":-7,"message":"m","data":1.0}}"#);
    let cancelled = flat("own", "cancelled", "");
    let answer = asked(&mut door, ("tasks/result", &result), &mut desk, ("tasks/get", &cancelled)).await;
    assert_eq!(code(&answer), Some("-32602"));
    // The server's own error about the task.
    let body = door.body("1", "tasks/result", &result, "");
    let (answer, ()) = tokio::join!(door.response(&body), async {
        desk.asked("tasks/get").await.error(-32602, "Task has expired", None).await;
    });
    assert_eq!(answer, r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Task has expired"}}"#);
}

/// A server may think about it; for the client it is cancelled at once, and for good.
#[tokio::test(start_paused = true)]
async fn a_task_is_cancelled_once() {
    let (running, [(server, mut desk)]) = with([("up", modern())]).await;
    let mut door = legacy_door(&running).await;
    let id = task(&mut door, &mut desk).await;
    let about = format!(r#""taskId":"{id}""#);
    let over = flat("own", "completed", r#","result":{}"#);
    let refused = asked(&mut door, ("tasks/cancel", &about), &mut desk, ("tasks/get", &over)).await;
    assert_eq!((code(&refused), server.seen_of("tasks/cancel").len()), (Some("-32602"), 0));
    let body = door.body("1", "tasks/cancel", &about, "");
    let (answer, ()) = tokio::join!(door.response(&body), async {
        desk.asked("tasks/get").await.result(&flat("own", "working", "")).await;
        desk.asked("tasks/cancel").await.result(r#"{"resultType":"complete"}"#).await;
    });
    assert_eq!(member(&answer, &["result", "status"]), "cancelled");
    let answer = asked(&mut door, ("tasks/get", &about), &mut desk, ("tasks/get", &over)).await;
    assert_eq!(member(&answer, &["result", "status"]), "cancelled");
    assert_eq!(code(&door.response(&door.body("1", "tasks/result", &about, "")).await), Some("-32602"));
}

/// A server that answers at once has made no task, but its client wants one.
#[tokio::test(start_paused = true)]
async fn a_call_that_became_no_task_is_one_that_is_over() {
    let (running, [(server, mut desk)]) = with([("up", modern())]).await;
    let mut door = legacy_door(&running).await;
    let result = r#"{"resultType":"complete","content":[{"type":"text","text":"a"}],"n":1.0}"#;
    let answer = asked(&mut door, WANTED, &mut desk, ("tools/call", result)).await;
    let task = |name: &str| member(&answer, &["result", "task", name]);
    assert_eq!(
        (task("status"), task("createdAt")),
        ("working".to_owned(), "2026-07-28T00:00:00.000Z".to_owned())
    );
    let about = format!(r#""taskId":"{}""#, task("taskId"));
    let got = door.response(&door.body("1", "tasks/get", &about, "")).await;
    assert_eq!(member(&got, &["result", "status"]), "completed");
    let got = door.response(&door.body("1", "tasks/result", &about, "")).await;
    assert!(got.contains(r#""content":[{"type":"text","text":"a"}],"n":1.0}"#), "{got}");
    assert!(got.contains(&format!(r#""io.modelcontextprotocol/related-task":{{{about}}}"#)), "{got}");
    assert!(!got.contains("resultType"), "{got}");
    assert_eq!(code(&door.response(&door.body("1", "tasks/cancel", &about, "")).await), Some("-32602"));
    assert!(server.seen_of("tasks/get").is_empty(), "the server knows of no task");
    // An error is the call's.
    let body = door.body("1", WANTED.0, WANTED.1, "");
    let (answer, ()) = tokio::join!(door.response(&body), async {
        desk.asked("tools/call").await.error(-7, "m", None).await;
    });
    assert_eq!(code(&answer), Some("-7"));
}

/// What a server must know before it makes a task is asked as in any call.
#[tokio::test(start_paused = true)]
async fn a_server_may_ask_before_there_is_a_task() {
    let (running, [(server, mut desk)]) = with([("up", modern())]).await;
    let mut door = legacy_door(&running).await;
    let body = door.body("7", WANTED.0, WANTED.1, "");
    let input = r#"{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{}}}}"#;
    let (mut reply, ()) = tokio::join!(begin(&door, &running, &body), async {
        desk.asked("tools/call").await.result(input).await;
    });
    let number = member(&reply.event().await.unwrap(), &["id"]);
    door.say(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{"action":"accept"}}}}"#)).await;
    desk.asked("tools/call").await.result(&created_flat("own")).await;
    let answer = reply.event().await.unwrap();
    assert_eq!(member(&answer, &["result", "task", "status"]), "working");
    assert!(server.seen_of("tools/call")[1].text().contains("io.modelcontextprotocol/tasks"));
}
