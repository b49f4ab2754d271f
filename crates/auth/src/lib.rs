//! Who you are, and whether you may. A [`Permit`] is made only here, and nothing is sent to a server without one.
//!
//! There is one gate so far, the open one: every client is the anonymous principal and may do everything that the
//! configuration exposes, which is why a listener beyond loopback warns. Identity and policy become further gates
//! behind the same three functions; with them, what is not allowed is denied.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use http::HeaderMap;

/// Who makes a call. Caches, sessions and seals are bound to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<str>);

impl Principal {
    /// The one principal of an endpoint without identity.
    #[must_use]
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Principal> = LazyLock::new(|| Principal("anonymous".into()));
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
    /// Until when the credentials are good. Streams that they have opened end then.
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
        Self { principal: Principal(principal.into()), until }
    }
}

/// What a principal wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// The MCP method.
    pub method: &'a str,
    /// The upstream it goes to.
    pub upstream: &'a Arc<str>,
    /// The upstream's own name of what it is about.
    pub name: Option<&'a str>,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No rule allows it.
    #[error("not allowed")]
    Denied,
}

/// Decides. Decisions are pure functions of principal and action.
#[derive(Debug, Clone)]
pub struct Gate(Rules);

#[derive(Debug, Clone)]
enum Rules {
    Open,
}

impl Gate {
    /// The gate of an endpoint without identity.
    #[must_use]
    pub fn open() -> Self {
        Self(Rules::Open)
    }

    /// Who sends a request. It is asked once per request, and may have to ask others. Cancel safe.
    ///
    /// # Errors
    /// When the credentials do not say.
    pub async fn identify(&self, _credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        match self.0 {
            Rules::Open => Ok(Identity::anonymous()),
        }
    }

    /// Whether the principal may.
    ///
    /// # Errors
    /// When it may not.
    pub fn permit(&self, principal: &Principal, action: &Action<'_>) -> Result<Permit, Refusal> {
        match self.0 {
            Rules::Open => Ok(Permit { principal: principal.clone(), upstream: Arc::clone(action.upstream) }),
        }
    }

    /// Whether this gate knows who its clients are.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.0 {
            Rules::Open => true,
        }
    }
}

/// The proof that a principal may send something to an upstream.
#[derive(Debug)]
pub struct Permit {
    principal: Principal,
    upstream: Arc<str>,
}

impl Permit {
    /// Puts what was permitted under the permit.
    #[must_use]
    pub fn cover<T>(self, value: T) -> Permitted<T> {
        Permitted { value, permit: self }
    }
}

/// Something that may be sent.
#[derive(Debug)]
pub struct Permitted<T> {
    value: T,
    permit: Permit,
}

impl<T> Permitted<T> {
    /// What may be sent.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// For whom.
    pub fn principal(&self) -> &Principal {
        &self.permit.principal
    }

    /// Whether it may be sent to that upstream and no other.
    pub fn covers(&self, upstream: &str) -> bool {
        &*self.permit.upstream == upstream
    }
}
