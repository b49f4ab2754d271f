//! Looking into JSON text without taking it apart.
//!
//! A gateway may change only what it owns, so nothing here builds a tree: an [`Object`] is a list of borrowed
//! slices, and a [`Patch`] replaces a few of them and copies the rest byte for byte. Number spelling, member order,
//! escapes and unknown members survive because nobody touches them.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;

use self::scan::Scanner;

mod fault;
mod layout;
mod object;
mod outline;
mod patch;
mod scan;
mod spelling;
mod walk;

pub use self::layout::laid_out;
pub use self::object::{Member, Object};
pub(crate) use self::outline::Outline;
pub use self::patch::{LONG, Patch};
pub use self::walk::{Step, walk};

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
    #[inline]
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
    #[inline]
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
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
    let each = |at: Span| {
        if elements.len() < most {
            elements.push(at.of(text));
        } else {
            more = true;
        }
    };
    let mut scanner = Scanner::new(text);
    match scan::elements(&mut scanner, each).filter(|()| scanner.ends()) {
        Some(()) => Ok((elements, more)),
        None => Err(fault::of_array(text)),
    }
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

#[cfg(test)]
mod tests;
