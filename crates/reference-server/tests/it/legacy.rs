//! The legacy era over HTTP.

use reference_server::Eras;
use serde_json::{Value, json};

use crate::wire::Served;

const REVISION: &str = "2025-11-25";

fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}})
}

#[tokio::test]
async fn a_session_opens_is_used_and_ends() {
    let served = Served::of(Eras::Both).await;
    let session = served.session(REVISION, json!({})).await;
    assert_eq!(session.result["protocolVersion"], REVISION);
    assert_eq!(session.result["serverInfo"]["name"], "portolan-reference");
    assert_eq!(session.notify("notifications/initialized", json!({})).await.status, 202);
    let listed = session.request(1, "tools/list", json!({})).await.json().await["result"].clone();
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"], "nothing modern");
    assert_eq!(session.request(2, "ping", json!({})).await.json().await["result"], json!({}));
    assert_eq!(served.probe("counters", json!({})).await["sessions"], 1);

    assert_eq!(session.send("DELETE", &[], "").await.status, 204);
    assert_eq!(session.request(3, "ping", json!({})).await.status, 404);
    assert_eq!(session.send("GET", &[], "").await.status, 404);
    assert_eq!(served.probe("counters", json!({})).await["sessions"], 0);
}

#[tokio::test]
async fn each_revision_is_agreed_on_and_an_unknown_one_gets_the_newest() {
    let served = Served::of(Eras::Both).await;
    for (asked, agreed) in
        [("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("1999-01-01", REVISION)]
    {
        assert_eq!(served.session(asked, json!({})).await.result["protocolVersion"], agreed);
    }
}

#[tokio::test]
async fn without_its_session_or_in_another_revision_nothing_is_answered() {
    let served = Served::of(Eras::Both).await;
    let mut session = served.session(REVISION, json!({})).await;
    session.version = "2025-06-18".to_owned();
    assert_eq!(session.request(1, "ping", json!({})).await.status, 400);
    session.version = REVISION.to_owned();
    session.id = "made-up".to_owned();
    let mut reply = session.request(1, "ping", json!({})).await;
    assert_eq!((reply.status, reply.json().await["error"]["code"].clone()), (404, json!(-32001)));
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let mut reply = served.post(&[], &ping).await;
    assert_eq!((reply.status, reply.json().await["error"]["code"].clone()), (400, json!(-32000)));
}

#[tokio::test]
async fn a_question_comes_on_the_call_s_own_stream_and_is_answered_by_a_post() {
    let served = Served::of(Eras::Both).await;
    let session = served.session(REVISION, json!({"elicitation": {}})).await;
    let mut stream =
        session.request(7, "tools/call", call("test_elicitation", json!({"message": "Who?"}))).await;
    assert_eq!(stream.event().await.unwrap().data, "", "2025-11-25 primes its streams");
    let question = stream.event().await.unwrap().json();
    assert_eq!(
        (&question["method"], &question["params"]["message"]),
        (&json!("elicitation/create"), &json!("Who?"))
    );
    let content = json!({"username": "ada", "email": "ada@example.com"});
    let answer =
        json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": content}});
    assert_eq!(session.send("POST", &[], &answer.to_string()).await.status, 202);
    let rest = stream.messages().await;
    let text = rest[0]["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("User response: action=accept"), "{text}");

    let sampling = session.request(8, "tools/call", call("test_sampling", json!({"prompt": "?"}))).await;
    let refused = { sampling }.answer().await["result"].clone();
    assert_eq!(refused["isError"], true, "sampling was not declared: {refused}");
}

#[tokio::test]
async fn a_stream_that_the_server_closed_goes_on_where_it_was_left() {
    let served = Served::of(Eras::Both).await;
    let session = served.session(REVISION, json!({})).await;
    let mut stream = session.request(7, "tools/call", call("test_reconnection", json!({}))).await;
    let primer = stream.event().await.unwrap();
    assert_eq!((primer.data.as_str(), primer.retry.is_some()), ("", true));
    assert_eq!(stream.event().await, None);
    let id = primer.id.unwrap();
    let mut resumed = session.send("GET", &[("last-event-id", &id)], "").await;
    let rest = resumed.messages().await;
    assert_eq!((rest.len(), &rest[0]["id"]), (1, &json!(7)));
    for unknown in ["99-0", "nonsense"] {
        assert_eq!(session.send("GET", &[("last-event-id", unknown)], "").await.status, 400);
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_nothing_and_finds_the_rest_later() {
    let served = Served::of(Eras::Both).await;
    let session = served.session("2025-06-18", json!({})).await;
    let arguments = json!({"to": 50, "intervalMs": 1});
    let mut stream = session.request(7, "tools/call", call("slow_counter", arguments)).await;
    let first = stream.event().await.unwrap();
    assert_eq!(first.json()["params"]["progress"], 1);
    drop(stream);
    let id = first.id.unwrap();
    let mut resumed = session.send("GET", &[("last-event-id", &id)], "").await;
    let rest = resumed.messages().await;
    let reported: Vec<_> = rest.iter().filter_map(|m| m["params"]["progress"].as_u64()).collect();
    assert_eq!(reported, (2..=50).collect::<Vec<_>>());
    assert_eq!(rest.last().unwrap()["id"], 7);
    assert_eq!(served.probe("cancellations", json!({})).await["cancellations"], 0);
}

#[tokio::test]
async fn a_cancelled_call_has_no_response() {
    let served = Served::of(Eras::Both).await;
    let session = served.session("2025-06-18", json!({})).await;
    let mut stream = session.request(7, "tools/call", call("sleep", json!({"ms": 600_000}))).await;
    assert_eq!(stream.event().await.unwrap().json()["params"]["progress"], 0);
    session.notify("notifications/cancelled", json!({"requestId": 7})).await;
    assert_eq!(stream.event().await, None);
    assert_eq!(served.probe("cancellations", json!({"atLeast": 1})).await["cancellations"], 1);
}

#[tokio::test]
async fn the_get_stream_carries_changes_even_those_from_before_it_was_opened() {
    let served = Served::of(Eras::Both).await;
    let session = served.session("2025-06-18", json!({})).await;
    let trigger = async |what: &str| {
        session.request(9, "tools/call", call(&format!("test_trigger_{what}"), json!({}))).await.json().await
    };
    trigger("resource_update").await;
    let subscription = json!({"uri": "test://watched-resource"});
    session.request(1, "resources/subscribe", subscription.clone()).await.json().await;
    trigger("resource_update").await;
    let mut stream = session.send("GET", &[], "").await;
    let updated = stream.event().await.unwrap().json();
    assert_eq!(updated["method"], "notifications/resources/updated");
    assert_eq!(updated["params"], json!({"uri": "test://watched-resource"}), "and nothing modern");
    session.request(2, "resources/unsubscribe", subscription).await.json().await;
    trigger("resource_update").await;
    trigger("tool_change").await;
    let changed = stream.event().await.unwrap().json();
    assert_eq!(changed, json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));

    let unknown = session.request(3, "resources/subscribe", json!({"uri": "test://nothing"})).await;
    assert_eq!({ unknown }.json().await["error"]["code"], -32002);
    session.send("DELETE", &[], "").await;
    assert_eq!(stream.event().await, None);
}

#[tokio::test]
async fn log_messages_below_the_level_are_left_out() {
    let served = Served::of(Eras::Both).await;
    let session = served.session("2025-06-18", json!({})).await;
    let log = call("test_logging_tool", json!({}));
    let mut logged = session.request(1, "tools/call", log.clone()).await;
    assert_eq!(logged.messages().await.len(), 2);
    session.request(2, "logging/setLevel", json!({"level": "warning"})).await.json().await;
    session.request(3, "tools/call", log).await.json().await;
    let bad = session.request(4, "logging/setLevel", json!({"level": "loud"})).await;
    assert_eq!({ bad }.json().await["error"]["code"], -32602);
}

#[tokio::test]
async fn batches_are_answered_in_the_one_revision_that_has_them() {
    let served = Served::of(Eras::Both).await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "no/such"},
    ]);
    let session = served.session("2025-03-26", json!({})).await;
    let mut reply = session.send("POST", &[], &batch.to_string()).await;
    let mut ids: Vec<_> = reply.messages().await.iter().map(|m| m["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    let session = served.session(REVISION, json!({})).await;
    assert_eq!(session.send("POST", &[], &batch.to_string()).await.status, 400);
}

#[tokio::test]
async fn a_drained_server_lets_calls_finish_and_closes_get_streams() {
    let served = Served::of(Eras::Both).await;
    let session = served.session("2025-06-18", json!({})).await;
    let mut unasked = session.send("GET", &[], "").await;
    let arguments = json!({"to": 20, "intervalMs": 1});
    let mut counting = session.request(1, "tools/call", call("slow_counter", arguments)).await;
    counting.event().await.unwrap();
    served.drain.cancel();
    assert_eq!(unasked.event().await, None);
    assert_eq!(counting.messages().await.last().unwrap()["id"], 1);
    served.task.await.unwrap();
}
