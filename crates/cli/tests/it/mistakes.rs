//! The most likely mistakes: what is written, what is said of it, and what to do next.

use std::path::Path;

use crate::program::{PORTOLAN, command, finish, reference_server, settings};

/// The files that the mistakes are about. `URL` is a server, `PORTOLAN` the program.
const FILES: &[(&str, &str)] = &[
    (
        "good.json",
        r#"{"mcpServers":{"gh":{"command":"PORTOLAN","args":["reference-server","--stdio"]},"fs":{"command":"PORTOLAN","args":["reference-server","--stdio"]}}}"#,
    ),
    ("comma.json", "{\"mcpServers\": {\n  \"gh\": {\"command\": \"npx\"} \"fs\": {\"command\": \"npx\"}\n}}"),
    ("empty.json", ""),
    ("nothing.json", "{}"),
    ("no-servers.json", r#"{"mcpServers":{}}"#),
    (
        "unset.json",
        r#"{"mcpServers":{"gh":{"command":"sh","args":["-c","exec gh-mcp-server --stdio"],"env":{"KEY":"${PORTOLAN_TEST_UNSET}"}}}}"#,
    ),
    ("one-text.json", r#"{"mcpServers":{"gh":{"command":"nosuchprogram -y some-server"}}}"#),
    ("no-program.json", r#"{"mcpServers":{"gh":{"command":"nosuchprogram"}}}"#),
    ("no-scheme.json", r#"{"mcpServers":{"gh":{"url":"127.0.0.1:8000/mcp"}}}"#),
    (
        "ends.json",
        r#"{"mcpServers":{"gh":{"command":"sh","args":["-c","echo GITHUB_TOKEN is required >&2; exit 1"]}}}"#,
    ),
    ("typo.toml", "[upstream.gh]\nurl = \"http://127.0.0.1:1/mcp\"\ntimeout = \"5s\"\n"),
    ("json.toml", "{\"mcpServers\": {}}"),
    ("own.toml", "[upstream.gh]\nurl = \"http://127.0.0.1:1/mcp\"\n"),
];

/// What is typed, word by word; words with spaces in single quotes. `TAKEN` is an address that is taken.
const MISTAKES: &[&str] = &[
    // The command.
    "lst good.json",
    "good.json",
    "serve",
    "serve good.json --lisen 127.0.0.1:0",
    // The file.
    "serve nope.json",
    "serve .",
    "serve URL",
    "check comma.json",
    "check empty.json",
    "check nothing.json",
    "check no-servers.json",
    "check unset.json",
    "check one-text.json",
    "check no-program.json",
    "check no-scheme.json",
    "check typo.toml",
    "check json.toml",
    "convert own.toml",
    // The address.
    "serve good.json --listen 8080",
    "serve good.json --listen TAKEN --log error",
    "serve good.json --port 99999",
    "stdio",
    // The server.
    "list",
    "list 127.0.0.1:8000",
    "list http://127.0.0.1:1/mcp",
    "list HTTPS",
    "list URLp",
    "list nosuchprogram",
    "list ends.json",
    "list no-program.json gh",
    "list good.json hg",
    "list URL tool",
    "list URL -H token",
    "list URL --timeout 5x",
    "list URL --jsn",
    // The call.
    "call good.json",
    "call good.json gh",
    "call good.json gh ad a=1 b=2",
    "call good.json add a=1 b=2",
    "call URL add a=1",
    "call URL add a=one b=2",
    "call URL add 1 2",
    "call URL add a:=one b=2",
    "call URL add --args [1]",
    "call URL add --args @nope.json",
    "call URL echo -H 'Authorization: Bearer ${env:PORTOLAN_TEST_UNSET}'",
    "call URL test_elicitation message=hi",
    "read URL test://static-txt",
    "prompt URL test_simple_promt",
    "list URL --log loud=very=much",
];

#[test]
fn each_of_the_most_likely_mistakes_says_what_to_do_next() {
    let (_server, url) = reference_server("both");
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        std::fs::write(dir.path().join(name), text.replace("\"PORTOLAN\"", &format!("{PORTOLAN:?}")))
            .unwrap();
    }
    let mut all = String::new();
    let mut without = Vec::new();
    for mistake in MISTAKES {
        let said = made(dir.path(), mistake, &url);
        let has_next_step = [
            "hint: ",
            "help: ",
            "\"help\":",
            "tip: ",
            "Usage: ",
            "; write ",
            ": write ",
            "; look at ",
            "0..=65535",
            "the units are ",
        ]
        .iter()
        .any(|sign| said.contains(sign));
        if !has_next_step {
            without.push(*mistake);
        }
        all.push_str(&format!("$ portolan {mistake}\n{said}\n"));
    }
    settings().bind(|| insta::assert_snapshot!("mistakes", all));
    assert!(without.is_empty(), "no next step: {without:#?}");
}

/// What comes of it: stderr, and the exit status.
fn made(dir: &Path, mistake: &str, url: &str) -> String {
    let taken = url.trim_start_matches("http://").trim_end_matches("/mcp");
    let https = url.replace("http:", "https:");
    let mut words = Vec::new();
    for (at, part) in mistake.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    let args: Vec<_> = words
        .iter()
        .map(|word| word.replace("HTTPS", &https).replace("URL", url).replace("TAKEN", taken))
        .collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let ended = finish(command(&args).current_dir(dir));
    assert_eq!(
        ended.stdout.lines().filter(|line| line.contains("can be used")).count(),
        ended.stdout.lines().count()
    );
    assert_ne!((ended.code, mistake.starts_with("check")), (Some(0), false), "{mistake}");
    format!("{}exit: {}\n", ended.stderr, ended.code.unwrap())
}
