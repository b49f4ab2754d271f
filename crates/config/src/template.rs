//! Text with references in it: `Bearer ${env:TOKEN}`, `${file:secret.txt}`, and how other clients spell the like.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::findings::Findings;
use crate::node::{Node, Span};
use crate::outside::{INHERITED, Outside};
use crate::read::{Read, WrongKind};

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
        span: Span,
    },
    File {
        path: String,
        span: Span,
    },
}

/// Whose spelling of references is read.
pub(crate) enum Dialect<'d> {
    /// `${env:NAME}` and `${file:PATH}`; anything else is a mistake.
    Own,
    /// Also `${NAME}`, `${input:ID}` and the folders of editors; anything else is left as it is, as they do.
    Foreign(&'d Surroundings),
}

/// What references of other clients' files may name.
#[derive(Default)]
pub(crate) struct Surroundings {
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
        if let (Dialect::Foreign(_), Some(name)) = (dialect, text.strip_prefix('$'))
            && is_shouted(name)
        {
            return Self { pieces: vec![variable(name, place(0, text.len()))] };
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
                if matches!(dialect, Dialect::Own) {
                    findings
                        .error(place(start, text.len()), "the reference has no end")
                        .help("write ${env:NAME} or ${file:PATH}; for the characters themselves write $${");
                }
                done = start;
                break;
            };
            let end = start + 2 + length + 1;
            let inside = rest.get(..length).unwrap_or_default();
            match reference(inside, place(start, end), dialect, findings) {
                Some(piece) => template.pieces.push(piece),
                None => template.push_literal(text.get(start..end).unwrap_or_default()),
            }
            done = end;
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

fn variable(text: &str, span: Span) -> Piece {
    let (name, default) = match text.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (text, None),
    };
    Piece::Variable { name: name.to_owned(), default, input: None, span }
}

fn reference(inside: &str, span: Span, dialect: &Dialect<'_>, findings: &mut Findings<'_>) -> Option<Piece> {
    if let Some(name) = inside.strip_prefix("env:") {
        let piece = variable(name, span);
        if let Piece::Variable { name, .. } = &piece
            && !is_name(name)
        {
            findings
                .error(span, "this is no name of an environment variable")
                .help("write ${env:NAME}, or ${env:NAME:-default}");
            return Some(Piece::Literal(String::new()));
        }
        return Some(piece);
    }
    if let Some(path) = inside.strip_prefix("file:") {
        return Some(Piece::File { path: path.to_owned(), span });
    }
    match dialect {
        Dialect::Own => {
            let finding = findings.error(span, "only ${env:NAME} and ${file:PATH} can be put into a text");
            let (name, _) = inside.split_once(":-").unwrap_or((inside, ""));
            if is_name(name) {
                finding.help(format!("write ${{env:{inside}}}; for the characters themselves write $${{"));
            } else {
                finding.help("for the characters themselves write $${");
            }
            None
        }
        Dialect::Foreign(surroundings) => foreign(inside, span, surroundings, findings),
    }
}

fn foreign(
    inside: &str,
    span: Span,
    surroundings: &Surroundings,
    findings: &mut Findings<'_>,
) -> Option<Piece> {
    let folder = || Piece::Literal(surroundings.folder.display().to_string());
    let base = || surroundings.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(id) = inside.strip_prefix("input:") {
        if !surroundings.inputs.contains_key(id) {
            findings.warning(span, format!("the file's \"inputs\" have no {id:?}"));
        }
        return Some(Piece::Variable {
            name: input_variable(id),
            default: surroundings.inputs.get(id).cloned().flatten(),
            input: Some(id.to_owned()),
            span,
        });
    }
    match inside {
        "cwd" | "workspaceFolder" | "workspaceRoot" => Some(folder()),
        "workspaceFolderBasename" => Some(Piece::Literal(base())),
        "userHome" => Some(variable("HOME", span)),
        "pathSeparator" | "/" => Some(Piece::Literal("/".to_owned())),
        _ => {
            let piece = variable(inside, span);
            if matches!(&piece, Piece::Variable { name, .. } if is_name(name)) {
                return Some(piece);
            }
            findings
                .warning(span, format!("Portolan does not know ${{{inside}}}, and leaves it as it is"))
                .help("it knows ${NAME}, ${NAME:-default}, ${env:NAME}, ${file:PATH}, ${input:ID} and ${workspaceFolder}");
            None
        }
    }
}

/// Where the value of an input of VS Code is taken from.
fn input_variable(id: &str) -> String {
    let id: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("PORTOLAN_INPUT_{id}")
}

pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What is never meant as it stands: `$GITHUB_TOKEN`.
fn is_shouted(name: &str) -> bool {
    name.len() > 1 && is_name(name) && !name.contains(|c: char| c.is_ascii_lowercase())
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
            Piece::Variable { name, default, input, span } => {
                let value = outside.env(name);
                if value.as_deref() == Some("") && default.is_none() {
                    findings.warning(*span, format!("the environment variable {name} is empty"));
                }
                let value = value.filter(|value| !value.is_empty() || default.is_none());
                let value = value.or_else(|| default.clone());
                if value.is_none() {
                    unset(name, input.as_deref(), *span, findings);
                }
                value
            }
            Piece::File { path, span } => outside.secret(path, *span, findings),
        };
        text = text.zip(part).map(|(text, part)| text + &part);
    }
    text
}

fn unset(name: &str, input: Option<&str>, span: Span, findings: &mut Findings<'_>) {
    match input {
        Some(id) => findings
            .error(span, format!("nobody can be asked for the input {id:?} here"))
            .help(format!("set the environment variable {name}")),
        None => findings
            .error(span, format!("the environment variable {name} is not set"))
            .help(format!("set it; if it may be missing, write ${{env:{name}:-default}}")),
    };
}
