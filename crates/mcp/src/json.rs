//! Looking into JSON text without taking it apart.
//!
//! A gateway may change only what it owns, so nothing here builds a tree: an [`Object`] is a list of borrowed
//! slices, and a [`Patch`] replaces a few of them and copies the rest byte for byte. Number spelling, member order,
//! escapes and unknown members survive because nobody touches them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use memchr::memchr2;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

mod outline;
mod patch;

pub(crate) use self::outline::Outline;
pub use self::patch::{LONG, Patch};

/// Why a text is not the JSON that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not JSON at all; the text says what and where.
    #[error("{0}")]
    Syntax(String),
    /// JSON, but of another kind than asked for.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// What the caller asked for.
        expected: &'static str,
        /// What stands there.
        found: Kind,
    },
    /// A member that means something to us stands twice, so two readers could read two things.
    #[error("member {0:?} stands more than once")]
    Duplicate(String),
    /// A string with a lone surrogate or another escape that no Unicode text can hold.
    #[error("a string that is not Unicode text")]
    NotText,
    /// More members than anybody needs.
    #[error("an object of more than {0} members")]
    TooMany(usize),
}

/// The kind of a JSON value, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the six kinds of RFC 8259")]
pub enum Kind {
    Array,
    Boolean,
    Null,
    Number,
    Object,
    String,
}

impl Kind {
    /// The kind of a value whose text is known to be valid JSON without leading space.
    #[must_use]
    pub fn of(value: &str) -> Self {
        match value.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Array => "an array",
            Self::Boolean => "a boolean",
            Self::Null => "null",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "a string",
        })
    }
}

/// So many members are compared with each other quickest; of more, which a client may send to keep us busy, each is
/// looked up.
const FEW: usize = 16;

/// The most members that an object of a request may have which Portolan itself reads: the envelope, `params`, `_meta`. Real
/// ones have a dozen, and each member costs us more memory than it costs whoever sends it.
pub const MOST_MEMBERS: usize = 1000;

/// A range of bytes in one particular text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Where `inner`, a slice of `outer`, stands in it.
    #[must_use]
    pub fn locate(outer: &str, inner: &str) -> Self {
        let start = (inner.as_ptr() as usize).saturating_sub(outer.as_ptr() as usize);
        Self { start, end: start + inner.len() }
    }

    /// The same range in a text of which this one's text is the part that begins at `offset`.
    #[must_use]
    pub fn shift(self, offset: usize) -> Self {
        Self { start: self.start + offset, end: self.end + offset }
    }

    /// How many bytes it covers.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// The empty range right before this one.
    #[must_use]
    pub fn before(self) -> Self {
        Self { start: self.start, end: self.start }
    }

    /// The part of `text` that this range covers; empty if it is not a range of that text.
    #[must_use]
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

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

/// The members of one object in their order. Values are not looked into, but they are checked to be valid JSON.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    text: &'a str,
    members: SmallVec<[Member<'a>; 8]>,
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
        let mut members = SmallVec::new();
        let mut full = false;
        let each = |member| {
            full = members.len() == most;
            if !full {
                members.push(member);
            }
            !full
        };
        match read_members(text, each) {
            Ok(()) => Ok(Self { text, members }),
            Err(_) if full => Err(JsonFault::TooMany(most)),
            Err(fault) => Err(fault),
        }
    }

    /// The value of the only member of that name.
    ///
    /// # Errors
    /// [`JsonFault::Duplicate`] when there are several.
    pub fn get(&self, name: &str) -> Result<Option<&'a str>, JsonFault> {
        Ok(self.find(name)?.map(|at| self.members.get(at).map_or("", |m| m.value)))
    }

    /// The index of the only member of that name.
    fn find(&self, name: &str) -> Result<Option<usize>, JsonFault> {
        let mut found = None;
        for (at, member) in self.members.iter().enumerate() {
            if member.name == name && found.replace(at).is_some() {
                return Err(JsonFault::Duplicate(name.to_owned()));
            }
        }
        Ok(found)
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
        let twice = |member: &Member<'a>| Err(JsonFault::Duplicate(member.name.clone().into_owned()));
        if self.members.len() > FEW {
            let mut seen = BTreeSet::new();
            return self.members.iter().find(|member| !seen.insert(&member.name)).map_or(Ok(()), twice);
        }
        let mut pairs = self.members.iter().enumerate();
        let second = pairs.find(|(at, member)| self.members.iter().take(*at).any(|m| m.name == member.name));
        second.map_or(Ok(()), |(_, member)| twice(member))
    }

    /// The members in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter()
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The text this was read from.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Where a value of this object stands in the text it was read from.
    #[must_use]
    pub fn span_of(&self, value: &str) -> Span {
        Span::locate(self.text, value)
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
        let starts: SmallVec<[usize; 8]> =
            self.members.iter().map(|m| self.span_of(m.raw_name).start).collect();
        let mut kept_before = false;
        for (at, member) in self.members.iter().enumerate() {
            if !goes(&member.name) {
                kept_before = true;
                continue;
            }
            let end = self.span_of(member.value).end;
            let span = if kept_before {
                // Takes the comma before it along.
                let before = at.checked_sub(1).and_then(|b| self.members.get(b));
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
        self.text.find('{').map_or(0, |at| at + 1)
    }
}

/// Goes over members until `each` has enough, which is a fault.
fn read_members<'a>(text: &'a str, each: impl FnMut(Member<'a>) -> bool) -> Result<(), JsonFault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    if let Err(error) = reader.deserialize_map(Members { each }) {
        return Err(fault(&error, text, "an object"));
    }
    reader.end().map_err(|e| JsonFault::Syntax(e.to_string()))
}

