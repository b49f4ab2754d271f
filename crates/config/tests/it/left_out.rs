//! One bad entry of another client's file costs that entry, and not the others.

use base::plan::PrefixRule;
use config::{Severity, Source};
use insta::assert_snapshot;

use crate::{Files, check, load, names, said};

const GOOD: &str = r#""good": { "command": "true" }"#;

/// What is said of a good entry with another one, which is left out.
fn beside(bad: &str) -> String {
    let text = format!("{{ \"mcpServers\": {{\n  {GOOD},\n  {bad}\n}} }}");
    let files = Files::new(&[("mcp.json", &text)]);
    let loaded = files.load("mcp.json");
    let told = files.named(&said(&loaded));
    let plan = loaded.plan.expect("the good one can be used");
    assert_eq!(names(&plan), ["good"], "{told}");
    assert_eq!(plan.routes[0].upstreams, ["good"], "{told}");
    let [left] = plan.left_out.as_slice() else { panic!("{told}") };
    let first = loaded.diagnostics.iter().find(|found| found.message.contains("left out"));
    assert!(first.unwrap().message.ends_with(&left.why), "{told}");
    format!("{}: {}", left.name, left.why)
}

#[test]
fn every_kind_of_bad_entry_is_left_out_with_its_reason() {
    let all = [
        r#""b": { "command": "x", "env": { "K": "${NO_SUCH_KEY}" } }"#,
        r#""b": { "command": "x", "args": ["${NO_SUCH_KEY}"] }"#,
        r#""b": { "url": "https://${NO_SUCH_HOST}/mcp" }"#,
        r#""b": { "args": ["x"] }"#,
        r#""b": { "command": "" }"#,
        r#""b": { "command": "x", "args": [3000] }"#,
        r#""b": { "command": "x", "args": "-y" }"#,
        r#""b": { "command": "x", "env": ["A=1"] }"#,
        r#""b": { "type": "ws", "url": "wss://mcp.example.com" }"#,
        r#""b": { "type": "http", "command": "x" }"#,
        r#""b": { "url": "mcp.example.com" }"#,
        r#""b": { "url": "http://localhost/mcp", "headers": { "A B": "x" } }"#,
        r#""b": { "command": "x", "disabled": "true" }"#,
        r#""b": { "command": "x", "command": "y" }"#,
        r#""b": { "command": "x", "cwd": "/does/not/exist" }"#,
        r#""b": { "command": "x", "timeout": -1 }"#,
        r#""b": [ "x" ]"#,
        r#""b": "x""#,
        r#""b": null"#,
        r#""天気": { "command": "x" }"#,
        r#""GOOD": { "command": "x" }"#,
        r#""good__er": { "command": "x" }"#,
        r#""": { "command": "x" }"#,
        r#""(portolan)": { "command": "x" }"#,
        r#""xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": { "command": "x" }"#,
        r#""xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": { "command": "x" }"#,
    ];
    assert_snapshot!(all.map(beside).join("\n"), @r#"
    b: the environment variable NO_SUCH_KEY is not set
    b: the environment variable NO_SUCH_KEY is not set
    b: the environment variable NO_SUCH_HOST is not set
    b: upstream "b" has neither a url nor a command
    b: the command is empty
    b: expected text in quotes, found a whole number
    b: expected a list, found text
    b: expected names and values, found a list
    b: there is no transport "ws"
    b: a server of type "http" needs a url
    b: expected a URL
    b: "A B" is no name of a header
    b: expected true or false, found text
    b: "command" stands here twice
    b: there is no directory /does/not/exist
    b: expected a number that is not negative
    b: expected a server, found a list
    b: expected a server, found text
    b: expected a server, found null
    天気: upstream "天気" needs a prefix among the others
    GOOD: "GOOD" and "good" have the same prefix "good__"
    good__er: names that begin with "good__er__" and "good__" cannot be told apart
    : this cannot be the name of an upstream
    (portolan): "(portolan)" is what Portolan itself is called
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: the name of an upstream has at most 64 characters
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: the prefix "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx__" leaves 7 characters for names
    "#);
}

#[test]
fn all_that_is_wrong_with_an_entry_is_said() {
    let text = format!(
        r#"{{ "mcpServers": {{
  {GOOD},
  "bad": {{ "command": "x", "args": [1, true], "env": {{ "A": "${{NO_SUCH_KEY}}" }} }}
}} }}"#
    );
    assert_snapshot!(Files::new(&[("mcp.json", &text)]).check("mcp.json"), @r#"
    DIR/mcp.json:3:37: warning: "bad" is left out: expected text in quotes, found a whole number
      |
    3 |   "bad": { "command": "x", "args": [1, true], "env": { "A": "${NO_SUCH_KEY}" } }
      |                                     ^
      = help: put it in quotes

    DIR/mcp.json:3:40: warning: "bad" is left out: expected text in quotes, found true or false
      |
    3 |   "bad": { "command": "x", "args": [1, true], "env": { "A": "${NO_SUCH_KEY}" } }
      |                                        ^^^^
      = help: put it in quotes

    DIR/mcp.json:3:62: warning: "bad" is left out: the environment variable NO_SUCH_KEY is not set
      |
    3 |   "bad": { "command": "x", "args": [1, true], "env": { "A": "${NO_SUCH_KEY}" } }
      |                                                              ^^^^^^^^^^^^^^
      = help: set it; if it may be missing, write ${NO_SUCH_KEY:-default}
    "#);
}

