//! The file of each client, in the form that it has there.

use base::plan::Reach;
use insta::assert_snapshot;

use crate::dialects::read;
use crate::{Files, names, said};

#[test]
fn codex() {
    let text = r#"model = "gpt-5"

[mcp_servers.local]
command = "npx"
args = ["-y", "server"]
env_vars = ["OTHER", { name = "TOKEN", source = "local" }]
startup_timeout_sec = 20.5
tool_timeout_sec = 60
enabled_tools = ["a"]
required = true

[mcp_servers.local.env]
LEVEL = "info"

[mcp_servers.remote]
url = "https://mcp.example.com/mcp"
bearer_token_env_var = "TOKEN"
http_headers = { X-Region = "eu" }
env_http_headers = { X-Other = "OTHER" }

[mcp_servers.off]
command = "x"
enabled = false

[mcp_servers.literal]
url = "https://mcp.example.com/mcp"
bearer_token = "abc"
"#;
    assert_snapshot!(read("config.toml", text), @r#"
    DIR/config.toml:1:1: warning: nothing but the servers is read; not "model"
      |
    1 | model = "gpt-5"
      | ^^^^^

    DIR/config.toml:27:1: warning: "literal" is left out: Codex refuses a token that stands in its file
       |
    27 | bearer_token = "•••"
       | ^^^^^^^^^^^^
       = help: bearer_token_env_var = "NAME" says which environment variable holds it
    local: npx ["-y", "server"] ["LEVEL=info", "OTHER=x", "TOKEN=t0ken"]
    remote: https://mcp.example.com/mcp Detect ["authorization: Bearer t0ken", "x-region: eu", "x-other: x"]
    "#);
}

#[test]
fn opencode_and_kilo() {
    let text = r#"{
  "$schema": "https://opencode.ai/config.json",
  "mcp": {
    "local": { "type": "local", "command": ["npx", "-y", "server"], "enabled": true, "environment": { "A": "{file:.mine/secret}" }, "timeout": 5000 },
    "remote": { "type": "remote", "url": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer {env:TOKEN}" }, "oauth": false },
    "off": { "type": "remote", "url": "https://mcp.example.com/mcp", "enabled": false },
  },
}"#;
    assert_snapshot!(read("opencode.jsonc", text), @r#"
    DIR/opencode.jsonc:5:127: warning: "oauth" is not followed: Portolan does not sign in to servers
      |
    5 | … "remote", "url": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer •••••••••••" }, "oauth": false },
      |                                                                                                         ^^^^^^^
      = help: give the server a credential by "headers"
    local: npx ["-y", "server"] ["A=from a file"]
    remote: https://mcp.example.com/mcp Detect ["authorization: Bearer t0ken"]
    "#);
    assert_eq!(read("opencode.jsonc", text), read("kilo.json", text).replace("kilo.json", "opencode.jsonc"));
}

#[test]
fn zed_as_it_is_and_as_it_was() {
    let text = r#"{
  "theme": "One",
  "context_servers": {
    "now": { "source": "custom", "command": "npx", "args": ["-y", "server"], "env": { "A": "1" } },
    "then": { "command": { "path": "npx", "args": ["old"], "env": { "B": "2" } }, "settings": {} },
    "remote": { "url": "https://mcp.example.com/mcp", "headers": { "X-A": "b" } },
    "extension": { "source": "extension", "settings": { "token": "abc" } }
  }
}"#;
    assert_snapshot!(read(".config/zed/settings.json", text), @r#"
    DIR/.config/zed/settings.json:2:3: warning: nothing but the servers is read; not "theme"
      |
    2 |   "theme": "One",
      |   ^^^^^^^

    DIR/.config/zed/settings.json:7:30: warning: "extension" is left out: the server's program is in an extension of Zed, and not in this file
      |
    7 |     "extension": { "source": "extension", "settings": { "token": "•••" } }
      |                              ^^^^^^^^^^^
    now: npx ["-y", "server"] ["A=1"]
    then: npx ["old"] ["B=2"]
    remote: https://mcp.example.com/mcp Detect ["x-a: b"]
    "#);
}

#[test]
fn crush() {
    let text = r#"{ "mcp": {
  "local": { "type": "stdio", "command": "npx", "args": ["server"], "timeout": 120, "env": { "A": "$TOKEN" } },
  "remote": { "type": "http", "url": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer $TOKEN" } },
  "off": { "type": "sse", "url": "https://mcp.example.com/sse", "disabled": true }
} }"#;
    assert_snapshot!(read("crush.json", text), @r#"
    local: npx ["server"] ["A=t0ken"]
    remote: https://mcp.example.com/mcp Detect ["authorization: Bearer t0ken"]
    "#);
}

#[test]
fn amp() {
    let text = r#"{ "amp.mcpServers": { "a": { "command": "npx", "args": ["server"], "env": { "A": "${TOKEN}" } }, "b": { "url": "https://mcp.example.com/mcp" } }, "amp.notifications.enabled": true }"#;
    assert_snapshot!(read("settings.json", text), @r#"
    DIR/settings.json:1:147: warning: nothing but the servers is read; not "amp.notifications.enabled"
      |
    1 | …er"], "env": { "A": "${TOKEN}" } }, "b": { "url": "https://mcp.example.com/mcp" } }, "amp.notifications.enabled": true }
      |                                                                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    a: npx ["server"] ["A=t0ken"]
    b: https://mcp.example.com/mcp Detect []
    "#);
}

#[test]
fn continues_yaml() {
    let text = r#"name: My assistant
version: 1.0.0
schema: v1
models:
  - &base
    name: x
    provider: y
  - <<: *base
    name: z
mcpServers:
  # A comment.
  - name: Local
    command: npx
    args:
      - "-y"
      - server
    env:
      KEY: ${{ secrets.TOKEN }}
  - name: remote
    type: streamable-http
    url: https://mcp.example.com/mcp
    requestOptions:
      timeout: 5
      headers:
        Authorization: Bearer ${{ secrets.TOKEN }}
    connectionTimeout: 8000
  - name: Local
    command: other
  - command: nameless
"#;
    assert_snapshot!(read(".continue/config.yaml", text), @r#"
    DIR/.continue/config.yaml:1:1: warning: nothing but the servers is read; not "name", "version", "schema" and 1 more
      |
    1 | name: My assistant
      | ^^^^

    DIR/.continue/config.yaml:27:11: warning: another server is called "Local"; this one is "Local-2" here
       |
    27 |   - name: Local
       |           ^^^^^
    Local: npx ["-y", "server"] ["KEY=t0ken"]
    remote: https://mcp.example.com/mcp Detect ["authorization: Bearer t0ken"]
    Local-2: other [] []
    server-4: nameless [] []
    "#);
}

#[test]
fn goose() {
    let text = r#"GOOSE_PROVIDER: x
extensions:
  developer:
    bundled: true
    enabled: true
    name: developer
    timeout: 300
    type: builtin
  local:
    name: Local
    type: stdio
    cmd: npx
    args: [-y, server]
    envs: {A: "1"}
    env_keys: [TOKEN]
    enabled: true
    timeout: 300
  remote:
    type: streamable_http
    uri: https://mcp.example.com/mcp
    headers:
      Authorization: Bearer $TOKEN
    enabled: true
  off:
    type: sse
    uri: https://mcp.example.com/sse
    enabled: false
"#;
    assert_snapshot!(read("config.yaml", text), @r#"
    DIR/config.yaml:1:1: warning: nothing but the servers is read; not "GOOSE_PROVIDER"
      |
    1 | GOOSE_PROVIDER: x
      | ^^^^^^^^^^^^^^

    DIR/config.yaml:3:3: warning: 1 of these are parts of Goose itself, and no servers
      |
    3 |   developer:
      |   ^^^^^^^^^
    local: npx ["-y", "server"] ["A=1", "TOKEN=t0ken"]
    remote: https://mcp.example.com/mcp Detect ["authorization: Bearer t0ken"]
    "#);
}

#[test]
fn vibe_and_fast_agent() {
    let vibe = r#"[[mcp_servers]]
name = "remote"
transport = "streamable-http"
url = "https://mcp.example.com/mcp"
startup_timeout_sec = 12
[mcp_servers.auth]
type = "static"
api_key_env = "TOKEN"

[[mcp_servers]]
name = "local"
transport = "stdio"
command = "npx"
args = ["server"]
env = { A = "1" }
"#;
    let agent = "mcp:\n  servers:\n    a:\n      transport: http\n      url: https://mcp.example.com/mcp\n      headers:\n        Authorization: Bearer ${TOKEN}\n    b:\n      command: npx\n      args: ['${NOPE:default}']\n";
    assert_snapshot!([read("config.toml", vibe), read("fast-agent.yaml", agent)].join("\n"), @r#"
    remote: https://mcp.example.com/mcp Detect ["authorization: Bearer t0ken"]
    local: npx ["server"] ["A=1"]

    a: https://mcp.example.com/mcp Detect ["authorization: Bearer t0ken"]
    b: npx ["default"] []
    "#);
}

#[test]
fn cline_nests_its_transport() {
    let text = r#"{ "mcpServers": {
  "remote": { "transport": { "type": "streamableHttp", "url": "https://mcp.example.com/mcp", "headers": { "X-A": "b" } }, "disabled": false },
  "local": { "transport": { "type": "stdio", "command": "npx", "args": ["server"] } },
  "flat": { "type": "sse", "url": "https://mcp.example.com/sse" },
  "off": { "transport": { "type": "stdio", "command": "x" }, "disabled": true }
} }"#;
    let told = read("cline_mcp_settings.json", text);
    assert_snapshot!(told, @r#"
    remote: https://mcp.example.com/mcp Detect ["x-a: b"]
    local: npx ["server"] []
    flat: https://mcp.example.com/sse Sse []
    "#);
    assert_eq!(told, read("mine.json", text), "the form tells, whatever the file is called");
}

#[test]
fn claude_code_has_servers_in_its_projects() {
    let text = r#"{
  "numStartups": 5,
  "mcpServers": { "all": { "type": "http", "url": "https://mcp.example.com/mcp" } },
  "projects": {
    "DIR/web": {
      "allowedTools": [],
      "mcpServers": {
        "all": { "type": "http", "url": "https://mcp.example.com/mcp" },
        "db": { "type": "stdio", "command": "npx", "args": ["web"], "env": {} },
        "off": { "type": "stdio", "command": "x" }
      },
      "disabledMcpServers": ["off"]
    },
    "DIR/shop": { "mcpServers": { "db": { "type": "stdio", "command": "npx", "args": ["shop"], "env": {} } } },
    "DIR/gone": { "mcpServers": { "lost": { "type": "stdio", "command": "x", "args": [] } } },
    "DIR/empty": { "mcpServers": {} }
  }
}"#;
    let files = Files::new(&[("web/x", ""), ("shop/x", "")]);
    let text = text.replace("DIR", &files.0.path().display().to_string());
    std::fs::write(files.path(".claude.json"), text).unwrap();
    let loaded = files.load(".claude.json");
    assert_snapshot!(files.named(&said(&loaded)), @r#"
    DIR/.claude.json:2:3: warning: nothing but the servers is read; not "numStartups"
      |
    2 |   "numStartups": 5,
      |   ^^^^^^^^^^^^^

    DIR/.claude.json:15:47: warning: "lost" is left out: there is no directory DIR/gone
       |
    15 |     "DIR/gone": { "mcpServers": { "lost": { "type": "stdio", "command": "x", "args": [] } } },
       |                                               ^^^^^^
       = help: make it, or name another
    "#);
    let plan = loaded.plan.unwrap();
    assert_eq!(names(&plan), ["all", "db", "db-shop"]);
    let directory = |index: usize| match &plan.upstreams[index].reach {
        Reach::Stdio(stdio) => stdio.child.directory.clone().unwrap(),
        _ => panic!("not a process"),
    };
    assert_eq!((directory(1), directory(2)), (files.path("web"), files.path("shop")));
    let only = r#"{ "projects": { "/": { "mcpServers": { "a": { "type": "http", "url": "https://mcp.example.com/mcp" } } } } }"#;
    assert_eq!(names(&Files::new(&[(".claude.json", only)]).load(".claude.json").plan.unwrap()), ["a"]);
}

#[test]
fn there_are_many_ways_to_be_off() {
    let text = r#"{ "mcpServers": {
  "on": { "command": "x", "disabled": false, "enabled": true, "isActive": true },
  "a": { "command": "x", "disabled": true },
  "b": { "command": "x", "enabled": false },
  "c": { "command": "x", "isActive": false },
  "d": { "command": "x", "disabled": false, "isActive": false }
} }"#;
    let loaded = Files::new(&[("mcp.json", text)]).load("mcp.json");
    assert_eq!(said(&loaded), "");
    assert_eq!(names(&loaded.plan.unwrap()), ["on"]);
}

#[test]
fn cherry_studio_and_mcporter_have_a_base_url() {
    let text = r#"{ "mcpServers": { "q": { "name": "q", "type": "streamableHttp", "description": "", "isActive": true, "baseUrl": "http://localhost:3000/mcp/" } } }"#;
    assert_snapshot!(read("mcp.json", text), @r#"q: http://localhost:3000/mcp/ Detect []"#);
}

#[test]
fn yaml_that_is_none_is_told_where() {
    let told = [
        read("config.yaml", "mcpServers:\n  - name: a\n   command: x\n"),
        read(
            "config.yaml",
            "mcpServers:\n  - name: a\n    command: x\n    command: y\n  - name: b\n    command: z\n",
        ),
        read("config.yaml", "models: []\n"),
        read("config.yaml", ""),
        read("config.yaml", "mcpServers:\n  - &a\n    name: a\n    command: x\n  - <<: *a\n    name: b\n"),
    ];
    assert_snapshot!(told.join("\n"), @r#"
    DIR/config.yaml:3:4: error: not YAML: while parsing a block collection, did not find expected '-' indicator
      |
    3 |    command: x
      |    ^
      = help: look at the indentation, and at what stands right before it

    DIR/config.yaml:4:5: warning: "a" is left out: "command" stands here twice
      |
    4 |     command: y
      |     ^^^^^^^
      :
    3 |     command: x
      |     ------- the first is here
      = help: leave out one of them
    b: z [] []

    DIR/config.yaml:1:1: error: the file has neither "mcpServers" nor "extensions"
      |
    1 | models: []
      | ^^^^^^^^^^
      = help: for example:
              mcpServers:
                - name: files
                  command: npx
                  args: ["…"]

    DIR/config.yaml:1:1: error: the file has neither "mcpServers" nor "extensions"
      |
    1 |
      | ^
      = help: for example:
              mcpServers:
                - name: files
                  command: npx
                  args: ["…"]

    DIR/config.yaml:5:5: warning: "b" is left out: merge keys are not followed
      |
    5 |   - <<: *a
      |     ^^
      = help: write the members themselves
    a: x [] []
    "#);
}
