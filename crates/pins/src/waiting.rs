//! What was seen of a server and is not pinned. It is not forgotten when the server shows the pinned thing again: a server that
//! shows one thing to some sessions and another one to others is not to be believed by either.

use base::define;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use base::digest::Digest;
use mcp::json::{self, Object};
use mcp::method::Kind;
use store::pins::{MOST_TEXT, MOST_WAITING, StoredWaiting};

use crate::book::{Book, PinnedDefinition};
use crate::hidden::visible;
use crate::words;

/// So many definitions of one thing are remembered.
const MOST_OF_ONE: usize = 4;
/// Of a longer definition the digest alone is remembered: that is enough to hold it, and whoever is to approve it sees it by asking its
/// server.
const LONGEST: usize = 256 * 1024;

/// What is not as it was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It was not there when the others were pinned.
    New,
    /// It was not there, and says what the thing of this name was pinned as saying.
    Renamed(String),
    /// It says something else.
    Changed,
    /// It was never pinned, because there is something odd about it.
    Odd,
}

impl Why {
    /// As the store has it.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::New => "new".to_owned(),
            Self::Renamed(from) => format!("renamed {}", key(from)),
            Self::Changed => "changed".to_owned(),
            Self::Odd => "odd".to_owned(),
        }
    }

    pub(crate) fn of_word(word: &str) -> Self {
        match word.split_once(' ') {
            Some(("renamed", from)) => Self::Renamed(name_of(from)),
            _ if word == "new" => Self::New,
            _ if word == "odd" => Self::Odd,
            _ => Self::Changed,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("it is new, and nobody has approved it"),
            Self::Renamed(from) => {
                let from: String = from.chars().take(128).collect();
                write!(f, "it is new, and says what {} was pinned as saying", visible(&from))
            }
            Self::Changed => f.write_str("it is not what was pinned"),
            Self::Odd => f.write_str("there is something odd about it, and nobody has approved it"),
        }
    }
}

/// A definition that was seen and is not pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What kind of thing it is of.
    pub kind: Kind,
    /// The server's own name of it.
    pub name: String,
    /// What it is.
    pub definition: PinnedDefinition,
    /// What is not as it was pinned.
    pub why: Why,
}

impl Seen {
    pub(crate) fn stored(&self) -> StoredWaiting {
        StoredWaiting {
            kind: words::one(self.kind).to_owned(),
            name: key(&self.name),
            digest: self.definition.digest.to_string(),
            definition: self.definition.text.to_string(),
            why: self.why.word(),
            seen_at: 0,
        }
    }

    /// What the store has; nothing of what is kept wrong.
    #[must_use]
    pub fn of_stored(stored: &StoredWaiting) -> Option<Self> {
        let definition = if stored.definition.is_empty() {
            PinnedDefinition::unkept(&stored.digest)
        } else {
            PinnedDefinition::of(&stored.definition)
        };
        let kind = words::of_one(&stored.kind)?;
        (*definition.digest == *stored.digest).then(|| Self {
            kind,
            name: name_of(&stored.name),
            definition,
            why: Why::of_word(&stored.why),
        })
    }
}

/// What the store keeps a thing of that name under: the name, quoted where it has what a database does not take.
#[must_use]
pub fn key(name: &str) -> String {
    if name.starts_with('"') || name.chars().any(char::is_control) {
        json::quote(name)
    } else {
        name.to_owned()
    }
}

/// The name that is kept so.
fn name_of(key: &str) -> String {
    let quoted = if key.starts_with('"') { json::string(key).ok() } else { None };
    quoted.map_or_else(|| key.to_owned(), std::borrow::Cow::into_owned)
}

/// Stands for what a thing says to a model, without its name; of what says nothing nothing.
pub(crate) fn said(kind: Kind, entry: &str) -> Option<Digest> {
    let object = Object::parse(entry.trim()).ok()?;
    let part = |name: &str| object.get(name).ok().flatten().map(define::canonical).unwrap_or_default();
    let parts = ["description", "inputSchema", "outputSchema", "arguments"].map(part);
    let says = parts.first().is_some_and(|description| description.len() > 2);
    says.then(|| Digest::of(parts.iter().map(String::as_str).chain([words::one(kind)])))
}

/// What of a server's definitions is not as its book has it, sorted; and what the book has and is not among them.
#[must_use]
pub fn compare(
    book: &Book,
    definitions: &[(Kind, String, PinnedDefinition)],
) -> (Vec<Seen>, Vec<(Kind, String)>) {
    let says: HashMap<Digest, &str> =
        book.iter().filter_map(|(kind, name, pin)| Some((said(kind, &pin.text)?, name))).collect();
    let mut waiting = Vec::new();
    for (kind, name, definition) in definitions {
        let pin = book.get(*kind, name);
        let is_pinned = pin.is_some_and(|pin| pin.digest == definition.digest);
        if is_pinned || book.is_denied(*kind, name, &definition.digest) {
            continue;
        }
        let same = || says.get(&said(*kind, &definition.text)?).map(|from| (*from).to_owned());
        let why = match pin {
            Some(_) => Why::Changed,
            None => same().map_or(Why::New, Why::Renamed),
        };
        waiting.push(Seen { kind: *kind, name: name.clone(), definition: definition.clone(), why });
    }
    waiting.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    let is_there = |kind: Kind, name: &str| {
        definitions.iter().any(|(of, other, _)| (*of, other.as_str()) == (kind, name))
    };
    let gone = book.iter().filter(|(kind, name, _)| !is_there(*kind, name));
    (waiting, gone.map(|(kind, name, _)| (kind, name.to_owned())).collect())
}

