//! What clients want of a tool's schemas: little of their content, and that at the root.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::json::{self, Kind, Object, Patch, Span};

use super::rules::Want;
use super::{Fits, Mend, Walk, below, is_empty_array, unreadable};

/// The schema of arguments of which nothing is known.
pub(super) const ANYTHING: &str = r#"{"type":"object"}"#;
/// Deeper than any schema that someone wrote.
const MOST_DEPTH: usize = 64;
/// So many different references of a schema are followed.
const MOST_REFERENCES: usize = 256;

static TEXTS: Want = Want::List(&Want::Text);

/// What the `type` at the root of a schema says.
enum Type {
    Object,
    /// It is missing, or `null`.
    Unsaid,
    /// Objects, in other words: among other types, or in capitals.
    AlsoObject,
    /// Other types.
    Other,
    /// No type.
    Nonsense,
}

impl<'a> Walk<'a> {
    /// Arguments are always an object, so to say that of their schema changes nothing.
    pub(super) fn input(&mut self, text: &'a str, place: &str, patch: &mut Patch) -> Fits {
        let wrong: &'static str = match Kind::of(text) {
            Kind::Object => return self.schema(text, true, place, patch),
            Kind::Null => "null",
            Kind::Boolean if text == "true" => "true",
            Kind::Array if is_empty_array(text) => "an empty array",
            Kind::Boolean => return Err("false, which allows no arguments at all".into()),
            other => return Err(format!("{other}, not a schema").into()),
        };
        self.replace(text, ANYTHING, patch);
        self.say(place, wrong, ANYTHING);
        Ok(())
    }

    /// Where a client knows only structured results that are objects, others have no schema.
    pub(super) fn output(&mut self, text: &'a str, place: &str, patch: &mut Patch) -> Fits {
        match Kind::of(text) {
            Kind::Object => {}
            other => return Err(format!("{other}, not a schema of an object").into()),
        }
        if let Some(reference) = loose_end(text) {
            return Err(format!("{reference:?} leads nowhere in it").into());
        }
        self.schema(text, self.objects_only, place, patch)
    }

    /// The root of a schema; one of objects, if that is wanted.
    fn schema(&mut self, text: &'a str, of_object: bool, place: &str, patch: &mut Patch) -> Fits {
        let members: Vec<_> = Object::parse(text).map_err(|fault| unreadable(&fault))?.iter().collect();
        let mut mend = Mend::new(self.root, text);
        let mut kinds = members.iter().filter(|member| member.name == "type");
        let kind = kinds.next();
        if kinds.next().is_some() {
            return Err("it says twice of which type it is".into());
        }
        match kind.map_or(Type::Unsaid, |kind| type_of(kind.value)) {
            Type::Object => {}
            Type::Other if !of_object => {}
            Type::AlsoObject if !of_object && kind.is_some_and(|kind| is_types(kind.value)) => {}
            Type::Unsaid if !of_object => {
                if let Some(kind) = kind {
                    mend.remove(kind.raw_name);
                    self.say(&below(place, "type"), "null", "left out");
                }
            }
            Type::Unsaid | Type::AlsoObject => match kind {
                Some(kind) => {
                    mend.patch.replace(Span::locate(self.root, kind.value), b"\"object\"");
                    self.say(&below(place, "type"), "not \"object\"", "\"object\"");
                }
                None => {
                    mend.add("type", "\"object\"");
                    self.say(&below(place, "type"), "missing", "\"object\"");
                }
            },
            Type::Other => return Err("its type is not \"object\"".into()),
            Type::Nonsense => return Err("its type is none".into()),
        }
        for member in &members {
            let here = below(place, &member.name);
            let mut inner = Patch::new();
            let mark = self.faults.len();
            let fits = match member.name.as_ref() {
                "properties" => self.properties(member.value, &here, &mut inner),
                "required" => self.value(member.value, &TEXTS, &here, &mut inner),
                "$schema" => self.value(member.value, &Want::Text, &here, &mut inner),
                _ => continue,
            };
            match fits {
                Ok(()) => mend.patch.append(inner),
                Err(wrong) => {
                    self.faults.truncate(mark);
                    mend.remove(member.raw_name);
                    self.say(&here, wrong, "left out");
                }
            }
        }
        let items: Vec<_> = members.iter().map(|member| (member.raw_name, member.value)).collect();
        mend.finish(&items, patch);
        Ok(())
    }

    fn properties(&mut self, text: &'a str, place: &str, patch: &mut Patch) -> Fits {
        match Kind::of(text) {
            Kind::Object => {}
            Kind::Array if is_empty_array(text) => {
                self.replace(text, "{}", patch);
                self.say(place, "an empty array", "{}");
                return Ok(());
            }
            other => return Err(format!("{other}, not an object").into()),
        }
        for member in Object::parse(text).map_err(|fault| unreadable(&fault))?.iter() {
            let (wrong, done): (Cow<'static, str>, _) = match (Kind::of(member.value), member.value) {
                (Kind::Object, _) => continue,
                (Kind::Boolean, _) if !self.spells => continue,
                (Kind::Boolean, "true") => ("true".into(), "{}"),
                (Kind::Boolean, _) => ("false".into(), r#"{"not":{}}"#),
                // Whatever was meant: the property is there, and nothing else is known of it.
                (other, _) => (format!("{other}, not a schema").into(), "{}"),
            };
            self.replace(member.value, done, patch);
            self.say(&below(place, &member.name), wrong, done);
        }
        Ok(())
    }
}

