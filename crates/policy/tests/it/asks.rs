//! Policies that want an approval.

use std::sync::Arc;
use std::time::Duration;

use auth::definition::{Definition, Sort};
use auth::{Action, Approved, Approver, Asked, Decide as _, Known, Refusal};
use policy::{RoutePolicies, Why};
use proptest::prelude::*;

use crate::stand::{Caller, Stand, anonymous, plan, read, read_on, tool, user};

const ASKS: &str = r#"@id("all") permit (principal, action, resource);
@id("large") @approval("more than 100") @approvers("company/leads, user company/eve") @expires("1 h")
forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/pay")
unless { context.arguments.hasTag("/n") && context.arguments.getTag("/n") has integer
         && context.arguments.getTag("/n").integer <= 100 };
@id("drop") @approval("it is gone then")
forbid (principal, action == Mcp::Action::"call", resource in Mcp::Tag::"dangerous");"#;

fn decide(
    stand: &Stand,
    caller: &Caller,
    (name, arguments): (&str, &str),
    (definition, approved): (&Arc<Definition>, Option<&Approved>),
) -> Result<(), Refusal> {
    let server = "bank".into();
    let known = Known {
        claims: caller.claims.as_ref(),
        definition: Some(definition),
        arguments: Some(arguments),
        approved,
        ..Known::default()
    };
    let action = Action { method: "tools/call", upstream: &server, name: Some(name), known };
    stand.route.decide(&caller.principal, &action)
}

