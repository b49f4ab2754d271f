//! Newline-delimited messages: the framing of stdio. Source: MCP 2026-07-28 `basic/transports/stdio`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::sse::put_one_line;

/// Appends one message and its line end.
pub fn write(message: &[u8], out: &mut BytesMut) {
    out.reserve(message.len() + 1);
    put_one_line(message, out);
    out.put_u8(b'\n');
}

/// A line is longer than allowed. It was skipped, and the lines after it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct TooLong {
    /// The most bytes that a line may have.
    pub limit: usize,
}

/// Reads lines from bytes however they are cut.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    line: BytesMut,
    /// Whether the rest of a line that was too long is being skipped.
    skipping: bool,
}

impl Decoder {
    /// A decoder with the most bytes that a line may have.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, line: BytesMut::new(), skipping: false }
    }

    /// Reads the next bytes and gives each line that they complete to `on`, without its end; blank lines are left out.
    pub fn feed(&mut self, mut bytes: &[u8], mut on: impl FnMut(Result<Bytes, TooLong>)) {
        while !bytes.is_empty() {
            let (line, ended) = match memchr::memchr(b'\n', bytes) {
                Some(at) => {
                    let (line, rest) = bytes.split_at(at);
                    bytes = rest.get(1..).unwrap_or_default();
                    (line, true)
                }
                None => (std::mem::take(&mut bytes), false),
            };
            if !self.skipping {
                self.line.extend_from_slice(line);
                if self.line.len() > self.limit {
                    self.line = BytesMut::new();
                    self.skipping = true;
                    on(Err(TooLong { limit: self.limit }));
                }
            }
            if ended && !std::mem::take(&mut self.skipping) {
                let line = self.line.split().freeze();
                let line = line.slice(..line.len() - usize::from(line.ends_with(b"\r")));
                if !line.iter().all(u8::is_ascii_whitespace) {
                    on(Ok(line));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn read(chunks: &[&[u8]], limit: usize) -> Vec<Result<Bytes, TooLong>> {
        let mut decoder = Decoder::new(limit);
        let mut lines = Vec::new();
        for chunk in chunks {
            decoder.feed(chunk, |line| lines.push(line));
        }
        lines
    }

    #[test]
    fn a_flood_is_skipped_and_reading_goes_on() {
        let lines = read(&[b"ab\r\n\n \n0123", b"456789\ncd\nef"], 4);
        assert_eq!(
            lines,
            [Ok(Bytes::from_static(b"ab")), Err(TooLong { limit: 4 }), Ok(Bytes::from_static(b"cd"))]
        );
    }

    #[test]
    fn a_message_is_one_line() {
        let mut out = BytesMut::new();
        write(b"{\n}", &mut out);
        assert_eq!(&out[..], b"{ }\n");
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[ab\r\n]{0,24}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            assert_eq!(read(&chunks, 5), read(&[bytes], 5));
        }
    }
}