fn type_of(value: &str) -> Type {
    let is = |value: &str, wanted: fn(&str) -> bool| json::string(value).is_ok_and(|word| wanted(&word));
    match Kind::of(value) {
        Kind::Null => Type::Unsaid,
        Kind::String if is(value, |word| word == "object") => Type::Object,
        // Google's API writes types in capitals.
        Kind::String if is(value, |word| word.eq_ignore_ascii_case("object")) => Type::AlsoObject,
        Kind::String if is(value, is_type) => Type::Other,
        Kind::Array => match json::array(value).unwrap_or_default() {
            types if types.is_empty() => Type::AlsoObject,
            types if types.iter().any(|each| is(each, |word| word.eq_ignore_ascii_case("object"))) => {
                Type::AlsoObject
            }
            types if types.iter().all(|each| is(each, is_type)) => Type::Other,
            _ => Type::Nonsense,
        },
        _ => Type::Nonsense,
    }
}

fn is_type(word: &str) -> bool {
    matches!(word, "array" | "boolean" | "integer" | "null" | "number" | "object" | "string")
}

/// Whether it is a list of types as JSON Schema has it.
fn is_types(value: &str) -> bool {
    let types = json::array(value).unwrap_or_default();
    !types.is_empty() && types.iter().all(|each| json::string(each).is_ok_and(|word| is_type(&word)))
}

/// The first reference in a schema that leads nowhere. SDKs in TypeScript compile the `outputSchema` of each tool of a list,
/// and give up the list when one cannot be. A schema with names of its own may be referred to by those.
fn loose_end(schema: &str) -> Option<String> {
    if !schema.contains("\"$ref\"") || schema.contains("\"$id\"") {
        return None;
    }
    let mut all = BTreeSet::new();
    references(schema, 0, &mut all);
    let loose = all.into_iter().find(|reference| !leads(schema, reference))?;
    Some(loose.chars().take(200).collect())
}

/// The different references in a schema, as far as they are followed: each costs a way through the whole.
fn references<'a>(text: &'a str, depth: usize, all: &mut BTreeSet<Cow<'a, str>>) {
    if depth > MOST_DEPTH || all.len() >= MOST_REFERENCES || !text.contains("\"$ref\"") {
        return;
    }
    match Kind::of(text) {
        Kind::Array => {
            for each in json::array(text).unwrap_or_default() {
                references(each, depth + 1, all);
            }
        }
        Kind::Object => {
            let Ok(object) = Object::parse(text) else { return };
            for member in object.iter() {
                match member.name.as_ref() {
                    // Values, not schemas.
                    "const" | "default" | "enum" | "examples" => {}
                    "$ref" if Kind::of(member.value) == Kind::String => {
                        all.extend(json::string(member.value).ok());
                    }
                    _ => references(member.value, depth + 1, all),
                }
            }
        }
        _ => {}
    }
}

fn leads(root: &str, reference: &str) -> bool {
    let Some(fragment) = reference.strip_prefix('#') else {
        // Every implementation has the schemas of schemas.
        return reference.contains("://json-schema.org/");
    };
    if fragment.is_empty() {
        return true;
    }
    if !fragment.starts_with('/') {
        return root.contains(&format!("\"{fragment}\""));
    }
    let mut at = Some(root);
    for step in fragment.split('/').skip(1) {
        // A name with an encoded character is somebody else's to find.
        if step.contains('%') {
            return true;
        }
        let step = step.replace("~1", "/").replace("~0", "~");
        at = at.and_then(|text| match Kind::of(text) {
            Kind::Object => Object::parse(text).ok()?.iter().find(|m| m.name == step).map(|m| m.value),
            Kind::Array => json::array(text).ok()?.get(step.parse::<usize>().ok()?).copied(),
            _ => None,
        });
    }
    at.is_some()
}
