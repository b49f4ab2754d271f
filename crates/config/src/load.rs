//! From a path to a plan and everything that is wrong.

use std::path::{Path, PathBuf};

use base::masks::Masks;
use base::plan::{LeftOut, Plan};

use crate::diagnostic::Diagnostic;
use crate::findings::Findings;
use crate::lower::{Lowering, Theirs};
use crate::node::At;
use crate::outside::{self, Environment, Inherit, Lookup, Outside};
use crate::source::Source;
use crate::syntax::Syntax;
use crate::{foreign, secret, syntax};

/// What came of reading a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The plan, unless there is an error.
    pub plan: Option<Plan>,
    /// Everything that is wrong, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that it depends on, the configuration first: when one changes, it is to be read again.
    pub files: Vec<PathBuf>,
}

/// Reads and checks a configuration file; `-` is standard input. `env` looks up environment variables.
#[must_use]
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_with(path, &Lookup(env), &Inherit::default())
}

/// Reads and checks a configuration file; `-` is standard input.
///
/// What a file is, is told by its name (`.toml`, `.json`, `.jsonc`, `.yaml`, `.yml`) or else by how it begins.
#[must_use]
pub fn load_with(path: &Path, env: &dyn Environment, inherit: &Inherit) -> Loaded {
    let from_stdin = path == Path::new("-");
    let read =
        if from_stdin { outside::bounded_text(std::io::stdin().lock()) } else { outside::read_text(path) };
    match read {
        Ok(text) => load_text_with(Source { path: path.to_owned(), text }, env, inherit),
        Err(error) => {
            let nothing = Source { path: path.to_owned(), text: String::new() };
            let mut findings = Findings::new(&nothing);
            let finding = findings.whole(format!("cannot be read: {}", outside::reason(&error)));
            if let Some(help) = instead_of_directory(path) {
                finding.help(help);
            }
            let diagnostics = findings.finish(path, &[], &Masks::default());
            Loaded { plan: None, diagnostics, files: files(path, Vec::new()) }
        }
    }
}

/// Checks the text of a configuration file. `env` looks up environment variables.
#[must_use]
pub fn load_text(source: Source, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_text_with(source, &Lookup(env), &Inherit::default())
}

/// Checks the text of a configuration file.
#[must_use]
pub fn load_text_with(mut source: Source, env: &dyn Environment, inherit: &Inherit) -> Loaded {
    if let Some(text) = source.text.strip_prefix('\u{feff}') {
        source.text = text.to_owned();
    }
    let mut findings = Findings::new(&source);
    let mut outside = Outside::new(directory(&source.path), env);
    let syntax = Syntax::of(&source);
    let root = syntax::parse(syntax, &mut findings);
    if findings.failed()
        && let Some(other) = syntax::meant(&source, syntax)
    {
        let (is, says, ending) = (other.name(), syntax.name(), other.ending());
        findings
            .only(format!("this is {is}, and is read as {says} for the file's name"))
            .help(format!("let the name end in {ending}"));
    }
    let is_foreign = syntax != Syntax::Toml || foreign::is_foreign(&root);
    if is_foreign {
        foreign::assign(&root, &mut findings);
    }
    let mut hidden = secret::hidden(&root, &source.text);
    let mut plan = None;
    if findings.failed() {
        // What is missing from a broken file may stand right behind the break: nothing more is said of it.
        hidden.extend(secret::hidden_in_lines(&source.text));
    } else if is_foreign {
        if let Some((config, client)) = foreign::read(&root, syntax, &mut findings, &mut outside) {
            let theirs = Some(Theirs {
                spelling: client.spelling,
                syntax: client.syntax,
                lists: client.starts_lists(),
            });
            plan = Some(
                Lowering { findings: &mut findings, outside: &mut outside, theirs, inherit: inherit.clone() }
                    .config(&config),
            );
        }
    } else if let Some(At { value: config, .. }) = At::read(&root, &mut findings) {
        plan = Some(
            Lowering {
                findings: &mut findings,
                outside: &mut outside,
                theirs: None,
                inherit: inherit.clone(),
            }
            .config(&config),
        );
    }
    let usable = plan.as_ref().is_some_and(|plan: &Plan| !plan.upstreams.is_empty());
    let left_out = if usable && !findings.failed() { findings.leave_out() } else { Vec::new() };
    findings.keep_all();
    let mut plan = plan.filter(|_| !findings.failed());
    let masks = outside.secrets.masks();
    if let Some(plan) = &mut plan {
        let masked = |(name, why): (String, String)| LeftOut { name, why: masks.mask(&why).into_owned() };
        plan.left_out = left_out.into_iter().map(masked).collect();
    }
    for upstream in plan.iter_mut().flat_map(|plan| &mut plan.upstreams) {
        // What one server was given, another may have got from it.
        upstream.masks = masks.clone();
    }
    let shown = if source.path == Path::new("-") { Path::new("<stdin>") } else { &source.path };
    let diagnostics = findings.finish(shown, &hidden, &masks);
    Loaded { plan, diagnostics, files: files(&source.path, outside.into_files()) }
}

/// The files that a directory may be named for.
const CANDIDATES: &[&str] = &[
    "portolan.toml",
    "mcp.json",
    ".mcp.json",
    ".vscode/mcp.json",
    ".cursor/mcp.json",
    ".gemini/settings.json",
    "claude_desktop_config.json",
    "config.toml",
    "config.yaml",
    "opencode.json",
    "settings.json",
];

/// The files in a directory that may be meant, if it is one.
fn instead_of_directory(path: &Path) -> Option<String> {
    if !path.is_dir() {
        return None;
    }
    let found = CANDIDATES.iter().map(|name| path.join(name)).filter(|path| path.is_file());
    let found: Vec<_> = found.map(|path| path.display().to_string()).collect();
    Some(match found.as_slice() {
        [] => "name the file, such as portolan.toml or the mcp.json of a client".to_owned(),
        found => format!("name the file: {}", found.join(" or ")),
    })
}

/// Where relative paths begin. Absolute, so that a later change of directory changes nothing.
fn directory(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    if path == Path::new("-") { here } else { here.join(path).parent().map_or(here, Path::to_owned) }
}

fn files(path: &Path, others: Vec<PathBuf>) -> Vec<PathBuf> {
    let config = (path != Path::new("-")).then(|| path.to_owned());
    config.into_iter().chain(others).collect()
}
