//! What the references of other clients' files stand for.

use super::spelling::{Reference, is_shouted};
use super::{Piece, Surroundings, Unset, is_name, with_default};
use crate::findings::Findings;
use crate::node::Span;

/// What editors replace in braces, and others leave as it is: it is no name of a variable that could be set.
const OF_EDITORS: &[&str] =
    &["cwd", "pathSeparator", "userHome", "workspaceFolder", "workspaceFolderBasename", "workspaceRoot"];

/// What a reference stands for. Nothing when the text is to be left as it is, which is said where it is hardly meant.
pub(super) fn piece(
    reference: &Reference<'_>,
    written: &str,
    span: Span,
    surroundings: &Surroundings,
    findings: &mut Findings<'_>,
) -> Option<Piece> {
    let spelling = surroundings.spelling;
    match reference {
        Reference::Escaped => Some(Piece::Literal("${".to_owned())),
        Reference::Braces(inside) if spelling.editor => editor(inside, span, surroundings, findings),
        Reference::Braces(inside) => {
            let (name, default) = with_default(inside, spelling.default);
            if spelling.braces && is_name(name) && !OF_EDITORS.contains(&name) {
                return Some(variable(name, default, span, surroundings));
            }
            not_replaced(written, inside, span, surroundings, findings);
            None
        }
        Reference::Bare(name) => {
            let unset = if is_shouted(name) {
                fault(name, surroundings)
            } else {
                Unset::AsWritten(written.to_owned())
            };
            Some(Piece::Variable { name: (*name).to_owned(), default: None, input: None, unset, span })
        }
        Reference::Curly(name) => Some(variable(name, None, span, surroundings)),
        Reference::File(path) => Some(Piece::File { path: (*path).to_owned(), tilde: true, span }),
        Reference::Double(inside) => match inside.strip_prefix("secrets.").filter(|name| is_name(name)) {
            Some(name) => Some(variable(name, None, span, surroundings)),
            None => {
                not_replaced(written, "", span, surroundings, findings);
                None
            }
        },
        Reference::Command => {
            findings
                .error(span, "Portolan runs no commands to read a configuration")
                .help("put what the command says into an environment variable, and write ${NAME}");
            None
        }
    }
}

fn variable(name: &str, default: Option<String>, span: Span, surroundings: &Surroundings) -> Piece {
    let unset = if surroundings.spelling.unset_is_empty { Unset::Empty } else { fault(name, surroundings) };
    Piece::Variable { name: name.to_owned(), default, input: None, unset, span }
}

fn fault(name: &str, surroundings: &Surroundings) -> Unset {
    Unset::Fault(surroundings.spelling.with_default(name))
}

/// Says that a text stays as it is, where somebody may have thought otherwise.
fn not_replaced(
    written: &str,
    inside: &str,
    span: Span,
    surroundings: &Surroundings,
    findings: &mut Findings<'_>,
) {
    let spelling = surroundings.spelling;
    let finding = findings
        .warning(span, format!("{} does not replace {written}, so it is left as it is", spelling.whose));
    let name = inside.strip_prefix("env:").unwrap_or(inside);
    let name = name.split_once(":-").map_or(name, |(name, _)| name);
    let name = if is_name(name) && !OF_EDITORS.contains(&name) { name } else { "NAME" };
    if let Some(right) = spelling.variable(name) {
        finding.help(format!("there, {right} stands for an environment variable"));
    }
}

/// What editors replace, and what may be meant in a file that may be anybody's.
fn editor(
    inside: &str,
    span: Span,
    surroundings: &Surroundings,
    findings: &mut Findings<'_>,
) -> Option<Piece> {
    let folder = || Piece::Literal(surroundings.folder.display().to_string());
    let base = || surroundings.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(path) = inside.strip_prefix("file:") {
        return Some(Piece::File { path: path.to_owned(), tilde: false, span });
    }
    if let Some(id) = inside.strip_prefix("input:") {
        if !surroundings.inputs.contains_key(id) {
            findings.warning(span, format!("the file's \"inputs\" have no {id:?}"));
        }
        return Some(Piece::Variable {
            name: input_variable(id),
            default: surroundings.inputs.get(id).cloned().flatten(),
            input: Some(id.to_owned()),
            unset: Unset::Fault(None),
            span,
        });
    }
    match inside {
        "cwd" | "workspaceFolder" | "workspaceRoot" => Some(folder()),
        "workspaceFolderBasename" => Some(Piece::Literal(base())),
        "userHome" => Some(variable("HOME", None, span, surroundings)),
        "pathSeparator" | "/" => Some(Piece::Literal("/".to_owned())),
        _ => editor_variable(inside, span, surroundings, findings),
    }
}

/// `${NAME}` and `${env:NAME}`, where either may be meant.
fn editor_variable(
    inside: &str,
    span: Span,
    surroundings: &Surroundings,
    findings: &mut Findings<'_>,
) -> Option<Piece> {
    let env = inside.strip_prefix("env:");
    let (name, default) = with_default(env.unwrap_or(inside), Some(":-"));
    if is_name(name) {
        let unset = fault(name, surroundings);
        return Some(Piece::Variable { name: name.to_owned(), default, input: None, unset, span });
    }
    if env.is_some() {
        findings
            .error(span, "this is no name of an environment variable")
            .help("write ${env:NAME}, or ${env:NAME:-default}");
        return Some(Piece::Literal(String::new()));
    }
    findings.warning(span, format!("Portolan does not know ${{{inside}}}, and leaves it as it is")).help(
        "it knows ${NAME}, ${NAME:-default}, ${env:NAME}, ${file:PATH}, ${input:ID} and ${workspaceFolder}",
    );
    None
}

/// Where the value of an input of VS Code is taken from.
fn input_variable(id: &str) -> String {
    let id: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("PORTOLAN_INPUT_{id}")
}
