//! What is to be sent to a server.

use std::sync::{Arc, LazyLock};

use base::detail::SentAs;
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp::call::Call;
use mcp::trace::{SpanPlace, Trace};
use mcp::version::Era;
use tokio::time::Duration;

/// What is to be sent: a modern call, and what is to be written into it for this server.
#[derive(Debug)]
pub struct Order<'a> {
    /// The call.
    pub call: &'a Call,
    /// The era of the client.
    pub era: Era,
    /// The era that whoever gets the answer reads: what was said in it passes as it came.
    pub reads: Era,
    /// The server's own name of what it is about, if it differs.
    pub subject: Option<&'a str>,
    /// The trace that it belongs to, as its client has named it.
    pub trace: Trace,
    /// The span of ours that it is sent for, if there are any.
    pub span: Option<&'a SpanPlace>,
    /// Whether its server is known to have what it is about: only such names become known to those who follow calls.
    pub is_listed: bool,
    /// The client's headers.
    pub headers: &'a HeaderMap,
    /// The mirrored arguments.
    pub mirrored: &'a [(HeaderName, HeaderValue)],
    /// The downstream session.
    pub session: Option<Arc<str>>,
    /// The client, where it is known which calls are the same one's.
    pub client: Option<Arc<str>>,
    /// How long the answer's beginning may take, the wait for a place included.
    pub within: Duration,
    /// Whether it is a subscription stream, which takes no place and has no end of its own.
    pub listens: bool,
    /// Whether it asks how the server is, which takes no place either: a server with too much to do is no worse for it.
    pub probes: bool,
    /// An earlier request whose progress belongs here now: a call whose task this waits for.
    pub after: Option<u64>,
    /// Where it must be known to whom it goes: how many times servers had been reached when that was found out
    /// ([`crate::links_begun`]). To one that was reached later it is not sent.
    pub known_at: Option<u64>,
    /// Where it is said how it was sent, if anybody wants to know.
    pub sent: Option<Arc<SentAs>>,
}

static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

impl<'a> Order<'a> {
    /// A request of our own, about nothing that any client asked for, made for clients of an era.
    pub fn ours(call: &'a Call, era: Era, within: Duration) -> Self {
        Self {
            call,
            era,
            reads: Era::Modern,
            subject: None,
            trace: Trace::default(),
            span: None,
            is_listed: false,
            headers: &NO_HEADERS,
            mirrored: &[],
            session: None,
            client: None,
            within,
            listens: false,
            probes: false,
            after: None,
            known_at: None,
            sent: None,
        }
    }

    /// It is sent now, under that id, in that session of the server's.
    pub(crate) fn sends(&self, id: u64, session: Option<&str>) {
        if let Some(sent) = &self.sent {
            sent.sends(id, session);
        }
    }

    /// No connection could be made: it was not sent after all.
    pub(crate) fn unsent(&self) {
        if let Some(sent) = &self.sent {
            sent.unsent();
        }
    }
}
