//! Pins as a file in version control.

use std::collections::BTreeMap;

use mcp::json;

use crate::book::{Book, BookFault, object};
use crate::hidden::visible;

/// The form that is written and read.
const VERSION: i64 = 1;

/// The pins of all servers: a JSON text, sorted, a member a line, so that a change of one definition is a change of its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    /// By the server's name in the configuration.
    pub servers: BTreeMap<String, Book>,
}

/// Why a lock file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockFault {
    /// Two branches were merged, and nobody has said which is right.
    #[error("it has the marks of a merge that is not done")]
    Merge,
    /// It is not JSON of that form.
    #[error(transparent)]
    Wrong(#[from] BookFault),
    /// A later version of Portolan wrote it.
    #[error("its version is {0}, and this Portolan knows 1")]
    Version(String),
}

impl LockFault {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Merge => "keep one side of each, and look at `portolan pins diff --connect`",
            Self::Wrong(BookFault::Digest(_)) => {
                "definitions are not edited by hand: `portolan pins approve --connect` pins what the server says, after `portolan pins diff --connect` has shown it"
            }
            Self::Wrong(BookFault::Form { .. }) => {
                "take it from version control again, or remove it: `portolan pins lock` writes it, from what the servers say now"
            }
            Self::Version(_) => "use the Portolan that wrote it, or a later one",
        }
    }
}

impl LockFile {
    /// Reads the text of a lock file. Without a text nothing is pinned.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, LockFault> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        if text.lines().any(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ")) {
            return Err(LockFault::Merge);
        }
        let whole = object(text.trim(), "the file")?;
        let get = |name: &str| whole.get(name).map_err(|fault| BookFault::form(name, fault));
        match get("version")?.map(|version| (json::integer(version), version)) {
            Some((Some(VERSION), _)) => {}
            Some((_, other)) => return Err(LockFault::Version(other.chars().take(20).collect())),
            None => return Err(BookFault::form("version", "is missing").into()),
        }
        let mut servers = BTreeMap::new();
        let Some(given) = get("servers")? else {
            return Err(BookFault::form("servers", "is missing").into());
        };
        for member in object(given, "servers")?.iter() {
            let place = format!("servers.{}", visible(&member.name));
            let book = Book::parse(member.value).map_err(|fault| fault.within(&place))?;
            servers.insert(member.name.into_owned(), book);
        }
        Ok(Self { servers })
    }

    /// Its text.
    #[must_use]
    pub fn render(&self) -> String {
        let each = |(name, book): (&String, &Book)| format!("    {}: {}", visible(name), book.render(2));
        let servers: Vec<_> = self.servers.iter().filter(|(_, book)| !book.is_empty()).map(each).collect();
        let servers =
            if servers.is_empty() { String::new() } else { format!("\n{}\n  ", servers.join(",\n")) };
        format!("{{\n  \"version\": {VERSION},\n  \"servers\": {{{servers}}}\n}}\n")
    }
}

#[cfg(test)]
mod tests {
    use mcp::method::Kind;

    use super::*;
    use crate::book::PinnedDefinition;

    fn lock(description: &str) -> LockFile {
        let mut lock = LockFile::default();
        for server in ["b", "a"] {
            let mut book = Book::default();
            for tool in ["y", "x"] {
                let entry = format!(r#"{{"name":"{tool}","description":"{description}"}}"#);
                book.pin(Kind::Tool, tool, PinnedDefinition::of(&entry));
            }
            lock.servers.insert(server.to_owned(), book);
        }
        lock
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        assert_eq!(LockFile::parse(&lock("one").render()).unwrap(), lock("one"));
        assert_eq!(LockFile::parse("").unwrap(), LockFile::default());
        assert_eq!(LockFile::parse(&LockFile::default().render()).unwrap(), LockFile::default());
    }

    #[test]
    fn a_change_of_one_definition_is_a_change_of_two_lines() {
        let mut other = lock("one");
        let pin = PinnedDefinition::of(r#"{"name":"x","description":"two"}"#);
        other.servers.get_mut("a").unwrap().pin(Kind::Tool, "x", pin);
        let (before, after) = (lock("one").render(), other.render());
        assert_eq!(before.lines().count(), after.lines().count());
        assert_eq!(before.lines().zip(after.lines()).filter(|(one, other)| one != other).count(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let said = |text: &str| LockFile::parse(text).unwrap_err().to_string();
        assert_eq!(said(r#"{"version":2,"servers":{}}"#), "its version is 2, and this Portolan knows 1");
        assert_eq!(said("<<<<<<< ours\n{}"), "it has the marks of a merge that is not done");
        assert_eq!(said(r#"{"servers":{}}"#), "version: is missing");
        assert_eq!(
            said(r#"{"version":1,"servers":{"a":{"tool":{}}}}"#),
            "servers.\"a\".tool: expected tools, prompts, resourceTemplates or denied"
        );
        assert_eq!(
            said(r#"{"version":1,"servers":{"a":{"tools":{"x":{"digest":"sha256:0","definition":{}}}}}}"#),
            "servers.\"a\".tools.\"x\": the digest is not that of the definition"
        );
        let twice = r#"{"version":1,"servers":{"a":{},"a":{}}}"#;
        assert_eq!(said(twice), "servers: member \"a\" stands more than once");
    }
}
