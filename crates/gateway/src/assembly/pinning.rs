//! What was pinned of servers, while the gateway runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base::owned_task::OwnedTask;
use pins::AllPins;

use super::Gateway;
use crate::live::Live;
use crate::route::Route;

/// Has lists looked at anew whenever what was pinned has changed, or was seen to be something else. That it is so, calls know at once;
/// this tells clients.
pub(super) fn follow(pins: &AllPins, live: &Arc<ArcSwap<Live>>) -> Option<OwnedTask> {
    let (mut changes, live) = (pins.changes(), Arc::downgrade(live));
    OwnedTask::try_spawn(async move {
        while changes.changed().await.is_ok() {
            let Some(live) = live.upgrade() else { return };
            let live = live.load_full();
            let members = live.endpoints.iter().flat_map(|(_, endpoint)| &endpoint.route.catalog.members);
            members.for_each(catalog::Member::follow_pins);
        }
    })
}

/// Whether the servers of a route are held to the pins that there are now, or as before to none.
pub(super) fn are_the_same(pins: &AllPins, route: &Route) -> bool {
    route.catalog.members.iter().all(|member| match (member.pins(), pins.of(member.upstream.name())) {
        (Some(one), Some(other)) => std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(&other)),
        (None, None) => true,
        _ => false,
    })
}

impl Gateway {
    /// What was pinned of its servers, and what was seen of them.
    #[must_use]
    pub fn pins(&self) -> &AllPins {
        &self.shares.pins
    }
}
