//! One SQL text for both databases, and the values that go in and out of it.
//!
//! Every operation is a single statement, so that it is done whole or not at all without a transaction, and may share a
//! connection with others. `{now}` stands for the time of the database in milliseconds since 1970: the machines of
//! replicas may disagree about the time, their database does not. Parameters are `$1`, `$2` ….

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::fault::StoreFault;

/// Which database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The text as this database reads it.
    pub(crate) fn spell(self, text: &str) -> String {
        match self {
            Self::Sqlite => text
                .replace("{now}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)")
                .replace("{bytes}", "BLOB")
                .replace("{integer}", "INTEGER")
                .replace("{strict}", "STRICT")
                .replace('$', "?"),
            Self::Postgres => text
                .replace("{now}", "CAST(floor(extract(epoch from statement_timestamp()) * 1000) AS BIGINT)")
                .replace("{bytes}", "BYTEA")
                .replace("{integer}", "BIGINT")
                .replace("{strict}", ""),
        }
    }
}

/// Whether a statement changes nothing.
pub(crate) fn is_read(text: &str) -> bool {
    text.trim_start().starts_with("SELECT")
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&[u8]> for Cell {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl ToSql for Cell {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) => value.to_sql_checked(kind, out),
            Self::Text(value) => value.to_sql_checked(kind, out),
            Self::Bytes(value) => value.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each kind of value checks for itself.
        true
    }

    to_sql_checked!();
}

/// A row of an answer. Its values are taken from left to right.
#[derive(Debug)]
pub(crate) struct Row(pub(crate) std::vec::IntoIter<Cell>);

impl Row {
    pub(crate) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    pub(crate) fn integer(&mut self) -> Result<i64, StoreFault> {
        match self.0.next() {
            Some(Cell::Integer(value)) => Ok(value),
            other => Err(unexpected("an integer", other.as_ref())),
        }
    }

    /// 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, StoreFault> {
        Ok(self.integer()? != 0)
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreFault> {
        match self.0.next() {
            Some(Cell::Text(value)) => Ok(value),
            other => Err(unexpected("a text", other.as_ref())),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, StoreFault> {
        match self.0.next() {
            Some(Cell::Bytes(value)) => Ok(value),
            other => Err(unexpected("bytes", other.as_ref())),
        }
    }
}

fn unexpected(what: &str, found: Option<&Cell>) -> StoreFault {
    let found = match found {
        None => "nothing",
        Some(Cell::Null) => "null",
        Some(Cell::Integer(_)) => "an integer",
        Some(Cell::Text(_)) => "a text",
        Some(Cell::Bytes(_)) => "bytes",
    };
    StoreFault::Broken(format!("a row has {found} where {what} must be"))
}

/// The parameters of a statement.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Cell::from($value)),*] };
}
pub(crate) use cells;
