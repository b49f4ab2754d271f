//! Nodes → typed tables. Each key is read on its own, so one mistake hides no other.

use schemars::JsonSchema;

use base::nearest::nearest;

use crate::findings::{Findings, quoted};
use crate::node::{At, Node, Span, Value};

/// Can be read from a node.
pub(crate) trait Read: Sized {
    /// What is expected, to complete "expected …".
    const EXPECTED: &'static str;

    /// Reads it; a node of the wrong kind is `Err`, to be told in one place. `Ok(None)`: the mistake is told already.
    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind>;
}

/// The node is of another kind than expected.
pub(crate) struct WrongKind;

impl<T: Read> At<T> {
    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        match T::read(node, findings) {
            Ok(value) => value.map(|value| Self { value, span: node.span }),
            Err(WrongKind) => {
                let (expected, found) = (T::EXPECTED, node.value.kind());
                let help = instead(node, expected);
                let finding = findings.error(node.span, format!("expected {expected}, found {found}"));
                if let Some(help) = help {
                    finding.help(help);
                }
                None
            }
        }
    }
}

/// What may have been meant by a value of another kind. The value itself may be a secret.
pub(crate) fn instead(node: &Node, expected: &str) -> Option<&'static str> {
    let is_scalar = matches!(node.value, Value::Whole(_) | Value::Fraction(_) | Value::Boolean(_));
    match node.text() {
        None if is_scalar && expected.starts_with("text") => Some("put it in quotes"),
        None if expected.starts_with("text") => Some("write one text in its place"),
        Some("true" | "false") if expected.starts_with("true") => Some("leave out the quotes"),
        Some(_) if expected.starts_with("a list") => Some("put it in brackets: [\"…\"]"),
        Some(_) if expected.starts_with("a number") => Some("write a number, without quotes and unit"),
        _ => None,
    }
}

/// In the schema, a value is what it is; its place is nobody's business.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// A table whose keys are names that the file's author chose, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Entries<T>(pub(crate) Vec<Entry<T>>);

/// One of them. Without a value when that has a mistake: what points at the name is still right.
#[derive(Debug, Clone)]
pub(crate) struct Entry<T> {
    pub(crate) name: At<String>,
    pub(crate) value: Option<At<T>>,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for Entries<T> {
    const EXPECTED: &'static str = "a table of names";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let members = node.members().ok_or(WrongKind)?;
        let entry = |findings: &mut Findings<'_>, member: &crate::node::Member| Entry {
            name: member.key.clone(),
            value: At::read(&member.value, findings),
        };
        Ok(Some(Self(members.iter().map(|member| entry(findings, member)).collect())))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Entries_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

impl<T: Read> Read for Vec<At<T>> {
    const EXPECTED: &'static str = "a list";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let Value::List(items) = &node.value else { return Err(WrongKind) };
        Ok(Some(items.iter().filter_map(|item| At::read(item, findings)).collect()))
    }
}

impl Read for String {
    const EXPECTED: &'static str = "text in quotes";

    fn read(node: &Node, _: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        node.text().map(|text| Some(text.to_owned())).ok_or(WrongKind)
    }
}

impl Read for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(node: &Node, _: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        if let Value::Boolean(is) = node.value { Ok(Some(is)) } else { Err(WrongKind) }
    }
}

/// Which keys of a table were written, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    keys: Vec<(&'static str, Span)>,
    /// Whether there was a key that nobody knows. It may have been meant to be any.
    pub(crate) strange: bool,
}

impl Written {
    pub(crate) fn note(&mut self, key: &'static str, span: Span) {
        self.keys.push((key, span));
    }

    /// Takes a key for unwritten.
    pub(crate) fn forget(&mut self, key: &str) {
        self.keys.retain(|(name, _)| *name != key);
    }

    /// Where a key is, if it was written, be its value right or wrong.
    pub(crate) fn key(&self, key: &str) -> Option<Span> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, span)| *span)
    }
}

/// What people write who know another program's configuration.
const ALIASES: &[(&str, &str)] = &[
    ("bind", "address"),
    ("cert", "certificate"),
    ("cmd", "command"),
    ("cwd", "directory"),
    ("enabled", "disabled"),
    ("endpoint", "url"),
    ("http", "url"),
    ("listen", "address"),
    ("max_message", "message_bytes"),
    ("mcpServers", "upstream"),
    ("mcp_servers", "upstream"),
    ("port", "address"),
    ("server", "upstream"),
    ("servers", "upstream"),
    ("stdio", "command"),
    ("timeout", "timeouts"),
    ("uri", "url"),
];

