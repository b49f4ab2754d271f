//! The requests, made once and sent again and again with another id.

use super::{Era, Load, What};
use crate::fault::Fault;

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";
const REGION: &str = "eu-west-1";
/// Ids have ten digits, so that requests and answers have one length.
const FIRST_ID: u64 = 1_000_000_000;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) method: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Where the digits of the id stand in the body.
    marks: Vec<usize>,
}

impl Template {
    /// What this load asks for, in this session.
    pub(super) fn of(load: &Load, session: Option<&str>) -> Self {
        let (method, params) = match load.what {
            What::File => {
                return Self { method: "GET", headers: Vec::new(), body: Vec::new(), marks: Vec::new() };
            }
            What::Call => ("tools/call", call(load, &load.tool, "")),
            What::Stream => {
                ("tools/call", call(load, &load.tool, &format!(r#","progressToken":"t{FIRST_ID}""#)))
            }
            What::List => ("tools/list", format!(r#"{{{}}}"#, meta(load.era, "").unwrap_or_default())),
            // A session alone asks for nothing; what it does when it is asked whether it serves is to list.
            What::Session | What::SessionLevel | What::SessionWatch => ("tools/list", "{}".to_owned()),
            What::Listen => {
                let meta = meta(load.era, "").unwrap_or_default();
                ("subscriptions/listen", format!(r#"{{{meta},"notifications":{{"toolsListChanged":true}}}}"#))
            }
        };
        let mut made = Self::message(load.era, method, &params, session);
        if load.era == Era::Modern && matches!(load.what, What::Call | What::Stream) {
            made.headers.push(("mcp-name", load.tool.clone()));
            made.headers.push(("mcp-param-region", REGION.to_owned()));
        }
        made
    }

    /// The first request of a legacy session.
    pub(super) fn initialize() -> Self {
        let params = format!(
            r#"{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"bench","version":"1"}}}}"#
        );
        let mut made = Self::message(Era::Legacy, "initialize", &params, None);
        // Only what comes after it knows the revision.
        made.headers.retain(|(name, _)| *name != "mcp-protocol-version");
        made
    }

    /// The notification after it.
    pub(super) fn initialized(session: Option<&str>) -> Self {
        let mut made = Self::message(Era::Legacy, "notifications/initialized", "{}", session);
        made.body = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_vec();
        made.marks.clear();
        made
    }

    /// What gives a session something to remember; `None` if it has nothing.
    pub(super) fn remembered(what: What, session: Option<&str>) -> Option<Self> {
        let (method, params) = match what {
            What::SessionLevel => ("logging/setLevel", r#"{"level":"warning"}"#),
            What::SessionWatch => ("resources/subscribe", r#"{"uri":"bench://s1__watched"}"#),
            _ => return None,
        };
        Some(Self::message(Era::Legacy, method, params, session))
    }

    fn message(era: Era, method: &str, params: &str, session: Option<&str>) -> Self {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"{method}","params":{params}}}"#);
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        match era {
            Era::Modern => {
                headers.push(("mcp-protocol-version", MODERN.to_owned()));
                headers.push(("mcp-method", method.to_owned()));
            }
            Era::Legacy => headers.push(("mcp-protocol-version", LEGACY.to_owned())),
        }
        headers.extend(session.map(|session| ("mcp-session-id", session.to_owned())));
        let digits = FIRST_ID.to_string();
        let marks = memchr::memmem::find_iter(body.as_bytes(), digits.as_bytes()).collect();
        Self { method: "POST", headers, body: body.into_bytes(), marks }
    }

    /// Its bytes on an HTTP/1.1 connection.
    pub(super) fn http1(&self, authority: &str, path: &str) -> Http1 {
        let mut bytes = format!("{} {path} HTTP/1.1\r\nhost: {authority}\r\n", self.method);
        for (name, value) in &self.headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method == "POST" {
            bytes.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        bytes.push_str("\r\n");
        let head = bytes.len();
        let bytes = [bytes.as_bytes(), &self.body].concat();
        Http1 { bytes, marks: self.marks.iter().map(|mark| head + mark).collect() }
    }

    /// Its body with this id.
    pub(super) fn with_id(&self, number: u64) -> (u64, Vec<u8>) {
        let mut body = self.body.clone();
        let id = FIRST_ID + number;
        put(&mut body, &self.marks, id);
        (id, body)
    }
}

/// A request as it stands on the wire.
#[derive(Debug)]
pub(super) struct Http1 {
    bytes: Vec<u8>,
    marks: Vec<usize>,
}

impl Http1 {
    /// Puts another value of the same length into a header.
    pub(super) fn say(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        let start = format!("\r\n{name}: ");
        let at = memchr::memmem::find(&self.bytes, start.as_bytes()).map(|at| at + start.len());
        let end = at.map_or(0, |at| at + value.len());
        match at.filter(|_| self.bytes.get(end) == Some(&b'\r')) {
            Some(at) => self.bytes[at..end].copy_from_slice(value.as_bytes()),
            None => return Err(Fault::new(format!("no header {name} of that length"))),
        }
        Ok(())
    }

    /// The bytes with this id, and the id.
    pub(super) fn with_id(&mut self, number: u64) -> (u64, &[u8]) {
        let id = FIRST_ID + number;
        put(&mut self.bytes, &self.marks, id);
        (id, &self.bytes)
    }
}

fn put(bytes: &mut [u8], marks: &[usize], id: u64) {
    let digits = id.to_string();
    for mark in marks {
        bytes[*mark..*mark + digits.len()].copy_from_slice(digits.as_bytes());
    }
}

/// The member `_meta` of a modern request; nothing in the legacy era, unless something stands in it.
fn meta(era: Era, more: &str) -> Option<String> {
    match era {
        Era::Modern => Some(format!(
            r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}{more}}}"#
        )),
        Era::Legacy if more.is_empty() => None,
        Era::Legacy => Some(format!(r#""_meta":{{{}}}"#, more.trim_start_matches(','))),
    }
}

fn call(load: &Load, tool: &str, more: &str) -> String {
    let meta = meta(load.era, more).map_or_else(String::new, |meta| format!("{meta},"));
    let data = "y".repeat(load.size);
    format!(r#"{{"name":"{tool}",{meta}"arguments":{{"region":"{REGION}","data":"{data}"}}}}"#)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: Load,
    }

    fn load(options: &[&str]) -> Load {
        let all = ["load", "--url", "http://h:1/p"].iter().chain(options);
        Line::try_parse_from(all).unwrap().load
    }

    fn json(template: &Template) -> serde_json::Value {
        serde_json::from_slice(&template.with_id(5).1).unwrap()
    }

    #[test]
    fn a_modern_call_says_in_headers_what_its_body_says() {
        let template = Template::of(&load(&["--tool", "a__echo_10", "--size", "10"]), None);
        let body = json(&template);
        let meta = &body["params"]["_meta"];
        let header =
            |name| template.headers.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str());
        assert_eq!(header("mcp-protocol-version"), meta["io.modelcontextprotocol/protocolVersion"].as_str());
        assert_eq!(header("mcp-method"), body["method"].as_str());
        assert_eq!(header("mcp-name"), body["params"]["name"].as_str());
        assert_eq!(header("mcp-param-region"), body["params"]["arguments"]["region"].as_str());
        assert_eq!(body["params"]["arguments"]["data"].as_str().unwrap().len(), 10);
        assert_eq!(body["id"], FIRST_ID + 5);
    }

    #[test]
    fn all_requests_are_json_of_their_era() {
        for what in ["call", "list", "stream", "listen"] {
            let template = Template::of(&load(&["--do", what]), None);
            assert!(json(&template)["params"]["_meta"].is_object(), "{what}");
        }
        let legacy = Template::of(&load(&["--era", "legacy"]), Some("s"));
        assert!(json(&legacy)["params"]["_meta"].is_null());
        assert!(legacy.headers.contains(&("mcp-session-id", "s".to_owned())));
        assert!(!legacy.headers.iter().any(|(name, _)| *name == "mcp-name"));
        assert_eq!(json(&Template::initialize())["method"], "initialize");
    }

    #[test]
    fn the_id_and_the_token_change_together_and_nothing_else() {
        let template = Template::of(&load(&["--do", "stream"]), None);
        let mut request = template.http1("h:1", "/p");
        let first = request.with_id(1).1.to_vec();
        let (id, second) = request.with_id(2);
        assert_eq!(id, FIRST_ID + 2);
        assert_eq!(first.iter().zip(second).filter(|(a, b)| a != b).count(), 2);
        assert!(first.starts_with(b"POST /p HTTP/1.1\r\nhost: h:1\r\n"));
    }
}
