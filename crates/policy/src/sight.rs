//! What somebody sees of a route with policies: what may be allowed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use auth::{Action, Allowance, Claims, Decide, Decision, Narrow, Principal, Refusal};

use crate::policies::{Class, Found, Policies};
use crate::rule::Deed;
use crate::thing::Thing;
use crate::verdict::Why;
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
            Deed::Subscribe => self.policies.judge(&self.who, deed, of, action).verdict.allowed,
            _ => self.may_be(of),
        }
    }
}

impl RoutePolicies {
    /// How often these let somebody do what they permit: nothing where one of them says nothing of it.
    fn permitted_as_often(&self, permitting: &[String]) -> Vec<Allowance> {
        let mut allowances: Vec<Allowance> = Vec::new();
        for id in permitting {
            let Some(allowance) = self.0.limits.get(id) else { return Vec::new() };
            if !allowances.contains(allowance) {
                allowances.push(allowance.clone());
            }
        }
        allowances
    }

    /// What becomes of an action of which that was found: how often it may be done.
    fn carry_out(
        &self,
        found: &Found,
        principal: &Principal,
        action: &Action<'_>,
    ) -> Result<Vec<Allowance>, Refusal> {
        self.refused(principal, action, found)?;
        Ok(if self.0.plan.enforce { self.permitted_as_often(&found.permitting) } else { Vec::new() })
    }

    /// Why an action is refused of which that was found, if it is.
    fn refused(&self, principal: &Principal, action: &Action<'_>, found: &Found) -> Result<(), Refusal> {
        let verdict = &found.verdict;
        if verdict.allowed {
            return Ok(());
        }
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
        if let Why::Arguments(fault) = &verdict.why {
            return Err(Refusal::Arguments(fault.clone()));
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
        self.allow(principal, action).map(|_as_often| ())
    }

    fn allow(&self, principal: &Principal, action: &Action<'_>) -> Result<Vec<Allowance>, Refusal> {
        match self.0.found(principal, action) {
            Some(found) => self.carry_out(&found, principal, action),
            None => Ok(Vec::new()),
        }
    }

    fn allow_and_tell(
        &self,
        principal: &Principal,
        action: &Action<'_>,
    ) -> (Result<Vec<Allowance>, Refusal>, Option<Decision>) {
        let Some(found) = self.0.found(principal, action) else { return (Ok(Vec::new()), None) };
        let verdict = &found.verdict;
        let told = Decision {
            allowed: verdict.allowed,
            by: verdict.by().iter().map(|id| id.as_str().into()).collect(),
            why: verdict.why.to_string().into(),
            version: self.0.id().into(),
            observed: !self.0.plan.enforce,
        };
        (self.carry_out(&found, principal, action), Some(told))
    }

    fn view(&self, principal: &Principal, claims: Option<&Arc<Claims>>) -> Option<Arc<dyn Narrow>> {
        self.0.plan.enforce.then(|| {
            let who = self.0.who(principal, claims);
            let id = format!("{}\n{}", self.0.id(), who.key).into();
            let (policies, found) = (Arc::clone(&self.0), Mutex::default());
            Arc::new(PolicySight { policies, who, id, found }) as Arc<dyn Narrow>
        })
    }

    fn enforces(&self) -> bool {
        self.0.plan.enforce
    }

    fn hides(&self) -> bool {
        !self.0.plan.explain
    }

    fn asks(&self) -> bool {
        self.0.plan.enforce && self.0.asks()
    }
}
