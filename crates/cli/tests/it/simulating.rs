//! `portolan policy simulate`: recorded calls, decided anew.

use std::fs;

use tempfile::TempDir;
use testkit::json;

use crate::program::{Ended, command, finish, finish_with_input};

const CONFIG: &str = r#"policy = "rules.cedar"
[issuer.company]
url = "https://id.example.com"
[upstream.bank]
url = "http://127.0.0.1:1/mcp"
trusted = true
[route.main]
public_url = "https://mcp.example.com/mcp"
issuers = ["company"]
"#;

const RULES: &str = r#"
@id("staff") permit (principal in Mcp::Group::"company/staff", action, resource);
@id("no-drop") forbid (principal, action, resource == Mcp::Tool::"bank/drop");
@id("small") forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/pay")
unless { context.arguments.hasTag("/n") && context.arguments.getTag("/n") has integer && context.arguments.getTag("/n").integer < 10 };
@id("night") forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/look")
when { context.now.toTime() < duration("6h") };
@id("ask") @approval("it is much") forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/send");
"#;

const STAFF: &str = r#"{"id":"https://id.example.com#\"ann\"","anonymous":false,"issuer":"https://id.example.com","subject":"ann","groups":["staff"],"scopes":[],"amr":[]}"#;

/// A call of a tool by one of the staff; `more` are further members.
fn call(time: &str, tool: &str, decision: &str, more: &str) -> String {
    call_by(STAFF, time, tool, decision, more)
}

fn call_by(who: &str, time: &str, tool: &str, decision: &str, more: &str) -> String {
    format!(
        r#"{{"v":1,"type":"call","time":"{time}","replica":"r","seq":1,"prev":"sha256:0","principal":{who},"route":"main","era":"modern","method":"tools/call","server":"bank","thing":{{"kind":"tool","name":"{tool}"}},"definition":{{"digest":"sha256:1","hints":{{}}}},"decision":{decision},"outcome":"ok","durationUs":1,"new":[1]{more}}}"#
    )
}

const ALLOWED: &str = r#"{"allowed":true,"by":["old"],"why":"permitted by old","version":"1"}"#;
const DENIED: &str = r#"{"allowed":false,"by":[],"why":"no policy permits it","version":"1"}"#;
const NOON: &str = "2026-11-30T12:00:00.5Z";

fn dir(records: &[(&str, Vec<String>)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("store = \"sqlite:portolan.db\"\n{CONFIG}");
    fs::write(dir.path().join("portolan.toml"), config).unwrap();
    fs::write(dir.path().join("rules.cedar"), RULES).unwrap();
    for (name, lines) in records {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, lines.join("\n")).unwrap();
    }
    dir
}

fn simulate(dir: &TempDir, args: &[&str]) -> Ended {
    let all = [&["policy", "simulate", "portolan.toml", "--audit"], args].concat();
    finish(command(&all).current_dir(dir.path()))
}

fn number(ended: &Ended, name: &str) -> u64 {
    json::at(&ended.stdout, &[name]).unwrap_or_else(|| panic!("{ended:?}")).parse().unwrap()
}

fn counts(ended: &Ended) -> [u64; 6] {
    ["calls", "changed", "same", "unknown", "notDecided", "unreadable"].map(|name| number(ended, name))
}

