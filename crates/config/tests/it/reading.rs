//! Keys, kinds of values, references, and files that are no TOML.

use insta::assert_snapshot;

use crate::{Files, check, env, load, names, usable};

#[test]
fn a_key_that_nobody_knows_is_told_with_the_one_that_was_meant() {
    assert_snapshot!(check("[upstream.a]\nurl = \"http://localhost/mcp\"\ntimout = { call = \"3s\" }\n[limts]\n"), @r#"
    portolan.toml:3:1: error: unknown key "timout"
      |
    3 | timout = { call = "3s" }
      | ^^^^^^
      = help: did you mean "timeouts"?

    portolan.toml:4:2: error: unknown key "limts"
      |
    4 | [limts]
      |  ^^^^^
      = help: did you mean "limits"?
    "#);
}

#[test]
fn a_key_of_another_program_is_told_with_ours() {
    assert_snapshot!(check("[mcp_servers.a]\ncommand = \"x\"\n[upstream.b]\nhttp = \"http://localhost/mcp\"\n"), @r#"
    portolan.toml:1:2: error: unknown key "mcp_servers"
      |
    1 | [mcp_servers.a]
      |  ^^^^^^^^^^^
      = help: did you mean "upstream"?

    portolan.toml:4:1: error: unknown key "http"
      |
    4 | http = "http://localhost/mcp"
      | ^^^^
      = help: did you mean "url"?
    "#);
}

#[test]
fn a_key_that_resembles_none_is_told_with_all() {
    assert_snapshot!(check("[upstream.a]\ncommand = \"x\"\ntools = { colour = 1 }\n"), @r#"
    portolan.toml:3:11: error: unknown key "colour"
      |
    3 | tools = { colour = 1 }
      |           ^^^^^^
      = help: known here: "include", "exclude", "rename", "describe" and "tags"
    "#);
}

#[test]
fn values_of_the_wrong_kind_are_all_told() {
    assert_snapshot!(check(r#"
upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["A=b"], tools = [] }
upstream.b = "http://localhost"
upstream.c = { command = { program = "x" }, concurrent_calls = 1.5, list_ttl = 1979-05-27 }
route = []
"#), @r#"
    portolan.toml:2:22: error: expected text in quotes, found a whole number
      |
    2 | upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["•••"], tools = [] }
      |                      ^
      = help: put it in quotes

    portolan.toml:2:31: error: expected one of "auto" "modern" "legacy", found true or false
      |
    2 | upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["•••"], tools = [] }
      |                               ^^^^

    portolan.toml:2:48: error: expected true or false, found text
      |
    2 | upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["•••"], tools = [] }
      |                                                ^^^^^

    portolan.toml:2:55: error: "args" is only for upstreams with a command
      |
    2 | upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["•••"], tools = [] }
      |                                                       ^^^^

    portolan.toml:2:62: error: expected a list, found text
      |
    2 | upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["•••"], tools = [] }
      |                                                              ^^^
      = help: put it in brackets: ["…"]

    portolan.toml:2:67: error: "env" is only for upstreams with a command
      |
    2 | upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["•••"], tools = [] }
      |                                                                   ^^^

    portolan.toml:2:73: error: expected a table of names, found a list
      |
    2 | upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["•••"], tools = [] }
      |                                                                         ^^^^^^^

    portolan.toml:2:90: error: expected a table, found a list
      |
    2 | upstream.a = { url = 5, era = true, disabled = "yes", args = "x", env = ["•••"], tools = [] }
      |                                                                                          ^^

    portolan.toml:3:14: error: expected a table, found text
      |
    3 | upstream.b = "http://localhost"
      |              ^^^^^^^^^^^^^^^^^^

    portolan.toml:4:26: error: expected a program, or a list of a program and its arguments, found a table
      |
    4 | upstream.c = { command = { program = "x" }, concurrent_calls = 1.5, list_ttl = 1979-05-27 }
      |                          ^^^^^^^^^^^^^^^^^

    portolan.toml:4:64: error: expected a whole number, found a number with a fraction
      |
    4 | upstream.c = { command = { program = "x" }, concurrent_calls = 1.5, list_ttl = 1979-05-27 }
      |                                                                ^^^

    portolan.toml:4:80: error: expected a duration such as "30s", "5m" or "250ms", found a date
      |
    4 | upstream.c = { command = { program = "x" }, concurrent_calls = 1.5, list_ttl = 1979-05-27 }
      |                                                                                ^^^^^^^^^^

    portolan.toml:5:9: error: expected a table of names, found a list
      |
    5 | route = []
      |         ^^
    "#);
}

