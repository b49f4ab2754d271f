//! Schemas of tools for clients that know only schemas of objects.

use crate::json::{self, JsonFault, Kind, Object, Patch, Span};

/// Deeper than any schema that someone wrote: what is deeper is not described to the client.
const MOST_DEPTH: usize = 64;
/// Where the server's schema stands in one of ours.
const PLACES: Places = Places { only: "#/properties/result", either: "#/$defs/value" };

struct Places {
    /// In a schema for results that are never objects.
    only: &'static str,
    /// In a schema for results that may be objects or not.
    either: &'static str,
}

/// What becomes of an `outputSchema`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// It describes objects already.
    Stays,
    /// Another text takes its place.
    Becomes(String),
    /// It cannot be kept; a client validates nothing then.
    Gone,
}

/// The schema of what the client gets: results that are no objects are in the member `result` of one.
///
/// Results are judged by their kind alone, so this must hold for each result that the server's schema allows. There are
/// three cases. Schemas of `"type": "object"` allow only objects, which stay: so does the schema. Schemas whose `type`
/// leaves objects out allow only what is wrapped. All others (a list of types, `anyOf`, `$ref`, nothing) may allow both:
/// then either the result as it is, or the wrapped one, has to be valid.
pub(super) fn output(schema: &str) -> Result<Output, JsonFault> {
    match Kind::of(schema) {
        Kind::Object => {}
        Kind::Boolean => return Ok(Output::Becomes(either(schema, None))),
        // No schema at all.
        _ => return Ok(Output::Gone),
    }
    let object = Object::parse(schema)?;
    let may_be_object = match object.get("type")? {
        Some(r#""object""#) => return Ok(Output::Stays),
        Some(kind) if kind.starts_with('"') => json::string(kind)? == "object",
        Some(kinds) if kinds.starts_with('[') => {
            let kinds = json::array(kinds)?;
            kinds.into_iter().any(|kind| json::string(kind).is_ok_and(|kind| kind == "object"))
        }
        _ => true,
    };
    let place = if may_be_object { PLACES.either } else { PLACES.only };
    let mut patch = Patch::new();
    // The dialect is that of a whole document (JSON Schema 2020-12 §8.1.1), so it moves to the new root.
    let dialect = object.string("$schema")?;
    object.remove(|name| name == "$schema", 0, &mut patch);
    let mut walk = Walk { root: schema, place, patch: &mut patch };
    if !walk.schema(schema, 0, true)? {
        return Ok(Output::Gone);
    }
    let moved = patch.apply(schema.as_bytes());
    let moved = std::str::from_utf8(&moved).map_err(|_not_utf8| JsonFault::NotText)?;
    let dialect = dialect.as_deref();
    Ok(Output::Becomes(if may_be_object { either(moved, dialect) } else { only(moved, dialect) }))
}

fn dialect_member(dialect: Option<&str>) -> String {
    dialect.map(|dialect| format!("\"$schema\":{},", json::quote(dialect))).unwrap_or_default()
}

fn only(schema: &str, dialect: Option<&str>) -> String {
    let dialect = dialect_member(dialect);
    format!(r#"{{{dialect}"type":"object","properties":{{"result":{schema}}},"required":["result"]}}"#)
}

fn either(schema: &str, dialect: Option<&str>) -> String {
    let (dialect, place) = (dialect_member(dialect), json::quote(PLACES.either));
    let wrapped =
        format!(r#"{{"type":"object","properties":{{"result":{{"$ref":{place}}}}},"required":["result"]}}"#);
    format!(
        r#"{{{dialect}"type":"object","anyOf":[{{"$ref":{place}}},{wrapped}],"$defs":{{"value":{schema}}}}}"#
    )
}

/// A way over all subschemas of a document that moves to another place in a new one: references to a place in the document
/// (`#`, `#/$defs/x`) are led there.
struct Walk<'a, 'p> {
    root: &'a str,
    place: &'static str,
    patch: &'p mut Patch,
}

impl<'a> Walk<'a, '_> {
    /// Goes over one schema, or what may be one; false when it is too deep.
    fn schema(&mut self, text: &'a str, depth: usize, is_root: bool) -> Result<bool, JsonFault> {
        if depth > MOST_DEPTH {
            return Ok(false);
        }
        match Kind::of(text) {
            Kind::Array => self.each(json::array(text)?, depth),
            Kind::Object => {
                let object = Object::parse(text)?;
                // A schema with a name of its own is a document of its own: what it refers to moves along. (With `#` in
                // front the name was an anchor, before 2019-09.)
                let named = object.get("$id")?.is_some_and(|id| !id.starts_with("\"#"));
                if named {
                    return Ok(true);
                }
                self.members(&object, depth, is_root)
            }
            _ => Ok(true),
        }
    }

    fn members(&mut self, object: &Object<'a>, depth: usize, is_root: bool) -> Result<bool, JsonFault> {
        for member in object.iter() {
            let fits = match member.name.as_ref() {
                "$schema" if is_root => true,
                "$ref" | "$dynamicRef" => {
                    self.lead(member.value);
                    true
                }
                // Without dynamic anchors elsewhere it is a plain reference to the root, and it could name nothing else.
                "$recursiveRef" if member.value == "\"#\"" => {
                    self.patch.replace(Span::locate(self.root, member.raw_name), b"\"$ref\"");
                    self.lead(member.value);
                    true
                }
                // Values, not schemas.
                "const" | "default" | "enum" | "examples" => true,
                // Names that are the author's own, each with a schema.
                "$defs" | "definitions" | "dependencies" | "dependentSchemas" | "patternProperties"
                | "properties"
                    if Kind::of(member.value) == Kind::Object =>
                {
                    let inner = Object::parse(member.value)?;
                    self.each(inner.iter().map(|inner| inner.value).collect(), depth)?
                }
                _ => self.schema(member.value, depth + 1, false)?,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn each(&mut self, schemas: Vec<&'a str>, depth: usize) -> Result<bool, JsonFault> {
        for schema in schemas {
            if !self.schema(schema, depth + 1, false)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn lead(&mut self, reference: &'a str) {
        let Ok(target) = json::string(reference) else { return };
        let pointer = target.strip_prefix('#').unwrap_or(&target);
        // An anchor is found wherever it stands, and another document is not ours.
        if !pointer.is_empty() && (!pointer.starts_with('/') || pointer.len() == target.len()) {
            return;
        }
        let led = json::quote(&format!("{}{pointer}", self.place));
        self.patch.replace(Span::locate(self.root, reference), led.as_bytes());
    }
}

/// Legacy revisions want an object for each of a schema's `properties`: `true` and `false` are spelled as such.
pub(super) fn spell_properties(schema: &str, at: usize, patch: &mut Patch) -> Result<(), JsonFault> {
    if Kind::of(schema) != Kind::Object {
        return Ok(());
    }
    let Some(properties) = Object::parse(schema)?.get("properties")?.filter(|raw| raw.starts_with('{'))
    else {
        return Ok(());
    };
    for member in Object::parse(properties)?.iter() {
        let spelled: &[u8] = match member.value {
            "true" => b"{}",
            "false" => br#"{"not":{}}"#,
            _ => continue,
        };
        patch.replace(Span::locate(schema, member.value).shift(at), spelled);
    }
    Ok(())
}
