//! Server-sent events: an encoder that writes one `data:` line an event, and a decoder that reads what peers write.
//!
//! Source: WHATWG HTML §9.2; MCP 2026-07-28 `streamable-http` §Receiving Messages. One line an event because line-wise
//! readers exist, the official conformance harness among them.

use bytes::{BufMut, Bytes, BytesMut};

/// An event as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The event's type; `message` when the stream named none.
    pub name: Option<String>,
    /// The id that a reconnecting client would give.
    pub id: Option<String>,
    /// The data, its lines joined by `\n`.
    pub data: Bytes,
    /// How long to wait before reconnecting, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {limit} bytes")]
pub struct TooLarge {
    /// The most that one event may have.
    pub limit: usize,
}

/// Appends one event that carries a JSON message.
pub fn write_message(message: &[u8], out: &mut BytesMut) {
    out.reserve(message.len() + 24);
    out.put_slice(b"event: message\ndata: ");
    put_one_line(message, out);
    out.put_slice(b"\n\n");
}

/// Appends one event of another type than `message`: its name and its data, which are ours and have no line breaks.
pub fn write_event(name: &str, data: &str, out: &mut BytesMut) {
    out.put_slice(b"event: ");
    put_one_line(name.as_bytes(), out);
    out.put_slice(b"\ndata: ");
    put_one_line(data.as_bytes(), out);
    out.put_slice(b"\n\n");
}

/// Appends one event that carries a JSON message and an id to resume after.
pub fn write_message_with_id(id: &str, message: &[u8], out: &mut BytesMut) {
    out.put_slice(b"id: ");
    out.put_slice(id.as_bytes());
    out.put_slice(b"\n");
    write_message(message, out);
}

/// The most bytes of one chunk of [`message_chunks`].
const CHUNK: usize = 128 * 1024;

/// One event that carries a JSON message, as [`write_message`] and [`write_message_with_id`] write it, chunk by chunk: what is
/// long in the message is not copied, and not looked at before it is its turn.
pub fn message_chunks<I: Iterator<Item = Bytes>>(
    id: Option<&str>,
    message: I,
) -> impl Iterator<Item = Bytes> + use<I> {
    let mut first = BytesMut::new();
    if let Some(id) = id {
        first.put_slice(b"id: ");
        first.put_slice(id.as_bytes());
        first.put_slice(b"\n");
    }
    first.put_slice(b"event: message\ndata: ");
    let parts = message.flat_map(|mut text| {
        std::iter::from_fn(move || {
            let chunk = text.split_to(text.len().min(CHUNK));
            (!chunk.is_empty()).then_some(chunk)
        })
    });
    let lines = parts.map(|part| match memchr::memchr2(b'\n', b'\r', &part) {
        None => part,
        Some(_) => {
            let mut line = BytesMut::with_capacity(part.len());
            put_one_line(&part, &mut line);
            line.freeze()
        }
    });
    std::iter::once(first.freeze()).chain(lines).chain(std::iter::once(Bytes::from_static(b"\n\n")))
}

/// Appends an event without data: it only gives a client an id to resume after, and says how long it shall wait before
/// it does. Source: MCP 2025-11-25 `basic/transports` §Sending Messages.
pub fn write_primer(id: &str, retry_ms: u64, out: &mut BytesMut) {
    out.put_slice(format!("id: {id}\nretry: {retry_ms}\ndata: \n\n").as_bytes());
}

/// Appends a comment, which keeps an idle connection open and means nothing.
pub fn write_comment(out: &mut BytesMut) {
    out.put_slice(b":\n\n");
}

/// Line breaks in valid JSON stand between tokens only, where a space says the same.
pub(crate) fn put_one_line(message: &[u8], out: &mut BytesMut) {
    let mut rest = message;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        let (line, after) = rest.split_at(at);
        out.put_slice(line);
        out.put_u8(b' ');
        rest = after.get(1..).unwrap_or_default();
    }
    out.put_slice(rest);
}

/// Reads events from bytes however they are cut.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// Bytes of a line whose end has not come.
    line: BytesMut,
    started: bool,
    /// Whether the last line ended with a `\r`, so that a `\n` that follows belongs to it.
    after_cr: bool,
    event: Event,
    data: BytesMut,
    has_data: bool,
}

