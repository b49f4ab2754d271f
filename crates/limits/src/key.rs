//! Who is counted: numbers that stand for names, so that what is kept does not grow with what callers like to be called.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher};

use auth::Principal;
use base::plan::limit::Per;

/// What a call is, as far as anybody counts.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Who calls.
    pub principal: &'a Principal,
    /// The client that acts, if a token says so.
    pub client: Option<&'a str>,
    /// The route's name.
    pub route: &'a str,
    /// The server's name, if it is known.
    pub server: Option<&'a str>,
    /// The tool, by its server's own name, if it is one.
    pub tool: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// What it is in one respect. A tool is one of its server.
    pub(crate) fn parts(&self, per: Per) -> [Option<&'a str>; 2] {
        match per {
            Per::Principal => [Some(self.principal.id()), None],
            Per::Client => [self.client, None],
            Per::Route => [Some(self.route), None],
            Per::Server => [self.server, None],
            Per::Tool => [self.server, self.tool],
        }
    }
}

/// Stands for one who is counted. Nobody outside can make two that are the same: the hashes have secret keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u64; 2]);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

impl Key {
    /// One of so many parts of a table.
    pub(crate) fn part(self, of: usize) -> usize {
        usize::try_from(self.0[1]).unwrap_or(usize::MAX) % of
    }
}

/// A key is a hash already.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Makes maps by keys.
pub(crate) type ByKey = BuildHasherDefault<AsItIs>;

/// Makes keys, of this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys([RandomState; 2]);

impl Keys {
    /// The key of some texts, of which each may be missing.
    pub(crate) fn of<'t>(&self, texts: &(impl Iterator<Item = Option<&'t [u8]>> + Clone)) -> Key {
        Key([0, 1].map(|half: usize| {
            let mut hasher = self.0.get(half).unwrap_or(&self.0[0]).build_hasher();
            for text in texts.clone() {
                text.hash(&mut hasher);
            }
            hasher.finish()
        }))
    }
}
