//! What the format is, made of the comments in `file`: for editors (JSON Schema), and for people (Markdown).

use std::collections::BTreeMap;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value};

use crate::file::Config;

mod reference;

pub use reference::reference;

/// The JSON Schema (2020-12) of Portolan's own configuration format, for editors: the same text each time.
#[must_use]
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&root()).unwrap_or_default();
    text.push('\n');
    text
}

fn root() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>();
    Polish.transform(&mut schema);
    schema.insert("title".to_owned(), "Portolan's configuration".into());
    schema
}

/// What is optional may be left out, and TOML has no null to write instead; and the lines of a comment are one paragraph.
#[derive(Debug)]
struct Polish;

impl Transform for Polish {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
        }
        if let Some(Value::Array(kinds)) = schema.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        let other = match schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([other, null]) if null.get("type").is_some_and(|kind| kind == "null") => Some(other.clone()),
            _ => None,
        };
        if let Some(Value::Object(other)) = other {
            schema.remove("anyOf");
            for (key, value) in other {
                schema.insert(key, value);
            }
        }
        // In one order, whatever other crates have serde_json's objects do.
        for names in ["properties", "$defs"] {
            if let Some(Value::Object(members)) = schema.get_mut(names) {
                sort(members);
            }
        }
        if let Some(members) = schema.as_object_mut() {
            sort(members);
        }
        transform_subschemas(self, schema);
    }
}

fn sort(members: &mut Map<String, Value>) {
    let sorted: BTreeMap<String, Value> = std::mem::take(members).into_iter().collect();
    members.extend(sorted);
}
