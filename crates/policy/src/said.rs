//! What some of the policies say, to be put together with what the others do.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Decision, Entities, Policy, PolicySet, Request, Response};

use crate::rule::{Deed, Rule};
use crate::verdict::{Verdict, Why};

/// Policies that are asked at once.
#[derive(Debug)]
pub(crate) struct Concerned {
    /// All but [`Self::unless_approved`].
    set: PolicySet,
    /// Those that forbid what was not approved. Cedar tells of a policy that permits only where none forbids, so they are asked by
    /// themselves.
    unless_approved: Option<PolicySet>,
    /// The ids of those that permit what was approved.
    once_approved: BTreeSet<String>,
}

/// What they say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Those that permit, approved or not.
    permit: Vec<String>,
    /// Those that permit what is approved.
    once_approved: Vec<String>,
    /// Those that forbid what is not.
    unless_approved: Vec<String>,
    /// Why it is denied, whatever others say.
    pub(crate) denied: Option<Why>,
}

/// Whether a policy has a say about a deed: nobody is asked to approve what is listed, or the task of a call that was approved; and
/// what nobody can be asked about is not permitted by way of it.
pub(crate) fn concerns(rule: &Rule, deed: Deed) -> bool {
    rule.deeds.contains(&deed)
        && (rule.asks.is_none()
            || deed.can_be_asked()
            || (!rule.permits && !matches!(deed, Deed::List | Deed::Task)))
}

impl Concerned {
    /// `form` says which of the forms of a policy is asked.
    pub(crate) fn new<'a>(
        rules: &[&'a Rule],
        deed: Deed,
        form: impl Fn(&'a Rule) -> &'a Policy,
    ) -> Result<Self, String> {
        let asks = |rule: &&Rule| rule.asks.is_some() && deed.can_be_asked();
        let (unless, rest): (Vec<&'a Rule>, Vec<&'a Rule>) =
            rules.iter().partition(|rule| !rule.permits && asks(rule));
        let once_approved = rest.iter().filter(|rule| asks(rule)).map(|rule| rule.id().to_owned()).collect();
        let unless_approved = (!unless.is_empty()).then(|| set(unless.iter().map(|rule| form(rule))));
        Ok(Self {
            set: set(rest.iter().map(|rule| form(rule)))?,
            unless_approved: unless_approved.transpose()?,
            once_approved,
        })
    }

    /// Asks them.
    pub(crate) fn ask(&self, request: &Request, entities: &Entities) -> Said {
        let ask = |set: &PolicySet| Authorizer::new().is_authorized(request, set, entities);
        let mut said = match read(&ask(&self.set)) {
            Ok(Some(permit)) => {
                let (once_approved, permit) =
                    permit.into_iter().partition(|id| self.once_approved.contains(id));
                Said { permit, once_approved, ..Said::default() }
            }
            Ok(None) => Said::default(),
            Err(why) => return Said::denied(why),
        };
        if let Some(set) = &self.unless_approved {
            match read(&ask(set)) {
                Err(Why::Forbidden(ids)) => said.unless_approved = ids,
                Err(why) => return Said::denied(why),
                Ok(_) => {}
            }
        }
        said
    }
}

impl Said {
    pub(crate) fn denied(why: Why) -> Self {
        Self { denied: Some(why), ..Self::default() }
    }

    /// Whether it may be allowed as things stand, once somebody approves it if need be.
    pub(crate) fn permits(&self) -> bool {
        self.denied.is_none() && !(self.permit.is_empty() && self.once_approved.is_empty())
    }

    /// Those that permit it, together with those that did `before` and look at nothing of a call. Those that wait for an approval
    /// count where it takes one: once there is none to wait for, they say nothing.
    pub(crate) fn permitting(&self, before: &Self) -> Vec<String> {
        let waits = self.permit.is_empty() || !self.unless_approved.is_empty();
        let waiting = self.once_approved.iter().filter(|_| waits);
        let mut all: Vec<String> = self.permit.iter().chain(&before.permit).chain(waiting).cloned().collect();
        all.sort();
        all.dedup();
        all
    }

    /// The same together with what was said before.
    pub(crate) fn over(mut self, before: &Self) -> Self {
        if self.denied.is_some() {
            return self;
        }
        if self.permit.is_empty() {
            self.permit.clone_from(&before.permit);
        }
        self.once_approved.extend_from_slice(&before.once_approved);
        self.unless_approved.extend_from_slice(&before.unless_approved);
        self.denied.clone_from(&before.denied);
        self
    }

    /// What comes of it.
    pub(crate) fn verdict(self) -> Verdict {
        if let Some(why) = self.denied {
            return Verdict::denied(why);
        }
        let Self { permit, once_approved, unless_approved: mut asks, .. } = self;
        if permit.is_empty() {
            if once_approved.is_empty() {
                return Verdict::denied(if asks.is_empty() {
                    Why::NotPermitted
                } else {
                    Why::Forbidden(asks)
                });
            }
            asks.extend(once_approved);
        }
        if asks.is_empty() {
            return Verdict::allowed(permit);
        }
        asks.sort();
        Verdict::denied(Why::Asks(asks))
    }
}

/// Those that permit it, if any; or why it is denied. One that has erred anywhere denies: Cedar leaves out what errs, a `forbid`
/// as well.
fn read(said: &Response) -> Result<Option<Vec<String>>, Why> {
    if let Some(error) = said.diagnostics().errors().next() {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
        let id = Some(error.policy_id().to_string());
        return Err(Why::Erred { id, text: error.inner().to_string() });
    }
    let mut by: Vec<String> = said.diagnostics().reason().map(ToString::to_string).collect();
    by.sort();
    match said.decision() {
        Decision::Allow => Ok(Some(by)),
        Decision::Deny if by.is_empty() => Ok(None),
        Decision::Deny => Err(Why::Forbidden(by)),
    }
}

/// A set of policies.
pub(crate) fn set<'a>(policies: impl Iterator<Item = &'a Policy>) -> Result<PolicySet, String> {
    PolicySet::from_policies(policies.cloned()).map_err(|error| error.to_string())
}
