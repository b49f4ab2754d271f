//! One object of a JSON text: where its members stand.

use std::borrow::Cow;
use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::outline::Note;
use super::scan::{self, Name, Scanner};
use super::{JsonFault, Patch, Span, fault, quote, spelling, string};

/// The most members of one object that an outline keeps. One that has more is read again by whoever asks for it.
pub(super) const MOST_KEPT: usize = 64;

/// So many members are compared with each other quickest; of more, which a client may send to keep us busy, each is
/// looked up.
const FEW: usize = 16;

/// One member of an object, as it stands in the text.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// The name with its quotes and escapes, as written.
    pub raw_name: &'a str,
    /// The name's meaning.
    pub name: Cow<'a, str>,
    /// The value's text, without surrounding space.
    pub value: &'a str,
}

/// Where a member stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) name: Name,
    pub(super) value: Span,
}

/// Where the members of one object stand.
#[derive(Debug, Clone)]
pub(super) enum Places<'a> {
    /// Read for this object alone.
    Own(Vec<Place>),
    /// Among what an outline has noted: those of the object of that number.
    Noted { notes: &'a [Note], number: u8 },
}

impl Place {
    /// The member, of the text in which it stands.
    fn member<'a>(&self, text: &'a str) -> Member<'a> {
        let raw_name = self.name.at.of(text);
        let name = if self.name.escaped {
            // A name that is no Unicode text (a lone surrogate) equals no name we know: it keeps its spelling.
            string(raw_name).unwrap_or(Cow::Borrowed(raw_name))
        } else {
            Cow::Borrowed(within_quotes(raw_name))
        };
        Member { raw_name, name, value: self.value.of(text) }
    }

    #[inline]
    fn is_called(&self, name: &str, text: &str) -> bool {
        if self.name.escaped {
            return spelling::means(self.name.at.of(text).as_bytes(), name.as_bytes());
        }
        // Most names differ in their length, and then are not looked at.
        self.name.at.len() == name.len() + 2 && within_quotes(self.name.at.of(text)) == name
    }
}

fn within_quotes(raw: &str) -> &str {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

impl Places<'_> {
    fn iter(&self) -> impl Iterator<Item = &Place> {
        let (own, notes, mine) = match self {
            Self::Own(places) => (places.as_slice(), &[][..], 0),
            Self::Noted { notes, number } => (&[][..], *notes, *number),
        };
        let noted = notes.iter().filter_map(move |note| match note {
            Note::Member { object, place } if *object == mine => Some(place),
            _ => None,
        });
        own.iter().chain(noted)
    }
}

/// The members of one object in their order. Values are not looked into, but they are checked to be valid JSON.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    /// The text in which the members' places are.
    base: &'a str,
    /// The part of it that this was read from.
    at: Span,
    places: Places<'a>,
    uri: bool,
}

impl<'a> Object<'a> {
    /// Reads the object that `text` holds, and nothing beside it.
    ///
    /// # Errors
    /// Says what is wrong and where when `text` is not one JSON object. Duplicate members are not refused here but
    /// when they are asked for ([`Object::get`]), because a member that nobody here reads is forwarded as it came.
    pub fn parse(text: &'a str) -> Result<Self, JsonFault> {
        Self::parse_within(text, usize::MAX)
    }

    /// Reads the object that `text` holds if it has at most `most` members.
    ///
    /// # Errors
    /// As [`Object::parse`]; [`JsonFault::TooMany`] when it has more, whatever follows then.
    pub fn parse_within(text: &'a str, most: usize) -> Result<Self, JsonFault> {
        // As many as most objects have.
        let mut places = Vec::with_capacity(8);
        let mut full = false;
        let mut scanner = Scanner::new(text);
        let read = scan::members(&mut scanner, |scanner, name| {
            let start = scanner.at();
            scanner.value()?;
            full = places.len() == most;
            if full {
                return None;
            }
            places.push(Place { name, value: Span { start, end: scanner.at() } });
            Some(())
        });
        match read.filter(|()| scanner.ends()) {
            Some(()) => {
                let at = Span { start: 0, end: text.len() };
                Ok(Self { base: text, at, places: Places::Own(places), uri: scanner.uri })
            }
            None if full => Err(JsonFault::TooMany(most)),
            None => Err(fault::of_object(text)),
        }
    }

    /// An object of which an outline knows the members.
    pub(super) fn noted(base: &'a str, at: Span, places: Places<'a>, uri: bool) -> Self {
        Self { base, at, places, uri }
    }

