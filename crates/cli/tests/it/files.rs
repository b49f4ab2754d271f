//! The client commands of a configuration: any client's file in the place of a URL.

use std::path::Path;

use tempfile::TempDir;

use crate::program::{Ended, PORTOLAN, assert_ended, command, finish};
use crate::scripted;

/// Two servers, one that says why it ends, one that would leave a trace, and one that cannot be used.
const SERVERS: &str = r#"{ "mcpServers": {
  "fs": { "command": "PORTOLAN", "args": ["reference-server", "--stdio", "--era", "legacy"] },
  "gh": { "command": "PORTOLAN", "args": ["reference-server", "--stdio"] },
  "gone": { "command": "sh", "args": ["-c", "echo started >> starts; echo no key >&2; exit 1"] },
  "bad": { "command": "x", "env": { "KEY": "${PORTOLAN_TEST_NO_SUCH_KEY}" } }
} }"#;

fn directory(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = text.replace("\"PORTOLAN\"", &format!("{PORTOLAN:?}"));
    std::fs::write(dir.path().join("mcp.json"), text).unwrap();
    dir
}

fn run(dir: &Path, args: &[&str]) -> Ended {
    finish(command(args).current_dir(dir))
}

#[test]
fn all_servers_are_listed_as_the_gateway_shows_them_and_the_missing_are_named() {
    let dir = directory(SERVERS);
    let ended = run(dir.path(), &["list", "mcp.json", "templates"]);
    assert_ended!(ended, @r#"
        exit: 0
        ----- stdout -----
        test://fs__template/{id}/data	resource template	[application/json]	JSON that names its own id
        test://gh__template/{id}/data	resource template	[application/json]	JSON that names its own id
        ----- stderr -----
        warning: entries of bad are missing: the environment variable PORTOLAN_TEST_NO_SUCH_KEY is not set
        warning: entries of gone are missing: upstream "gone" cannot be reached: the process ended (exit status: 1); it said: no key
        "#);
    let ended = run(dir.path(), &["list", "mcp.json", "tools"]);
    assert!(ended.stdout.contains("fs__add") && ended.stdout.contains("gh__add"), "{}", ended.stdout);
    assert_ended!(run(dir.path(), &["discover", "mcp.json"]), @r#"
    exit: 0
    ----- stdout -----
    fs    legacy, revision 2025-11-25
    gh    modern, revision 2026-07-28
    gone  down

    capabilities  tools (tells of changes), prompts (tells of changes), resources (tells of changes, can be watched), completions, logging
    ----- stderr -----
    warning: capabilities of bad are missing: the environment variable PORTOLAN_TEST_NO_SUCH_KEY is not set
    warning: capabilities of gone are missing: upstream "gone" cannot be reached: the process ended (exit status: 1); it said: no key
    "#);
}

/// No other is started, and what it has is called as it calls it itself.
#[test]
fn one_server_is_spoken_to_alone() {
    let dir = directory(SERVERS);
    assert_ended!(run(dir.path(), &["list", "mcp.json", "fs", "templates"]), @r#"
        exit: 0
        ----- stdout -----
        test://template/{id}/data	resource template	[application/json]	JSON that names its own id
        "#);
    for args in [
        &["call", "mcp.json", "gh", "add", "a=1", "b=2"][..],
        &["call", "mcp.json", "gh__add", "a=1", "b=2"],
        &["call", "./mcp.json", "fs", "add", "--args", r#"{"a":1,"b":2}"#],
    ] {
        let ended = run(dir.path(), args);
        assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "3\n", ""), "{args:?}");
    }
    let text = "This is the content of the static text resource.\n";
    assert_eq!(run(dir.path(), &["read", "mcp.json", "fs", "test://static-text"]).stdout, text);
    let prompt = "user:\nThis is a simple prompt for testing.\n";
    assert_eq!(run(dir.path(), &["prompt", "mcp.json", "gh", "test_simple_prompt"]).stdout, prompt);
    assert_eq!(run(dir.path(), &["prompt", "mcp.json", "gh__test_simple_prompt"]).stdout, prompt);
    assert!(run(dir.path(), &["discover", "mcp.json", "fs"]).stdout.contains("legacy, revision 2025-11-25"));
    assert!(!dir.path().join("starts").exists());
    assert_eq!(run(dir.path(), &["read", "mcp.json", "test://fs__static-text"]).stdout, text);
}

#[test]
fn a_server_that_cannot_be_used_says_why() {
    let dir = directory(SERVERS);
    assert_ended!(run(dir.path(), &["call", "mcp.json", "gone", "add"]), @r#"
        exit: 4
        ----- stderr -----
        error: upstream "gone" cannot be reached: the process ended (exit status: 1); it said: no key

        hint: it was started with the `args` and `env` that mcp.json gives it; -v shows all it says
        "#);
    assert_ended!(run(dir.path(), &["list", "mcp.json", "bad"]), @r#"
    exit: 3
    ----- stderr -----
    error: "bad" of mcp.json is left out: the environment variable PORTOLAN_TEST_NO_SUCH_KEY is not set

    hint: portolan check mcp.json shows the place
    "#);
    assert_ended!(run(dir.path(), &["list", "mcp.json", "gonne"]), @r#"
    exit: 2
    ----- stderr -----
    error: mcp.json has no server "gonne"

    hint: did you mean "gone"?
    "#);
    assert_ended!(run(dir.path(), &["call", "mcp.json", "static-text"]), @r#"
        exit: 1
        ----- stderr -----
        error: no tool "static-text" here (-32602)

        hint: the server's tools are fs__test_simple_text, fs__test_image_content, fs__test_audio_content, fs__test_embedded_resource, fs__test_multiple_content_types, fs__test_error_handling, fs__test_tool_with_progress, fs__test_tool_with_logging, fs__test_logging_tool, fs__test_reconnection, fs__slow_counter, fs__sleep, …
        "#);
    assert_ended!(run(dir.path(), &["call", "mcp.json", "add", "a=1"]), @r#"
        exit: 1
        ----- stderr -----
        error: no tool "add" here (-32602)

        hint: did you mean "fs__add" or "gh__add"?
        "#);
    assert_ended!(run(dir.path(), &["call", "mcp.json", "gh"]), @r#"
    exit: 2
    ----- stderr -----
    error: "gh" is a server, and no tool of it is named

    hint: portolan list mcp.json gh tools shows what there is
    "#);
    assert_ended!(run(dir.path(), &["list", "mcp.json", "gh", "-H", "a: b"]), @r#"
    exit: 2
    ----- stderr -----
    error: headers are for a server at a URL

    hint: those of a configuration's servers stand in the file, under `headers`
    "#);
}

/// Whose list never comes does not hide what the others have.
#[test]
fn a_server_that_is_silent_is_waited_for_as_long_as_its_timeout_says() {
    let dir = tempfile::tempdir().unwrap();
    let silent = scripted::server(dir.path(), r#"{"tools":{}}"#, &[("tools/list", "")]);
    let (program, script) = silent.split_once(' ').unwrap();
    let text = format!(
        "[upstream.silent]\ncommand = [{program:?}, {script:?}]\ntimeouts = {{ list = \"300ms\" }}\n\
         [upstream.good]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n"
    );
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    let ended = run(dir.path(), &["list", "c.toml", "tools"]);
    assert!(ended.stdout.contains("good__add\t"), "{}", ended.stdout);
    assert!(ended.stderr.contains("warning: entries of silent are missing: "), "{}", ended.stderr);
}

/// An empty list of servers that are all down is no success.
#[test]
fn where_no_server_can_be_reached_the_exit_status_says_so() {
    let dir = directory(
        r#"{ "mcpServers": { "a": { "command": "sh", "args": ["-c", "exit 1"] }, "b": { "url": "http://127.0.0.1:1/" } } }"#,
    );
    for args in
        [&["list", "mcp.json"][..], &["list", "mcp.json", "tools", "--json"], &["discover", "mcp.json"]]
    {
        let ended = run(dir.path(), args);
        assert_eq!(ended.code, Some(4), "{args:?}");
        assert!(
            ended.stderr.contains("of a are missing") && ended.stderr.contains("of b are missing"),
            "{ended:?}"
        );
    }
}

/// One server needs no prefix, and its tools may be called as it is.
#[test]
fn a_file_with_one_server_is_that_server() {
    let one =
        r#"{ "mcpServers": { "add": { "command": "PORTOLAN", "args": ["reference-server", "--stdio"] } } }"#;
    let dir = directory(one);
    assert_eq!(run(dir.path(), &["call", "mcp.json", "add", "a=1", "b=2"]).stdout, "3\n");
    assert_eq!(run(dir.path(), &["call", "mcp.json", "add", "add", "a=1", "b=2"]).stdout, "3\n");
}

/// Of several routes a client over stdio gets the first; the servers of the others are reached by their names.
#[test]
fn servers_of_other_routes_are_not_passed_over_in_silence() {
    let text = r#"
[upstream.one]
command = ["PORTOLAN", "reference-server", "--stdio"]
[upstream.two]
command = ["PORTOLAN", "reference-server", "--stdio", "--era", "legacy"]
[route.first]
path = "/first"
upstreams = ["one"]
[route.second]
path = "/second"
upstreams = ["two"]
"#;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("portolan.toml"), text.replace("PORTOLAN", PORTOLAN)).unwrap();
    assert_ended!(run(dir.path(), &["list", "portolan.toml", "templates"]), @r#"
        exit: 0
        ----- stdout -----
        test://template/{id}/data	resource template	[application/json]	JSON that names its own id
        ----- stderr -----
        portolan.toml: this is the route "first"; for servers of "second", name the server after the file
        "#);
    let ended = run(dir.path(), &["call", "portolan.toml", "two", "add", "a=1", "b=2"]);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("3\n", ""));
}
