//! One configured MCP server: how it is reached, spoken to in its own era, and kept from harming others.
//!
//! An [`Order`] that somebody has permitted goes in, an [`Answer`] comes out; which era and transport lie between stays in
//! here. Nothing but [`Upstream::send`] reaches a server for a client, and it takes nothing without a permit. It knows no
//! catalog, no route, no listener and no client's session but by name.
//!
//! Reading order: `upstream` (what is known of one), `order` and `send` (a call on its way), `answer` (what comes back),
//! `hop` (who follows it),
//! `ask` (what a server asks in the middle of it), `retry` (what is sent twice); then the wires: `http` (Streamable HTTP), `sse`
//! (HTTP+SSE), `stdio`, `own` (Portolan itself), and `pipe` (one conversation of many calls), whose `pool` begins and keeps them. `health`, `health_check`, `suspense` and `patience` look after a server that is sick; `eras` knows what it speaks, `shared` what all of
//! these have in common.

mod answer;
mod arrival;
mod ask;
mod backlog;
mod challenge;
mod departed;
mod eras;
mod failed;
mod health;
mod health_check;
mod hop;
mod http;
mod last_words;
mod link;
mod notices;
mod notification_stream;
mod order;
mod own;
mod patience;
mod pipe;
mod retry;
mod send;
mod shared;
mod sse;
mod stdio;
mod suspense;
mod temper;
mod unsolicited;
mod upstream;

pub use crate::answer::Answer;
pub use crate::arrival::{Arrival, Response};
pub use crate::ask::{Ask, PendingReply};
pub use crate::health_check::HealthCheck;
pub use crate::link::{Health, Transport, links_begun};
pub use crate::notices::Told;
pub use crate::notification_stream::NotificationStream;
pub use crate::order::Order;
pub use crate::own::{OwnCall, Serve, own_description};
pub use crate::suspense::{Waited, Want};
pub use crate::unsolicited::UnsolicitedMessage;
pub use crate::upstream::Upstream;