    /// Whether the text this was read from has a member that is called `uri`, or as one that names the resource of a user
    /// interface (`resourceUri`, `ui/resourceUri`, `openai/outputTemplate`), at any depth. Also where it was noted in a
    /// message that has one elsewhere.
    #[must_use]
    pub fn may_name_a_uri(&self) -> bool {
        self.uri
    }

    /// The value of the only member of that name.
    ///
    /// # Errors
    /// [`JsonFault::Duplicate`] when there are several.
    pub fn get(&self, name: &str) -> Result<Option<&'a str>, JsonFault> {
        let mut found = None;
        let mut twice = false;
        self.places.iter().for_each(|place| {
            if place.is_called(name, self.base) {
                twice |= found.replace(place.value).is_some();
            }
        });
        if twice { Err(JsonFault::Duplicate(name.to_owned())) } else { Ok(found.map(|at| at.of(self.base))) }
    }

    /// The text of the only member of that name, which must be a string.
    ///
    /// # Errors
    /// When it stands twice, is not a string, or holds no Unicode text.
    pub fn string(&self, name: &str) -> Result<Option<Cow<'a, str>>, JsonFault> {
        self.get(name)?.map(string).transpose()
    }

    /// The object that the only member of that name holds.
    ///
    /// # Errors
    /// When it stands twice or is not an object.
    pub fn object(&self, name: &str) -> Result<Option<Self>, JsonFault> {
        self.get(name)?.map(Self::parse).transpose()
    }

    /// Whether any member stands twice.
    ///
    /// # Errors
    /// [`JsonFault::Duplicate`] names the first such member.
    pub fn deny_duplicates(&self) -> Result<(), JsonFault> {
        let twice = |name: Cow<'a, str>| Err(JsonFault::Duplicate(name.into_owned()));
        let names = || self.iter().map(|member| member.name);
        if names().nth(FEW).is_some() {
            let mut seen = BTreeSet::new();
            for name in names() {
                if seen.contains(&name) {
                    return twice(name);
                }
                seen.insert(name);
            }
            return Ok(());
        }
        let few: SmallVec<[Cow<'a, str>; FEW]> = names().collect();
        let mut pairs = few.iter().enumerate();
        let second = pairs.find(|(at, name)| few.iter().take(*at).any(|before| before == *name));
        second.map_or(Ok(()), |(_, name)| twice(name.clone()))
    }

    /// The members in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = Member<'a>> {
        self.places.iter().map(|place| place.member(self.base))
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.iter().next().is_none()
    }

    /// The text this was read from.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.at.of(self.base)
    }

    /// Where a value of this object stands in the text it was read from.
    #[must_use]
    pub fn span_of(&self, value: &str) -> Span {
        Span::locate(self.text(), value)
    }

    /// Plans into `patch` that the member `name` has `value`: replaced where it stands, else added as the first.
    /// `offset` is where this object's text begins in the text that will be patched.
    ///
    /// # Errors
    /// When the member stands twice.
    pub fn set(&self, name: &str, value: &[u8], offset: usize, patch: &mut Patch) -> Result<(), JsonFault> {
        if let Some(current) = self.get(name)? {
            patch.replace(self.span_of(current).shift(offset), value);
        } else {
            let mut member = quote(name).into_bytes();
            member.push(b':');
            member.extend_from_slice(value);
            if !self.is_empty() {
                member.push(b',');
            }
            patch.insert(offset + self.after_brace(), &member);
        }
        Ok(())
    }

    /// Plans into `patch` that no member for which `goes` holds is left.
    pub fn remove(&self, goes: impl Fn(&str) -> bool, offset: usize, patch: &mut Patch) {
        let members: SmallVec<[Member<'a>; 8]> = self.iter().collect();
        let starts: SmallVec<[usize; 8]> = members.iter().map(|m| self.span_of(m.raw_name).start).collect();
        let mut kept_before = false;
        for (at, member) in members.iter().enumerate() {
            if !goes(&member.name) {
                kept_before = true;
                continue;
            }
            let end = self.span_of(member.value).end;
            let span = if kept_before {
                // Takes the comma before it along.
                let before = at.checked_sub(1).and_then(|b| members.get(b));
                Span { start: before.map_or(0, |m| self.span_of(m.value).end), end }
            } else {
                // Takes the comma after it along, if one follows.
                let next = starts.get(at + 1).copied().unwrap_or(end);
                Span { start: starts.get(at).copied().unwrap_or(end), end: next }
            };
            patch.replace(span.shift(offset), b"");
        }
    }

    /// The place right after the opening brace, where a first member can be written.
    fn after_brace(&self) -> usize {
        self.text().find('{').map_or(0, |at| at + 1)
    }
}
