//! Definitions as people read and compare them, and what of them can be.

use base::define::{self, DEEPEST};
use mcp::json::{self, Kind, Object};

use crate::hidden::escaped;

/// The definition ([`define::canonical`]) with a member a line, two spaces for each level from `level` on. What cannot be seen is
/// escaped.
#[must_use]
pub fn pretty(definition: &str, level: usize) -> String {
    escaped(json::laid_out(&define::canonical(definition), level))
}

/// How deep a value goes: 0 of what has no parts. Nothing if a part of it cannot be read, or if it goes deeper than `most`.
pub(crate) fn depth(value: &str, most: usize) -> Option<usize> {
    let parts: Vec<&str> = match Kind::of(value) {
        Kind::Object => Object::parse(value).ok()?.iter().map(|member| member.value).collect(),
        Kind::Array => json::array(value).ok()?,
        _ => return Some(0),
    };
    let below = most.checked_sub(1)?;
    let mut deepest = 0;
    for part in parts {
        deepest = deepest.max(depth(part, below)?);
    }
    Some(deepest + 1)
}

/// Whether a member stands twice in an object, at any depth.
pub(crate) fn has_duplicates(value: &str) -> bool {
    repeats(value.trim(), DEEPEST)
}

fn repeats(value: &str, most: usize) -> bool {
    let Some(below) = most.checked_sub(1) else { return false };
    match Kind::of(value) {
        Kind::Object => Object::parse(value).is_ok_and(|object| {
            object.deny_duplicates().is_err() || object.iter().any(|member| repeats(member.value, below))
        }),
        Kind::Array => {
            json::array(value).is_ok_and(|elements| elements.into_iter().any(|one| repeats(one, below)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use base::define::{canonical, digest};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_definition_is_written_in_one_way() {
        let text = r#" {"name" : "a\u0062","n":[1.0,  2e70,{}],"b":{"z":null,"a":true}} "#;
        assert_eq!(canonical(text), r#"{"b":{"a":true,"z":null},"n":[1.0,2e70,{}],"name":"ab"}"#);
        assert_eq!(
            pretty(r#"{"b":[],"a":[1,{"c":"x"}]}"#, 1),
            "{\n    \"a\": [\n      1,\n      {\n        \"c\": \"x\"\n      }\n    ],\n    \"b\": []\n  }"
        );
    }

    #[test]
    fn what_is_pretty_hides_nothing() {
        let text = format!("{{\"a\":\"x{}y{}\"}}", '\u{202e}', '\u{e0041}');
        assert_eq!(pretty(&text, 0), "{\n  \"a\": \"x\\u202ey\\udb40\\udc41\"\n}");
        assert_eq!(digest(&pretty(&text, 3)), digest(&text));
        // A text with half a character in it is no way round that, nor is what lies deep.
        let half = format!(r#"{{"a":"\ud800{}{}{}"}}"#, '\u{202e}', '\u{9b}', '\u{e0041}');
        assert!(pretty(&half, 0).is_ascii(), "{}", pretty(&half, 0));
        assert_eq!(digest(&pretty(&half, 3)), digest(&half));
        let deep = format!("{}\"\u{202e}\"{}", "[".repeat(200), "]".repeat(200));
        assert!(pretty(&deep, 0).is_ascii());
    }

    #[test]
    fn how_deep_it_goes_and_what_stands_twice_is_known() {
        assert_eq!(depth("1", 3), Some(0));
        assert_eq!(depth(r#"{"a":[{}]}"#, 3), Some(3));
        assert_eq!(depth(r#"{"a":[{}]}"#, 2), None);
        assert!(has_duplicates(r#"{"a":[{"b":1,"b":2}]}"#) && !has_duplicates(r#"{"a":[{"b":1},{"b":2}]}"#));
    }

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("1.50".to_owned()),
            Just(r#""\ud800""#.to_owned()),
            ".{0,4}".prop_map(|text| {
                let quoted = json::quote(&text);
                format!("{}\\uDBFF\"", quoted.strip_suffix('"').unwrap())
            }),
            ".*".prop_map(|text| json::quote(&text)),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4)
                    .prop_map(|all| format!("[{}]", all.join(" , "))),
                proptest::collection::vec(("[a-c]{0,2}", inner), 0..4).prop_map(|all| {
                    let members: Vec<_> =
                        all.iter().map(|(name, value)| format!(" {} : {value}", json::quote(name))).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_kept_has_the_digest_of_what_came(text in value()) {
            prop_assert_eq!(digest(&canonical(&text)), digest(&text));
            prop_assert_eq!(digest(&pretty(&text, 2)), digest(&text));
            prop_assert_eq!(canonical(&pretty(&text, 0)), canonical(&text));
        }
    }
}
