//! Requests as clients send them.

use testkit::http::{Client, Reply};
use testkit::json;

/// `_meta` of a client that can do nothing.
pub(crate) const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A modern request's body; `params` are the members beside `_meta`.
pub(crate) fn body(id: &str, method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}{META}}}}}"#)
}

/// The headers that mirror a modern body.
pub(crate) fn mirrored(body: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![("mcp-protocol-version", "2026-07-28".to_owned())];
    let text = |path: &[&str]| json::at(body, path).map(json::unescaped);
    headers.extend(text(&["method"]).map(|method| ("mcp-method", method)));
    let subject = match text(&["method"]).as_deref() {
        Some("resources/read") => text(&["params", "uri"]),
        Some("tools/call" | "prompts/get") => text(&["params", "name"]),
        Some("tasks/get" | "tasks/update" | "tasks/cancel") => text(&["params", "taskId"]),
        _ => None,
    };
    headers.extend(subject.map(|subject| ("mcp-name", subject)));
    headers
}

/// Sends a modern request.
pub(crate) async fn modern(client: &Client, method: &str, params: &str) -> Reply {
    send(client, &body("1", method, params)).await
}

/// Sends a modern request's body with the headers that mirror it.
pub(crate) async fn send(client: &Client, body: &str) -> Reply {
    let headers = mirrored(body);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.post(&headers, body.as_bytes()).await
}
