//! The files of many clients: each is read as that client reads it, and nobody else's ways are followed in it.

use base::plan::{Reach, UpstreamPlan};
use config::Loaded;
use insta::assert_snapshot;

use crate::{Files, said};

/// What one server comes to, in a line.
fn server(plan: &UpstreamPlan) -> String {
    match &plan.reach {
        Reach::Stdio(stdio) => {
            let child = &stdio.child;
            let inherited = ["HOME", "LANG"];
            let env = child.env.iter().filter(|(name, _)| !inherited.contains(&name.as_str()));
            let env: Vec<_> = env.map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}: {} {:?} {env:?}", plan.name, child.program, child.args)
        }
        Reach::Http(http) => {
            let headers =
                http.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
            format!(
                "{}: {} {:?} {:?}",
                plan.name,
                http.destination.url(),
                http.transport,
                headers.collect::<Vec<_>>()
            )
        }
        Reach::Own => plan.name.clone(),
    }
}

/// What is said of a file, and what its servers come to.
pub(crate) fn read(name: &str, text: &str) -> String {
    let files = Files::new(&[(name, text), (".mine/secret", "from a file\n")]);
    let loaded: Loaded = files.load(name);
    let mut told = files.named(&said(&loaded));
    for plan in loaded.plan.iter().flat_map(|plan| &plan.upstreams) {
        told.push_str(&files.named(&server(plan)));
        told.push('\n');
    }
    told
}

/// Every spelling of a reference that any client has, in a file of its own form: what becomes of each.
fn spellings(name: &str) -> String {
    let all = [
        "${TOKEN}",
        "a${TOKEN}b",
        "${NOPE:-d}",
        "${NOPE:d}",
        "$TOKEN",
        "a$TOKEN.b",
        "$lower",
        "cost $5",
        "${env:TOKEN}",
        "{env:TOKEN}",
        "${{ secrets.TOKEN }}",
        "${{ env.TOKEN }}",
        "${input:x}",
        "${workspaceFolderBasename}",
        "$${TOKEN}",
    ];
    let args: Vec<_> = all.iter().map(|text| format!("{text:?}")).collect();
    let files = Files::new(&[(name, &around(name, &args.join(", ")))]);
    let loaded = files.load(name);
    let plan = loaded.plan.as_ref().unwrap_or_else(|| panic!("{}", said(&loaded)));
    let Reach::Stdio(stdio) = &plan.upstreams[0].reach else { panic!("not a process") };
    let changed = all.iter().zip(&stdio.child.args).filter(|(before, after)| before != after);
    let base = files.path("").file_name().unwrap().to_string_lossy().into_owned();
    let changed = changed.map(|(before, after)| format!("{before} is {}\n", after.replace(&base, "DIR")));
    changed.collect::<String>()
}

