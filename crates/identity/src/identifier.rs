//! Who calls one endpoint.

use std::sync::Arc;

use auth::{Credentials, Identified, Identify, Refusal, Why};
use base::plan::identity::ResourcePlan;
use base::world::World;

use crate::issuer::Issuer;
use crate::shown::Shown;

/// Finds out who calls an endpoint.
#[derive(Debug)]
pub struct Identifier {
    plan: ResourcePlan,
    issuers: Vec<Arc<Issuer>>,
}

impl Identifier {
    pub(crate) fn new(plan: ResourcePlan, issuers: Vec<Arc<Issuer>>, _world: &World) -> Arc<Self> {
        Arc::new(Self { plan, issuers })
    }

    /// What the endpoint asks of its callers.
    #[must_use]
    pub fn plan(&self) -> &ResourcePlan {
        &self.plan
    }

    /// Who vouches for its callers.
    #[must_use]
    pub fn issuers(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }
}

impl Identify for Identifier {
    fn identify<'a>(&'a self, credentials: Credentials<'a>) -> Identified<'a> {
        let shown = Shown::read(credentials.headers, credentials.target);
        Identified::Now(shown.and(Err(Refusal::Unauthenticated(Why::Token(
            "nobody who vouches for callers here has made this token",
        )))))
    }
}
