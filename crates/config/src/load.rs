//! From a path to a plan and everything that is wrong.

use std::path::{Path, PathBuf};

use base::digest::Digest;
use base::masks::Masks;
use base::plan::{LeftOut, Plan};

use crate::convert::{self, Converted, Draft};
use crate::diagnostic::Diagnostic;
use crate::file::Config;
use crate::findings::Findings;
use crate::foreign::Client;
use crate::lower::{Lowering, Theirs};
use crate::node::{At, Node, Span};
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
    /// SHA-256 of the bytes that were read of the configuration; nothing where none could be.
    pub digest: Option<Digest>,
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
    match read(path) {
        Ok(source) => load_text_with(source, env, inherit),
        Err(diagnostics) => Loaded { plan: None, diagnostics, files: files(path, Vec::new()), digest: None },
    }
}

/// The text of a file, or why it cannot be read.
fn read(path: &Path) -> Result<Source, Vec<Diagnostic>> {
    let from_stdin = path == Path::new("-");
    let read =
        if from_stdin { outside::bounded_text(std::io::stdin().lock()) } else { outside::read_text(path) };
    read.map(|text| Source { path: path.to_owned(), text }).map_err(|error| {
        let nothing = Source { path: path.to_owned(), text: String::new() };
        let mut findings = Findings::new(&nothing);
        let finding = findings.whole(format!("cannot be read: {}", outside::reason(&error)));
        if let Some(help) = instead_of_directory(path) {
            finding.help(help);
        } else if error.kind() == std::io::ErrorKind::NotFound {
            finding.help("name a file that is there: portolan.toml, or the file of a client");
        }
        findings.finish(path, &[], &Masks::default())
    })
}

/// Checks the text of a configuration file. `env` looks up environment variables.
#[must_use]
pub fn load_text(source: Source, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_text_with(source, &Lookup(env), &Inherit::default())
}

/// Checks the text of a configuration file.
#[must_use]
pub fn load_text_with(mut source: Source, env: &dyn Environment, inherit: &Inherit) -> Loaded {
    let digest = Some(Digest::plain(source.text.as_bytes()));
    strip_mark(&mut source);
    let mut findings = Findings::new(&source);
    let mut outside = Outside::new(directory(&source.path), env);
    let Parsed { syntax, root, is_foreign, mut hidden } = parse(&source, &mut findings);
    let mut plan = None;
    if findings.failed() {
        // What is missing from a broken file may stand right behind the break: nothing more is said of it.
        hidden.extend(secret::hidden_in_lines(&source.text));
    } else if is_foreign {
        if let Some((config, client)) = foreign::read(&root, syntax, &mut findings, &mut outside) {
            plan = Some(lower(&config, Some(client), inherit, &mut findings, &mut outside));
        }
    } else if let Some(At { value: config, .. }) = At::read(&root, &mut findings) {
        plan = Some(lower(&config, None, inherit, &mut findings, &mut outside));
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
    let diagnostics = findings.finish(shown(&source.path), &hidden, &masks);
    Loaded { plan, diagnostics, files: files(&source.path, outside.into_files()), digest }
}

/// Makes of another client's file, or of standard input (`-`), the text of one of Portolan's own, which is to lie at `to`.
/// What it refers to need not be there yet.
#[must_use]
pub fn convert(from: &Path, to: &Path, env: &dyn Environment) -> Converted {
    let mut source = match read(from) {
        Ok(source) => source,
        Err(diagnostics) => return Converted { text: None, diagnostics, remarks: Vec::new() },
    };
    strip_mark(&mut source);
    let mut findings = Findings::new(&source);
    findings.allow_unset();
    let mut outside = Outside::new(directory(&source.path), env);
    let Parsed { syntax, root, is_foreign, mut hidden } = parse(&source, &mut findings);
    let mut draft = None;
    if findings.failed() {
        hidden.extend(secret::hidden_in_lines(&source.text));
    } else if !is_foreign {
        findings.only("this is Portolan's own configuration already").help("it can be served as it is");
    } else if let Some((config, client)) = foreign::read(&root, syntax, &mut findings, &mut outside) {
        let read = findings.count();
        drop(lower(&config, Some(client), &Inherit::default(), &mut findings, &mut outside));
        // What else there is to say of it is said of the new file.
        findings.forget_warnings_after(read);
        let mut entries = config.upstream.iter().flat_map(|given| &given.value.0);
        if !findings.failed() && entries.any(|entry| findings.fault_of(&entry.name.value).is_none()) {
            let masks = outside.secrets.masks();
            let masked = |(name, why): (String, String)| (name, masks.mask(&why).into_owned());
            let left_out: Vec<_> = findings.leave_out().into_iter().map(masked).collect();
            let to = convert::absolute(to);
            draft = Some(Draft::write(&config, &left_out, (from, &to), &outside));
        }
    }
    findings.keep_all();
    let masks = outside.secrets.masks();
    let diagnostics = findings.finish(shown(&source.path), &hidden, &masks);
    let (text, remarks) = draft.unzip();
    Converted { text, diagnostics, remarks: remarks.unwrap_or_default() }
}

/// A file's text as a tree, and what it is.
struct Parsed {
    syntax: Syntax,
    root: Node,
    /// Whether it is another client's.
    is_foreign: bool,
    /// What of it is shown to nobody.
    hidden: Vec<Span>,
}

fn parse(source: &Source, findings: &mut Findings<'_>) -> Parsed {
    let syntax = Syntax::of(source);
    let root = syntax::parse(syntax, findings);
    if findings.failed()
        && let Some(other) = syntax::meant(source, syntax)
    {
        let (is, says, ending) = (other.name(), syntax.name(), other.ending());
        findings
            .only(format!("this is {is}, and is read as {says} for the file's name"))
            .help(format!("let the name end in {ending}"));
    }
    let is_foreign = syntax != Syntax::Toml || foreign::is_foreign(&root);
    if is_foreign {
        foreign::assign(&root, findings);
    }
    let hidden = secret::hidden(&root, &source.text);
    Parsed { syntax, root, is_foreign, hidden }
}

fn lower<'a>(
    config: &Config,
    client: Option<&Client>,
    inherit: &Inherit,
    findings: &mut Findings<'a>,
    outside: &mut Outside<'a>,
) -> Plan {
    let theirs = client.map(|client| Theirs {
        spelling: client.spelling,
        syntax: client.syntax,
        lists: client.starts_lists(),
    });
    Lowering { findings, outside, theirs, inherit: inherit.clone() }.config(config)
}

fn strip_mark(source: &mut Source) {
    if let Some(text) = source.text.strip_prefix('\u{feff}') {
        source.text = text.to_owned();
    }
}

fn shown(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("<stdin>") } else { path }
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
