//! Holds records to the schema that `portolan audit schema` prints: no more and no less than it says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::{command, finish};

/// The JSON Schema of records, as far as it uses JSON Schema.
pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn read() -> Self {
        let printed = finish(&mut command(&["audit", "schema"]));
        assert_eq!(printed.code, Some(0), "{printed:?}");
        Self(serde_json::from_str(&printed.stdout).unwrap())
    }

    /// A record is one of a known type, and has no member that the schema does not name.
    pub(crate) fn holds(&self, record: &Value) {
        let kind = record["type"].as_str().unwrap_or_else(|| panic!("no type: {record}"));
        let of = &self.0["$defs"][kind];
        assert!(of.is_object(), "no such type: {record}");
        let condition = serde_json::json!({
            "if": {"properties": {"type": {"const": kind}}},
            "then": {"$ref": format!("#/$defs/{kind}")}
        });
        assert!(self.0["allOf"].as_array().unwrap().contains(&condition), "{kind} is not reached");
        let (head, own) = (&self.0["properties"], &of["properties"]);
        for (name, value) in record.as_object().unwrap() {
            let shape = head.get(name).or_else(|| own.get(name));
            let shape = shape.unwrap_or_else(|| panic!("{kind} has no member {name:?}: {record}"));
            check(value, shape, &format!("{kind}.{name}"));
        }
        for of in [&self.0, of] {
            needs(record, of, kind);
        }
    }
}

fn needs(value: &Value, shape: &Value, path: &str) {
    for name in shape["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{path} lacks {name}: {value}");
    }
}

fn check(value: &Value, shape: &Value, path: &str) {
    let known = BTreeSet::from([
        "description",
        "type",
        "pattern",
        "enum",
        "const",
        "minimum",
        "items",
        "properties",
        "required",
        "additionalProperties",
    ]);
    let shape_of = shape.as_object().unwrap();
    assert!(shape_of.keys().all(|name| known.contains(name.as_str())), "{path}: {shape}");
    let types: Vec<_> = match &shape["type"] {
        Value::Null => Vec::new(),
        Value::Array(types) => types.iter().map(|one| one.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap()],
    };
    let is = |name: &&str| match *name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{path}: {other}"),
    };
    assert!(types.is_empty() || types.iter().any(is), "{path} is {value}, and not {types:?}");
    if let Some(only) = shape.get("const") {
        assert_eq!(value, only, "{path}");
    }
    if let Some(one_of) = shape.get("enum") {
        assert!(one_of.as_array().unwrap().contains(value), "{path} is {value}, and not {one_of}");
    }
    if let (Some(pattern), Some(text)) = (shape["pattern"].as_str(), value.as_str()) {
        let pattern = places_of(pattern);
        assert!(pattern.len() == text.len() || pattern.is_empty(), "{path} is {text:?}");
        let fits = |(byte, set): (u8, &String)| set.bytes().any(|one| one == byte);
        assert!(text.bytes().zip(&pattern).all(fits), "{path} is {text:?}");
    }
    for (at, entry) in value.as_array().into_iter().flatten().enumerate() {
        check(entry, &shape["items"], &format!("{path}[{at}]"));
    }
    let Some(object) = value.as_object() else { return };
    needs(value, shape, path);
    for (name, inner) in object {
        let of = shape["properties"].get(name).or_else(|| shape.get("additionalProperties"));
        let of = of.unwrap_or_else(|| panic!("{path} has no member {name:?}: {value}"));
        check(inner, of, &format!("{path}.{name}"));
    }
}

/// The characters that may stand at each place, for patterns of a fixed length; nothing for others. All patterns of the schema are literals,
/// escapes, and sets with a number of times.
fn places_of(pattern: &str) -> Vec<String> {
    let mut rest = pattern.strip_prefix('^').unwrap().strip_suffix('$').unwrap();
    let mut places = Vec::new();
    while !rest.is_empty() {
        let (set, behind) = match rest.strip_prefix('[') {
            Some(set) => {
                let (set, behind) = set.split_once(']').unwrap();
                let set = set.replace("0-9", "0123456789").replace("a-f", "abcdef");
                (set.replace("a-z", "abcdefghijklmnopqrstuvwxyz"), behind)
            }
            None => {
                let rest = rest.strip_prefix('\\').unwrap_or(rest);
                let (one, behind) = rest.split_at(1);
                (one.to_owned(), behind)
            }
        };
        if behind.starts_with('+') {
            return Vec::new();
        }
        let (times, behind) = match behind.strip_prefix('{') {
            Some(times) => {
                let (times, behind) = times.split_once('}').unwrap();
                (times.parse().unwrap(), behind)
            }
            None => (1, behind),
        };
        places.extend(std::iter::repeat_n(set, times));
        rest = behind;
    }
    places
}
