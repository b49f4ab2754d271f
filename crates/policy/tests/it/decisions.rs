//! Who may do what.

use auth::Refusal;
use auth::definition::Sort;
use base::plan::policy::built_in;
use policy::Why;

use crate::stand::{Stand, anonymous, plan, tool, user};

const READS: &str = r#","annotations":{"readOnlyHint":true}"#;
const HARMLESS: &str = r#","annotations":{"destructiveHint":false}"#;

#[test]
fn what_no_policy_permits_is_denied_and_what_one_forbids_stays_so() {
    let stand = Stand::new(
        r#"@id("staff") permit (principal in Mcp::Group::"company/staff", action == Mcp::Action::"call", resource);
           @id("no-delete") forbid (principal, action, resource in Mcp::Tag::"dangerous");"#,
    );
    let (staff, other) = (user("ann", &["staff", "x"]), user("bob", &["guests"]));
    assert_eq!(stand.call(&staff, "bank/pay", "{}").why, Why::Permitted(vec!["staff".to_owned()]));
    assert_eq!(stand.call(&other, "bank/pay", "{}").why, Why::NotPermitted);
    assert_eq!(stand.call(&staff, "bank/delete_all", "{}").why, Why::Forbidden(vec!["no-delete".to_owned()]));
    // The word is the bank's.
    assert!(stand.call(&staff, "wiki/delete_all", "{}").allowed);
    assert!(!stand.call(&anonymous(), "bank/pay", "{}").allowed);
}

