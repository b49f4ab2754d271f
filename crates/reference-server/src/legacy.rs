//! The legacy era: a session that `initialize` opens, requests of the server in mid-call, and streams that a client
//! may leave and come back to.
//!
//! Source: MCP 2025-11-25 `basic/lifecycle`, `basic/transports`. Reading order: [`session`] (what both transports
//! share), [`inquiries`] (asking in mid-call), [`events`] (streams that can be resumed), [`sessions`] and [`http`].

pub(crate) mod events;
pub(crate) mod http;
pub(crate) mod inquiries;
pub(crate) mod session;
pub(crate) mod sessions;
