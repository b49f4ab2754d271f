//! What was seen of a server and is not pinned. It is not forgotten when the server shows the pinned thing again: a server that
//! shows one thing to some sessions and another one to others is not to be believed by either.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use base::digest::Digest;
use mcp::json::Object;
use mcp::method::Kind;
use store::pins::{MOST_WAITING, StoredWaiting};

use crate::book::{Book, PinnedDefinition};
use crate::canonical;
use crate::hidden::visible;
use crate::words;

/// So many definitions of one thing are remembered.
const MOST_OF_ONE: usize = 4;

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
            Self::Renamed(from) => format!("renamed {from}"),
            Self::Changed => "changed".to_owned(),
            Self::Odd => "odd".to_owned(),
        }
    }

    pub(crate) fn of_word(word: &str) -> Self {
        match word.split_once(' ') {
            Some(("renamed", from)) => Self::Renamed(from.to_owned()),
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
            name: self.name.clone(),
            digest: self.definition.digest.to_string(),
            definition: self.definition.text.to_string(),
            why: self.why.word(),
            seen_at: 0,
        }
    }

    /// What the store has; nothing of what is kept wrong.
    #[must_use]
    pub fn of_stored(stored: &StoredWaiting) -> Option<Self> {
        let definition = PinnedDefinition::of(&stored.definition);
        let kind = words::of_one(&stored.kind)?;
        (*definition.digest == *stored.digest).then(|| Self {
            kind,
            name: stored.name.clone(),
            definition,
            why: Why::of_word(&stored.why),
        })
    }
}

/// Stands for what a thing says to a model, without its name; of what says nothing nothing.
pub(crate) fn said(kind: Kind, entry: &str) -> Option<Digest> {
    let object = Object::parse(entry.trim()).ok()?;
    let part = |name: &str| object.get(name).ok().flatten().map(canonical::compact).unwrap_or_default();
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

    /// Adds one. False if it is there, or if there is no room.
    pub(crate) fn add(&mut self, seen: Seen) -> bool {
        let count = self.count();
        let names = self.by.entry(seen.kind).or_default();
        let Some(of) = names.get_mut(&seen.name) else {
            if count >= MOST_WAITING {
                return false;
            }
            names.insert(seen.name.clone(), vec![seen]);
            return true;
        };
        let is_new = of.len() < MOST_OF_ONE && !of.iter().any(|other| other.definition == seen.definition);
        if is_new {
            of.push(seen);
        }
        is_new
    }

    /// Without what is pinned by now or not wanted, and without what is no matter for another reason.
    pub(crate) fn without(&self, book: &Book, goes: impl Fn(Kind, &str) -> bool) -> Self {
        let mut rest = Self::default();
        for seen in self.iter() {
            let Seen { kind, name, definition, .. } = seen;
            let is_pinned = book.get(*kind, name).is_some_and(|pin| pin.digest == definition.digest);
            if !is_pinned && !book.is_denied(*kind, name, &definition.digest) && !goes(*kind, name) {
                rest.add(seen.clone());
            }
        }
        rest
    }
}
