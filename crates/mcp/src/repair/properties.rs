//! Whatever a server lists: what is allowed stays as it is, what was mended is allowed, and nothing else changes.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::version::REVISIONS;

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.0"),
        Just("12345678901234567890123"),
        Just("null"),
        Just("true"),
        Just("false"),
        Just("\"object\""),
        Just("\"a\""),
        Just("\"true\""),
        Just("[ ]"),
        Just("{ }"),
    ]
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 32, 4, |inner| {
        let name = prop_oneof![
            Just("type"),
            Just("properties"),
            Just("required"),
            Just("$ref"),
            Just("$schema"),
            Just("title"),
            Just("src"),
            Just("sizes"),
            Just("name"),
            Just("audience"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(" ,"))),
            proptest::collection::vec((name, inner), 0..4).prop_map(object),
        ]
    })
}

fn object(members: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
    format!("{{ {} }}", members.join(" , "))
}

fn entry() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        3 => Just("inputSchema"),
        2 => Just("outputSchema"),
        1 => Just("name"),
        1 => Just("uri"),
        1 => Just("uriTemplate"),
        1 => Just("annotations"),
        1 => Just("icons"),
        1 => Just("arguments"),
        1 => Just("title"),
        1 => Just("_meta"),
    ];
    let rest = proptest::collection::vec((name, value()), 0..6);
    let named = proptest::bool::weighted(0.8);
    (rest, named, value()).prop_map(|(mut members, named, vendor)| {
        if named {
            members.insert(0, ("name", "\"n\"".to_owned()));
            members.push(("uri", "\"u\"".to_owned()));
        }
        members.push(("vendor", vendor));
        object(members)
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Tool), 1 => Just(Kind::Prompt), 1 => Just(Kind::Resource), 1 => Just(Kind::Template)]
}

/// The rule of a revision for a tool's schemas, read by somebody else.
fn is_allowed(tool: &Value, objects_only: bool, legacy: bool) -> bool {
    let schema = |schema: &Value, of_object: bool| {
        let properties = match schema.get("properties") {
            None => true,
            Some(Value::Object(all)) => !legacy || all.values().all(Value::is_object),
            Some(_) => false,
        };
        let required = schema
            .get("required")
            .is_none_or(|required| required.as_array().is_some_and(|all| all.iter().all(Value::is_string)));
        schema.is_object() && properties && required && (!of_object || schema["type"] == "object")
    };
    tool["name"].is_string()
        && ["title", "description"].iter().all(|text| tool.get(text).is_none_or(Value::is_string))
        && ["_meta", "annotations"].iter().all(|object| tool.get(object).is_none_or(Value::is_object))
        && tool.get("icons").is_none_or(|icons| {
            icons.as_array().is_some_and(|icons| icons.iter().all(|icon| icon["src"].is_string()))
        })
        && schema(&tool["inputSchema"], true)
        && tool.get("outputSchema").is_none_or(|output| schema(output, objects_only))
}

proptest! {
    #[test]
    fn what_was_mended_is_allowed_and_needs_no_more(
        kind in kind(), entry in entry(), revision in 0..REVISIONS.len(),
    ) {
        let revision = &REVISIONS[revision];
        let checked = check(kind, &Bytes::from(entry.clone()), revision);
        prop_assert_eq!(checked.text.is_none(), checked.faults.last().is_some_and(|last| last.done.is_none()));
        if checked.faults.is_empty() {
            prop_assert_eq!(checked.text.as_deref(), Some(entry.as_bytes()));
            prop_assert_eq!(&checked.narrow, &None);
        }
        let legacy = revision.era == Era::Legacy;
        for (text, objects_only) in
            [(checked.text.as_ref(), false), (checked.narrow.as_ref().or(checked.text.as_ref()), legacy)]
        {
            let Some(text) = text else { continue };
            let read: Value = serde_json::from_slice(text).unwrap();
            let was: Value = serde_json::from_str(&entry).unwrap();
            prop_assert_eq!(&read["vendor"], &was["vendor"]);
            if kind == Kind::Tool {
                prop_assert!(is_allowed(&read, objects_only, legacy), "{}", read);
            }
            let again = check(kind, text, revision);
            let same = if objects_only { again.narrow.as_ref().or(again.text.as_ref()) } else { again.text.as_ref() };
            prop_assert_eq!(same, Some(text));
            if objects_only || !legacy {
                prop_assert_eq!(&again.faults, &Vec::new());
            }
        }
    }
}
