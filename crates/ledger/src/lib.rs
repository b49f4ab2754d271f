//! The ledger: what was done is written down before anybody hears of it, in chains that show what was altered, removed or cut off.
//!
//! Reading order: [`record`] (what is written of a call), [`mod@line`] (one record is one line), [`chain`] (each has the hash of the one
//! before it), [`merkle`] and [`key`] (what checkpoints sign, and with what). Then how it comes to the disk: `place` (a directory for
//! each process), `disk` (the segment that is written), `queue` and `writer` (one thread writes groups), `recover` (where it goes on
//! after whatever end), [`witness`] (checkpoints kept elsewhere); and [`ledger`], which is all of that for the gateway. [`verify`] says
//! whether a ledger is as it was written, [`query`] what is in it, and [`proof`] proves one record without the others. Arguments and
//! results themselves lie apart: [`payload`] (how one is encrypted), `shelf` (their files), [`payloads`] (whether they are as they were).
#![warn(missing_docs)]

pub mod chain;
mod disk;
pub mod hash;
pub mod key;
pub mod ledger;
pub mod line;
pub mod merkle;
pub mod payload;
pub mod payloads;
mod place;
pub mod proof;
pub mod query;
mod queue;
pub mod record;
mod recover;
pub mod schema;
mod shelf;
pub mod verify;
pub mod witness;
mod writer;

pub use self::ledger::{Ledger, LedgerFault, Who};
