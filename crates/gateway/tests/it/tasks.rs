//! Tasks: of either era, for clients of either era, from one server and from several.

use std::sync::Arc;

use testkit::clock::WallClock;
use testkit::http::Reply;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

mod bounds;
mod legacy_client;
mod legacy_server;
mod limited;
mod same_era;

/// A client that has the extension.
const EXTENSION: &str = r#"{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
/// A server that has it.
const WITH_EXTENSION: &str =
    r#"{"tools":{"listChanged":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
/// A server that has tasks in its core.
const WITH_CORE: &str =
    r#"{"tools":{"listChanged":true},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#;

fn modern() -> Persona {
    Persona::modern().able(WITH_EXTENSION).tools(&["t"])
}

/// One tool may be a task, the other one must.
fn legacy() -> Persona {
    let tool = |name: &str, support: &str| {
        format!(
            r#"{{"name":"{name}","inputSchema":{{"type":"object"}},"execution":{{"taskSupport":"{support}"}}}}"#
        )
    };
    let tools = format!("[{},{}]", tool("t", "optional"), tool("must", "required"));
    Persona::legacy().able(WITH_CORE).listing("tools/list", &tools)
}

/// A gateway with servers of these names.
async fn with<const N: usize>(personas: [(&str, Persona); N]) -> (Running, [(ScriptedServer, Desk); N]) {
    let (running, servers, _) = with_clock(personas).await;
    (running, servers)
}

/// And the clock on its wall.
async fn with_clock<const N: usize>(
    personas: [(&str, Persona); N],
) -> (Running, [(ScriptedServer, Desk); N], WallClock) {
    let (stand, servers) = stand(personas).await;
    let clock = stand.clock.clone();
    (stand.start().await, servers, clock)
}

async fn stand<const N: usize>(personas: [(&str, Persona); N]) -> (Stand, [(ScriptedServer, Desk); N]) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let mut servers = Vec::new();
    for (name, persona) in personas {
        servers.push(stand.add(name, Over::Http, persona).await);
    }
    (stand, servers.try_into().unwrap())
}

/// A task as the extension has it.
fn flat(id: &str, status: &str, more: &str) -> String {
    format!(
        r#"{{"resultType":"complete","taskId":"{id}","status":"{status}","createdAt":"c","lastUpdatedAt":"l","ttlMs":60000,"pollIntervalMs":200{more}}}"#
    )
}

fn created_flat(id: &str) -> String {
    flat(id, "working", "").replace("complete", "task")
}

/// A task as the core has it.
fn core(id: &str, status: &str) -> String {
    format!(
        r#"{{"taskId":"{id}","status":"{status}","createdAt":"c","lastUpdatedAt":"l","ttl":60000.0,"pollInterval":200}}"#
    )
}

fn created_core(id: &str) -> String {
    format!(r#"{{"task":{}}}"#, core(id, "working"))
}

fn member(text: &str, path: &[&str]) -> String {
    let value = json::at(text, path).unwrap_or_else(|| panic!("no {path:?} in {text}"));
    json::plain(value).to_owned()
}

fn code(text: &str) -> Option<&str> {
    json::at(text, &["error", "code"])
}

/// Sends a request and answers what the server is asked by it.
async fn asked(
    door: &mut Door,
    (method, members): (&str, &str),
    desk: &mut Desk,
    (theirs, result): (&str, &str),
) -> String {
    let body = door.body("1", method, members, "");
    let (answer, ()) =
        tokio::join!(door.response(&body), async { desk.asked(theirs).await.result(result).await });
    answer
}

/// Begins a request whose answer is a stream with questions.
async fn begin(door: &Door, running: &Running, body: &str) -> Reply {
    let headers = [("mcp-session-id", door.session()), ("mcp-protocol-version", "2025-11-25")];
    running.client.post(&headers, body.as_bytes()).await
}

async fn legacy_door(running: &Running) -> Door {
    Door::open_with(
        Kind::LegacyHttp,
        running,
        r#"{"elicitation":{},"tasks":{"requests":{"elicitation":{"create":{}}}}}"#,
    )
    .await
}

async fn modern_door(running: &Running) -> Door {
    Door::open_with(Kind::ModernHttp, running, EXTENSION).await
}
