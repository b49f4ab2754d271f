//! What a tool takes at the places that policies read, by its `inputSchema`. Servers take `"1_000"` for an integer, and policies do
//! not: what a policy reads must be what the server will read, so a value of another type than the schema has is refused first.
//!
//! Only types at these places are looked at, and in bounded time: a schema is its server's to write, and a whole one can be made to
//! take hours.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::arguments::Arguments;
use crate::pointers::Pointers;

/// The longest schema that is used.
const LONGEST: usize = 256 * 1024;
/// How many schemas are looked at for one place.
const MOST_LOOKS: usize = 256;

/// The types at places: those that are not there may have any.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    schema: Value,
    types: BTreeMap<String, Types>,
}

/// A set of JSON Schema's types. Source: JSON Schema 2020-12 Validation §6.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Types(u8);

const NAMES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

impl Types {
    const ANY: Self = Self(u8::MAX);

    fn of(name: &str) -> Self {
        // What is a number may be an integer.
        let also = if name == "number" { Self::only("integer").0 } else { 0 };
        Self(Self::only(name).0 | also)
    }

    fn only(name: &str) -> Self {
        Self(NAMES.iter().position(|of| *of == name).map_or(0, |place| 1 << place))
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(name) => Some(Self::of(name)),
            Value::Array(names) => {
                let all = names.iter().filter_map(Value::as_str).map(|name| Self::of(name).0);
                Some(Self(all.fold(0, |all, one| all | one)))
            }
            _ => None,
        }
    }

    fn has(self, kind: &str) -> bool {
        self.0 & Self::only(kind).0 != 0
    }
}

impl Shape {
    /// Reads what a schema says of these places.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn read(text: &str, wanted: &Pointers) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !schema.is_object() {
            return Err("it is no object".to_owned());
        }
        let mut shape = Self { types: BTreeMap::new(), schema };
        for pointer in &wanted.named {
            let types = shape.types_at(pointer)?;
            shape.types.insert(pointer.clone(), types);
        }
        Ok(shape)
    }

    /// Whether the values are of the types that they are to have.
    ///
    /// # Errors
    /// Which is not.
    pub(crate) fn check(&self, arguments: &Arguments) -> Result<(), String> {
        for (pointer, value) in &arguments.values {
            let types = match self.types.get(pointer) {
                Some(types) => *types,
                None => self.types_at(pointer)?,
            };
            if !types.has(value.kind) {
                // Whoever has named the place knows its name.
                return Err("a value is not of the type that the tool's inputSchema has for it".to_owned());
            }
        }
        Ok(())
    }

    fn types_at(&self, pointer: &str) -> Result<Types, String> {
        let steps: Vec<String> =
            pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let mut looks = MOST_LOOKS;
        self.types(&self.schema, &steps, &mut looks)
            .ok_or_else(|| "it leads in circles, out of itself, or too far".to_owned())
    }

    /// The types below a schema after some steps; nothing where that is not known within the looks that are left.
    fn types(&self, schema: &Value, steps: &[&str], looks: &mut usize) -> Option<Types> {
        *looks = looks.checked_sub(1)?;
        let Value::Object(members) = schema else { return Some(Types::ANY) };
        let mut types = Types::ANY.0;
        if let Some(to) = members.get("$ref").or_else(|| members.get("$dynamicRef")) {
            let to = self.schema.pointer(to.as_str()?.strip_prefix('#')?)?;
            types &= self.types(to, steps, looks)?.0;
        }
        for part in members.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            types &= self.types(part, steps, looks)?.0;
        }
        for name in ["anyOf", "oneOf"] {
            let Some(parts) = members.get(name).and_then(Value::as_array) else { continue };
            let mut either = 0;
            for part in parts {
                either |= self.types(part, steps, looks)?.0;
            }
            types &= either;
        }
        match steps {
            [] => types &= members.get("type").and_then(Types::read).unwrap_or(Types::ANY).0,
            [step, rest @ ..] => {
                let member = members.get("properties").and_then(|properties| properties.get(*step));
                let place = step.parse::<usize>().ok();
                let prefix = place.and_then(|place| members.get("prefixItems")?.get(place));
                let items = place.and_then(|_| members.get("items"));
                for below in [member, prefix.or(items)].into_iter().flatten() {
                    types &= self.types(below, rest, looks)?.0;
                }
            }
        }
        Some(Types(types))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, arguments: &str, pointers: &[&str]) -> Result<(), String> {
        let named = pointers.iter().map(|&pointer| pointer.to_owned()).collect();
        let wanted = Pointers { all: pointers.is_empty(), named };
        Shape::read(schema, &wanted)?.check(&Arguments::read(arguments, &wanted).unwrap())
    }

    #[test]
    fn a_value_has_the_type_of_its_place() {
        let schema = r##"{"type":"object","properties":{"n":{"type":"integer"},"f":{"type":["number","null"]},"o":{"$ref":"#/$defs/o"},
            "l":{"items":{"type":"string"}},"u":{"anyOf":[{"type":"string"},{"type":"boolean"}]},"a":{"allOf":[{"type":["string","integer"]},{"type":"integer"}]}},
            "$defs":{"o":{"properties":{"x":{"type":"string"},"o":{"$ref":"#/$defs/o"}}}}}"##;
        for good in [
            r#"{"n":1,"f":1.5,"o":{"x":"a","o":{"x":"b"}},"l":["a"],"u":true,"a":1,"other":[]}"#,
            r#"{"n":1.0,"f":null,"u":"x"}"#,
            r#"{"f":7}"#,
        ] {
            assert_eq!(check(schema, good, &[]), Ok(()), "{good}");
        }
        for (bad, pointer) in [
            (r#"{"n":"1_000"}"#, "/n"),
            (r#"{"n":true}"#, "/n"),
            (r#"{"n":1.5}"#, "/n"),
            (r#"{"f":"1"}"#, "/f"),
            (r#"{"o":{"x":1}}"#, "/o/x"),
            (r#"{"o":{"o":{"x":1}}}"#, "/o/o/x"),
            (r#"{"l":[1]}"#, "/l/0"),
            (r#"{"u":1}"#, "/u"),
            (r#"{"a":"1"}"#, "/a"),
            ("[]", ""),
        ] {
            assert!(check(schema, bad, &[pointer]).is_err(), "{bad}");
            assert!(check(schema, bad, &[]).is_err(), "{bad}");
            assert_eq!(check(schema, bad, &["/none"]), Ok(()), "{bad}");
        }
    }

    #[test]
    fn what_leads_nowhere_or_nowhere_soon_cannot_be_used() {
        let mut chain = r##"{"$ref":"#/$defs/d0","$defs":{"##.to_owned();
        for number in 0..40 {
            let next = number + 1;
            chain += &format!(
                r##""d{number}":{{"allOf":[{{"$ref":"#/$defs/d{next}"}},{{"$ref":"#/$defs/d{next}"}}]}},"##
            );
        }
        chain += r#""d40":{}}}"#;
        let circle = r##"{"$ref":"#"}"##.to_owned();
        let outside = r#"{"$ref":"https://example.com/schema.json"}"#.to_owned();
        for schema in [
            chain,
            circle,
            outside,
            "[]".to_owned(),
            "{".to_owned(),
            format!("{{\"x\":\"{}\"}}", "x".repeat(LONGEST)),
        ] {
            assert!(check(&schema, "{}", &["/a"]).is_err());
        }
        assert_eq!(check("{}", "{}", &["/a"]), Ok(()));
    }
}
