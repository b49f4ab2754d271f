//! What somebody has to approve: asked of a gateway, and answered at a shell beside it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::issued::{ALICE, KEYS};
use crate::program::PORTOLAN;
use crate::revoking::{ask, serve, with};
use crate::serving::Gateway;

const RULES: &str = "@id(\"sums\") @approval(\"sums are dear\") @approvers(\"company/leads\") @expires(\"2 h\")\n\
    forbid (principal, action == Mcp::Action::\"call\", resource == Mcp::Tool::\"local/add\");\n";
const ADD: &str = r#""name":"add","arguments":{"a":1,"b":2},"#;

fn configured(store: &str, rules: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text = format!(
        "{store}\npolicy = [\"allow-all\", \"rules.cedar\"]\n\
         [issuer.company]\nurl = \"https://id.example.com\"\njwks_file = \"keys.json\"\n\
         [route.main]\npublic_url = \"http://127.0.0.1/mcp\"\nissuers = [\"company\"]\n\
         [upstream.local]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n"
    );
    for (name, text) in [("portolan.toml", text.as_str()), ("keys.json", KEYS), ("rules.cedar", rules)] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    (dir, path)
}

/// What a call of the tool comes to.
fn add(gateway: &Gateway) -> String {
    ask(gateway, ALICE, "tools/call", ADD).collect::<Vec<_>>().join("\n")
}

fn listed(path: &Path, more: &[&str]) -> String {
    let list = with(path, &[&["approvals", "list"], more].concat());
    assert_eq!(list.code, Some(0), "{list:?}");
    list.stdout
}

#[test]
fn an_operator_answers_while_the_gateway_runs() {
    let (_dir, path) = configured("store = \"sqlite:portolan.db\"", RULES);
    let gateway = serve(&path);
    let refused = add(&gateway);
    assert!(
        refused.contains(r#""reason":"approval_needed""#) && refused.contains("company/leads"),
        "{refused}"
    );
    let list = listed(&path, &["--json"]);
    for part in
        [r#""state":"pending""#, r#""name":"add""#, r#""subject":"alice""#, r#""reasons":["sums are dear"]"#]
    {
        assert!(list.contains(part), "{part}: {list}");
    }
    let id = list.split_once("\"id\":\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    assert!(refused.contains(&id), "{refused}");
    let shown = with(&path, &["approvals", "show", id.get(..8).unwrap()]).stdout;
    for part in ["tools/call add of server local", "sums are dear", "company/leads", "\"a\": 1"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let approved = with(&path, &["approvals", "approve", &id]);
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert!(approved.stdout.starts_with(&format!("{id} is approved: ")), "{approved:?}");
    let again = with(&path, &["approvals", "deny", &id]);
    assert!(again.code != Some(0) && again.stderr.contains("is approved"), "{again:?}");
    // It outlives the process that has asked.
    drop(gateway);
    let gateway = serve(&path);
    let done = add(&gateway);
    assert!(done.contains(r#""result""#), "{done}");
    assert_eq!(listed(&path, &[]), "(none)\n");
    assert!(listed(&path, &["--all"]).contains("used"));
    // Once, and this time no.
    let refused = add(&gateway);
    assert!(refused.contains("approval_needed") && !refused.contains(&id), "{refused}");
    let row = listed(&path, &[]);
    let other = row.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(with(&path, &["approvals", "deny", other]).code, Some(0));
    assert!(add(&gateway).contains("approval_denied"));
    let shown = with(&path, &["approvals", "show", other, "--json"]).stdout;
    assert!(shown.contains(r#""state":"denied""#) && shown.contains(r#""decidedBy":"operator""#), "{shown}");
    let none = with(&path, &["approvals", "approve", "nothing"]);
    assert!(none.code == Some(2) && none.stderr.contains("there is no approval"), "{none:?}");
}

#[test]
fn what_asks_needs_a_store_and_annotations_that_say_something() {
    let (_dir, path) = configured("", RULES);
    let refused = with(&path, &["check"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("ask for approvals, which are kept in a store"), "{refused:?}");
    assert!(refused.stderr.contains("store = \"sqlite:portolan.db\""), "{refused:?}");
    for (misspelt, known) in
        [("compny/leads", "compny"), ("api-keys/ci", "api-keys"), ("user proxy:x/y", "proxy:x")]
    {
        let (_dir, path) =
            configured("store = \"sqlite:portolan.db\"", &RULES.replace("company/leads", misspelt));
        let refused = with(&path, &["check"]);
        assert_eq!(refused.code, Some(3), "{misspelt}: {refused:?}");
        let said = format!("has {misspelt:?}, and nothing of that route vouches for {known:?}");
        assert!(refused.stderr.contains(&said), "{refused:?}");
        assert!(refused.stderr.contains("ISSUER is one of: company"), "{refused:?}");
    }
    let keys = RULES.replace("company/leads", "api-keys/leads");
    let (dir, path) = configured("store = \"sqlite:portolan.db\"", &keys);
    let text = fs::read_to_string(&path).unwrap().replace("issuers = [", "api_keys = true\nissuers = [");
    fs::write(&path, text).unwrap();
    let refused = with(&path, &["check"]);
    assert!(refused.code == Some(3) && refused.stderr.contains("keys are in no groups"), "{refused:?}");
    drop(dir);
    let soon = RULES.replace("@expires(\"2 h\")", "@expires(\"soon\")");
    let (_dir, path) = configured("store = \"sqlite:portolan.db\"", &soon);
    let refused = with(&path, &["policy", "check"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("rules.cedar:1:68: error: @expires(\"soon\") is no time"), "{refused:?}");
}
