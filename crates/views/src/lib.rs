//! Pages of text for people at a terminal: what gateways are doing, and what was done.
//!
//! Reading order: [`exposition`] (what `/metrics` says), [`sample`] (what happened between two looks at it), [`page`] (how that is shown);
//! [`waterfall`] (the records of one trace).
#![warn(missing_docs)]

pub mod exposition;
pub mod page;
pub mod sample;
pub mod waterfall;