#[test]
fn a_group_is_one_by_the_word_of_its_issuer_only() {
    let stand = Stand::new(r#"permit (principal in Mcp::Group::"company/staff", action, resource);"#);
    let mut other = user("ann", &["staff", "company/staff"]);
    let claims = auth::Claims {
        issuer: "https://other.example".to_owned(),
        ..(**other.claims.as_ref().unwrap()).clone()
    };
    other.claims = Some(claims.into());
    assert!(!stand.call(&other, "bank/pay", "{}").allowed);
    assert!(stand.call(&user("ann", &["staff"]), "bank/pay", "{}").allowed);
}

/// What is remembered of one is not the other's.
#[test]
fn callers_of_one_group_are_each_in_it() {
    let stand = Stand::new(
        r#"permit (principal, action, resource);
           @id("interns") forbid (principal in Mcp::Group::"company/interns", action == Mcp::Action::"call", resource)
           when { context.arguments.hasTag("/amount") };"#,
    );
    for subject in ["ann", "bob", "cid"] {
        let said = stand.call(&user(subject, &["interns"]), "bank/pay", r#"{"amount":1}"#);
        assert_eq!(said.why, Why::Forbidden(vec!["interns".to_owned()]), "{subject}");
    }
    let one = Stand::new(&format!(
        "permit (principal, action, resource) when {{ principal is Mcp::User in Mcp::User::{} }};",
        mcp::json::quote(user("ann", &[]).principal.id())
    ));
    for (subject, may) in [("ann", true), ("bob", false), ("ann", true)] {
        assert_eq!(one.call(&user(subject, &[]), "bank/pay", "{}").allowed, may, "{subject}");
    }
}

#[test]
fn a_server_has_its_words() {
    let stand = Stand::new(
        r#"permit (principal, action, resource);
           forbid (principal, action == Mcp::Action::"call", resource) when { resource.server in Mcp::Tag::"money" };"#,
    );
    assert!(!stand.call(&anonymous(), "bank/pay", "{}").allowed);
    assert!(stand.call(&anonymous(), "wiki/pay", "{}").allowed);
}

#[test]
fn two_who_have_one_place_in_memory_one_after_the_other_are_two() {
    let stand = Stand::new(r#"permit (principal, action, resource) when { principal.subject == "ann" };"#);
    for round in 0..200 {
        let (subject, may) = if round % 2 == 0 { ("ann", true) } else { ("bob", false) };
        assert_eq!(stand.call(&user(subject, &[]), "bank/pay", "{}").allowed, may, "{subject}");
    }
}

#[test]
fn what_is_built_in_says_what_its_name_does() {
    let of = |name: &str| Stand::new(built_in(name).unwrap());
    let (all, annotated, reading) = (of("allow-all"), of("annotated"), of("read-only"));
    let tools = [("get", READS), ("add", HARMLESS), ("pay", "")];
    let may = |stand: &Stand, server: &str| {
        let each = tools.map(|(name, members)| {
            let definition = tool(name, members);
            let name = format!("{server}/{name}");
            let may = stand.call_defined(&anonymous(), &name, None, Some(&definition)).allowed;
            assert_eq!(stand.lists(&anonymous(), &name, Some(&definition)), may, "{name}");
            may
        });
        (each[0], each[1], each[2])
    };
    assert_eq!(may(&all, "bank"), (true, true, true));
    assert_eq!(may(&annotated, "bank"), (true, true, false));
    assert_eq!(may(&reading, "bank"), (true, false, false));
    // What a server says of itself counts for nothing where nobody trusts it.
    assert_eq!(may(&all, "wiki"), (true, true, true));
    assert_eq!(may(&annotated, "wiki"), (false, false, false));
    assert_eq!(may(&reading, "wiki"), (false, false, false));
    for stand in [&all, &annotated, &reading] {
        assert!(stand.ask(&anonymous(), "resources/read", (Sort::Resource, "wiki/file:///a")).is_ok());
        assert!(stand.ask(&anonymous(), "resources/subscribe", (Sort::Resource, "wiki/file:///a")).is_ok());
        assert!(stand.ask(&anonymous(), "prompts/get", (Sort::Prompt, "wiki/p")).is_ok());
        assert!(stand.ask(&anonymous(), "completion/complete", (Sort::Prompt, "wiki/p")).is_ok());
    }
    // What nobody lists is not known to read only.
    assert!(!reading.call(&anonymous(), "bank/get", "{}").allowed);
}

#[test]
fn a_policy_that_errs_denies() {
    let stand = Stand::new(
        r#"permit (principal, action, resource);
           @id("sum") forbid (principal, action == Mcp::Action::"call", resource)
           when { context.arguments.hasTag("/n") && context.arguments.getTag("/n") has integer
                  && context.arguments.getTag("/n").integer + 9223372036854775807 > 0 };"#,
    );
    let said = stand.call(&anonymous(), "bank/pay", r#"{"n":1}"#);
    assert!(matches!(&said.why, Why::Erred { id: Some(id), .. } if id == "sum"), "{said:?}");
    assert!(!said.allowed);
    assert!(stand.call(&anonymous(), "bank/pay", r#"{"n":-9223372036854775807}"#).allowed);
    assert!(stand.call(&anonymous(), "bank/pay", "{}").allowed);
    // One that errs whatever is called denies, too.
    let stand = Stand::new(
        r#"permit (principal, action, resource);
           @id("always") forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };"#,
    );
    assert!(matches!(stand.call(&anonymous(), "bank/pay", "{}").why, Why::Erred { .. }));
    assert!(!stand.lists(&anonymous(), "bank/pay", None));
}

#[test]
fn what_goes_with_something_is_allowed_with_it_unless_it_is_forbidden() {
    let stand = Stand::new(
        r#"permit (principal, action == Mcp::Action::"read", resource);
           permit (principal, action == Mcp::Action::"call", resource);
           forbid (principal, action == Mcp::Action::"subscribe", resource) when { resource.uri like "file:///secret*" };
           forbid (principal, action == Mcp::Action::"list", resource == Mcp::Tool::"bank/hidden");"#,
    );
    let ask = |method, thing| stand.ask(&anonymous(), method, thing).is_ok();
    assert!(ask("resources/subscribe", (Sort::Resource, "wiki/file:///a")));
    assert!(!ask("resources/subscribe", (Sort::Resource, "wiki/file:///secret/a")));
    assert!(ask("resources/read", (Sort::Resource, "wiki/file:///secret/a")));
    assert!(!ask("prompts/get", (Sort::Prompt, "wiki/p")));
    assert!(!ask("completion/complete", (Sort::Prompt, "wiki/p")));
    assert!(ask("completion/complete", (Sort::Template, "wiki/file:///{path}")));
    assert!(stand.call(&anonymous(), "bank/hidden", "{}").allowed);
    assert!(!stand.lists(&anonymous(), "bank/hidden", None) && stand.lists(&anonymous(), "bank/pay", None));
}

#[test]
fn what_only_a_call_has_is_looked_at_at_each() {
    let stand = Stand::new(
        r#"permit (principal, action == Mcp::Action::"call", resource)
           when { context.era == "modern" && context.now < datetime("2026-12-01") };
           permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"wiki/near")
           when { context has address && context.address.isLoopback() };"#,
    );
    let server = "bank".into();
    let by = |era| {
        let known = auth::Known { era: Some(era), ..auth::Known::default() };
        let action = auth::Action { method: "tools/call", upstream: &server, name: Some("pay"), known };
        stand.route.0.verdict(&anonymous().principal, &action).unwrap().allowed
    };
    assert!(by("modern") && !by("legacy"));
    assert!(stand.lists(&anonymous(), "bank/pay", None), "it may be allowed");
    let wiki = "wiki".into();
    let from = |address: &str| {
        let address = Some(address.parse().unwrap());
        let known = auth::Known { era: Some("legacy"), address, ..auth::Known::default() };
        let action = auth::Action { method: "tools/call", upstream: &wiki, name: Some("near"), known };
        stand.route.0.verdict(&anonymous().principal, &action).unwrap().allowed
    };
    assert!(from("127.0.0.1") && from("::1") && from("::ffff:127.0.0.1") && !from("192.0.2.1"));
}

#[test]
fn a_denial_gives_the_reason_that_its_policy_gives() {
    use auth::Decide as _;
    let text = r#"permit (principal, action, resource);
                  @reason("ask the treasury") forbid (principal, action, resource == Mcp::Tool::"bank/pay");"#;
    let server = "bank".into();
    let action = auth::Action::new("tools/call", &server, Some("pay"));
    let refused = |enforce| {
        let stand = Stand::of(&base::plan::policy::PolicyPlan { enforce, ..plan(&[text]) });
        let shown = stand.lists(&anonymous(), "bank/pay", None);
        (stand.route.decide(&anonymous().principal, &action), shown)
    };
    assert_eq!(refused(true), (Err(Refusal::Policy(Some("ask the treasury".into()))), false));
    assert_eq!(refused(false), (Ok(()), true), "what is only observed is not refused");
}

#[test]
fn what_is_no_servers_of_the_route_is_not_decided() {
    let stand = Stand::new("forbid (principal, action, resource);");
    let own = "portolan".into();
    let action = auth::Action::new("tools/call", &own, Some("x"));
    assert_eq!(stand.route.0.verdict(&anonymous().principal, &action), None);
    let bank = "bank".into();
    for method in ["tools/list", "server/discover", "ping", "tasks/get"] {
        assert_eq!(
            stand.route.0.verdict(&anonymous().principal, &auth::Action::new(method, &bank, None)),
            None
        );
    }
}

/// Of the call only its arguments are forgotten when its task is asked about.
#[test]
fn a_task_is_decided_by_what_there_is() {
    let of = |text: &str| {
        let stand = Stand::new(text);
        let ask = |method: &str| stand.ask(&anonymous(), method, (Sort::Tool, "bank/pay")).is_ok();
        ask("tasks/get")
    };
    let call = r#"(principal, action == Mcp::Action::"call", resource)"#;
    let amount = r#"context.arguments.hasTag("/n")"#;
    for (text, may) in [
        (format!("permit {call} when {{ {amount} }};"), true),
        (format!("permit {call} when {{ {amount} && principal.subject == \"ann\" }};"), false),
        // It is noon.
        (format!("permit {call} when {{ context.now.toTime() > duration(\"20h\") }};"), false),
        (format!("permit {call} when {{ context.now.toTime() < duration(\"20h\") }};"), true),
        (format!("permit {call}; forbid {call} when {{ context.now.toTime() < duration(\"20h\") }};"), false),
        (format!("permit {call}; forbid {call} when {{ context.era == \"legacy\" }};"), true),
        (format!("permit {call}; forbid {call} unless {{ {amount} }};"), true),
        (
            format!(
                "permit {call}; forbid {call} when {{ context has address && context.address.isLoopback() }};"
            ),
            true,
        ),
        (
            format!("permit {call}; @approval(\"x\") forbid {call} when {{ context.era == \"modern\" }};"),
            true,
        ),
        (format!("@approval(\"x\") permit {call} when {{ context.era == \"modern\" }};"), true),
        (format!("@approval(\"x\") permit {call} when {{ context.era == \"legacy\" }};"), false),
        (format!("permit {call} when {{ {amount} }}; @approval(\"x\") forbid {call};"), true),
        (
            format!("permit {call} when {{ {amount} }}; forbid {call} when {{ context.era == \"modern\" }};"),
            false,
        ),
    ] {
        assert_eq!(of(&text), may, "{text}");
    }
}
