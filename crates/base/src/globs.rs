//! Globs over a server's own names. Two sets are the same if they were made of the same globs: what is compiled of them has no
//! equality, and how it looks changes as it is used.

use std::fmt;

use globset::{Glob, GlobSet};

/// Some globs, of which a name has to match one.
#[derive(Clone, Default)]
pub struct Globs {
    globs: Vec<Glob>,
    set: GlobSet,
}

impl Globs {
    /// Compiles them.
    ///
    /// # Errors
    /// When they are too much for the matcher.
    pub fn new(globs: Vec<Glob>) -> Result<Self, globset::Error> {
        let set = GlobSet::new(&globs)?;
        Ok(Self { globs, set })
    }

    /// Those that match none of these names, and none that begins with one of these texts, as they are written.
    pub fn idle<'g>(&'g self, names: &[String], begins: &[&str]) -> impl Iterator<Item = &'g str> {
        let is_idle = move |glob: &&Glob| {
            let Ok(alone) = Self::new(vec![(*glob).clone()]) else { return false };
            !names.iter().any(|name| alone.is_match(name))
                && !begins.iter().any(|begin| alone.may_match_from(begin))
        };
        self.globs.iter().filter(is_idle).map(Glob::glob)
    }

    /// Whether one of them may match something that begins so.
    #[must_use]
    pub fn may_match_from(&self, prefix: &str) -> bool {
        self.globs.iter().any(|glob| {
            let text = glob.glob();
            let literal = text.split(['*', '?', '[', '{', '\\']).next().unwrap_or_default();
            literal.starts_with(prefix) || prefix.starts_with(literal)
        })
    }

    /// Whether one of them matches everything, whatever its name.
    #[must_use]
    pub fn match_all(&self) -> bool {
        let is_all = |glob: &Glob| matches!(glob.glob(), "*" | "**");
        self.globs.iter().any(is_all)
    }

    /// Whether one of them matches.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        self.set.is_match(name)
    }
}

impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}

impl Eq for Globs {}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.globs.iter().map(Glob::glob)).finish()
    }
}
