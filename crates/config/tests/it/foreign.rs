//! The files of other clients, as their documentation has them.

use std::time::Duration;

use insta::assert_snapshot;

use crate::{Files, child, http, names, said};

/// Loads a text as the file of that name.
fn check_as(name: &str, text: &str) -> String {
    Files::new(&[(name, text)]).check(name)
}

#[test]
fn claude_desktop() {
    let files = Files::new(&[(
        "claude_desktop_config.json",
        r#"{
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/me/Desktop"]
    },
    "My Weather": { "command": "uv", "args": ["run", "weather.py"], "env": { "LOG_LEVEL": "info" } }
  }
}"#,
    )]);
    let loaded = files.load("claude_desktop_config.json");
    assert_eq!(said(&loaded), "");
    let plan = loaded.plan.unwrap();
    assert_eq!(names(&plan), ["filesystem", "My Weather"]);
    assert_eq!(plan.upstreams[1].prefix, "my-weather");
    assert_eq!(child(&plan).args[1], "@modelcontextprotocol/server-filesystem");
    assert_eq!(plan.routes[0].upstreams, ["filesystem", "My Weather"]);
    assert_eq!(plan.listeners[0].address.to_string(), "127.0.0.1:8808");
}

#[test]
fn claude_code() {
    let files = Files::new(&[(
        ".mcp.json",
        r#"{
  "mcpServers": {
    "api": {
      "type": "http",
      "url": "${API_BASE_URL:-https://api.example.com}/mcp",
      "headers": { "Authorization": "Bearer ${TOKEN}" }
    },
    "db": { "type": "stdio", "command": "${HOME}/bin/db", "args": ["--dsn", "${DSN:-postgres://localhost}"], "env": {} }
  }
}"#,
    )]);
    let loaded = files.load(".mcp.json");
    assert_snapshot!(files.named(&said(&loaded)), @r#"
    DIR/.mcp.json:8:41: warning: /home/me/bin/db does not exist
      |
    8 |     "db": { "type": "stdio", "command": "${HOME}/bin/db", "args": ["--dsn", "${DSN:-postgres://localhost}"], "env": {} }
      |                                         ^^^^^^^^^^^^^^^^
      = help: install it, or write where it is
    "#);
    let plan = loaded.plan.unwrap();
    assert_eq!(http(&plan).destination.url(), "https://api.example.com/mcp");
    assert_eq!(http(&plan).headers[0].1, "Bearer t0ken");
}

