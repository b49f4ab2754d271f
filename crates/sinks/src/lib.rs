//! The ledger's records on their way to other systems.
//!
//! Reading order: [`receiver`] (what a sink needs of whatever it delivers to).
#![warn(missing_docs)]

pub mod receiver;
