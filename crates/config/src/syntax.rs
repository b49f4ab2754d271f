//! The syntaxes of configuration files: text → nodes.

mod json;
mod toml;

pub(crate) use json::parse as json;
pub(crate) use toml::parse as toml;
