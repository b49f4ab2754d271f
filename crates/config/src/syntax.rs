//! The syntaxes of configuration files: text → nodes.

use crate::findings::Findings;
use crate::node::Node;
use crate::source::Source;

mod json;
mod members;
mod toml;
mod yaml;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Toml,
    Json,
    Yaml,
}

impl Syntax {
    /// What a file is: by its name, or else by how it begins.
    pub(crate) fn of(source: &Source) -> Self {
        match source.path.extension().and_then(|extension| extension.to_str()) {
            Some("json" | "jsonc") => Self::Json,
            Some("toml") => Self::Toml,
            Some("yaml" | "yml") => Self::Yaml,
            _ if source.text.trim_start().starts_with(['{', '/']) => Self::Json,
            _ if begins_as_yaml(&source.text) => Self::Yaml,
            _ => Self::Toml,
        }
    }

    /// What a person calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Toml => "TOML",
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        }
    }

    /// How names of such files end.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Toml => ".toml",
            Self::Json => ".json",
            Self::Yaml => ".yaml",
        }
    }
}

/// Parses a text, and says what is wrong with it.
pub(crate) fn parse(syntax: Syntax, findings: &mut Findings<'_>) -> Node {
    match syntax {
        Syntax::Json => json::parse(findings),
        Syntax::Toml => toml::parse(findings),
        Syntax::Yaml => yaml::parse(findings),
    }
}

/// What a text is that cannot be read as what its name says.
pub(crate) fn meant(source: &Source, named: Syntax) -> Option<Syntax> {
    let begins = |syntax: &Syntax| match syntax {
        Syntax::Json => source.text.trim_start().starts_with(['{', '/']),
        Syntax::Yaml => begins_as_yaml(&source.text),
        Syntax::Toml => true,
    };
    let is_read = |syntax: &Syntax| {
        let mut findings = Findings::new(source);
        let root = parse(*syntax, &mut findings);
        !findings.failed() && root.members().is_some_and(|members| !members.is_empty())
    };
    let others = [Syntax::Json, Syntax::Toml, Syntax::Yaml].into_iter().filter(|other| *other != named);
    others.filter(begins).find(is_read)
}

/// Whether the first line that says something is `name:` or `---`.
fn begins_as_yaml(text: &str) -> bool {
    let says_something = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let Some(line) = text.lines().find(says_something) else { return false };
    let is_key = |key: &str| {
        !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$'))
    };
    line.trim_end() == "---"
        || line
            .split_once(':')
            .is_some_and(|(key, rest)| is_key(key) && (rest.is_empty() || rest.starts_with(' ')))
}