#[test]
fn claude_code_with_what_is_not_followed() {
    assert_snapshot!(check_as(".mcp.json", r#"{
  "numStartups": 5, "theme": "dark", "projects": {}, "oauthAccount": {},
  "mcpServers": {
    "a": { "type": "sse", "url": "https://mcp.example.com/sse", "headersHelper": "./token.sh" },
    "b": { "type": "http", "url": "https://mcp.example.com", "oauth": { "clientId": "x" } },
    "c": { "type": "websocket", "url": "wss://mcp.example.com" },
    "d": { "type": "http", "command": "x" },
    "e": { "command": "x", "arg": ["${NOT_SET}"], "env": { "A": "${NOT_SET}" } },
    "f": {},
    "g": []
  }
}"#), @r#"
    DIR/.mcp.json:2:3: warning: nothing but the servers is read; not "numStartups", "theme" and "oauthAccount"
      |
    2 |   "numStartups": 5, "theme": "dark", "projects": {}, "oauthAccount": {},
      |   ^^^^^^^^^^^^^

    DIR/.mcp.json:4:65: warning: "headersHelper" is not followed: Portolan does not sign in to servers
      |
    4 |     "a": { "type": "sse", "url": "https://mcp.example.com/sse", "headersHelper": "••••••••••" },
      |                                                                 ^^^^^^^^^^^^^^^
      = help: give the server a credential by "headers"

    DIR/.mcp.json:5:62: warning: "oauth" is not followed: Portolan does not sign in to servers
      |
    5 |     "b": { "type": "http", "url": "https://mcp.example.com", "oauth": { "clientId": "x" } },
      |                                                              ^^^^^^^
      = help: give the server a credential by "headers"

    DIR/.mcp.json:6:20: warning: "c" is left out: there is no transport "websocket"
      |
    6 |     "c": { "type": "websocket", "url": "wss://mcp.example.com" },
      |                    ^^^^^^^^^^^
      = help: there are "stdio", "http" and "sse"

    DIR/.mcp.json:6:40: warning: "c" is left out: the URL of an upstream begins with http:// or https://
      |
    6 |     "c": { "type": "websocket", "url": "wss://mcp.example.com" },
      |                                        ^^^^^^^^^^^^^^^^^^^^^^^
      = help: nothing else is spoken here

    DIR/.mcp.json:7:20: warning: "d" is left out: a server of type "http" needs a url
      |
    7 |     "d": { "type": "http", "command": "x" },
      |                    ^^^^^^
      = help: give it a url, or leave out the type

    DIR/.mcp.json:8:28: warning: unknown member "arg"
      |
    8 |     "e": { "command": "x", "arg": ["${NOT_SET}"], "env": { "A": "${NOT_SET}" } },
      |                            ^^^^^
      = help: did you mean "args"?

    DIR/.mcp.json:8:66: warning: "e" is left out: the environment variable NOT_SET is not set
      |
    8 |     "e": { "command": "x", "arg": ["${NOT_SET}"], "env": { "A": "${NOT_SET}" } },
      |                                                                  ^^^^^^^^^^
      = help: set it; if it may be missing, write ${NOT_SET:-default}

    DIR/.mcp.json:9:5: warning: "f" is left out: upstream "f" has neither a url nor a command
      |
    9 |     "f": {},
      |     ^^^
      = help: give it a "url", or a "command" and "args"

    DIR/.mcp.json:10:10: warning: "g" is left out: expected a server, found a list
       |
    10 |     "g": []
       |          ^^
    "#);
}

#[test]
fn vs_code() {
    let files = Files::new(&[
        (
            ".vscode/mcp.json",
            r#"{
  // VS Code's file has comments,
  "inputs": [
    { "type": "promptString", "id": "token", "description": "API token", "password": true },
    { "type": "pickString", "id": "region", "options": ["eu", "us"], "default": "eu" },
  ],
  "servers": {
    "github": { "type": "http", "url": "https://api.example.com/${input:region}/mcp" },
    "local": {
      "type": "stdio",
      "command": "python",
      "args": ["${workspaceFolder}/server.py", "${workspaceFolderBasename}", "${userHome}"],
      "cwd": "${workspaceFolder}/sub",
      "env": { "PORT": 8080, "DEBUG": true, "PROXY": null, "KEY": "own" },
      "envFile": "${workspaceFolder}/.env",
      "dev": { "watch": "**/*.py" },
    },
  },
}"#,
        ),
        (".env", "KEY=file\nexport OTHER_KEY=\"from file\"\nnonsense\n"),
        ("sub/x", ""),
    ]);
    let loaded = files.load(".vscode/mcp.json");
    assert_snapshot!(files.named(&said(&loaded)), @r#"
    DIR/.vscode/mcp.json:14:67: warning: the secret in "KEY" of "local" stands in the file
       |
    14 |       "env": { "PORT": ••••, "DEBUG": true, "PROXY": null, "KEY": "•••" },
       |                                                                   ^^^^^
       = help: put it into Portolan's environment: "${env:KEY}"

    DIR/.vscode/mcp.json:15:18: warning: line 3 of DIR/.env is not NAME=value
       |
    15 |       "envFile": "${workspaceFolder}/.env",
       |                  ^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert_eq!(loaded.files, [files.path(".vscode/mcp.json"), files.path(".env")]);
    let mut plan = loaded.plan.unwrap();
    assert_eq!(http(&plan).destination.url(), "https://api.example.com/eu/mcp");
    plan.upstreams.remove(0);
    let child = child(&plan);
    assert_eq!(files.named(&child.args[0]), "DIR/server.py");
    assert_eq!(child.args[2], "/home/me");
    assert_eq!(child.directory, Some(files.path("sub")));
    let env: Vec<_> = child.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        env,
        ["DEBUG=true", "HOME=/home/me", "KEY=own", "LANG=C.UTF-8", "OTHER_KEY=from file", "PORT=8080"]
    );
}

