//! What follows a call over both hops, for whoever collects that: the seam to OpenTelemetry, of which only the crate `telemetry`
//! knows.
//!
//! There is one span for what a client asks of us, and one for each request that goes to a server for it. Where nobody collects
//! them there is none, and nothing is made.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use mcp::jsonrpc::{Message, MessageKind};
use mcp::method::{Kind, Method};
use mcp::trace::{SpanPlace, Trace};

/// What messages go over, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// HTTP, over TCP.
    Http,
    /// HTTP, over a Unix socket.
    Unix,
    /// The pipes of a process.
    Pipe,
}

/// A request of a client.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// Its method, as far as it is one that is known.
    pub method: &'a str,
    /// What its headers name.
    pub trace: &'a Trace,
    /// What it says of itself: the text of an object.
    pub meta: Option<&'a str>,
    /// The call of which it is a part for its client: it is sent again with what its server has asked for.
    pub before: Option<&'a SpanPlace>,
    /// The client's id of it: JSON.
    pub id: &'a str,
    /// The revision that the client speaks.
    pub revision: &'static str,
    /// The name of its legacy session, which opens nothing.
    pub session: Option<&'a Arc<str>>,
    /// The name of the route.
    pub route: &'a str,
    /// What it came by.
    pub carrier: Carrier,
}

/// A request to a server.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// Its method, as far as it is one that is known.
    pub method: &'a str,
    /// The span that it is sent for.
    pub parent: Option<&'a SpanPlace>,
    /// Whether that span is of another process.
    pub is_remote: bool,
    /// The kind of thing that it is about, and the server's own name of that, as far as the server is known to have it.
    pub thing: Option<(Kind, &'a str)>,
    /// Our id of it.
    pub id: u64,
    /// The revision that the server is spoken to in.
    pub revision: &'static str,
    /// The name of the server.
    pub upstream: &'a Arc<str>,
    /// The host and port of the server.
    pub address: Option<(&'a str, u16)>,
    /// What it goes over.
    pub carrier: Carrier,
}

/// How a span ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanEnd {
    /// With a result.
    Ok,
    /// With a tool's result that says that it has failed.
    ToolError,
    /// With an error of the server, which has this code.
    Error(i64),
    /// With a result that asks the client for something.
    Asked,
    /// With an error of ours, by its label (docs/reference/errors.md), and its code; or `cancelled`.
    Failed(&'static str, Option<i64>),
}

impl SpanEnd {
    /// How a call ended that has this response.
    #[must_use]
    pub fn of(message: &Message, method: Option<&Method>) -> Self {
        match message.kind() {
            MessageKind::Error(parts) => Self::Error(parts.code),
            MessageKind::Result(parts) if method.is_some_and(|method| method.may_ask) => {
                let Ok(result) = message.object(parts.result) else { return Self::Ok };
                match (result.get("isError"), result.string("resultType")) {
                    (Ok(Some("true")), _) => Self::ToolError,
                    (_, Ok(Some(kind))) if kind == "input_required" => Self::Asked,
                    _ => Self::Ok,
                }
            }
            _ => Self::Ok,
        }
    }
}

/// A span that is open. It ends when it is dropped: as `cancelled`, if nothing else is known.
pub trait Span: Send + Sync + Debug {
    /// Where it is, if there are traces, and not only metrics.
    fn place(&self) -> Option<&SpanPlace>;

    /// It is known to which server it goes, by that one's name.
    fn goes_to(&mut self, upstream: &Arc<str>);

    /// What it is about is there, and its caller calls it so.
    fn about(&mut self, kind: Kind, name: &str);

    /// It goes on with something of another span.
    fn link(&mut self, other: &SpanPlace);

    /// It is known how it ends.
    fn ends(&mut self, end: SpanEnd);
}

/// Collects spans and what is measured of them.
pub trait Traces: Send + Sync + Debug {
    /// A client asks something.
    fn came(&self, came: &Came<'_>) -> Box<dyn Span>;

    /// Something is asked of a server.
    fn sent(&self, sent: &Sent<'_>) -> Box<dyn Span>;

    /// A client has asked something that is between it and us, and no call: it is only measured.
    fn between_us(&self, method: &str, outcome: &'static str, took: Duration);

    /// A legacy client's session of that revision has ended.
    fn session_ended(&self, revision: &'static str, lasted: Duration);
}