fn pay() -> Arc<Definition> {
    tool("pay", r#","inputSchema":{"type":"object"}"#)
}

fn asked(refused: Result<(), Refusal>) -> Asked {
    match refused {
        Err(Refusal::Approval(asked)) => *asked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_asks_is_said_with_who_may_answer() {
    let stand = Stand::new(ASKS);
    let ann = user("ann", &["staff"]);
    assert!(stand.call(&ann, "bank/pay", r#"{"n":100}"#).allowed);
    let said = stand.call(&ann, "bank/pay", r#"{"n":101}"#);
    assert_eq!((said.allowed, &said.why), (false, &Why::Asks(vec!["large".to_owned()])));
    let asked = asked(decide(&stand, &ann, ("pay", r#"{"n":101}"#), (&pay(), None)));
    assert_eq!((asked.reason.as_str(), asked.lasts), ("more than 100", Duration::from_secs(3600)));
    let issuer = "https://id.example".to_owned();
    let group = Approver::Group {
        issuer: issuer.clone(),
        group: "leads".to_owned(),
        shown: "company/leads".to_owned(),
    };
    let eve = Approver::Subject { issuer, subject: "eve".to_owned(), shown: "user company/eve".to_owned() };
    assert_eq!(asked.approvers, [vec![group, eve]]);
    assert!(stand.route.asks() && !Stand::new("permit (principal, action, resource);").route.asks());
}

#[test]
fn what_may_be_asked_for_is_listed() {
    let stand = Stand::new(ASKS);
    for caller in [anonymous(), user("ann", &[])] {
        assert!(stand.lists(&caller, "bank/pay", Some(&pay())));
        assert!(stand.lists(&caller, "bank/delete_all", None));
    }
    let only = Stand::new(r#"@approval("x") permit (principal, action, resource);"#);
    assert!(only.lists(&anonymous(), "bank/pay", Some(&pay())));
    let none = Stand::new(r#"@approval("x") forbid (principal, action, resource);"#);
    assert!(!none.lists(&anonymous(), "bank/pay", Some(&pay())), "nothing permits it, approved or not");
}

#[test]
fn a_policy_that_permits_once_approved_does_so_where_no_other_permits() {
    let stand = Stand::new(
        r#"@id("once") @approval("new here") permit (principal, action == Mcp::Action::"call", resource);
           @id("staff") permit (principal in Mcp::Group::"company/staff", action == Mcp::Action::"call", resource);
           @id("never") forbid (principal, action, resource in Mcp::Tag::"dangerous");"#,
    );
    let said = |caller: &Caller, tool| stand.call(caller, tool, "{}").why;
    assert_eq!(said(&user("ann", &["staff"]), "bank/pay"), Why::Permitted(vec!["staff".to_owned()]));
    assert_eq!(said(&user("bob", &[]), "bank/pay"), Why::Asks(vec!["once".to_owned()]));
    assert_eq!(said(&user("bob", &[]), "bank/delete_all"), Why::Forbidden(vec!["never".to_owned()]));
}

#[test]
fn all_that_ask_must_be_satisfied() {
    let stand = Stand::new(
        r#"permit (principal, action, resource);
           @id("a") @approval("money") @approvers("company/leads") @expires("2 h")
           forbid (principal, action == Mcp::Action::"call", resource);
           @id("b") @approval("money") @approvers("company/bank") @expires("1 h")
           forbid (principal, action == Mcp::Action::"call", resource in Mcp::Tag::"money");
           @id("c") @approval("at all") forbid (principal, action == Mcp::Action::"call", resource)
           when { context.era == "modern" };"#,
    );
    let asked = asked(decide(&stand, &user("ann", &[]), ("pay", "{}"), (&pay(), None)));
    assert_eq!(asked.policies, ["a", "b", "c"]);
    assert_eq!((asked.reason.as_str(), asked.lasts), ("money\nat all", Duration::from_secs(900)));
    assert_eq!(asked.approvers.len(), 2, "one of each");
}

/// Whatever a person decides by.
#[test]
fn an_approval_is_for_the_very_call() {
    let stand = Stand::new(ASKS);
    let ann = user("ann", &["staff"]);
    let large = ("pay", r#"{"n":101}"#);
    let proof = asked(decide(&stand, &ann, large, (&pay(), None))).approved();
    assert_eq!(decide(&stand, &ann, large, (&pay(), Some(&proof))), Ok(()));
    let other = tool("pay", r#","description":"pays","inputSchema":{"type":"object"}"#);
    assert!(decide(&stand, &ann, large, (&other, Some(&proof))).is_err(), "another definition");
    for arguments in [r#"{"n":102}"#, r#"{"n": 101}"#, r#"{"n":101,"to":"me"}"#] {
        let other = decide(&stand, &ann, ("pay", arguments), (&pay(), Some(&proof)));
        assert!(matches!(other, Err(Refusal::Approval(_))), "{arguments}");
    }
    let others = decide(&stand, &user("bob", &["staff"]), large, (&pay(), Some(&proof)));
    assert!(matches!(others, Err(Refusal::Approval(_))));
    for changed in [("more than 100", "more than 99"), ("company/leads", "company/chiefs"), ("1 h", "2 h")] {
        let stand = Stand::new(&ASKS.replace(changed.0, changed.1));
        let now = decide(&stand, &ann, large, (&pay(), Some(&proof)));
        assert!(matches!(now, Err(Refusal::Approval(_))), "{changed:?}");
    }
    // What is forbidden stays so.
    let forbid = Stand::new(&format!("{ASKS} forbid (principal, action, resource);"));
    assert_eq!(decide(&forbid, &ann, large, (&pay(), Some(&proof))), Err(Refusal::Policy(None)));
}

/// Of another server, by another method, or on another route it is another call.
#[test]
fn an_approval_is_for_its_route_server_and_method() {
    let text = r#"permit (principal, action, resource);
        @id("all") @approval("x")
        forbid (principal, action in [Mcp::Action::"call", Mcp::Action::"get"], resource);"#;
    let ann = user("ann", &["staff"]);
    let on = |route: &RoutePolicies, (server, method): (&str, &str), approved: Option<&Approved>| {
        let server = server.into();
        let sort = Some(if method == "tools/call" { Sort::Tool } else { Sort::Prompt });
        let arguments = Some("{}");
        let known = Known { claims: ann.claims.as_ref(), sort, arguments, approved, ..Known::default() };
        route.decide(&ann.principal, &Action { method, upstream: &server, name: Some("pay"), known })
    };
    let route = |name| RoutePolicies(Arc::new(read_on(name, &plan(&[text])).unwrap()));
    let (main, other) = (route("main"), route("other"));
    let call = ("bank", "tools/call");
    let proof = asked(on(&main, call, None)).approved();
    assert_eq!(on(&main, call, Some(&proof)), Ok(()));
    for (route, call) in [(&main, ("wiki", "tools/call")), (&main, ("bank", "prompts/get")), (&other, call)] {
        let refused = on(route, call, Some(&proof));
        assert!(matches!(refused, Err(Refusal::Approval(_))), "{call:?}: {refused:?}");
    }
}

#[test]
fn nobody_is_asked_about_what_goes_with_something() {
    let stand = Stand::new(
        r#"permit (principal, action, resource);
           @approval("secret") forbid (principal, action, resource) when { resource.server == Mcp::Server::"wiki" };"#,
    );
    let of = |method, sort, thing| stand.ask(&anonymous(), method, (sort, thing));
    assert!(matches!(of("resources/read", Sort::Resource, "wiki/file:///a"), Err(Refusal::Approval(_))));
    assert_eq!(of("resources/subscribe", Sort::Resource, "wiki/file:///a"), Err(Refusal::Policy(None)));
    assert_eq!(of("completion/complete", Sort::Prompt, "wiki/p"), Err(Refusal::Policy(None)));
    assert!(of("resources/subscribe", Sort::Resource, "bank/file:///a").is_ok());
    assert!(stand.lists(&anonymous(), "wiki/x", None));
    // One that permits what is approved takes nothing away.
    let stand = Stand::new(
        r#"permit (principal, action == Mcp::Action::"read", resource);
           @approval("x") permit (principal, action, resource);"#,
    );
    let of = |method, sort, thing| stand.ask(&anonymous(), method, (sort, thing));
    assert!(of("resources/subscribe", Sort::Resource, "wiki/file:///a").is_ok());
}

#[test]
fn what_is_only_observed_asks_nobody() {
    let plan = base::plan::policy::PolicyPlan { enforce: false, ..plan(&[ASKS]) };
    let stand = Stand::of(&plan);
    assert!(!stand.route.asks());
    assert_eq!(decide(&stand, &user("ann", &[]), ("pay", r#"{"n":101}"#), (&pay(), None)), Ok(()));
}

#[test]
fn bad_annotations_say_where_they_are() {
    let text = "permit (principal, action, resource);\n@id(\"b\")\n  @approval(\"x\") @expires(\"soon\")\nforbid (principal, action, resource);";
    let faults = read(&plan(&[text])).unwrap_err();
    let said = faults[0].to_string();
    assert!(said.starts_with("p0.cedar:3:18: ") && said.contains("soon"), "{said}");
    let twice = format!("{text}\n{}", text.replace("\"b\"", "\"c\""));
    let faults = read(&plan(&[&twice])).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.at).collect::<Vec<_>>(), [Some((3, 18)), Some((7, 18))]);
    let missing = "@aproval(\"x\") permit (principal, action, resource);";
    assert!(read(&plan(&[missing])).unwrap_err()[0].to_string().contains("@approval("));
}

/// What is approved is still done no more often than a policy permits.
#[test]
fn an_approval_lifts_no_limit() {
    for text in [
        r#"@id("p") @limit("2/min") permit (principal, action, resource);
           @approval("x") forbid (principal, action == Mcp::Action::"call", resource);"#,
        r#"@id("p") @limit("2/min") @approval("x") permit (principal, action == Mcp::Action::"call", resource)
           when { context.era == "modern" };"#,
    ] {
        let (stand, server, definition) = (Stand::new(text), "bank".into(), pay());
        let known = Known { definition: Some(&definition), arguments: Some("{}"), ..Known::default() };
        let action = Action { method: "tools/call", upstream: &server, name: Some("pay"), known };
        let nobody = anonymous().principal;
        let proof = asked(stand.route.allow(&nobody, &action).map(|_as_often| ())).approved();
        let known = Known { approved: Some(&proof), ..known };
        let allowances = stand.route.allow(&nobody, &Action { known, ..action }).unwrap();
        assert_eq!(allowances.iter().map(|one| (&*one.by, one.times)).collect::<Vec<_>>(), [("p", 2)]);
    }
}

/// A policy: what it is about, whether it permits, whether it asks.
type Drawn = (usize, bool, bool);

const CONDITIONS: [&str; 5] = [
    "true",
    "principal in Mcp::Group::\"company/staff\"",
    "context.arguments.hasTag(\"/n\")",
    "context.arguments.hasTag(\"/m\") && principal in Mcp::Group::\"company/staff\"",
    "resource.server == Mcp::Server::\"bank\"",
];

fn holds(condition: usize, is_staff: bool, arguments: &str) -> bool {
    match condition {
        0 | 4 => true,
        1 => is_staff,
        2 => arguments.contains("\"n\""),
        _ => is_staff && arguments.contains("\"m\""),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// What asks is allowed with the proof for it, and never without; what policies mean is found by somebody who reads them one by one.
    #[test]
    fn what_asks_is_never_allowed_without_an_approval(
        policies in prop::collection::vec((0_usize..5, any::<bool>(), any::<bool>()), 1..7),
    ) {
        let text = |(number, (condition, permits, asks)): (usize, &Drawn)| format!(
            "@id(\"{number}\") {} {} (principal, action == Mcp::Action::\"call\", resource) when {{ {} }};\n",
            if *asks { "@approval(\"why\")" } else { "" },
            if *permits { "permit" } else { "forbid" },
            CONDITIONS[*condition],
        );
        let stand = Stand::new(&policies.iter().enumerate().map(text).collect::<String>());
        for (caller, is_staff) in [(user("ann", &["staff"]), true), (user("bob", &[]), false)] {
            let listed = stand.lists(&caller, "bank/pay", Some(&pay()));
            for arguments in ["{}", r#"{"n":1}"#, r#"{"m":1}"#, r#"{"n":1,"m":2}"#] {
                let any = |permits: bool, asks: bool| policies.iter().any(|of| {
                    (of.1, of.2) == (permits, asks) && holds(of.0, is_staff, arguments)
                });
                let is_permitted = any(true, false) || any(true, true);
                let is_denied = any(false, false) || !is_permitted;
                let is_asked = !is_denied && (any(false, true) || !any(true, false));
                let another = Approved::of("another");
                let decide = |proof: Option<&Approved>| decide(&stand, &caller, ("pay", arguments), (&pay(), proof));
                let said = decide(None);
                prop_assert_eq!(said.is_ok(), !is_denied && !is_asked, "{:?} {}", said, arguments);
                prop_assert_eq!(matches!(said, Err(Refusal::Approval(_))), is_asked, "{:?} {}", said, arguments);
                prop_assert!(decide(Some(&another)).is_ok() == said.is_ok());
                if let Err(Refusal::Approval(asked)) = said {
                    let proof = asked.approved();
                    prop_assert_eq!(decide(Some(&proof)), Ok(()));
                }
                prop_assert!(listed || is_denied, "what may be asked for is listed");
            }
        }
    }
}
