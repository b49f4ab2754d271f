//! What the programs of a configuration get of this environment, where the command line says it.

use config::Inherit;

/// Which environment variables programs get
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Inheriting {
    /// Environment variables that all programs of the configuration get, beside those that it names: NAME,NAME
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = name)]
    inherit_env: Vec<String>,
    /// Do not give programs the environment variables that name proxies and certificate authorities
    #[arg(long)]
    no_network_env: bool,
}

impl Inheriting {
    /// The same for the configuration.
    pub(crate) fn inherit(&self) -> Inherit {
        Inherit { names: self.inherit_env.clone(), network: !self.no_network_env }
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    let is_name = !text.is_empty() && !text.contains(['=', '*', ' ', '\0']);
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("expected names of environment variables, such as API_KEY,API_URL")
    }
}