/// All that was seen of one server and is not pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AllSeen {
    by: BTreeMap<Kind, HashMap<String, Vec<Seen>>>,
    /// How many things of which nothing is pinned.
    unpinned: usize,
    /// How many bytes their definitions have.
    bytes: usize,
}

impl AllSeen {
    /// Of a thing; the first that was seen first.
    pub(crate) fn of(&self, kind: Kind, name: &str) -> &[Seen] {
        self.by.get(&kind).and_then(|names| names.get(name)).map_or(&[], Vec::as_slice)
    }

    /// How many things.
    pub(crate) fn count(&self) -> usize {
        self.by.values().map(HashMap::len).sum()
    }

    /// Everything, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.by.values().flat_map(HashMap::values).flatten()
    }

    /// Adds one. False if it is there, or if there is no room. Of a thing that is pinned there is always room for the first: whatever
    /// else its server makes up, that it was seen to be something else is remembered.
    pub(crate) fn add(&mut self, mut seen: Seen, is_pinned: bool) -> bool {
        let of = self.of(seen.kind, &seen.name);
        let is_known = of.iter().any(|other| other.definition.digest == seen.definition.digest);
        let has_room =
            if of.is_empty() { is_pinned || self.unpinned < MOST_WAITING } else { of.len() < MOST_OF_ONE };
        if is_known || !has_room {
            return false;
        }
        let is_first = of.is_empty();
        self.unpinned += usize::from(is_first && !is_pinned);
        let bytes = seen.definition.text.len();
        if bytes > LONGEST || self.bytes + bytes > MOST_TEXT {
            seen.definition = PinnedDefinition::unkept(&seen.definition.digest);
        } else {
            self.bytes += bytes;
        }
        self.by.entry(seen.kind).or_default().entry(seen.name.clone()).or_default().push(seen);
        true
    }

    /// Without what is pinned by now or not wanted, and without what is no matter for another reason.
    pub(crate) fn without(&self, book: &Book, goes: impl Fn(Kind, &str) -> bool) -> Self {
        let mut rest = Self::default();
        for seen in self.iter() {
            let Seen { kind, name, definition, .. } = seen;
            let pin = book.get(*kind, name);
            let is_that = pin.is_some_and(|pin| pin.digest == definition.digest);
            if !is_that && !book.is_denied(*kind, name, &definition.digest) && !goes(*kind, name) {
                rest.add(seen.clone(), pin.is_some());
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, description: &str) -> Seen {
        let entry = format!(r#"{{"name":{},"description":{}}}"#, json::quote(name), json::quote(description));
        let definition = PinnedDefinition::of(&entry);
        Seen { kind: Kind::Tool, name: name.to_owned(), definition, why: Why::Changed }
    }

    #[test]
    fn what_a_server_makes_up_takes_no_place_of_what_is_pinned() {
        let mut all = AllSeen::default();
        for n in 0..2 * MOST_WAITING {
            assert_eq!(all.add(seen(&format!("made-up-{n}"), ""), false), n < MOST_WAITING);
        }
        assert!(all.add(seen("pinned", "x"), true) && !all.add(seen("pinned", "x"), true));
        assert_eq!(all.of(Kind::Tool, "pinned").len(), 1);
    }

    #[test]
    fn what_waits_has_a_bound_in_bytes() {
        let mut all = AllSeen::default();
        let mut bytes = 0;
        for n in 0..200 {
            assert!(all.add(seen(&n.to_string(), &"x".repeat(LONGEST - 1000)), n % 2 == 0));
        }
        assert!(all.add(seen("long", &"x".repeat(LONGEST)), true));
        for one in all.iter() {
            bytes += one.definition.text.len();
        }
        assert!(bytes <= MOST_TEXT && bytes > MOST_TEXT / 2, "{bytes}");
        let long = all.of(Kind::Tool, "long").first().unwrap();
        assert!(!long.definition.is_kept() && long.definition.digest.starts_with("sha256:"));
        assert_eq!(Seen::of_stored(&long.stored()).as_ref(), Some(long));
    }

    /// A database takes no text with a zero in it.
    #[test]
    fn any_name_is_kept_and_read() {
        for name in ["plain", "a\u{0}b", "\"a\"", "\"", "é"] {
            let one = Seen { why: Why::Renamed(name.to_owned()), ..seen(name, "x") };
            let stored = one.stored();
            assert!(!format!("{stored:?}").contains("\\0") && !stored.name.contains('\0'), "{stored:?}");
            assert_eq!(Seen::of_stored(&stored), Some(one));
        }
    }
}
