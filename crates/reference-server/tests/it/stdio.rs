//! Both eras over pipes.

use reference_server::Eras;
use serde_json::{Value, json};

use crate::pipe::Pipe;
use crate::wire::{initialize, modern_message};

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[tokio::test]
async fn both_eras_are_answered_on_one_pipe() {
    let mut pipe = Pipe::open(Eras::Both);
    let discovered = pipe.ask(&modern_message("server/discover", json!({}))).await;
    assert_eq!(discovered["result"]["supportedVersions"], json!(["2026-07-28"]));
    let early = pipe.ask(&request(2, "tools/list", json!({}))).await;
    assert_eq!(early["error"]["code"], -32600, "there is no session yet");
    assert_eq!(pipe.initialize("2025-06-18").await["result"]["protocolVersion"], "2025-06-18");
    let listed = pipe.ask(&request(3, "tools/list", json!({}))).await;
    assert_eq!(listed["result"].get("resultType"), None);
    let listed = pipe.ask(&modern_message("tools/list", json!({}))).await;
    assert_eq!(listed["result"]["resultType"], "complete");
}

#[tokio::test]
async fn a_server_of_one_era_refuses_the_other() {
    let mut modern = Pipe::open(Eras::Modern);
    let refused = modern.ask(&initialize("2025-11-25", json!({}))).await;
    assert_eq!(refused["error"]["code"], -32022);
    assert_eq!(refused["error"]["data"]["supported"], json!(["2026-07-28"]));
    assert_eq!(modern.ask(&request(1, "ping", json!({}))).await["error"]["code"], -32602);

    let mut legacy = Pipe::open(Eras::Legacy);
    let refused = legacy.ask(&modern_message("server/discover", json!({}))).await;
    assert_eq!(refused["error"]["code"], -32601);
    assert_eq!(legacy.ask(&request(1, "ping", json!({}))).await["result"], json!({}));
    assert_eq!(legacy.initialize("2025-11-25").await["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn a_cancelled_call_says_nothing_more() {
    let mut pipe = Pipe::open(Eras::Both);
    pipe.initialize("2025-11-25").await;
    let sleep = json!({"name": "sleep", "arguments": {"ms": 600_000}, "_meta": {"progressToken": 1}});
    pipe.modern(json!("m"), "tools/call", sleep.clone()).await;
    assert_eq!(pipe.next().await.unwrap()["params"]["progress"], 0);
    pipe.send(&request(5, "tools/call", sleep)).await;
    assert_eq!(pipe.next().await.unwrap()["params"]["progress"], 0);
    for id in [json!("m"), json!(5), json!("never-was")] {
        let params = json!({"requestId": id});
        pipe.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
    }
    let counted = request(6, "tools/call", json!({"name": "cancellations", "arguments": {"atLeast": 2}}));
    let counted = pipe.ask(&counted).await;
    assert_eq!(
        (&counted["id"], &counted["result"]["structuredContent"]["cancellations"]),
        (&json!(6), &json!(2))
    );
}

#[tokio::test]
async fn an_id_that_is_still_in_use_is_refused() {
    let mut pipe = Pipe::open(Eras::Both);
    let sleep = json!({"name": "sleep", "arguments": {"ms": 600_000}, "_meta": {"progressToken": 1}});
    pipe.modern(json!("a"), "tools/call", sleep).await;
    pipe.next().await.unwrap();
    pipe.modern(json!("a"), "tools/list", json!({})).await;
    assert_eq!(pipe.next().await.unwrap()["error"]["code"], -32600);
}

#[tokio::test]
async fn a_legacy_client_is_asked_and_a_modern_one_calls_again() {
    let mut pipe = Pipe::open(Eras::Both);
    pipe.initialize("2025-11-25").await;
    let call = json!({"name": "test_input_required_result_elicitation", "arguments": {}});
    let question = pipe.ask(&request(1, "tools/call", call.clone())).await;
    assert_eq!(question["method"], "elicitation/create");
    let answer = json!({"action": "accept", "content": {"name": "Ada"}});
    let greeted = pipe.ask(&json!({"jsonrpc": "2.0", "id": question["id"], "result": answer})).await;
    assert_eq!(greeted["result"]["content"][0]["text"], "Hello, Ada!");

    pipe.modern(json!(2), "tools/call", call.clone()).await;
    let asked = pipe.next().await.unwrap()["result"].clone();
    assert_eq!(asked["inputRequests"]["user_name"]["method"], "elicitation/create");
    let mut retry = call;
    retry["inputResponses"] = json!({"user_name": answer});
    pipe.modern(json!(3), "tools/call", retry).await;
    assert_eq!(pipe.next().await.unwrap()["result"]["content"][0]["text"], "Hello, Ada!");
}

#[tokio::test]
async fn changes_reach_the_session_and_the_listen_stream() {
    let mut pipe = Pipe::open(Eras::Both);
    pipe.initialize("2025-11-25").await;
    pipe.modern(json!("l"), "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))
        .await;
    let acknowledged = pipe.next().await.unwrap();
    assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l");
    pipe.send(&request(1, "tools/call", json!({"name": "test_trigger_tool_change"}))).await;
    let (mut told, mut answered) = (Vec::new(), false);
    while told.len() < 2 || !answered {
        let message = pipe.next().await.unwrap();
        answered |= message["id"] == 1;
        if message["method"] == "notifications/tools/list_changed" {
            told.push(message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone());
        }
    }
    told.sort_by_key(Value::is_string);
    assert_eq!(told, [json!(null), json!("l")]);
}

#[tokio::test]
async fn rubbish_is_refused_and_reading_goes_on() {
    let mut pipe = Pipe::open(Eras::Both);
    for (line, code) in
        [("{", -32700), ("[]", -32600), (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600)]
    {
        pipe.write(line).await;
        let error = pipe.next().await.unwrap();
        assert_eq!((&error["error"]["code"], error.get("id")), (&json!(code), None), "{line}");
    }
    assert_eq!(pipe.ask(&modern_message("server/discover", json!({}))).await["id"], 1);
}

#[tokio::test]
async fn at_the_end_of_input_calls_finish_and_streams_end_in_good_order() {
    let mut pipe = Pipe::open(Eras::Both);
    pipe.modern(json!("l"), "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))
        .await;
    pipe.next().await.unwrap();
    let count = json!({"name": "slow_counter", "arguments": {"to": 20, "intervalMs": 1}});
    pipe.modern(json!("c"), "tools/call", count).await;
    pipe.close().await;
    let mut ids = Vec::new();
    while let Some(message) = pipe.next().await {
        assert_eq!(message["result"]["resultType"], "complete");
        ids.push(message["id"].as_str().unwrap().to_owned());
    }
    ids.sort();
    assert_eq!(ids, ["c", "l"]);
    pipe.served.await.unwrap().unwrap();
}
