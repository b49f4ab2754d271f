//! Which server is meant, and what is left of the words after it.

use base::plan::{Reach, StdioReach, UpstreamPlan};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use transport::child::ChildSpec;

use crate::fault::Fault;
use crate::{given, outside};

/// How long a process that was started for one command may take to end after each step of ending it.
const GRACE: Duration = Duration::from_secs(1);
/// How long it may take to say what it is: `npx` may have to fetch it first.
const START: Duration = Duration::from_secs(300);

/// How the names of configurations end.
const ENDINGS: [&str; 5] = ["json", "jsonc", "toml", "yaml", "yml"];

/// How the help explains the words of a command.
pub(crate) const HELP: &str = "\
The server is one of these:
  https://mcp.example.com/mcp   a URL: begins with http:// or https://
  mcp.json                      a configuration, as for serve: all its servers
  mcp.json github               one server of a configuration, by its name
  'npx -y some-server'          a command in one word, split as a shell does it,
                                with nothing expanded
  … -- npx -y some-server       a command after `--`, taken as it is";

/// The words of a command that speaks to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// The server.
    pub(crate) server: Target,
    /// What comes after it.
    pub(crate) rest: Vec<String>,
}

/// A server on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// At a URL.
    Url(String),
    /// As a process: the program and its arguments. Never empty.
    Command(Vec<String>),
    /// The servers of a configuration.
    File(PathBuf),
}

impl Words {
    /// Tells the server from the rest. With a command after `--`, all words are the rest.
    pub(crate) fn sort(mut words: Vec<String>, command: Vec<String>) -> Result<Self, Fault> {
        if !command.is_empty() {
            return Ok(Self { server: Target::Command(command), rest: words });
        }
        if words.is_empty() {
            let hint = "name a URL, a configuration such as mcp.json, or a command after `--`: portolan list -- npx -y some-server";
            return Err(Fault::usage("no server is named").hint(hint));
        }
        let first = words.remove(0);
        Ok(Self { server: Target::read(first)?, rest: words })
    }

    /// The next of the other words.
    pub(crate) fn next(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.rest.remove(0))
    }

    /// Refuses words that are left.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        match self.rest.first() {
            Some(word) => Err(Fault::usage(format!("{word:?} is one word too many"))
                .hint("a command stands in one word ('npx -y some-server'), or after `--`")),
            None => Ok(()),
        }
    }
}

impl Target {
    fn read(word: String) -> Result<Self, Fault> {
        if is_url(&word) {
            return Ok(Self::Url(word));
        }
        if is_configuration(&word) {
            return Ok(Self::File(PathBuf::from(word)));
        }
        if let Some(url) = url_without_scheme(&word) {
            return Err(
                Fault::usage(format!("{word:?} is an address, and no URL")).hint(format!("write {url}"))
            );
        }
        match shlex::split(&word) {
            Some(command) if !command.is_empty() => Ok(Self::Command(command)),
            Some(_) => Err(Fault::usage("the command is empty")),
            None => Err(Fault::usage(format!("a quote is not closed in {word:?}"))),
        }
    }

    /// How to reach it; everything else is the default.
    pub(crate) fn plan(&self, headers: &[String]) -> Result<UpstreamPlan, Fault> {
        match self {
            Self::Url(url) => given::http_server(url, headers),
            Self::File(path) => Err(Fault::Bug(format!("{} is no one server", path.display()))),
            Self::Command(_) if !headers.is_empty() => Err(Fault::usage("headers are for servers at a URL")
                .hint("a process takes its secrets from the environment")),
            Self::Command(command) => {
                let mut words = command.iter().cloned();
                let child = ChildSpec {
                    program: words.next().unwrap_or_default(),
                    args: words.collect(),
                    // As if the user had started it.
                    env: outside::environment(),
                    directory: None,
                };
                let reach = Reach::Stdio(StdioReach {
                    child,
                    idle_after: None,
                    grace: GRACE,
                    withheld: Default::default(),
                });
                let mut plan = UpstreamPlan::new(given::SERVER, reach);
                plan.deadlines.connect = START;
                Ok(plan)
            }
        }
    }
}

