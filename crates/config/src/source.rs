//! The text that is read, and where it is from.

use std::fmt;
use std::path::PathBuf;

/// A configuration file's text.
pub struct Source {
    /// Its path, for people; `-` is standard input. Relative paths in the file begin at its directory.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold secrets.
        f.debug_struct("Source")
            .field("path", &self.path)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}
