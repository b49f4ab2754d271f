//! A served reference server, and HTTP as bytes.

use std::collections::HashMap;

use reference_server::{Eras, Running, Settings, serve_http};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport::net::{Address, SystemNetwork};

/// A server on a port of its own.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) drain: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(settings: Settings) -> Self {
        let drain = CancellationToken::new();
        let address = Address::Tcp("127.0.0.1".to_owned(), 0);
        let (running, serving) = serve_http(&SystemNetwork, &address, settings, drain.clone()).await.unwrap();
        Self { running, drain, task: tokio::spawn(serving) }
    }

    pub(crate) async fn of(eras: Eras) -> Self {
        Self::start(Settings { eras, ..Settings::default() }).await
    }

    /// Sends one request on a connection of its own, and reads the response's head.
    pub(crate) async fn send(&self, method: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut stream = TcpStream::connect(self.running.address.to_string()).await.unwrap();
        let mut head = format!("{method} /mcp HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        let given = |name: &str| headers.iter().any(|(given, _)| *given == name);
        let defaults = [
            ("host", self.running.address.to_string()),
            ("accept", "application/json, text/event-stream".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        for (name, value) in &defaults {
            if !given(name) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        Reply::read(stream).await
    }

    pub(crate) async fn post(&self, headers: &[(&str, &str)], message: &Value) -> Reply {
        self.send("POST", headers, &message.to_string()).await
    }

    /// A modern request, with all that it needs.
    pub(crate) async fn modern(&self, method: &str, params: Value) -> Reply {
        let (headers, message) = modern(method, params);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post(&headers, &message).await
    }

    /// The structured content of a modern tool call.
    pub(crate) async fn probe(&self, tool: &str, arguments: Value) -> Value {
        let mut reply = self.modern("tools/call", json!({"name": tool, "arguments": arguments})).await;
        reply.json().await["result"]["structuredContent"].clone()
    }

    /// Opens a legacy session.
    pub(crate) async fn session(&self, version: &str, capabilities: Value) -> Session<'_> {
        let mut reply = self.post(&[], &initialize(version, capabilities)).await;
        let result = reply.json().await["result"].clone();
        let id = reply.headers["mcp-session-id"].clone();
        Session { served: self, id, version: version.to_owned(), result }
    }
}

/// A legacy session.
pub(crate) struct Session<'s> {
    served: &'s Served,
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) result: Value,
}

impl Session<'_> {
    pub(crate) async fn send(&self, method: &str, more: &[(&str, &str)], body: &str) -> Reply {
        let mut headers =
            vec![("mcp-session-id", self.id.as_str()), ("mcp-protocol-version", self.version.as_str())];
        headers.extend_from_slice(more);
        self.served.send(method, &headers, body).await
    }

    pub(crate) async fn request(&self, id: u64, method: &str, params: Value) -> Reply {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send("POST", &[], &message.to_string()).await
    }

    pub(crate) async fn notify(&self, method: &str, params: Value) -> Reply {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.send("POST", &[], &message.to_string()).await
    }
}

pub(crate) fn initialize(version: &str, capabilities: Value) -> Value {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

/// A modern message of id 1 whose client declares everything unless `params` bring a `_meta` of their own.
pub(crate) fn modern_message(method: &str, mut params: Value) -> Value {
    let meta = params.as_object_mut().unwrap().entry("_meta").or_insert(json!({}));
    let meta = meta.as_object_mut().unwrap();
    meta.entry("io.modelcontextprotocol/protocolVersion").or_insert(json!("2026-07-28"));
    let all = json!({"sampling": {}, "elicitation": {}, "roots": {}});
    meta.entry("io.modelcontextprotocol/clientCapabilities").or_insert(all);
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// A modern message and the headers that mirror it.
pub(crate) fn modern(method: &str, params: Value) -> (Vec<(&'static str, String)>, Value) {
    let message = modern_message(method, params);
    let mut headers =
        vec![("mcp-protocol-version", "2026-07-28".to_owned()), ("mcp-method", method.to_owned())];
    if let Some(name) = ["name", "uri"].iter().find_map(|member| message["params"][member].as_str()) {
        headers.push(("mcp-name", name.to_owned()));
    }
    (headers, message)
}

/// A response, its body read as it comes. Dropping it closes the connection.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    body: BufReader<TcpStream>,
    /// What was read of a chunked body and not yet given out.
    unread: String,
    ended: bool,
}

/// A server-sent event.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Reply {
    async fn read(stream: TcpStream) -> Self {
        let mut body = BufReader::new(stream);
        let mut line = String::new();
        body.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            line.clear();
            body.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        Self { status, headers, body, unread: String::new(), ended: false }
    }

    /// The body of a response that is one JSON text.
    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The same, unread.
    pub(crate) async fn text(&mut self) -> String {
        assert_eq!(self.headers["content-type"], "application/json");
        let mut body = vec![0; self.headers["content-length"].parse().unwrap()];
        self.body.read_exact(&mut body).await.unwrap();
        String::from_utf8(body).unwrap()
    }

    /// The next event of a response that is a stream; `None` at its end. Comments are left out.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        assert_eq!(self.headers["content-type"], "text/event-stream");
        loop {
            if let Some(at) = self.unread.find("\n\n") {
                let block: String = self.unread.drain(..at + 2).collect();
                if block.starts_with(':') {
                    continue;
                }
                let mut event = Event::default();
                for line in block.lines() {
                    match line.split_once(": ") {
                        Some(("id", value)) => event.id = Some(value.to_owned()),
                        Some(("retry", value)) => event.retry = Some(value.to_owned()),
                        Some(("data", value)) => event.data = value.to_owned(),
                        _ => {}
                    }
                }
                return Some(event);
            }
            if self.ended {
                return None;
            }
            self.chunk().await;
        }
    }

    /// All that is left of a stream, as messages; what has no data is left out.
    pub(crate) async fn messages(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(event) = self.event().await {
            if !event.data.is_empty() {
                all.push(event.json());
            }
        }
        all
    }

    /// The answer, however it came: alone, or last on a stream.
    pub(crate) async fn answer(&mut self) -> Value {
        if self.headers["content-type"] == "application/json" {
            return self.json().await;
        }
        self.messages().await.pop().unwrap()
    }

    async fn chunk(&mut self) {
        let mut line = String::new();
        self.body.read_line(&mut line).await.unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.body.read_exact(&mut chunk).await.unwrap();
        self.ended = size == 0;
        self.unread.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
    }
}
