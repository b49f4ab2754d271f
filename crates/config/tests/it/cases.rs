//! What people's files have that is odd, and is read all the same, or is told as what it is.

use base::plan::Reach;
use insta::assert_snapshot;

use crate::{Files, child, names, said};

#[test]
fn a_mark_and_line_ends_of_windows_are_no_matter() {
    let text = "\u{feff}{\r\n  \"mcpServers\": {\r\n    \"a\": { \"command\": \"x\", \"args\": [1] },\r\n    \"b\": { \"command\": \"x\" }\r\n  }\r\n}\r\n";
    let files = Files::new(&[("mcp.json", text)]);
    assert_snapshot!(files.check("mcp.json"), @r#"
    DIR/mcp.json:3:37: warning: "a" is left out: expected text in quotes, found a whole number
      |
    3 |     "a": { "command": "x", "args": [1] },
      |                                     ^
      = help: put it in quotes
    "#);
    let toml = "\u{feff}[mcp_servers.a]\r\ncommand = \"x\"\r\n";
    let files = Files::new(&[("config.toml", toml)]);
    assert_eq!(names(&files.load("config.toml").plan.unwrap()), ["a"]);
}

#[test]
fn comments_and_trailing_commas_are_no_matter() {
    let text = r#"{
  // what is switched off for now
  "mcpServers": {
    /* a block */
    "a": { "command": "x", "args": ["y",], "disabled": false, },
    // "b": { "command": "x" },
  },
}"#;
    let loaded = Files::new(&[("mcp.json", text)]).load("mcp.json");
    assert_eq!(said(&loaded), "");
    assert_eq!(names(&loaded.plan.unwrap()), ["a"]);
}

