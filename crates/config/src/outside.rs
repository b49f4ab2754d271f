//! What lies outside of the file: environment variables, and the files that it names.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base::masks::Secrets;

use crate::findings::Findings;
use crate::node::Span;

/// The most bytes of a file: no configuration is larger, and `/dev/zero` has no end.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// What every program may know of Portolan's environment: where things are, and for whom to write. Nothing of it is a
/// secret. `file::Upstream::inherit_env` tells people.
pub(crate) const INHERITED: &[&str] =
    &["HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// By these a program finds its way out of a network that has a proxy or certificate authorities of its own. Programs fail
/// without them in ways that nobody understands. `file::Defaults::network_env` tells people.
pub(crate) const NETWORK: &[&str] = &[
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_ENV_PROXY",
    "NODE_USE_SYSTEM_CA",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];
/// What names such variables of `uv` and `npm` begin with, in lower case.
const NETWORK_STARTS: &[&str] = &["npm_config_", "uv_"];
/// By these `uv` publishes packages, which no server does.
const PUBLISHING: &str = "uv_publish_";

/// The environment variables of this process.
pub trait Environment {
    /// The value of one.
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all of them.
    fn names(&self) -> Vec<String>;
}

/// Variables that can only be looked up.
pub(crate) struct Lookup<'a>(pub(crate) &'a dyn Fn(&str) -> Option<String>);

impl Environment for Lookup<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What programs get of the environment, beside what their file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inherit {
    /// The names of variables that all programs get.
    pub names: Vec<String>,
    /// Whether they get what names proxies and certificate authorities, where the file does not say it.
    pub network: bool,
}

impl Default for Inherit {
    fn default() -> Self {
        Self { names: Vec::new(), network: true }
    }
}

/// The world as the configuration sees it.
pub(crate) struct Outside<'a> {
    env: &'a dyn Environment,
    /// Where relative paths begin: the directory of the configuration file.
    base: PathBuf,
    /// Every file that was looked at.
    files: Vec<PathBuf>,
    /// What came of it that nobody may see.
    pub(crate) secrets: Secrets,
}

impl<'a> Outside<'a> {
    pub(crate) fn new(base: PathBuf, env: &'a dyn Environment) -> Self {
        Self { env, base, files: Vec::new(), secrets: Secrets::default() }
    }

    /// An environment variable of this process.
    pub(crate) fn env(&self, name: &str) -> Option<String> {
        self.env.get(name)
    }

    /// The names of all environment variables.
    pub(crate) fn names(&self) -> Vec<String> {
        self.env.names()
    }

    /// The variables by which programs get out of this network, as far as they are set.
    pub(crate) fn network(&self) -> Vec<String> {
        let known = NETWORK.iter().flat_map(|name| [(*name).to_owned(), name.to_ascii_lowercase()]);
        let of_tools = self.env.names().into_iter().filter(|name| {
            let lower = name.to_ascii_lowercase();
            NETWORK_STARTS.iter().any(|start| lower.starts_with(start)) && !lower.starts_with(PUBLISHING)
        });
        known.filter(|name| self.env(name).is_some()).chain(of_tools).collect()
    }

    /// Where relative paths begin.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Lets relative paths begin elsewhere.
    pub(crate) fn rebase(&mut self, base: PathBuf) {
        self.base = base;
    }

    /// A path of the file.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.base.join(path).components().collect()
    }

    /// Notes that the configuration depends on a file.
    pub(crate) fn depends_on(&mut self, path: &Path) {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_owned());
        }
    }

    /// Every file that was looked at.
    pub(crate) fn into_files(self) -> Vec<PathBuf> {
        self.files
    }

    /// The text of a file that the configuration names; what is wrong with it is said.
    pub(crate) fn text(&mut self, path: &Path, span: Span, findings: &mut Findings<'_>) -> Option<String> {
        self.depends_on(path);
        match read_text(path) {
            Ok(text) => Some(text),
            Err(error) => {
                unreadable(path, &error, span, findings);
                None
            }
        }
    }

    /// A secret that stands in a file of its own, without the line break at its end.
    pub(crate) fn secret(&mut self, named: &str, span: Span, findings: &mut Findings<'_>) -> Option<String> {
        let path = self.path(named);
        let text = self.text(&path, span, findings)?;
        private(&path, span, findings);
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            findings.warning(span, format!("{} is empty", path.display()));
        }
        self.secrets.add(secret, &format!("${{file:{named}}}"));
        Some(secret.to_owned())
    }
}

/// Says why a file cannot be used.
pub(crate) fn unreadable(path: &Path, error: &io::Error, span: Span, findings: &mut Findings<'_>) {
    let finding = findings.error(span, format!("{} cannot be read: {}", path.display(), reason(error)));
    if path.components().any(|part| part.as_os_str() == "~") {
        finding.help(
            "~ is not replaced here; write ${env:HOME} where references are possible, or the whole path",
        );
    }
}

/// An error of the system, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut chars = text.get(..end).unwrap_or_default().chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Reads text of a bounded size.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    bounded_text(fs::File::open(path)?)
}

/// Reads text of a bounded size.
pub(crate) fn bounded_text(from: impl io::Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    // Text of any kind that begins so has a character of which one byte is zero.
    if matches!(bytes.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]) {
        return Err(io::Error::other("it is UTF-16; save it as UTF-8"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}

/// Warns of a secret that anybody on this machine can read.
pub(crate) fn private(path: &Path, span: Span, findings: &mut Findings<'_>) {
    let Ok(path) = path.canonicalize() else { return };
    let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.permissions().mode());
    // A directory that others cannot enter protects what is in it.
    let reachable = path.ancestors().skip(1).all(|directory| mode(directory) & 0o001 != 0);
    if reachable && mode(&path) & 0o004 != 0 {
        findings
            .warning(span, format!("every user of this machine can read {}", path.display()))
            .help(format!("chmod o-r {}", path.display()));
    }
}
