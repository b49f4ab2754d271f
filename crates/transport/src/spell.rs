//! Something that is the matter for a while, and is to be said once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether it is the matter now.
#[derive(Debug, Default)]
pub struct Spell(AtomicBool);

impl Spell {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// It is the matter; whether that is new.
    pub fn begin(&self) -> bool {
        !self.is_on() && !self.0.swap(true, Ordering::Relaxed)
    }

    /// It is not the matter any more; whether that is new.
    pub fn end(&self) -> bool {
        self.is_on() && self.0.swap(false, Ordering::Relaxed)
    }

    /// Whether it is the matter.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spell_is_said_once() {
        let spell = Spell::new();
        assert!(!spell.end());
        assert_eq!([spell.begin(), spell.begin(), spell.is_on()], [true, false, true]);
        assert_eq!([spell.end(), spell.end(), spell.is_on()], [true, false, false]);
        assert!(spell.begin());
    }
}