/// A file with these arguments, by its name.
fn around(name: &str, args: &str) -> String {
    match name {
        "opencode.json" => {
            format!(r#"{{ "mcp": {{ "a": {{ "type": "local", "command": ["x", {args}] }} }} }}"#)
        }
        "config.toml" => format!("[mcp_servers.a]\ncommand = \"x\"\nargs = [{args}]\n"),
        "config.yaml" => format!("mcpServers:\n  - name: a\n    command: x\n    args: [{args}]\n"),
        "fast-agent.yaml" => format!("mcp:\n  servers:\n    a:\n      command: x\n      args: [{args}]\n"),
        "goose.yaml" => format!("extensions:\n  a:\n    type: stdio\n    cmd: x\n    args: [{args}]\n"),
        _ => {
            let inputs = r#""inputs": [{ "id": "x", "default": "typed" }]"#;
            format!(r#"{{ {inputs}, "mcpServers": {{ "a": {{ "command": "x", "args": [{args}] }} }} }}"#)
        }
    }
}

#[test]
fn each_client_replaces_its_own_spellings_only() {
    let names = [
        ".mcp.json",
        ".gemini/settings.json",
        ".qwen/settings.json",
        ".qoder/settings.json",
        ".copilot/mcp-config.json",
        "cline_mcp_settings.json",
        "mcp.json",
        "opencode.json",
        "config.toml",
        "config.yaml",
        "fast-agent.yaml",
        "goose.yaml",
    ];
    let told = names.map(|name| format!("{name}\n{}", spellings(name)));
    assert_snapshot!(told.join("\n"), @r#"
    .mcp.json
    ${TOKEN} is t0ken
    a${TOKEN}b is at0kenb
    ${NOPE:-d} is d
    $${TOKEN} is $t0ken

    .gemini/settings.json
    ${TOKEN} is t0ken
    a${TOKEN}b is at0kenb
    ${NOPE:-d} is d
    $TOKEN is t0ken
    a$TOKEN.b is at0ken.b
    $${TOKEN} is $t0ken

    .qwen/settings.json
    ${TOKEN} is t0ken
    a${TOKEN}b is at0kenb
    $TOKEN is t0ken
    a$TOKEN.b is at0ken.b
    $${TOKEN} is $t0ken

    .qoder/settings.json
    ${TOKEN} is t0ken
    a${TOKEN}b is at0kenb
    ${NOPE:-d} is d
    $TOKEN is t0ken
    a$TOKEN.b is at0ken.b
    $${TOKEN} is $t0ken

    .copilot/mcp-config.json
    ${TOKEN} is t0ken
    a${TOKEN}b is at0kenb
    ${NOPE:-d} is d
    $TOKEN is t0ken
    a$TOKEN.b is at0ken.b
    $${TOKEN} is $t0ken

    cline_mcp_settings.json

    mcp.json
    ${TOKEN} is t0ken
    a${TOKEN}b is at0kenb
    ${NOPE:-d} is d
    $TOKEN is t0ken
    ${env:TOKEN} is t0ken
    ${input:x} is typed
    ${workspaceFolderBasename} is DIR
    $${TOKEN} is ${TOKEN}

    opencode.json
    {env:TOKEN} is t0ken

    config.toml

    config.yaml
    ${{ secrets.TOKEN }} is t0ken

    fast-agent.yaml
    ${TOKEN} is t0ken
    a${TOKEN}b is at0kenb
    ${NOPE:-d} is -d
    ${NOPE:d} is d
    ${env:TOKEN} is TOKEN
    ${input:x} is x
    $${TOKEN} is $t0ken

    goose.yaml
    ${TOKEN} is t0ken
    a${TOKEN}b is at0kenb
    $TOKEN is t0ken
    a$TOKEN.b is at0ken.b
    $${TOKEN} is $t0ken
    "#);
}

#[test]
fn what_is_not_replaced_is_told() {
    let claude =
        r#"{ "mcpServers": { "a": { "command": "x", "args": ["${env:TOKEN}", "${input:x}", "$TOKEN"] } } }"#;
    let qwen = r#"{ "mcpServers": { "a": { "command": "x", "args": ["${TOKEN:-d}"] } } }"#;
    let codex = "[mcp_servers.a]\ncommand = \"x\"\nargs = [\"${TOKEN}\"]\n";
    let continues = "mcpServers:\n- name: a\n  command: x\n  args: ['${{ env.TOKEN }}']\n";
    let crush = r#"{ "mcp": { "a": { "type": "stdio", "command": "x", "env": { "A": "$(pass show a)" } }, "b": { "command": "x" } } }"#;
    let told = [
        read(".mcp.json", claude),
        read(".qwen/settings.json", qwen),
        read("config.toml", codex),
        read("config.yaml", continues),
        read("crush.json", crush),
    ];
    assert_snapshot!(told.join("\n"), @r#"
    DIR/.mcp.json:1:52: warning: Claude Code does not replace ${env:TOKEN}, so it is left as it is
      |
    1 | { "mcpServers": { "a": { "command": "x", "args": ["${env:TOKEN}", "${input:x}", "$TOKEN"] } } }
      |                                                    ^^^^^^^^^^^^
      = help: there, ${TOKEN} stands for an environment variable

    DIR/.mcp.json:1:68: warning: Claude Code does not replace ${input:x}, so it is left as it is
      |
    1 | { "mcpServers": { "a": { "command": "x", "args": ["${env:TOKEN}", "${input:x}", "$TOKEN"] } } }
      |                                                                    ^^^^^^^^^^
      = help: there, ${NAME} stands for an environment variable
    a: x ["${env:TOKEN}", "${input:x}", "$TOKEN"] []

    DIR/.qwen/settings.json:1:52: warning: Qwen Code does not replace ${TOKEN:-d}, so it is left as it is
      |
    1 | { "mcpServers": { "a": { "command": "x", "args": ["${TOKEN:-d}"] } } }
      |                                                    ^^^^^^^^^^^
      = help: there, ${TOKEN} stands for an environment variable
    a: x ["${TOKEN:-d}"] []

    DIR/config.toml:3:10: warning: Codex does not replace ${TOKEN}, so it is left as it is
      |
    3 | args = ["${TOKEN}"]
      |          ^^^^^^^^
    a: x ["${TOKEN}"] []

    DIR/config.yaml:4:11: warning: Continue does not replace ${{ env.TOKEN }}, so it is left as it is
      |
    4 |   args: ['${{ env.TOKEN }}']
      |           ^^^^^^^^^^^^^^^^
      = help: there, ${{ secrets.NAME }} stands for an environment variable
    a: x ["${{ env.TOKEN }}"] []

    DIR/crush.json:1:67: warning: "a" is left out: Portolan runs no commands to read a configuration
      |
    1 | { "mcp": { "a": { "type": "stdio", "command": "x", "env": { "A": "••••••••••••••" } }, "b": { "command": "x" } } }
      |                                                                   ^^
      = help: put what the command says into an environment variable, and write ${NAME}
    b: x [] []
    "#);
}

#[test]
fn a_variable_that_is_not_set_is_told_in_the_files_own_words() {
    let told = [
        read(".mcp.json", r#"{ "mcpServers": { "a": { "url": "https://${NOPE}/mcp" } } }"#),
        read(".qwen/settings.json", r#"{ "mcpServers": { "a": { "httpUrl": "https://$NOPE/mcp" } } }"#),
        read(
            "config.toml",
            "[mcp_servers.a]\nurl = \"https://example.com/mcp\"\nbearer_token_env_var = \"NOPE\"\n",
        ),
        read(
            "opencode.json",
            r#"{ "mcp": { "a": { "type": "local", "command": ["x"], "environment": { "A": "{env:NOPE}" } } } }"#,
        ),
        read("fast-agent.yaml", "mcp:\n  servers:\n    a:\n      command: x\n      env: {A: '${NOPE}'}\n"),
    ];
    assert_snapshot!(told.join("\n"), @r#"
    DIR/.mcp.json:1:42: error: the environment variable NOPE is not set
      |
    1 | { "mcpServers": { "a": { "url": "https://${NOPE}/mcp" } } }
      |                                          ^^^^^^^
      = help: set it; if it may be missing, write ${NOPE:-default}

    DIR/.qwen/settings.json:1:46: error: the environment variable NOPE is not set
      |
    1 | { "mcpServers": { "a": { "httpUrl": "https://$NOPE/mcp" } } }
      |                                              ^^^^^
      = help: set it where Portolan is started

    DIR/config.toml:3:24: error: the environment variable NOPE is not set
      |
    3 | bearer_token_env_var = "NOPE"
      |                        ^^^^^^
      = help: set it where Portolan is started

    DIR/opencode.json:1:77: warning: the environment variable NOPE is not set, and counts as empty here
      |
    1 | { "mcp": { "a": { "type": "local", "command": ["x"], "environment": { "A": "••••••••••" } } } }
      |                                                                             ^^^^^^^^^^
    a: x [] ["A="]

    DIR/fast-agent.yaml:5:17: error: the environment variable NOPE is not set
      |
    5 |       env: {A: '${NOPE}'}
      |                 ^^^^^^^
      = help: set it; if it may be missing, write ${NOPE:default}
    "#);
}

#[test]
fn time_outs_are_in_each_clients_own_unit() {
    let json = |more: &str| format!(r#"{{ "mcpServers": {{ "a": {{ "command": "x", {more} }} }} }}"#);
    let mcp =
        |more: &str| format!(r#"{{ "mcp": {{ "a": {{ "type": "local", "command": ["x"], {more} }} }} }}"#);
    let crush =
        |more: &str| format!(r#"{{ "mcp": {{ "a": {{ "type": "stdio", "command": "x", {more} }} }} }}"#);
    let toml = |more: &str| format!("[mcp_servers.a]\ncommand = \"x\"\n{more}\n");
    let goose = "extensions:\n  a: {type: stdio, cmd: x, timeout: 300}\n".to_owned();
    let cases = [
        (".mcp.json", json(r#""timeout": 5000"#)),
        (".claude.json", json(r#""timeout": 5000"#)),
        ("claude_desktop_config.json", json(r#""timeout": 5000"#)),
        (".copilot/mcp-config.json", json(r#""timeout": 5000"#)),
        (".qwen/settings.json", json(r#""timeout": 5000"#)),
        (".gemini/settings.json", json(r#""timeout": 5000"#)),
        (".kiro/settings/mcp.json", json(r#""timeout": 5000"#)),
        ("cline_mcp_settings.json", json(r#""timeout": 5000"#)),
        (".roo/mcp.json", json(r#""timeout": 5000"#)),
        ("mcp.json", json(r#""timeout": 60"#)),
        ("mcp.json", json(r#""timeout": 60000, "initTimeout": 20000"#)),
        ("mcp.json", json(r#""toolTimeoutMs": 2500"#)),
        ("opencode.json", mcp(r#""timeout": 5000"#)),
        ("crush.json", crush(r#""timeout": 120"#)),
        ("config.toml", toml("startup_timeout_sec = 20.5\ntool_timeout_sec = 60")),
        ("config.toml", toml("startup_timeout_ms = 20000")),
        ("goose.yaml", goose),
    ];
    let told = cases.map(|(name, text)| {
        let loaded = Files::new(&[(name, &text)]).load(name);
        assert_eq!(said(&loaded), "", "{name} {text}");
        let base::plan::Deadlines { connect, list, call, .. } = loaded.plan.unwrap().upstreams[0].deadlines;
        format!("{name}: connect {connect:?}, list {list:?}, call {call:?}")
    });
    assert_snapshot!(told.join("\n"), @r#"
    .mcp.json: connect 30s, list 15s, call 5s
    .claude.json: connect 30s, list 15s, call 5s
    claude_desktop_config.json: connect 30s, list 15s, call 5s
    .copilot/mcp-config.json: connect 30s, list 15s, call 5s
    .qwen/settings.json: connect 30s, list 15s, call 5s
    .gemini/settings.json: connect 30s, list 15s, call 5s
    .kiro/settings/mcp.json: connect 30s, list 15s, call 5s
    cline_mcp_settings.json: connect 30s, list 15s, call 5000s
    .roo/mcp.json: connect 30s, list 15s, call 5000s
    mcp.json: connect 30s, list 15s, call 60s
    mcp.json: connect 20s, list 15s, call 60s
    mcp.json: connect 30s, list 15s, call 2.5s
    opencode.json: connect 30s, list 5s, call 300s
    crush.json: connect 30s, list 15s, call 120s
    config.toml: connect 20.5s, list 15s, call 60s
    config.toml: connect 20s, list 15s, call 300s
    goose.yaml: connect 30s, list 15s, call 300s
    "#);
}

#[test]
fn times_that_are_hardly_meant_are_told() {
    let json = |more: &str| format!(r#"{{ "mcpServers": {{ "a": {{ "command": "x", {more} }} }} }}"#);
    let odd = [
        read(".gemini/settings.json", &json(r#""timeout": 30"#)),
        read("mcp.json", &json(r#""timeout": 0"#)),
        read("mcp.json", &json(r#""timeout": 3600"#)),
        read("mcp.json", &json(r#""timeout": "soon""#)),
    ];
    assert_snapshot!(odd.join("\n"), @r#"
    DIR/.gemini/settings.json:1:53: warning: 30 milliseconds is no time to wait, so the default is used
      |
    1 | { "mcpServers": { "a": { "command": "x", "timeout": 30 } } }
      |                                                     ^^
      = help: the unit is milliseconds here; leave it out for the default
    a: x [] []

    DIR/mcp.json:1:53: warning: 0 seconds is no time to wait, so the default is used
      |
    1 | { "mcpServers": { "a": { "command": "x", "timeout": 0 } } }
      |                                                     ^
      = help: the unit is seconds here; leave it out for the default
    a: x [] []

    DIR/mcp.json:1:53: warning: 3600 is taken for seconds, as Cline and Roo do
      |
    1 | { "mcpServers": { "a": { "command": "x", "timeout": 3600 } } }
      |                                                     ^^^^
      = help: from 10000 on, and in a file of Claude or Gemini, it counts milliseconds
    a: x [] []

    DIR/mcp.json:1:53: error: expected a number, found text
      |
    1 | { "mcpServers": { "a": { "command": "x", "timeout": "soon" } } }
      |                                                     ^^^^^^
      = help: write a number, without quotes and unit
    "#);
}
