//! Policies: which a route has, and what they are told of servers.

use base::plan::policy::PolicyPlan;
use insta::assert_snapshot;

use crate::{Files, check, usable};

const SERVERS: &str = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\ntrusted = true\n\
                       [upstream.b]\nurl = \"http://127.0.0.1:2/mcp\"\ntrusted = true\n";

fn names(policy: Option<&PolicyPlan>) -> Vec<&str> {
    policy.iter().flat_map(|policy| &policy.sources).map(|source| source.name.as_str()).collect()
}

#[test]
fn a_route_has_its_own_policies_or_those_of_the_file() {
    let plan = usable(&format!(
        "policy = \"read-only\"\npolicy_mode = \"observe\"\n{SERVERS}
[route.own]
path = \"/own\"
policy = [\"annotated\", \"allow-all\"]
policy_mode = \"enforce\"
denials = \"explain\"
[route.common]
path = \"/common\"
"
    ));
    let of = |name: &str| plan.routes.iter().find(|route| route.name == name).unwrap().policy.as_ref();
    assert_eq!(names(of("own")), ["annotated", "allow-all"]);
    assert_eq!(names(of("common")), ["read-only"]);
    let said = |name: &str| of(name).map(|policy| (policy.enforce, policy.explain));
    assert_eq!(said("own"), Some((true, true)));
    assert_eq!(said("common"), Some((false, false)));
    assert!(of("own").unwrap().sources[1].text.contains("permit (principal, action, resource);"));
}

#[test]
fn without_a_route_the_policies_of_the_file_count_and_without_policies_there_are_none() {
    let plan = usable(&format!("policy = \"annotated\"\n{SERVERS}"));
    assert_eq!(names(plan.routes[0].policy.as_ref()), ["annotated"]);
    assert!(plan.routes[0].policy.as_ref().unwrap().enforce, "it is not for trying out unless that is said");
    let none = usable("[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n");
    assert_eq!(none.routes[0].policy, None);
}

#[test]
fn files_are_read_and_directories_in_the_order_of_names() {
    let config = format!("policy = [\"rules/\", \"more.cedar\", \"allow-all\"]\n{SERVERS}");
    let files = Files::new(&[
        ("portolan.toml", &config),
        ("rules/b.cedar", "// b"),
        ("rules/a.cedar", "// a"),
        ("rules/notes.txt", "nothing"),
        ("more.cedar", "// more"),
    ]);
    let loaded = files.load("portolan.toml");
    let plan = loaded.plan.unwrap();
    let policy = plan.routes[0].policy.as_ref();
    assert_eq!(names(policy), ["rules/a.cedar", "rules/b.cedar", "more.cedar", "allow-all"]);
    assert_eq!(&*policy.unwrap().sources[0].text, "// a");
    for followed in ["rules", "rules/a.cedar", "more.cedar"] {
        assert!(loaded.files.contains(&files.path(followed)), "{followed}: {:?}", loaded.files);
    }
    assert!(!loaded.files.contains(&files.path("rules/notes.txt")));
}

#[test]
fn what_is_no_policy_is_told_at_its_place() {
    let config = format!(
        "policy = [\"readonly\", \"mine\", \"gone.cedar\", \"notes.txt\", \"empty\", \"bad.cedar\", \"a.cedar\", \"./a.cedar\", \"a.cedar\"]\n{SERVERS}"
    );
    let files =
        Files::new(&[("portolan.toml", &config), ("notes.txt", ""), ("empty/x.txt", ""), ("a.cedar", "")]);
    std::fs::write(files.path("bad.cedar"), b"// \xff").unwrap();
    assert_snapshot!(files.check("portolan.toml"), @r#"
    DIR/portolan.toml:1:11: error: no policy is called "readonly"
      |
    1 | policy = ["readonly", "mine", "gone.cedar", "notes.txt", "empty", "bad.cedar", "a.cedar", "./a.cedar", "a.cedar"]
      |           ^^^^^^^^^^
      = help: did you mean "read-only"?

    DIR/portolan.toml:1:23: error: no policy is called "mine"
      |
    1 | policy = ["readonly", "mine", "gone.cedar", "notes.txt", "empty", "bad.cedar", "a.cedar", "./a.cedar", "a.cedar"]
      |                       ^^^^^^
      = help: "allow-all", "annotated" and "read-only" are built in; a file is named by its path: "mine.cedar"

    DIR/portolan.toml:1:31: error: DIR/gone.cedar cannot be read: no such file or directory
      |
    1 | policy = ["readonly", "mine", "gone.cedar", "notes.txt", "empty", "bad.cedar", "a.cedar", "./a.cedar", "a.cedar"]
      |                               ^^^^^^^^^^^^

    DIR/portolan.toml:1:45: error: DIR/notes.txt is no file with policies
      |
    1 | policy = ["readonly", "mine", "gone.cedar", "notes.txt", "empty", "bad.cedar", "a.cedar", "./a.cedar", "a.cedar"]
      |                                             ^^^^^^^^^^^
      = help: let its name end in .cedar

    DIR/portolan.toml:1:58: error: no file in DIR/empty ends in .cedar
      |
    1 | policy = ["readonly", "mine", "gone.cedar", "notes.txt", "empty", "bad.cedar", "a.cedar", "./a.cedar", "a.cedar"]
      |                                                          ^^^^^^^
      = help: `portolan policy new` writes one to begin with

    DIR/portolan.toml:1:67: error: DIR/bad.cedar cannot be read: line 1 is not UTF-8
      |
    1 | policy = ["readonly", "mine", "gone.cedar", "notes.txt", "empty", "bad.cedar", "a.cedar", "./a.cedar", "a.cedar"]
      |                                                                   ^^^^^^^^^^^

    DIR/portolan.toml:1:104: error: "a.cedar" is named here twice
      |
    1 | policy = ["readonly", "mine", "gone.cedar", "notes.txt", "empty", "bad.cedar", "a.cedar", "./a.cedar", "a.cedar"]
      |                                                                                                        ^^^^^^^^^
    "#);
    assert_snapshot!(check(&format!("policy = []\n{SERVERS}[route.r]\npolicy_mode = \"observ\"\ndenials = true\n")), @r#"
    portolan.toml:1:10: error: without a policy nothing would be allowed
      |
    1 | policy = []
      |          ^^
      = help: policy = "allow-all" allows everything

    portolan.toml:9:15: error: expected "enforce" or "observe", found "observ"
      |
    9 | policy_mode = "observ"
      |               ^^^^^^^^
      = help: did you mean "observe"?

    portolan.toml:10:11: error: expected one of "hide" "explain", found true or false
       |
    10 | denials = true
       |           ^^^^
    "#);
}

#[test]
fn what_policies_cannot_see_is_warned_of() {
    assert_snapshot!(check(&format!("policy_mode = \"observe\"\n{SERVERS}tags = [\"x\"]\ntools.tags = {{ y = [\"*\"] }}\n")), @r#"
    portolan.toml:1:15: warning: there is no policy, so that nothing is denied
      |
    1 | policy_mode = "observe"
      |               ^^^^^^^^^
      = help: policy = "read-only", or the path of a .cedar file

    portolan.toml:4:11: warning: trusted is for policies, and no route to "a" has any
      |
    4 | trusted = true
      |           ^^^^
      = help: policy = "annotated", above the first table

    portolan.toml:7:11: warning: trusted is for policies, and no route to "b" has any
      |
    7 | trusted = true
      |           ^^^^
      = help: policy = "annotated", above the first table

    portolan.toml:8:8: warning: tags is for policies, and no route to "b" has any
      |
    8 | tags = ["x"]
      |        ^^^^^
      = help: policy = "annotated", above the first table

    portolan.toml:9:14: warning: tools.tags is for policies, and no route to "b" has any
      |
    9 | tools.tags = { y = ["*"] }
      |              ^^^^^^^^^^^^^
      = help: policy = "annotated", above the first table
    "#);
    let untrusted = SERVERS.replace("trusted = true\n", "");
    assert_snapshot!(check(&format!("policy = \"read-only\"\n{untrusted}")), @r#"
    portolan.toml:1:10: warning: no server of route "main" is trusted, so that none of their tools could be called
      |
    1 | policy = "read-only"
      |          ^^^^^^^^^^^
      = help: write trusted = true under each [upstream.NAME] of which you believe what it says of its tools
    "#);
}

#[test]
fn a_policy_below_a_table_is_told_where_it_belongs() {
    assert_snapshot!(check(&format!("{SERVERS}policy = \"read-only\"\n")), @r#"
    portolan.toml:3:11: warning: trusted is for policies, and no route to "a" has any
      |
    3 | trusted = true
      |           ^^^^
      = help: policy = "annotated", above the first table

    portolan.toml:6:11: warning: trusted is for policies, and no route to "b" has any
      |
    6 | trusted = true
      |           ^^^^
      = help: policy = "annotated", above the first table

    portolan.toml:7:1: error: unknown key "policy"
      |
    7 | policy = "read-only"
      | ^^^^^^
      = help: it is a key of a route, or of the whole file: then write it above the first table
    "#);
}

#[test]
fn names_that_policies_could_take_for_others_are_refused() {
    assert_snapshot!(
        check(
            "policy = \"allow-all\"\n[upstream.\"a/b\"]\nurl = \"http://127.0.0.1:1/mcp\"\n[upstream.c]\nurl = \"http://127.0.0.1:1/mcp\"\nprompts.tags = { x = [\"*\"] }\n"
        ), @r#"
    portolan.toml:2:11: error: where there are policies, the name of a server has no '/'
      |
    2 | [upstream."a/b"]
      |           ^^^^^
      = help: they call a tool SERVER/TOOL, and a group ISSUER/GROUP

    portolan.toml:6:16: error: only tools have tags of their own
      |
    6 | prompts.tags = { x = ["*"] }
      |                ^^^^^^^^^^^^^
      = help: `tags` of the server are those of all that it has
    "#);
}

#[test]
fn policies_are_told_what_the_file_says_of_servers() {
    let plan = usable(
        "policy = \"allow-all\"
[upstream.bank]
url = \"http://127.0.0.1:1/mcp\"
trusted = true
tags = [\"money\"]
tools.tags = { dangerous = [\"delete_*\", \"pay\"], slow = [\"pay\"] }
[upstream.plain]
url = \"http://127.0.0.1:2/mcp\"
",
    );
    let [bank, plain] = plan.server_facts.as_slice() else { unreachable!("two servers") };
    assert!(bank.trusted && !plain.trusted);
    assert_eq!((bank.name.as_str(), bank.tags.as_slice()), ("bank", ["money".to_owned()].as_slice()));
    let of = |name: &str| {
        let fits = bank.tool_tags.iter().filter(|(_, globs)| globs.is_match(name));
        fits.map(|(tag, _)| tag.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("pay"), ["dangerous", "slow"]);
    assert_eq!(of("delete_all"), ["dangerous"]);
    assert!(of("look").is_empty());
}