/// Says that nobody knows a key, and which one was meant.
pub(crate) fn unknown_key(key: &At<String>, known: &[&'static str], findings: &mut Findings<'_>) {
    let name = key.value.as_str();
    // In TOML whatever stands below a table's name is in that table.
    if name == "store" && !known.contains(&name) {
        let help = "it is a key of the whole file: write it above the first table";
        findings.error(key.span, format!("unknown key {name:?}")).help(help);
        return;
    }
    if ["policy", "policy_mode", "denials"].contains(&name) && !known.contains(&name) {
        let help = "it is a key of a route, or of the whole file: then write it above the first table";
        findings.error(key.span, format!("unknown key {name:?}")).help(help);
        return;
    }
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, key)| *key);
    let meant = alias.filter(|alias| known.contains(alias)).or_else(|| nearest(name, known.iter().copied()));
    let help = match meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("known here: {}", quoted(known.iter().copied(), "and")),
    };
    findings.error(key.span, format!("unknown key {name:?}")).help(help);
}

/// A key as it is written: `type` is a word of Rust, and `r#type` in a table's declaration.
pub(crate) const fn key(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Declares a table of the file: a struct of what was written, its reader, and its part of the schema. The default
/// is for people; a test holds it against what the plan takes.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident {
        $( $(#[$doc:meta])* $key:ident : $kind:ty $(= $default:literal)? ),* $(,)?
    }) => {
        #[derive(Debug, Clone, Default, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$meta])*
        pub(crate) struct $name {
            $(
                $(#[$doc])*
                $(#[schemars(extend("default" = $default))])?
                pub(crate) $key: Option<crate::node::At<$kind>>,
            )*
            #[schemars(skip)]
            pub(crate) written: crate::read::Written,
        }

        impl $name {
            /// Its keys, in the order in which they are explained.
            pub(crate) const KEYS: &'static [&'static str] = &[$(crate::read::key(stringify!($key))),*];
        }

        impl crate::read::Read for $name {
            const EXPECTED: &'static str = "a table";

            fn read(
                node: &crate::node::Node,
                findings: &mut crate::findings::Findings<'_>,
            ) -> Result<Option<Self>, crate::read::WrongKind> {
                let mut table = Self::default();
                for member in node.members().ok_or(crate::read::WrongKind)? {
                    match member.key.value.as_str() {
                        $(name if name == const { crate::read::key(stringify!($key)) } => {
                            table.written.note(const { crate::read::key(stringify!($key)) }, member.key.span);
                            table.$key = crate::node::At::read(&member.value, findings);
                        })*
                        _ => {
                            table.written.strange = true;
                            crate::read::unknown_key(&member.key, Self::KEYS, findings);
                        }
                    }
                }
                Ok(Some(table))
            }
        }
    };
}

/// Declares a value that is one of a few words.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $( $(#[$doc:meta])* $word:literal => $variant:ident ),* $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema)]
        $(#[$meta])*
        pub(crate) enum $name { $( $(#[$doc])* #[schemars(rename = $word)] $variant, )* }

        impl crate::read::Read for $name {
            const EXPECTED: &'static str = concat!("one of" $(, " \"", $word, "\"")*);

            fn read(
                node: &crate::node::Node,
                findings: &mut crate::findings::Findings<'_>,
            ) -> Result<Option<Self>, crate::read::WrongKind> {
                match node.text().ok_or(crate::read::WrongKind)? {
                    $($word => Ok(Some(Self::$variant)),)*
                    other => {
                        crate::read::unknown_word(node.span, other, &[$($word),*], findings);
                        Ok(None)
                    }
                }
            }
        }
    };
}

/// Says that a word is none of those that are possible.
pub(crate) fn unknown_word(span: Span, word: &str, known: &[&'static str], findings: &mut Findings<'_>) {
    let finding =
        findings.error(span, format!("expected {}, found {word:?}", quoted(known.iter().copied(), "or")));
    if let Some(meant) = nearest(word, known.iter().copied()) {
        finding.help(format!("did you mean {meant:?}?"));
    }
}

pub(crate) use {choice, table};
