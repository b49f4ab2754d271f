//! Routes, and names that point at something.

use base::plan::SchemaRule;

use base::plan::PrefixRule;
use insta::assert_snapshot;

use crate::{check, usable};

const THREE: &str =
    "upstream.github.command = 'x'\nupstream.files.command = 'x'\nupstream.search.command = 'x'\n";

#[test]
fn without_routes_one_leads_to_everything() {
    let plan = usable(THREE);
    assert_eq!(plan.routes.len(), 1);
    let route = &plan.routes[0];
    assert_eq!((route.name.as_str(), route.path.as_str()), ("main", "/mcp"));
    assert_eq!(route.upstreams, ["github", "files", "search"]);
    assert!(route.listeners.is_empty() && route.page_size.is_none());
    assert_eq!(plan.upstreams[0].prefix, "github");
}

#[test]
fn routes_choose_and_order() {
    let plan = usable(&format!(
        "{THREE}
[listener.main]
[listener.other]
address = \"[::1]:9000\"
[route.a]
upstreams = [\"search\", \"github\"]
listeners = [\"other\"]
naming = {{ prefix = \"always\", separator = \".\", max_length = 128 }}
page_size = 10
[route.b]
path = \"/\"
[route.c]
listeners = [\"main\"]
"
    ));
    let route = &plan.routes[0];
    assert_eq!(route.upstreams, ["search", "github"]);
    assert_eq!(
        (route.naming.prefix, route.naming.separator.as_str(), route.naming.max_length),
        (PrefixRule::Always, ".", 128)
    );
    assert_eq!(route.page_size, Some(10));
    assert_eq!(plan.routes[2].listeners, ["main"]);
}

#[test]
fn names_that_lead_nowhere_are_told_with_those_that_do() {
    assert_snapshot!(check(&format!("{THREE}
[listener.main]
[route.a]
upstreams = [\"github\", \"fils\", \"jira\", \"github\"]
listeners = [\"mian\"]
[route.b]
path = \"/b\"
upstreams = []
listeners = []
")), @r#"
    portolan.toml:2:10: warning: no route leads to upstream "files"
      |
    2 | upstream.files.command = 'x'
      |          ^^^^^
      = help: add it to the upstreams of a route, or write disabled = true

    portolan.toml:3:10: warning: no route leads to upstream "search"
      |
    3 | upstream.search.command = 'x'
      |          ^^^^^^
      = help: add it to the upstreams of a route, or write disabled = true

    portolan.toml:7:24: error: there is no upstream "fils"
      |
    7 | upstreams = ["github", "fils", "jira", "github"]
      |                        ^^^^^^
      = help: did you mean "files"?

    portolan.toml:7:32: error: there is no upstream "jira"
      |
    7 | upstreams = ["github", "fils", "jira", "github"]
      |                                ^^^^^^
      = help: there is "github", "files" and "search"

    portolan.toml:7:40: error: upstream "github" stands here twice
      |
    7 | upstreams = ["github", "fils", "jira", "github"]
      |                                        ^^^^^^^^
      :
    7 | upstreams = ["github", "fils", "jira", "github"]
      |              -------- the first is here

    portolan.toml:8:14: error: there is no listener "mian"
      |
    8 | listeners = ["mian"]
      |              ^^^^^^
      = help: did you mean "main"?

    portolan.toml:11:13: warning: route "b" leads to no server
       |
    11 | upstreams = []
       |             ^^

    portolan.toml:12:13: error: a route is served by at least one listener
       |
    12 | listeners = []
       |             ^^
       = help: leave it out for all
    "#);
}

#[test]
fn the_default_listener_can_be_named() {
    assert_eq!(check(&format!("{THREE}route.a.listeners = [\"main\"]\n")), "");
}

#[test]
fn what_nothing_leads_to_is_told() {
    assert_snapshot!(check(&format!("{THREE}
[listener.a]
[listener.b]
address = \"127.0.0.1:9000\"
[route.a]
upstreams = [\"github\"]
listeners = [\"a\"]
")), @r#"
    portolan.toml:2:10: warning: no route leads to upstream "files"
      |
    2 | upstream.files.command = 'x'
      |          ^^^^^
      = help: add it to the upstreams of a route, or write disabled = true

    portolan.toml:3:10: warning: no route leads to upstream "search"
      |
    3 | upstream.search.command = 'x'
      |          ^^^^^^
      = help: add it to the upstreams of a route, or write disabled = true

    portolan.toml:6:11: warning: no route is served by listener "b"
      |
    6 | [listener.b]
      |           ^
    "#);
}

#[test]
fn one_path_of_a_listener_leads_to_one_route() {
    assert_snapshot!(check(&format!("{THREE}
[route.a]
[route.b]
path = \"/mcp\"
[route.c]
path = \"/mcp/\"
")), @r#"
    portolan.toml:7:8: error: the path "/mcp" leads to route "a" already
      |
    7 | path = "/mcp"
      |        ^^^^^^
      :
    5 | [route.a]
      |        - here
      = help: give it another path, or another listener

    portolan.toml:9:8: warning: clients must write the '/' at the end, too
      |
    9 | path = "/mcp/"
      |        ^^^^^^^
      = help: write "/mcp"
    "#);
}

#[test]
fn no_route_stands_where_pages_are() {
    let routes = "[route.a]\npath = \"/.portolan/approvals\"\n[route.b]\npath = \"/.portolans\"\n";
    assert_snapshot!(check(&format!("{THREE}{routes}")), @r#"
    portolan.toml:5:8: error: /.portolan is for pages of Portolan's own
      |
    5 | path = "/.portolan/approvals"
      |        ^^^^^^^^^^^^^^^^^^^^^^
      = help: give the route another path
    "#);
}

#[test]
fn paths_are_checked() {
    let routes = ["mcp", "/a b", "/a?b", "http://localhost:8808/mcp", "", "/a//b", "/ä#c"];
    let routes: String =
        routes.iter().enumerate().map(|(n, path)| format!("[route.r{n}]\npath = \"{path}\"\n")).collect();
    assert_snapshot!(check(&format!("{THREE}{routes}")), @r#"
    portolan.toml:5:8: error: expected a path such as "/mcp"
      |
    5 | path = "mcp"
      |        ^^^^^
      = help: a path begins with '/', and has no query, no spaces and no empty parts

    portolan.toml:7:8: error: expected a path such as "/mcp"
      |
    7 | path = "/a b"
      |        ^^^^^^
      = help: a path begins with '/', and has no query, no spaces and no empty parts

    portolan.toml:9:8: error: expected a path such as "/mcp"
      |
    9 | path = "/a?b"
      |        ^^^^^^
      = help: a path begins with '/', and has no query, no spaces and no empty parts

    portolan.toml:11:8: error: expected a path such as "/mcp"
       |
    11 | path = "http://localhost:8808/mcp"
       |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = help: write "/mcp"; host and port belong to a listener

    portolan.toml:13:8: error: expected a path such as "/mcp"
       |
    13 | path = ""
       |        ^^
       = help: a path begins with '/', and has no query, no spaces and no empty parts

    portolan.toml:15:8: error: expected a path such as "/mcp"
       |
    15 | path = "/a//b"
       |        ^^^^^^^
       = help: a path begins with '/', and has no query, no spaces and no empty parts

    portolan.toml:17:8: error: expected a path such as "/mcp"
       |
    17 | path = "/ä#c"
       |        ^^^^^^
       = help: a path begins with '/', and has no query, no spaces and no empty parts
    "#);
}

#[test]
fn names_that_cannot_be_told_apart_are_told() {
    assert_snapshot!(check(r#"
[upstream.GitHub]
command = "x"
[upstream.github]
command = "x"
[upstream.a]
command = "x"
[upstream.other]
command = "x"
prefix = "a__b"
[upstream.c]
command = "x"
prefix = "a_"
[upstream."日本"]
command = "x"
"#), @r#"
    portolan.toml:4:11: error: "github" and "GitHub" have the same prefix "github__"
      |
    4 | [upstream.github]
      |           ^^^^^^
      :
    2 | [upstream.GitHub]
      |           ------ this is the other
      = help: give upstream "github" one: prefix = "…", of the letters a to z, digits, '_' and '-'

    portolan.toml:10:10: error: names that begin with "a__b__" and "a__" cannot be told apart
       |
    10 | prefix = "a__b"
       |          ^^^^^^
       :
     6 | [upstream.a]
       |           - this is the other
       = help: give upstream "other" one: prefix = "…", of the letters a to z, digits, '_' and '-'

    portolan.toml:13:10: error: names that begin with "a___" and "a__" cannot be told apart
       |
    13 | prefix = "a_"
       |          ^^^^
       :
     6 | [upstream.a]
       |           - this is the other
       = help: give upstream "c" one: prefix = "…", of the letters a to z, digits, '_' and '-'

    portolan.toml:14:11: error: upstream "日本" needs a prefix among the others
       |
    14 | [upstream."日本"]
       |           ^^^^
       = help: give upstream "日本" one: prefix = "…", of the letters a to z, digits, '_' and '-'
    "#);
}

#[test]
fn names_need_no_prefix_where_there_is_one_server() {
    let plan = usable("upstream.\"日本\".command = 'x'\n");
    assert_eq!(plan.upstreams[0].prefix, "");
    let plan = usable("upstream.\"My Server (v2)\".command = 'x'\n");
    assert_eq!(plan.upstreams[0].prefix, "my-server--v2-");
    usable("upstream.GitHub.command = 'x'\nupstream.github.command = 'x'\nroute.a.naming.prefix = 'never'\n");
}

#[test]
fn a_prefix_must_leave_room() {
    assert_snapshot!(check(r#"
[upstream.a-server-with-a-name-that-goes-on-and-on-and-on]
command = "x"
[upstream.b]
command = "x"
prefix = "With Space"
[route.a]
naming = { max_length = 8, separator = "::" }
"#), @r#"
    portolan.toml:2:11: error: the prefix "a-server-with-a-name-that-goes-on-and-on-and-on__" leaves 0 characters for names of route "a"
      |
    2 | [upstream.a-server-with-a-name-that-goes-on-and-on-and-on]
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write a shorter prefix = "…", or a larger naming.max_length of the route

    portolan.toml:6:10: error: a prefix is made of the letters a to z, digits, '_' and '-'
      |
    6 | prefix = "With Space"
      |          ^^^^^^^^^^^^
      = help: write "with-space"

    portolan.toml:8:25: error: must be from 16 to 128
      |
    8 | naming = { max_length = 8, separator = "::" }
      |                         ^

    portolan.toml:8:40: error: this cannot stand between prefix and name
      |
    8 | naming = { max_length = 8, separator = "::" }
      |                                        ^^^^
      = help: a separator has 1 to 8 letters, digits, '_', '-' or '.'; many clients take no '.'
    "#);
}

#[test]
fn names_are_what_can_be_shown() {
    assert_snapshot!(check(&format!("
[upstream.\"\"]
command = \"x\"
[upstream.\" a\"]
command = \"x\"
[upstream.\"a\\nb\"]
command = \"x\"
[upstream.{}]
command = \"x\"
[route.a]
naming.prefix = \"never\"
", "x".repeat(65))), @r#"
    portolan.toml:2:11: error: this cannot be the name of an upstream
      |
    2 | [upstream.""]
      |           ^^
      = help: a name is not empty, does not begin or end with a space, and has no control characters

    portolan.toml:4:11: error: this cannot be the name of an upstream
      |
    4 | [upstream." a"]
      |           ^^^^
      = help: a name is not empty, does not begin or end with a space, and has no control characters

    portolan.toml:6:11: error: this cannot be the name of an upstream
      |
    6 | [upstream."a\nb"]
      |           ^^^^^^
      = help: a name is not empty, does not begin or end with a space, and has no control characters

    portolan.toml:8:11: error: the name of an upstream has at most 64 characters
      |
    8 | [upstream.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn names_are_as_long_as_clients_take_and_a_prefix_needs() {
    let naming = |text: &str| usable(text).routes[0].naming.clone();
    assert_eq!(naming(THREE).max_length, 45);
    assert_eq!(naming(THREE).alphabet, base::plan::Alphabet::Safe);
    let long = "upstream.a-name-of-thirty-six-characters-this.command = 'x'\nupstream.b.command = 'x'\n";
    assert_eq!(naming(long).max_length, 36 + 2 + 16);
    let chosen = format!("{THREE}route.a.naming = {{ max_length = 64, alphabet = 'any' }}\n");
    assert_eq!(naming(&chosen).max_length, 64);
    assert_eq!(naming(&chosen).alphabet, base::plan::Alphabet::Any);
}

#[test]
fn what_becomes_of_odd_entries_is_said_by_upstream() {
    for (text, rule) in [
        ("", None),
        ("schema = 'repair'", Some(SchemaRule::Repair)),
        ("schema = 'pass'", Some(SchemaRule::Pass)),
        ("schema = 'drop'", Some(SchemaRule::Drop)),
    ] {
        assert_eq!(usable(&format!("[upstream.a]\ncommand = 'x'\n{text}\n")).upstreams[0].schema, rule);
    }
}
