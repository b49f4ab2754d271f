//! `portolan convert`: what another client's file says, in one of Portolan's own.

use base::plan::{Reach, UpstreamPlan};
use config::{Environment, Inherit, Source};
use insta::assert_snapshot;

use crate::{Files, env, said};

struct Here;

impl Environment for Here {
    fn get(&self, name: &str) -> Option<String> {
        env(name)
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a file is made into, and what is said of it.
fn made(files: &Files, from: &str, to: &str) -> (String, String) {
    let made = config::convert(&files.path(from), &files.path(to), &Here);
    let said: String = made.diagnostics.iter().map(|found| format!("{found}\n")).collect();
    let said = said + &made.remarks.join("\n");
    (files.named(&made.text.unwrap_or_default()), files.named(&said))
}

/// All that a server is, but for its masks.
fn whole(plan: &UpstreamPlan) -> String {
    let reach = match &plan.reach {
        Reach::Stdio(stdio) => {
            let child = &stdio.child;
            format!("{} {:?} {:?} {:?}", child.program, child.args, child.env, child.directory)
        }
        Reach::Http(http) => {
            let url = http.destination.url();
            format!("{url} {:?} {:?} {:?}", http.headers, http.transport, http.client.socket)
        }
        Reach::Own => String::new(),
    };
    let shows = ["one", "two"].map(|tool| plan.tools.shows(tool));
    format!("{} {} {reach} {shows:?} {:?}", plan.name, plan.prefix, plan.deadlines)
}

/// Both files come to the same servers.
fn comes_to_the_same(files: &Files, from: &str, to: &str) {
    let before = files.load(from).plan.unwrap();
    let made = config::convert(&files.path(from), &files.path(to), &Here);
    let source = Source { path: files.path(to), text: made.text.unwrap() };
    let after = config::load_text_with(source, &Here, &Inherit::default());
    let text = said(&after);
    let after = after.plan.unwrap_or_else(|| panic!("{text}"));
    let all = |plan: &base::plan::Plan| plan.upstreams.iter().map(whole).collect::<Vec<_>>().join("\n");
    assert_eq!(all(&before), all(&after), "{text}");
}

const JSON: &str = r#"{
  "theme": "dark",
  "mcpServers": {
    "files": { "command": "npx", "args": ["-y", "server", "a $ and a ${"], "env": { "KEY": "${TOKEN}", "LEVEL": "${NOPE:-info}", "SAID": "say \"\u007f\"" }, "timeout": 20000 },
    "My Files": { "command": "./bin/run", "args": [], "cwd": "sub" },
    "remote": { "type": "http", "url": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer ${TOKEN}", "X-A.B": "c" }, "includeTools": ["one"], "excludeTools": ["two"] },
    "old": { "type": "sse", "url": "https://mcp.example.com/sse", "oauth": {} },
    "off": { "command": "x", "disabled": true }
  }
}"#;

#[test]
fn a_file_becomes_one_of_portolans_own() {
    let files = Files::new(&[("mcp.json", JSON), ("sub/x", ""), ("bin/run", "")]);
    files.mode("bin/run", 0o755);
    let (text, said) = made(&files, "mcp.json", "portolan.toml");
    assert_snapshot!(format!("{text}\n-----\n{said}"), @r#"
    # Made of "mcp.json" by `portolan convert`.

    [upstream.files]
    command = ["npx", "-y", "server", "a $ and a $${"]
    env = { KEY = "${env:TOKEN}", LEVEL = "${env:NOPE:-info}", SAID = "say \"\u007F\"" }
    timeouts = { call = "20s" }

    [upstream."My Files"]
    command = ["./bin/run"]
    directory = "sub"

    [upstream.remote]
    url = "https://mcp.example.com/mcp"
    headers = { Authorization = "Bearer ${env:TOKEN}", "X-A.B" = "c" }
    tools = { include = ["one"], exclude = ["two"] }

    [upstream.old]
    url = "https://mcp.example.com/sse"
    transport = "sse"

    [upstream.off]
    disabled = true
    command = ["x"]

    -----
    DIR/mcp.json:2:3: warning: nothing but the servers is read; not "theme"
      |
    2 |   "theme": "dark",
      |   ^^^^^^^

    DIR/mcp.json:7:67: warning: "oauth" is not followed: Portolan does not sign in to servers
      |
    7 |     "old": { "type": "sse", "url": "https://mcp.example.com/sse", "oauth": {} },
      |                                                                   ^^^^^^^
      = help: give the server a credential by "headers"
    "#);
    comes_to_the_same(&files, "mcp.json", "portolan.toml");
    assert!(!text.contains("t0ken"));
}

#[test]
fn it_may_lie_elsewhere() {
    let files = Files::new(&[("mcp.json", JSON), ("sub/x", ""), ("bin/run", ""), ("else/x", "")]);
    files.mode("bin/run", 0o755);
    comes_to_the_same(&files, "mcp.json", "else/portolan.toml");
    let (text, _) = made(&files, "mcp.json", "else/portolan.toml");
    assert!(text.contains("directory = \"DIR/sub\"") && text.contains("\"DIR/bin/run\""), "{text}");
}

#[test]
fn every_clients_file_can_be_made_into_one() {
    let codex = "[mcp_servers.a]\ncommand = \"x\"\nenv_vars = [\"OTHER\"]\nstartup_timeout_sec = 20.5\n[mcp_servers.b]\nurl = \"https://mcp.example.com/mcp\"\nbearer_token_env_var = \"TOKEN\"\n";
    let opencode = r#"{ "mcp": { "a": { "type": "local", "command": ["x", "y"], "environment": { "A": "{env:TOKEN}", "B": "{file:secret}" } }, "b": { "type": "remote", "url": "https://mcp.example.com/mcp" } } }"#;
    let gemini = r#"{ "mcpServers": { "a": { "httpUrl": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer $TOKEN", "X-Cost": "$5 for $lower" }, "timeout": 5000 } } }"#;
    let continues = "mcpServers:\n  - name: a\n    command: x\n    env: {A: '${{ secrets.TOKEN }}'}\n";
    let vs_code = r#"{ "servers": { "a": { "type": "http", "url": "unix:///run/a.sock#/mcp" } } }"#;
    for (name, text) in [
        ("config.toml", codex),
        ("opencode.json", opencode),
        (".gemini/settings.json", gemini),
        ("config.yaml", continues),
        ("mcp.json", vs_code),
    ] {
        let files = Files::new(&[(name, text), ("secret", "from a file\n")]);
        comes_to_the_same(&files, name, "portolan.toml");
        comes_to_the_same(&files, name, "elsewhere/portolan.toml");
    }
}

#[test]
fn what_cannot_be_carried_over_is_said() {
    let text = r#"{
  "inputs": [{ "id": "key" }],
  "servers": {
    "good": { "command": "x", "envFile": "mine.env", "env": { "KEY": "${input:key}", "LATER": "${env:NOPE}" }, "dev": {}, "oauth": {}, "strange": 1 },
    "bad": { "type": "ws", "url": "wss://mcp.example.com" },
    "天気": { "command": "x" }
  }
}"#;
    let files = Files::new(&[("mcp.json", text), ("mine.env", "SECRET=of-the-env-file\n")]);
    let (text, said) = made(&files, "mcp.json", "portolan.toml");
    assert_snapshot!(format!("{text}\n-----\n{said}"), @r#"
    # Made of "mcp.json" by `portolan convert`.
    # Left out: "bad": there is no transport "ws"
    # Left out: "天気": upstream "天気" needs a prefix among the others

    [upstream.good]
    command = ["x"]
    env = { SECRET = "${env:SECRET}", KEY = "${env:PORTOLAN_INPUT_KEY}", LATER = "${env:NOPE}" }

    -----
    DIR/mcp.json:4:123: warning: "oauth" is not followed: Portolan does not sign in to servers
      |
    4 | …"envFile": "mine.env", "env": { "KEY": "${input:key}", "LATER": "${env:NOPE}" }, "dev": {}, "oauth": {}, "strange": 1 },
      |                                                                                              ^^^^^^^
      = help: give the server a credential by "headers"

    DIR/mcp.json:4:136: warning: unknown member "strange"
      |
    4 | …"envFile": "mine.env", "env": { "KEY": "${input:key}", "LATER": "${env:NOPE}" }, "dev": {}, "oauth": {}, "strange": 1 },
      |                                                                                                           ^^^^^^^^^

    DIR/mcp.json:5:22: warning: "bad" is left out: there is no transport "ws"
      |
    5 |     "bad": { "type": "ws", "url": "wss://mcp.example.com" },
      |                      ^^^^
      = help: there are "stdio", "http" and "sse"

    DIR/mcp.json:5:35: warning: "bad" is left out: the URL of an upstream begins with http:// or https://
      |
    5 |     "bad": { "type": "ws", "url": "wss://mcp.example.com" },
      |                                   ^^^^^^^^^^^^^^^^^^^^^^^
      = help: nothing else is spoken here

    DIR/mcp.json:6:5: warning: "天気" is left out: upstream "天気" needs a prefix among the others
      |
    6 |     "天気": { "command": "x" }
      |     ^^^^
      = help: give "天気" another name, with letters a to z or digits

    "good": SECRET stood in an env file; set it where Portolan is started
    "good": the input "key" is taken from the environment variable PORTOLAN_INPUT_KEY
    "#);
    assert!(!text.contains("of-the-env-file"));
}

/// As `serve` leaves it out of the other client's file.
#[test]
fn a_server_that_needs_what_is_not_set_does_not_keep_the_others_from_being_served() {
    let text = r#"{ "mcpServers": {
      "good": { "command": "x", "env": { "KEY": "${TOKEN}" } },
      "bad": { "command": "x", "env": { "A": "${NOPE}", "B": "${NOPE:-b}", "C": "${NOPE} ${NONE}" } },
      "off": { "command": "x", "env": { "A": "${NOPE}" }, "disabled": true },
      "far": { "url": "https://mcp.example.com/${NOPE}" }
    } }"#;
    let files = Files::new(&[("mcp.json", text)]);
    let (text, said) = made(&files, "mcp.json", "portolan.toml");
    assert_snapshot!(format!("{text}\n-----\n{said}"), @r#"
    # Made of "mcp.json" by `portolan convert`.

    [upstream.good]
    command = ["x"]
    env = { KEY = "${env:TOKEN}" }

    [upstream.bad]
    # NOPE, NONE are not set; when they are, take out the next line.
    disabled = true
    command = ["x"]
    env = { A = "${env:NOPE}", B = "${env:NOPE:-b}", C = "${env:NOPE} ${env:NONE}" }

    [upstream.off]
    disabled = true
    command = ["x"]
    env = { A = "${env:NOPE}" }

    [upstream.far]
    # NOPE is not set; when it is, take out the next line.
    disabled = true
    url = "https://mcp.example.com/${env:NOPE}"

    -----
    "bad" is written with disabled = true: NOPE, NONE are not set; when they are, take that line out
    "far" is written with disabled = true: NOPE is not set; when it is, take that line out
    "#);
    let source = Source { path: files.path("portolan.toml"), text };
    let loaded = config::load_text_with(source, &Here, &Inherit::default());
    let names: Vec<_> = loaded.plan.unwrap().upstreams.into_iter().map(|server| server.name).collect();
    assert_eq!(names, ["good"], "{said}");
}

#[test]
fn what_is_no_clients_file_is_not_made_into_anything() {
    let own = "[upstream.a]\ncommand = \"x\"\n";
    let files = Files::new(&[
        ("portolan.toml", own),
        ("broken.json", "{"),
        ("bad.json", r#"{ "mcpServers": { "a": {} } }"#),
    ]);
    let told = ["portolan.toml", "broken.json", "bad.json", "gone.json"].map(|from| {
        let (text, said) = made(&files, from, "new.toml");
        assert_eq!(text, "", "{from}");
        said
    });
    assert_snapshot!(told.join(""), @r#"
    DIR/portolan.toml: error: this is Portolan's own configuration already
      = help: it can be served as it is

    DIR/broken.json:1:1: error: not JSON: unterminated object
      |
    1 | {
      | ^
      = help: what begins here has no end: a quote, bracket or brace is missing

    DIR/bad.json:1:19: error: upstream "a" has neither a url nor a command
      |
    1 | { "mcpServers": { "a": {} } }
      |                   ^^^
      = help: give it a "url", or a "command" and "args"

    DIR/gone.json: error: cannot be read: no such file or directory
      = help: name a file that is there: portolan.toml, or the file of a client
    "#);
}
