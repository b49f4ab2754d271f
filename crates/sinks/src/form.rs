//! How records are written for those who take them.

use base::plan::feed::Format;

use crate::format;

/// How records are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form(Format);

impl Form {
    pub(crate) fn of(format: Format) -> Self {
        Self(format)
    }

    /// Whether what is written is an object of JSON.
    pub(crate) fn is_json(self) -> bool {
        self.0 != Format::Cef
    }

    /// Writes a line of the ledger. What cannot be written so goes as it is.
    pub(crate) fn write(self, line: &str) -> String {
        let written = match self.0 {
            // It is one line of JSON without control characters already.
            Format::Json => None,
            other => format::write(other, line),
        };
        written.unwrap_or_else(|| line.to_owned())
    }
}
