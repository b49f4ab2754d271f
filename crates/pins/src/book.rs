//! What is pinned of one server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base::define::{self, digest};
use mcp::json::{self, Object};
use mcp::method::Kind;

use crate::canonical;
use crate::hidden::visible;
use crate::words;

/// A definition that somebody has approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedDefinition {
    /// Stands for it: `sha256:` and 64 hexadecimal digits ([`base::define::digest`]).
    pub digest: Arc<str>,
    /// The definition, a JSON object in one line ([`base::define::canonical`]); nothing where it was too much to keep.
    pub text: Arc<str>,
}

impl PinnedDefinition {
    /// The pin of an entry of a server's list, as it came.
    #[must_use]
    pub fn of(entry: &str) -> Self {
        Self { digest: digest(entry), text: define::canonical(entry).into() }
    }

    /// What is known by its digest alone, since it was too much to keep.
    #[must_use]
    pub fn unkept(digest: &str) -> Self {
        Self { digest: digest.into(), text: "".into() }
    }

    /// Whether there is more of it than its digest.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.text.is_empty()
    }
}

/// What is pinned of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// By kind and the server's own name. A kind that is there was pinned, though it may have had nothing.
    kinds: BTreeMap<Kind, BTreeMap<String, PinnedDefinition>>,
    /// What was looked at and is not wanted: kind, name and digest.
    denied: BTreeSet<(Kind, String, Arc<str>)>,
}

/// Why the pins of a server cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookFault {
    /// It is not JSON of that form.
    #[error("{place}: {what}")]
    Form {
        /// Where it is wrong.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// A definition was changed, and its digest not.
    #[error("{0}: the digest is not that of the definition")]
    Digest(String),
}

impl BookFault {
    pub(crate) fn form(place: &str, what: impl fmt::Display) -> Self {
        Self::Form { place: place.to_owned(), what: format!("{what}") }
    }

    /// The same within a larger place.
    pub(crate) fn within(self, outer: &str) -> Self {
        let join =
            |place: String| if place.is_empty() { outer.to_owned() } else { format!("{outer}.{place}") };
        match self {
            Self::Form { place, what } => Self::Form { place: join(place), what },
            Self::Digest(place) => Self::Digest(join(place)),
        }
    }
}

impl Book {
    /// Whether nothing was ever pinned or denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.denied.is_empty()
    }

    /// Whether things of a kind were pinned.
    #[must_use]
    pub fn has_kind(&self, kind: Kind) -> bool {
        self.kinds.contains_key(&kind)
    }

    /// What a thing is pinned as.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&PinnedDefinition> {
        self.kinds.get(&kind)?.get(name)
    }

    /// Everything that is pinned, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &str, &PinnedDefinition)> {
        self.kinds.iter().flat_map(|(kind, pins)| pins.iter().map(|(name, pin)| (*kind, name.as_str(), pin)))
    }

    /// Whether a definition was looked at and is not wanted.
    #[must_use]
    pub fn is_denied(&self, kind: Kind, name: &str, digest: &str) -> bool {
        // No copy of the name is made where nothing is denied, as is usual.
        !self.denied.is_empty() && self.denied.contains(&(kind, name.to_owned(), digest.into()))
    }

    /// What is denied, sorted: kind, name, digest.
    pub fn denied(&self) -> impl Iterator<Item = (Kind, &str, &str)> {
        self.denied.iter().map(|(kind, name, digest)| (*kind, name.as_str(), &**digest))
    }

    /// Things of that kind are pinned from now on.
    pub fn begin(&mut self, kind: Kind) {
        self.kinds.entry(kind).or_default();
    }

    /// Pins a thing. What was denied of it is forgotten.
    pub fn pin(&mut self, kind: Kind, name: &str, pin: PinnedDefinition) {
        self.denied
            .retain(|(of, denied, digest)| (*of, denied.as_str()) != (kind, name) || *digest != pin.digest);
        self.kinds.entry(kind).or_default().insert(name.to_owned(), pin);
    }

    /// Notes that a definition is not wanted. What is pinned stays so, unless it is that.
    pub fn deny(&mut self, kind: Kind, name: &str, digest: &Arc<str>) {
        if let Some(pins) = self.kinds.get_mut(&kind)
            && pins.get(name).is_some_and(|pin| pin.digest == *digest)
        {
            pins.remove(name);
        }
        self.denied.insert((kind, name.to_owned(), Arc::clone(digest)));
    }

    /// Forgets a thing: what it was pinned as, and what was denied of it. Whether there was anything.
    pub fn forget(&mut self, kind: Kind, name: &str) -> bool {
        let before = self.denied.len();
        self.denied.retain(|(of, denied, _)| (*of, denied.as_str()) != (kind, name));
        let pins = self.kinds.get_mut(&kind);
        pins.is_some_and(|pins| pins.remove(name).is_some()) || self.denied.len() < before
    }

    /// The part of a lock file, or what the store keeps: a JSON object, a line a member from `level` on.
    #[must_use]
    pub fn render(&self, level: usize) -> String {
        let indent = |more: usize| "  ".repeat(level + more);
        let mut parts = Vec::new();
        if !self.denied.is_empty() {
            let each = |(kind, name, digest): &(Kind, String, Arc<str>)| {
                let [one, name, digest] = [words::one(*kind), name, digest].map(visible);
                format!("{}[{one}, {name}, {digest}]", indent(2))
            };
            let denied: Vec<_> = self.denied.iter().map(each).collect();
            parts.push(format!("{}\"denied\": [\n{}\n{}]", indent(1), denied.join(",\n"), indent(1)));
        }
        for (kind, many, _) in words::PINNED {
            let Some(pins) = self.kinds.get(&kind) else { continue };
            let each = |(name, pin): (&String, &PinnedDefinition)| {
                let name = visible(name);
                let definition = canonical::pretty(&pin.text, level + 3);
                let digest = json::quote(&pin.digest);
                let (at, inner) = (indent(2), indent(3));
                format!(
                    "{at}{name}: {{\n{inner}\"digest\": {digest},\n{inner}\"definition\": {definition}\n{at}}}"
                )
            };
            let pins: Vec<_> = pins.iter().map(each).collect();
            let pins = if pins.is_empty() {
                String::new()
            } else {
                format!("\n{}\n{}", pins.join(",\n"), indent(1))
            };
            parts.push(format!("{}\"{many}\": {{{pins}}}", indent(1)));
        }
        if parts.is_empty() {
            return "{}".to_owned();
        }
        format!("{{\n{}\n{}}}", parts.join(",\n"), indent(0))
    }

    /// Reads what [`Self::render`] has written, or somebody by hand.
    ///
    /// # Errors
    /// Says where it is wrong.
    pub fn parse(text: &str) -> Result<Self, BookFault> {
        let object = object(text, "")?;
        let mut book = Self::default();
        for member in object.iter() {
            if member.name == "denied" {
                book.denied = denied(member.value)?;
                continue;
            }
            let kind = words::of_many(&member.name).ok_or_else(|| {
                BookFault::form(&member.name, "expected tools, prompts, resourceTemplates or denied")
            })?;
            let read = pins(member.value).map_err(|fault| fault.within(&member.name))?;
            book.kinds.insert(kind, read);
        }
        Ok(book)
    }
}