#[test]
fn a_word_that_is_not_possible_is_told_with_those_that_are() {
    assert_snapshot!(check("[upstream.a]\ncommand = \"x\"\nera = \"modren\"\nsessions = \"mine\"\n"), @r#"
    portolan.toml:3:7: error: expected "auto", "modern" or "legacy", found "modren"
      |
    3 | era = "modren"
      |       ^^^^^^^^
      = help: did you mean "modern"?

    portolan.toml:4:12: error: expected "shared" or "per-client", found "mine"
      |
    4 | sessions = "mine"
      |            ^^^^^^
    "#);
}

#[test]
fn durations_and_sizes_need_their_units() {
    assert_snapshot!(check(r#"
[upstream.a]
command = "x"
timeouts = { connect = 30, list = "15", call = "5 minutes", call_max = "" }
message_bytes = "64 megs"
concurrent_calls = -1
"#), @r#"
    portolan.toml:4:24: error: expected a duration such as "30s", "5m" or "250ms"
      |
    4 | timeouts = { connect = 30, list = "15", call = "5 minutes", call_max = "" }
      |                        ^^
      = help: a number needs its unit: "30s" or "30ms"

    portolan.toml:4:35: error: expected a duration such as "30s", "5m" or "250ms"
      |
    4 | timeouts = { connect = 30, list = "15", call = "5 minutes", call_max = "" }
      |                                   ^^^^
      = help: the units are ms, s, m, h and d; whole numbers only

    portolan.toml:4:48: error: expected a duration such as "30s", "5m" or "250ms"
      |
    4 | timeouts = { connect = 30, list = "15", call = "5 minutes", call_max = "" }
      |                                                ^^^^^^^^^^^
      = help: the units are ms, s, m, h and d; whole numbers only

    portolan.toml:4:72: error: expected a duration such as "30s", "5m" or "250ms"
      |
    4 | timeouts = { connect = 30, list = "15", call = "5 minutes", call_max = "" }
      |                                                                        ^^
      = help: the units are ms, s, m, h and d; whole numbers only

    portolan.toml:5:17: error: expected a size such as "64KiB" or "4MiB", or a number of bytes
      |
    5 | message_bytes = "64 megs"
      |                 ^^^^^^^^^
      = help: the units are KiB, MiB and GiB; whole numbers only

    portolan.toml:6:20: error: expected a whole number that is not negative
      |
    6 | concurrent_calls = -1
      |                    ^^
    "#);
}

#[test]
fn every_syntax_error_is_told() {
    assert_snapshot!(check("[upstream.a]\nurl = \"http://localhost/mcp\nera = modern\n[upstream.b\ncommand = 'x'\n"), @r#"
    portolan.toml:2:28: error: invalid basic string, expected `"`
      |
    2 | url = "http:•••••••••••••••
      |                            ^

    portolan.toml:3:7: error: string values must be quoted, expected literal string
      |
    3 | era = modern
      |       ^^^^^^

    portolan.toml:4:12: error: unclosed table, expected `]`
      |
    4 | [upstream.b
      |            ^
    "#);
}

#[test]
fn a_table_that_is_there_twice_is_a_syntax_error() {
    assert_snapshot!(check("[upstream.a]\ncommand = \"x\"\n[upstream.a]\ncommand = \"y\"\ncommand = \"z\"\n"), @r#"
    portolan.toml:3:11: error: duplicate key
      |
    3 | [upstream.a]
      |           ^

    portolan.toml:4:1: error: duplicate key
      |
    4 | command = "y"
      | ^^^^^^^

    portolan.toml:5:1: error: duplicate key
      |
    5 | command = "z"
      | ^^^^^^^
    "#);
}

#[test]
fn an_empty_file_is_told_what_to_write() {
    assert_snapshot!(check("# nothing\n"), @r#"
    portolan.toml: error: no upstream is configured
      = help: for example:
              [upstream.files]
              command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv"]

              [upstream.search]
              url = "https://mcp.example.com/mcp"
    "#);
}

#[test]
fn a_file_of_disabled_servers_serves_nothing() {
    assert_snapshot!(check("[upstream.a]\ncommand = \"x\"\ndisabled = true\n"), @r#"
    portolan.toml:1:11: error: every upstream is disabled
      |
    1 | [upstream.a]
      |           ^
      = help: leave out "disabled" where one is to be served
    "#);
}

#[test]
fn servers_keep_the_order_of_the_file() {
    let plan = usable(
        "[upstream.z]\ncommand = \"x\"\n[upstream.a]\ncommand = \"x\"\n[upstream.m]\ncommand = \"x\"\n",
    );
    assert_eq!(names(&plan), ["z", "a", "m"]);
    assert_eq!(plan.routes[0].upstreams, ["z", "a", "m"]);
}

#[test]
fn references_that_lead_nowhere_are_all_told() {
    let files = Files::new(&[(
        "c.toml",
        r#"
[upstream.a]
url = "${env:URL}"
headers = { A = "${env:NOPE}${env:NOR THIS}", B = "${file:gone.txt}", C = "${HOME}", D = "${vault:x}", E = "${env:X" }
[upstream.b]
command = ["${env:EMPTY}", "a\n${env:NOPE}"]
"#,
    )]);
    assert_snapshot!(files.check("c.toml"), @r#"
    DIR/c.toml:3:8: error: the environment variable URL is not set
      |
    3 | url = "${env:URL}"
      |        ^^^^^^^^^^
      = help: set it; if it may be missing, write ${env:URL:-default}

    DIR/c.toml:4:18: error: the environment variable NOPE is not set
      |
    4 | headers = { A = "${env:NOPE}${env:NOR THIS}", B = "${file:gone.txt}", C = "${HOME}", D = "${vault:x}", E = "•••••••" }
      |                  ^^^^^^^^^^^
      = help: set it; if it may be missing, write ${env:NOPE:-default}

    DIR/c.toml:4:29: error: this is no name of an environment variable
      |
    4 | headers = { A = "${env:NOPE}${env:NOR THIS}", B = "${file:gone.txt}", C = "${HOME}", D = "${vault:x}", E = "•••••••" }
      |                             ^^^^^^^^^^^^^^^
      = help: write ${env:NAME}, or ${env:NAME:-default}

    DIR/c.toml:4:52: error: DIR/gone.txt cannot be read: no such file or directory
      |
    4 | headers = { A = "${env:NOPE}${env:NOR THIS}", B = "${file:gone.txt}", C = "${HOME}", D = "${vault:x}", E = "•••••••" }
      |                                                    ^^^^^^^^^^^^^^^^

    DIR/c.toml:4:76: error: only ${env:NAME} and ${file:PATH} can be put into a text
      |
    4 | headers = { A = "${env:NOPE}${env:NOR THIS}", B = "${file:gone.txt}", C = "${HOME}", D = "${vault:x}", E = "•••••••" }
      |                                                                            ^^^^^^^
      = help: write ${env:HOME}; for the characters themselves write $${

    DIR/c.toml:4:91: error: only ${env:NAME} and ${file:PATH} can be put into a text
      |
    4 | headers = { A = "${env:NOPE}${env:NOR THIS}", B = "${file:gone.txt}", C = "${HOME}", D = "${vault:x}", E = "•••••••" }
      |                                                                                           ^^^^^^^^^^
      = help: for the characters themselves write $${

    DIR/c.toml:4:109: error: the reference has no end
      |
    4 | headers = { A = "${env:NOPE}${env:NOR THIS}", B = "${file:gone.txt}", C = "${HOME}", D = "${vault:x}", E = "•••••••" }
      |                                                                                                             ^^^^^^^
      = help: write ${env:NAME} or ${file:PATH}; for the characters themselves write $${

    DIR/c.toml:6:13: warning: the environment variable EMPTY is empty
      |
    6 | command = ["${env:EMPTY}", "a\n${env:NOPE}"]
      |             ^^^^^^^^^^^^

    DIR/c.toml:6:28: error: the environment variable NOPE is not set
      |
    6 | command = ["${env:EMPTY}", "a\n${env:NOPE}"]
      |                            ^^^^^^^^^^^^^^^^
      = help: set it; if it may be missing, write ${env:NOPE:-default}
    "#);
}

#[test]
fn references_are_replaced_by_what_they_lead_to() {
    let files = Files::new(&[
        (
            "c.toml",
            r#"
[upstream.a]
command = ["x", "${env:HOME}/${env:NOPE:-default}", "$${env:HOME}", "$HOME", "${env:EMPTY:-e}"]
env = { SECRET = "${file:sub/secret.txt}" }
"#,
        ),
        ("sub/secret.txt", "s3cret\n\n"),
    ]);
    let loaded = files.load("c.toml");
    assert_eq!(crate::said(&loaded), "");
    let plan = loaded.plan.unwrap();
    let child = crate::child(&plan);
    assert_eq!(child.args, ["/home/me/default", "${env:HOME}", "$HOME", "e"]);
    assert_eq!(child.env["SECRET"], "s3cret");
    assert_eq!(loaded.files, [files.path("c.toml"), files.path("sub/secret.txt")]);
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let files = Files::new(&[]);
    std::fs::write(files.path("latin.toml"), b"a = 1\nb = \"\xe9\"\n").unwrap();
    assert_snapshot!(files.check("gone.toml") + &files.check("latin.toml") + &files.check(""), @r#"
    DIR/gone.toml: error: cannot be read: no such file or directory
      = help: name a file that is there: portolan.toml, or the file of a client
    DIR/latin.toml: error: cannot be read: line 2 is not UTF-8
    DIR/: error: cannot be read: is a directory
      = help: name the file, such as portolan.toml or the mcp.json of a client
    "#);
    assert_eq!(files.load("gone.toml").files, [files.path("gone.toml")]);
}

#[test]
fn what_a_file_is_is_told_by_its_name_or_its_beginning() {
    let toml = "[upstream.a]\ncommand = \"x\"\n";
    let json = "// mine\n{ \"mcpServers\": { \"a\": { \"command\": \"x\" } } }";
    let files = Files::new(&[
        ("a.toml", toml),
        ("b.json", json),
        ("c.conf", toml),
        ("d.conf", json),
        ("e.jsonc", json),
    ]);
    for name in ["a.toml", "b.json", "c.conf", "d.conf", "e.jsonc"] {
        assert_eq!(files.check(name), "", "{name}");
    }
    std::fs::write(files.path("bom.json"), format!("\u{feff}{json}")).unwrap();
    std::fs::write(files.path("bom.toml"), format!("\u{feff}{toml}")).unwrap();
    assert_eq!(files.check("bom.json") + &files.check("bom.toml"), "");
}

#[test]
fn places_are_lines_and_columns_and_bytes() {
    let loaded = load("# ü\n[upstream.a]\ncommand = \"x\"\n\"ärger\" = 1\n");
    let place = loaded.diagnostics[0].place.clone().unwrap();
    assert_eq!((place.line, place.column), (4, 1));
    assert_eq!(loaded.diagnostics[0].line(), "portolan.toml:4:1: error: unknown key \"ärger\"");
    assert_eq!(place.span, 32..40);
}

#[test]
fn colours_are_for_terminals() {
    let loaded = load("[upstream.a]\ncommand = 1\n");
    let plain = loaded.diagnostics[0].render(false);
    let coloured = loaded.diagnostics[0].render(true);
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[1;31merror\x1b[0m"));
    let mut stripped = coloured;
    for code in ["\x1b[1m", "\x1b[0m", "\x1b[1;31m", "\x1b[34m", "\x1b[36m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain);
}

#[test]
fn of_a_long_line_only_what_matters_is_shown() {
    let server = r#""a": { "command": "x", "args": [] },"#;
    let servers: String = (0..20).map(|n| server.replace("\"a\"", &format!("\"s{n}\""))).collect();
    let last = r#""b": { "comand": "y", "url": "http://localhost" }"#;
    let text = format!("{{ \"mcpServers\": {{ {servers} {last} }} }}");
    let source = config::Source { path: "m.json".into(), text };
    assert_snapshot!(crate::said(&config::load_text(source, &env)), @r#"
    m.json:1:777: warning: unknown member "comand"
      |
    1 | …command": "x", "args": [] },"s19": { "command": "x", "args": [] }, "b": { "comand": "y", "url": "http://localhost" } } }
      |                                                                            ^^^^^^^^
      = help: did you mean "command"?
    "#);
}
