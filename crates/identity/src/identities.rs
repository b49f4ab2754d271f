//! What outlives a reload.

use std::sync::{Arc, Mutex};

use base::owned_task::OwnedTask;
use base::plan::identity::{IssuerPlan, ResourcePlan};
use base::sync::lock;
use base::world::World;

use crate::api_key::ApiKeys;
use crate::identifier::Identifier;
use crate::issuer::Issuer;
use crate::replays::{LocalReplays, Replays, SharedReplays};
use crate::revocations::{NotBefore, Revocations};

/// Issuers with their keys and endpoints with their verified tokens, from one plan to the next: what is the same in both goes
/// on with all that it knows. One for a process.
#[derive(Debug)]
pub struct Identities {
    world: World,
    replays: Arc<dyn Replays>,
    keys: Option<Arc<ApiKeys>>,
    revocations: Option<Arc<Revocations>>,
    not_before: Arc<NotBefore>,
    current: Mutex<Current>,
    /// Keeps up with what is revoked.
    _following: Option<OwnedTask>,
}

#[derive(Debug, Default)]
struct Current {
    issuers: Vec<Arc<Issuer>>,
    identifiers: Vec<Arc<Identifier>>,
}

impl Identities {
    /// None yet. Proofs of possession are remembered by this process alone.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self::with(world, Arc::new(LocalReplays::new()))
    }

    /// The same for one of several replicas: a proof that one of them was shown is no good at another. That takes the store
    /// for each request with a proof.
    #[must_use]
    pub fn among_replicas(world: World) -> Self {
        let Some(store) = &world.store else { return Self::new(world) };
        let replays = Arc::new(SharedReplays::new(Arc::clone(store)));
        Self::with(world, replays)
    }

    fn with(world: World, replays: Arc<dyn Replays>) -> Self {
        let keys = world.store.clone().map(ApiKeys::new);
        let revocations = world.store.clone().map(Revocations::new);
        let following =
            revocations.clone().and_then(|of| OwnedTask::try_spawn(async move { of.follow().await }));
        let (not_before, current) = (NotBefore::new(), Mutex::default());
        Self { world, replays, keys, revocations, not_before, current, _following: following }
    }

    /// What finds out who calls each endpoint, in their order. Issuers that an endpoint names and that are not there vouch
    /// for nobody.
    #[must_use]
    pub fn carry_out(&self, issuers: &[IssuerPlan], resources: &[ResourcePlan]) -> Vec<Arc<Identifier>> {
        let mut current = lock(&self.current);
        self.not_before.set(issuers);
        let of = |plan: &IssuerPlan| {
            let same = current.issuers.iter().find(|issuer| issuer.plan() == plan);
            same.map_or_else(|| Issuer::new(plan.clone(), &self.world), Arc::clone)
        };
        let issuers: Vec<Arc<Issuer>> = issuers.iter().map(of).collect();
        let of = |plan: &ResourcePlan| {
            let vouch = |name: &String| issuers.iter().find(|issuer| issuer.plan().name == *name).cloned();
            let vouching: Vec<_> = plan.issuers.iter().filter_map(vouch).collect();
            let is_same = |other: &&Arc<Identifier>| {
                let (theirs, ours) = (other.issuers(), &vouching);
                other.plan() == plan
                    && theirs.len() == ours.len()
                    && theirs.iter().zip(ours).all(|(their, our)| Arc::ptr_eq(their, our))
            };
            let same = current.identifiers.iter().find(is_same).cloned();
            let revoked = (self.revocations.clone(), Arc::clone(&self.not_before));
            let kept = (Arc::clone(&self.replays), self.keys.clone(), revoked);
            same.unwrap_or_else(|| Identifier::new(plan.clone(), vouching, kept, &self.world))
        };
        let identifiers: Vec<Arc<Identifier>> = resources.iter().map(of).collect();
        *current = Current { issuers, identifiers: identifiers.clone() };
        identifiers
    }
}
