//! Who may come in, and what a server of one era says to clients of the other.

use reference_server::Eras;
use serde_json::json;

use crate::wire::{Served, initialize, modern};

#[tokio::test]
async fn only_this_machine_s_names_are_let_in() {
    let served = Served::of(Eras::Both).await;
    let port = served.running.url().rsplit_once(':').unwrap().1.replace("/mcp", "");
    for (headers, status) in [
        (vec![("host", "evil.example.com")], 403),
        (vec![("host", "127.0.0.1.evil.example.com")], 403),
        (vec![("origin", "http://evil.example.com")], 403),
        (vec![("origin", "null")], 403),
        (vec![("host", "localhost"), ("origin", "http://localhost:5173")], 200),
        (vec![("host", &format!("[::1]:{port}")), ("origin", "http://127.0.0.1")], 200),
    ] {
        let reply = served.post(&headers, &initialize("2025-11-25", json!({}))).await;
        assert_eq!(reply.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn what_is_no_json_of_a_willing_client_is_not_read() {
    let served = Served::of(Eras::Both).await;
    for (headers, body, status) in [
        (("content-type", "text/plain"), "{}", 415),
        (("accept", "application/json"), "{}", 406),
        (("accept", "*/*"), "{", 400),
        (("accept", "*/*"), "[]", 400),
        (("accept", "*/*"), r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400),
    ] {
        let mut reply = served.send("POST", &[headers], body).await;
        assert_eq!(reply.status, status, "{headers:?} {body}");
        assert!(reply.json().await["error"]["code"].is_i64());
    }
    assert_eq!(served.send("PUT", &[], "").await.headers["allow"], "GET, POST, DELETE");
    assert_eq!(served.send("GET", &[("mcp-protocol-version", "2026-07-28")], "").await.status, 405);
}

#[tokio::test]
async fn a_modern_only_server_names_its_revisions_to_a_legacy_client() {
    let served = Served::of(Eras::Modern).await;
    let mut reply = served.post(&[], &initialize("2025-11-25", json!({}))).await;
    let error = reply.json().await["error"].clone();
    assert_eq!((reply.status, &error["code"]), (400, &json!(-32022)));
    assert_eq!(error["data"], json!({"supported": ["2026-07-28"], "requested": "2025-11-25"}));
    assert!(error["message"].as_str().unwrap().contains("2026-07-28"));
    for method in ["GET", "DELETE"] {
        let reply = served.send(method, &[("mcp-session-id", "x")], "").await;
        assert_eq!((reply.status, reply.headers["allow"].as_str()), (405, "POST"));
    }
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let mut reply = served.post(&[], &ping).await;
    assert_eq!((reply.status, reply.json().await["error"]["code"].clone()), (400, json!(-32020)));
    assert_eq!(served.modern("tools/list", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_legacy_only_server_has_never_heard_of_modern_requests() {
    let served = Served::of(Eras::Legacy).await;
    let mut reply = served.modern("server/discover", json!({})).await;
    let error = reply.json().await;
    assert_eq!((reply.status, &error["error"]["code"], &error["id"]), (400, &json!(-32000), &json!(null)));
    let (_, message) = modern("server/discover", json!({}));
    let session = served.session("2025-11-25", json!({})).await;
    let unknown = session.send("POST", &[], &message.to_string()).await;
    assert_eq!({ unknown }.json().await["error"]["code"], -32601);
}
