//! A parsed file, TOML, JSON or YAML, as one tree in which each value knows its place.

use std::ops::Range;

/// Bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The place of nothing in particular.
pub(crate) const NOWHERE: Span = Span { start: 0, end: 0 };

/// Something, and where it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A value of the file.
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a value is. No `Debug`: texts may be secrets.
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// A whole number; those that do not fit are at its limits.
    Whole(i64),
    /// Any other number.
    Fraction(f64),
    /// A date or time of TOML.
    Date,
    /// What stands for another value in YAML. It is not followed.
    Alias,
    Text(String),
    List(Vec<Node>),
    Table(Vec<Member>),
}

/// A member of a table. Tables hold them in the order of the file.
pub(crate) struct Member {
    pub(crate) key: At<String>,
    pub(crate) value: Node,
}

impl Span {
    pub(crate) fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl Value {
    /// What a person calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "true or false",
            Self::Whole(_) => "a whole number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Date => "a date",
            Self::Alias => "an alias, which is not followed",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// The members, if it is a table.
    pub(crate) fn members(&self) -> Option<&[Member]> {
        if let Value::Table(members) = &self.value { Some(members) } else { None }
    }

    /// A member's value, if it is a table that has it.
    pub(crate) fn member(&self, key: &str) -> Option<&Member> {
        self.members()?.iter().find(|member| member.key.value == key)
    }

    /// The values, if it is a list.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// Whether two values are the same, wherever they stand.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Boolean(a), Value::Boolean(b)) => a == b,
            (Value::Whole(a), Value::Whole(b)) => a == b,
            (Value::Fraction(a), Value::Fraction(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says_the_same(b))
            }
            (Value::Table(a), Value::Table(b)) => {
                let same = |member: &Member| {
                    other
                        .member(&member.key.value)
                        .is_some_and(|theirs| theirs.value.says_the_same(&member.value))
                };
                a.len() == b.len() && a.iter().all(same)
            }
            _ => false,
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }
}
