//! What a scripted server is, and what it does by itself.

use std::collections::{BTreeMap, BTreeSet};

pub use mcp::version::Era;

/// How a server over HTTP answers requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// With one JSON message.
    #[default]
    Json,
    /// With server-sent events, of which the last is the response.
    Events,
}

/// How a server speaks HTTP+SSE.
#[derive(Debug, Clone)]
pub struct Sse {
    /// What it says in its `endpoint` event, in which `ID` stands for the session's id; without, it sends no such event.
    pub endpoint: Option<String>,
    /// The status with which it answers the POST of a message; what is no 2xx is lost. With 0 it takes the message and closes
    /// the connection without an answer.
    pub taken: u16,
    /// The status with which it refuses the POST of a message that is not to a session's endpoint.
    pub refuses: u16,
    /// Whether it sets cookies that name the session: one with its stream, and another one in answer to each message.
    pub sets_cookies: bool,
}

impl Default for Sse {
    fn default() -> Self {
        let endpoint = Some("/messages?sessionId=ID".to_owned());
        Self { endpoint, taken: 202, refuses: 404, sets_cookies: false }
    }
}

/// What a scripted server is, and what it does by itself.
#[derive(Debug, Clone)]
pub struct Persona {
    /// The era that it speaks.
    pub era: Era,
    /// The revision that it says it speaks.
    pub revision: String,
    /// The JSON object of its capabilities.
    pub capabilities: String,
    /// The JSON object of its `Implementation`.
    pub info: String,
    /// Its instructions.
    pub instructions: Option<String>,
    /// The JSON array of the entries of each list, by the list's method.
    pub lists: BTreeMap<String, String>,
    /// Members that its list results have beside their entries, as `"ttlMs":0`.
    pub list_members: String,
    /// How it answers requests over HTTP.
    pub style: Style,
    /// Whether it gives its HTTP sessions an id (legacy).
    pub gives_session_ids: bool,
    /// Whether it has an HTTP stream of notifications (legacy).
    pub has_stream: bool,
    /// Speaks the older HTTP transport, HTTP+SSE, and no other.
    pub sse: Option<Sse>,
    /// What it is in the other era, if it speaks both. Over stdio a process is in the era of its first message.
    pub other: Option<Box<Self>>,
    /// The methods that the test answers, although the server could by itself; `GET` and `DELETE` are such, too.
    pub scripted: BTreeSet<String>,
}

impl Persona {
    /// A modern server with everything in it and nothing that changes.
    #[must_use]
    pub fn modern() -> Self {
        Self {
            era: Era::Modern,
            revision: "2026-07-28".to_owned(),
            capabilities: r#"{"completions":{},"logging":{},"prompts":{},"resources":{},"tools":{}}"#
                .to_owned(),
            info: r#"{"name":"scripted","version":"1"}"#.to_owned(),
            instructions: None,
            lists: BTreeMap::new(),
            list_members: r#""resultType":"complete","ttlMs":0,"cacheScope":"private""#.to_owned(),
            style: Style::Json,
            gives_session_ids: true,
            has_stream: false,
            sse: None,
            other: None,
            scripted: BTreeSet::new(),
        }
    }

    /// A legacy one.
    #[must_use]
    pub fn legacy() -> Self {
        Self {
            era: Era::Legacy,
            revision: "2025-11-25".to_owned(),
            list_members: String::new(),
            ..Self::modern()
        }
    }

    /// Speaking the other era as well, in which it is this.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.other = Some(Box::new(other));
        self
    }

    /// What it is in an era; what it is in its only one, if it speaks one.
    #[must_use]
    pub fn in_era(&self, era: Era) -> &Self {
        self.other.as_deref().filter(|other| other.era == era).unwrap_or(self)
    }

    /// With these capabilities.
    #[must_use]
    pub fn able(mut self, capabilities: &str) -> Self {
        capabilities.clone_into(&mut self.capabilities);
        self
    }

    /// With these entries in a list: the text of a JSON array.
    #[must_use]
    pub fn listing(mut self, method: &str, entries: &str) -> Self {
        self.lists.insert(method.to_owned(), entries.to_owned());
        self
    }

    /// With tools of these names and nothing else to them.
    #[must_use]
    pub fn tools(self, names: &[&str]) -> Self {
        let tool = |name: &&str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
        let tools: Vec<_> = names.iter().map(tool).collect();
        self.listing("tools/list", &format!("[{}]", tools.join(",")))
    }

    /// With lists that are fresh for so long, and for whom.
    #[must_use]
    pub fn fresh(mut self, ttl_ms: u64, scope: &str) -> Self {
        self.list_members = format!(r#""resultType":"complete","ttlMs":{ttl_ms},"cacheScope":"{scope}""#);
        self
    }

    /// Leaving these methods to the test.
    #[must_use]
    pub fn scripted(mut self, methods: &[&str]) -> Self {
        self.scripted.extend(methods.iter().map(|method| (*method).to_owned()));
        self
    }

    /// Answering with server-sent events.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.style = Style::Events;
        self
    }

    /// A legacy one over HTTP+SSE.
    #[must_use]
    pub fn over_sse() -> Self {
        Self { revision: "2024-11-05".to_owned(), sse: Some(Sse::default()), ..Self::legacy() }
    }

    /// With a stream of notifications (legacy, over HTTP).
    #[must_use]
    pub fn with_stream(mut self) -> Self {
        self.has_stream = true;
        self
    }
}
