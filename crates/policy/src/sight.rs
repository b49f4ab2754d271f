//! What somebody sees of a route with policies: what may be allowed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use auth::{Action, Allowance, Claims, Decide, Decision, Narrow, Principal, Refusal};

use crate::policies::{Class, Policies};
use crate::rule::Deed;
use crate::thing::Thing;
use crate::verdict::{Verdict, Why};
use crate::who::Who;

/// Decides on a route.
#[derive(Debug, Clone)]
pub struct RoutePolicies(pub Arc<Policies>);

/// What one caller sees.
#[derive(Debug)]
struct PolicySight {
    policies: Arc<Policies>,
    who: Arc<Who>,
    id: Arc<str>,
    /// What was found in this list: its entries are of few classes, and each is asked for by itself.
    found: Mutex<HashMap<Class, bool>>,
}

/// So many classes of one list are known at a time.
const MOST_FOUND: usize = 4096;

impl PolicySight {
    fn may_be(&self, of: (usize, Thing<'_>)) -> bool {
        let class = self.policies.class(of.0, &of.1);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = found.get(&class) {
            return *shown;
        }
        let shown = self.policies.may_be(&self.who, of);
        if found.len() >= MOST_FOUND {
            found.clear();
        }
        found.insert(class, shown);
        shown
    }
}

impl Narrow for PolicySight {
    fn id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    fn shows(&self, action: &Action<'_>) -> bool {
        let Some(deed) = Deed::of(action.method) else { return true };
        let Some(of) = self.policies.thing(action) else { return true };
        match deed {
            // Nobody is asked again before a change is told: it must be allowed as things stand.
            Deed::Subscribe => self.policies.judge(&self.who, deed, of, action).allowed,
            _ => self.may_be(of),
        }
    }
}

impl RoutePolicies {
    /// How often an action may be done that is allowed: those of all that permit it, unless one of them has none.
    fn permitted_as_often(&self, principal: &Principal, action: &Action<'_>) -> Vec<Allowance> {
        if self.0.limits.is_empty() {
            return Vec::new();
        }
        let (Some(deed), Some(of)) = (Deed::of(action.method), self.0.thing(action)) else {
            return Vec::new();
        };
        let who = self.0.who(principal, action.known.claims);
        let said = self.0.judge(&who, deed, of, action);
        // Those that look at nothing of the call permit it beside those that do.
        let standing = self.0.standing(&who, deed.rests_on(of.1.sort), of);
        // What was approved is permitted by those that would have without, and by those that wait for that.
        let approved = if said.asks() { self.0.permitting(&who, deed, of, action) } else { Vec::new() };
        let all = [&said.why, &standing.fixed.why].into_iter().flat_map(|why| match why {
            Why::Permitted(ids) => ids.as_slice(),
            _ => &[],
        });
        let all = all.chain(&approved);
        let mut allowances: Vec<Allowance> = Vec::new();
        for id in all {
            let Some(allowance) = self.0.limits.get(id) else { return Vec::new() };
            if !allowances.contains(allowance) {
                allowances.push(allowance.clone());
            }
        }
        allowances
    }
}

impl RoutePolicies {
    /// What becomes of an action of which this is said.
    fn carry_out(
        &self,
        verdict: Option<Verdict>,
        principal: &Principal,
        action: &Action<'_>,
    ) -> Result<(), Refusal> {
        let Some(verdict) = verdict.filter(|verdict| !verdict.allowed) else { return Ok(()) };
        let server = &**action.upstream;
        if !self.0.plan.enforce {
            tracing::info!(
                server,
                name = action.name,
                principal = principal.id(),
                why = %verdict.why,
                "policies would deny this"
            );
            return Ok(());
        }
        match &verdict.why {
            Why::Erred { .. } | Why::Schema(_) => {
                tracing::warn!(server, name = action.name, why = %verdict.why, "denied by policies");
            }
            _ => tracing::debug!(server, name = action.name, why = %verdict.why, "denied by policies"),
        }
        if let Why::Arguments(fault) = verdict.why {
            return Err(Refusal::Arguments(fault));
        }
        if let Why::Asks(ids) = &verdict.why {
            let asked = self.0.asked(principal, action, ids);
            if action.known.approved.is_some_and(|approved| approved.covers(&asked.binding)) {
                return Ok(());
            }
            if Deed::of(action.method).is_some_and(Deed::can_be_asked) {
                return Err(Refusal::Approval(Box::new(asked)));
            }
        }
        let reason = verdict.by().iter().find_map(|id| self.0.annotation(id, "reason"));
        Err(Refusal::Policy(reason.map(Into::into)))
    }
}

impl Decide for RoutePolicies {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn decide(&self, principal: &Principal, action: &Action<'_>) -> Result<(), Refusal> {
        self.carry_out(self.0.verdict(principal, action), principal, action)
    }

    fn decide_and_tell(
        &self,
        principal: &Principal,
        action: &Action<'_>,
    ) -> (Result<(), Refusal>, Option<Decision>) {
        let verdict = self.0.verdict(principal, action);
        let told = verdict.as_ref().map(|verdict| Decision {
            allowed: verdict.allowed,
            by: verdict.by().iter().map(|id| id.as_str().into()).collect(),
            why: verdict.why.to_string().into(),
            version: self.0.id().into(),
            observed: !self.0.plan.enforce,
        });
        (self.carry_out(verdict, principal, action), told)
    }

    fn allowances(&self, principal: &Principal, action: &Action<'_>) -> Vec<Allowance> {
        if self.0.plan.enforce { self.permitted_as_often(principal, action) } else { Vec::new() }
    }

    fn view(&self, principal: &Principal, claims: Option<&Arc<Claims>>) -> Option<Arc<dyn Narrow>> {
        self.0.plan.enforce.then(|| {
            let who = self.0.who(principal, claims);
            let id = format!("{}\n{}", self.0.id(), who.key).into();
            let (policies, found) = (Arc::clone(&self.0), Mutex::default());
            Arc::new(PolicySight { policies, who, id, found }) as Arc<dyn Narrow>
        })
    }

    fn hides(&self) -> bool {
        !self.0.plan.explain
    }

    fn asks(&self) -> bool {
        self.0.plan.enforce && self.0.asks()
    }
}
