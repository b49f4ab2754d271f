//! What a record may say: one table, of which the JSON Schema and docs/reference/audit-record.md are made.

use std::fmt::Write as _;

use mcp::json::quote;

mod members;

use self::members::{HEAD, TYPES};

/// The version of the schema: the first number is that of records (`v`), the second counts what was added.
const VERSION: &str = "1.1";
const PAGE: &str = include_str!("schema/page.txt");

/// A member of a record, or of an object in one.
#[derive(Debug, Clone, Copy)]
struct Member {
    name: &'static str,
    shape: Shape,
    /// Whether it may be missing.
    optional: bool,
    says: &'static str,
}

/// What a member holds.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    /// A text that matches this.
    Like(&'static str),
    /// One of these texts.
    Words(&'static [&'static str]),
    /// Exactly this, as JSON.
    Is(&'static str),
    Number,
    Flag,
    Texts,
    /// Whatever the client has sent: a text or a number.
    Id,
    /// What somebody else has named: texts, lists of texts, whole numbers and flags.
    Claims,
    Object(&'static [Member]),
}

/// The type of a record.
#[derive(Debug, Clone, Copy)]
struct Type {
    name: &'static str,
    says: &'static str,
    members: &'static [Member],
}

/// The JSON Schema of a record (draft 2020-12).
#[must_use]
pub fn schema() -> String {
    let mut out = String::from("{\n");
    let _infallible = write_schema(&mut out);
    out.push_str("}\n");
    out
}

fn write_schema(out: &mut String) -> std::fmt::Result {
    writeln!(out, "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",")?;
    writeln!(out, "  \"$id\": \"urn:portolan:audit-record:{VERSION}\",")?;
    writeln!(out, "  \"title\": \"A record of Portolan's ledger\",")?;
    writeln!(out, "  {},", object(HEAD, 2))?;
    writeln!(out, "  \"allOf\": [")?;
    for (at, Type { name, .. }) in TYPES.iter().enumerate() {
        let comma = if at + 1 < TYPES.len() { "," } else { "" };
        writeln!(
            out,
            "    {{\"if\": {{\"properties\": {{\"type\": {{\"const\": \"{name}\"}}}}}}, \"then\": {{\"$ref\": \"#/$defs/{name}\"}}}}{comma}"
        )?;
    }
    writeln!(out, "  ],\n  \"$defs\": {{")?;
    for (at, Type { name, says, members }) in TYPES.iter().enumerate() {
        let comma = if at + 1 < TYPES.len() { "," } else { "" };
        writeln!(
            out,
            "    \"{name}\": {{\n      \"description\": {},\n      {}\n    }}{comma}",
            quote(says),
            object(members, 6)
        )?;
    }
    writeln!(out, "  }}")
}

/// The members of the schema of an object, without its braces.
fn object(members: &[Member], indent: usize) -> String {
    let space = " ".repeat(indent);
    let needed: Vec<_> = members.iter().filter(|one| !one.optional).map(|one| quote(one.name)).collect();
    let each = members.iter().map(|one| {
        let described = format!("\"description\": {}, {}", quote(one.says), shape(one.shape, indent + 4));
        format!("{space}  {}: {{{described}}}", quote(one.name))
    });
    let properties = each.collect::<Vec<_>>().join(",\n");
    let properties =
        if properties.is_empty() { "{}".to_owned() } else { format!("{{\n{properties}\n{space}}}") };
    format!(
        "\"type\": \"object\",\n{space}\"required\": [{}],\n{space}\"properties\": {properties}",
        needed.join(", ")
    )
}

fn shape(shape: Shape, indent: usize) -> String {
    match shape {
        Shape::Text => "\"type\": \"string\"".to_owned(),
        Shape::Like(pattern) => format!("\"type\": \"string\", \"pattern\": {}", quote(pattern)),
        Shape::Words(words) => {
            let words: Vec<_> = words.iter().map(|word| quote(word)).collect();
            format!("\"enum\": [{}]", words.join(", "))
        }
        Shape::Is(json) => format!("\"const\": {json}"),
        Shape::Number => "\"type\": \"integer\", \"minimum\": 0".to_owned(),
        Shape::Flag => "\"type\": \"boolean\"".to_owned(),
        Shape::Texts => "\"type\": \"array\", \"items\": {\"type\": \"string\"}".to_owned(),
        Shape::Id => "\"type\": [\"string\", \"number\"]".to_owned(),
        Shape::Claims => {
            let each = "{\"type\": [\"string\", \"array\", \"integer\", \"boolean\"], \"items\": {\"type\": \"string\"}}";
            format!("\"type\": \"object\", \"additionalProperties\": {each}")
        }
        Shape::Object(members) => object(members, indent),
    }
}

/// The names of the types of records.
#[must_use]
pub fn types() -> Vec<&'static str> {
    TYPES.iter().map(|of| of.name).collect()
}

/// The reference page, in Markdown.
#[must_use]
pub fn page() -> String {
    let (mut head, mut types) = (String::new(), String::new());
    let _infallible = rows(HEAD, &mut head);
    for Type { name, says, members } in TYPES {
        let _infallible = write!(types, "## `{name}`\n\n{says}.\n\n");
        if !members.is_empty() {
            let _infallible = rows(members, &mut types);
        }
    }
    PAGE.replace("{{HEAD}}\n", &head).replace("{{TYPES}}\n", types.trim_end())
}

fn rows(members: &[Member], out: &mut String) -> std::fmt::Result {
    writeln!(out, "| Member | |\n| --- | --- |")?;
    for one in members {
        let optional = if one.optional { "?" } else { "" };
        write!(out, "| `{}`{optional} | {}", one.name, one.says)?;
        match one.shape {
            Shape::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                write!(out, ": {}", words.join(", "))?;
            }
            Shape::Object(inner) => {
                let inner = inner.iter().map(|one| {
                    let optional = if one.optional { "?" } else { "" };
                    format!("`{}`{optional} ({})", one.name, one.says)
                });
                write!(out, ": {}", inner.collect::<Vec<_>>().join(", "))?;
            }
            _ => {}
        }
        writeln!(out, " |")?;
    }
    writeln!(out)
}
