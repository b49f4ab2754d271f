//! Requests that break a rule of their own.

use testkit::http::{Client, Reply};
use testkit::json;
use testkit::server::Persona;

use super::{before, code};
use crate::ask;
use crate::stand::Over;

/// The status and the response to a body with the headers that mirror it, but for one, which is left out or replaced.
async fn with(client: &Client, body: &str, name: &str, value: Option<&str>) -> (u16, String) {
    let mut headers = ask::mirrored(body);
    headers.retain(|(given, _)| *given != name);
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.extend(value.map(|value| (name, value)));
    let reply = client.post(&headers, body.as_bytes()).await;
    (reply.status, reply.response().await)
}

fn call() -> String {
    ask::body("1", "tools/call", r#""name":"t""#)
}

#[tokio::test(start_paused = true)]
async fn e01_a_modern_body_without_its_version_header_is_refused() {
    let (running, server, _desk) = before(Over::Http, Persona::modern()).await;
    let (status, text) = with(&running.client, &call(), "mcp-protocol-version", None).await;
    assert_eq!((status, code(&text)), (400, Some("-32020")), "{text}");
    assert!(server.seen_of("tools/call").is_empty());
}

#[tokio::test(start_paused = true)]
async fn e02_a_version_header_that_says_another_version_is_refused() {
    let (running, server, _desk) = before(Over::Http, Persona::modern()).await;
    for version in ["2025-11-25", "2099-01-01", "draft"] {
        let (status, text) = with(&running.client, &call(), "mcp-protocol-version", Some(version)).await;
        assert_eq!((status, code(&text)), (400, Some("-32020")), "{text}");
    }
    assert!(server.seen_of("tools/call").is_empty());
}

#[tokio::test(start_paused = true)]
async fn e03_an_unknown_version_is_refused_with_the_known_ones() {
    let (running, _server, _desk) = before(Over::Http, Persona::modern()).await;
    let body = call().replace("2026-07-28", "2099-01-01");
    let (status, text) = with(&running.client, &body, "mcp-protocol-version", Some("2099-01-01")).await;
    assert_eq!((status, code(&text)), (400, Some("-32022")), "{text}");
    let data = |name| json::at(&text, &["error", "data", name]);
    assert_eq!((data("supported"), data("requested")), (Some(r#"["2026-07-28"]"#), Some("\"2099-01-01\"")));
}

#[tokio::test(start_paused = true)]
async fn e04_a_request_without_client_capabilities_is_refused() {
    let (running, _server, _desk) = before(Over::Http, Persona::modern()).await;
    let body = call();
    let path = ["params", "_meta", "io.modelcontextprotocol/clientCapabilities"];
    let reply = ask::send(&running.client, &json::without(&body, &path)).await;
    assert_eq!(reply.status, 400);
    assert_eq!(code(&reply.response().await), Some("-32602"));
}

#[tokio::test(start_paused = true)]
async fn e05_an_unknown_method_is_404_with_a_body() {
    let mut stand = crate::stand::Stand::new(std::sync::Arc::new(testkit::net::MemoryNetwork::default()));
    let (_one, _one_desk) = stand.add("one", Over::Http, Persona::modern()).await;
    let (_two, _two_desk) = stand.add("two", Over::Http, Persona::modern()).await;
    let running = stand.start().await;
    let reply = ask::modern(&running.client, "nobody/knows", "").await;
    assert_eq!(reply.status, 404);
    assert_eq!(code(&reply.response().await), Some("-32601"));
    // A lone server may know what we do not; its answer is the answer.
    let (running, _server, mut desk) = before(Over::Http, Persona::modern()).await;
    let client = running.client.clone();
    let asking = tokio::spawn(async move { ask::modern(&client, "nobody/knows", "").await });
    let asked = desk.asked("nobody/knows").await;
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"no"}}}}"#,
        asked.seen.id().unwrap()
    );
    asked.respond(404, "application/json", &[], text.as_bytes()).await;
    let reply: Reply = asking.await.unwrap();
    assert_eq!(reply.status, 404);
    assert_eq!(code(&reply.response().await), Some("-32601"));
}

#[tokio::test(start_paused = true)]
async fn e06_an_array_is_refused() {
    let (running, server, _desk) = before(Over::Http, Persona::modern()).await;
    let headers = ask::mirrored(&call());
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for body in ["[]".to_owned(), format!("[{}]", call()), format!("[{0},{0}]", call())] {
        let reply = running.client.post(&headers, body.as_bytes()).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(code(&reply.response().await).is_some());
    }
    assert!(server.seen_of("tools/call").is_empty());
}

#[tokio::test(start_paused = true)]
async fn e27_a_foreign_origin_is_refused() {
    let (running, server, _desk) = before(Over::Http, Persona::modern()).await;
    for origin in ["https://evil.example", "null"] {
        let (status, _) = with(&running.client, &call(), "origin", Some(origin)).await;
        assert_eq!(status, 403, "{origin}");
    }
    assert!(server.seen_of("tools/call").is_empty());
}

#[tokio::test(start_paused = true)]
async fn e28_there_are_no_sessions_in_the_modern_era() {
    let (running, _server, mut desk) = before(Over::Http, Persona::modern()).await;
    let client = &running.client;
    for method in ["GET", "DELETE"] {
        let reply = client.send(&client.request(&format!("{method} /mcp"), &[], b"")).await;
        assert_eq!(reply.status, 405, "{method}");
        assert!(reply.header("allow").is_some_and(|allow| allow.contains("POST")));
    }
    let body = call();
    let mut headers = ask::mirrored(&body);
    headers.push(("mcp-session-id", "made-up".to_owned()));
    let (client, asked) = (client.clone(), desk.asked("tools/call"));
    let calling = tokio::spawn(async move {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.post(&headers, body.as_bytes()).await
    });
    let asked = asked.await;
    assert_eq!(asked.seen.header("mcp-session-id"), None);
    asked.result_with(&[("mcp-session-id", "theirs")], r#"{"resultType":"complete"}"#).await;
    let reply = calling.await.unwrap();
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, None));
}
