//! Which arguments policies read.

use std::collections::BTreeSet;

/// Places in arguments, as JSON Pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pointers {
    /// All that there are: somewhere a pointer is made of something that is known at the call only.
    pub(crate) all: bool,
    pub(crate) named: BTreeSet<String>,
}

impl Pointers {
    /// Those of both.
    pub(crate) fn add(&mut self, other: &Self) {
        self.all |= other.all;
        self.named.extend(other.named.iter().cloned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.named.is_empty()
    }

    pub(crate) fn has(&self, pointer: &str) -> bool {
        self.all || self.named.contains(pointer)
    }
}

/// Adds a member's name to a pointer.
pub(crate) fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}