#[test]
fn vs_code_inputs_come_from_the_environment() {
    let text = r#"{
  "inputs": [{ "type": "promptString", "id": "api-key", "password": true }, {}],
  "servers": { "a": { "type": "http", "url": "https://example.com", "headers": { "X-Key": "${input:api-key}", "X-Other": "${input:other}" } } }
}"#;
    assert_snapshot!(check_as("mcp.json", text), @r#"
    DIR/mcp.json:2:77: warning: this input has no "id"
      |
    2 |   "inputs": [{ "type": "promptString", "id": "api-key", "password": true }, {}],
      |                                                                             ^^

    DIR/mcp.json:3:92: error: nobody can be asked for the input "api-key" here
      |
    3 | …type": "http", "url": "https://example.com", "headers": { "X-Key": "${input:api-key}", "X-Other": "${input:other}" } } }
      |                                                                      ^^^^^^^^^^^^^^^^
      = help: set the environment variable PORTOLAN_INPUT_API_KEY

    DIR/mcp.json:3:123: warning: the file's "inputs" have no "other"
      |
    3 | …type": "http", "url": "https://example.com", "headers": { "X-Key": "${input:api-key}", "X-Other": "${input:other}" } } }
      |                                                                                                     ^^^^^^^^^^^^^^

    DIR/mcp.json:3:123: error: nobody can be asked for the input "other" here
      |
    3 | …type": "http", "url": "https://example.com", "headers": { "X-Key": "${input:api-key}", "X-Other": "${input:other}" } } }
      |                                                                                                     ^^^^^^^^^^^^^^
      = help: set the environment variable PORTOLAN_INPUT_OTHER
    "#);
    let env = |name: &str| (name.starts_with("PORTOLAN_INPUT_")).then(|| name.to_owned());
    let source = config::Source { path: "mcp.json".into(), text: text.to_owned() };
    let plan = config::load_text(source, &env).plan.unwrap();
    assert_eq!(http(&plan).headers[0].1, "PORTOLAN_INPUT_API_KEY");
}

#[test]
fn vs_code_sockets() {
    let text = r#"{ "servers": { "a": { "type": "http", "url": "unix:///run/a.sock#/mcp/sub" } } }"#;
    let files = Files::new(&[("mcp.json", text)]);
    let loaded = files.load("mcp.json");
    assert_eq!(said(&loaded), "");
    let plan = loaded.plan.unwrap();
    assert_eq!(http(&plan).destination.url(), "http://localhost/mcp/sub");
    assert_eq!(http(&plan).client.socket.as_deref(), Some(std::path::Path::new("/run/a.sock")));
}

