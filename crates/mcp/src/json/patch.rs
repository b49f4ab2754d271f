//! Changes to a text, each at its own place.

use bytes::Bytes;
use bytestring::ByteString;
use smallvec::SmallVec;

use super::Span;

/// A text that is shorter than this is quicker copied than sent in pieces.
pub const LONG: usize = 16 * 1024;

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

    /// Puts a text in the place of `span`, as a JSON string with its quotes.
    pub fn replace_quoted(&mut self, span: Span, text: &str) {
        let mut quoted = SmallVec::new();
        if super::is_plain(text) {
            quoted.push(b'"');
            quoted.extend_from_slice(text.as_bytes());
            quoted.push(b'"');
        } else {
            quoted.extend_from_slice(super::quote(text).as_bytes());
        }
        self.edits.push((span, quoted));
    }

    /// Puts `with` in the place of `span` without copying it.
    pub(crate) fn replace_owned(&mut self, span: Span, with: Vec<u8>) {
        self.edits.push((span, SmallVec::from_vec(with)));
    }

    /// Puts `text` at `at` and takes nothing away.
    pub fn insert(&mut self, at: usize, text: &[u8]) {
        self.replace(Span { start: at, end: at }, text);
    }

    /// Takes over the changes of another patch of the same text.
    pub fn append(&mut self, other: Self) {
        self.edits.extend(other.edits);
    }

    /// Where a part of the unchanged text stands in the changed one. A change that begins before the part ends and is not
    /// over before it begins belongs to it.
    #[must_use]
    pub fn moved(&self, part: Span) -> Span {
        let (mut start, mut end) = (part.start, part.end);
        for (span, with) in &self.edits {
            let is_before = span.end <= part.start && span.start < part.start;
            if is_before {
                start = start + with.len() - span.len();
            }
            if is_before || (span.start >= part.start && span.end <= part.end) {
                end = end + with.len() - span.len();
            }
        }
        Span { start, end }
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The changed text. Edits must not overlap; of two that do, the later one in the text is left out.
    #[must_use]
    pub fn apply(&self, text: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(self.length(text.len()));
        self.each(text.len(), |piece| match piece {
            Piece::Kept(span) => out.extend_from_slice(text.get(span.start..span.end).unwrap_or_default()),
            Piece::New(with) => out.extend_from_slice(with),
        });
        Bytes::from(out)
    }

    /// The changed text of a text.
    #[must_use]
    pub fn apply_text(&self, text: &str) -> ByteString {
        let mut out = String::with_capacity(self.length(text.len()));
        self.each(text.len(), |piece| match piece {
            Piece::Kept(span) => out.push_str(span.of(text)),
            // It was a text, too.
            Piece::New(with) => out.push_str(&String::from_utf8_lossy(with)),
        });
        ByteString::from(out)
    }

    /// The changed text in pieces that follow each other: what is long and stays is not copied.
    #[must_use]
    pub fn pieces(&self, text: &Bytes) -> Vec<Bytes> {
        if text.len() < LONG {
            return vec![self.apply(text)];
        }
        let mut pieces = Vec::with_capacity(2 * self.edits.len() + 2);
        let mut short = Vec::new();
        self.each(text.len(), |piece| match piece {
            Piece::Kept(span) if span.len() > LONG / 8 => {
                pieces.push(Bytes::from(std::mem::take(&mut short)));
                pieces.push(text.slice(span.start..span.end));
            }
            Piece::Kept(span) => short.extend_from_slice(text.get(span.start..span.end).unwrap_or_default()),
            Piece::New(with) => short.extend_from_slice(with),
        });
        pieces.push(Bytes::from(short));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// How long the changed text is at most.
    fn length(&self, unchanged: usize) -> usize {
        let added: usize = self.edits.iter().map(|(_, with)| with.len()).sum();
        let taken: usize = self.edits.iter().map(|(span, _)| span.len()).sum();
        (unchanged + added).saturating_sub(taken)
    }

    /// Goes over the changed text of one that is so long.
    fn each<'p>(&'p self, length: usize, mut piece: impl FnMut(Piece<'p>)) {
        let mut order: SmallVec<[&Edit; 8]> = self.edits.iter().collect();
        // Stable, so several insertions at one place keep the order in which they were planned.
        order.sort_by_key(|(span, _)| (span.start, span.end));
        let mut at = 0;
        for (span, with) in order {
            if span.start < at || span.end > length {
                debug_assert!(false, "overlapping edits at byte {}", span.start);
                continue;
            }
            piece(Piece::Kept(Span { start: at, end: span.start }));
            piece(Piece::New(with));
            at = span.end;
        }
        piece(Piece::Kept(Span { start: at, end: length }));
    }
}

/// A piece of a changed text.
enum Piece<'p> {
    /// What stood there in the unchanged one.
    Kept(Span),
    /// What came in.
    New(&'p [u8]),
}
