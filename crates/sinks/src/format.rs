//! What records look like elsewhere: their own JSON, OCSF events, or CEF.
//!
//! Whatever callers, servers and tools have chosen is in them. So each is one line without control characters, and nothing
//! that somebody else chose begins at a place that is ours.

use self::out::ascii;
use self::record::Record;

mod cef;
mod json;
mod ocsf;
mod out;
pub(crate) mod record;

pub(crate) use self::json::in_parts;

/// What records are written as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// As they stand in the ledger, in ASCII.
    #[default]
    Json,
    /// As events of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// In the Common Event Format.
    Cef,
}

/// How much of a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// All.
    Whole,
    /// All but the texts of arguments and results.
    NoPayload,
    /// What fits a small message, with all texts cut.
    Little,
}

impl Format {
    /// A line of the ledger in this format, without a line break. Nothing if it is no record.
    #[must_use]
    pub fn write(self, line: &str) -> Option<String> {
        Some(self.write_within(&Record::read(line)?, Room::Whole))
    }

    /// A record in this format, as far as there is room.
    pub(crate) fn write_within(self, record: &Record<'_>, room: Room) -> String {
        match self {
            Self::Json if room == Room::Whole => ascii(record.line),
            Self::Json => ascii(&json::without_payload(record)),
            Self::Ocsf => ocsf::write(record, room),
            Self::Cef => cef::write(record, room),
        }
    }

    /// The least bytes in that every record fits by this, if all that can be left out is.
    #[must_use]
    pub fn least(self) -> usize {
        match self {
            Self::Json => 0,
            Self::Cef => 2048,
            Self::Ocsf => 6144,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
