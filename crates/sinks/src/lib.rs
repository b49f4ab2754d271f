//! The ledger's records on their way to other systems.
//!
//! Each sink reads the chain of its own process behind the writer: the ledger's files are what waits for it, nothing is copied, and
//! no call knows of it. Reading order: [`receiver`] (what a sink needs of whatever it delivers to), [`mod@format`] (what records look
//! like there), `cursor` (how far a sink has come), `runner` (reads, delivers, waits, skips), [`feed`] (all sinks of a process). Then
//! the receivers: `files`; `post` (HTTP), and on it `generic`, `splunk`, `bulk`, `datadog`; [`syslog`]; `otlp` and `objects`, where
//! those features are built. [`make`] makes one of what the configuration says.
#![warn(missing_docs)]

mod bulk;
pub mod cursor;
mod datadog;
pub mod feed;
mod files;
mod form;
pub mod format;
mod generic;
pub mod make;
#[cfg(feature = "object-store")]
mod objects;
#[cfg(feature = "otlp")]
pub mod otlp;
mod post;
pub mod receiver;
mod rejected;
mod runner;
mod shared;
mod splunk;
pub mod syslog;
