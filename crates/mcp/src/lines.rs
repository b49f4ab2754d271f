//! Newline-delimited messages: the framing of stdio. Source: MCP 2026-07-28 `basic/transports/stdio`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::glance::Glance;
use crate::jsonrpc::Id;
use crate::sse::put_one_line;

/// Appends one message and its line end.
pub fn write(message: &[u8], out: &mut BytesMut) {
    out.reserve(message.len() + 1);
    put_one_line(message, out);
    out.put_u8(b'\n');
}

/// A line is longer than allowed. It was skipped, and the lines after it can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct TooLong {
    /// The most bytes that a line may have.
    pub limit: usize,
    /// The request that it answers, if it is a response.
    pub answers: Option<Id>,
    /// The id of what was perhaps meant to be a request.
    pub asks: Option<Id>,
}

/// Reads lines from bytes however they are cut.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    line: BytesMut,
    skipping: Option<Skipping>,
}

/// A line that is too long, while the rest of it passes by.
#[derive(Debug, Default)]
struct Skipping {
    glance: Glance,
    /// Whether it was told of.
    told: bool,
}

impl Decoder {
    /// A decoder with the most bytes that a line may have.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, line: BytesMut::new(), skipping: None }
    }

    /// How many bytes it holds of a line that has not come to its end.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.len()
    }

    /// Holds no more of the line that has begun: it is skipped as one that is too long.
    pub fn let_go(&mut self, on: impl FnMut(Result<Bytes, TooLong>)) {
        let (begun, mut on) = (std::mem::take(&mut self.line), on);
        self.skipping.get_or_insert_default().pass(&begun, begun.len(), &mut on);
    }

    /// Reads the next bytes and gives each line that they complete to `on`, without its end; blank lines are left out.
    /// A line that is too long is told of when it is known what it answers, which may be at its end.
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
            let limit = self.limit;
            if self.skipping.is_none() {
                self.line.extend_from_slice(line);
                if self.line.len() > limit {
                    let begun = std::mem::take(&mut self.line);
                    self.skipping.insert(Skipping::default()).pass(&begun, limit, &mut on);
                }
            } else if let Some(skipping) = &mut self.skipping {
                skipping.pass(line, limit, &mut on);
            }
            if !ended {
                continue;
            }
            match self.skipping.take() {
                Some(skipping) if skipping.told => {}
                Some(skipping) => {
                    let (answers, asks) = (skipping.glance.response_id(), skipping.glance.request_id());
                    on(Err(TooLong { limit, answers, asks }));
                }
                None => {
                    let line = self.line.split().freeze();
                    let line = line.slice(..line.len() - usize::from(line.ends_with(b"\r")));
                    if !line.iter().all(u8::is_ascii_whitespace) {
                        on(Ok(line));
                    }
                }
            }
        }
    }
}

impl Skipping {
    fn pass(&mut self, bytes: &[u8], limit: usize, on: &mut impl FnMut(Result<Bytes, TooLong>)) {
        if self.told {
            return;
        }
        self.glance.feed(bytes);
        if let Some(answers) = self.glance.response_id() {
            self.told = true;
            on(Err(TooLong { limit, answers: Some(answers), asks: None }));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn too_long(limit: usize, answers: Option<u64>) -> Result<Bytes, TooLong> {
        Err(TooLong { limit, answers: answers.map(Id::number), asks: None })
    }

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
        assert_eq!(lines, [Ok(Bytes::from_static(b"ab")), too_long(4, None), Ok(Bytes::from_static(b"cd"))]);
    }

    #[test]
    fn it_is_told_what_a_line_that_is_too_long_answers() {
        let flood = "x".repeat(100);
        let first = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":"{flood}"#);
        // Known before the line ends, and told once.
        assert_eq!(read(&[first.as_bytes()], 40), [too_long(40, Some(7))]);
        let whole = format!("{first}\"}}}}\nab\n");
        assert_eq!(read(&[whole.as_bytes()], 40), [too_long(40, Some(7)), Ok(Bytes::from_static(b"ab"))]);
        // The TypeScript SDK writes the id last.
        let last = format!("{{\"result\":{{\"a\":\"{flood}\"}},\"jsonrpc\":\"2.0\",\"id\":7}}\n");
        for cut in [1, 40, 41, 100, last.len() - 3] {
            let (head, tail) = last.as_bytes().split_at(cut);
            assert_eq!(read(&[head, tail], 40), [too_long(40, Some(7))]);
        }
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
