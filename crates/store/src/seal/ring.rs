//! The keys of one moment: one that seals, and all that open.

use std::fmt;

use super::key::{Key, KeyId};

/// The keys of one moment. The first seals; all of them open.
#[derive(Clone)]
pub struct Ring {
    sealing: Key,
    others: Vec<Key>,
}

impl Ring {
    /// A ring of one key.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self { sealing: key.clone(), others: Vec::new() }
    }

    /// The first key seals, and all of them open.
    #[must_use]
    pub fn from_keys(keys: &[Key]) -> Option<Self> {
        let (sealing, others) = keys.split_first()?;
        Some(Self { sealing: sealing.clone(), others: others.to_vec() })
    }

    /// Adds a key that only opens.
    #[must_use]
    pub fn and_opens(mut self, key: &Key) -> Self {
        self.others.push(key.clone());
        self
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn sealing_id(&self) -> KeyId {
        self.sealing.id()
    }

    pub(super) fn sealing(&self) -> &Key {
        &self.sealing
    }

    pub(super) fn opening(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.sealing).chain(&self.others)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.opening().map(Key::id)).finish()
    }
}
