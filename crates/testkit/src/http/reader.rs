//! Reading HTTP/1.1: heads and bodies, for both sides.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A request's or response's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: String,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With an empty chunk.
    Chunked,
    /// With the connection.
    UntilEnd,
}

impl Head {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// How the body ends; `otherwise` if no header says it.
    #[must_use]
    pub fn framing(&self, otherwise: Framing) -> Framing {
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        let length = self.header("content-length").and_then(|length| length.parse().ok());
        length.map_or(otherwise, Framing::Length)
    }
}

/// Reads from one end of a connection.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Nothing read yet.
    pub fn new(source: R) -> Self {
        Self { source, buffer: BytesMut::new() }
    }

    /// What is read from.
    pub fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// Reads more into the buffer; how much, or 0 at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.source.read_buf(&mut self.buffer).await
    }

    /// The next line without its end; none at the end of the connection.
    async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(at + 1);
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next head; none at the end of the connection.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        let Some(start) = self.line().await? else { return Ok(None) };
        let mut headers = Vec::new();
        while let Some(line) = self.line().await?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Some(Head { start, headers }))
    }

    /// The next bytes of a body; none at its end.
    ///
    /// # Errors
    /// When the connection ends before the body does.
    pub async fn chunk(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        match framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let taken = self.buffer.len().min(*left);
                *left -= taken;
                Ok(Some(self.buffer.split_to(taken).freeze()))
            }
            Framing::UntilEnd => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Ok(None);
                }
                Ok(Some(self.buffer.split().freeze()))
            }
            Framing::Chunked => {
                let Some(size) = self.line().await? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
                let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                while self.buffer.len() < size + 2 {
                    if self.fill().await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                let chunk = self.buffer.split_to(size).freeze();
                self.buffer.advance(2);
                if size == 0 {
                    *framing = Framing::Length(0);
                    return Ok(None);
                }
                Ok(Some(chunk))
            }
        }
    }

    /// The rest of a body.
    ///
    /// # Errors
    /// When the connection ends before the body does.
    pub async fn body(&mut self, mut framing: Framing) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk(&mut framing).await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}
