//! Policies: what `portolan policy` says of them, and what they do to those who are served.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{Ended, PORTOLAN, assert_ended, command, finish, run};
use crate::scripted;
use crate::serving::Gateway;

/// Everything that the recipes speak of.
const CONFIG: &str = r#"store = "sqlite:portolan.db"
policy = ["BASE", "rules.cedar"]
[issuer.company]
url = "https://id.example.com"
[upstream.bank]
url = "http://127.0.0.1:1/mcp"
tags = ["money"]
tools.tags = { dangerous = ["pay", "delete_*"] }
[upstream.files]
url = "http://127.0.0.1:2/mcp"
trusted = true
[route.main]
public_url = "https://mcp.example.com/mcp"
issuers = ["company"]
"#;

/// A policy that permits nothing that anybody asks for.
const NOTHING: &str = "@id(\"nothing\")\npermit (principal == Mcp::User::\"nobody\", action, resource);\n";

/// A recipe of the page by one of its ids, whether all is permitted beside it, and what it decides.
const RECIPES: &[(&str, bool, &str)] = &[
    (
        "staff",
        false,
        r#"as = "ann" groups = ["staff"] tool = "bank/pay" expect = "allow"
           as = "bob" groups = ["guests"] tool = "bank/pay" expect = "deny"
           as = "build" issuer = "api-keys" prompt = "files/sum" expect = "allow"
           as = "build" tool = "bank/pay" expect = "deny""#,
    ),
    (
        "sales",
        true,
        r#"as = "ann" claims = { department = "sales" } tool = "bank/pay" expect = "allow"
           as = "ann" claims = { department = "it" } tool = "bank/pay" expect = "deny"
           as = "ann" claims = { department = ["sales"] } tool = "bank/pay" expect = "deny"
           as = "ann" tool = "bank/pay" expect = "deny"
           tool = "bank/balance" expect = "allow""#,
    ),
    (
        "one-tool",
        false,
        r#"as = "ann" groups = ["support"] tool = "bank/balance" expect = "allow"
           as = "ann" groups = ["support"] tool = "files/balance" expect = "deny"
           as = "ann" tool = "bank/balance" expect = "deny""#,
    ),
    (
        "harmless",
        false,
        r#"tool = "bank/balance" expect = "allow"
           tool = "bank/delete_all" expect = "deny"
           prompt = "bank/pay" expect = "deny""#,
    ),
    (
        "reading-files",
        false,
        r#"tool = "files/read" annotations = { readOnlyHint = true } expect = "allow"
           tool = "files/read" expect = "deny"
           tool = "bank/read" annotations = { readOnlyHint = true } expect = "deny""#,
    ),
    (
        "small-amounts",
        true,
        r#"tool = "bank/pay" args = { amount = 100 } expect = "allow"
           tool = "bank/pay" args = { amount = 101 } expect = "deny"
           tool = "bank/pay" args = '{"amount":1e2}' expect = "allow"
           tool = "bank/pay" args = { amount = "1" } expect = "deny"
           tool = "bank/pay" args = '{"amount":1,"\u0061mount":500}' expect = "deny"
           tool = "bank/pay" expect = "deny"
           tool = "bank/balance" expect = "allow""#,
    ),
    (
        "public-files",
        true,
        r#"tool = "files/read" args = { path = "/srv/public/a.txt" } expect = "allow"
           tool = "files/read" args = { path = "/srv/public/../private" } expect = "deny"
           tool = "files/read" args = { path = "/srv/public/%2e%2e/private" } expect = "deny"
           tool = "files/read" args = { path = "/etc/passwd" } expect = "deny"
           tool = "files/read" args = { path = 5 } expect = "deny"
           tool = "files/read" expect = "deny""#,
    ),
    (
        "office-hours",
        true,
        r#"tool = "bank/pay" now = "2026-11-30T08:00:00Z" expect = "allow"
           tool = "bank/pay" now = "2026-11-30T07:59:59Z" expect = "deny"
           tool = "bank/pay" now = "2026-11-30T17:00:00Z" expect = "deny"
           tool = "bank/balance" now = "2026-11-30T03:00:00Z" expect = "allow""#,
    ),
    (
        "strong-login",
        true,
        r#"as = "ann" scopes = ["admin"] acr = "phr" tool = "bank/pay" expect = "allow"
           as = "ann" scopes = ["admin"] tool = "bank/pay" expect = "deny"
           as = "ann" acr = "phr" tool = "bank/pay" expect = "deny"
           tool = "bank/balance" expect = "allow""#,
    ),
    (
        "interns",
        false,
        r#"as = "ann" tool = "bank/pay" expect = "allow"
           as = "kim" groups = ["interns"] tool = "bank/pay" expect = "deny"
           as = "kim" groups = ["interns"] tool = "files/read" expect = "allow""#,
    ),
    (
        "ask-first",
        true,
        r#"as = "ann" tool = "bank/pay" expect = "ask"
           tool = "bank/balance" expect = "allow""#,
    ),
    ("unlisted", true, r#"tool = "bank/audit" expect = "allow""#),
    (
        "trial",
        false,
        r#"as = "ann" groups = ["trial"] tool = "bank/pay" expect = "allow"
           as = "ann" tool = "bank/pay" expect = "deny""#,
    ),
];

fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn policy_in(dir: &TempDir, args: &[&str]) -> Ended {
    finish(command(&[&["policy"], args].concat()).current_dir(dir.path()))
}

/// The Cedar texts of the page.
fn recipes() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policies.md");
    let page = fs::read_to_string(page).unwrap();
    let texts = page.split("```cedar\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    texts.collect()
}

/// Members in lines are cases.
fn table(cases: &str) -> String {
    let keys = [
        "as",
        "groups",
        "issuer",
        "claims",
        "tool",
        "prompt",
        "args",
        "annotations",
        "scopes",
        "acr",
        "now",
        "expect",
    ];
    let mut table = String::new();
    for case in cases.lines() {
        let mut line = case.trim().to_owned();
        for key in keys {
            line = line.replace(&format!(" {key} = "), &format!("\n{key} = "));
        }
        table.push_str(&format!("[[case]]\n{line}\n"));
    }
    table
}

#[test]
fn every_recipe_of_the_page_decides_as_it_says() {
    let texts = recipes();
    assert_eq!(texts.len(), RECIPES.len(), "a recipe without decisions, or the other way round");
    for (id, beside_all, cases) in RECIPES {
        let of = |text: &&String| text.contains(&format!("@id(\"{id}\")"));
        let text = texts.iter().find(of).unwrap_or_else(|| panic!("no recipe {id}"));
        let base = if *beside_all { "allow-all" } else { "nothing.cedar" };
        let dir = files(&[
            ("portolan.toml", &CONFIG.replace("BASE", base)),
            ("nothing.cedar", NOTHING),
            ("rules.cedar", text),
            ("cases.toml", &table(cases)),
        ]);
        let ended = policy_in(&dir, &["test", "cases.toml"]);
        assert_eq!(ended.code, Some(0), "{id}: {ended:?}");
        assert_eq!(ended.stdout, format!("{0} of {0} as expected\n", cases.lines().count()));
    }
}

#[test]
fn the_page_of_the_schema_is_current() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/policy-schema.md");
    let schema = run(&["policy", "schema"]).stdout;
    let text = format!(
        "# What policies can speak of\n\nMade of `portolan policy schema`; how to write policies is in [who may do what](../policies.md).\n\n\
         ```cedarschema\n{schema}```\n"
    );
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &text).unwrap();
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    assert_eq!(found, text, "UPDATE=1 cargo nextest run -p cli the_page_of_the_schema writes it");
}

