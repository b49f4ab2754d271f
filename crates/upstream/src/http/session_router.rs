//! What a legacy server says of a call on the session's own stream instead of the call's: a server whose tools do not
//! know which request they serve has no other (rmcp logs there, and so does the TypeScript SDK's `sendLoggingMessage`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base::sync::lock;
use mcp::jsonrpc::{Id, Message};
use mcp::notify::{Notice, Seen};
use mcp::reject::code;

use super::HttpWire;
use crate::arrival::Arrival;
use crate::ask::{Ask, Asked, Nobody};
use crate::backlog::{Giver, Said, Taker};
use crate::link::Whose;
use crate::unsolicited::Unsolicited;
use crate::{ask, backlog};

/// The calls of one session that may be told something on its stream.
#[derive(Debug, Default)]
pub(crate) struct SessionRouter {
    calls: Mutex<HashMap<u64, RoutedCall>>,
}

#[derive(Debug)]
struct RoutedCall {
    notices: Giver,
    /// Whether its response has come there.
    answered: bool,
    /// Whether it wants log messages.
    logs: bool,
    asked: Asked,
}

impl SessionRouter {
    /// Gives a notification to the call that it belongs to. Whether there is one that can take it.
    pub(super) fn give(&self, message: Message, seen: Seen) -> bool {
        let calls = lock(&self.calls);
        if let Notice::Cancelled { .. } = &seen.notice {
            // The server withdraws a request of its own: whoever has passed that on knows it by its id.
            for call in calls.values().filter(|call| call.asked.can_be()) {
                call.notices.give(Said::Notice(message.clone(), seen.clone()));
            }
            return true;
        }
        let owner = match &seen.notice {
            Notice::Progress { token, .. } => token.parse().ok().and_then(|id: u64| {
                calls.get(&id).or_else(|| calls.values().find(|call| call.asked.after == Some(id)))
            }),
            // A log message says not to which call it belongs. With one candidate there is no doubt; with more, it
            // might be another client's (MCP 2025-11-25 `server/utilities/logging` §Log Message Notifications).
            Notice::Log { .. } => {
                let mut wanting = calls.values().filter(|call| call.logs);
                wanting.next().filter(|_| wanting.next().is_none())
            }
            _ => None,
        };
        owner.is_some_and(|call| call.notices.give(Said::Notice(message, seen)))
    }

    /// Gives a response to the call that waits for it. Whether there is one.
    pub(super) fn answer(&self, message: Message) -> bool {
        let Some(id) = message.response_id().and_then(Id::as_number) else { return false };
        let mut calls = lock(&self.calls);
        let Some(call) = calls.get_mut(&id).filter(|call| !call.answered) else { return false };
        call.answered = true;
        call.notices.answer(message)
    }

    /// Tells a client in a call of it that is open. Whether there is one.
    pub(super) fn tell(&self, client: &Arc<str>, message: Message, seen: Seen) -> bool {
        let calls = lock(&self.calls);
        let theirs = calls.iter().filter(|(_, call)| call.asked.client.as_ref() == Some(client));
        let call = theirs.max_by_key(|(id, _)| **id).map(|(_, call)| call);
        call.is_some_and(|call| call.notices.give(Said::Notice(message, seen)))
    }

    /// Who has made a call.
    pub(super) fn client_of(&self, id: u64) -> Option<Arc<str>> {
        lock(&self.calls).get(&id).and_then(|call| call.asked.client.clone())
    }

    /// Gives a request of the server to the call that it belongs to, or to the only client that can be meant.
    ///
    /// # Errors
    /// Why there is none. The request is refused then.
    pub(super) fn ask(
        &self,
        ask: Ask,
        (unsolicited, whose): (&Unsolicited, &Whose),
    ) -> Result<(), &'static str> {
        let calls = lock(&self.calls);
        let owner = ask::owner(whose, calls.iter().map(|(id, call)| (*id, &call.asked, call)));
        match owner {
            // Where there is no room for it, it is refused by being dropped.
            Ok(call) => {
                unsolicited.give(&ask, call.asked.client.as_ref());
                let given = call.notices.give(Said::Ask(ask));
                given.then_some(()).ok_or("too much waits for the client already")
            }
            Err(Nobody::NoCall) => unsolicited.ask(whose, ask),
            Err(why) => {
                ask.refuse(code::INVALID_PARAMS, why.text());
                Err(why.text())
            }
        }
    }
}

/// An elicitation is over, as a stream says: whoever was given it is told, in a call that is still open, or beside. What is
/// returned belongs to the stream's own call.
pub(super) fn complete(
    wire: &HttpWire,
    (router, id): (Option<&Arc<SessionRouter>>, Option<u64>),
    (elicitation, message, seen): (&str, Message, Seen),
) -> Option<Arrival> {
    let shared = &wire.shared;
    match (shared.unsolicited.given(elicitation), router) {
        (Some(client), Some(router)) => {
            if id.and_then(|id| router.client_of(id)).as_ref() == Some(&client) {
                return Some(Arrival::Notice(message, seen));
            }
            if router.tell(&client, message.clone(), seen)
                || shared.unsolicited.tell(&client, message.bytes())
            {
                return None;
            }
        }
        // Nobody else can be meant by what comes on the stream of a call, whoever the server thinks it has asked.
        (None, _) if id.is_some() => return Some(Arrival::Notice(message, seen)),
        _ => {}
    }
    shared.world.metrics.dropped(&shared.plan.name);
    None
}

/// A call's notifications that come on the session's stream, until dropped.
#[derive(Debug)]
pub(crate) struct RoutedMessages {
    router: Arc<SessionRouter>,
    id: u64,
    /// An earlier request whose progress is told here, too.
    pub(super) after: Option<u64>,
    notices: Taker,
}

impl RoutedMessages {
    /// Begins to hear what is said of the call `id`.
    pub(crate) fn expect(router: &Arc<SessionRouter>, id: u64, logs: bool, asked: Asked) -> Self {
        let ((sender, notices), after) = (backlog::new(), asked.after);
        lock(&router.calls).insert(id, RoutedCall { notices: sender, answered: false, logs, asked });
        Self { router: Arc::clone(router), id, after, notices }
    }

    /// The next one; none any more once the call is over. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Said> {
        self.notices.next().await
    }
}

impl Drop for RoutedMessages {
    fn drop(&mut self) {
        lock(&self.router.calls).remove(&self.id);
    }
}
