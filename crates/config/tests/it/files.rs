//! Files that are something else than they seem.

use std::fs;

use insta::assert_snapshot;

use crate::{Files, names, said};

#[test]
fn utf_16_is_named() {
    let text = "{ \"mcpServers\": { \"a\": { \"command\": \"true\" } } }";
    let files = Files::new(&[("with.json", ""), ("big.json", ""), ("without.json", ""), ("latin.json", "")]);
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    fs::write(files.path("with.json"), [&[0xff, 0xfe], little.as_slice()].concat()).unwrap();
    fs::write(files.path("big.json"), [&[0xfe, 0xff], big.as_slice()].concat()).unwrap();
    fs::write(files.path("without.json"), little).unwrap();
    fs::write(files.path("latin.json"), b"{\n \"a\": \"\xe9\" }").unwrap();
    let told = ["with.json", "big.json", "without.json", "latin.json"].map(|name| files.check(name));
    assert_snapshot!(told.join("\n"), @r#"
    DIR/with.json: error: cannot be read: it is UTF-16; save it as UTF-8

    DIR/big.json: error: cannot be read: it is UTF-16; save it as UTF-8

    DIR/without.json: error: cannot be read: it is UTF-16; save it as UTF-8

    DIR/latin.json: error: cannot be read: line 2 is not UTF-8
    "#);
}

#[test]
fn a_directory_is_named_and_what_is_in_it() {
    let files = Files::new(&[("one/mcp.json", "{}"), ("one/.vscode/mcp.json", "{}"), ("two/x", "")]);
    assert_snapshot!([files.check("one"), files.check("two"), files.check("gone.json")].join("\n"), @r#"
    DIR/one: error: cannot be read: is a directory
      = help: name the file: DIR/one/mcp.json or DIR/one/.vscode/mcp.json

    DIR/two: error: cannot be read: is a directory
      = help: name the file, such as portolan.toml or the mcp.json of a client

    DIR/gone.json: error: cannot be read: no such file or directory
      = help: name a file that is there: portolan.toml, or the file of a client
    "#);
}

#[test]
fn a_name_that_says_something_else_is_told() {
    let (json, toml) =
        (r#"{ "mcpServers": { "a": { "command": "x" } } }"#, "[upstream.a]\ncommand = \"x\"\n");
    let yaml = "mcpServers:\n  - name: a\n    command: x\n";
    let told = [("a.toml", json), ("a.json", toml), ("a.yaml", toml), ("b.json", yaml), ("b.toml", yaml)]
        .map(|(name, text)| Files::new(&[(name, text)]).check(name));
    assert_snapshot!(told.join("\n"), @r#"
    DIR/a.toml: error: this is JSON, and is read as TOML for the file's name
      = help: let the name end in .json

    DIR/a.json: error: this is TOML, and is read as JSON for the file's name
      = help: let the name end in .toml

    DIR/a.yaml: error: this is TOML, and is read as YAML for the file's name
      = help: let the name end in .toml

    DIR/b.json: error: this is YAML, and is read as JSON for the file's name
      = help: let the name end in .yaml

    DIR/b.toml: error: this is YAML, and is read as TOML for the file's name
      = help: let the name end in .yaml
    "#);
}

#[test]
fn a_name_that_says_nothing_leaves_it_to_the_text() {
    for text in [
        r#"{ "mcpServers": { "a": { "command": "x" } } }"#,
        "[upstream.a]\ncommand = \"x\"\n",
        "# A comment.\n\nmcpServers:\n  - name: a\n    command: x\n",
        "---\nmcpServers:\n  - name: a\n    command: x\n",
        "[mcp_servers.a]\ncommand = \"x\"\n",
    ] {
        let loaded = Files::new(&[("servers", text)]).load("servers");
        assert_eq!(said(&loaded), "", "{text}");
        assert_eq!(names(&loaded.plan.unwrap()), ["a"], "{text}");
    }
}

#[test]
fn portolans_own_keys_are_toml() {
    let yaml = "upstream:\n  a:\n    command: x\n";
    let json = r#"{ "upstream": { "a": { "command": "x" } } }"#;
    let told =
        [("a.yaml", yaml), ("a.json", json)].map(|(name, text)| Files::new(&[(name, text)]).check(name));
    assert_snapshot!(told.join("\n"), @r#"
    DIR/a.yaml:1:1: error: Portolan's own configuration is TOML
      |
    1 | upstream:
      | ^^^^^^^^
      = help: let the file's name end in .toml

    DIR/a.json:1:3: error: Portolan's own configuration is TOML
      |
    1 | { "upstream": { "a": { "command": "x" } } }
      |   ^^^^^^^^^^
      = help: let the file's name end in .toml
    "#);
}

const SECRET: &str = "sk-0123456789abcdef";

/// What is advised for a file that gets many things wrong.
fn hints(name: &str, text: &str) -> String {
    let env = |name: &str| (name == "PATH").then(|| "/nowhere".to_owned());
    let source = config::Source { path: name.into(), text: text.replace("SECRET", SECRET) };
    let loaded = config::load_text(source, &env);
    let hints: std::collections::BTreeSet<_> =
        loaded.diagnostics.into_iter().filter_map(|found| found.help).collect();
    format!("{name}\n  {}\n", hints.into_iter().collect::<Vec<_>>().join("\n  "))
}

/// What is put right here must not break what its own client makes of the file.
#[test]
fn hints_are_in_the_language_of_the_file() {
    let json = r#"{ "mcpServers": {
  "a": { "command": "npx -y x", "args": ["--token", "SECRET"], "env": { "API_KEY": "SECRET" }, "cwd": "~/x" },
  "b": { "url": "https://u:p@example.com/" },
  "c": { "url": "https://example.com/?api_key=SECRET" },
  "d": { "command": "" }
} }"#;
    let told = [
        ".mcp.json",
        ".gemini/settings.json",
        "cline_mcp_settings.json",
        "mcp.json",
        ".cursor/mcp.json",
        "claude_desktop_config.json",
    ];
    let told = told.map(|name| hints(name, json));
    assert_snapshot!(told.join("\n"), @r#"
    .mcp.json
      "command": "program", "args": ["argument"]
      most programs also take it from an environment variable: "env": { "NAME": "${NAME}" }
      no shell splits it into words; write "command": "npx", "args": ["-y", "x"]
      put it into Portolan's environment: "${API_KEY}"
      write "headers": { "Authorization": "Basic ${NAME}" }
      write ${NAME} for it, or send it in a header
      ~ is not replaced here; write ${HOME}

    .gemini/settings.json
      "command": "program", "args": ["argument"]
      most programs also take it from an environment variable: "env": { "NAME": "${NAME}" }
      no shell splits it into words; write "command": "npx", "args": ["-y", "x"]
      put it into Portolan's environment: "${API_KEY}"
      write "headers": { "Authorization": "Basic ${NAME}" }
      write ${NAME} for it, or send it in a header
      ~ is not replaced here; write ${HOME}

    cline_mcp_settings.json
      "command": "program", "args": ["argument"]
      Cline replaces nothing in its file; `portolan convert` makes one of Portolan's own, where "${env:API_KEY}" stands for a variable
      a header is the place for them: Authorization, with Basic
      most programs also take it from an environment variable
      no shell splits it into words; write "command": "npx", "args": ["-y", "x"]
      send it in a header
      ~ is not replaced here; write the whole path

    mcp.json
      "command": "program", "args": ["argument"]
      most programs also take it from an environment variable: "env": { "NAME": "${NAME}" }
      no shell splits it into words; write "command": "npx", "args": ["-y", "x"]
      put it into Portolan's environment: "${API_KEY}"
      write "headers": { "Authorization": "Basic ${NAME}" }
      write ${NAME} for it, or send it in a header
      ~ is not replaced here; write ${HOME}

    .cursor/mcp.json
      "command": "program", "args": ["argument"]
      most programs also take it from an environment variable: "env": { "NAME": "${env:NAME}" }
      no shell splits it into words; write "command": "npx", "args": ["-y", "x"]
      put it into Portolan's environment: "${env:API_KEY}"
      write "headers": { "Authorization": "Basic ${env:NAME}" }
      write ${env:NAME} for it, or send it in a header
      ~ is not replaced here; write ${env:HOME}

    claude_desktop_config.json
      "command": "program", "args": ["argument"]
      Claude Desktop replaces nothing in its file; `portolan convert` makes one of Portolan's own, where "${env:API_KEY}" stands for a variable
      a header is the place for them: Authorization, with Basic
      most programs also take it from an environment variable
      no shell splits it into words; write "command": "npx", "args": ["-y", "x"]
      send it in a header
      ~ is not replaced here; write the whole path
    "#);
}

#[test]
fn hints_know_lists_and_tables() {
    let mcp = r#"{ "mcp": {
  "a": { "type": "local", "command": ["npx -y x", "--token", "SECRET"], "environment": { "API_KEY": "SECRET" } },
  "d": { "type": "local", "command": [""] }
} }"#;
    let toml = r#"
[mcp_servers.a]
command = "npx -y x"
args = ["--token", "SECRET"]
cwd = "~/x"
env = { API_KEY = "SECRET" }
[mcp_servers.d]
command = ""
[mcp_servers.e]
[mcp_servers.f]
command = "x"
"#;
    let told = [hints("opencode.json", mcp), hints("config.toml", toml)];
    assert_snapshot!(told.join("\n"), @r#"
    opencode.json
      "command": ["program", "argument"]
      most programs also take it from an environment variable: "environment": { "NAME": "{env:NAME}" }
      no shell splits it into words; write "command": ["npx", "-y", "x"]
      put it into Portolan's environment, or a file: "{env:API_KEY}", "{file:PATH}"

    config.toml
      Codex replaces nothing in its file; `portolan convert` makes one of Portolan's own, where "${env:API_KEY}" stands for a variable
      command = "program", and args = ["argument"]
      install it, or write its whole path
      most programs also take it from an environment variable: env_vars = ["NAME"]
      no shell splits it into words; write command = "npx", and args = ["-y", "x"]
      url = "https://mcp.example.com/mcp", or command = "program" and args = ["argument"]
      ~ is not replaced here; write the whole path
    "#);
}
