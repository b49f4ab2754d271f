//! What else than the call of a tool somebody is asked about.

use super::*;

const ABLE: &str =
    r#"{"tools":{},"prompts":{},"resources":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const WITH_TASKS: &str = r#"{"elicitation":{"form":{}},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

fn all() -> Persona {
    persona(true)
        .able(ABLE)
        .listing("prompts/list", r#"[{"name":"letter"}]"#)
        .listing("resources/list", r#"[{"uri":"file:///a/b","name":"b"}]"#)
}

async fn scene() -> Scene {
    let mut scene = Scene::before(all(), &[]).await;
    let desk = scene.desk.take().unwrap();
    scene.server.answer_all(desk, |asked| async move {
        let task = r#"{"resultType":"task","taskId":"own","status":"working","createdAt":"c","lastUpdatedAt":"l","ttlMs":60000,"pollIntervalMs":200}"#;
        let result = if asked.seen.text().contains("a task") { task } else { DONE };
        asked.result(result).await;
    });
    scene
}

#[tokio::test]
async fn a_prompt_is_given_once_it_is_approved() {
    let scene = scene().await;
    let get = async |params: &str| scene.request(&scene.one, ("ann", FORM), ("prompts/get", params)).await;
    let letter = r#""name":"letter","arguments":{"to":"eve"}"#;
    let told = get(letter).await;
    assert!(is_asked(&told) && told.contains("prompt: letter") && told.contains("eve"), "{told}");
    let other = get(&retry(&letter.replace("eve", "bob"), &told, YES)).await;
    assert_eq!(reason(&other), "request_state", "{other}");
    assert!(scene.server.seen_of("prompts/get").is_empty());
    let given = get(&retry(letter, &told, YES)).await;
    assert!(is_done(&given), "{given}");
    assert!(is_asked(&get(&retry(letter, &told, YES)).await), "once");
    assert_eq!(scene.server.seen_of("prompts/get").len(), 1);
}

/// A server may take two spellings for one resource. Who approves the one approves it as it is written, and no other.
#[tokio::test]
async fn a_resource_is_read_under_the_uri_that_was_approved() {
    let scene = scene().await;
    let read =
        async |params: &str| scene.request(&scene.one, ("ann", FORM), ("resources/read", params)).await;
    let uri = |uri: &str| format!(r#""uri":"{uri}""#);
    let spellings =
        ["file:///a/b", "file:///a/./b", "FILE:///a/b", "file:///a/%62", "file:///x/../a/b"].map(uri);
    let [first, others @ ..] = &spellings;
    let told = read(first).await;
    assert!(is_asked(&told) && told.contains("resource: file:///a/b"), "{told}");
    for other in others {
        let good = read(&retry(other, &told, YES)).await;
        assert!(!is_done(&good), "{other}: {good}");
        // Nobody has asked for it yet, so it is asked about by itself.
        let asked = read(other).await;
        assert!(is_asked(&asked), "{other}: {asked}");
    }
    assert!(scene.server.seen_of("resources/read").is_empty());
    for open in scene.store.approvals(false).await.unwrap() {
        let is_first = open.question.what[3] == "file:///a/b";
        assert!(scene.store.decide_approval(&open.question.id, is_first, "operator").await.unwrap());
    }
    for other in others {
        let denied = read(other).await;
        assert_eq!(reason(&denied), "approval_denied", "{other}");
    }
    let done = read(first).await;
    assert!(is_done(&done), "{done}");
    assert!(is_asked(&read(first).await), "once");
    assert_eq!(scene.server.seen_of("resources/read").len(), 1);
}

#[tokio::test]
async fn a_tool_becomes_a_task_once_it_is_approved() {
    let scene = scene().await;
    let pay = r#""name":"pay","arguments":{"as":"a task"}"#;
    let call = async |params: &str| scene.call(&scene.one, "ann", WITH_TASKS, params).await;
    let told = call(pay).await;
    assert!(is_asked(&told) && scene.calls() == 0, "{told}");
    let id = scene.open().await;
    let begun = call(&retry(pay, &told, YES)).await;
    assert_eq!(json::at(&begun, &["result", "resultType"]), Some("\"task\""), "{begun}");
    assert_eq!((scene.calls(), scene.standing(&id).await), (1, Standing::Used));
    // What is asked about the task is no call of the tool.
    let task = json::at(&begun, &["result", "taskId"]).unwrap();
    let about = format!(r#""taskId":{task}"#);
    let known = scene.request(&scene.one, ("ann", WITH_TASKS), ("tasks/get", &about)).await;
    assert!(json::at(&known, &["result"]).is_some(), "{known}");
    assert!(is_asked(&call(&retry(pay, &told, YES)).await), "the tool is asked about again");
    assert_eq!(scene.calls(), 1);
}

/// A legacy server's tool that must be called as a task, for a client that has none: what was approved goes with the call as it is
/// sent.
#[tokio::test]
async fn a_tool_that_must_be_a_task_is_run_once_it_is_approved() {
    let tools = r#"[{"name":"pay","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}]"#;
    let able = r#"{"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#;
    let persona = Persona::legacy().able(able).listing("tools/list", tools);
    let mut scene = Scene::before(persona, &[]).await;
    let mut desk = scene.desk.take().unwrap();
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    assert!(is_asked(&told), "{told}");
    let id = scene.open().await;
    let good = retry(PAY, &told, YES);
    let (done, ()) = tokio::join!(scene.call(&scene.one, "ann", FORM, &good), async {
        let task = r#"{"task":{"taskId":"own","status":"working","createdAt":"c","lastUpdatedAt":"l","ttl":60000,"pollInterval":200}}"#;
        desk.asked("tools/call").await.result(task).await;
        desk.asked("tasks/result").await.result(r#"{"content":[{"type":"text","text":"paid"}]}"#).await;
    });
    assert!(is_done(&done), "{done}");
    assert_eq!((scene.calls(), scene.standing(&id).await), (1, Standing::Used));
}
