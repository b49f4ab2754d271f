//! `-v`.

use insta::assert_debug_snapshot;

use crate::program::{PORTOLAN, command, finish, reference_server, run, settings};

#[test]
fn the_wire_is_shown_and_secrets_are_not() {
    let (_server, url) = reference_server("modern");
    let args = [
        "read",
        &url,
        "test://watched-resource",
        "-v",
        "-H",
        "Authorization: Bearer ${env:TOKEN}",
        "-H",
        "X-Tenant: ${env:TOKEN}",
    ];
    let ended = finish(command(&args).env("TOKEN", "s3cr3t"));
    assert!(!ended.stderr.contains("s3cr3t"));
    settings().bind(|| assert_debug_snapshot!(ended, @r#"
        exit: 0
        ----- stdout -----
        Version 1 of the watched resource.
        ----- stderr -----
        > POST http://127.0.0.1:PORT/mcp
        > mcp-protocol-version: 2026-07-28
        > mcp-method: server/discover
        > accept: application/json, text/event-stream
        > authorization: ••••
        > x-tenant: ••••
        > content-type: application/json
        >
        > {
        >   "jsonrpc": "2.0",
        >   "id": 1,
        >   "method": "server/discover",
        >   "params": {
        >     "_meta": {
        >       "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        >       "io.modelcontextprotocol/clientCapabilities": {},
        >       "io.modelcontextprotocol/clientInfo": {
        >         "name": "portolan",
        >         "title": "Portolan",
        >         "version": "0.1.0"
        >       }
        >     }
        >   }
        > }
        < 200
        < content-type: application/json
        < content-length: 518
        < date: DATE
        < {
        <   "jsonrpc": "2.0",
        <   "id": 1,
        <   "result": {
        <     "resultType": "complete",
        <     "supportedVersions": [
        <       "2026-07-28"
        <     ],
        <     "capabilities": {
        <       "completions": {},
        <       "logging": {},
        <       "prompts": {
        <         "listChanged": true
        <       },
        <       "resources": {
        <         "subscribe": true
        <       },
        <       "tools": {
        <         "listChanged": true
        <       }
        <     },
        <     "instructions": "A fixture: its tools, prompts and resources have the names that the MCP conformance suite gives them.",
        <     "ttlMs": 60000,
        <     "cacheScope": "public",
        <     "_meta": {
        <       "io.modelcontextprotocol/serverInfo": {
        <         "name": "portolan-reference",
        <         "title": "Portolan reference server",
        <         "version": "0.1.0"
        <       }
        <     }
        <   }
        < }
        > POST http://127.0.0.1:PORT/mcp
        > mcp-protocol-version: 2026-07-28
        > mcp-method: resources/read
        > mcp-name: test://watched-resource
        > accept: application/json, text/event-stream
        > authorization: ••••
        > x-tenant: ••••
        > content-type: application/json
        >
        > {
        >   "jsonrpc": "2.0",
        >   "id": 2,
        >   "method": "resources/read",
        >   "params": {
        >     "uri": "test://watched-resource",
        >     "_meta": {
        >       "progressToken": 2,
        >       "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        >       "io.modelcontextprotocol/clientCapabilities": {
        >         "elicitation": {
        >           "form": {},
        >           "url": {}
        >         }
        >       },
        >       "io.modelcontextprotocol/clientInfo": {
        >         "name": "portolan",
        >         "title": "Portolan",
        >         "version": "0.1.0"
        >       }
        >     }
        >   }
        > }
        < 200
        < content-type: application/json
        < content-length: 338
        < date: DATE
        < {
        <   "jsonrpc": "2.0",
        <   "id": 2,
        <   "result": {
        <     "resultType": "complete",
        <     "contents": [
        <       {
        <         "uri": "test://watched-resource",
        <         "mimeType": "text/plain",
        <         "text": "Version 1 of the watched resource."
        <       }
        <     ],
        <     "ttlMs": 0,
        <     "cacheScope": "private",
        <     "_meta": {
        <       "io.modelcontextprotocol/serverInfo": {
        <         "name": "portolan-reference",
        <         "title": "Portolan reference server",
        <         "version": "0.1.0"
        <       }
        <     }
        <   }
        < }
        "#));
}

#[test]
fn lines_of_a_process_are_shown_with_what_it_says_beside() {
    let script = format!("echo ahoy >&2; exec '{PORTOLAN}' reference-server --stdio --era legacy");
    let ended = run(&["read", "-v", "test://static-text", "--", "sh", "-c", &script]);
    assert_eq!(ended.stdout, "This is the content of the static text resource.\n");
    assert!(ended.stderr.contains("\n! ahoy\n") || ended.stderr.starts_with("! ahoy\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains(">   \"method\": \"initialize\","), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("<         \"text\": \"This is the content of the static text resource.\""),
        "{}",
        ended.stderr
    );
}