#[test]
fn of_two_blocks_of_servers_one_is_read_and_the_other_told() {
    let text = r#"{ "mcpServers": { "a": { "command": "x" } }, "servers": { "b": { "command": "x" } } }"#;
    let files = Files::new(&[("mcp.json", text)]);
    assert_eq!(names(&files.load("mcp.json").plan.unwrap()), ["a"]);
    assert_snapshot!(files.check("mcp.json"), @r#"
    DIR/mcp.json:1:46: warning: "servers" is not read, since there is "mcpServers"
      |
    1 | { "mcpServers": { "a": { "command": "x" } }, "servers": { "b": { "command": "x" } } }
      |                                              ^^^^^^^^^
      = help: move its servers into "mcpServers"
    "#);
}

#[test]
fn what_stands_twice_costs_no_more_than_itself() {
    let block = r#"{ "mcpServers": { "a": { "command": "x" } }, "mcpServers": { "b": { "command": "x" } } }"#;
    let server =
        r#"{ "mcpServers": { "a": { "command": "x" }, "a": { "command": "y" }, "b": { "command": "z" } } }"#;
    let member = r#"{ "mcpServers": { "a": { "command": "x", "command": "y" }, "b": { "command": "z" } } }"#;
    let told = [block, server, member].map(|text| {
        let files = Files::new(&[("mcp.json", text)]);
        let served = files.load("mcp.json").plan.map(|plan| names(&plan).join(", "));
        format!("{}serves: {}\n", files.check("mcp.json"), served.unwrap_or_default())
    });
    assert_snapshot!(told.join("\n"), @r#"
    DIR/mcp.json:1:46: error: "mcpServers" stands here twice
      |
    1 | { "mcpServers": { "a": { "command": "x" } }, "mcpServers": { "b": { "command": "x" } } }
      |                                              ^^^^^^^^^^^^
      :
    1 | { "mcpServers": { "a": { "command": "x" } }, "mcpServers": { "b": { "command": "x" } } }
      |   ------------ the first is here
      = help: leave out one of them
    serves: 

    DIR/mcp.json:1:44: warning: "a" is left out: "a" stands here twice
      |
    1 | { "mcpServers": { "a": { "command": "x" }, "a": { "command": "y" }, "b": { "command": "z" } } }
      |                                            ^^^
      :
    1 | { "mcpServers": { "a": { "command": "x" }, "a": { "command": "y" }, "b": { "command": "z" } } }
      |                   --- the first is here
      = help: leave out one of them
    serves: b

    DIR/mcp.json:1:42: warning: "a" is left out: "command" stands here twice
      |
    1 | { "mcpServers": { "a": { "command": "x", "command": "y" }, "b": { "command": "z" } } }
      |                                          ^^^^^^^^^
      :
    1 | { "mcpServers": { "a": { "command": "x", "command": "y" }, "b": { "command": "z" } } }
      |                          --------- the first is here
      = help: leave out one of them
    serves: b
    "#);
}

#[test]
fn names_of_every_kind_are_served_where_they_can_be_told_apart() {
    let all = [
        "My Server",
        "com.example/weather",
        "天気",
        "Internet Search (Tavily)",
        "a__b",
        "UPPER",
        "upper",
        &"x".repeat(70),
        "_",
        "-",
        "emoji 🌍",
        "ex:port@1",
    ];
    let servers: Vec<_> = all.iter().map(|name| format!("{name:?}: {{ \"command\": \"x\" }}")).collect();
    let text = format!("{{ \"mcpServers\": {{ {} }} }}", servers.join(", "));
    let plan = Files::new(&[("mcp.json", &text)]).load("mcp.json").plan.unwrap();
    let served = plan.upstreams.iter().map(|server| format!("{} as {}__", server.name, server.prefix));
    let left_out = plan.left_out.iter().map(|left| format!("{}: {}", left.name, left.why));
    assert_snapshot!(served.chain(left_out).collect::<Vec<_>>().join("\n"), @r#"
    My Server as my-server__
    com.example/weather as com-example-weather__
    Internet Search (Tavily) as internet-search--tavily-__
    a__b as a__b__
    UPPER as upper__
    emoji 🌍 as emoji--__
    ex:port@1 as ex-port-1__
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: the name of an upstream has at most 64 characters
    天気: upstream "天気" needs a prefix among the others
    upper: "upper" and "UPPER" have the same prefix "upper__"
    _: upstream "_" needs a prefix among the others
    -: upstream "-" needs a prefix among the others
    "#);
}

#[test]
fn texts_with_dollars_tildes_and_percents_are_what_they_are() {
    let text = r#"{ "mcpServers": { "a": { "command": "x", "args": ["${HOME}", "${env:HOME}", "$HOME", "$HOME/x", "~/x", "%USERPROFILE%", "${NOPE:-d}", "${NOPE:-}", "${userHome}/y", "${pathSeparator}", "${/}", "$${HOME}", "cost $5", "a$b", "price: $"], "env": { "A": "${LANG:-nobody}", "B": "$LANG", "C": "x$LANG", "EMPTY": "", "N": 5, "T": true, "NUL": null } } } }"#;
    let loaded = Files::new(&[("mcp.json", text)]).load("mcp.json");
    assert_eq!(said(&loaded), "");
    let plan = loaded.plan.unwrap();
    let child = child(&plan);
    let env = child.env.iter().map(|(name, value)| format!("{name}={value}"));
    assert_snapshot!(child.args.iter().cloned().chain(env).collect::<Vec<_>>().join("\n"), @r#"
    /home/me
    /home/me
    /home/me
    $HOME/x
    ~/x
    %USERPROFILE%
    d

    /home/me/y
    /
    /
    ${HOME}
    cost $5
    a$b
    price: $
    A=C.UTF-8
    B=C.UTF-8
    C=x$LANG
    EMPTY=
    HOME=/home/me
    LANG=C.UTF-8
    N=5
    T=true
    "#);
}

#[test]
fn what_clients_note_for_themselves_is_no_matter() {
    let text = r#"{ "mcpServers": {
  "on": { "command": "x", "disabled": false, "alwaysAllow": ["x"], "autoApprove": [], "trust": true, "isActive": true, "timeout": 600 },
  "off": { "command": "x", "disabled": true, "autoApprove": [] },
  "odd": { "command": "x", "disabled": "true" }
} }"#;
    let files = Files::new(&[("mcp.json", text)]);
    let plan = files.load("mcp.json").plan.unwrap();
    assert_eq!(names(&plan), ["on"]);
    assert_eq!(plan.left_out[0].name, "odd");
    assert!(matches!(plan.upstreams[0].reach, Reach::Stdio(_)));
}