#[test]
fn what_is_built_in_is_shown_and_is_good() {
    for name in ["allow-all", "annotated", "read-only"] {
        let text = run(&["policy", "show", name]).stdout;
        let dir = files(&[("shown.cedar", &text)]);
        assert_eq!(policy_in(&dir, &["check", "shown.cedar"]).code, Some(0), "{text}");
        assert!(run(&["policy", "show"]).stdout.contains(&text));
    }
    assert_ended!(run(&["policy", "show", "readonly"]), @r#"
    exit: 2
    ----- stderr -----
    error: no policy "readonly" is built in

    hint: did you mean "read-only"?
    "#);
}

#[test]
fn a_new_file_is_good_as_it_is_and_is_written_once() {
    let dir = files(&[]);
    assert_ended!(policy_in(&dir, &["new"]), @r#"
    exit: 0
    ----- stdout -----
    rules.cedar is written; policy = "rules.cedar" in the configuration takes it
    "#);
    assert_ended!(policy_in(&dir, &["check", "rules.cedar"]), @r#"
    exit: 0
    ----- stdout -----
    rules.cedar: 4 policies are good
    "#);
    fs::write(dir.path().join("rules.cedar"), "mine").unwrap();
    assert_ended!(policy_in(&dir, &["new"]), @r#"
    exit: 2
    ----- stderr -----
    error: rules.cedar is there already

    hint: name another file
    "#);
    assert_eq!(fs::read_to_string(dir.path().join("rules.cedar")).unwrap(), "mine");
    assert_eq!(policy_in(&dir, &["new", "rules.txt"]).code, Some(2));
}

#[test]
fn mistakes_in_policies_are_told_with_their_lines() {
    let wrong = "permit (principal, action, resource)\nwhen { resource.colour == \"red\" };\n";
    let dir = files(&[
        ("portolan.toml", &CONFIG.replace("BASE", "allow-all")),
        ("rules.cedar", wrong),
        ("broken.cedar", "permit (principal, action, resource)\n"),
    ]);
    assert_ended!(policy_in(&dir, &["check", "portolan.toml"]), @r##"
    exit: 3
    ----- stderr -----
    rules.cedar:2:8: error: for policy `rules.cedar#1`, attribute `colour` on entity type `Mcp::Tool` not found
      |
    2 | when { resource.colour == "red" };
      |        ^
      = help: did you mean `server`?

    error: portolan.toml cannot be used
    "##);
    assert_ended!(policy_in(&dir, &["check", "broken.cedar"]), @r#"
    exit: 3
    ----- stderr -----
    broken.cedar:1:37: error: unexpected end of input
      |
    1 | permit (principal, action, resource)
      |                                     ^

    error: broken.cedar cannot be used
    "#);
    assert_eq!(finish(command(&["check", "portolan.toml"]).current_dir(dir.path())).code, Some(3));
    assert_eq!(finish(command(&["list", "portolan.toml"]).current_dir(dir.path())).code, Some(3));
    let stranger = "@id(\"x\")\nforbid (principal, action, resource == Mcp::Tool::\"bnak/pay\");\n";
    fs::write(dir.path().join("rules.cedar"), stranger).unwrap();
    assert_ended!(finish(command(&["check", "portolan.toml"]).current_dir(dir.path())), @r#"
    exit: 0
    ----- stdout -----
    portolan.toml can be used, with 1 warning: 2 servers; 2 policies for route "main"
    ----- stderr -----
    rules.cedar:2:40: warning: Mcp::Tool::"bnak/pay" is of no server here
      |
    2 | forbid (principal, action, resource == Mcp::Tool::"bnak/pay");
      |                                        ^
      = help: they call a server by the name of its table, and a tool SERVER/TOOL
    "#);
    assert_ended!(policy_in(&dir, &["check", "portolan.toml"]), @r#"
    exit: 0
    ----- stdout -----
    portolan.toml: 2 policies are good for route "main"
    ----- stderr -----
    rules.cedar:2:40: warning: Mcp::Tool::"bnak/pay" is of no server here
      |
    2 | forbid (principal, action, resource == Mcp::Tool::"bnak/pay");
      |                                        ^
      = help: they call a server by the name of its table, and a tool SERVER/TOOL
    "#);
    assert_eq!(policy_in(&dir, &["check", "portolan.toml", "--strict"]).code, Some(3));
    fs::write(dir.path().join("rules.cedar"), stranger.replace("bnak", "bank")).unwrap();
    assert_eq!(policy_in(&dir, &["check", "portolan.toml", "--strict"]).code, Some(0));
}

#[test]
fn what_is_seldom_meant_is_a_warning() {
    let text = "permit (principal, action, resource);\n\nforbid (principal, action == Mcp::Action::\"call\", resource)\nwhen {\n  \
                context.arguments.hasTag(\"/n\") &&\n  context.arguments.getTag(\"/n\") == context.arguments.getTag(\"/n\")\n};\n";
    let dir = files(&[("rules.cedar", text)]);
    assert_ended!(policy_in(&dir, &["check", "--strict", "rules.cedar"]), @r##"
    exit: 3
    ----- stderr -----
    rules.cedar:3:1: warning: rules.cedar#2: a forbid with `when` forbids nothing where the argument is missing or of another type
      |
    3 | forbid (principal, action == Mcp::Action::"call", resource)
      | ^
      = help: say with `unless` what is right: then everything else is forbidden

    error: rules.cedar cannot be used
    "##);
    assert_eq!(policy_in(&dir, &["check", "rules.cedar"]).code, Some(0));
    // What the docs show, and what a first file has, is meant.
    for recipe in recipes() {
        fs::write(dir.path().join("recipe.cedar"), recipe).unwrap();
        let ended = policy_in(&dir, &["check", "--strict", "recipe.cedar"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    }
    assert_eq!(policy_in(&dir, &["new", "new.cedar"]).code, Some(0));
    assert_eq!(policy_in(&dir, &["check", "--strict", "new.cedar"]).code, Some(0));
}

#[test]
fn a_decision_is_explained() {
    let text = recipes().into_iter().find(|text| text.contains("small-amounts")).unwrap();
    let dir = files(&[("portolan.toml", &CONFIG.replace("BASE", "allow-all")), ("rules.cedar", &text)]);
    let explain = |args: &[&str]| policy_in(&dir, &[&["explain", "portolan.toml"], args].concat());
    let pay = ["--as", "ann", "--group", "staff", "--tool", "bank/pay", "--args"];
    assert_ended!(explain(&[&pay[..], &[r#"{"amount": 100, "to": "x"}"#]].concat()), @r#"
    exit: 0
    ----- stdout -----
    allowed: ann calls bank/pay on route main
    permitted by allow-all
      allow-all:2:1: permit (principal, action, resource);
    what policies see of the arguments:
      /amount  integer 100
    "#);
    assert_ended!(explain(&[&pay[..], &[r#"{"amount": "1000"}"#]].concat()), @r##"
    exit: 1
    ----- stdout -----
    denied: ann calls bank/pay on route main
    forbidden by small-amounts
      rules.cedar:1:1: forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/pay")
    the caller is told: at most 100 can be paid here
    what policies see of the arguments:
      /amount  string "1000"
    to be allowed: what is above must not match; whatever permits it, a forbid wins
      small-amounts (rules.cedar:1:1) would not match with
        context.arguments.getTag("/amount") has integer
    "##);
    let asks = files(&[
        ("portolan.toml", &CONFIG.replace("BASE", "allow-all")),
        (
            "rules.cedar",
            "@id(\"a\") @approval(\"it is money\") @approvers(\"company/leads\")\nforbid (principal, action == Mcp::Action::\"call\", resource == Mcp::Tool::\"bank/pay\");\n",
        ),
    ]);
    assert_ended!(policy_in(&asks, &["explain", "portolan.toml", "--as", "ann", "--tool", "bank/pay"]), @r#"
    exit: 1
    ----- stdout -----
    ask: ann calls bank/pay on route main
    to be approved first, by a
      rules.cedar:1:1: forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/pay");
    one of company/leads is asked to approve it: it is money
    to be allowed: somebody must approve it; what is approved is done once
    "#);
    assert_ended!(explain(&["--tool", "bnak/pay"]), @r#"
    exit: 2
    ----- stderr -----
    error: route "main" has no server "bnak"

    hint: did you mean "bank"?
    "#);
    assert_ended!(explain(&["--tool", "bank/pay", "--group", "staff"]), @r#"
    exit: 2
    ----- stderr -----
    error: of somebody unknown nothing is known

    hint: say who it is, with --as NAME
    "#);
}

#[test]
fn a_table_says_which_decisions_are_others() {
    let cases = "[[case]]\nname = \"all may look\"\ntool = \"bank/balance\"\nexpect = \"allow\"\n\
                 [[case]]\nname = \"all may pay\"\ntool = \"bank/pay\"\nexpect = \"allow\"\n\
                 [[case]]\nas = \"ann\"\ntool = \"files/read\"\nexpect = \"deny\"\n";
    let forbids = "@id(\"no-pay\")\nforbid (principal, action, resource == Mcp::Tool::\"bank/pay\");\n";
    let dir = files(&[
        ("portolan.toml", &CONFIG.replace("BASE", "allow-all")),
        ("rules.cedar", forbids),
        ("cases.toml", cases),
        ("typo.toml", &cases.replace("tool =", "tol =")),
    ]);
    assert_ended!(policy_in(&dir, &["test", "cases.toml"]), @r#"
    exit: 1
    ----- stdout -----
    case 2 "all may pay": somebody unknown calls bank/pay on route main
    - allow
    + deny  (forbidden by no-pay)
    case 3: ann calls files/read on route main
    - deny
    + allow  (permitted by allow-all)
    1 of 3 as expected
    "#);
    assert_ended!(policy_in(&dir, &["test", "typo.toml"]), @r#"
    exit: 2
    ----- stderr -----
    error: typo.toml is no table of decisions: TOML parse error at line 3, column 1
      |
    3 | tol = "bank/balance"
      | ^^^
    unknown field `tol`, expected one of `name`, `route`, `as`, `issuer`, `client`, `groups`, `scopes`, `acr`, `claims`, `tool`, `prompt`, `resource`, `args`, `annotations`, `address`, `now`, `expect`
    "#);
}

const TOOLS: &str = r#"{"tools":[{"name":"look","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object"}},{"name":"change","inputSchema":{"type":"object"}}]}"#;
const DONE: &str = r#"{"content":[{"type":"text","text":"done"}]}"#;

/// A configuration of one server with two tools, of which one only looks.
fn served(above: &str) -> (TempDir, std::path::PathBuf) {
    let dir = files(&[]);
    let server =
        scripted::server(dir.path(), r#"{"tools":{}}"#, &[("tools/list", TOOLS), ("tools/call", DONE)]);
    let (program, script) = server.split_once(' ').unwrap();
    let path = dir.path().join("portolan.toml");
    let text = format!("{above}\n[upstream.local]\ncommand = [{program:?}, {script:?}]\ntrusted = true\n");
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn what_is_not_permitted_is_neither_listed_nor_called() {
    let (_dir, path) = served("policy = \"read-only\"");
    let gateway = Gateway::serve(&path);
    let names = |listed: Ended| {
        listed.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(run(&["list", &gateway.url, "tools"])), ["look"]);
    assert_eq!(names(run(&["list", path.to_str().unwrap(), "tools"])), ["look"]);
    assert_eq!(run(&["call", &gateway.url, "look"]).stdout, "done\n");
    let refused = run(&["call", &gateway.url, "change", "--no-check"]);
    assert!(refused.code != Some(0) && !refused.stdout.contains("done"), "{refused:?}");
    let unknown = run(&["call", &gateway.url, "chance", "--no-check"]);
    assert_eq!(refused.stderr.replace("change", "X"), unknown.stderr.replace("chance", "X"));
}

#[test]
fn a_denial_says_so_where_that_is_wanted() {
    let (_dir, path) = served("policy = \"read-only\"\ndenials = \"explain\"");
    let gateway = Gateway::serve(&path);
    let refused = run(&["call", &gateway.url, "change", "--no-check"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("policy"), "{refused:?}");
}

#[test]
fn what_is_only_observed_is_done_and_said() {
    let (_dir, path) = served("policy = \"read-only\"\npolicy_mode = \"observe\"");
    let mut gateway = Gateway::serve(&path);
    assert_eq!(run(&["list", &gateway.url, "tools"]).stdout.lines().count(), 2);
    assert_eq!(run(&["call", &gateway.url, "change"]).stdout, "done\n");
    let said = gateway.running.stderr.find("policies would deny this");
    assert!(said.contains("\"change\"") && said.contains("no policy permits it"), "{said}");
}

#[test]
fn a_reload_with_a_broken_policy_keeps_the_old_one_and_says_where() {
    let (dir, path) = served("policy = \"rules.cedar\"");
    let rules = dir.path().join("rules.cedar");
    fs::write(&rules, "permit (principal, action, resource);\n").unwrap();
    let mut gateway = Gateway::serve(&path);
    assert_eq!(run(&["call", &gateway.url, "change"]).stdout, "done\n");
    fs::write(&rules, "// Nobody.\nforbid (principal, action, resource)\nwhen { nonsense };\n").unwrap();
    let said = gateway.running.stderr.find("rules.cedar:3:");
    assert!(said.contains("ERROR"), "{said}");
    gateway.running.stderr.find("the old configuration goes on");
    assert_eq!(run(&["call", &gateway.url, "change"]).stdout, "done\n");
    fs::write(
        &rules,
        "permit (principal, action == Mcp::Action::\"call\", resource == Mcp::Tool::\"local/look\");\n",
    )
    .unwrap();
    gateway.running.stderr.find("\"reloaded\"");
    assert_ne!(run(&["call", &gateway.url, "change", "--no-check"]).code, Some(0));
    assert_eq!(run(&["call", &gateway.url, "look"]).stdout, "done\n");
}

/// What is served over stdio is decided, too.
#[test]
fn stdio_is_no_way_around() {
    let (_dir, path) = served("policy = \"read-only\"");
    let stdio = [PORTOLAN, "stdio", path.to_str().unwrap()];
    let listed = run(&[&["list", "tools", "--"], &stdio[..]].concat());
    assert!(listed.stdout.contains("look") && !listed.stdout.contains("change"), "{listed:?}");
}
