//! Who makes a call, and what says so.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use http::HeaderMap;

/// Who makes a call. Caches, sessions and seals are bound to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<str>);

impl Principal {
    pub(crate) fn named(id: &str) -> Self {
        Self(id.into())
    }

    /// The one principal of an endpoint without identity.
    #[must_use]
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Principal> = LazyLock::new(|| Principal::named("anonymous"));
        ANONYMOUS.clone()
    }

    /// The name that caches and seals are bound to.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a request shows of who sends it.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The headers that it came with; none over stdio.
    pub headers: &'a HeaderMap,
}

/// Who sends a request, as its credentials say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub principal: Principal,
    /// Until when the credentials are good. Nothing ends by it yet: there is no gate whose credentials end.
    pub until: Option<SystemTime>,
}

impl Identity {
    /// The one identity of an endpoint without identity.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { principal: Principal::anonymous(), until: None }
    }

    /// An identity that another replica has found out, and says under the seal of all replicas: credentials may be good
    /// once only, so they are not looked at twice.
    #[must_use]
    pub fn told_by_replica(principal: &str, until: Option<SystemTime>) -> Self {
        Self { principal: Principal::named(principal), until }
    }
}
