//! What policies say of one caller and one thing, as far as it can be known before a call.

use std::sync::Arc;

use auth::definition::Sort;
use cedar_policy::{Authorizer, Decision, Entities, Entity, EntityUid, PolicySet, Request, Response};

use crate::context::context;
use crate::reads::Reads;
use crate::rule::{Deed, Rule};
use crate::schema::vocabulary;
use crate::shape::Shape;
use crate::thing::Thing;
use crate::verdict::{Verdict, Why};
use crate::who::Who;

/// What is known before a call.
#[derive(Debug)]
pub(crate) struct Standing {
    /// What those say that look at nothing which only a call has.
    pub(crate) fixed: Verdict,
    /// Those that do.
    pub(crate) varying: Option<Box<Varying>>,
    /// Whether a call may be allowed at all.
    pub(crate) may_be: bool,
}

/// The policies that are asked at each call.
#[derive(Debug)]
pub(crate) struct Varying {
    pub(crate) set: PolicySet,
    pub(crate) reads: Reads,
    /// Whether all that read arguments permit, and ask if they are all there.
    pub(crate) all_ask: bool,
    pub(crate) entities: Entities,
    pub(crate) what: EntityUid,
    /// What a tool takes.
    pub(crate) shape: Option<Result<Shape, String>>,
}

/// Which policies are asked.
pub(crate) struct Question<'a> {
    pub(crate) rules: &'a [Rule],
    pub(crate) who: &'a Who,
    pub(crate) deed: Deed,
    pub(crate) thing: Thing<'a>,
    pub(crate) route: &'a str,
}

impl Standing {
    pub(crate) fn of(question: &Question<'_>) -> Self {
        let (who, thing) = (question.who, question.thing);
        let names = thing.names();
        let concerns =
            |rule: &&Rule| rule.deeds.contains(&question.deed) && rule.may_concern(&who.names, &names);
        let rules: Vec<&Rule> = question.rules.iter().filter(concerns).collect();
        let fixed_entities = entities(&thing);
        let entities =
            with(&fixed_entities, [who.entity.clone()]).unwrap_or_else(|_impossible| Entities::empty());
        let ask = |set: &PolicySet| {
            let request = Request::new(
                who.uid.clone(),
                vocabulary().action(question.deed),
                thing.uid(),
                context(who, question.route, None)?,
                None,
            );
            let request = request.map_err(|error| error.to_string());
            request.map(|request| Authorizer::new().is_authorized(&request, set, &entities))
        };
        let fixed = set(rules.iter().filter(|rule| !rule.reads.varies()).map(|rule| &rule.policy));
        let fixed = ask(&fixed).map_or_else(|error| erred("", &error), |said| read(&said));
        let varying: Vec<&Rule> = rules.into_iter().filter(|rule| rule.reads.varies()).collect();
        if varying.is_empty() || matches!(fixed.why, Why::Forbidden(_) | Why::Erred { .. }) {
            let may_be = fixed.allowed;
            return Self { fixed, varying: None, may_be };
        }
        let at_best = || {
            let permits = varying.iter().filter(|rule| rule.permits);
            // One of which nobody knows what it says at best may permit.
            if permits.clone().any(|rule| rule.at_best.is_none()) {
                return true;
            }
            let said = ask(&set(permits.filter_map(|rule| rule.at_best.as_ref())));
            said.is_ok_and(|said| {
                said.decision() == Decision::Allow || said.diagnostics().errors().next().is_some()
            })
        };
        let may_be = fixed.allowed || at_best();
        let mut reads = Reads::default();
        varying.iter().for_each(|rule| reads.add(&rule.reads));
        let asks = |rule: &&Rule| rule.reads.arguments.is_empty() || (rule.permits && rule.reads.complete);
        let all_ask = varying.iter().all(asks);
        let is_read = thing.sort == Sort::Tool && !reads.arguments.is_empty();
        let shape = is_read.then(|| match thing.definition.map(|of| of.input.as_deref()) {
            Some(Some(input)) => Shape::read(input, &reads.arguments),
            Some(None) => Err("there is none that can be read".to_owned()),
            None => Err("it is not known, since the server does not list the tool".to_owned()),
        });
        let set = set(varying.iter().map(|rule| &rule.policy));
        let what = thing.uid();
        Self {
            fixed,
            varying: Some(Box::new(Varying { set, reads, all_ask, entities: fixed_entities, what, shape })),
            may_be,
        }
    }
}

/// All that policies look at, but for who calls and the arguments.
fn entities(thing: &Thing<'_>) -> Entities {
    let all = vocabulary().actions.iter().cloned().chain([thing.entity(), thing.server_entity()]);
    // No entity stands twice, and none is in itself.
    Entities::from_entities(all, None).unwrap_or_else(|_impossible| Entities::empty())
}

/// The same with some more.
///
/// # Errors
/// When one stands twice.
pub(crate) fn with(entities: &Entities, more: impl IntoIterator<Item = Entity>) -> Result<Entities, String> {
    entities.clone().add_entities(more, None).map_err(|error| error.to_string())
}

fn set<'a>(policies: impl Iterator<Item = &'a cedar_policy::Policy>) -> PolicySet {
    let mut set = PolicySet::new();
    for policy in policies {
        // Ids stand once: loading sees to it.
        let _twice = set.add(policy.clone());
    }
    set
}

fn erred(id: &str, text: &str) -> Verdict {
    Verdict::denied(Why::Erred { id: id.to_owned(), text: text.to_owned() })
}

/// What a response says. One that has erred anywhere denies: Cedar leaves out what errs, a `forbid` as well.
pub(crate) fn read(said: &Response) -> Verdict {
    if let Some(error) = said.diagnostics().errors().next() {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
        return erred(error.policy_id().as_ref(), &error.inner().to_string());
    }
    let mut by: Vec<String> = said.diagnostics().reason().map(ToString::to_string).collect();
    by.sort();
    match said.decision() {
        Decision::Allow => Verdict::allowed(by),
        Decision::Deny if by.is_empty() => Verdict::denied(Why::NotPermitted),
        Decision::Deny => Verdict::denied(Why::Forbidden(by)),
    }
}

/// A standing that several share.
pub(crate) type Shared = Arc<Standing>;