impl Decoder {
    /// A decoder for one stream, with the most bytes that one event or line may have.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: BytesMut::new(),
            started: false,
            after_cr: false,
            event: Event::default(),
            data: BytesMut::new(),
            has_data: false,
        }
    }

    /// Reads the next bytes and gives each event that they complete to `on`.
    ///
    /// # Errors
    /// When an event or a line is larger than the limit; the stream is of no use after that.
    pub fn feed(&mut self, mut bytes: &[u8], mut on: impl FnMut(Event)) -> Result<(), TooLarge> {
        while let Some(first) = bytes.first() {
            if self.after_cr && *first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                self.after_cr = false;
                continue;
            }
            self.after_cr = false;
            let Some(at) = memchr::memchr2(b'\n', b'\r', bytes) else {
                self.line.extend_from_slice(bytes);
                return self.check();
            };
            let (line, rest) = bytes.split_at(at);
            self.after_cr = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
            self.line.extend_from_slice(line);
            self.check()?;
            let line = self.line.split();
            if let Some(event) = self.end_of_line(&line) {
                on(event);
            }
            self.check()?;
        }
        Ok(())
    }

    /// How many bytes it holds of an event that has not come to its end.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.len() + self.data.len()
    }

    fn check(&self) -> Result<(), TooLarge> {
        let size = self.line.len().max(self.data.len());
        if size > self.limit { Err(TooLarge { limit: self.limit }) } else { Ok(()) }
    }

    fn end_of_line(&mut self, line: &[u8]) -> Option<Event> {
        let line = if self.started { line } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) };
        self.started = true;
        if line.is_empty() {
            return self.end_of_event();
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(0) => return None,
            Some(at) => {
                let (field, rest) = line.split_at(at);
                let value = rest.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, [].as_slice()),
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"data" => {
                if self.has_data {
                    self.data.put_u8(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.event.name = Some(text()),
            b"id" if !value.contains(&0) => self.event.id = Some(text()),
            b"retry" => self.event.retry_ms = text().parse().ok(),
            _ => {}
        }
        None
    }

    /// An event without data is not dispatched to pages, but its id and retry time count: legacy servers prime a
    /// stream that way. It is given out with empty data.
    fn end_of_event(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        let had_data = std::mem::take(&mut self.has_data);
        event.data = self.data.split().freeze();
        (had_data || event.id.is_some() || event.retry_ms.is_some()).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn read(chunks: &[&[u8]], limit: usize) -> Result<Vec<Event>, TooLarge> {
        let mut decoder = Decoder::new(limit);
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.feed(chunk, |event| events.push(event))?;
        }
        Ok(events)
    }

    proptest! {
        #[test]
        fn chunks_say_what_is_written_at_once(
            pieces in prop::collection::vec("[a\\n\\r{]{0,9}", 0..5),
            long in prop::sample::select(vec![0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3]),
            id in prop::option::of("[a-z]{1,5}"),
        ) {
            let mut pieces: Vec<_> = pieces.into_iter().map(Bytes::from).collect();
            pieces.push(Bytes::from([b"x".repeat(long), b"\n".to_vec()].concat()));
            let mut out = BytesMut::new();
            match &id {
                Some(id) => write_message_with_id(id, &pieces.concat(), &mut out),
                None => write_message(&pieces.concat(), &mut out),
            }
            let chunks: Vec<_> = message_chunks(id.as_deref(), pieces.into_iter()).collect();
            assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK));
            assert_eq!(chunks.concat(), out);
        }
    }

    fn data(text: &'static str) -> Event {
        Event { data: Bytes::from_static(text.as_bytes()), ..Event::default() }
    }

    #[test]
    fn what_peers_write_is_read() {
        let text = "\u{feff}: hello\n\ndata: a\ndata:b\n\nevent: message\nid: 7\nretry: 500\ndata: {}\r\n\r\ndata\rdata: x\r\rdata: cut off";
        assert_eq!(
            read(&[text.as_bytes()], 100).unwrap(),
            [
                data("a\nb"),
                Event {
                    name: Some("message".to_owned()),
                    id: Some("7".to_owned()),
                    retry_ms: Some(500),
                    ..data("{}")
                },
                data("\nx"),
            ]
        );
    }

    #[test]
    fn a_primed_stream_gives_its_id() {
        let primed = Event { id: Some("1".to_owned()), ..data("") };
        assert_eq!(read(&[b"id: 1\ndata:\n\nid: 1\n\n"], 100).unwrap(), [primed.clone(), primed.clone()]);
        let mut out = BytesMut::new();
        write_primer("1", 250, &mut out);
        assert_eq!(read(&[&out], 100).unwrap(), [Event { retry_ms: Some(250), ..primed }]);
    }

    #[test]
    fn floods_are_refused() {
        assert_eq!(read(&[b"data: 0123456789\n\n"], 8), Err(TooLarge { limit: 8 }));
        assert_eq!(read(&[b"data: 012\n", b"data: 345\n", b"data: 678\n"], 9), Err(TooLarge { limit: 9 }));
    }

    #[test]
    fn an_event_has_the_name_it_was_given() {
        let mut out = BytesMut::new();
        write_event("endpoint", "/sse?sessionId=1\ndata: x", &mut out);
        let named = Event { name: Some("endpoint".to_owned()), ..data("/sse?sessionId=1 data: x") };
        assert_eq!(read(&[&out], 100).unwrap(), [named]);
    }

    #[test]
    fn a_message_is_one_line() {
        let mut out = BytesMut::new();
        write_message(b"{\r\n \"a\": 1\n}", &mut out);
        assert_eq!(&out[..], b"event: message\ndata: {   \"a\": 1 }\n\n");
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "((data|id|event|retry|x):? ?[a-c\u{e9}]{0,3}(\r\n|\n|\r)|(\r\n|\n|\r)){0,12}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            assert_eq!(read(&chunks, 1000), read(&[bytes], 1000));
        }

        #[test]
        fn decoding_never_panics(bytes in any::<Vec<u8>>()) {
            drop(read(&[&bytes], 64));
        }
    }
}
