//! What tokens say beside, as policies see it: as somebody decides who reads the claims themselves.

use std::sync::Arc;

use auth::SaidClaim;
use proptest::prelude::*;

use crate::stand::{Caller, Stand, anonymous, user};

fn with(mut caller: Caller, more: &[(&str, SaidClaim)]) -> Caller {
    let claims = caller.claims.as_mut().unwrap();
    Arc::make_mut(claims).more = more.iter().map(|(name, said)| ((*name).into(), said.clone())).collect();
    caller
}

const TEXT: &str = r#"permit (principal, action, resource) when { principal.hasTag("d") && principal.getTag("d") has text && principal.getTag("d").text == "x" };
permit (principal, action, resource) when { principal.hasTag("d") && principal.getTag("d") has integer && principal.getTag("d").integer > 2 };
permit (principal, action, resource) when { principal.hasTag("d") && principal.getTag("d") has flag && principal.getTag("d").flag };
permit (principal, action, resource) when { principal.hasTag("d") && principal.getTag("d") has texts && principal.getTag("d").texts.contains("x") };"#;

fn means(said: Option<&SaidClaim>) -> bool {
    match said {
        Some(SaidClaim::Text(text)) => text == "x",
        Some(SaidClaim::Integer(number)) => *number > 2,
        Some(SaidClaim::Flag(flag)) => *flag,
        Some(SaidClaim::Texts(texts)) => texts.iter().any(|text| text == "x"),
        None => false,
    }
}

fn said() -> impl Strategy<Value = SaidClaim> {
    let text = prop_oneof![Just("x"), Just("y"), Just(""), Just("true"), Just("3")].prop_map(str::to_owned);
    prop_oneof![
        text.clone().prop_map(SaidClaim::Text),
        (-3_i64..6).prop_map(SaidClaim::Integer),
        any::<bool>().prop_map(SaidClaim::Flag),
        prop::collection::vec(text, 0..4).prop_map(SaidClaim::Texts),
    ]
}

proptest! {
    #[test]
    fn a_claim_means_what_it_says(claims in prop::collection::vec(prop::option::of(said()), 1..8)) {
        let stand = Stand::new(TEXT);
        for said in &claims {
            // One person, whose tokens say one thing after the other.
            let more: Vec<_> = said.iter().map(|said| ("d", said.clone())).collect();
            let ann = with(user("ann", &["staff"]), &more);
            let expected = means(said.as_ref());
            prop_assert_eq!(stand.call(&ann, "bank/pay", "{}").allowed, expected, "{:?}", said);
            prop_assert_eq!(stand.lists(&ann, "bank/pay", None), expected, "{:?}", said);
        }
        prop_assert!(!stand.call(&anonymous(), "bank/pay", "{}").allowed, "of whom nothing is said");
    }
}

/// What one policy asks of a claim it may ask beside what it asks of arguments.
#[test]
fn claims_and_arguments_go_together() {
    let stand = Stand::new(
        r#"permit (principal, action == Mcp::Action::"call", resource) when { principal.hasTag("most") && principal.getTag("most") has integer
           && context.arguments.hasTag("/n") && context.arguments.getTag("/n") has integer
           && context.arguments.getTag("/n").integer <= principal.getTag("most").integer };"#,
    );
    for (most, is_allowed) in [(4, false), (5, true), (6, true)] {
        let ann = with(user("ann", &[]), &[("most", SaidClaim::Integer(most))]);
        assert_eq!(stand.call(&ann, "bank/pay", r#"{"n":5}"#).allowed, is_allowed, "{most}");
    }
    assert!(!stand.call(&user("ann", &[]), "bank/pay", r#"{"n":5}"#).allowed);
}
