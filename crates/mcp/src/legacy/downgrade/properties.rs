//! Whatever a server says: the client gets a message, nothing that is not ours changes, and once is enough.

use proptest::prelude::*;

use super::*;
use crate::answer;
use crate::method;
use crate::version::REVISIONS;

/// JSON texts with awkward spellings, and with the names that mean something here in places where they mean nothing.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.0"),
        Just("12345678901234567890123"),
        Just("null"),
        Just("true"),
        Just(r#""a\u0062\/""#),
        Just("\"audio\""),
        Just("[ ]"),
        Just("{ }"),
    ]
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![Just("type"), Just("$ref"), Just("properties"), Just("x"), Just("result")];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(" ,"))),
            proptest::collection::btree_map(name, inner, 0..4).prop_map(object),
        ]
    })
}

fn object(members: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn block() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just("\"text\""),
        Just("\"audio\""),
        Just("\"image\""),
        Just("\"resource_link\""),
        Just("\"vendor\""),
        Just("7")
    ];
    let data = prop_oneof![Just("\"AAAA\"".to_owned()), value()];
    (kind, data, value(), value()).prop_map(|(kind, data, name, vendor)| {
        object([("vendor", vendor), ("data", data), ("type", kind.to_owned()), ("name", name)])
    })
}

fn result() -> impl Strategy<Value = String> {
    let content = prop_oneof![
        4 => proptest::collection::vec(block(), 0..4).prop_map(|all| format!("[{}]", all.join(", "))),
        1 => value(),
    ];
    let (content, structured) = (proptest::option::of(content), proptest::option::of(value()));
    (content, structured, value()).prop_map(|(content, structured, vendor)| {
        let content = content.map(|content| ("content", content));
        let structured = structured.map(|value| ("structuredContent", value));
        object(content.into_iter().chain(structured).chain([("vendor", vendor)]))
    })
}

fn revision() -> impl Strategy<Value = &'static Revision> {
    (0..REVISIONS.len()).prop_map(|at| &REVISIONS[at])
}

/// The values of all members called `vendor`, of a result and of its blocks.
fn vendor(result: &str) -> Vec<String> {
    let object = Object::parse(result).unwrap();
    let mut all = vec![object.get("vendor").unwrap().unwrap().to_owned()];
    for block in object.get("content").unwrap().and_then(|raw| json::array(raw).ok()).unwrap_or_default() {
        all.extend(Object::parse(block).ok().and_then(|b| b.get("vendor").ok().flatten().map(str::to_owned)));
    }
    all
}

proptest! {
    #[test]
    fn results(text in result(), from in revision(), to in revision()) {
        let gap = Gap { from, to };
        let call = method::find("tools/call");
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{text}}}"#);
        let message = Message::parse(Bytes::from(message)).unwrap();
        let once = response(message, call, gap).unwrap();
        let out = once.at(answer::result_of(&once).unwrap().result);
        if gap.is_even() {
            prop_assert_eq!(out, text.as_str());
        }
        prop_assert_eq!(vendor(out), vendor(&text));
        let object = Object::parse(out).unwrap();
        prop_assert!(object.deny_duplicates().is_ok());
        let structured = object.get("structuredContent").unwrap();
        let content = object.get("content").unwrap();
        if gap.fate() == Fate::Wrapped {
            prop_assert!(structured.is_none_or(|value| Kind::of(value) == Kind::Object));
        }
        if gap.fate() == Fate::Told && content.is_none_or(|content| content.starts_with('[')) {
            prop_assert!(structured.is_none());
            // What went is told.
            if text.contains("\"structuredContent\"") {
                prop_assert!(blocks::any_text(content.unwrap()).unwrap());
            }
        }
        let again = response(once.clone(), call, gap).unwrap();
        prop_assert_eq!(again.bytes(), once.bytes());
    }

    #[test]
    fn tools(input in value(), output in value(), vendor in value(), from in revision(), to in revision()) {
        let gap = Gap { from, to };
        let list = method::find("tools/list").unwrap();
        let text = Bytes::from(object([("inputSchema", input), ("outputSchema", output), ("vendor", vendor.clone())]));
        let once = entry(&text, list, gap);
        let tool = Object::parse(std::str::from_utf8(&once).unwrap()).unwrap();
        prop_assert_eq!(tool.get("vendor").unwrap(), Some(vendor.as_str()));
        prop_assert!(!gap.is_even() || once == text);
        if let (Fate::Wrapped, Some(output)) = (gap.fate(), tool.get("outputSchema").unwrap()) {
            prop_assert_eq!(Object::parse(output).unwrap().get("type").unwrap(), Some("\"object\""));
        }
        prop_assert_eq!(&entry(&once, list, gap), &once);
    }
}
