//! Client and server of one era.

use super::*;

/// An id of an aggregate leads back to its server, and says nothing else.
#[tokio::test(start_paused = true)]
async fn several_modern_servers_have_tasks() {
    let (running, [(_, mut a), (b_server, mut b)]) = with([("a", modern()), ("b", modern())]).await;
    let mut door = modern_door(&running).await;
    let discovered = door.response(&door.body("1", "server/discover", r#""x":1"#, "")).await;
    assert_eq!(
        member(&discovered, &["result", "capabilities", "extensions"]),
        r#"{"io.modelcontextprotocol/tasks":{}}"#
    );
    let result = created_flat("own");
    let answer = asked(&mut door, ("tools/call", r#""name":"b__t""#), &mut b, ("tools/call", &result)).await;
    let id = member(&answer, &["result", "taskId"]);
    assert_eq!(
        json::with(&answer, &["result", "taskId"], "\"own\""),
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)
    );
    let call = b_server.seen_of("tools/call").remove(0);
    assert!(call.text().contains(r#""extensions":{"io.modelcontextprotocol/tasks":{}}"#), "{}", call.text());

    let done = flat(
        "own",
        "completed",
        r#","result":{"content":[{"type":"resource_link","name":"n","uri":"x://y"}],"n":1.0}"#,
    );
    let about = format!(r#""taskId":"{id}""#);
    let answer = asked(&mut door, ("tasks/get", &about), &mut b, ("tasks/get", &done)).await;
    assert_eq!(member(&answer, &["result", "taskId"]), id);
    assert!(answer.contains(r#""uri":"x://b__y""#) && answer.contains(r#""n":1.0"#), "{answer}");
    let seen = b_server.seen_of("tasks/get").remove(0);
    assert_eq!((seen.param("taskId"), seen.header("mcp-name")), (Some("\"own\""), Some("own")));

    let update = format!(r#"{about},"inputResponses":{{"k":{{"action":"accept"}}}}"#);
    for (method, members) in [("tasks/update", &update), ("tasks/cancel", &about)] {
        let answer =
            asked(&mut door, (method, members), &mut b, (method, r#"{"resultType":"complete"}"#)).await;
        assert_eq!(answer, r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}"#);
    }
    assert_eq!(
        b_server.seen_of("tasks/update")[0].param("inputResponses"),
        Some(r#"{"k":{"action":"accept"}}"#)
    );
    assert!(a.left().is_empty(), "the other server was never asked");
}

#[tokio::test(start_paused = true)]
async fn ids_are_worth_nothing_to_those_who_made_them_up_or_have_no_tasks() {
    let (running, [(_, mut a), _b], clock) = with_clock([("a", modern()), ("b", modern())]).await;
    let mut door = modern_door(&running).await;
    let answer =
        asked(&mut door, ("tools/call", r#""name":"a__t""#), &mut a, ("tools/call", &created_flat("own")))
            .await;
    let id = member(&answer, &["result", "taskId"]);
    for made_up in ["own", "a__own", &id.to_uppercase(), &format!("{id}A")] {
        let body = door.body("1", "tasks/get", &format!(r#""taskId":"{made_up}""#), "");
        assert_eq!(code(&door.response(&body).await), Some("-32602"), "{made_up}");
    }
    let mut without = Door::open(Kind::ModernHttp, &running).await;
    let body = without.body("1", "tasks/get", &format!(r#""taskId":"{id}""#), "");
    let refused = without.response(&body).await;
    assert_eq!(code(&refused), Some("-32021"));
    assert_eq!(
        member(&refused, &["error", "data", "requiredCapabilities"]),
        r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#
    );
    // It says so when its time is over.
    clock.advance(std::time::Duration::from_secs(100 * 24 * 3600));
    let body = door.body("1", "tasks/get", &format!(r#""taskId":"{id}""#), "");
    let late = door.response(&body).await;
    assert_eq!((code(&late), late.contains("expired")), (Some("-32602"), true), "{late}");
}

/// Nothing of one legacy server's tasks is ours.
#[tokio::test(start_paused = true)]
async fn one_legacy_server_has_its_tasks_as_they_are() {
    let (running, [(server, mut desk)]) = with([("up", legacy())]).await;
    let mut door = legacy_door(&running).await;
    assert_eq!(member(&door.opened, &["result", "capabilities"]), WITH_CORE);
    let opened = server.seen_of("initialize").pop().unwrap();
    assert!(!opened.text().contains("tasks"), "{}", opened.text());
    for (method, members, result) in [
        ("tools/call", r#""name":"t","task":{"ttl":60000.0}"#, created_core("own")),
        ("tasks/get", r#""taskId":"own""#, core("own", "working")),
        (
            "tasks/result",
            r#""taskId":"own""#,
            r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"own"}}}"#.to_owned(),
        ),
        (
            "tasks/list",
            r#""cursor":"c""#,
            format!(r#"{{"tasks":[{}],"nextCursor":"d"}}"#, core("own", "working")),
        ),
        ("tasks/cancel", r#""taskId":"own""#, core("own", "cancelled")),
    ] {
        let answer = asked(&mut door, (method, members), &mut desk, (method, &result)).await;
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#));
        let seen = server.seen_of(method).remove(0);
        assert!(seen.text().contains(members), "{}", seen.text());
    }
    let old = Door::open_at(Kind::LegacyHttp, &running, "{}", "2025-06-18").await;
    assert_eq!(member(&old.opened, &["result", "capabilities"]), r#"{"tools":{"listChanged":true}}"#);
}

#[tokio::test(start_paused = true)]
async fn several_legacy_servers_have_tasks() {
    let (running, [_a, (server, mut desk)]) = with([("a", legacy()), ("b", legacy())]).await;
    let mut door = legacy_door(&running).await;
    assert_eq!(
        member(&door.opened, &["result", "capabilities", "tasks"]),
        r#"{"cancel":{},"requests":{"tools":{"call":{}}}}"#
    );
    let call = r#""name":"b__t","task":{"ttl":60000.0}"#;
    let answer =
        asked(&mut door, ("tools/call", call), &mut desk, ("tools/call", &created_core("own"))).await;
    let id = member(&answer, &["result", "task", "taskId"]);
    assert_ne!(id, "own");
    assert!(answer.contains(r#""ttl":60000.0"#), "{answer}");
    let about = format!(r#""taskId":"{id}""#);
    for method in ["tasks/get", "tasks/cancel"] {
        let answer = asked(&mut door, (method, &about), &mut desk, (method, &core("own", "cancelled"))).await;
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, core(&id, "cancelled")));
        assert_eq!(server.seen_of(method)[0].param("taskId"), Some("\"own\""));
    }
    let body = door.body("1", "tasks/list", r#""x":1"#, "");
    assert_eq!(code(&door.response(&body).await), Some("-32601"), "no list could have all of them");

    // What a task asks comes on the stream of its result, under the name that the client knows.
    let related =
        |id: &str| format!(r#""_meta":{{"io.modelcontextprotocol/related-task":{{"taskId":"{id}"}}}}"#);
    let body = door.body("7", "tasks/result", &about, "");
    let (mut reply, mut events) = tokio::join!(begin(&door, &running, &body), async {
        let mut events = desk.asked("tasks/result").await.stream().await;
        let status = |id: &str| format!(r#"{{"taskId":"{id}","status":"working"}}"#);
        events.notify("notifications/tasks/status", &status("other")).await;
        events.notify("notifications/tasks/status", &status("own")).await;
        let params = format!(r#"{{"message":"m",{}}}"#, related("own"));
        events
            .message(&format!(
                r#"{{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{params}}}"#
            ))
            .await;
        events
    });
    let status = reply.event().await.unwrap();
    assert_eq!(member(&status, &["params", "taskId"]), id, "and nothing is told of tasks that nobody knows");
    let question = reply.event().await.unwrap();
    assert!(question.contains(&related(&id)), "{question}");
    let number = member(&question, &["id"]);
    door.say(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{"action":"accept"}}}}"#)).await;
    server.saw("response", 1).await;
    events
        .message(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[],{}}}}}"#,
            server.seen_of("tasks/result")[0].id().unwrap(),
            related("own")
        ))
        .await;
    events.end().await;
    assert_eq!(
        reply.event().await.unwrap(),
        format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":[],{}}}}}"#, related(&id))
    );
}
