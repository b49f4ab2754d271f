//! Whether arguments are what a tool's `inputSchema` says, as far as it says so of the members of the object themselves.
//!
//! The server is the judge (MCP 2026-07-28, `server/tools`): this only tells, before anything is sent, what the schema
//! does not allow. Whatever is said by other means than `type`, `enum`, `required` and `additionalProperties: false` is left to it.

use mcp::json::{self, Kind, Object};

/// What is wrong with arguments, a line each.
pub(crate) fn faults(schema: &Object<'_>, arguments: &Object<'_>) -> Vec<String> {
    let properties = schema.object("properties").ok().flatten();
    let property = |name: &str| properties.as_ref()?.object(name).ok().flatten();
    let required = texts(schema, "required").unwrap_or_default();
    let mut faults = Vec::new();
    // One with a default is filled in by the server, whatever else is said of it: schema generators list it all the same.
    let has_default =
        |name: &str| property(name).is_some_and(|shape| shape.get("default").ok().flatten().is_some());
    for name in required.iter().filter(|name| !has(arguments, name) && !has_default(name)) {
        let kind = property(name).and_then(|shape| kinds(&shape));
        let kind = kind.map(|kinds| format!(": {}", in_words(&kinds))).unwrap_or_default();
        faults.push(format!("{name:?} is missing{kind}"));
    }
    let known: Vec<_> = properties.iter().flat_map(Object::iter).map(|member| member.name).collect();
    let is_closed = schema.get("additionalProperties").ok().flatten() == Some("false")
        && schema.get("patternProperties").ok().flatten().is_none();
    for argument in arguments.iter() {
        let name = argument.name.as_ref();
        match property(name) {
            Some(shape) => faults.extend(fault_of(name, argument.value, &shape)),
            None if is_closed && !known.iter().any(|known| known == name) => {
                let meant = base::nearest::nearest(name, known.iter().map(AsRef::as_ref));
                let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
                faults.push(format!("{name:?} is none of its arguments{meant}"));
            }
            None => {}
        }
    }
    faults
}

/// The arguments that the schema does not name, where it names one that is like them.
pub(crate) fn strange(schema: &Object<'_>, arguments: &Object<'_>) -> Vec<(String, String)> {
    let properties = schema.object("properties").ok().flatten();
    let known: Vec<_> = properties.iter().flat_map(Object::iter).map(|member| member.name).collect();
    let of = |argument: json::Member<'_>| {
        let is_known = known.contains(&argument.name);
        let meant =
            base::nearest::nearest(&argument.name, known.iter().map(AsRef::as_ref)).filter(|_| !is_known)?;
        // One that was given, too, was not meant.
        (!has(arguments, meant)).then(|| (argument.name.to_string(), meant.to_owned()))
    };
    arguments.iter().filter_map(of).collect()
}

fn has(arguments: &Object<'_>, name: &str) -> bool {
    arguments.iter().any(|argument| argument.name == name)
}

fn fault_of(name: &str, value: &str, shape: &Object<'_>) -> Option<String> {
    let nullable = value == "null" && shape.get("nullable").ok().flatten() == Some("true");
    if let Some(kinds) =
        kinds(shape).filter(|kinds| !nullable && !kinds.iter().any(|kind| is_of(kind, value)))
    {
        let must = in_words(&kinds);
        return Some(format!("{name:?} must be {must}, and is {}", kind_of(value)));
    }
    // Numbers and objects have several spellings.
    let choices = texts(shape, "enum")?;
    let said = json::string(value).ok()?;
    if choices.iter().any(|choice| *choice == said) {
        return None;
    }
    let choices: Vec<_> = choices.iter().map(|choice| format!("{choice:?}")).collect();
    Some(format!("{name:?} must be one of {}, and is {said:?}", choices.join(", ")))
}

/// The strings of an array, if it is one of strings alone.
fn texts(object: &Object<'_>, name: &str) -> Option<Vec<String>> {
    let all = json::array(object.get(name).ok()??).ok()?;
    all.into_iter().map(|raw| json::string(raw).ok().map(std::borrow::Cow::into_owned)).collect()
}

