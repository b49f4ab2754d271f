//! From a plan with policies to one on which they decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::clock::Clock;
use base::plan::Plan;
use base::plan::policy::{Decider, OWN_KEYS, ServerFacts};

use crate::fault::PolicyFault;
use crate::policies::{Ground, Policies};
use crate::sight::RoutePolicies;

/// The policies of a route.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The route's name.
    pub route: String,
    /// What decides on it.
    pub policies: Arc<Policies>,
}

/// Lets the policies of each route decide on it. `own_keys` is what callers with a key of Portolan's own have as issuer.
///
/// # Errors
/// All that is wrong with any of them, each thing once. Then the plan is as it was.
pub fn attach(
    plan: &mut Plan,
    own_keys: &str,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Attached>, Vec<PolicyFault>> {
    let named = plan.issuers.iter().map(|issuer| (issuer.issuer.clone(), issuer.name.clone()));
    let issuers: Vec<_> = named.chain([(own_keys.to_owned(), OWN_KEYS.to_owned())]).collect();
    let (mut attached, mut faults) = (Vec::new(), Vec::new());
    for route in &plan.routes {
        let Some(policy) = &route.policy else { continue };
        let is_theirs = |server: &&ServerFacts| route.upstreams.contains(&server.name);
        let servers: Vec<_> = plan.server_facts.iter().filter(is_theirs).cloned().collect();
        let ground = Ground { route: &route.name, servers: &servers, issuers: &issuers };
        match Policies::new(policy, ground, Arc::clone(clock)) {
            Ok(policies) => {
                attached.push(Attached { route: route.name.clone(), policies: Arc::new(policies) });
            }
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        // Several routes may have the same file.
        let mut said = BTreeSet::new();
        faults.retain(|fault| said.insert(fault.to_string()));
        return Err(faults);
    }
    for one in &attached {
        if let Some(route) = plan.routes.iter_mut().find(|route| route.name == one.route) {
            route.decides = Some(Decider(Arc::new(RoutePolicies(Arc::clone(&one.policies)))));
        }
    }
    Ok(attached)
}