/// So many bytes a name has at most that is pinned, or remembered, written as JSON: a database takes no longer keys.
const MOST_NAME: usize = 1_000;
/// So deep goes what is pinned. What keeps it is deeper by a few levels, and must be read again.
const DEEPEST: usize = 100;

/// Whether an entry can be pinned under a name: what is kept must be read again as what it was.
#[must_use]
pub fn can_be_pinned(kind: Kind, name: &str, entry: &str) -> bool {
    let Ok(object) = object(entry.trim(), "") else { return false };
    let is_named = object.string(words::naming(kind)).is_ok_and(|own| own.is_some_and(|own| own == name));
    is_named && can_be_kept(name) && canonical::depth(entry.trim(), DEEPEST).is_some()
}

/// Whether something can be remembered under a name.
pub(crate) fn can_be_kept(name: &str) -> bool {
    !name.is_empty() && name.len() <= MOST_NAME && json::quote(name).len() <= MOST_NAME
}

/// An object of which no member stands twice: nobody must see one definition where another one counts.
pub(crate) fn object<'a>(text: &'a str, place: &str) -> Result<Object<'a>, BookFault> {
    let object = Object::parse(text).map_err(|fault| BookFault::form(place, fault))?;
    object.deny_duplicates().map_err(|fault| BookFault::form(place, fault))?;
    Ok(object)
}

fn pins(text: &str) -> Result<BTreeMap<String, PinnedDefinition>, BookFault> {
    let mut pins = BTreeMap::new();
    for member in object(text, "")?.iter() {
        let place = visible(&member.name);
        let pin = object(member.value, &place)?;
        let part = |name: &str| {
            let found = pin.get(name).map_err(|fault| BookFault::form(&place, fault))?;
            found.ok_or_else(|| BookFault::form(&place, format!("{name:?} is missing")))
        };
        let claimed = json::string(part("digest")?).map_err(|fault| BookFault::form(&place, fault))?;
        let definition = part("definition")?;
        object(definition, &place)?;
        let read = PinnedDefinition::of(definition);
        if *read.digest != *claimed {
            return Err(BookFault::Digest(place));
        }
        pins.insert(member.name.into_owned(), read);
    }
    Ok(pins)
}

