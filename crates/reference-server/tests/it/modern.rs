//! The modern era over HTTP.

use reference_server::{Eras, Settings};
use serde_json::{Value, json};

use crate::wire::{Served, modern};

const META: &str = "io.modelcontextprotocol/";

fn call(tool: &str) -> Value {
    json!({"name": tool, "arguments": {}})
}

#[tokio::test]
async fn every_result_names_its_type_and_its_server() {
    let served = Served::of(Eras::Both).await;
    for (method, params) in [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("resources/read", json!({"uri": "test://static-text"})),
        ("tools/call", call("test_simple_text")),
        ("prompts/get", json!({"name": "test_simple_prompt"})),
    ] {
        let mut reply = served.modern(method, params).await;
        assert_eq!((reply.status, reply.headers.contains_key("mcp-session-id")), (200, false));
        let result = reply.json().await["result"].clone();
        assert_eq!(result["resultType"], "complete", "{method}");
        assert_eq!(result["_meta"][format!("{META}serverInfo")]["name"], "portolan-reference");
        let cacheable = !matches!(method, "tools/call" | "prompts/get");
        assert_eq!(result["ttlMs"].is_u64() && result["cacheScope"].is_string(), cacheable, "{method}");
    }
}

#[tokio::test]
async fn each_broken_rule_has_its_status_and_its_code() {
    let served = Served::of(Eras::Both).await;
    let no_capabilities = json!({format!("{META}clientCapabilities"): {}});
    for (method, params, status, code) in [
        ("resources/subscribe", json!({"uri": "test://static-text"}), 404, -32601),
        ("ping", json!({}), 404, -32601),
        ("future/thing", json!({}), 404, -32601),
        ("tools/list", json!({"_meta": {format!("{META}clientCapabilities"): 1}}), 400, -32602),
        ("tools/call", call("nothing"), 200, -32602),
        ("resources/read", json!({"uri": "test://nothing"}), 200, -32602),
        ("tools/list", json!({"cursor": ""}), 200, -32602),
        ("tools/call", json!({"name": "test_missing_capability", "_meta": no_capabilities}), 400, -32021),
        ("subscriptions/listen", json!({}), 400, -32602),
    ] {
        let mut reply = served.modern(method, params).await;
        let error = reply.json().await;
        assert_eq!((reply.status, &error["error"]["code"]), (status, &json!(code)), "{method}: {error}");
        assert_eq!(error["id"], 1);
    }
}

#[tokio::test]
async fn headers_that_do_not_mirror_the_body_are_refused() {
    let served = Served::of(Eras::Both).await;
    let region = json!({"name": "region", "arguments": {"region": "Hello", "priority": 42}});
    let (headers, message) = modern("tools/call", region);
    for (change, status) in [
        (vec![("mcp-param-region", "Hello"), ("mcp-param-priority", "42.0")], 200),
        (vec![("mcp-param-region", "=?base64?SGVsbG8=?="), ("mcp-param-priority", "42")], 200),
        (vec![("mcp-param-region", "=?base64?SGVsbG8?="), ("mcp-param-priority", "42")], 400),
        (vec![("mcp-param-region", "hello"), ("mcp-param-priority", "42")], 400),
        (vec![("mcp-param-priority", "42")], 400),
        (vec![("mcp-name", "add")], 400),
        (vec![("mcp-method", "TOOLS/CALL")], 400),
        (vec![("mcp-protocol-version", "2099-01-01")], 400),
    ] {
        let names: Vec<_> = change.iter().map(|(name, _)| *name).collect();
        let kept = headers.iter().filter(|(name, _)| !names.contains(name));
        let sent: Vec<_> = kept.map(|(name, value)| (*name, value.as_str())).chain(change).collect();
        let mut reply = served.post(&sent, &message).await;
        let answer = reply.json().await;
        assert_eq!(reply.status, status, "{sent:?}: {answer}");
        assert_eq!(answer["error"]["code"] == -32020, status == 400, "{sent:?}: {answer}");
    }
}

#[tokio::test]
async fn a_revision_that_is_not_spoken_is_refused_with_those_that_are() {
    let served = Served::of(Eras::Both).await;
    let params = json!({"_meta": {format!("{META}protocolVersion"): "2099-01-01"}});
    let (_, message) = modern("server/discover", params);
    let headers = [("mcp-protocol-version", "2099-01-01"), ("mcp-method", "server/discover")];
    let mut reply = served.post(&headers, &message).await;
    let error = reply.json().await["error"].clone();
    assert_eq!((reply.status, &error["code"]), (400, &json!(-32022)));
    assert_eq!(error["data"], json!({"supported": ["2026-07-28"], "requested": "2099-01-01"}));
}

#[tokio::test]
async fn a_call_that_reports_progress_is_answered_by_a_stream() {
    let served = Served::of(Eras::Both).await;
    let params = json!({"name": "slow_counter", "arguments": {"to": 3, "intervalMs": 0}, "_meta": {
        "progressToken": "p", format!("{META}logLevel"): "info"}});
    let mut reply = served.modern("tools/call", params).await;
    assert_eq!(reply.headers["x-accel-buffering"], "no");
    let messages = reply.messages().await;
    let seen: Vec<_> = messages.iter().map(|m| (&m["method"], &m["params"]["progress"])).collect();
    let (progress, log, none) =
        (json!("notifications/progress"), json!("notifications/message"), Value::Null);
    assert_eq!(
        seen,
        [
            (&progress, &json!(1)),
            (&log, &none),
            (&progress, &json!(2)),
            (&log, &none),
            (&progress, &json!(3)),
            (&log, &none),
            (&none, &none)
        ]
    );
    assert_eq!(messages[6]["result"]["content"][0]["text"], "Counted to 3.");

    let mut quiet = served.modern("tools/call", call("test_logging_tool")).await;
    assert_eq!(quiet.json().await["id"], 1, "no log messages without a level");
}