#[test]
fn vs_code_settings() {
    let text = r#"{ "editor.fontSize": 12, "mcp": { "servers": { "a": { "command": "x" } } } }"#;
    assert_snapshot!(check_as("settings.json", text), @r#"
    DIR/settings.json:1:3: warning: nothing but the servers is read; not "editor.fontSize"
      |
    1 | { "editor.fontSize": 12, "mcp": { "servers": { "a": { "command": "x" } } } }
      |   ^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn cursor() {
    let files = Files::new(&[(
        ".cursor/mcp.json",
        r#"{
  "mcpServers": {
    "remote": { "url": "https://mcp.example.com/mcp", "headers": { "API_KEY": "${env:TOKEN}" } },
    "local": { "command": "${workspaceFolder}/bin/server", "envFile": "gone.env" }
  }
}"#,
    )]);
    assert_snapshot!(files.check(".cursor/mcp.json"), @r#"
    DIR/.cursor/mcp.json:4:27: warning: DIR/bin/server does not exist
      |
    4 |     "local": { "command": "${workspaceFolder}/bin/server", "envFile": "gone.env" }
      |                           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: install it, or write where it is

    DIR/.cursor/mcp.json:4:71: warning: "local" is left out: DIR/gone.env cannot be read: no such file or directory
      |
    4 |     "local": { "command": "${workspaceFolder}/bin/server", "envFile": "gone.env" }
      |                                                                       ^^^^^^^^^^
    "#);
}

#[test]
fn windsurf() {
    let files = Files::new(&[(
        "mcp_config.json",
        r#"{
  "mcpServers": {
    "remote": { "serverUrl": "https://mcp.example.com/mcp", "disabledTools": ["drop_*"], "disabled": false },
    "off": { "command": "${NOT_SET}", "disabled": true, "envFile": "gone" }
  }
}"#,
    )]);
    let loaded = files.load("mcp_config.json");
    assert_eq!(said(&loaded), "");
    let plan = loaded.plan.unwrap();
    assert_eq!(names(&plan), ["remote"]);
    assert!(!plan.upstreams[0].tools.shows("drop_table") && plan.upstreams[0].tools.shows("list"));
}

#[test]
fn gemini_cli() {
    let files = Files::new(&[(
        "settings.json",
        r#"{
  "mcpServers": {
    "http": { "httpUrl": "https://mcp.example.com/mcp", "headers": { "Authorization": "$TOKEN" }, "timeout": 5000, "trust": true, "includeTools": ["a"] },
    "sse": { "url": "https://mcp.example.com/events" },
    "local": { "command": "node", "args": ["server.js"], "cwd": ".", "env": { "A": "${TOKEN}", "B": "$TOKEN", "C": "$lower" } }
  },
  "theme": "GitHub"
}"#,
    )]);
    let loaded = files.load("settings.json");
    assert_snapshot!(files.named(&said(&loaded)), @r#"
    DIR/settings.json:7:3: warning: nothing but the servers is read; not "theme"
      |
    7 |   "theme": "GitHub"
      |   ^^^^^^^
    "#);
    let plan = loaded.plan.unwrap();
    assert_eq!(http(&plan).headers[0].1, "t0ken");
    assert_eq!(plan.upstreams[0].deadlines.call, Duration::from_secs(5));
    let base::plan::Reach::Stdio(stdio) = &plan.upstreams[2].reach else { panic!() };
    assert_eq!((stdio.child.env["B"].as_str(), stdio.child.env["C"].as_str()), ("t0ken", "$lower"));
}

#[test]
fn cline_and_roo() {
    let files = Files::new(&[(
        "cline_mcp_settings.json",
        r#"{
  "mcpServers": {
    "remote": { "type": "streamableHttp", "url": "https://mcp.example.com/mcp", "alwaysAllow": ["a"], "disabled": false, "timeout": 60 },
    "roo": { "type": "streamable-http", "url": "https://mcp.example.com/mcp", "timeout": 3600, "disabledTools": [] },
    "ms": { "command": "x", "timeout": 600000, "autoApprove": [] },
    "odd": { "command": "x", "timeout": "soon" }
  }
}"#,
    )]);
    assert_snapshot!(files.check("cline_mcp_settings.json"), @r#"
    DIR/cline_mcp_settings.json:6:41: warning: "odd" is left out: expected a number, found text
      |
    6 |     "odd": { "command": "x", "timeout": "soon" }
      |                                         ^^^^^^
      = help: write a number, without quotes and unit
    "#);
}

#[test]
fn what_goes_with_the_other_transport_is_ignored() {
    let text = r#"{ "mcpServers": {
  "a": { "type": "stdio", "command": "x", "url": "" },
  "b": { "type": "http", "command": "", "args": [], "url": "http://localhost/mcp" },
  "c": { "command": "x", "url": "http://localhost/mcp" }
} }"#;
    assert_snapshot!(check_as("mcp.json", text), @r#"
    DIR/mcp.json:3:41: warning: "args" is only for upstreams with a command
      |
    3 |   "b": { "type": "http", "command": "", "args": [], "url": "http://localhost/mcp" },
      |                                         ^^^^^^

    DIR/mcp.json:4:26: warning: "c" is left out: upstream "c" has both a url and a command
      |
    4 |   "c": { "command": "x", "url": "http://localhost/mcp" }
      |                          ^^^^^
      :
    4 |   "c": { "command": "x", "url": "http://localhost/mcp" }
      |          --------- the other is here
      = help: keep the one by which it is reached
    "#);
}

