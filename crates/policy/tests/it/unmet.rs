//! What would have to differ.

use auth::{Action, Known};
use policy::Unmet;

use crate::stand::{Caller, Stand, anonymous, tool, user};

fn unmet(text: &str, caller: &Caller, arguments: &str, members: &str) -> String {
    let stand = Stand::new(text);
    let definition = tool("pay", &format!(r#","inputSchema":{{"type":"object"}}{members}"#));
    let server = "bank".into();
    let known = Known {
        claims: caller.claims.as_ref(),
        definition: Some(&definition),
        arguments: Some(arguments),
        ..Known::default()
    };
    let action = Action { method: "tools/call", upstream: &server, name: Some("pay"), known };
    let policies = &stand.route.0;
    let verdict = policies.verdict(&caller.principal, &action).unwrap();
    let all = policies.unmet(&caller.principal, &action, &verdict);
    assert!(!verdict.allowed || all.is_empty());
    all.iter().map(told).collect()
}

fn told(unmet: &Unmet) -> String {
    let mut text =
        format!("{} {}\n", unmet.id, if unmet.permits { "permits with all of" } else { "not with one of" });
    for part in &unmet.parts {
        text.push_str(&format!("  {}{}\n", if part.must { "" } else { "not: " }, part.text));
        part.values.iter().for_each(|(read, value)| text.push_str(&format!("    {read}: {value}\n")));
        part.erred.iter().for_each(|fault| text.push_str(&format!("    errs: {fault}\n")));
    }
    text
}

#[test]
fn what_permits_says_which_of_its_parts_are_not_so() {
    let text = r#"
        @id("staff") permit (principal in Mcp::Group::"company/staff", action == Mcp::Action::"call", resource)
        when { resource.read_only && context.arguments.hasTag("/amount") && context.arguments.getTag("/amount") has integer && context.arguments.getTag("/amount").integer <= 100 }
        unless { context.era == "legacy" || principal.subject == "ann" };
        @id("wiki") permit (principal, action, resource in Mcp::Server::"wiki");
        @id("prompts") permit (principal, action == Mcp::Action::"get", resource);
        @id("near") permit (principal, action, resource) when { principal.anonymous };"#;
    insta::assert_snapshot!(unmet(text, &user("ann", &["guests"]), r#"{"amount": 250}"#, ""), @r##"
    near permits with all of
      principal.anonymous
        principal.anonymous: false
    staff permits with all of
      principal in Mcp::Group::"company/staff"
        principal in: Mcp::Group::"company/guests", Mcp::User::"https://id.example#\"ann\""
      resource.read_only
        resource.read_only: false
      context.arguments.getTag("/amount").integer <= 100
        context.arguments.getTag("/amount").integer: 250
      not: principal.subject == "ann"
        principal.subject: "ann"
    "##);
    insta::assert_snapshot!(unmet(text, &user("bob", &["staff"]), "{}", ""), @r##"
    near permits with all of
      principal.anonymous
        principal.anonymous: false
    staff permits with all of
      resource.read_only
        resource.read_only: false
      context.arguments.hasTag("/amount")
    "##);
    assert_eq!(unmet(text, &anonymous(), "{}", ""), "");
}

#[test]
fn what_forbids_says_what_makes_it_match() {
    let text = r#"
        permit (principal, action, resource);
        @id("small") forbid (principal, action == Mcp::Action::"call", resource)
        unless { context.arguments.hasTag("/amount") && context.arguments.getTag("/amount") has integer && context.arguments.getTag("/amount").integer <= 100 };
        @id("night") forbid (principal in Mcp::Group::"company/staff", action, resource)
        when { resource in Mcp::Tag::"money" && context.now.toTime() > duration("1h") };"#;
    insta::assert_snapshot!(unmet(text, &user("ann", &["staff"]), r#"{"amount": 250}"#, ""), @r##"
    small not with one of
      context.arguments.getTag("/amount").integer <= 100
        context.arguments.getTag("/amount").integer: 250
    night not with one of
      not: resource in Mcp::Tag::"money"
        resource in: Mcp::Server::"bank", Mcp::Tag::"money", Mcp::Tool::"bank/pay"
      not: !(context.now.toTime() <= duration("1h"))
        context.now: datetime("2026-11-30T12:00:00.000Z")
    "##);
    insta::assert_snapshot!(unmet(text, &user("ann", &[]), r#"{"amount": "1"}"#, ""), @r##"
    small not with one of
      context.arguments.getTag("/amount") has integer
    "##);
}

#[test]
fn what_errs_and_what_asks_are_told_of() {
    let errs = r#"@id("errs") permit (principal, action == Mcp::Action::"call", resource) when { context.arguments.hasTag("/a  b") && context.arguments.getTag("/a  b") has integer && context.arguments.getTag("/a  b").integer + 9223372036854775807 < 3 };"#;
    insta::assert_snapshot!(unmet(errs, &anonymous(), r#"{"a  b": 5}"#, ""), @r##"
    errs permits with all of
      (context.arguments.getTag("/a  b").integer + 9223372036854775807) < 3
        context.arguments.getTag("/a  b").integer: 5
        errs: integer overflow while attempting to add the values `5` and `9223372036854775807`
    "##);
    let asks = r#"permit (principal, action, resource);
        @id("asks") @approval("money") forbid (principal, action == Mcp::Action::"call", resource)
        when { context.arguments.hasTag("/amount") };"#;
    insta::assert_snapshot!(unmet(asks, &anonymous(), r#"{"amount":"x"}"#, ""), @r##"
    asks not with one of
      not: context.arguments.hasTag("/amount")
    "##);
}

#[test]
fn what_only_helps_together_is_one_part() {
    let text = r#"
        permit (principal, action, resource);
        @id("both") forbid (principal, action == Mcp::Action::"call", resource)
        unless { principal.anonymous && resource.read_only && resource.server == Mcp::Server::"bank" };"#;
    insta::assert_snapshot!(unmet(text, &user("ann", &[]), "{}", ""), @r##"
    both not with one of
      principal.anonymous && resource.read_only
        principal.anonymous: false
        resource.read_only: false
    "##);
}

#[test]
fn what_stands_behind_what_decides_is_not_asked() {
    let overflow = r#"(context.arguments.hasTag("/n") && context.arguments.getTag("/n") has integer && context.arguments.getTag("/n").integer + 9223372036854775807 > 3)"#;
    let of = |condition: &str| {
        let text = format!(
            "@id(\"a\") permit (principal, action == Mcp::Action::\"call\", resource) unless {{ {condition} }};"
        );
        unmet(&text, &user("ann", &[]), r#"{"n":5}"#, "")
    };
    insta::assert_snapshot!(of(&format!("principal.anonymous || {overflow}")), @r##"
    a permits with all of
      not: context.arguments.hasTag("/n") && (context.arguments.getTag("/n") has integer) && (!((context.arguments.getTag("/n").integer + 9223372036854775807) <= 3))
        context.arguments.getTag("/n").integer: 5
        errs: integer overflow while attempting to add the values `5` and `9223372036854775807`
    "##);
    insta::assert_snapshot!(of(&format!("principal.subject == \"ann\" || {overflow}")), @r##"
    a permits with all of
      not: principal.subject == "ann"
        principal.subject: "ann"
    "##);
}

#[test]
fn long_values_are_cut() {
    let text = r#"permit (principal, action == Mcp::Action::"call", resource) when { context.arguments.hasTag("/a") && context.arguments.getTag("/a") has text && context.arguments.getTag("/a").text == "b" };"#;
    let told = unmet(text, &anonymous(), &format!(r#"{{"a": "{}"}}"#, "é".repeat(5000)), "");
    assert!(told.contains('…') && told.len() < 1200, "{told}");
}
