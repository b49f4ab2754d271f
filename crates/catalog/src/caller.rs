//! Who makes a call: found once per request by its listener, and borrowed by everything below.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use auth::{Claims, Identity, Principal};
use bytes::Bytes;
use http::HeaderMap;
use identity::{Identifier, Lifetime};
use mcp::meta::{ClientFacts, LogWish};
use mcp::version::{self, Era, Revision};

/// Who makes a call, and what it came with.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    /// Until when its credentials are good.
    pub until: Option<SystemTime>,
    /// What is known of who it is.
    pub claims: Option<Arc<Claims>>,
    /// Where its connection comes from, where somebody decides by it.
    pub address: Option<IpAddr>,
    /// What the client has declared, as far as the route carries it.
    pub facts: ClientFacts,
    /// All that it has declared, if that is more.
    pub declared: Option<Box<ClientFacts>>,
    /// The revision that the client speaks.
    pub revision: &'static Revision,
    /// The client's headers; none over stdio.
    pub headers: HeaderMap,
    /// Whether its requests mirror their bodies in headers: modern, over HTTP.
    pub mirrors: bool,
    /// Its legacy session.
    pub session: Option<Arc<str>>,
    /// The client, where it is known which calls are the same one's.
    pub client: Option<Arc<str>>,
}

/// A client that declares nothing.
static NOTHING_DECLARED: LazyLock<ClientFacts> = LazyLock::new(|| ClientFacts {
    capabilities: Bytes::from_static(b"{}"),
    info: None,
    log: LogWish::Nothing,
});

impl Caller {
    /// A modern client, or one that is nothing but what it has declared.
    pub fn new(identity: &Identity, facts: ClientFacts, revision: &'static Revision) -> Self {
        Self {
            principal: identity.principal.clone(),
            until: identity.until,
            claims: identity.claims.clone(),
            address: identity.address,
            facts,
            declared: None,
            revision,
            headers: HeaderMap::new(),
            mirrors: false,
            session: None,
            client: None,
        }
    }

    /// Portolan itself, for nobody in particular.
    pub fn nobody() -> Self {
        Self::new(&Identity::anonymous(), NOTHING_DECLARED.clone(), version::newest(Era::Modern))
    }

    /// Who it is, by parts.
    pub fn whose(&self) -> (&Principal, Option<&Arc<Claims>>) {
        (&self.principal, self.claims.as_ref())
    }

    /// How long a call of it may wait for its client, beside the call's own time: until what it came with is taken back. Nothing can
    /// be where nobody has vouched for it. That it expires is no matter: whoever brings the answer has come with something good.
    pub fn until_revoked(&self, identifier: Option<&Arc<Identifier>>) -> Option<Lifetime> {
        Some(Lifetime::until_revoked(identifier?, self.claims.as_ref()?))
    }

    pub fn era(&self) -> Era {
        self.revision.era
    }

    /// The same with nothing that belongs to one request: for what goes on when that is over.
    pub fn beyond_the_request(&self) -> Self {
        Self {
            principal: self.principal.clone(),
            until: self.until,
            claims: self.claims.clone(),
            address: self.address,
            facts: self.facts.clone(),
            declared: None,
            revision: self.revision,
            headers: HeaderMap::new(),
            mirrors: false,
            session: self.session.clone(),
            client: None,
        }
    }
}