#[test]
fn a_file_of_which_nothing_is_left_is_refused() {
    let text = r#"{ "mcpServers": { "a": { "args": ["x"] }, "b": { "command": "x", "env": { "K": "${NO_SUCH_KEY}" } }, "c": { "command": "x", "disabled": true } } }"#;
    assert_snapshot!(Files::new(&[("mcp.json", text)]).check("mcp.json"), @r#"
    DIR/mcp.json:1:19: error: upstream "a" has neither a url nor a command
      |
    1 | { "mcpServers": { "a": { "args": ["x"] }, "b": { "command": "x", "env": { "K": "${NO_SUCH_KEY}" } }, "c": { "command": "…
      |                   ^^^
      = help: give it a "url", or a "command" and "args"

    DIR/mcp.json:1:81: error: the environment variable NO_SUCH_KEY is not set
      |
    1 | …args": ["x"] }, "b": { "command": "x", "env": { "K": "${NO_SUCH_KEY}" } }, "c": { "command": "x", "disabled": true } } }
      |                                                        ^^^^^^^^^^^^^^
      = help: set it; if it may be missing, write ${NO_SUCH_KEY:-default}
    "#);
}

#[test]
fn what_is_switched_off_need_not_be_right() {
    let text = format!(
        r#"{{ "mcpServers": {{ {GOOD}, "b": {{ "command": 5, "args": [7], "disabled": true }} }} }}"#
    );
    let loaded = Files::new(&[("mcp.json", &text)]).load("mcp.json");
    assert_eq!(said(&loaded), "");
    assert!(loaded.plan.unwrap().left_out.is_empty());
}

/// A tool is called the same before and after the other server is mended.
#[test]
fn names_do_not_depend_on_what_is_left_out() {
    let prefix = |others: &str| {
        let text = format!(r#"{{ "mcpServers": {{ {GOOD}{others} }} }}"#);
        Files::new(&[("mcp.json", &text)]).load("mcp.json").plan.unwrap().routes[0].naming.prefix
    };
    assert_eq!(prefix(r#", "b": { "args": [] }"#), PrefixRule::Always);
    assert_eq!(prefix(r#", "b": { "command": "x" }"#), PrefixRule::Always);
    assert_eq!(prefix(r#", "b": { "command": "x", "disabled": true }"#), PrefixRule::Auto);
    assert_eq!(prefix(""), PrefixRule::Auto);
}

#[test]
fn a_reason_shows_no_secret() {
    let text = format!(
        r#"{{ "mcpServers": {{
  {GOOD},
  "b": {{ "command": "x", "cwd": "/srv/${{KEY}}" }},
  "c": {{ "command": "x", "env": {{ "K": "${{KEY}}" }} }}
}} }}"#
    );
    let env = |name: &str| (name == "KEY").then(|| "s3cret-of-the-environment".to_owned());
    let loaded = config::load_text(Source { path: "mcp.json".into(), text }, &env);
    let why = loaded.plan.as_ref().unwrap().left_out[0].why.clone();
    assert_eq!(why, "there is no directory /srv/${env:KEY}");
    assert!(!said(&loaded).contains("s3cret"));
}

#[test]
fn portolans_own_file_stays_strict() {
    let text = "[upstream.good]\ncommand = \"true\"\n[upstream.bad]\ncommand = \"true\"\nenv = { K = \"${env:NO_SUCH_KEY}\" }\n";
    let loaded = load(text);
    assert!(loaded.plan.is_none());
    assert_eq!(loaded.diagnostics[0].severity, Severity::Error);
    assert!(!check(text).contains("left out"));
}
