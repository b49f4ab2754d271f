//! Changes to a text, each at its own place.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::Span;

/// What goes, and what comes in its place; most replacements are short.
type Edit = (Span, SmallVec<[u8; 64]>);

/// Changes to one text, each at its own place: everything else is copied as it stands.
#[derive(Debug, Default, Clone)]
pub struct Patch {
    edits: SmallVec<[Edit; 4]>,
}

impl Patch {
    /// Nothing to change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `with` in the place of `span`.
    pub fn replace(&mut self, span: Span, with: &[u8]) {
        self.edits.push((span, SmallVec::from_slice(with)));
    }

    /// Puts `text` at `at` and takes nothing away.
    pub fn insert(&mut self, at: usize, text: &[u8]) {
        self.replace(Span { start: at, end: at }, text);
    }

    /// Takes over the changes of another patch of the same text.
    pub fn append(&mut self, other: Self) {
        self.edits.extend(other.edits);
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The changed text. Edits must not overlap; of two that do, the later one in the text is left out.
    #[must_use]
    pub fn apply(&self, text: &[u8]) -> Bytes {
        let mut order: SmallVec<[&Edit; 8]> = self.edits.iter().collect();
        // Stable, so several insertions at one place keep the order in which they were planned.
        order.sort_by_key(|(span, _)| (span.start, span.end));
        let added: usize = order.iter().map(|(_, with)| with.len()).sum();
        let mut out = BytesMut::with_capacity(text.len() + added);
        let mut at = 0;
        for (span, with) in order {
            let Some(kept) = text.get(at..span.start) else {
                debug_assert!(false, "overlapping edits at byte {}", span.start);
                continue;
            };
            out.extend_from_slice(kept);
            out.extend_from_slice(with);
            at = span.end;
        }
        out.extend_from_slice(text.get(at..).unwrap_or_default());
        out.freeze()
    }
}
