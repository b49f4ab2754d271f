//! From words on the command line to the JSON object of a tool's arguments.
//!
//! `k=v`: `v` is JSON if it can be read so and the tool's schema does not say that `k` is a string, else a string.
//! `k:=v`: `v` is JSON. `k=@file`: the value is what the file says. Values that are JSON are passed on as written.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use mcp::json::{self, Kind, Object, quote};

use crate::fault::Fault;

/// How the help explains them.
pub(crate) const HELP: &str = "\
Arguments of the tool:
  k=v      v as JSON if it is JSON and the tool's schema does not say that k
           is a string; else v as a string
  k:=v     v as JSON in any case: tags:='[\"a\",\"b\"]'
  k=@FILE  what the file says
  -        all arguments as one object, from stdin; so does --args '{…}',
           and --args @FILE from a file";

/// Arguments as they were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Members of a whole object: names, and JSON texts.
    whole: Vec<(String, String)>,
    single: Vec<(String, Value)>,
    /// The names that somebody has wanted.
    used: BTreeSet<String>,
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    /// JSON in any case.
    Json(String),
    /// JSON or a string, as the schema has it.
    Plain(String),
}

impl Written {
    /// Reads words, and the value of `--args`.
    pub(crate) fn read(words: &[String], object: Option<&str>) -> Result<Self, Fault> {
        let mut written = Self::default();
        if let Some(given) = object {
            written.whole = whole(&text_of(given)?)?;
        }
        for word in words {
            if word == "-" {
                written.whole.extend(whole(&stdin()?)?);
                continue;
            }
            let Some((name, value)) = word.split_once('=') else {
                return Err(Fault::usage(format!("{word:?} is no argument"))
                    .hint("write name=value, name:='JSON' or name=@FILE"));
            };
            let value = match (name.strip_suffix(':'), value.strip_prefix('@')) {
                (Some(_), _) => Value::Json(checked(name, value)?),
                (None, Some(path)) => Value::Plain(file(path)?),
                (None, None) => Value::Plain(value.to_owned()),
            };
            written.single.push((name.strip_suffix(':').unwrap_or(name).to_owned(), value));
        }
        written.deny_duplicates()?;
        Ok(written)
    }

    /// Whether the schema decides what they mean.
    pub(crate) fn needs_schema(&self) -> bool {
        self.single.iter().any(|(_, value)| matches!(value, Value::Plain(text) if is_json(text)))
    }

    /// The object, for a tool with this JSON Schema.
    pub(crate) fn object(&self, schema: Option<&str>) -> String {
        let properties = schema
            .and_then(|schema| Object::parse(schema).ok())
            .and_then(|schema| schema.object("properties").ok().flatten());
        let is_text =
            |name: &str| properties.as_ref().is_some_and(|properties| says_string(properties, name));
        let single = self.single.iter().map(|(name, value)| {
            let value = match value {
                Value::Json(text) => text.clone(),
                Value::Plain(text) if is_json(text) && !is_text(name) => text.trim().to_owned(),
                Value::Plain(text) => quote(text),
            };
            (name, value)
        });
        let whole = self.whole.iter().map(|(name, value)| (name, value.clone()));
        let members: Vec<_> =
            whole.chain(single).map(|(name, value)| format!("{}:{value}", quote(name))).collect();
        format!("{{{}}}", members.join(","))
    }

    /// The object for a prompt, whose arguments are all strings.
    pub(crate) fn texts(&self) -> Result<String, Fault> {
        let text = |name: &str, raw: &str| match json::string(raw) {
            Ok(_) => Ok(raw.to_owned()),
            Err(_) => Err(Fault::usage(format!("{name:?} must be a string: a prompt takes nothing else"))),
        };
        let mut members = Vec::new();
        for (name, value) in &self.whole {
            members.push(format!("{}:{}", quote(name), text(name, value)?));
        }
        for (name, value) in &self.single {
            let value = match value {
                Value::Json(raw) => text(name, raw)?,
                Value::Plain(plain) => quote(plain),
            };
            members.push(format!("{}:{value}", quote(name)));
        }
        Ok(format!("{{{}}}", members.join(",")))
    }

    /// Somebody has wanted this one, whether it was written or not.
    pub(crate) fn mark_used(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }

    /// The names that nobody has wanted.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &String> {
        self.names().filter(|name| !self.used.contains(*name))
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.whole.iter().map(|(name, _)| name).chain(self.single.iter().map(|(name, _)| name))
    }

    fn deny_duplicates(&self) -> Result<(), Fault> {
        let mut seen = BTreeSet::new();
        for name in self.names() {
            if !seen.insert(name) {
                return Err(Fault::usage(format!("the argument {name:?} is given twice")));
            }
        }
        Ok(())
    }
}

