//! What policies see of arguments.

use policy::Why;

use crate::stand::{Stand, anonymous, tool};

const LIMIT: &str = r#"permit (principal, action, resource);
@id("limit") forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/pay")
unless {
  context.arguments.hasTag("/amount") && context.arguments.getTag("/amount") has integer
  && context.arguments.getTag("/amount").integer <= 100
};"#;

#[test]
fn a_number_is_what_it_is_however_it_is_written() {
    let stand = Stand::new(LIMIT);
    let may = |arguments: &str| stand.call(&anonymous(), "bank/pay", arguments).allowed;
    for good in [r#"{"amount":100}"#, r#"{"amount":1e2}"#, r#"{"amount":100.0}"#, r#"{"\u0061mount":-5}"#] {
        assert!(may(good), "{good}");
    }
    for bad in [
        "{}",
        "[]",
        r#"{"amount":101}"#,
        r#"{"amount":"1"}"#,
        r#"{"amount":1.5}"#,
        r#"{"amount":null}"#,
        r#"{"amount":[1]}"#,
        r#"{"amount":{"integer":1}}"#,
        r#"{"amount":{"__extn":{"fn":"decimal","arg":"1.0"}}}"#,
        r#"{"amount":1e99}"#,
        r#"{"amount":9223372036854775808}"#,
        r#"{"/amount":1}"#,
        r#"{"Amount":1}"#,
        r#"{"x":{"amount":1}}"#,
    ] {
        assert!(!may(bad), "{bad}");
    }
    assert!(stand.call(&anonymous(), "bank/other", r#"{"amount":"x"}"#).allowed, "it is about another tool");
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let stand = Stand::new(LIMIT);
    for twice in [
        r#"{"amount":1,"amount":1000}"#,
        r#"{"amount":1,"\u0061mount":1000}"#,
        r#"{"amount":1,"x":{"y":1,"y":2}}"#,
    ] {
        let said = stand.call(&anonymous(), "bank/pay", twice);
        assert!(
            matches!(&said.why, Why::Arguments(text) if text.contains("more than once")),
            "{twice}: {said:?}"
        );
    }
    // Where nobody looks, it is the server's to judge.
    assert!(stand.call(&anonymous(), "wiki/pay", r#"{"a":1,"a":2}"#).allowed);
}

#[test]
fn what_the_tool_does_not_take_is_refused_before_policies_read_it() {
    let stand = Stand::new(
        r#"permit (principal, action, resource);
           forbid (principal, action == Mcp::Action::"call", resource)
           when { context.arguments.hasTag("/amount") && context.arguments.getTag("/amount") has integer
                  && context.arguments.getTag("/amount").integer > 100 };"#,
    );
    let pay = tool("pay", r#","inputSchema":{"type":"object","properties":{"amount":{"type":"integer"}}}"#);
    let say = |arguments: &str| stand.call_defined(&anonymous(), "bank/pay", Some(arguments), Some(&pay)).why;
    assert!(matches!(say(r#"{"amount":50}"#), Why::Permitted(_)));
    assert!(matches!(say(r#"{"amount":1000}"#), Why::Forbidden(_)));
    // A server would take these for 1000.
    for odd in
        [r#"{"amount":"1_000"}"#, r#"{"amount":" 1000 "}"#, r#"{"amount":true}"#, r#"{"amount":[1000]}"#]
    {
        let said = say(odd);
        assert!(matches!(&said, Why::Arguments(_)), "{odd}: {said:?}");
    }
    // What is wrong is said without what was sent.
    let Why::Arguments(text) = say(r#"{"amount":"hunter2"}"#) else { panic!("refused") };
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_schema_that_cannot_be_used_denies_where_arguments_are_read() {
    let stand = Stand::new(LIMIT);
    for schema in [
        r#","inputSchema":{"$ref":"https://example.com/schema.json"}"#,
        r##","inputSchema":{"$ref":"#"}"##,
        r#","inputSchema":7"#,
        r#","inputSchema":{},"inputSchema":{}"#,
        "",
    ] {
        let pay = tool("pay", schema);
        let said = stand.call_defined(&anonymous(), "bank/pay", Some(r#"{"amount":1}"#), Some(&pay));
        assert!(matches!(&said.why, Why::Schema(_)), "{schema}: {said:?}");
    }
    let said = stand.call_defined(&anonymous(), "bank/pay", Some(r#"{"amount":1}"#), None);
    assert!(matches!(&said.why, Why::Schema(_)), "nobody knows what it takes: {said:?}");
}

#[test]
fn a_number_that_is_read_as_a_decimal_must_be_one() {
    let stand = Stand::new(
        r#"permit (principal, action, resource);
           forbid (principal, action == Mcp::Action::"call", resource)
           when { context.arguments.hasTag("/n") && context.arguments.getTag("/n") has decimal
                  && context.arguments.getTag("/n").decimal.greaterThan(decimal("10.0")) };"#,
    );
    let say = |arguments: &str| stand.call(&anonymous(), "bank/pay", arguments).why;
    assert!(matches!(say(r#"{"n":9.5}"#), Why::Permitted(_)));
    assert!(matches!(say(r#"{"n":10.5}"#), Why::Forbidden(_)));
    assert!(matches!(say(r#"{"n":10.50001}"#), Why::Arguments(_)));
}

#[test]
fn too_much_is_denied_unless_policies_look() {
    let many = format!(r#"{{"amount":1,"text":"{}"}}"#, "x".repeat(100_000));
    let reads_text = LIMIT.replace(
        "context.arguments.hasTag(\"/amount\") &&",
        "context.arguments.hasTag(\"/text\") && context.arguments.hasTag(\"/amount\") &&",
    );
    assert_eq!(Stand::new(&reads_text).call(&anonymous(), "bank/pay", &many).why, Why::Incomplete);
    assert!(Stand::new(LIMIT).call(&anonymous(), "bank/pay", &many).allowed, "nobody reads the long one");
    // What forbids is never padded away.
    let asks = reads_text.replace("unless {", "unless { !context.complete ||");
    assert_eq!(Stand::new(&asks).call(&anonymous(), "bank/pay", &many).why, Why::Incomplete);
    let permits = r#"permit (principal, action == Mcp::Action::"call", resource)
        when { !context.complete || context.arguments.hasTag("/text") };"#;
    assert!(Stand::new(permits).call(&anonymous(), "bank/pay", &many).allowed);
}

#[test]
fn lists_and_paths_can_be_spoken_of() {
    let stand = Stand::new(
        r#"permit (principal, action == Mcp::Action::"call", resource) when {
             context.arguments.hasTag("/path") && context.arguments.getTag("/path") has clean
             && context.arguments.getTag("/path").clean && context.arguments.getTag("/path") has text
             && context.arguments.getTag("/path").text like "/srv/*" };
           permit (principal, action == Mcp::Action::"call", resource) when {
             context.arguments.hasTag("/to") && context.arguments.getTag("/to") has texts
             && ["a@example.com", "b@example.com"].containsAll(context.arguments.getTag("/to").texts) };"#,
    );
    let may = |arguments: &str| stand.call(&anonymous(), "bank/send", arguments).allowed;
    assert!(
        may(r#"{"path":"/srv/a"}"#)
            && !may(r#"{"path":"/srv/../etc/passwd"}"#)
            && !may(r#"{"path":"/srv/%2e%2e/x"}"#)
    );
    assert!(may(r#"{"to":["a@example.com"]}"#) && !may(r#"{"to":["a@example.com","c@example.com"]}"#));
    assert!(!may(r#"{"to":"a@example.com"}"#) && !may(r#"{"to":["a@example.com",1]}"#));
}

#[test]
fn arguments_are_shown_to_whoever_explains() {
    let stand = Stand::new(LIMIT);
    let leaves = stand.route.0.leaves(r#"{"amount":1e2,"x":1}"#).unwrap();
    assert_eq!(leaves, [("/amount".to_owned(), "integer 1e2".to_owned())]);
}