#[test]
fn what_would_change_is_said() {
    let recorded = r#","arguments":{"digest":"hmac-sha256:1","bytes":7,"json":"{\"n\":N}"}"#;
    let lines = vec![
        call(NOON, "balance", ALLOWED, ""),
        call("2026-11-30T11:00:00Z", "drop", ALLOWED, ""),
        call(NOON, "drop", ALLOWED, ""),
        call(NOON, "pay", ALLOWED, &recorded.replace('N', "5")),
        call(NOON, "pay", ALLOWED, &recorded.replace('N', "50")),
        // What it would depend on was not recorded.
        call(NOON, "pay", ALLOWED, r#","arguments":{"digest":"hmac-sha256:1","bytes":7}"#),
        call(NOON, "balance", DENIED, ""),
        call(NOON, "look", ALLOWED, ""),
        call("2026-11-30T03:00:00Z", "look", ALLOWED, ""),
        call(NOON, "send", ALLOWED, ""),
        call(NOON, "send", ALLOWED, r#","approval":"a1""#),
        r#"{"v":1,"type":"session","time":"2026-11-30T12:00:00Z"}"#.to_owned(),
        r#"{"v":1,"type":"call","time":"yesterday"}"#.to_owned(),
        String::new(),
        "{".to_owned(),
        // Lists are decided thing by thing.
        call(NOON, "x", ALLOWED, "")
            .replace(r#","thing":{"kind":"tool","name":"x"}"#, "")
            .replace("tools/call", "tools/list"),
    ];
    let dir = dir(&[("audit/r/00000001.jsonl", lines), ("audit/r/notes.txt", vec!["no".to_owned()])]);
    let ended = simulate(&dir, &["audit", "--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(counts(&ended), [12, 6, 4, 1, 1, 2], "{ended:?}");
    let first = json::elements(json::at(&ended.stdout, &["changes"]).unwrap())[0].to_owned();
    for (name, value) in [
        ("calls", "2"),
        ("was", r#""allow""#),
        ("wouldBe", r#""deny""#),
        ("principal", r#""ann (company)""#),
        ("what", r#""tools/call bank/drop""#),
        ("policies", r#"["no-drop"]"#),
        ("first", r#""2026-11-30T11:00:00.000Z""#),
    ] {
        assert_eq!(json::at(&first, &[name]), Some(value), "{first}");
    }
    for line in ["00000001.jsonl:13: ", "00000001.jsonl:15: "] {
        assert!(ended.stderr.contains(line), "{ended:?}");
    }
    let text = simulate(&dir, &["audit/r/00000001.jsonl"]).stdout;
    for (tool, change) in
        [("pay", "allow"), ("balance", "deny"), ("look", "allow"), ("send", "ask"), ("drop", "deny")]
    {
        let row = text.lines().find(|line| line.contains(&format!("bank/{tool} ")));
        assert!(row.is_some_and(|row| row.contains(change)), "{tool}: {text}");
    }
    assert!(text.contains("12 calls: 6 would be decided otherwise, 4 as before, 1 unknown"), "{text}");
    // What is asked for by time and route.
    let some = simulate(
        &dir,
        &["audit", "--json", "--since", "2026-11-30T04:00:00Z", "--until", "2026-11-30T12:00:00Z"],
    );
    assert_eq!(counts(&some), [1, 1, 0, 0, 0, 2], "{some:?}");
    let lately = simulate(&dir, &["audit", "--json", "--until", "36500d"]);
    assert_eq!(counts(&lately), [0, 0, 0, 0, 0, 2], "so long ago: {lately:?}");
    let none = simulate(&dir, &["audit", "--json", "--route", "mian"]);
    assert!(none.code == Some(2) && none.stderr.contains("\"main\""), "{none:?}");
}

#[test]
fn what_changes_nothing_ends_well_and_what_cannot_be_read_does_not() {
    let before = call(NOON, "balance", ALLOWED, "");
    let anonymous = r#"{"id":"anonymous","anonymous":true,"groups":[],"scopes":[],"amr":[]}"#;
    let stranger = call_by(anonymous, NOON, "balance", DENIED, "");
    let files = [("a.jsonl", vec![before.clone(), stranger]), ("bad.jsonl", vec!["[]".to_owned()])];
    let dir = dir(&files);
    let well = simulate(&dir, &["a.jsonl", "--json"]);
    assert_eq!((well.code, counts(&well)), (Some(0), [2, 0, 2, 0, 0, 0]), "{well:?}");
    for named in [&["bad.jsonl"][..], &["nowhere.jsonl"], &["empty"], &["-", "-"]] {
        fs::create_dir_all(dir.path().join("empty")).unwrap();
        assert_eq!(simulate(&dir, named).code, Some(2), "{named:?}");
    }
    let args = ["policy", "simulate", "portolan.toml", "--audit", "-", "a.jsonl", "--json"];
    let piped = finish_with_input(command(&args).current_dir(dir.path()), &format!("{before}\n"));
    assert_eq!((piped.code, counts(&piped)), (Some(0), [3, 0, 3, 0, 0, 0]), "{piped:?}");
}

/// Nothing is taken for certain that was not recorded.
#[test]
fn what_cannot_be_said_is_not_said() {
    let no_definition = |line: String| line.replace(r#","definition":{"digest":"sha256:1","hints":{}}"#, "");
    let refused = r#"{"allowed":false,"by":[],"why":"the arguments are not good: a value is not of the type that the tool takes"}"#;
    let unknown = [
        call(NOON, "pay", ALLOWED, ""),
        // What the tool takes was not recorded.
        call(NOON, "pay", refused, r#","arguments":{"json":"{\"n\":5}"}"#),
        // Nor what its server said of it, by which it may have been allowed.
        no_definition(call(NOON, "trusted", ALLOWED, "")),
    ];
    let read_only = r#"@id("r") permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/trusted") when { resource.read_only };"#;
    for line in unknown {
        let dir = dir(&[("a.jsonl", vec![line.clone()])]);
        if line.contains("trusted") {
            fs::write(dir.path().join("rules.cedar"), read_only).unwrap();
        }
        let ended = simulate(&dir, &["a.jsonl", "--json"]);
        assert_eq!((ended.code, counts(&ended)), (Some(2), [1, 0, 0, 1, 0, 0]), "{line} {ended:?}");
    }
    // A call that would reach nothing is a change, and one of nobody cannot be read.
    let moved = call(NOON, "balance", ALLOWED, "").replace(r#""route":"main""#, r#""route":"old""#);
    let gone = call(NOON, "balance", ALLOWED, "").replace(r#""server":"bank""#, r#""server":"shop""#);
    let nobody = call_by("[]", NOON, "balance", ALLOWED, "");
    let dir = dir(&[("a.jsonl", vec![moved, gone]), ("b.jsonl", vec![nobody]), ("c.jsonl", Vec::new())]);
    let ended = simulate(&dir, &["a.jsonl", "a.jsonl", "./a.jsonl", "--json"]);
    assert_eq!(
        (ended.code, number(&ended, "notServed"), number(&ended, "calls")),
        (Some(1), 2, 2),
        "{ended:?}"
    );
    assert_eq!(simulate(&dir, &["b.jsonl"]).code, Some(2));
    assert_eq!(simulate(&dir, &["c.jsonl"]).code, Some(2));
}

/// However many lines there are, and whatever callers have made up.
#[test]
fn many_lines_are_counted_in_little_room() {
    let lines: Vec<_> = (0..1200)
        .map(|number| call(NOON, &format!("drop{number}\\u001b[2J{}", "x".repeat(300)), DENIED, ""))
        .collect();
    let dir = dir(&[("a.jsonl", lines)]);
    let ended = simulate(&dir, &["a.jsonl", "--json"]);
    assert_eq!(counts(&ended), [1200, 1200, 0, 0, 0, 0]);
    let rows = json::elements(json::at(&ended.stdout, &["changes"]).unwrap());
    assert_eq!(rows.len(), 1001);
    assert!(rows.iter().any(|row| row.contains("(others)")) && !ended.stdout.contains("u001b"));
}
