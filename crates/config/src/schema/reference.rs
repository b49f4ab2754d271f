//! The reference for people, in Markdown. It is made of the schema, so it cannot say anything else.

use std::fmt::Write as _;

use schemars::Schema;
use serde_json::Value;

use crate::file::{
    Admin, Audit, Certificates, Config, Defaults, Filter, Issuer, Keys, Limits, Listener, Naming, Payloads,
    Proxy, Route, Selection, Sink, Telemetry, Timeouts, Tls, Upstream,
};

const EXAMPLE: &str = include_str!("../../example.toml");
const FOREIGN: &str = include_str!("foreign.md");

/// A table of the format: how it is written, its name in the schema, its keys in the order of the file's comments.
const TABLES: &[(&str, &str, &[&str])] = &[
    ("[upstream.NAME]", "Upstream", Upstream::KEYS),
    ("[upstream.NAME.tools], [upstream.NAME.prompts]", "Selection", Selection::KEYS),
    ("[upstream.NAME.resources]", "Filter", Filter::KEYS),
    ("[upstream.NAME.timeouts]", "Timeouts", Timeouts::KEYS),
    ("[defaults]", "Defaults", Defaults::KEYS),
    ("[route.NAME]", "Route", Route::KEYS),
    ("[route.NAME.naming]", "Naming", Naming::KEYS),
    ("[listener.NAME]", "Listener", Listener::KEYS),
    ("[listener.NAME.tls]", "Tls", Tls::KEYS),
    ("[issuer.NAME]", "Issuer", Issuer::KEYS),
    ("[certificates.NAME]", "Certificates", Certificates::KEYS),
    ("[proxy.NAME]", "Proxy", Proxy::KEYS),
    ("[admin]", "Admin", Admin::KEYS),
    ("[audit]", "Audit", Audit::KEYS),
    ("[audit.payloads]", "Payloads", Payloads::KEYS),
    ("[audit.sink.NAME]", "Sink", Sink::KEYS),
    ("[telemetry]", "Telemetry", Telemetry::KEYS),
    ("[keys]", "Keys", Keys::KEYS),
    ("[limits]", "Limits", Limits::KEYS),
];

/// The Markdown reference of Portolan's own configuration format.
#[must_use]
pub fn reference() -> String {
    let schema = super::root();
    let mut out = String::from("# Configuration\n\n");
    // Writing to a String cannot fail.
    let _infallible = write(&schema, &mut out);
    out
}

fn write(schema: &Schema, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "<!-- Made of the comments in crates/config/src/file.rs; edit those, and run its tests with UPDATE=1. -->\n"
    )?;
    writeln!(out, "{}\n", text(schema.as_value(), "description"))?;
    let (plain, tables): (Vec<_>, Vec<_>) = Config::KEYS.iter().partition(|key| is_text(schema, key));
    writeln!(
        out,
        "Tables: {}.\n",
        tables.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
    )?;
    writeln!(out, "```toml\n{EXAMPLE}```")?;
    writeln!(out, "\n## Above the tables\n")?;
    rows(schema, schema.as_value(), &plain, out)?;
    for (heading, name, keys) in TABLES {
        let Some(table) = schema.pointer(&format!("/$defs/{name}")) else { continue };
        writeln!(out, "\n## `{heading}`\n\n{}\n", text(table, "description"))?;
        rows(schema, table, keys, out)?;
    }
    write!(out, "\n{FOREIGN}")
}

/// Whether a key of the whole file holds a text.
fn is_text(schema: &Schema, key: &str) -> bool {
    schema.pointer(&format!("/properties/{key}/type")).is_some_and(|kind| kind == "string")
}

fn rows(schema: &Schema, table: &Value, keys: &[&str], out: &mut String) -> std::fmt::Result {
    writeln!(out, "| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |")?;
    for key in keys {
        let Some(property) = table.pointer(&format!("/properties/{key}")) else { continue };
        let default = property.get("default").map_or_else(String::new, |default| format!("`{default}`"));
        let meaning = text(property, "description") + &words(schema, property);
        writeln!(out, "| `{key}` | {} | {default} | {} |", kind(property), meaning.replace('|', "\\|"))?;
    }
    Ok(())
}

fn text(schema: &Value, key: &str) -> String {
    schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The words that a value may be, each with its meaning.
fn words(schema: &Schema, property: &Value) -> String {
    let target = property.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    let choices = target.and_then(|target| schema.pointer(target)?.get("oneOf")?.as_array());
    let word = |choice: &Value| Some(format!(" `{}`: {}", choice.get("const")?, text(choice, "description")));
    choices.into_iter().flatten().filter_map(word).collect()
}

/// What kind of value it is.
fn kind(property: &Value) -> String {
    let title = text(property, "title");
    let reference = property.get("$ref").and_then(Value::as_str).and_then(|target| target.rsplit('/').next());
    if let Some(name) = reference {
        let table = TABLES.iter().find(|(_, table, _)| *table == name);
        return table.map_or("a word", |_| "table").to_owned();
    }
    let kinds = match property.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(kind)) => vec![kind.as_str()],
        _ => Vec::new(),
    };
    let name = |kind: &str| match kind {
        "string" => "text",
        "array" => "list of texts",
        "integer" => "number",
        "boolean" => "`true` or `false`",
        _ => "table of names and texts",
    };
    if title.is_empty() { kinds.into_iter().map(name).collect::<Vec<_>>().join(" or ") } else { title }
}
