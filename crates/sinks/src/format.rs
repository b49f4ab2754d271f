//! What records look like elsewhere: their own JSON, OCSF events, or CEF.
//!
//! Whatever callers, servers and tools have chosen is in them. So each is one line without control characters, and nothing
//! that somebody else chose begins at a place that is ours.

use base::plan::feed::Format;

use self::out::ascii;
use self::record::Record;

mod cef;
mod json;
mod ocsf;
mod out;
pub(crate) mod record;

pub(crate) use self::json::in_parts;

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

/// A line of the ledger in a format, without a line break. Nothing if it is no record.
#[must_use]
pub fn write(format: Format, line: &str) -> Option<String> {
    Some(write_within(format, &Record::read(line)?, Room::Whole))
}

/// A record in a format, as far as there is room.
pub(crate) fn write_within(format: Format, record: &Record<'_>, room: Room) -> String {
    match format {
        Format::Json if room == Room::Whole => ascii(record.line),
        Format::Json => ascii(&json::without_payload(record)),
        Format::Ocsf => ocsf::write(record, room),
        Format::Cef => cef::write(record, room),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
