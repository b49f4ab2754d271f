//! HTTP/1.1 with as little as possible: one message after the other on one connection, heads looked at and not parsed.
//!
//! Both the server behind and the client in front use it. It knows bodies with a length and bodies in chunks.

use std::io;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest head; what is longer is not HTTP, or not ours.
const MOST_HEAD: usize = 64 * 1024;
/// How much is read at once where it is not known how much will come.
const READ: usize = 16 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    /// What was read and not given away yet.
    buffer: Vec<u8>,
    /// How much of the buffer the current message has, and how much of that its head.
    current: usize,
    head: usize,
    /// The body of the current message if it came in chunks.
    joined: Vec<u8>,
}

/// Where the parts of a message are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// Start line and headers, with the empty line.
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(READ), current: 0, head: 0, joined: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Writes two pieces without joining them.
    pub(crate) async fn write_two(&mut self, first: &[u8], second: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < first.len() {
            let slices = [io::IoSlice::new(&first[written..]), io::IoSlice::new(second)];
            match self.stream.write_vectored(&slices).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => written += count,
            }
        }
        self.stream.write_all(&second[written - first.len()..]).await
    }

    /// The next message; `None` if the other side closed between messages.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Message<'_>>> {
        let Some(head) = self.head().await? else { return Ok(None) };
        match framing(&self.buffer[..head])? {
            Framing::Length(length) => {
                let whole = head + length;
                while self.buffer.len() < whole {
                    let missing = whole - self.buffer.len();
                    self.fill(missing).await?;
                }
                (self.head, self.current) = (head, whole);
                self.joined.clear();
                Ok(Some(Message { head: &self.buffer[..head], body: &self.buffer[head..whole] }))
            }
            Framing::Chunked => {
                self.current = self.chunks(head).await?;
                self.head = head;
                Ok(Some(Message { head: &self.buffer[..head], body: &self.joined }))
            }
        }
    }

    /// Reads until what was read of the next message, whose end may never come, contains `needle`.
    pub(crate) async fn until(&mut self, needle: &[u8]) -> io::Result<()> {
        while memmem::find(&self.buffer, needle).is_none() {
            self.fill(READ).await?;
        }
        Ok(())
    }

    /// The body of the last message.
    pub(crate) fn last_body(&self) -> &[u8] {
        if self.joined.is_empty() { &self.buffer[self.head..self.current] } else { &self.joined }
    }

    /// What was read and belongs to no message yet, for a text that says what came instead.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads until there is a whole head, and says how long it is.
    async fn head(&mut self) -> io::Result<Option<usize>> {
        self.buffer.drain(..self.current);
        self.current = 0;
        let mut searched: usize = 0;
        loop {
            let from = searched.saturating_sub(3);
            if let Some(at) = memmem::find(&self.buffer[from..], b"\r\n\r\n") {
                return Ok(Some(from + at + 4));
            }
            searched = self.buffer.len();
            if searched > MOST_HEAD {
                return Err(bad("a head that does not end"));
            }
            self.buffer.reserve(READ);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if searched == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    async fn fill(&mut self, wanted: usize) -> io::Result<()> {
        self.buffer.reserve(wanted.max(READ));
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Joins the chunks that begin at `at`, and says where the message ends.
    async fn chunks(&mut self, mut at: usize) -> io::Result<usize> {
        self.joined.clear();
        loop {
            let line = loop {
                if let Some(end) = memmem::find(&self.buffer[at..], b"\r\n") {
                    break end;
                }
                self.fill(1).await?;
            };
            let size = chunk_size(&self.buffer[at..at + line])?;
            let data = at + line + 2;
            while self.buffer.len() < data + size + 2 {
                let missing = data + size + 2 - self.buffer.len();
                self.fill(missing).await?;
            }
            at = data + size + 2;
            if size == 0 {
                return Ok(at);
            }
            self.joined.extend_from_slice(&self.buffer[data..data + size]);
        }
    }
}

/// The value of a header; `name` in lower case.
pub(crate) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = head;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.len() > name.len()
            && line[name.len()] == b':'
            && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        {
            return Some(line[name.len() + 1..].trim_ascii());
        }
    }
    None
}

/// The status of a response; 0 if the head is not one.
pub(crate) fn status(head: &[u8]) -> u16 {
    let digits = head.split(|byte| *byte == b' ').nth(1).and_then(|word| std::str::from_utf8(word).ok());
    digits.and_then(|word| word.trim().parse().ok()).unwrap_or(0)
}

/// The target of a request.
pub(crate) fn target(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

fn framing(head: &[u8]) -> io::Result<Framing> {
    if let Some(length) = header(head, "content-length") {
        let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
        return length.map(Framing::Length).ok_or_else(|| bad("a content-length that is no number"));
    }
    match header(head, "transfer-encoding") {
        Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        Some(_) => Err(bad("a transfer-encoding that is not chunked")),
        None if head.starts_with(b"HTTP/") && !matches!(status(head), 202 | 204 | 304) => {
            Err(bad("a response that ends with its connection"))
        }
        None => Ok(Framing::Length(0)),
    }
}

fn chunk_size(line: &[u8]) -> io::Result<usize> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let digits = std::str::from_utf8(digits).ok();
    digits.and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or_else(|| bad("a chunk without a size"))
}

fn bad(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests;
