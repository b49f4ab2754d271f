//! Reading what a server says of a thing, for those who decide by it.

use std::sync::Arc;

use crate::digest::Digest;
use auth::definition::{Definition, Hints};
use mcp::json::{self, Object};

/// Reads an entry of a server's list, as its server wrote it. What cannot be read says nothing.
#[must_use]
pub fn define(entry: &str) -> Definition {
    define_as(entry, None)
}

/// The same of an entry that was mended since its digest was taken, if it was: it goes by what its server wrote.
#[must_use]
pub fn define_as(entry: &str, written: Option<Arc<str>>) -> Definition {
    let object = Object::parse(entry).ok();
    let hint = |name: &str| {
        let annotations = object.as_ref()?.object("annotations").ok()??;
        json::boolean(annotations.get(name).ok()??)
    };
    let hints = Hints {
        read_only: hint("readOnlyHint"),
        destructive: hint("destructiveHint"),
        idempotent: hint("idempotentHint"),
        open_world: hint("openWorldHint"),
    };
    let input = object.as_ref().and_then(|object| object.get("inputSchema").ok()?).map(Arc::from);
    Definition { hints, digest: written.unwrap_or_else(|| digest(entry)), input }
}

/// So deep what a server says is looked at; what lies deeper counts as it is written.
pub const DEEPEST: usize = 128;

/// Stands for a definition: SHA-256 of its one text ([`canonical`]).
#[must_use]
pub fn digest(entry: &str) -> Arc<str> {
    format!("sha256:{}", Digest::of([canonical(entry)])).into()
}

/// The one text of a definition, however its members are ordered and its text is spaced: in one line, members in the order of their
/// names, texts in one spelling, numbers as they came. Of members that stand twice, the order counts.
#[must_use]
pub fn canonical(entry: &str) -> String {
    let mut text = String::with_capacity(entry.len());
    write(entry.trim(), &mut text, 0);
    text
}

fn write(value: &str, text: &mut String, depth: usize) {
    match json::Kind::of(value) {
        json::Kind::Object if depth < DEEPEST => {
            let Ok(object) = Object::parse(value) else { return text.push_str(value) };
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by(|one, other| one.name.cmp(&other.name));
            text.push('{');
            for (place, member) in members.into_iter().enumerate() {
                separate(text, place);
                text.push_str(&json::quote(&member.name));
                text.push(':');
                write(member.value, text, depth + 1);
            }
            text.push('}');
        }
        json::Kind::Array if depth < DEEPEST => {
            let Ok(elements) = json::array(value) else { return text.push_str(value) };
            text.push('[');
            for (place, element) in elements.into_iter().enumerate() {
                separate(text, place);
                write(element, text, depth + 1);
            }
            text.push(']');
        }
        json::Kind::String => match json::string(value) {
            Ok(plain) => text.push_str(&json::quote(&plain)),
            Err(_lone_surrogate) => text.push_str(&spell(value)),
        },
        _ => text.push_str(value),
    }
}

fn separate(text: &mut String, place: usize) {
    if place > 0 {
        text.push(',');
    }
}

/// A JSON string that is no Unicode text, since half a character stands in it, in one spelling: the halves are escapes.
fn spell(string: &str) -> String {
    let mut spelled = String::with_capacity(string.len());
    let mut plain = String::new();
    let flush = |plain: &mut String, spelled: &mut String| {
        let quoted = json::quote(plain);
        spelled.push_str(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
        plain.clear();
    };
    for read in char::decode_utf16(units(string)) {
        match read {
            Ok(c) => plain.push(c),
            Err(half) => {
                flush(&mut plain, &mut spelled);
                spelled.push_str(&format!("\\u{:04x}", half.unpaired_surrogate()));
            }
        }
    }
    flush(&mut plain, &mut spelled);
    format!("\"{spelled}\"")
}

/// What a JSON string means, in UTF-16: that can say half a character.
#[must_use]
pub fn units(string: &str) -> Vec<u16> {
    let inner = string.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(string);
    let mut units = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        let mut pair = [0; 2];
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut pair));
            continue;
        }
        match rest.next() {
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                // It was read before as JSON, so there are four.
                units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
            }
            Some('n') => units.push(0x0a),
            Some('t') => units.push(0x09),
            Some('r') => units.push(0x0d),
            Some('b') => units.push(0x08),
            Some('f') => units.push(0x0c),
            Some(c) => units.extend_from_slice(c.encode_utf16(&mut pair)),
            None => {}
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_definition_has_one_digest() {
        let one = define(
            r#"{"name":"a","annotations":{"readOnlyHint":true,"x":1},"inputSchema":{"type":"object"}}"#,
        );
        let other = define(
            r#"{ "inputSchema": {"type": "object"}, "annotations":{"x":1,"readOnlyHint":true}, "n\u0061me":"a"}"#,
        );
        assert_eq!(one.digest, other.digest);
        assert_eq!(one.hints, Hints { read_only: Some(true), ..Hints::default() });
        assert_eq!(one.input.as_deref(), Some(r#"{"type":"object"}"#));
        for changed in [
            r#"{"name":"a","annotations":{"readOnlyHint":true,"x":2},"inputSchema":{"type":"object"}}"#,
            r#"{"name":"a","annotations":{"readOnlyHint":true,"x":1},"inputSchema":{"type":"object"},"_meta":{}}"#,
            r#"{"name":"a","annotations":{"readOnlyHint":"yes","x":1},"inputSchema":{"type":"object"}}"#,
        ] {
            assert_ne!(define(changed).digest, one.digest, "{changed}");
        }
        assert_eq!(define("no").hints, Hints::default());
    }

    #[test]
    fn half_a_character_is_spelled_in_one_way() {
        assert_eq!(spell(r#""a\uD800\n\u0062\/\ud83d\ude00""#), "\"a\\ud800\\nb/\u{1f600}\"");
        assert_eq!(digest(r#"{"a":"\ud800\u0062"}"#), digest(r#"{"a":"\uD800b"}"#));
        assert_ne!(digest(r#"{"a":"\ud800"}"#), digest(r#"{"a":"\ud801"}"#));
    }
}
