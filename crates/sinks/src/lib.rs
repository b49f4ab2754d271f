//! The ledger's records on their way to other systems.
//!
//! Reading order: [`receiver`] (what a sink needs of whatever it delivers to), [`mod@format`] (what records look like there), then the
//! receivers: [`syslog`], and `otlp` where that feature is built.
#![warn(missing_docs)]

pub mod format;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod receiver;
pub mod syslog;
