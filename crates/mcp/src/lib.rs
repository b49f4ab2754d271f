//! The Model Context Protocol for programs that stand in the middle: bytes and `now` in, values and bytes out.
//!
//! Nothing here does I/O, reads a clock, is async, or panics on input; nothing builds a model around a payload.
//! Reading order: [`json`] (looking into text without taking it apart), [`jsonrpc`] (the four kinds of message),
//! [`call`] (the one kind of request inside Portolan), then [`inbound`] and [`outbound`], its two ends.
#![warn(missing_docs)]
#![warn(clippy::indexing_slicing)]

pub mod answer;
pub mod cache;
pub mod call;
pub mod discover;
pub mod era;
pub mod glance;
pub mod headers;
pub mod inbound;
pub mod json;
pub mod jsonrpc;
pub mod legacy;
pub mod lines;
pub mod list;
pub mod listen;
pub mod meta;
pub mod method;
pub mod mirror;
pub mod mrtr;
pub mod notify;
pub mod outbound;
pub mod prebuilt;
pub mod reject;
pub mod repair;
pub mod sse;
pub mod template;
pub mod tolerant;
pub mod trace;
pub mod uris;
pub mod version;
