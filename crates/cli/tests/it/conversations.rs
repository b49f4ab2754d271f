//! `portolan stdio`, spoken to by clients of both eras.

use serde_json::{Value, json};

use crate::program::{PORTOLAN, Running, reference_server};

/// Says a request and gives the answer to it.
fn ask(client: &mut Running, request: &Value) -> Value {
    client.say(&request.to_string());
    loop {
        // Nothing but MCP may come on stdout.
        let message: Value = serde_json::from_str(&client.stdout.next()).unwrap();
        assert_eq!(message["jsonrpc"], "2.0");
        if message["id"] == request["id"] {
            return message;
        }
    }
}

fn add(name: &str, meta: &Value) -> Value {
    json!({"jsonrpc":"2.0","id":"add","method":"tools/call","params":{"name":name,"arguments":{"a":1,"b":2},"_meta":meta}})
}

fn modern() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}})
}

fn speaks_both_eras(args: &[&str], tool: &str) {
    let mut client = Running::start(args);
    let answer = ask(&mut client, &add(tool, &modern()));
    assert_eq!(answer["result"]["structuredContent"], json!({"sum":3}));
    assert_eq!(answer["result"]["resultType"], "complete");
    client.hang_up();
    assert_eq!(client.code(), Some(0));

    let mut client = Running::start(args);
    let opening =
        json!({"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}});
    let opened = ask(&mut client, &json!({"jsonrpc":"2.0","id":1,"method":"initialize","params":opening}));
    assert_eq!(opened["result"]["protocolVersion"], "2025-06-18");
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let listed = ask(&mut client, &json!({"jsonrpc":"2.0","id":2,"method":"tools/list"}));
    assert!(listed["result"]["tools"].as_array().unwrap().iter().any(|it| it["name"] == tool), "{listed}");
    let answer = ask(&mut client, &add(tool, &json!({})));
    assert_eq!(answer["result"]["structuredContent"], json!({"sum":3}));
    client.hang_up();
    assert_eq!(client.code(), Some(0));
}

#[test]
fn a_configuration_is_served_to_clients_of_both_eras() {
    let (_server, url) = reference_server("modern");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.json");
    let local = json!({"command":PORTOLAN,"args":["reference-server","--stdio","--era","legacy"]});
    std::fs::write(&path, json!({"mcpServers":{"web":{"url":url},"local":local}}).to_string()).unwrap();
    let args = ["stdio", "--config", path.to_str().unwrap()];
    speaks_both_eras(&args, "web__add");
    speaks_both_eras(&args, "local__add");
}

#[test]
fn a_url_is_bridged_for_clients_of_both_eras() {
    for era in ["modern", "legacy"] {
        let (_server, url) = reference_server(era);
        speaks_both_eras(&["stdio", "--url", &url, "--header", "X-Tenant: a"], "add");
    }
}

#[test]
fn the_header_reaches_the_server() {
    let (_server, url) = reference_server("modern");
    let mut client = Running::start(&["stdio", "--url", &url, "--header", "X-Tenant: ${env:CARGO_PKG_NAME}"]);
    let seen = ask(
        &mut client,
        &json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{},"_meta":modern()}}),
    );
    assert_eq!(seen["result"]["structuredContent"]["headers"]["x-tenant"], "cli");
}

#[test]
fn a_client_may_write_all_and_hang_up_before_it_reads() {
    let (_server, url) = reference_server("modern");
    let mut client = Running::start(&["stdio", "--url", &url]);
    client.say(&add("add", &modern()).to_string());
    client.hang_up();
    let answer: Value = serde_json::from_str(&client.stdout.next()).unwrap();
    assert_eq!(answer["result"]["structuredContent"], json!({"sum":3}));
    assert_eq!(client.code(), Some(0));
}
