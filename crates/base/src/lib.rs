//! What the data plane stands on. Every room of it may use this, and this knows no room: no route, no server, no listener.
//! Nothing here sends anything.
//!
//! Reading order: [`plan`] (the configuration, checked: what `config` makes and `gateway` carries out), [`world`] and
//! [`clock`] (all that comes from outside), [`error`] and [`fault`] (what can go wrong, and what that says of a server),
//! [`mod@reply`] (the error table: what callers are told of it), [`metrics`] (what is counted), [`sink`] and [`traces`] (where it goes what is known of calls), [`descriptors`] (how many files
//! a plan may have open), [`pin`] (what was pinned of what servers list). Then tools that know nothing of calls: [`bulkhead`], [`cache`] (bounded, with single flight),
//! [`masks`] (secrets in foreign text), [`globs`], [`digest`], [`random`], [`mod@aside`] (large work off the threads that carry
//! connections), [`under_way`] (asked for once, for all who want it), [`expiry`] (questions whose time is over), [`sync`].
#![warn(missing_docs)]

pub mod aside;
pub mod bulkhead;
pub mod cache;
pub mod checks;
pub mod clock;
pub mod define;
pub mod descriptors;
pub mod detail;
pub mod digest;
pub mod era;
pub mod error;
pub mod expiry;
pub mod fault;
pub mod globs;
pub mod lasting;
pub mod masks;
pub mod metrics;
pub mod moment;
pub mod names;
pub mod nearest;
pub mod owned_task;
pub mod pin;
pub mod plan;
pub mod random;
pub mod redact;
pub mod reply;
pub mod sink;
pub mod start_places;
pub mod sync;
pub mod traces;
pub mod under_way;
pub mod uris;
pub mod visible;
pub mod withheld;
pub mod world;
