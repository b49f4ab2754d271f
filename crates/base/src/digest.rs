//! Digests that stand for texts of a peer's choosing.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

/// Stands for texts where nothing counts but whether they are the same, so that what is kept does not grow with what a
/// peer likes to send. Collisions cannot be made, or one client could be given what was fetched for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The SHA-256 of one text, as other programs compute it.
    #[must_use]
    pub fn plain(text: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, text).as_ref());
        Self(bytes)
    }

    /// The digest of some texts, one after the other.
    pub fn of<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Self {
        let mut context = Context::new(&SHA256);
        for text in texts {
            let text = text.as_ref();
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The longest text that stands for itself.
const SHORT: usize = 64;

/// Stands for one text where nothing counts but whether it is the same: a short one for itself, which is cheaper to look
/// at than a digest, a longer one by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// A short text.
    Itself {
        /// How many bytes it has.
        length: usize,
        /// The bytes, and zeros behind them.
        text: [u8; SHORT],
    },
    /// A longer one.
    Digest(Digest),
}

impl Mark {
    /// The mark of a text.
    pub fn of(given: impl AsRef<[u8]>) -> Self {
        let (given, mut text) = (given.as_ref(), [0; SHORT]);
        match text.get_mut(..given.len()) {
            Some(place) => {
                place.copy_from_slice(given);
                Self::Itself { length: given.len(), text }
            }
            None => Self::Digest(Digest::of([given])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ_where_texts_do() {
        let texts = ["", "\0", "{}", "{}\0", &"a".repeat(64), &"a".repeat(65), &"a".repeat(66)];
        for (at, text) in texts.iter().enumerate() {
            for (other_at, other) in texts.iter().enumerate() {
                assert_eq!(Mark::of(text) == Mark::of(other), at == other_at, "{text:?} {other:?}");
            }
        }
    }

    #[test]
    fn where_one_text_ends_counts() {
        assert_eq!(Digest::of(["a", "bc"]), Digest::of(["a", "bc"]));
        assert_ne!(Digest::of(["a", "bc"]), Digest::of(["ab", "c"]));
        assert_ne!(Digest::of(["a"]), Digest::of(["a", ""]));
    }
}
