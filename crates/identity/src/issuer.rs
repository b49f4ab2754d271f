//! One issuer and its keys.

use std::sync::Arc;

use base::plan::identity::IssuerPlan;
use base::world::World;

/// An issuer, with what is known of its keys.
#[derive(Debug)]
pub struct Issuer {
    plan: IssuerPlan,
}

impl Issuer {
    pub(crate) fn new(plan: IssuerPlan, _world: &World) -> Arc<Self> {
        Arc::new(Self { plan })
    }

    /// As it is configured.
    #[must_use]
    pub fn plan(&self) -> &IssuerPlan {
        &self.plan
    }
}
