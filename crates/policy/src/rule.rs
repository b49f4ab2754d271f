//! One policy with what is known of it.

use std::collections::BTreeSet;

use auth::definition::Sort;
use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PrincipalConstraint, ResourceConstraint,
};
use serde_json::Value;

use crate::ask::{self, AskFault, AskRule};
use crate::near::near;
use crate::reads::Reads;

/// What can be done, as policies have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Deed {
    Call,
    Get,
    Read,
    List,
    Subscribe,
    Complete,
    Task,
}

impl Deed {
    pub(crate) const ALL: [Self; 7] =
        [Self::Call, Self::Get, Self::Read, Self::List, Self::Subscribe, Self::Complete, Self::Task];

    /// Its name in the schema.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Get => "get",
            Self::Read => "read",
            Self::List => "list",
            Self::Subscribe => "subscribe",
            Self::Complete => "complete",
            Self::Task => "task",
        }
    }

    /// What must be allowed for it to be.
    pub(crate) fn rests_on(self, sort: Sort) -> Self {
        match (self, sort) {
            (Self::Call | Self::Get | Self::Read, _) => self,
            (_, Sort::Tool) => Self::Call,
            (_, Sort::Prompt) => Self::Get,
            (_, Sort::Resource | Sort::Template) => Self::Read,
        }
    }

    /// Whether somebody can be asked in the midst of it (MCP 2026-07-28 `basic/patterns/mrtr`).
    pub(crate) fn can_be_asked(self) -> bool {
        matches!(self, Self::Call | Self::Get | Self::Read)
    }

    /// What a method does, if policies have a word for it.
    pub(crate) fn of(method: &str) -> Option<Self> {
        Some(match method {
            "tools/call" => Self::Call,
            "prompts/get" => Self::Get,
            "resources/read" => Self::Read,
            "resources/subscribe" => Self::Subscribe,
            "completion/complete" => Self::Complete,
            "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => Self::Task,
            _ => return None,
        })
    }
}

/// One policy.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) policy: Policy,
    /// The file that it stands in.
    pub(crate) source: usize,
    pub(crate) permits: bool,
    /// What it is about.
    pub(crate) deeds: BTreeSet<Deed>,
    pub(crate) reads: Reads,
    /// The same without what only a call has: it permits whatever this may permit at all. None of what forbids, since that may
    /// forbid or not.
    pub(crate) at_best: Option<Policy>,
    /// The same as it is asked; nothing where it must be asked as it stands.
    pub(crate) near: Option<Policy>,
    /// Whether it asks for an approval, in place of what it does else: to forbid, or to permit.
    pub(crate) asks: Option<AskRule>,
}

impl Rule {
    /// # Errors
    /// When its annotations say nothing, or what cannot be.
    pub(crate) fn new(policy: Policy, source: usize) -> Result<Self, AskFault> {
        let deeds = deeds(&policy.action_constraint());
        let asks = ask::read(&policy, deeds.iter().any(|deed| deed.can_be_asked()))?;
        let json = policy.to_json().ok();
        // Of what nobody can read it is not known what it looks at.
        let mut reads = json.as_ref().map_or_else(Reads::anything, |json| Reads::of(&json["conditions"]));
        let permits = policy.effect() == Effect::Permit;
        name_scope(&policy, &mut reads);
        let near = near(&policy, &reads, json.as_ref());
        let at_best = match (reads.varies(), permits) {
            (false, _) => Some(policy.clone()),
            (true, false) => None,
            (true, true) => json.and_then(|json| at_best(json, policy.id())),
        };
        Ok(Self { policy, source, permits, deeds, reads, at_best, near, asks })
    }

    pub(crate) fn id(&self) -> &str {
        self.policy.id().as_ref()
    }

    /// Whether its scope has room for somebody of these names, groups included, and for something of these.
    pub(crate) fn may_concern(&self, who: &BTreeSet<EntityUid>, what: &BTreeSet<EntityUid>) -> bool {
        let whom = match self.policy.principal_constraint() {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::In(of) | PrincipalConstraint::Eq(of) | PrincipalConstraint::IsIn(_, of) => {
                who.contains(&of)
            }
            PrincipalConstraint::Is(_) => true,
        };
        whom && self.is_about(what)
    }

    /// Whether its scope has room for something of these names.
    pub(crate) fn is_about(&self, what: &BTreeSet<EntityUid>) -> bool {
        match self.policy.resource_constraint() {
            ResourceConstraint::Any => true,
            ResourceConstraint::In(of) | ResourceConstraint::Eq(of) | ResourceConstraint::IsIn(_, of) => {
                what.contains(&of)
            }
            ResourceConstraint::Is(of) => what.iter().any(|uid| *uid.type_name() == of),
        }
    }
}

fn deeds(constraint: &ActionConstraint) -> BTreeSet<Deed> {
    let of = |uid: &EntityUid| -> Vec<Deed> {
        let name = uid.id().unescaped();
        if name == "use" {
            return Deed::ALL.to_vec();
        }
        Deed::ALL.into_iter().filter(|deed| deed.name() == name).collect()
    };
    match constraint {
        ActionConstraint::Any => Deed::ALL.into(),
        ActionConstraint::Eq(uid) => of(uid).into_iter().collect(),
        ActionConstraint::In(uids) => uids.iter().flat_map(of).collect(),
    }
}

/// What the scope names counts as named; a single user is looked at.
fn name_scope(policy: &Policy, reads: &mut Reads) {
    let whom = match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::In(of) | PrincipalConstraint::Eq(of) | PrincipalConstraint::IsIn(_, of) => {
            Some(of)
        }
    };
    let what = match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::In(of) | ResourceConstraint::Eq(of) | ResourceConstraint::IsIn(_, of) => Some(of),
    };
    reads.caller |= whom.as_ref().is_some_and(|whom| whom.type_name().to_string() != "Mcp::Group");
    for uid in [whom, what].into_iter().flatten() {
        reads.named.insert((uid.type_name().to_string(), uid.id().unescaped().to_owned()));
    }
}

/// What permits, without the parts of its conditions that look at what only a call has.
fn at_best(mut json: Value, id: &PolicyId) -> Option<Policy> {
    let conditions = json["conditions"].as_array_mut()?;
    for condition in conditions.iter_mut() {
        let is_when = condition["kind"].as_str() == Some("when");
        let body = condition["body"].take();
        condition["body"] = if is_when { conjuncts_at_best(body) } else { unless_at_best(body) };
    }
    Policy::from_json(Some(id.clone()), json).ok()
}

/// `a && b` without those that vary.
fn conjuncts_at_best(body: Value) -> Value {
    if !Reads::of(&body).varies() {
        return body;
    }
    let Value::Object(mut members) = body else { return literal(true) };
    let Some(mut and) = members.remove("&&") else { return literal(true) };
    let (left, right) = (conjuncts_at_best(and["left"].take()), conjuncts_at_best(and["right"].take()));
    serde_json::json!({ "&&": { "left": left, "right": right } })
}

/// `unless { a || b }` without those that vary: they may be false.
fn unless_at_best(body: Value) -> Value {
    if !Reads::of(&body).varies() {
        return body;
    }
    let Value::Object(mut members) = body else { return literal(false) };
    let Some(mut or) = members.remove("||") else { return literal(false) };
    let (left, right) = (unless_at_best(or["left"].take()), unless_at_best(or["right"].take()));
    serde_json::json!({ "||": { "left": left, "right": right } })
}

fn literal(value: bool) -> Value {
    serde_json::json!({ "Value": value })
}
