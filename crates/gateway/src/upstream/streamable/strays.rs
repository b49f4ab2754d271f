//! What a legacy server says of a call on the session's own stream instead of the call's: a server whose tools do not
//! know which request they serve has no other (rmcp logs there, and so does the TypeScript SDK's `sendLoggingMessage`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use mcp::jsonrpc::Message;
use mcp::notify::{Notice, Seen};

use super::Session;
use crate::upstream::backlog::{self, Giver, Taker};
use crate::upstream::pipe::lock;

/// The calls of one session that may be told something on its stream.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    calls: Mutex<HashMap<u64, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    notices: Giver,
    /// Whether it wants log messages.
    logs: bool,
}

impl Strays {
    /// Gives a notification to the call that it belongs to. Whether there is one that can take it.
    pub(super) fn give(&self, message: Message, seen: Seen) -> bool {
        let calls = lock(&self.calls);
        let owner = match &seen.notice {
            Notice::Progress { token, .. } => token.parse().ok().and_then(|id: u64| calls.get(&id)),
            // A log message says not to which call it belongs. With one candidate there is no doubt; with more, it
            // might be another client's (protocol.md §2.8).
            Notice::Log { .. } => {
                let mut wanting = calls.values().filter(|call| call.logs);
                wanting.next().filter(|_| wanting.next().is_none())
            }
            _ => None,
        };
        owner.is_some_and(|call| call.notices.give(message, seen))
    }
}

/// A call's notifications that come on the session's stream, until dropped.
#[derive(Debug)]
pub(crate) struct Strayed {
    session: Arc<Session>,
    id: u64,
    notices: Taker,
}

impl Strayed {
    /// Begins to hear what is said of the call `id`.
    pub(crate) fn expect(session: &Arc<Session>, id: u64, logs: bool) -> Self {
        let (sender, notices) = backlog::new();
        lock(&session.strays.calls).insert(id, Waiting { notices: sender, logs });
        Self { session: Arc::clone(session), id, notices }
    }

    /// The next one; none any more once the call is over. Safe to drop while waiting.
    pub(super) async fn next(&mut self) -> Option<(Message, Seen)> {
        self.notices.next().await
    }
}

impl Drop for Strayed {
    fn drop(&mut self) {
        lock(&self.session.strays.calls).remove(&self.id);
    }
}
