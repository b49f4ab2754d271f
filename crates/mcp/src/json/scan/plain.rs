//! Where a run of bytes ends that a JSON string can hold as they are: eight at a time, or many where it is long.

/// Runs shorter than this are gone through word by word, longer ones in blocks.
const WORDS: usize = 4;

/// Of a long run so much is looked at together: what vectorises well everywhere.
const BLOCK: usize = 64;

/// Where, from there on, the first byte stands that a string cannot hold as it is, and which one it is: a quote, a
/// backslash, a control character. The end if there is none.
#[inline]
pub(super) fn plain_until(text: &[u8], from: usize) -> (usize, Option<u8>) {
    let mut at = from;
    for _ in 0..WORDS {
        let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk) else { break };
        if let Some(found) = in_word(*word) {
            // Taken from the word, because what is read again is waited for again.
            #[expect(clippy::cast_possible_truncation, reason = "one byte of the eight")]
            return (at + found, Some((u64::from_le_bytes(*word) >> (8 * found)) as u8));
        }
        at += 8;
    }
    let at = plain_for_long(text, at);
    (at, text.get(at).copied())
}

/// As [`plain_until`], of what began some while ago. By itself, so that what is short needs no registers for it.
#[inline(never)]
fn plain_for_long(text: &[u8], from: usize) -> usize {
    let (blocks, tail) = text.get(from..).unwrap_or_default().as_chunks::<BLOCK>();
    let plain = blocks.iter().take_while(|block| is_plain(block)).count();
    let rest = blocks.get(plain).map_or(tail, <[u8; BLOCK]>::as_slice);
    let start = from + plain * BLOCK;
    in_words(rest).map_or(start + rest.len(), |at| start + at)
}

/// Whether a string can hold all of these as they are. Without a branch, so that it is done many bytes at a time.
#[inline]
fn is_plain(block: &[u8; BLOCK]) -> bool {
    let ends = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    !block.iter().fold(false, |any, byte| any | ends(*byte))
}

/// Where the first byte stands that a string cannot hold as it is, eight at a time.
fn in_words(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let in_some = words.iter().enumerate().find_map(|(at, word)| Some(at * 8 + in_word(*word)?));
    let start = bytes.len() - tail.len();
    let in_tail = || tail.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).map(|at| start + at);
    in_some.or_else(in_tail)
}

/// Which of eight bytes is the first that a string cannot hold as it is.
#[inline]
fn in_word(bytes: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    /// The high bit of each byte that is zero is set; of those after the first, possibly more.
    #[inline]
    fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let word = u64::from_le_bytes(bytes);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zeros(word ^ (ONES * u64::from(b'"')));
    let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
    let marks = (control | quote | backslash) & (ONES << 7);
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}
