//! `-v`.

use crate::program::{Ended, PORTOLAN, assert_ended, command, finish, reference_server, run};

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
    assert!(ended.stderr.contains("\n>   \"method\": \"resources/read\",\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("\n<     \"resultType\": \"complete\",\n"), "{}", ended.stderr);
    // The bodies are told from the heads by their spaces and braces.
    let head = |line: &&str| !line.get(2..3).is_some_and(|first| " {}".contains(first));
    let stderr: Vec<_> = ended.stderr.lines().filter(head).collect();
    assert_ended!(Ended { stderr: stderr.join("\n"), ..ended }, @r#"
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
        > user-agent: portolan/0.1.0
        > accept-encoding: identity
        >
        < 200
        < content-type: application/json
        < content-length: 518
        < date: DATE
        > POST http://127.0.0.1:PORT/mcp
        > mcp-protocol-version: 2026-07-28
        > mcp-method: resources/read
        > mcp-name: test://watched-resource
        > accept: application/json, text/event-stream
        > authorization: ••••
        > x-tenant: ••••
        > content-type: application/json
        > user-agent: portolan/0.1.0
        > accept-encoding: identity
        >
        < 200
        < content-type: application/json
        < content-length: 338
        < date: DATE
        "#);
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

/// Also where it does not stand in a header that is known to hold one.
#[test]
fn a_secret_that_the_server_echoes_is_masked() {
    let (_server, url) = reference_server("modern");
    let args = ["call", "-v", &url, "echo", "message=he said s3cr3t-t0ken", "-H", "X-Tenant: ${env:TOKEN}"];
    let ended = finish(command(&args).env("TOKEN", "s3cr3t-t0ken"));
    assert!(ended.stderr.contains("he said ${env:TOKEN}"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("s3cr3t"), "{}", ended.stderr);
}
