//! Environment variables that are set here and that a program was not given: it may have ended for want of one.

use std::collections::BTreeSet;

/// What is in the words of programs that cannot get out of their network.
const OF_NETWORKS: &[&str] = &[
    "certificate",
    "econnrefused",
    "econnreset",
    "eai_again",
    "enotfound",
    "etimedout",
    "getaddrinfo",
    "name resolution",
    "proxy",
    "ssl",
    "tls",
];

/// The names of variables that one program was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withheld {
    /// All of them.
    pub names: BTreeSet<String>,
    /// Those among them by which programs get out of a network with a proxy or certificates of its own.
    pub network: Vec<String>,
    /// What gives a program one of them: a key or an option.
    pub key: &'static str,
}

impl Withheld {
    /// What to do, if a program that said this was likely to want one of them.
    #[must_use]
    pub fn hint(&self, said: &str) -> Option<String> {
        let words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        // Shells have short ones of their own (`_`), which stand in many a traceback; of several the longest is meant.
        let named = words.filter(|word| word.len() > 3 && self.names.contains(*word));
        let named = named.max_by_key(|word| word.len());
        let named = named.map(|name| format!("variable {name} was"));
        let wanted = named.or_else(|| {
            let said = said.to_ascii_lowercase();
            let is_of_networks = OF_NETWORKS.iter().any(|sign| said.contains(sign));
            (is_of_networks && !self.network.is_empty())
                .then(|| format!("variables {} were", self.network.join(", ")))
        })?;
        Some(format!("the environment {wanted} withheld from it; {} gives a program what it names", self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_named_or_is_likely_is_told() {
        let names = ["BRAVE_API_KEY", "HTTPS_PROXY", "EDITOR", "_"].map(str::to_owned).into();
        let withheld = Withheld { names, network: vec!["HTTPS_PROXY".to_owned()], key: "inherit_env" };
        let hint = |said| withheld.hint(said).unwrap_or_default();
        let key = "the environment variable BRAVE_API_KEY was withheld from it; inherit_env gives a program what it names";
        assert_eq!(hint("Error: BRAVE_API_KEY is required"), key);
        assert_eq!(hint("for _ in EDITOR: BRAVE_API_KEY is required"), key);
        assert_eq!(hint("for _ in x"), "");
        assert!(hint("unable to get local issuer certificate").contains("HTTPS_PROXY were withheld"));
        assert_eq!(hint("BRAVE_API_KEY_2 is required; no EDITORS"), "");
        assert_eq!(Withheld::default().hint("proxy"), None);
    }
}
