//! How public names are made.

/// How public names are made of a server's own names. A pure function of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Whether names get the server's prefix.
    pub prefix: PrefixRule,
    /// What stands between prefix and name.
    pub separator: String,
    /// The most characters that a public name of a tool or prompt may have; longer ones are cut and get a digest.
    pub max_length: usize,
    /// The characters that it may have.
    pub alphabet: Alphabet,
}

impl Naming {
    /// The default of [`Self::max_length`]. Many clients put the name that they know us by before ours, as
    /// `mcp__portolan__`, and models' providers take 64 characters.
    pub const MAX_LENGTH: usize = 45;
}

impl Default for Naming {
    fn default() -> Self {
        let (prefix, alphabet) = (PrefixRule::Auto, Alphabet::Safe);
        Self { prefix, separator: "__".to_owned(), max_length: Self::MAX_LENGTH, alphabet }
    }
}

/// The characters of public names of tools and prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alphabet {
    /// Letters, digits, `_` and `-`: clients replace all others, and lose one of two names that then are the same.
    #[default]
    Safe,
    /// Whatever a server's own names have.
    Any,
}

/// Whether names get the server's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrefixRule {
    /// When the route has several servers.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never. A name that two servers have is then served by neither, and said to be ambiguous.
    Never,
}