/// Whether a property's schema says that it is a string, alone or among others.
fn says_string(properties: &Object<'_>, name: &str) -> bool {
    let Some(property) = properties.object(name).ok().flatten() else { return false };
    let member = |name: &str| property.get(name).ok().flatten();
    let is_string = |raw: &str| Kind::of(raw) == Kind::String;
    match member("type") {
        Some(raw) if is_string(raw) => raw == "\"string\"",
        Some(raw) => json::array(raw).is_ok_and(|types| types.contains(&"\"string\"")),
        None => {
            member("const").is_some_and(is_string)
                || member("enum")
                    .and_then(|raw| json::array(raw).ok())
                    .is_some_and(|all| all.into_iter().any(is_string))
        }
    }
}

fn is_json(text: &str) -> bool {
    // Exactly one value, or the text would be several elements, or none.
    let text = text.trim();
    !text.is_empty() && json::array(&format!("[{text}]")).is_ok_and(|elements| elements == [text])
}

fn checked(name: &str, text: &str) -> Result<String, Fault> {
    if is_json(text) {
        return Ok(text.trim().to_owned());
    }
    let fault = json::array(&format!("[{text}]")).err().map(|fault| fault.to_string()).unwrap_or_default();
    let name = name.trim_end_matches(':');
    let quoted = quote(text);
    Err(Fault::usage(format!("{name}:= is not followed by JSON: {fault}"))
        .hint(format!("for a text write {name}={text}, or {name}:='{quoted}'")))
}

fn whole(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let object = Object::parse(text.trim())
        .map_err(|fault| Fault::usage(format!("the arguments are no JSON object: {fault}")))
        .map_err(|fault| fault.hint("write --args '{\"name\": \"value\"}', or name=value for each"))?;
    Ok(object.iter().map(|member| (member.name.clone().into_owned(), member.value.to_owned())).collect())
}

/// The text that a value of an option stands for: itself, a file's, or stdin's.
pub(crate) fn text_of(given: &str) -> Result<String, Fault> {
    match given.strip_prefix('@') {
        Some(path) => file(path),
        None if given == "-" => stdin(),
        None => Ok(given.to_owned()),
    }
}

fn file(path: &str) -> Result<String, Fault> {
    std::fs::read_to_string(Path::new(path))
        .map_err(|error| Fault::usage(format!("{path} cannot be read: {error}")))
        .map_err(|fault| fault.hint("@ names a file that is there; without it, the text itself is meant"))
}

fn stdin() -> Result<String, Fault> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Fault::outside("cannot read stdin", &error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"properties":{"s":{"type":"string"},"n":{"type":"number"},"either":{"type":["null","string"]},"choice":{"enum":["1"]}}}"#;

    fn object(words: &[&str], given: Option<&str>) -> Result<String, Fault> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(Written::read(&words, given)?.object(Some(SCHEMA)))
    }

    #[test]
    fn the_schema_decides_what_is_a_string() {
        for (word, member) in [
            ("s=5", r#""s":"5""#),
            ("either=5", r#""either":"5""#),
            ("choice=1", r#""choice":"1""#),
            ("n=5.0", r#""n":5.0"#),
            ("n=five", r#""n":"five""#),
            ("x=[1, 2]", r#""x":[1, 2]"#),
            ("x=1,2", r#""x":"1,2""#),
            ("x=", r#""x":"""#),
            ("x=a=b", r#""x":"a=b""#),
            ("s:=5", r#""s":5"#),
            ("x=12345678901234567890123", r#""x":12345678901234567890123"#),
        ] {
            assert_eq!(object(&[word], None).unwrap(), format!("{{{member}}}"), "{word}");
        }
    }

    #[test]
    fn objects_and_single_arguments_go_together() {
        assert_eq!(object(&["n=1"], Some(r#" {"a" : 1.50} "#)).unwrap(), r#"{"a":1.50,"n":1}"#);
        let words = ["n=1".to_owned(), "s=2".to_owned()];
        assert_eq!(Written::read(&words, None).unwrap().texts().unwrap(), r#"{"n":"1","s":"2"}"#);
    }

    #[test]
    fn what_is_no_argument_is_refused() {
        for words in [&["x"][..], &["x:=nope"], &["x=1", "x=2"], &["x=@/does/not/exist"]] {
            assert!(matches!(object(words, None), Err(Fault::Usage { .. })), "{words:?}");
        }
        assert!(object(&["a=1"], Some(r#"{"a":1}"#)).is_err() && object(&[], Some("[]")).is_err());
    }
}
