//! What is known of a request, whether or not its trace is kept: what kind of call it is, never what it says.

use std::sync::Arc;

use base::traces::Carrier;
use mcp::method::{self, Kind};
use opentelemetry::{KeyValue, StringValue, Value};

/// Names, by the conventions; those that begin with `portolan.` are ours.
pub(crate) mod keys {
    pub(crate) const METHOD: &str = "mcp.method.name";
    pub(crate) const REVISION: &str = "mcp.protocol.version";
    pub(crate) const SESSION: &str = "mcp.session.id";
    pub(crate) const TOOL: &str = "gen_ai.tool.name";
    pub(crate) const PROMPT: &str = "gen_ai.prompt.name";
    pub(crate) const OPERATION: &str = "gen_ai.operation.name";
    pub(crate) const REQUEST_ID: &str = "jsonrpc.request.id";
    pub(crate) const STATUS_CODE: &str = "rpc.response.status_code";
    pub(crate) const ERROR_TYPE: &str = "error.type";
    pub(crate) const TRANSPORT: &str = "network.transport";
    pub(crate) const PROTOCOL: &str = "network.protocol.name";
    pub(crate) const ADDRESS: &str = "server.address";
    pub(crate) const PORT: &str = "server.port";
    pub(crate) const ROUTE: &str = "portolan.route";
    pub(crate) const UPSTREAM: &str = "portolan.upstream";
    pub(crate) const OUTCOME: &str = "portolan.outcome";
}

/// The most characters of a name or an id.
const LONGEST: usize = 128;

/// What stands for every value that is none of few.
pub(crate) const OTHER: &str = "_OTHER";

/// At which end of a request we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// What is known of a request, kept or not.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) side: Side,
    pub(crate) method: &'static str,
    pub(crate) revision: &'static str,
    pub(crate) carrier: Option<Carrier>,
    pub(crate) thing: Option<(Kind, Arc<str>)>,
    pub(crate) upstream: Option<Arc<str>>,
}

impl Facts {
    /// What spans and metrics say both.
    pub(crate) fn common(&self, out: &mut Vec<KeyValue>) {
        out.push(KeyValue::new(keys::METHOD, self.method));
        if !self.revision.is_empty() {
            out.push(KeyValue::new(keys::REVISION, self.revision));
        }
        if let Some(carrier) = self.carrier {
            let (transport, protocol) = match carrier {
                Carrier::Http => ("tcp", Some("http")),
                Carrier::Unix => ("unix", Some("http")),
                Carrier::Pipe => ("pipe", None),
            };
            out.push(KeyValue::new(keys::TRANSPORT, transport));
            out.extend(protocol.map(|protocol| KeyValue::new(keys::PROTOCOL, protocol)));
        }
        if let Some(upstream) = self.upstream.as_ref().filter(|upstream| !upstream.is_empty()) {
            out.push(KeyValue::new(keys::UPSTREAM, text(upstream)));
        }
        if self.method == "tools/call" {
            out.push(KeyValue::new(keys::OPERATION, "execute_tool"));
        }
        match &self.thing {
            Some((Kind::Tool, name)) => out.push(KeyValue::new(keys::TOOL, text(name))),
            Some((Kind::Prompt, name)) => out.push(KeyValue::new(keys::PROMPT, text(name))),
            _ => {}
        }
    }

    /// `{mcp.method.name} {target}`, where the target is one of few.
    pub(crate) fn name(&self) -> String {
        match &self.thing {
            Some((Kind::Tool | Kind::Prompt, name)) => format!("{} {name}", self.method),
            _ => self.method.to_owned(),
        }
    }
}

pub(crate) fn text(of: &Arc<str>) -> Value {
    Value::String(StringValue::from(Arc::clone(of)))
}

/// The first characters of a text.
pub(crate) fn cut(of: &str) -> &str {
    of.char_indices().nth(LONGEST).and_then(|(end, _)| of.get(..end)).unwrap_or(of)
}

/// A method of the table: a client could make as many as it likes.
pub(crate) fn known(method: &str) -> &'static str {
    const BETWEEN_US: [&str; 6] =
        ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "DELETE"];
    let ours = || BETWEEN_US.into_iter().find(|ours| *ours == method);
    method::find(method).map(|method| method.name).or_else(ours).unwrap_or(OTHER)
}
