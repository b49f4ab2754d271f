//! The way of a request between replicas: it may come from its client or from another replica, and go on to the one that
//! holds what it is about.

use auth::Identity;
use http::Uri;

mod forward;
mod home;
pub(crate) mod reception;

/// How a request got here.
#[derive(Debug, Clone)]
pub(crate) enum Hop {
    /// From its client.
    Direct,
    /// From another replica, where it came in by the listener of that name, and was checked.
    Forwarded { listener: String, from: String, identity: Identity },
}

/// What of a request says where it was to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came<'r> {
    pub(super) uri: &'r Uri,
    pub(super) hop: &'r Hop,
    pub(super) identity: &'r Identity,
}