#[tokio::test]
async fn to_close_the_stream_is_to_cancel_the_call() {
    let served = Served::of(Eras::Both).await;
    let params = json!({"name": "sleep", "arguments": {"ms": 600_000}, "_meta": {"progressToken": 1}});
    let mut reply = served.modern("tools/call", params).await;
    assert_eq!(reply.event().await.unwrap().json()["params"]["progress"], 0);
    assert_eq!(served.probe("counters", json!({})).await["streams"], 1);
    drop(reply);
    let counted = served.probe("cancellations", json!({"atLeast": 1})).await;
    assert_eq!(counted, json!({"cancellations": 1}));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_has_cancelled_too() {
    let served = Served::of(Eras::Both).await;
    let params = json!({"name": "test_cancellation", "arguments": {"token": "t", "seconds": 600}});
    let outcome = async || served.probe("test_cancellation_outcome", json!({"token": "t"})).await;
    tokio::select! {
        _ = served.modern("tools/call", params) => panic!("it must not answer"),
        () = async { while outcome().await["outcome"] != "running" {} } => {}
    }
    served.probe("cancellations", json!({"atLeast": 1})).await;
    assert_eq!(outcome().await["outcome"], "cancelled");
}

#[tokio::test]
async fn a_listen_stream_carries_what_was_asked_for_and_ends_with_a_result() {
    let served = Served::of(Eras::Both).await;
    let wanted = json!({"promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["test://watched-resource", "test://nothing"]});
    let mut stream = served.modern("subscriptions/listen", json!({"notifications": wanted})).await;
    let first = stream.event().await.unwrap().json();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    let honoured = json!({"promptsListChanged": true, "resourceSubscriptions": ["test://watched-resource"]});
    assert_eq!(first["params"]["notifications"], honoured);
    for trigger in ["tool_change", "prompt_change", "resource_update"] {
        served.modern("tools/call", call(&format!("test_trigger_{trigger}"))).await.json().await;
    }
    let counters = served.probe("counters", json!({})).await;
    assert_eq!((&counters["listens"], &counters["streams"]), (&json!(1), &json!(1)));
    served.drain.cancel();
    let rest = stream.messages().await;
    let methods: Vec<_> = rest.iter().map(|message| message["method"].as_str()).collect();
    let (prompts, updated) = ("notifications/prompts/list_changed", "notifications/resources/updated");
    assert_eq!(methods, [Some(prompts), Some(updated), None]);
    assert_eq!(rest[1]["params"]["uri"], "test://watched-resource");
    let id = format!("{META}subscriptionId");
    assert!(rest[..2].iter().all(|message| message["params"]["_meta"][&id] == 1), "{rest:?}");
    assert_eq!(
        (&rest[2]["result"]["resultType"], &rest[2]["result"]["_meta"][&id]),
        (&json!("complete"), &json!(1))
    );
    served.task.await.unwrap();
}

#[tokio::test]
async fn a_call_goes_through_its_rounds_and_its_state_fits_no_other_call() {
    let served = Served::of(Eras::Both).await;
    let tool = "test_input_required_result_multi_round";
    let answer = |name: &str, value: &str| json!({"action": "accept", "content": {name: value}});
    let first = served.modern("tools/call", call(tool)).await.json().await["result"].clone();
    assert_eq!(first["resultType"], "input_required");
    let retry = |tool: &str, arguments: Value, state: &Value, key: &str, answer: Value| json!({"name": tool, "arguments": arguments, "requestState": state, "inputResponses": {key: answer}});
    let params = retry(tool, json!({}), &first["requestState"], "step1", answer("name", "Ada"));
    let second = served.modern("tools/call", params).await.json().await["result"].clone();
    assert_eq!(second["inputRequests"]["step2"]["method"], "elicitation/create");
    let state = &second["requestState"];

    let other = "test_input_required_result_request_state";
    for (tool, arguments) in [(tool, json!({"x": 1})), (other, json!({}))] {
        let params = retry(tool, arguments, state, "step2", answer("color", "blue"));
        assert_eq!(served.modern("tools/call", params).await.json().await["error"]["code"], -32602);
    }
    let params = retry(tool, json!({}), state, "step2", answer("color", "blue"));
    let last = served.modern("tools/call", params).await.json().await;
    assert_eq!(last["result"]["content"][0]["text"], "Ada likes blue.");
}

#[tokio::test]
async fn lists_come_in_pages_and_the_second_cursor_is_empty() {
    let page_size = std::num::NonZeroUsize::new(2);
    let served = Served::start(Settings { page_size, ..Settings::default() }).await;
    let (mut names, mut params, mut cursors) = (Vec::new(), json!({}), Vec::new());
    loop {
        let result = served.modern("prompts/list", params).await.json().await["result"].clone();
        names.extend(result["prompts"].as_array().unwrap().iter().map(|prompt| prompt["name"].clone()));
        let Some(cursor) = result["nextCursor"].as_str() else { break };
        cursors.push(cursor.to_owned());
        params = json!({"cursor": cursor});
    }
    assert_eq!((names.len(), cursors.len(), cursors[0].as_str()), (5, 2, ""));
}
