//! A server that costs as little as it can: it finds the end of a request and its id, and copies an answer that was made
//! before. It speaks one era.

use std::io;

use memchr::memmem;
use testkit::net::MemoryNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::net::{Address, BoxIo, Network as _};

/// How many bytes of text the result of a call has: with what is around it, 1 KB.
const TEXT: usize = 940;

/// Serves at an address of its own choice, and says which.
pub(crate) async fn serve(network: &MemoryNetwork, tools: usize, is_modern: bool) -> io::Result<Address> {
    let mut listener = network.bind(&Address::Tcp("127.0.0.1".to_owned(), 0)).await?;
    let bound = listener.local();
    let answers = std::sync::Arc::new(Answers::new(tools, is_modern));
    tokio::spawn(async move {
        while let Ok((accepted, _)) = listener.accept().await {
            let Ok(io) = accepted.open() else { continue };
            let answers = std::sync::Arc::clone(&answers);
            // A connection that breaks is missed by the client, which says so.
            tokio::spawn(async move { answers.converse(io).await });
        }
    });
    Ok(bound)
}

/// The results of the methods, made once.
struct Answers {
    is_modern: bool,
    /// What the server is, in its era's own words.
    introduction: String,
    list: String,
    call: String,
}

impl Answers {
    fn new(tools: usize, is_modern: bool) -> Self {
        let (cached, complete) = if is_modern {
            (
                r#""resultType":"complete","ttlMs":3600000,"cacheScope":"public","#,
                r#""resultType":"complete","#,
            )
        } else {
            ("", "")
        };
        let schema = r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"text":{"type":"string"}}}"#;
        let tool = |n| {
            format!(
                r#"{{"name":"search_{n}","description":"Finds what there is of a kind.","inputSchema":{schema}}}"#
            )
        };
        let all: Vec<_> = (0..tools).map(tool).collect();
        Self {
            is_modern,
            introduction: if is_modern {
                format!(r#"{{{cached}"supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}}}}"#)
            } else {
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"peer","version":"1"}}"#
                    .to_owned()
            },
            list: format!(r#"{{{cached}"tools":[{}]}}"#, all.join(",")),
            call: format!(r#"{{{complete}"content":[{{"type":"text","text":"{}"}}]}}"#, "y".repeat(TEXT)),
        }
    }

    async fn converse(&self, mut io: BoxIo) -> io::Result<()> {
        let (mut held, mut out) = (Vec::new(), Vec::new());
        loop {
            let Some(end) = request_end(&held) else {
                if io.read_buf(&mut held).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            out.clear();
            self.answer(held.get(..end).unwrap_or_default(), &mut out);
            held.drain(..end);
            io.write_all(&out).await?;
            io.flush().await?;
        }
    }

    fn answer(&self, request: &[u8], out: &mut Vec<u8>) {
        let has = |method: &str| memmem::find(request, method.as_bytes()).is_some();
        let result = if has(r#""method":"tools/call""#) {
            &self.call
        } else if has(r#""method":"tools/list""#) {
            &self.list
        } else if has(if self.is_modern { "server/discover" } else { r#""method":"initialize""# }) {
            &self.introduction
        } else if request.starts_with(b"POST") && !has("server/discover") {
            return out.extend_from_slice(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        } else {
            let refused = b"HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\n\r\n";
            return out.extend_from_slice(refused);
        };
        let id = between(request, b"\"id\":", b",").unwrap_or(b"null");
        let (before, after) = (r#"{"jsonrpc":"2.0","id":"#, r#","result":"#);
        let length = before.len() + id.len() + after.len() + result.len() + 1;
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ");
        out.extend_from_slice(length.to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        for part in [before.as_bytes(), id, after.as_bytes(), result.as_bytes(), b"}"] {
            out.extend_from_slice(part);
        }
    }
}

/// Where the first request ends, if all of it is there.
pub(crate) fn request_end(held: &[u8]) -> Option<usize> {
    let head = memmem::find(held, b"\r\n\r\n")? + 4;
    let length = between(held.get(..head)?, b"content-length: ", b"\r\n");
    // What is asked for without a body has no length.
    let length = length.unwrap_or_else(|| if held.starts_with(b"GET") { b"0" } else { b"" });
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    (held.len() >= head + length).then_some(head + length)
}

/// What stands between two texts, at the first place where the first one stands.
pub(crate) fn between<'a>(text: &'a [u8], before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
    let rest = text.get(memmem::find(text, before)? + before.len()..)?;
    rest.get(..memmem::find(rest, after)?)
}