/// The elements of the array that `text` holds, each as its text.
///
/// # Errors
/// When `text` is not one JSON array.
pub fn array(text: &str) -> Result<Vec<&str>, JsonFault> {
    array_within(text, usize::MAX).map(|(elements, _)| elements)
}

/// The first `most` elements of the array that `text` holds, and whether there are more.
///
/// # Errors
/// When `text` is not one JSON array.
pub fn array_within(text: &str, most: usize) -> Result<(Vec<&str>, bool), JsonFault> {
    let (mut elements, mut more) = (Vec::new(), false);
    let mut reader = serde_json::Deserializer::from_str(text);
    if let Err(error) = reader.deserialize_seq(Elements { out: &mut elements, most, more: &mut more }) {
        return Err(fault(&error, text, "an array"));
    }
    reader.end().map_err(|e| JsonFault::Syntax(e.to_string()))?;
    Ok((elements, more))
}

/// The Unicode text of a JSON string.
///
/// # Errors
/// When `value` is not a string, or has an escape that is no Unicode text (a lone surrogate).
pub fn string(value: &str) -> Result<Cow<'_, str>, JsonFault> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if memchr2(b'\\', b'"', inner.as_bytes()).is_none() => Ok(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str::<String>(value)
            .map(Cow::Owned)
            .map_err(|_lone_surrogate| JsonFault::NotText),
        None => Err(JsonFault::Kind { expected: "a string", found: Kind::of(value) }),
    }
}

/// Whether a text stands in a JSON string as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
}

/// `text` as a JSON string with its quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    if is_plain(text) {
        let mut quoted = String::with_capacity(text.len() + 2);
        quoted.extend(["\"", text, "\""]);
        return quoted;
    }
    // Serializing a str cannot fail; an empty string literal would only ever be a bug of serde_json.
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

/// The value of a JSON boolean.
#[must_use]
pub fn boolean(value: &str) -> Option<bool> {
    match value {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// The value of a JSON number that is a whole number, however it is spelled (`42`, `42.0`, `4.2e1`), within ±2^63.
#[must_use]
pub fn integer(value: &str) -> Option<i64> {
    if let Ok(plain) = value.parse::<i64>() {
        return Some(plain);
    }
    let float = value.parse::<f64>().ok()?;
    // 2^53: past it neighbouring integers share one f64, and guessing one of them would change the value.
    let exact = float.is_finite() && float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
    exact.then_some(float as i64)
}

struct Members<F> {
    each: F,
}

impl<'de, F: FnMut(Member<'de>) -> bool> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            // A name that is no Unicode text (a lone surrogate) equals no name we know: it keeps its spelling.
            let meaning = string(name.get()).unwrap_or_else(|_| Cow::Borrowed(name.get()));
            let member = Member { raw_name: name.get(), name: meaning, value: value.get() };
            if !(self.each)(member) {
                return Err(A::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

struct Elements<'o, 'a> {
    out: &'o mut Vec<&'a str>,
    most: usize,
    more: &'o mut bool,
}

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while self.out.len() < self.most {
            let Some(value) = seq.next_element::<&'de RawValue>()? else { return Ok(()) };
            self.out.push(value.get());
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            *self.more = true;
        }
        Ok(())
    }
}

/// serde's "invalid type" says nothing a client can use when the text is valid JSON of another kind.
fn fault(error: &serde_json::Error, text: &str, expected: &'static str) -> JsonFault {
    if error.is_data() {
        JsonFault::Kind { expected, found: Kind::of(text.trim_start()) }
    } else {
        JsonFault::Syntax(error.to_string())
    }
}

#[cfg(test)]
mod tests;
