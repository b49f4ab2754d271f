//! The syntaxes of configuration files: text → nodes.

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Toml,
    Json,
    Yaml,
}

mod json;
mod toml;
mod yaml;

pub(crate) use json::parse as json;
pub(crate) use toml::parse as toml;
pub(crate) use yaml::parse as yaml;
