//! The tokio shells around [`mcp`]: they move messages and never read `params`, and they know nothing of principals.
//!
//! Reading order: [`net`] (the seam below which the world begins), [`http`] (server and client), [`child`] (stdio
//! servers), [`lines`] (messages over any byte stream), [`memory`] (how much is held at once), [`descriptors`] (what there is
//! of them), [`tls`], [`workers`] (the threads that carry connections), [`wire`] (what a person sees with `-v`), [`spell`] (what
//! is said once).

pub mod child;
pub mod descriptors;
pub mod http;
pub mod lines;
pub mod memory;
pub mod net;
pub mod spell;
pub mod tls;
pub mod wire;
pub mod workers;