/// The types that a value may have, if it is said.
fn kinds(shape: &Object<'_>) -> Option<Vec<String>> {
    match shape.string("type") {
        Ok(kind) => kind.map(|kind| vec![kind.into_owned()]),
        Err(_) => texts(shape, "type"),
    }
}

/// Source: JSON Schema 2020-12, validation 6.1.1: a number without a fraction is an integer, however it is written.
fn is_of(kind: &str, value: &str) -> bool {
    let is = Kind::of(value);
    match kind {
        "string" => is == Kind::String,
        "number" => is == Kind::Number,
        "integer" => is == Kind::Number && is_whole(value),
        "boolean" => is == Kind::Boolean,
        "null" => is == Kind::Null,
        "array" => is == Kind::Array,
        "object" => is == Kind::Object,
        // Whoever writes another has a meaning for it.
        _ => true,
    }
}

fn is_whole(number: &str) -> bool {
    !number.contains(['.', 'e', 'E']) || number.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
}

fn in_words(kinds: &[String]) -> String {
    let one = |kind: &String| match kind.as_str() {
        "null" => "null".to_owned(),
        kind if kind.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {kind}"),
        kind => format!("a {kind}"),
    };
    kinds.iter().map(one).collect::<Vec<_>>().join(" or ")
}

/// What a value is, with as much of it as fits a line.
fn kind_of(value: &str) -> String {
    const MOST: usize = 40;
    let kind = match Kind::of(value) {
        Kind::String => "a string",
        Kind::Number => "a number",
        Kind::Boolean => "a boolean",
        Kind::Null => return "null".to_owned(),
        Kind::Array => "an array",
        Kind::Object => "an object",
    };
    if value.chars().count() > MOST { kind.to_owned() } else { format!("{kind}: {value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","properties":{"n":{"type":"number"},"i":{"type":"integer"},"s":{"type":["string","null"]},
        "c":{"type":"string","enum":["red","green"]},"any":{},"u":{"anyOf":[{"type":"string"}]},"o":{"type":"string","nullable":true}},
        "required":["n"],"additionalProperties":false}"#;

    fn said(schema: &str, arguments: &str) -> String {
        faults(&Object::parse(schema).unwrap(), &Object::parse(arguments).unwrap()).join("; ")
    }

    #[test]
    fn what_a_server_would_certainly_refuse_is_told() {
        for (arguments, fault) in [
            (r#"{"n":1,"i":2.0,"s":null,"c":"red","any":[1],"u":5,"o":null}"#, ""),
            (r#"{"n":1e400,"i":1e2}"#, ""),
            ("{}", r#""n" is missing: a number"#),
            (r#"{"n":"five"}"#, r#""n" must be a number, and is a string: "five""#),
            (r#"{"n":1,"i":1.5}"#, r#""i" must be an integer, and is a number: 1.5"#),
            (r#"{"n":1,"s":{}}"#, r#""s" must be a string or null, and is an object: {}"#),
            (r#"{"n":1,"c":"blue"}"#, r#""c" must be one of "red", "green", and is "blue""#),
            (r#"{"n":1,"anny":2}"#, r#""anny" is none of its arguments; did you mean "any"?"#),
            (r#"{"n":1,"colour":2}"#, r#""colour" is none of its arguments"#),
        ] {
            assert_eq!(said(SCHEMA, arguments), fault, "{arguments}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_asked_for() {
        for schema in ["{}", r#"{"properties":null,"required":null}"#, r#"{"additionalProperties":{}}"#] {
            assert_eq!(said(schema, r#"{"a":1}"#), "", "{schema}");
        }
        let patterns = r#"{"patternProperties":{"^x":{}},"additionalProperties":false}"#;
        assert_eq!(said(patterns, r#"{"xa":1}"#), "");
        assert_eq!(said(r#"{"properties":{"a":true},"additionalProperties":false}"#, r#"{"a":1}"#), "");
        assert_eq!(said(r#"{"properties":{"a":{"type":"file"}}}"#, r#"{"a":1}"#), "");
    }
}
