//! What lists show: whatever may be allowed.

use crate::stand::{Stand, anonymous, tool, user};

#[test]
fn what_may_be_allowed_is_listed() {
    let stand = Stand::new(
        r#"permit (principal in Mcp::Group::"company/staff", action == Mcp::Action::"call", resource == Mcp::Tool::"bank/pay")
           when { context.arguments.hasTag("/n") && context.arguments.getTag("/n") has integer };
           forbid (principal, action == Mcp::Action::"call", resource)
           unless { context.arguments.hasTag("/ok") || principal.subject == "root" };"#,
    );
    let staff = user("ann", &["staff"]);
    assert!(stand.lists(&staff, "bank/pay", None));
    assert!(!stand.lists(&staff, "bank/other", None));
    assert!(!stand.lists(&user("bob", &[]), "bank/pay", None), "its other conditions do not hold for bob");
    assert!(stand.call(&staff, "bank/pay", r#"{"n":1,"ok":0}"#).allowed);
    assert!(!stand.call(&staff, "bank/pay", r#"{"n":1}"#).allowed);
}

#[test]
fn conditions_that_do_not_vary_count_in_lists() {
    let stand = Stand::new(
        r#"permit (principal, action == Mcp::Action::"call", resource)
           when { resource.read_only && context.arguments.hasTag("/n") }
           unless { principal.subject == "bob" || context.now > datetime("2030-01-01") };"#,
    );
    let reads = tool("get", r#","annotations":{"readOnlyHint":true},"inputSchema":{}"#);
    assert!(stand.lists(&user("ann", &[]), "bank/get", Some(&reads)));
    assert!(!stand.lists(&user("bob", &[]), "bank/get", Some(&reads)));
    assert!(!stand.lists(&user("ann", &[]), "bank/set", Some(&tool("set", ""))));
    assert!(stand.call_defined(&user("ann", &[]), "bank/get", Some(r#"{"n":1}"#), Some(&reads)).allowed);
}

#[test]
fn a_tool_that_was_changed_is_another() {
    let stand = Stand::new(
        "permit (principal, action == Mcp::Action::\"call\", resource) when { resource.read_only };",
    );
    let (reads, writes) = (tool("x", r#","annotations":{"readOnlyHint":true}"#), tool("x", ""));
    assert!(stand.lists(&anonymous(), "bank/x", Some(&reads)));
    assert!(!stand.lists(&anonymous(), "bank/x", Some(&writes)));
    let digest = &reads.digest;
    let pinned = Stand::new(&format!(
        "permit (principal, action == Mcp::Action::\"call\", resource) when {{ resource has digest && resource.digest == \"{digest}\" }};"
    ));
    assert!(pinned.call_defined(&anonymous(), "bank/x", None, Some(&reads)).allowed);
    assert!(!pinned.call_defined(&anonymous(), "bank/x", None, Some(&writes)).allowed);
    assert!(!pinned.call_defined(&anonymous(), "bank/x", None, None).allowed);
}
