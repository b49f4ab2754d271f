//! Whatever is sent, what is decided is what the policies mean: as Cedar decides with all of them at once, where an error denies;
//! and as somebody decides who reads the arguments themselves. Lists show all that is allowed.

use policy::Why;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::stand::{Caller, Stand, anonymous, user};

/// Whether a condition holds for a caller and arguments.
type Holds = Box<dyn Fn(&Caller, &Value) -> bool>;

/// A condition, and what it means.
struct Meaning {
    text: String,
    holds: Holds,
}

fn at<'a>(arguments: &'a Value, pointer: &str) -> Option<&'a Value> {
    arguments.pointer(pointer)
}

fn whole(value: &Value) -> Option<i64> {
    let float = || value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
    #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough")]
    value.as_i64().or_else(|| float().map(|float| float as i64))
}

fn of(number: usize, k: i64) -> Meaning {
    let tag = |pointer: &str, member: &str, rest: &str| {
        let tag = format!("context.arguments.getTag(\"{pointer}\")");
        format!("context.arguments.hasTag(\"{pointer}\") && {tag} has {member} && {tag}.{member}{rest}")
    };
    let meaning = |text: String, holds: Holds| Meaning { text, holds };
    match number % 9 {
        0 => meaning(
            tag("/n", "integer", &format!(" <= {k}")),
            Box::new(move |_, all| at(all, "/n").and_then(whole).is_some_and(|n| n <= k)),
        ),
        1 => meaning(
            tag("/f", "flag", ""),
            Box::new(|_, all| at(all, "/f").and_then(Value::as_bool) == Some(true)),
        ),
        2 => meaning(
            format!("{} && {}", tag("/s", "text", " == \"a\""), tag("/s", "kind", " == \"string\"")),
            Box::new(|_, all| at(all, "/s").and_then(Value::as_str) == Some("a")),
        ),
        3 => meaning(
            tag("/l", "texts", ".contains(\"a\")"),
            Box::new(|_, all| {
                let list = at(all, "/l").and_then(Value::as_array);
                list.is_some_and(|list| list.iter().all(Value::is_string) && list.contains(&json!("a")))
            }),
        ),
        4 => meaning(
            tag("/z", "kind", " == \"null\""),
            Box::new(|_, all| at(all, "/z").is_some_and(Value::is_null)),
        ),
        5 => meaning(
            tag("/l", "size", &format!(" > {k}")),
            Box::new(move |_, all| {
                let size = at(all, "/l").and_then(|value| match value {
                    Value::Array(list) => Some(list.len()),
                    Value::Object(members) => Some(members.len()),
                    Value::String(text) => Some(text.chars().count()),
                    _ => None,
                });
                size.is_some_and(|size| i64::try_from(size).unwrap() > k)
            }),
        ),
        6 => meaning(
            tag("/o/a~1b", "integer", &format!(" == {k}")),
            Box::new(move |_, all| at(all, "/o/a~1b").and_then(whole) == Some(k)),
        ),
        7 => meaning(
            "principal in Mcp::Group::\"company/staff\"".to_owned(),
            Box::new(|caller, _| {
                caller.claims.as_ref().is_some_and(|claims| claims.groups.contains(&"staff".to_owned()))
            }),
        ),
        _ => meaning(
            tag("/n", "decimal", ".lessThan(decimal(\"1.5\"))"),
            Box::new(|_, all| at(all, "/n").and_then(Value::as_f64).is_some_and(|n| n < 1.5)),
        ),
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        prop_oneof![Just(1.5), Just(1.0), Just(-2.25), Just(1e3), Just(0.5)].prop_map(Value::from),
        prop_oneof![Just("a"), Just("1"), Just("true"), Just(""), Just("\u{e4}\"")].prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                prop_oneof![Just("a/b".to_owned()), Just("n".to_owned())],
                inner,
                0..3
            )
            .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn arguments() -> impl Strategy<Value = Value> {
    let names = ["n", "f", "s", "l", "z", "o"].map(|name| Just(name.to_owned()));
    let name = prop::sample::select(names.map(|just| just.0).to_vec());
    prop::collection::btree_map(name, value(), 0..6)
        .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into())
}

/// A policy: what it means, whether it permits, whether its condition is turned round (`unless`).
type Drawn = (usize, i64, bool, bool);

fn text((number, k, permits, unless): Drawn) -> String {
    let (effect, word) = (if permits { "permit" } else { "forbid" }, if unless { "unless" } else { "when" });
    let condition = of(number, k).text;
    format!("{effect} (principal, action == Mcp::Action::\"call\", resource) {word} {{ {condition} }};\n")
}

/// It permits nothing that anybody asks for.
const ANY: &str = r#"permit (principal, action == Mcp::Action::"call", resource)
when { context.arguments.hasTag(principal.subject) && principal.subject == "nobody" };"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_decided_is_what_the_policies_mean(
        policies in prop::collection::vec((0_usize..9, -2_i64..4, prop::bool::weighted(0.7), any::<bool>()), 1..7),
        sent in prop::collection::vec(arguments(), 1..8),
    ) {
        let text = policies.iter().copied().map(text).collect::<String>();
        let stand = Stand::new(&text);
        // Beside one that looks at any argument, all are asked as they are written.
        let as_written = Stand::new(&format!("{text}{ANY}"));
        for caller in
            [anonymous(), user("ann", &["staff"]), user("bob", &["guests"]), user("cid", &["staff"])]
        {
            let listed = stand.lists(&caller, "bank/pay", None);
            for arguments in &sent {
                let satisfied = |&(number, k, _, unless): &Drawn| (of(number, k).holds)(&caller, arguments) != unless;
                let any = |permits: bool| policies.iter().any(|drawn| drawn.2 == permits && satisfied(drawn));
                let expected = any(true) && !any(false);
                let said = stand.call(&caller, "bank/pay", &arguments.to_string());
                prop_assert!(!matches!(said.why, Why::Erred { .. } | Why::Incomplete), "{said:?}");
                prop_assert_eq!(said.allowed, expected, "{:?} {}", said, arguments);
                let said = as_written.call(&caller, "bank/pay", &arguments.to_string());
                prop_assert_eq!(said.allowed, expected, "as written: {:?} {}", said, arguments);
                prop_assert!(listed || !said.allowed, "what is allowed is listed");
            }
        }
    }
}
