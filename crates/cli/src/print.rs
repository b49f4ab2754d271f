//! The one place that writes to stdout and stderr. Stdout is for what was asked for, stderr for everything else.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use clap::ValueEnum;

use crate::fault::Fault;

/// Writes what was asked for.
///
/// # Errors
/// [`Fault::Unread`] when nobody reads it any more.
pub(crate) fn out(bytes: impl AsRef<[u8]>) -> Result<(), Fault> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Fault::Unread,
        _ => Fault::outside("cannot write the output", &error),
    })
}

/// Writes what is said beside it. That nobody reads it is nothing to be done about.
pub(crate) fn err(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// Whether a person looks at stdout.
pub(crate) fn out_is_seen() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person looks at stderr.
pub(crate) fn err_is_seen() -> bool {
    io::stderr().is_terminal()
}

/// Whether a person can be asked: they read stderr and type into stdin.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && err_is_seen()
}

/// Reads the line that a person types.
pub(crate) fn typed() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Text of a server as a terminal may be given it: without what moves the cursor, recolours or retitles.
pub(crate) fn safe_out(text: &str) -> Cow<'_, str> {
    if out_is_seen() { without_controls(text) } else { Cow::Borrowed(text) }
}

/// The same for stderr.
pub(crate) fn safe_err(text: &str) -> Cow<'_, str> {
    if err_is_seen() { without_controls(text) } else { Cow::Borrowed(text) }
}

fn without_controls(text: &str) -> Cow<'_, str> {
    let moves = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(moves) {
        Cow::Owned(text.chars().map(|c| if moves(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether there are colours (`--color`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colours {
    /// On a terminal, unless NO_COLOR is set; everywhere if CLICOLOR_FORCE is
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What the command line says of colours.
static COLOURS: OnceLock<Colours> = OnceLock::new();

/// Says once what the command line says of colours.
pub(crate) fn choose_colours(colours: Colours) {
    // Who says it a second time says the same.
    let _is_first = COLOURS.set(colours);
}

/// Whether there are colours where a person looks, or does not. Sources: <https://no-color.org>,
/// <https://bixense.com/clicolors>.
fn are_colours_wanted(seen: bool) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_zero = |name: &str| std::env::var_os(name).is_some_and(|value| value == "0");
    match COLOURS.get().unwrap_or(&Colours::Auto) {
        Colours::Always => true,
        Colours::Never => false,
        Colours::Auto if is_set("NO_COLOR") => false,
        Colours::Auto if is_set("CLICOLOR_FORCE") && !is_zero("CLICOLOR_FORCE") => true,
        Colours::Auto => seen && !is_zero("CLICOLOR"),
    }
}

/// ANSI colours, or nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    pub(crate) bold: &'static str,
    pub(crate) dim: &'static str,
    pub(crate) error: &'static str,
    pub(crate) good: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) off: &'static str,
}

impl Paint {
    pub(crate) const PLAIN: Self = Self { bold: "", dim: "", error: "", good: "", hint: "", off: "" };
    const ANSI: Self = Self {
        bold: "\x1b[1m",
        dim: "\x1b[2m",
        error: "\x1b[1;31m",
        good: "\x1b[32m",
        hint: "\x1b[36m",
        off: "\x1b[0m",
    };

    /// For stdout.
    pub(crate) fn stdout() -> Self {
        Self::on(out_is_seen())
    }

    /// For stderr.
    pub(crate) fn stderr() -> Self {
        Self::on(err_is_seen())
    }

    fn on(seen: bool) -> Self {
        if are_colours_wanted(seen) { Self::ANSI } else { Self::PLAIN }
    }

    /// Whether there is any colour.
    pub(crate) fn is_on(&self) -> bool {
        !self.off.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_write_to_the_terminal_by_its_texts() {
        assert_eq!(without_controls("a\x1b[2Jb\r\u{9b}c\n\td"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\n\td");
        assert!(matches!(without_controls("plain\n"), Cow::Borrowed(_)));
    }
}