#[test]
fn copilot_cli() {
    let files = Files::new(&[(
        "mcp-config.json",
        r#"{
  "mcpServers": { "a": { "type": "local", "command": "x", "args": [], "tools": ["*"] }, "b": { "type": "http", "url": "https://example.com/mcp", "tools": ["one"] } }
}"#,
    )]);
    let loaded = files.load("mcp-config.json");
    assert_eq!(said(&loaded), "");
    let plan = loaded.plan.unwrap();
    assert!(plan.upstreams[0].tools.shows("anything") && !plan.upstreams[1].tools.shows("two"));
}

#[test]
fn files_without_servers_are_told_so() {
    let all = [
        r#"{ "mcp": { "a": { "type": "local", "command": ["x"] } } }"#,
        r#"{ "context_servers": {} }"#,
        r#"{ "upstream": {} }"#,
        r#"{ "mcpServers": {} }"#,
        r#"{ "mcpServers": [] }"#,
        "[]",
        "",
    ];
    assert_snapshot!(all.map(|text| check_as("mcp.json", text)).join("\n"), @r#"
    DIR/mcp.json:1:3: error: no server is configured
      |
    1 | { "context_servers": {} }
      |   ^^^^^^^^^^^^^^^^^
      = help: for example: "files": { "command": "npx", "args": ["…"] }

    DIR/mcp.json:1:3: error: Portolan's own configuration is TOML
      |
    1 | { "upstream": {} }
      |   ^^^^^^^^^^
      = help: let the file's name end in .toml

    DIR/mcp.json:1:3: error: no server is configured
      |
    1 | { "mcpServers": {} }
      |   ^^^^^^^^^^^^
      = help: for example: "files": { "command": "npx", "args": ["…"] }

    DIR/mcp.json:1:17: error: expected servers by their names, found a list
      |
    1 | { "mcpServers": [] }
      |                 ^^
      = help: for example: "mcpServers": { "files": { "command": "npx" } }

    DIR/mcp.json:1:1: error: the file has neither "mcpServers" nor "servers"
      |
    1 | []
      | ^^
      = help: for example: { "mcpServers": { "files": { "command": "npx", "args": ["…"] } } }

    DIR/mcp.json:1:1: error: the file has neither "mcpServers" nor "servers"
      |
    1 |
      | ^
      = help: for example: { "mcpServers": { "files": { "command": "npx", "args": ["…"] } } }
    "#);
}

#[test]
fn what_is_no_json_is_told_where() {
    assert_snapshot!(check_as("mcp.json", "{ \"mcpServers\": { \"a\": { \"command\": \"x\" \"args\": [] } } }"), @r#"
    DIR/mcp.json:1:40: error: not JSON: expected comma
      |
    1 | { "mcpServers": { "a": { "command": "x" "args": [] } } }
      |                                        ^
      = help: members and elements stand apart by one comma each
    "#);
    assert_snapshot!(check_as("mcp.json", "{ \"mcpServers\": { \"a\": { \"command\": 'x' } }"), @r#"
    DIR/mcp.json:1:37: error: not JSON: single-quoted strings are not allowed
      |
    1 | { "mcpServers": { "a": { "command": 'x' } }
      |                                     ^
      = help: write the text between " and "
    "#);
}

#[test]
fn a_server_that_is_there_twice_is_an_error() {
    assert_snapshot!(check_as("mcp.json", r#"{ "mcpServers": { "a": { "command": "x" }, "a": { "command": "y" } } }"#), @r#"
    DIR/mcp.json:1:44: error: "a" stands here twice
      |
    1 | { "mcpServers": { "a": { "command": "x" }, "a": { "command": "y" } } }
      |                                            ^^^
      :
    1 | { "mcpServers": { "a": { "command": "x" }, "a": { "command": "y" } } }
      |                   --- the first is here
      = help: leave out one of them
    "#);
}

#[test]
fn servers_whose_names_cannot_be_told_apart_are_told() {
    assert_snapshot!(check_as("mcp.json", r#"{ "mcpServers": { "a": { "command": "x" }, "A": { "command": "y" } } }"#), @r#"
    DIR/mcp.json:1:44: warning: "A" is left out: "A" and "a" have the same prefix "a__"
      |
    1 | { "mcpServers": { "a": { "command": "x" }, "A": { "command": "y" } } }
      |                                            ^^^
      :
    1 | { "mcpServers": { "a": { "command": "x" }, "A": { "command": "y" } } }
      |                   --- this is the other
      = help: give "A" another name, with letters a to z or digits
    "#);
}

#[test]
fn secrets_and_unknown_references_are_warned_of() {
    assert_snapshot!(check_as("mcp.json", r#"{ "mcpServers": { "a": {
  "command": "x", "args": ["${command:pick}", "echo ${#array}"],
  "env": { "GITHUB_PERSONAL_ACCESS_TOKEN": "github_pat_0123456789", "FILE": "${file:gone}" }
} } }"#), @r#"
    DIR/mcp.json:2:29: warning: Portolan does not know ${command:pick}, and leaves it as it is
      |
    2 |   "command": "x", "args": ["${command:pick}", "echo ${#array}"],
      |                             ^^^^^^^^^^^^^^^
      = help: it knows ${NAME}, ${NAME:-default}, ${env:NAME}, ${file:PATH}, ${input:ID} and ${workspaceFolder}

    DIR/mcp.json:2:53: warning: Portolan does not know ${#array}, and leaves it as it is
      |
    2 |   "command": "x", "args": ["${command:pick}", "echo ${#array}"],
      |                                                     ^^^^^^^^^
      = help: it knows ${NAME}, ${NAME:-default}, ${env:NAME}, ${file:PATH}, ${input:ID} and ${workspaceFolder}

    DIR/mcp.json:3:44: warning: the secret in "GITHUB_PERSONAL_ACCESS_TOKEN" of "a" stands in the file
      |
    3 |   "env": { "GITHUB_PERSONAL_ACCESS_TOKEN": "•••••••••••••••••••••", "FILE": "${file:gone}" }
      |                                            ^^^^^^^^^^^^^^^^^^^^^^^
      = help: put it into Portolan's environment: "${GITHUB_PERSONAL_ACCESS_TOKEN}"

    DIR/mcp.json:3:78: error: DIR/gone cannot be read: no such file or directory
      |
    3 |   "env": { "GITHUB_PERSONAL_ACCESS_TOKEN": "•••••••••••••••••••••", "FILE": "${file:gone}" }
      |                                                                              ^^^^^^^^^^^^
    "#);
}

#[test]
fn the_older_transport() {
    let files = Files::new(&[(
        ".mcp.json",
        r#"{ "mcpServers": { "old": { "type": "sse", "url": "https://mcp.example.com/sse" } } }"#,
    )]);
    let loaded = files.load(".mcp.json");
    assert_eq!(said(&loaded), "");
    assert_eq!(http(&loaded.plan.unwrap()).transport, base::plan::TransportRule::Sse);
}
