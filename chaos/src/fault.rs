//! Why a run cannot be made. What goes wrong with Portolan is no fault but a finding of the judge.

use std::fmt;

/// A text that says what went wrong.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For `map_err`: what was being done when it happened.
    pub(crate) fn of<E: fmt::Display>(doing: &str) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{doing}: {error}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