fn denied(text: &str) -> Result<BTreeSet<(Kind, String, Arc<str>)>, BookFault> {
    let wrong = || BookFault::form("denied", r#"expected elements such as ["tool", "NAME", "sha256:…"]"#);
    let mut denied = BTreeSet::new();
    for element in json::array(text).map_err(|_fault| wrong())? {
        let parts = json::array(element).map_err(|_fault| wrong())?;
        let parts: Result<Vec<_>, _> = parts.into_iter().map(json::string).collect();
        let Ok([kind, name, digest]) = parts.as_deref() else { return Err(wrong()) };
        let kind = words::of_one(kind).ok_or_else(wrong)?;
        denied.insert((kind, name.clone().into_owned(), digest.as_ref().into()));
    }
    Ok(denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let mut book = Book::default();
        book.pin(Kind::Tool, "b", PinnedDefinition::of(r#"{"name":"b","inputSchema":{"type":"object"}}"#));
        book.pin(Kind::Tool, "a\u{202e}", PinnedDefinition::of("{\"name\":\"a\u{202e}\"}"));
        book.begin(Kind::Prompt);
        book.deny(Kind::Tool, "c", &digest(r#"{"name":"c"}"#));
        book
    }

    #[test]
    fn what_is_written_is_read() {
        let text = book().render(2);
        assert_eq!(Book::parse(&text).unwrap(), book());
        assert!(text.is_ascii(), "{text}");
        assert_eq!(Book::parse(&Book::default().render(0)).unwrap(), Book::default());
    }

    #[test]
    fn a_definition_that_was_changed_by_hand_is_found() {
        let text = book().render(0).replace("\"type\": \"object\"", "\"type\": \"array\"");
        assert_eq!(Book::parse(&text), Err(BookFault::Digest("tools.\"b\"".to_owned())));
        let twice = r#"{"tools":{"a":{"digest":"x","definition":{"name":"a","name":"b"}}}}"#;
        assert!(matches!(Book::parse(twice), Err(BookFault::Form { .. })));
    }

    #[test]
    fn what_could_not_be_read_again_is_not_pinned() {
        let deep = |levels| format!(r#"{{"name":"a","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(
            can_be_pinned(Kind::Tool, "a", r#" {"name":"\u0061","x":[{"y":1,"y":2}]} "#)
                && can_be_pinned(Kind::Tool, "a", &deep(90))
        );
        let long = "n".repeat(MOST_NAME);
        for (name, entry) in [
            ("", "7".to_owned()),
            ("", "{}".to_owned()),
            ("a", r#"{"name":"a","description":"x","description":"y"}"#.to_owned()),
            ("a", r#"{"name":"b"}"#.to_owned()),
            ("a", r#"{"name":"a","name":"a"}"#.to_owned()),
            ("a", deep(100)),
            (&long, format!(r#"{{"name":"{long}"}}"#)),
        ] {
            assert!(!can_be_pinned(Kind::Tool, name, &entry), "{entry}");
        }
    }

    #[test]
    fn a_template_is_named_by_its_uris() {
        let entry = r#"{"uriTemplate":"file:///{x}","name":"a"}"#;
        assert!(can_be_pinned(Kind::Template, "file:///{x}", entry));
        assert!(!can_be_pinned(Kind::Template, "a", entry) && can_be_pinned(Kind::Prompt, "a", entry));
    }

    mod any {
        use proptest::prelude::*;

        use super::*;

        fn entry() -> impl Strategy<Value = String> {
            let member = prop_oneof![
                ".{0,6}".prop_map(|text| format!(r#""name":{}"#, json::quote(&text))),
                ".{0,6}".prop_map(|text| format!(r#""description":{}"#, json::quote(&text))),
                Just(r#""x":{"y":"\ud800","y":[]}"#.to_owned()),
                (0..120usize).prop_map(|deep| format!(r#""z":{}{}"#, "[".repeat(deep), "]".repeat(deep))),
            ];
            prop_oneof![
                proptest::collection::vec(member, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
                Just("7".to_owned()),
            ]
        }

        proptest! {
            /// A list may have anything in it, and what is kept of it must be read again.
            #[test]
            fn what_is_pinned_is_read_as_it_was(entries in proptest::collection::vec(entry(), 0..4)) {
                let mut book = Book::default();
                for entry in &entries {
                    let object = Object::parse(entry).ok();
                    let name = object.and_then(|object| Some(object.string("name").ok()??.into_owned()));
                    let name = name.unwrap_or_default();
                    if can_be_pinned(Kind::Tool, &name, entry) {
                        book.pin(Kind::Tool, &name, PinnedDefinition::of(entry));
                    }
                }
                prop_assert_eq!(Book::parse(&book.render(0)), Ok(book.clone()));
                prop_assert_eq!(Book::parse(&book.render(2)), Ok(book));
            }
        }
    }

    #[test]
    fn what_is_denied_is_pinned_no_more_and_the_other_way_round() {
        let (mut book, pin) = (Book::default(), PinnedDefinition::of(r#"{"name":"a"}"#));
        book.pin(Kind::Tool, "a", pin.clone());
        book.deny(Kind::Tool, "a", &pin.digest);
        assert!(book.get(Kind::Tool, "a").is_none() && book.is_denied(Kind::Tool, "a", &pin.digest));
        book.pin(Kind::Tool, "a", pin.clone());
        assert!(!book.is_denied(Kind::Tool, "a", &pin.digest));
        assert!(book.forget(Kind::Tool, "a") && !book.forget(Kind::Tool, "a"));
    }
}
