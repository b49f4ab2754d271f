//! Collects what is found while a file is read and checked; nothing stops at the first mistake.

use std::path::Path;

use base::masks::Masks;

use crate::diagnostic::{Diagnostic, Label, Place, Severity};
use crate::node::Span;
use crate::source::Source;

/// Everything found so far in one file.
pub(crate) struct Findings<'a> {
    source: &'a Source,
    found: Vec<Finding>,
    /// The entry of another client's file that is being looked at.
    entry: Option<String>,
    /// Whether variables need not be set now.
    later: bool,
}

/// One mistake, its place not yet looked up.
pub(crate) struct Finding {
    severity: Severity,
    span: Option<Span>,
    message: String,
    help: Option<String>,
    labels: Vec<(Span, String)>,
    /// The entry of another client's file that it is about, and that may be left out for it.
    entry: Option<String>,
}

impl Finding {
    /// Says what would be right.
    pub(crate) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// Points at another place.
    pub(crate) fn label(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.labels.push((span, text.into()));
        self
    }
}

impl<'a> Findings<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, found: Vec::new(), entry: None, later: false }
    }

    /// The file that is read.
    pub(crate) fn source(&self) -> &'a Source {
        self.source
    }

    /// Something with which the configuration cannot be used.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Error, Some(span), message.into())
    }

    /// Something that is hardly meant so.
    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Warning, Some(span), message.into())
    }

    /// A variable that is not set: an error, unless it can be set later.
    pub(crate) fn unset(&mut self, span: Span, message: String) -> &mut Finding {
        let severity = if self.later { Severity::Warning } else { Severity::Error };
        self.push(severity, Some(span), message)
    }

    /// From here on, variables may be set later.
    pub(crate) fn allow_unset(&mut self) {
        self.later = true;
    }

    /// How much was found so far.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// Forgets the warnings that came after so many findings.
    pub(crate) fn forget_warnings_after(&mut self, count: usize) {
        let mut index = 0;
        self.found.retain(|finding| {
            index += 1;
            index <= count || finding.severity == Severity::Error
        });
    }

    /// An error of the file as a whole.
    pub(crate) fn whole(&mut self, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Error, None, message.into())
    }

    /// Says this of the file as a whole, and nothing else.
    pub(crate) fn only(&mut self, message: impl Into<String>) -> &mut Finding {
        self.found.clear();
        self.whole(message)
    }

    /// Whether the configuration cannot be used, whatever is left out of it.
    pub(crate) fn failed(&self) -> bool {
        self.found.iter().any(|finding| finding.severity == Severity::Error && finding.entry.is_none())
    }

    /// From here on, until [`Self::end_entry`], everything is about one entry, which may be left out.
    pub(crate) fn begin_entry(&mut self, name: &str) {
        self.entry = Some(name.to_owned());
    }

    /// What is found from here on is about the whole file again.
    pub(crate) fn end_entry(&mut self) {
        self.entry = None;
    }

    /// What was found in this part of the file is about that entry.
    pub(crate) fn assign(&mut self, part: Span, name: &str) {
        let is_in = |span: Span| part.start <= span.start && span.end <= part.end;
        for finding in self.found.iter_mut().filter(|finding| finding.span.is_some_and(is_in)) {
            finding.entry = Some(name.to_owned());
        }
    }

    /// What was found at a word in this part of the file is about the entry of that name.
    pub(crate) fn assign_word(&mut self, part: Span, name: &str) {
        let text = self.source.text.as_str();
        let is_word = |span: Span| {
            part.start <= span.start
                && span.end <= part.end
                && text.get(span.range()).is_some_and(|word| word.trim_matches(['"', '\'']) == name)
        };
        let free = self.found.iter_mut().filter(|finding| finding.entry.is_none());
        for finding in free.filter(|finding| finding.span.is_some_and(is_word)) {
            finding.entry = Some(name.to_owned());
        }
    }

    /// Why an entry cannot be used, if it cannot.
    pub(crate) fn fault_of(&self, name: &str) -> Option<&str> {
        let is_fault = |finding: &&Finding| {
            finding.severity == Severity::Error && finding.entry.as_deref() == Some(name)
        };
        self.found.iter().find(is_fault).map(|finding| finding.message.as_str())
    }

    /// An entry is not wanted, so nothing about it need be right.
    pub(crate) fn forgive(&mut self, name: &str) {
        self.found.retain(|finding| finding.entry.as_deref() != Some(name));
    }

    /// Leaves out the entries that cannot be used: what is wrong with them is then no reason to refuse the rest. Each is given
    /// with its first fault.
    pub(crate) fn leave_out(&mut self) -> Vec<(String, String)> {
        let mut left_out: Vec<(String, String)> = Vec::new();
        for finding in self.found.iter_mut().filter(|finding| finding.severity == Severity::Error) {
            let Some(name) = finding.entry.take() else { continue };
            let message = std::mem::take(&mut finding.message);
            finding.severity = Severity::Warning;
            finding.message = format!("{name:?} is left out: {message}");
            if !left_out.iter().any(|(known, _)| *known == name) {
                left_out.push((name, message));
            }
        }
        left_out
    }

    /// Keeps what is wrong with entries as reasons to refuse the file.
    pub(crate) fn keep_all(&mut self) {
        for finding in &mut self.found {
            finding.entry = None;
        }
    }

    fn push(&mut self, severity: Severity, span: Option<Span>, message: String) -> &mut Finding {
        let entry = self.entry.clone();
        self.found.push(Finding { severity, span, message, help: None, labels: Vec::new(), entry });
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// The diagnostics, in the order of the file. `hidden` is shown to nobody, nor what `masks` hide.
    pub(crate) fn finish(mut self, path: &Path, hidden: &[Span], masks: &Masks) -> Vec<Diagnostic> {
        let text = self.source.text.as_str();
        let hidden: Vec<_> = hidden.iter().map(|span| span.range()).collect();
        let locate = |span: Span| Place::locate(text, span.range(), &hidden);
        self.found.sort_by_key(|finding| finding.span.map(|span| span.start));
        let masked = |text: &str| masks.mask(text).into_owned();
        let diagnostic = |finding: Finding| Diagnostic {
            severity: finding.severity,
            message: masked(&finding.message),
            help: finding.help.as_deref().map(masked),
            path: path.to_owned(),
            place: finding.span.map(locate),
            labels: finding
                .labels
                .into_iter()
                .map(|(span, text)| Label { place: locate(span), text: masked(&text) })
                .collect(),
        };
        self.found.into_iter().map(diagnostic).collect()
    }
}

/// Names in a sentence: `"a", "b" and "c"`.
pub(crate) fn quoted<'n>(names: impl IntoIterator<Item = &'n str>, last: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("{name:?}")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [init @ .., end] => format!("{} {last} {end}", init.join(", ")),
    }
}
