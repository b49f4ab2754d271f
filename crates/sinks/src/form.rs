//! How records are written for those who take them.

use std::time::SystemTime;

use base::moment;
use base::plan::feed::Format;

use crate::format;

/// How records are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// Writes a line of the ledger. Nothing where it cannot be written so: then it goes as it is.
    write: fn(&str) -> Option<String>,
    /// Whether that is an object of JSON.
    pub(crate) is_json: bool,
}

impl Form {
    /// As records stand in the ledger, which is one line of JSON without control characters.
    pub(crate) const JSON: Self = Self { write: |line| Some(line.to_owned()), is_json: true };

    pub(crate) fn of(format: Format) -> Self {
        match format {
            Format::Json => Self::JSON,
            Format::Ocsf => Self { write: |line| format::write(Format::Ocsf, line), is_json: true },
            Format::Cef => Self { write: |line| format::write(Format::Cef, line), is_json: false },
        }
    }

    pub(crate) fn write(self, line: &str) -> String {
        (self.write)(line).unwrap_or_else(|| line.to_owned())
    }
}

/// A time of a record in microseconds since 1970.
pub(crate) fn micros(time: &str) -> Option<u64> {
    let seconds = moment::read(time)?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let fraction: u64 = time.get(20..26)?.parse().ok()?;
    Some(seconds * 1_000_000 + fraction)
}
