//! What is wrong with policies, and where.

use base::plan::policy::{PolicyPlan, ServerFacts, built_in};
use policy::Surroundings;

use crate::stand::{plan, read, source};

fn faults(texts: &[&str]) -> String {
    let faults = read(&plan(texts)).unwrap_err();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_fault_says_where_it_is() {
    let text = faults(&[
        "permit (principal, action, resource);\npermit (principal, action, resource)\nwhen { resource.nam == 1 };",
    ]);
    assert!(text.starts_with("p0.cedar:3:8: ") && text.contains("nam"), "{text}");
    let text = faults(&["permit (principal action, resource);"]);
    assert!(text.starts_with("p0.cedar:1:19: ") && text.contains("action"), "{text}");
    // All of them, in all files.
    let text = faults(&[
        "permit (principal, action, resource) when { 1 };",
        "forbid (principal == Mcp::Nobody::\"a\", action, resource);",
    ]);
    assert!(text.contains("p0.cedar:1:") && text.contains("p1.cedar:1:"), "{text}");
}

#[test]
fn a_type_that_is_compared_with_another_is_a_fault() {
    let text = faults(&[r#"forbid (principal, action == Mcp::Action::"call", resource)
unless { context.arguments.getTag("/n").integer <= 3 };"#]);
    assert!(text.contains("p0.cedar:2:"), "the tag need not be there: {text}");
    let text = faults(&[r#"permit (principal, action, resource) when { context.arguments.hasTag("/n") };"#]);
    assert!(text.contains("arguments"), "not every action has arguments: {text}");
}

#[test]
fn no_two_have_one_id() {
    let one = "@id(\"a\") permit (principal, action, resource);";
    let text = faults(&[one, one]);
    assert!(text.contains("p1.cedar:1:1: the id \"a\" stands in p0.cedar, too"), "{text}");
    let twice = plan(&["permit (principal, action, resource);", "permit (principal, action, resource);"]);
    let ids: Vec<_> = read(&twice).unwrap().ids().map(str::to_owned).collect();
    assert_eq!(ids, ["p0.cedar#1", "p1.cedar#1"], "those without an id have the place for one");
}

#[test]
fn nothing_is_no_policy() {
    for texts in [&["// nothing\n"][..], &["", " "]] {
        assert!(faults(texts).contains("there is no policy"), "{texts:?}");
    }
    let none = PolicyPlan { sources: vec![source("a.cedar", "")], ..plan(&[]) };
    assert!(read(&none).is_err());
}

#[test]
fn what_is_to_be_filled_in_is_a_fault() {
    assert!(faults(&["permit (principal == ?principal, action, resource);"]).contains("template"));
}

#[test]
fn what_can_never_be_is_a_fault() {
    let text = faults(&[r#"permit (principal, action == Mcp::Action::"call", resource is Mcp::Prompt);"#]);
    assert!(text.contains("p0.cedar"), "{text}");
}

#[test]
fn what_is_odd_is_told_with_its_place() {
    let text = r#"permit (principal, action, resource == Mcp::Tool::"bnak/pay");
        forbid (principal, action, resource in Mcp::Server::"bank");
        forbid (principal in Mcp::Group::"company/staff", action, resource in Mcp::Tag::"money");
        forbid (principal, action == Mcp::Action::"call", resource)
        when { resource.server == Mcp::Server::"wikki" || resource in Mcp::Tag::"danger" || principal in Mcp::Group::"compny/staff" };
        @limit("1/s") permit (principal, action, resource);
        permit (principal, action, resource);"#;
    let mut plan = plan(&[text]);
    plan.sources.push(source("read-only", built_in("read-only").unwrap()));
    let policies = read(&plan).unwrap();
    let bank =
        ServerFacts { name: "bank".to_owned(), tags: vec!["money".to_owned()], ..ServerFacts::default() };
    let (servers, vouching) = ([bank], ["company".to_owned()]);
    let around = Surroundings { servers: &servers, vouching: &vouching };
    let said: Vec<_> = policies.remarks(Some(around)).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            r#"p0.cedar:1:40: Mcp::Tool::"bnak/pay" is of no server here (they call a server by the name of its table, and a tool SERVER/TOOL)"#,
            r#"p0.cedar:5:106: nobody is of the group "compny/staff": nothing of the route vouches for it (a group is ISSUER/GROUP, where ISSUER is one of: company)"#,
            r#"p0.cedar:5:35: there is no server "wikki" (they are: bank)"#,
            r#"p0.cedar:5:71: nothing has the tag "danger" (there are: money)"#,
            r#"p0.cedar:7:9: this permits everything, so that "read-only" limits nothing (say here who may do what, or leave "read-only" out)"#,
        ]
    );
}

#[test]
fn a_limit_is_a_rate_and_stands_on_a_permit() {
    let text = faults(&[
        "@id(\"a\") @limit(\"many\") permit (principal, action, resource);",
        "@id(\"b\") @limit(\"5/s\") forbid (principal, action, resource);",
        "@id(\"c\") @limit(\"0/s\") permit (principal, action, resource);",
        "@id(\"d\") @limit(\"1/s\") permit (principal, action == Mcp::Action::\"subscribe\", resource);",
        "@id(\"e\") @limits(\"5/s\") permit (principal, action, resource);",
    ]);
    assert!(text.contains("p4.cedar: e: @limits says nothing (write @limit"), "{text}");
    assert!(text.contains("p0.cedar: a: @limit(\"many\") is no rate (write @limit(\"60/min\")"), "{text}");
    assert!(text.contains("p1.cedar: b: @limit(\"5/s\") stands on a forbid"), "{text}");
    assert!(text.contains("p2.cedar: c: @limit(\"0/s\") is no rate"), "{text}");
    assert!(
        text.contains("p3.cedar: d: @limit(\"1/s\") stands on a permit of what is not counted"),
        "{text}"
    );
}

/// Whoever leaves `action` open reads once what to do, and not once for each action.
#[test]
fn what_only_some_actions_have_is_said_once() {
    for text in [
        r#"permit (principal, action, resource) when { context.arguments.hasTag("/a") };"#,
        "permit (principal, action, resource) when { resource.read_only };",
    ] {
        let faults = read(&plan(&[text])).unwrap_err();
        let help = faults[0].help.as_deref().unwrap();
        assert!(faults.len() == 1 && help.contains(r#"action == Mcp::Action::"call""#), "{faults:?}");
    }
}

/// Each is good, and told of.
#[test]
fn what_is_seldom_meant_is_doubted() {
    let doubts = |text: &str| {
        let doubts = read(&plan(&[text])).unwrap().remarks(None);
        doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let of = |effect: &str, kind: &str, body: &str| {
        doubts(&format!(
            "permit (principal, action, resource);\n{effect} (principal, action == Mcp::Action::\"call\", resource) {kind} {{ {body} }};"
        ))
    };
    let amount = r#"context.arguments.hasTag("/n") && context.arguments.getTag("/n") has integer && context.arguments.getTag("/n").integer > 3"#;
    let told = of("forbid", "when", amount);
    assert!(
        told.starts_with("p0.cedar:2:1: p0.cedar#2: a forbid with `when`") && told.contains("unless"),
        "{told}"
    );
    let path = r#"context.arguments.hasTag("/p") && context.arguments.getTag("/p") has text && context.arguments.getTag("/p").text like "/srv/*""#;
    let told = of("permit", "when", path);
    assert!(told.starts_with("p0.cedar:2:1: p0.cedar#2: `like`") && told.contains("clean"), "{told}");
    let told = doubts(
        r#"permit (principal, action == Mcp::Action::"read", resource) when { resource.uri like "file:///srv/*" };"#,
    );
    assert!(told.contains("clean"), "{told}");
    assert_eq!(of("forbid", "unless", amount), "");
    assert_eq!(of("permit", "when", amount), "");
    assert_eq!(of("forbid", "when", r#"context.arguments.hasTag("/force")"#), "");
    let clean = format!(
        r#"{path} && context.arguments.getTag("/p") has clean && context.arguments.getTag("/p").clean"#
    );
    assert_eq!(of("permit", "when", &clean), "");
    assert_eq!(of("permit", "when", r#"resource.name like "get_*""#), "");
    let other = format!(
        r#"{path} && context.arguments.hasTag("/q") && context.arguments.getTag("/q") has clean && context.arguments.getTag("/q").clean"#
    );
    assert!(of("permit", "when", &other).contains("clean"), "{other}");
    assert_eq!(of("forbid", "when", &format!("!({amount})")), "");
    assert_eq!(of("permit", "when", &path.replace("/srv/*", "image/*")), "");
    for (_, text) in base::plan::policy::BUILT_IN {
        assert_eq!(doubts(text), "");
    }
}
