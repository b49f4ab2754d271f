//! What anybody can hold against an intermediary of MCP, each under its number. Other tests show most of them, too, and more
//! thoroughly; here each is short and on its own.
//!
//! Not here:
//! - 14, as far as it is about another principal, and 18 (a list cached for one token): without identity there is one
//!   principal, and no token of a client's reaches a server;
//! - 33, as far as it is about another replica, and 34–37, which are about tasks: `replicas` and `tasks` have them;
//! - 38–44 are about authorization, 45 about server cards, 46 about events: none of them is built yet.

use std::sync::Arc;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::stand::{Over, Running, Stand};

mod answers;
mod ends;
mod eras;
mod input;
mod mirrors;
mod requests;

/// A gateway before one server, which was reached.
async fn before(over: Over, persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk)
}

/// The code of an error.
fn code(text: &str) -> Option<&str> {
    json::at(text, &["error", "code"])
}
