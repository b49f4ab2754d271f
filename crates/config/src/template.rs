//! Text with references in it: `Bearer ${env:TOKEN}`, `${file:secret.txt}`, and how other clients spell the like.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::findings::Findings;
use crate::node::{Node, Span};
use crate::outside::{INHERITED, Outside};
use crate::read::{Read, WrongKind};

mod foreign;
mod own;
pub(crate) mod spelling;

use spelling::Spelling;

/// Text, and what is to be put into it.
#[derive(Clone, Default)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone)]
enum Piece {
    Literal(String),
    /// A variable that was read from another file.
    Elsewhere {
        name: String,
        value: String,
    },
    /// An environment variable; for which input of VS Code, if for one.
    Variable {
        name: String,
        default: Option<String>,
        input: Option<String>,
        unset: Unset,
        span: Span,
    },
    /// The content of a file; whether `~/` at its start is the home directory.
    File {
        path: String,
        tilde: bool,
        span: Span,
    },
}

/// What is to be done about a variable that is not set.
#[derive(Clone)]
enum Unset {
    /// It is a mistake; how one writes that it may be missing, if one can.
    Fault(Option<String>),
    /// It counts as empty.
    Empty,
    /// It was none: the text stays as it is written.
    AsWritten(String),
}

/// Whose spelling of references is read.
pub(crate) enum Dialect<'d> {
    /// `${env:NAME}` and `${file:PATH}`; anything else is a mistake.
    Own,
    /// What another client replaces; anything else is left as it is, as that client does.
    Foreign(&'d Surroundings),
}

/// What references of other clients' files may name.
pub(crate) struct Surroundings {
    /// How they are written.
    pub(crate) spelling: &'static Spelling,
    /// The inputs that VS Code asks for, and their defaults.
    pub(crate) inputs: BTreeMap<String, Option<String>>,
    /// The folder that an editor would have open.
    pub(crate) folder: PathBuf,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its literal parts may be secrets.
        f.debug_struct("Template").field("pieces", &self.pieces.len()).finish_non_exhaustive()
    }
}

impl Read for Template {
    const EXPECTED: &'static str = "text in quotes";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let text = node.text().ok_or(WrongKind)?;
        Ok(Some(Self::parse(text, node.span, &Dialect::Own, findings)))
    }
}

impl Template {
    /// Text without references.
    pub(crate) fn literal(text: &str) -> Self {
        Self { pieces: vec![Piece::Literal(text.to_owned())] }
    }

    /// The value of a variable, with something before it.
    pub(crate) fn of_variable(before: &str, name: &str, span: Span) -> Self {
        let name = name.to_owned();
        let variable = Piece::Variable { name, default: None, input: None, unset: Unset::Fault(None), span };
        let mut template = Self::default();
        template.push_literal(before);
        template.pieces.push(variable);
        template
    }

    /// The value of a variable that does not stand in this file.
    pub(crate) fn from_elsewhere(name: String, value: String) -> Self {
        Self { pieces: vec![Piece::Elsewhere { name, value }] }
    }

    /// Finds the references in a text that stands at `span` in the file.
    pub(crate) fn parse(text: &str, span: Span, dialect: &Dialect<'_>, findings: &mut Findings<'_>) -> Self {
        // Where the text has no escapes, a reference can be pointed at; otherwise at the whole text.
        let raw = findings.source().text.get(span.range()).unwrap_or_default();
        let base = raw.find(text).map(|at| span.start + at);
        let place = |from: usize, to: usize| match base {
            Some(base) => Span { start: base + from, end: base + to },
            None => span,
        };
        if let Dialect::Foreign(surroundings) = dialect {
            return Self::parse_foreign(text, &place, surroundings, findings);
        }
        let mut template = Self::default();
        let mut done = 0;
        while let Some(start) = text.get(done..).and_then(|rest| rest.find("${")).map(|at| done + at) {
            let before = text.get(done..start).unwrap_or_default();
            let rest = text.get(start + 2..).unwrap_or_default();
            if let Some(before) = before.strip_suffix('$') {
                template.push_literal(before);
                template.push_literal("${");
                done = start + 2;
                continue;
            }
            template.push_literal(before);
            let Some(length) = rest.find('}') else {
                findings
                    .error(place(start, text.len()), "the reference has no end")
                    .help("write ${env:NAME} or ${file:PATH}; for the characters themselves write $${");
                done = start;
                break;
            };
            let end = start + 2 + length + 1;
            let inside = rest.get(..length).unwrap_or_default();
            match reference(inside, place(start, end), findings) {
                Some(piece) => template.pieces.push(piece),
                None => template.push_literal(text.get(start..end).unwrap_or_default()),
            }
            done = end;
        }
        template.push_literal(text.get(done..).unwrap_or_default());
        template
    }

