//! What is wrong with a configuration, where, and what would be right: as data, and as text for a person.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake, or one thing that is allowed and hardly meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the configuration cannot be used.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// Where in the file; nowhere when it could not be read at all.
    pub place: Option<Place>,
    /// Other places that have to do with it.
    pub labels: Vec<Label>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but it is hardly meant so.
    Warning,
}

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bytes that are meant.
    pub span: Range<usize>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The line's text, or what fits of it. Secrets are blotted out.
    excerpt: String,
    /// The characters of the excerpt to underline: how many come before, and how many there are.
    underline: (usize, usize),
}

/// What another place has to do with a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub place: Place,
    /// What it has to do with it.
    pub text: String,
}

impl Place {
    /// Finds the line and column of a span, and cuts out what there is to show. `hidden` is not shown.
    pub(crate) fn locate(text: &str, span: Range<usize>, hidden: &[Range<usize>]) -> Self {
        let start = floor(text, span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at);
        let end = floor(text, span.end.clamp(start, line_end));
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = text.get(line_start..start).unwrap_or_default().chars().count();
        let marked = text.get(start..end).unwrap_or_default().chars().count().max(1);

        let whole = text.get(line_start..line_end).unwrap_or_default();
        let length = whole.chars().count();
        let first = if length > WIDTH { column.saturating_sub(WIDTH / 3).min(length - WIDTH) } else { 0 };
        let shown = whole.char_indices().skip(first).take(WIDTH).map(|(at, c)| {
            if hidden.iter().any(|hidden| hidden.contains(&(line_start + at))) {
                '•'
            } else if c.is_control() {
                ' '
            } else {
                c
            }
        });
        let (before, after) = (first > 0, first + WIDTH < length);
        let mut excerpt: String = before.then_some('…').into_iter().chain(shown).collect();
        if after {
            excerpt.push('…');
        }
        excerpt.truncate(excerpt.trim_end().len());
        let marked = marked.min((first + WIDTH).saturating_sub(column)).max(1);
        Self {
            span,
            line,
            column: column + 1,
            excerpt,
            underline: (column - first + usize::from(before), marked),
        }
    }
}

/// The most characters of a line that are shown: a minified file is one line.
const WIDTH: usize = 120;

/// The nearest character boundary at or before a byte.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

impl Diagnostic {
    /// An error in another file than the configuration: its text, and line and column there, from 1.
    #[must_use]
    pub fn elsewhere(
        path: &Path,
        (text, at): (&str, Option<(usize, usize)>),
        message: String,
        help: Option<String>,
    ) -> Self {
        let place = at.map(|(line, column)| {
            let before = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
            let rest = text.get(before..).unwrap_or_default();
            let within =
                rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(offset, _)| offset);
            let start = before + within;
            Place::locate(text, start..start, &[])
        });
        let (severity, labels) = (Severity::Error, Vec::new());
        Self { severity, message, help, path: path.to_owned(), place, labels }
    }

    /// Where and what, in one line, for a log.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.path.display().to_string();
        if let Some(place) = &self.place {
            let _infallible = write!(line, ":{}:{}", place.line, place.column);
        }
        let _infallible = write!(line, ": {}: {}", self.severity, self.message);
        line
    }

    /// The whole text, with ANSI colours if asked for, ending in a line break.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let paint = if colour { Paint::ANSI } else { Paint::PLAIN };
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _infallible = self.write(&mut out, &paint);
        out
    }

    fn write(&self, out: &mut String, paint: &Paint) -> fmt::Result {
        let tint = match self.severity {
            Severity::Error => paint.error,
            Severity::Warning => paint.warning,
        };
        let Paint { bold, frame, help, off, .. } = *paint;
        write!(out, "{bold}{}", self.path.display())?;
        if let Some(place) = &self.place {
            write!(out, ":{}:{}", place.line, place.column)?;
        }
        writeln!(out, ": {off}{tint}{}{off}{bold}: {}{off}", self.severity, self.message)?;

        let places = self.place.iter().chain(self.labels.iter().map(|label| &label.place));
        let gutter = places.map(|place| place.line.to_string().len()).max().unwrap_or(1);
        if let Some(place) = &self.place {
            writeln!(out, "{frame}{:gutter$} |{off}", "")?;
            place.write(out, gutter, ('^', tint, ""), paint)?;
        }
        for label in &self.labels {
            writeln!(out, "{frame}{:gutter$} :{off}", "")?;
            label.place.write(out, gutter, ('-', frame, &label.text), paint)?;
        }
        if let Some(text) = &self.help {
            let mut lines = text.lines();
            writeln!(
                out,
                "{frame}{:gutter$} ={off} {help}help{off}: {}",
                "",
                lines.next().unwrap_or_default()
            )?;
            for line in lines {
                writeln!(out, "{}", format!("{:gutter$}         {line}", "").trim_end())?;
            }
        }
        Ok(())
    }
}

impl Place {
    fn write(
        &self,
        out: &mut String,
        gutter: usize,
        (mark, tint, text): (char, &str, &str),
        paint: &Paint,
    ) -> fmt::Result {
        let Paint { frame, off, .. } = *paint;
        let (before, marked) = self.underline;
        let marks: String = std::iter::repeat_n(mark, marked).collect();
        let excerpt = format!("{frame}{:gutter$} |{off} {}", self.line, self.excerpt);
        writeln!(out, "{}", excerpt.trim_end())?;
        let line = format!("{frame}{:gutter$} |{off} {:before$}{tint}{marks} {text}", "", "");
        writeln!(out, "{}{off}", line.trim_end())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostic {}

struct Paint {
    bold: &'static str,
    error: &'static str,
    warning: &'static str,
    frame: &'static str,
    help: &'static str,
    off: &'static str,
}

impl Paint {
    const PLAIN: Self = Self { bold: "", error: "", warning: "", frame: "", help: "", off: "" };
    const ANSI: Self = Self {
        bold: "\x1b[1m",
        error: "\x1b[1;31m",
        warning: "\x1b[1;33m",
        frame: "\x1b[34m",
        help: "\x1b[36m",
        off: "\x1b[0m",
    };
}
