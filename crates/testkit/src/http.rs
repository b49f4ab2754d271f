//! HTTP/1.1 as bytes: a client that sends what it is given, and shows what comes back as it came.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use transport::net::{Address, BoxIo, Network};

use crate::soon;

mod reader;
mod sse;

pub use self::reader::{Framing, Head, Reader};
pub use self::sse::{Piece, Pieces};

/// Sends requests to one address, each on a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    network: Arc<dyn Network>,
    address: Address,
}

impl Client {
    /// A client of whoever listens at an address.
    #[must_use]
    pub fn new(network: Arc<dyn Network>, address: Address) -> Self {
        Self { network, address }
    }

    /// The address, as the `Host` header has it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A connection that nothing was sent on yet.
    pub async fn open(&self) -> Connection {
        let io = soon("a connection", self.network.connect(&self.address)).await.expect("a connection");
        Connection { reader: Reader::new(io) }
    }

    /// Whether anybody listens there.
    pub async fn is_served(&self) -> bool {
        self.network.connect(&self.address).await.is_ok()
    }

    /// Sends bytes on a new connection, and reads the response's head.
    pub async fn send(&self, request: &[u8]) -> Reply {
        let mut connection = self.open().await;
        connection.write(request).await;
        connection.reply().await.expect("a response")
    }

    /// POSTs a body to `/mcp` with these headers, and with those that HTTP itself and every message here need.
    pub async fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(&self.request("POST /mcp", headers, body)).await
    }

    /// The bytes of a request with these headers, and where they do not say it otherwise, with the ones that HTTP itself
    /// and every message here need.
    #[must_use]
    pub fn request(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut all: Vec<(&str, String)> = vec![("host", self.host())];
        all.push(("accept", "application/json, text/event-stream".to_owned()));
        if !body.is_empty() {
            all.push(("content-type", "application/json".to_owned()));
            all.push(("content-length", body.len().to_string()));
        }
        all.retain(|(name, _)| headers.iter().all(|(given, _)| !given.eq_ignore_ascii_case(name)));
        all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let lines: String = all.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        [format!("{line} HTTP/1.1\r\n{lines}\r\n").as_bytes(), body].concat()
    }
}

/// One connection.
pub struct Connection {
    reader: Reader<BoxIo>,
}

impl Connection {
    /// One that was made otherwise, as over TLS.
    #[must_use]
    pub fn over(io: BoxIo) -> Self {
        Self { reader: Reader::new(io) }
    }

    /// Sends bytes. What the other end does not want to read any more is no fault of ours.
    pub async fn write(&mut self, bytes: &[u8]) {
        let io = self.reader.source_mut();
        let written = async {
            io.write_all(bytes).await?;
            io.flush().await
        };
        drop(soon("the request is read", written).await);
    }

    /// Reads the next response's head; none when the connection ends before it.
    pub async fn reply(mut self) -> Option<Reply> {
        let head = loop {
            let head = soon("a response", self.reader.head()).await.ok()??;
            if !head.start.starts_with("HTTP/1.1 1") {
                break head;
            }
        };
        let status = head.start.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let framing = match status {
            204 | 304 => Framing::Length(0),
            _ => head.framing(Framing::UntilEnd),
        };
        Some(Reply { status, headers: head.headers, pieces: Pieces::default(), connection: self, framing })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A response whose body is read as it comes. Dropping it closes the connection.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    connection: Connection,
    framing: Framing,
    pieces: Pieces,
}

impl Reply {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The media type.
    #[must_use]
    pub fn media(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }

    /// The next bytes of the body; none at its end.
    ///
    /// # Errors
    /// When the connection ends before the body does.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        soon("the next part of the body", self.connection.reader.chunk(&mut self.framing)).await
    }

    /// The whole body.
    ///
    /// # Errors
    /// When the connection ends before it.
    pub async fn try_body(&mut self) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The whole body, which must be there and be text.
    pub async fn body(&mut self) -> String {
        let body = self.try_body().await.expect("a whole body");
        String::from_utf8(body.to_vec()).expect("a body that is text")
    }

    /// The next event or comment; none at the end.
    ///
    /// # Errors
    /// When the connection ends before the stream does.
    pub async fn piece(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.pieces.take() {
                return Ok(Some(piece));
            }
            match self.chunk().await? {
                Some(chunk) => self.pieces.feed(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// The data of the next event; none at the end. Comments and events without data are left out.
    pub async fn event(&mut self) -> Option<String> {
        loop {
            match self.piece().await.expect("a stream that does not break")? {
                Piece::Event { data, .. } if !data.is_empty() => return Some(data),
                Piece::Event { .. } | Piece::Comment => {}
            }
        }
    }

    /// The response message, whether it came as JSON or as the last event of a stream.
    pub async fn response(mut self) -> String {
        if self.media() != "text/event-stream" {
            return self.body().await;
        }
        let mut last = None;
        while let Some(event) = self.event().await {
            last = Some(event);
        }
        last.expect("a stream with a response")
    }

    /// The connection, after the whole body was read.
    pub async fn finish(mut self) -> (String, Connection) {
        let body = self.body().await;
        (body, self.connection)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// Reads to the end and throws away.
pub async fn drain(mut source: impl AsyncRead + Unpin) {
    let mut buffer = [0; 4096];
    while source.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
