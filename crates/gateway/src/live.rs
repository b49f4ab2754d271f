//! One generation: a plan with the servers and endpoints that were made of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::fault::BreakerState;
use base::plan::{Plan, RoutePlan};
use catalog::changes::watch::Watch;
use identity::{Identifier, Issuer, WELL_KNOWN};
use tokio_util::sync::CancellationToken;
use upstream::{Health, Upstream};

use crate::bridge::endpoint::Endpoint;

/// One generation.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) plan: Arc<Plan>,
    pub(crate) servers: BTreeMap<String, Server>,
    pub(crate) endpoints: Vec<(RoutePlan, Arc<Endpoint>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) watch: Arc<Watch>,
    /// Stops its tasks when it is no longer configured.
    pub(crate) stop: CancellationToken,
}

impl Live {
    /// The endpoint at a path of a listener, and whether HTTP+SSE streams are opened there. A slash at its end makes no
    /// difference, unless the configuration tells two paths apart by it.
    pub(crate) fn endpoint(&self, listener: &str, path: &str) -> Option<(&Arc<Endpoint>, bool)> {
        let find = |is_it: &dyn Fn(&str) -> bool| {
            let mut here = self.endpoints.iter().filter(|(plan, _)| plan.is_at(listener));
            here.find_map(|(plan, endpoint)| {
                let opens_sse = plan.sse_path.as_deref().is_some_and(is_it);
                (opens_sse || is_it(&plan.path)).then_some((endpoint, opens_sse))
            })
        };
        let bare = |path: &str| path.strip_suffix('/').unwrap_or(path).len();
        let is_near = |other: &str| path.get(..bare(path)) == other.get(..bare(other));
        find(&|other| other == path).or_else(|| find(&is_near))
    }

    /// The metadata of a protected resource of a listener at that path: by the paths here before those outside, of which two may
    /// have the same. At the root are those of one that is alone, unless that is somebody's own.
    pub(crate) fn metadata_at(&self, listener: &str, path: &str) -> Option<&str> {
        let path = path.trim_end_matches('/');
        let here = || {
            let here = self.endpoints.iter().filter(|(plan, _)| plan.is_at(listener));
            here.filter_map(|(_, endpoint)| endpoint.route.identifier.as_deref())
        };
        let found = |outside| here().find_map(|one| one.metadata_at(path, outside));
        let mut all = here();
        let alone = all.next().filter(|_| path == WELL_KNOWN && all.next().is_none());
        found(false).or_else(|| found(true)).or_else(|| alone.map(Identifier::metadata))
    }

    /// The one issuer that is to be shown at the origin of a listener; none if two are.
    pub(crate) fn issuer_of(&self, listener: &str) -> Option<&Arc<Issuer>> {
        let here = self.endpoints.iter().filter(|(plan, _)| plan.is_at(listener));
        let identifiers = here.filter_map(|(_, endpoint)| endpoint.route.identifier.as_deref());
        let mut issuers = identifiers.filter(|one| one.plan().shows_issuer).flat_map(Identifier::issuers);
        let first = issuers.next()?;
        issuers.all(|other| Arc::ptr_eq(first, other)).then_some(first)
    }

    /// The paths that a listener serves.
    pub(crate) fn paths(&self, listener: &str) -> Vec<String> {
        self.endpoints
            .iter()
            .filter(|(plan, _)| plan.is_at(listener))
            .flat_map(|(plan, _)| std::iter::once(&plan.path).chain(&plan.sse_path).cloned())
            .collect()
    }

    /// How each server is.
    pub(crate) fn health(&self) -> Vec<(String, Health)> {
        self.servers.iter().map(|(name, server)| (name.clone(), server.upstream.health())).collect()
    }

    /// Whether each server was found to speak both eras, in the same order.
    pub(crate) fn both_eras(&self) -> impl Iterator<Item = bool> {
        self.servers.values().map(|server| server.upstream.speaks_both())
    }

    /// What each server's breaker does, in the same order.
    pub(crate) fn breakers(&self) -> impl Iterator<Item = BreakerState> {
        self.servers.values().map(|server| server.upstream.breaker())
    }
}
