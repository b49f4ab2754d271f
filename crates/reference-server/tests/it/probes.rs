//! The tools that show what reached the server.

use reference_server::Eras;
use serde_json::json;

use crate::pipe::Pipe;
use crate::wire::Served;

#[tokio::test]
async fn echo_gives_its_arguments_back_byte_for_byte() {
    let served = Served::of(Eras::Both).await;
    let arguments =
        r#"{ "b": 1.0,"a":[1180591620717411303424 ,-0,1E2],"\u0061\/":"\ud83d\ude00 é", "a":{} }"#;
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments},"_meta":{meta}}}}}"#
    );
    let headers =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    let answer = served.send("POST", &headers, &body).await.text().await;
    assert!(answer.contains(&format!("\"structuredContent\":{arguments}")), "{answer}");
    let quoted = serde_json::to_string(arguments).unwrap();
    assert!(answer.contains(&format!("\"text\":{quoted}")), "{answer}");
}

#[tokio::test]
async fn whoami_shows_how_the_call_arrived() {
    let served = Served::of(Eras::Both).await;
    let session = served.session("2025-06-18", json!({})).await;
    let params = json!({"name": "whoami", "arguments": {}, "_meta": {"x/y": 1.5}});
    let seen = session.request(1, "tools/call", params.clone()).await.json().await;
    let seen = &seen["result"]["structuredContent"];
    assert_eq!((&seen["era"], &seen["protocolVersion"]), (&json!("legacy"), &json!("2025-06-18")));
    assert_eq!(
        (&seen["meta"], &seen["headers"]["mcp-session-id"]),
        (&json!({"x/y": 1.5}), &json!(session.id))
    );

    let mut reply = served.modern("tools/call", params.clone()).await;
    let seen = reply.json().await["result"]["structuredContent"].clone();
    assert_eq!((&seen["era"], &seen["protocolVersion"]), (&json!("modern"), &json!("2026-07-28")));
    assert_eq!((&seen["meta"]["x/y"], &seen["headers"]["mcp-name"]), (&json!(1.5), &json!("whoami")));

    let mut pipe = Pipe::open(Eras::Both);
    pipe.modern(json!(1), "tools/call", params).await;
    let seen = pipe.next().await.unwrap()["result"]["structuredContent"].clone();
    assert_eq!((&seen["era"], &seen["headers"]), (&json!("modern"), &json!({})));
}

#[tokio::test]
async fn whole_numbers_are_added_exactly() {
    let served = Served::of(Eras::Both).await;
    for (a, b, sum) in [
        (json!(9_007_199_254_740_993_u64), json!(1), "9007199254740994"),
        (json!(1.5), json!(1), "2.5"),
        (json!(-3), json!(3), "0"),
    ] {
        let params = json!({"name": "add", "arguments": {"a": a, "b": b}});
        let answer = served.modern("tools/call", params).await.text().await;
        assert!(answer.contains(&format!("\"structuredContent\":{{\"sum\":{sum}}}")), "{answer}");
    }
    let params = json!({"name": "add", "arguments": {"a": "1", "b": 2}});
    assert_eq!(served.modern("tools/call", params).await.json().await["result"]["isError"], true);
}
