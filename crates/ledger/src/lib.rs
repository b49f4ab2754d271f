//! The ledger: what was done is written down before anybody hears of it, in chains that show what was altered, removed or cut off.
//!
//! Reading order: [`record`] (what is written of a call), [`mod@line`] (one record is one line), [`chain`] (each has the hash of the one
//! before it), [`merkle`] and [`key`] (what checkpoints sign, and with what). Then how it comes to the disk: `place` (a directory for
//! each process), [`medium`] and `disk` (the segment that is written), `queue` and `writer` (one thread writes groups), `recover` (where it
//! goes on after whatever end), [`teller`] and `witness` (checkpoints kept elsewhere); and [`ledger`], which is all of that for the gateway.
//! [`verify`] says whether a ledger is as it was written (`compare` by what witnesses have seen), [`query`] what is in it and [`tail`] what
//! comes, and [`proof`] proves one record without the others. What delivers records elsewhere goes behind the writer: [`reach`], [`spool`]. Arguments
//! and results themselves lie apart: [`payload`] (how one is encrypted), `shelf` (their files), [`payloads`] (whether they are as they were).
#![warn(missing_docs)]

pub mod chain;
mod compare;
mod disk;
pub mod hash;
pub mod key;
pub mod ledger;
pub mod line;
pub mod medium;
pub mod merkle;
pub mod payload;
pub mod payloads;
mod place;
pub mod proof;
pub mod query;
mod queue;
pub mod reach;
pub mod record;
mod recover;
pub mod schema;
mod seek;
mod shelf;
pub mod spool;
pub mod tail;
pub mod teller;
pub mod verify;
mod witness;
mod writer;

pub use self::ledger::{Ground, Ledger, LedgerFault, Who};
