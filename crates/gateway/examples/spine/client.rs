//! A client that sends the same bytes again and again.

use std::error::Error;
use std::io;

use testkit::net::MemoryNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::net::{Address, BoxIo, Network as _};

use crate::peer::{between, request_end};
use crate::plan::PATH;

/// How many bytes the text argument of a call has: with what is around it, 1 KB.
const TEXT: usize = 740;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"counter","version":"1"}}"#;

/// One connection.
pub(crate) struct Client {
    io: BoxIo,
    held: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(network: &MemoryNetwork, address: &Address) -> io::Result<Self> {
        Ok(Self { io: network.connect(address).await?, held: Vec::new() })
    }

    /// Opens a legacy session and says its id.
    pub(crate) async fn open_session(&mut self) -> Result<String, Box<dyn Error>> {
        let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"counter","version":"1"}}}"#;
        let response = self.ask(&post(&[], hello)).await?;
        let session = between(&response, b"mcp-session-id: ", b"\r\n").ok_or("no session was opened")?;
        let session = std::str::from_utf8(session)?.to_owned();
        let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        self.ask(&post(&legacy_headers(&session), ready)).await?;
        Ok(session)
    }

    /// Sends a request that often.
    pub(crate) async fn repeat(&mut self, request: &[u8], times: usize) -> Result<(), Box<dyn Error>> {
        let first = self.ask(request).await?;
        let whole = memchr::memmem::find(&first, br#""result":{"#).is_some();
        if !first.starts_with(b"HTTP/1.1 200") || !whole {
            return Err(format!("not a result: {}", String::from_utf8_lossy(&first)).into());
        }
        for _ in 1..times {
            // The same request has the same answer, so its length need not be looked for again.
            self.send(request).await?;
            while self.held.len() < first.len() {
                self.fill().await?;
            }
            if self.held.len() != first.len() || !self.held.starts_with(b"HTTP/1.1 200") {
                return Err(format!("another answer: {}", String::from_utf8_lossy(&self.held)).into());
            }
            self.held.clear();
        }
        Ok(())
    }

    /// Sends a request and gives the whole response.
    async fn ask(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        self.send(request).await?;
        loop {
            if let Some(end) = request_end(&self.held) {
                return Ok(self.held.drain(..end).collect());
            }
            if let Some(head) = memchr::memmem::find(&self.held, b"\r\n\r\n")
                && self.held.starts_with(b"HTTP/1.1 202")
            {
                return Ok(self.held.drain(..head + 4).collect());
            }
            self.fill().await?;
        }
    }

    async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.io.write_all(request).await?;
        self.io.flush().await
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.io.read_buf(&mut self.held).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the gateway has closed the connection")),
            _ => Ok(()),
        }
    }
}

/// A modern call of 1 KB, with a token or without one.
pub(crate) fn modern_call(token: Option<&str>) -> Vec<u8> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"github__search_1","arguments":{},{META}}}}}"#,
        arguments()
    );
    let mut headers = modern_headers("tools/call");
    headers.extend([("mcp-name", "github__search_1"), ("mcp-param-region", "eu-west")]);
    let token = token.map(|token| format!("Bearer {token}"));
    headers.extend(token.as_deref().map(|token| ("authorization", token)));
    post(&headers, &body)
}

/// A modern client's question for the tools.
pub(crate) fn modern_list() -> Vec<u8> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{{META}}}}}"#);
    post(&modern_headers("tools/list"), &body)
}

/// The same call by a legacy client.
pub(crate) fn legacy_call(session: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"github__search_1","arguments":{}}}}}"#,
        arguments()
    );
    post(&legacy_headers(session), &body)
}

fn arguments() -> String {
    format!(r#"{{"region":"eu-west","text":"{}"}}"#, "x".repeat(TEXT))
}

fn modern_headers(method: &str) -> Vec<(&str, &str)> {
    vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)]
}

fn legacy_headers(session: &str) -> Vec<(&str, &str)> {
    vec![("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", session)]
}

fn post(headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