/// Whether a word names a configuration: by its ending, or because there is a file that is no program. `-` is stdin.
fn is_configuration(word: &str) -> bool {
    let path = Path::new(word);
    let is_executable = |meta: Metadata| meta.permissions().mode() & 0o111 != 0;
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let named = ENDINGS.iter().any(|known| ending.as_deref() == Some(OsStr::new(known)));
    match path.metadata() {
        Ok(meta) if meta.is_dir() => true,
        Ok(meta) => meta.is_file() && (named || !is_executable(meta)),
        // With spaces in it, it may as well be a command: `node server.js config.json`.
        Err(_) => word == "-" || (named && !word.contains(char::is_whitespace)),
    }
}

/// The URL that is meant by an address without a scheme, if the word is one and there is no such program: `localhost:8000`,
/// `mcp.example.com/mcp`.
fn url_without_scheme(word: &str) -> Option<String> {
    let (authority, path) = word.split_once('/').unwrap_or((word, "mcp"));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_ours = host == "localhost" || host.parse::<Ipv4Addr>().is_ok() || host.starts_with('[');
    let is_domain = host.contains('.')
        && host
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    let has_port = port.is_some_and(|port| port.parse::<u16>().is_ok());
    let is_address =
        (is_ours || is_domain) && port.is_none_or(|_| has_port) && (has_port || word.contains('/'));
    if !is_address || find_program(word).is_some() {
        return None;
    }
    let scheme = if is_ours { "http" } else { "https" };
    let path = if path.is_empty() { "mcp" } else { path };
    Some(format!("{scheme}://{authority}/{path}"))
}

/// Where a program is, as the system would find it.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(is_program);
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|directory| directory.join(program)).find(is_program)
}

/// Whether a word begins as the URL of a server does.
pub(crate) fn is_url(word: &str) -> bool {
    let scheme = word.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(words: &[&str], command: &[&str]) -> Result<Words, Fault> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Words::sort(owned(words), owned(command))
    }

    #[test]
    fn the_server_is_the_first_word_or_what_comes_after_the_dashes() {
        let command = |words: &[&str]| Target::Command(words.iter().map(|word| (*word).to_owned()).collect());
        let url = sorted(&["HTTP://x/mcp", "add", "a=1"], &[]).unwrap();
        assert_eq!((url.server, url.rest.len()), (Target::Url("HTTP://x/mcp".to_owned()), 2));
        let quoted = sorted(&[r#"npx -y "a b" c\ d"#, "add"], &[]).unwrap();
        assert_eq!((quoted.server, quoted.rest.len()), (command(&["npx", "-y", "a b", "c d"]), 1));
        let after = sorted(&["add", "a=1"], &["npx", "-y", "a b"]).unwrap();
        assert_eq!((after.server, after.rest.len()), (command(&["npx", "-y", "a b"]), 2));
        // The URI of a resource may look like a server's URL.
        let resource = sorted(&["https://x/"], &["npx"]).unwrap();
        assert_eq!((resource.server, resource.rest.len()), (command(&["npx"]), 1));
    }

    #[test]
    fn an_address_without_a_scheme_is_told_from_a_command() {
        for (word, url) in [
            ("127.0.0.1:8000", "http://127.0.0.1:8000/mcp"),
            ("localhost:8000/", "http://localhost:8000/mcp"),
            ("[::1]:8000/sse", "http://[::1]:8000/sse"),
            ("mcp.example.com/v1/mcp", "https://mcp.example.com/v1/mcp"),
            ("mcp.example.com:443", "https://mcp.example.com:443/mcp"),
        ] {
            assert_eq!(url_without_scheme(word).as_deref(), Some(url), "{word}");
        }
        for word in [
            "npx",
            "./server.py",
            "server.py",
            "../a.b/c",
            "bin/server",
            "a:b",
            "c:1",
            "127.0.0.1",
            "npx x.y:1/",
        ] {
            assert_eq!(url_without_scheme(word), None, "{word}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (words, command) in [(&[][..], &[][..]), (&["'x"], &[]), (&[" "], &[])] {
            assert!(matches!(sorted(words, command), Err(Fault::Usage { .. })), "{words:?} {command:?}");
        }
        assert!(sorted(&["http://x/", "one"], &[]).unwrap().end().is_err());
    }
}
