//! What is known of a server that was reached, and for whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use auth::Principal;
use base::error::CallError;
use bytes::Bytes;
use mcp::discover::Discovered;
use mcp::version::{Era, Revision};

/// Whose conversation with a server it is: legacy sessions and processes are not shared beyond it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Whose {
    /// The era of the clients that it is for: each is spoken for in its own where the server can.
    pub(crate) era: Era,
    /// The principal.
    pub(crate) principal: Principal,
    /// The downstream session, where each has its own.
    pub(crate) session: Option<Arc<str>>,
    /// Who its client says it is, where each has its own.
    pub(crate) client: Option<Bytes>,
    /// What its server is told that the client can be asked ([`mcp::mrtr::askable`]).
    pub(crate) declared: Arc<str>,
}

/// What is declared for a client that can be asked nothing.
pub(crate) const NOTHING: &str = "{}";

impl Whose {
    /// Whether it is the connection that is listened to for changes. What one client's own missed, others heard.
    pub(crate) fn is_shared(&self) -> bool {
        self.session.is_none()
    }

    /// Whether the client can be asked nothing.
    pub(crate) fn is_bare(&self) -> bool {
        &*self.declared == NOTHING
    }

    /// What is known that the client can be asked before it is asked; nothing where the conversation is its own, and its
    /// refusals are: what stays in one era passes as it came.
    pub(crate) fn askable(&self) -> Option<&str> {
        self.is_shared().then_some(&*self.declared)
    }

    /// Who introduces itself to a legacy server: the client whose own session it is, or else we.
    pub(crate) fn introduced<'w>(&'w self, ours: &'w str) -> &'w str {
        let theirs = self.client.as_deref().and_then(|info| std::str::from_utf8(info).ok());
        theirs.unwrap_or(ours)
    }

    /// The same in an era.
    pub(crate) fn in_era(&self, era: Era) -> Self {
        Self { era, ..self.clone() }
    }

    /// The same for a client that can be asked nothing.
    pub(crate) fn bare(&self) -> Self {
        Self { declared: NOTHING.into(), ..self.clone() }
    }

    /// Whether both are the same principal's and session's, whatever is declared, and in whatever era.
    pub(crate) fn is_kin_of(&self, other: &Self) -> bool {
        (&self.principal, &self.session) == (&other.principal, &other.session)
    }
}

/// What lies between a server and us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE of 2024-11-05.
    Sse,
    /// The pipes of a child process.
    Stdio,
    /// Nothing: Portolan itself answers.
    Own,
}

impl Transport {
    /// Its name, as it is written in logs and shown to people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StreamableHttp => "streamable-http",
            Self::Sse => "sse",
            Self::Stdio => "stdio",
            Self::Own => "own",
        }
    }
}

/// What a server said of itself when it was reached.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// The revision that it is spoken to in.
    pub(crate) revision: &'static Revision,
    /// What it is and can do.
    pub(crate) discovered: Arc<Discovered>,
    /// What it is spoken to over.
    pub(crate) transport: Transport,
    /// Counts them: of two, the one that was reached later has the larger number.
    pub(crate) number: u64,
}

static LINKS: AtomicU64 = AtomicU64::new(0);

/// How many times any server was reached until now: what was known before says nothing of who is reached later.
#[must_use]
pub fn links_begun() -> u64 {
    LINKS.load(Ordering::Acquire)
}

impl Link {
    pub(crate) fn new(
        revision: &'static Revision,
        discovered: Arc<Discovered>,
        transport: Transport,
    ) -> Self {
        let number = LINKS.fetch_add(1, Ordering::AcqRel) + 1;
        Self { revision, discovered, transport, number }
    }

    pub(crate) fn era(&self) -> Era {
        self.revision.era
    }
}

/// How a server is, as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Nobody has tried yet.
    Unknown,
    /// It was reached.
    Up {
        /// The era that it speaks.
        era: Era,
        /// The revision.
        revision: &'static str,
        /// The transport.
        transport: Transport,
    },
    /// It could not be reached.
    Down {
        /// Why.
        why: String,
        /// What its program wrote before it ended: for the log, and for who has started the program.
        said: Option<String>,
        /// The same for who asks something of it meanwhile.
        error: Box<CallError>,
    },
}

impl Health {
    /// It was not reached, or did not answer.
    pub(crate) fn down(error: &CallError) -> Self {
        let (told, said) = error.clone().split_said();
        Self::Down { why: told.to_string(), said, error: Box::new(error.clone()) }
    }
}
