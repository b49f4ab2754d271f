//! The file descriptors of a gateway: as many as the system gives, and clients take no more than leaves enough for the rest.

use base::descriptors::{Need, fit};
use base::plan::Plan;
use transport::descriptors::{self, Limit};

/// Raises the limit as far as it goes. What it is now, if the system says.
pub(super) fn begin() -> Option<Limit> {
    descriptors::raise()
        .inspect_err(|error| tracing::warn!(%error, "cannot raise the limit of file descriptors"))
        .ok()
}

/// Sees to it that clients leave enough for servers, the admin listener and all else. Called when everything is open that is
/// open before anybody comes.
pub(super) fn share(plan: &mut Plan, limit: Option<Limit>) {
    let (Some(limit), Some(open)) = (limit, descriptors::open()) else { return };
    let most = usize::try_from(limit.now).unwrap_or(usize::MAX);
    let need = Need::of(plan);
    let Some(connections) = fit(plan, most.saturating_sub(open)) else { return };
    tracing::warn!(
        limit = most,
        clients = need.clients,
        servers = need.servers,
        rest = need.rest.saturating_add(open),
        connections,
        "the configuration allows for more connections and processes than there may be file descriptors (ulimit -Hn): so \
         few connections are served at each listener; raise the limit (LimitNOFILE), or lower limits.connections"
    );
}