    /// The same in the spelling of another client.
    fn parse_foreign(
        text: &str,
        place: &dyn Fn(usize, usize) -> Span,
        surroundings: &Surroundings,
        findings: &mut Findings<'_>,
    ) -> Self {
        let mut template = Self::default();
        let (mut done, mut at) = (0, 0);
        while let Some(start) = text.get(at..).and_then(|rest| rest.find(['$', '{'])).map(|found| at + found)
        {
            let rest = text.get(start..).unwrap_or_default();
            let Some((reference, length)) = surroundings.spelling.find(rest, start == 0) else {
                at = start + 1;
                continue;
            };
            let (end, span) = (start + length, place(start, start + length));
            let written = text.get(start..end).unwrap_or_default();
            template.push_literal(text.get(done..start).unwrap_or_default());
            match foreign::piece(&reference, written, span, surroundings, findings) {
                Some(piece) => template.pieces.push(piece),
                None => template.push_literal(written),
            }
            (done, at) = (end, end);
        }
        template.push_literal(text.get(done..).unwrap_or_default());
        template
    }

    fn push_literal(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Literal(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Literal(text.to_owned())),
        }
    }

    /// The text, if nothing is to be put into it.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

fn reference(inside: &str, span: Span, findings: &mut Findings<'_>) -> Option<Piece> {
    if let Some(path) = inside.strip_prefix("file:") {
        return Some(Piece::File { path: path.to_owned(), tilde: false, span });
    }
    let Some(variable) = inside.strip_prefix("env:") else {
        let finding = findings.error(span, "only ${env:NAME} and ${file:PATH} can be put into a text");
        let (name, _) = inside.split_once(":-").unwrap_or((inside, ""));
        if is_name(name) {
            finding.help(format!("write ${{env:{inside}}}; for the characters themselves write $${{"));
        } else {
            finding.help("for the characters themselves write $${");
        }
        return None;
    };
    let (name, default) = with_default(variable, Some(":-"));
    if !is_name(name) {
        findings
            .error(span, "this is no name of an environment variable")
            .help("write ${env:NAME}, or ${env:NAME:-default}");
        return Some(Piece::Literal(String::new()));
    }
    let unset = Unset::Fault(Some(format!("${{env:{name}:-default}}")));
    Some(Piece::Variable { name: name.to_owned(), default, input: None, unset, span })
}

/// A name, and the default that may follow it.
fn with_default<'t>(text: &'t str, between: Option<&str>) -> (&'t str, Option<String>) {
    match between.and_then(|between| text.split_once(between)) {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (text, None),
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Puts in what is referred to. Nothing when that is not to be had, which is then said. Variables of the environment are from
/// then on secrets.
pub(crate) fn resolve(
    template: &Template,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<String> {
    for piece in &template.pieces {
        if let Piece::Variable { name, input, .. } = piece
            && let Some(value) = outside.env(name).filter(|_| !INHERITED.contains(&name.as_str()))
        {
            let shown = match input {
                Some(id) => format!("${{input:{id}}}"),
                None => reference_to(name),
            };
            outside.secrets.add(&value, &shown);
        }
    }
    resolve_open(template, outside, findings)
}

/// How a text refers to a variable of the environment.
pub(crate) fn reference_to(name: &str) -> String {
    format!("${{env:{name}}}")
}

/// The same for what is no secret whoever names it: an address, a path.
pub(crate) fn resolve_open(
    template: &Template,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<String> {
    let mut text = Some(String::new());
    for piece in &template.pieces {
        let part = match piece {
            Piece::Literal(part) => Some(part.clone()),
            Piece::Elsewhere { name, value } => {
                if !INHERITED.contains(&name.as_str()) {
                    outside.secrets.add(value, &format!("${{envFile:{name}}}"));
                }
                Some(value.clone())
            }
            Piece::Variable { name, default, input, unset, span } => {
                let value = outside.env(name);
                if value.as_deref() == Some("") && default.is_none() {
                    findings.warning(*span, format!("the environment variable {name} is empty"));
                }
                let value = value.filter(|value| !value.is_empty() || default.is_none());
                let value = value.or_else(|| default.clone());
                value.or_else(|| unset.instead_of(name, input.as_deref(), *span, findings))
            }
            Piece::File { path, tilde, span } => {
                let home = path.strip_prefix("~/").filter(|_| *tilde).zip(outside.env("HOME"));
                let path = home.map_or_else(|| path.clone(), |(rest, home)| format!("{home}/{rest}"));
                outside.secret(&path, *span, findings)
            }
        };
        text = text.zip(part).map(|(text, part)| text + &part);
    }
    text
}

impl Unset {
    /// What stands in the place of a variable that is not set.
    fn instead_of(
        &self,
        name: &str,
        input: Option<&str>,
        span: Span,
        findings: &mut Findings<'_>,
    ) -> Option<String> {
        match (self, input) {
            (Self::AsWritten(text), _) => Some(text.clone()),
            (Self::Empty, _) => {
                findings.warning(
                    span,
                    format!("the environment variable {name} is not set, and counts as empty here"),
                );
                Some(String::new())
            }
            (Self::Fault(_), Some(id)) => {
                findings
                    .unset(span, format!("nobody can be asked for the input {id:?} here"))
                    .help(format!("set the environment variable {name}"));
                None
            }
            (Self::Fault(or_default), None) => {
                let help = match or_default {
                    Some(text) => format!("set it; if it may be missing, write {text}"),
                    None => "set it where Portolan is started".to_owned(),
                };
                findings.unset(span, format!("the environment variable {name} is not set")).help(help);
                None
            }
        }
    }
}
