//! What policies say of one caller and one thing, as far as it can be known before a call.

use std::sync::Arc;

use auth::definition::Sort;
use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, EntityUid, Request};

use crate::arguments::Wanted;
use crate::context::context;
use crate::memory::Memory;
use crate::reads::Reads;
use crate::rule::{Deed, Rule};
use crate::said::{self, Concerned, Said, set};
use crate::schema::vocabulary;
use crate::shape::Shape;
use crate::thing::Thing;
use crate::verdict::{Verdict, Why};
use crate::who::Who;

/// Larger sets are not remembered.
const LARGEST_SET: usize = 128;

/// What is known before a call.
#[derive(Debug)]
pub(crate) struct Standing {
    /// What those say that look at nothing which only a call has.
    pub(crate) fixed: Verdict,
    /// The same, to be put together with what the others say.
    pub(crate) said: Said,
    /// Those that do.
    pub(crate) varying: Option<Box<Varying>>,
    /// Whether a call may be allowed at all.
    pub(crate) may_be: bool,
}

/// Policies that are asked together about a deed.
#[derive(Debug)]
pub(crate) struct Together {
    /// As they are written.
    pub(crate) written: Concerned,
    /// As they are asked; nothing where one of them must be asked as it stands.
    pub(crate) near: Option<Concerned>,
    pub(crate) reads: Reads,
    /// Which arguments, ready to be looked for.
    pub(crate) wanted: Wanted,
    /// Whether all that read arguments permit, and ask if they are all there.
    pub(crate) all_ask: bool,
}

/// Those that were asked lately, by their numbers: a few sets of policies are asked about many callers and things.
pub(crate) type Sets = Memory<(Deed, Vec<usize>), Result<Arc<Together>, String>>;

/// The policies that are asked at each call.
#[derive(Debug)]
pub(crate) struct Varying {
    pub(crate) asked: Arc<Together>,
    pub(crate) entities: Entities,
    /// Who calls. Others of whom policies see the same share it: what they do not look at is that of whoever came first.
    pub(crate) who: EntityUid,
    pub(crate) what: EntityUid,
    /// What a tool takes.
    pub(crate) shape: Option<Result<Shape, String>>,
}

/// Which policies are asked.
pub(crate) struct Question<'a> {
    pub(crate) rules: &'a [Rule],
    pub(crate) sets: &'a Sets,
    pub(crate) who: &'a Who,
    pub(crate) deed: Deed,
    pub(crate) thing: Thing<'a>,
    pub(crate) route: &'a str,
}

impl Standing {
    /// What is known; nothing is allowed where it cannot be found out.
    pub(crate) fn of(question: &Question<'_>) -> Self {
        let erred = |text| Self::fixed(Said::denied(Why::Erred { id: None, text }));
        Self::found(question).unwrap_or_else(erred)
    }

    fn fixed(said: Said) -> Self {
        let may_be = said.permits();
        Self { fixed: said.clone().verdict(), said, varying: None, may_be }
    }

    fn found(question: &Question<'_>) -> Result<Self, String> {
        let (who, thing) = (question.who, question.thing);
        let names = thing.names();
        let concerns =
            |rule: &Rule| said::concerns(rule, question.deed) && rule.may_concern(&who.names, &names);
        let concerned: Vec<usize> = question
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| concerns(rule))
            .map(|(number, _)| number)
            .collect();
        let of = |numbers: &[usize]| -> Vec<&Rule> {
            numbers.iter().filter_map(|number| question.rules.get(*number)).collect()
        };
        let varies = |number: &usize| question.rules.get(*number).is_some_and(|rule| rule.reads.varies());
        let (varying, fixed): (Vec<usize>, Vec<usize>) = concerned.into_iter().partition(varies);
        let together = |numbers: Vec<usize>| {
            let make = || Together::of(&of(&numbers), question.deed).map(Arc::new);
            if numbers.len() > LARGEST_SET {
                return make();
            }
            question.sets.get_or(&(question.deed, numbers.clone()), make)
        };
        let of_thing = entities(question.deed, &thing)?;
        let entities = with(&of_thing, [who.entity.clone()])?;
        let action = vocabulary().action(question.deed);
        let context = context(who, question.route, None, [])?;
        let request = Request::new(who.uid.clone(), action, thing.uid(), context, None)
            .map_err(|error| error.to_string())?;
        let said = together(fixed)?.written.ask(&request, &entities);
        if varying.is_empty() || said.denied.is_some() {
            return Ok(Self::fixed(said));
        }
        let may_be = said.permits() || may_permit(&of(&varying), &request, &entities)?;
        let varying = Box::new(Varying::of(together(varying)?, (who, &thing), &of_thing)?);
        Ok(Self { fixed: said.clone().verdict(), said, varying: Some(varying), may_be })
    }
}

/// Whether one of them may permit it, whatever else is known at a call.
fn may_permit(rules: &[&Rule], request: &Request, entities: &Entities) -> Result<bool, String> {
    let permits = rules.iter().filter(|rule| rule.permits);
    // One of which nobody knows what it says at best may.
    if permits.clone().any(|rule| rule.at_best.is_none()) {
        return Ok(true);
    }
    let at_best = set(permits.filter_map(|rule| rule.at_best.as_ref()))?;
    let said = Authorizer::new().is_authorized(request, &at_best, entities);
    Ok(said.decision() == Decision::Allow || said.diagnostics().errors().next().is_some())
}

/// What is asked about a deed when nobody knows its arguments any more: those that look at the call and at no arguments, if there
/// are any; and whether one of those that do look at arguments may permit it.
pub(crate) fn without_arguments(question: &Question<'_>) -> Result<(Option<Varying>, bool), String> {
    let (who, thing) = (question.who, question.thing);
    let names = thing.names();
    let concerned = question.rules.iter().filter(|rule| {
        rule.reads.varies() && said::concerns(rule, question.deed) && rule.may_concern(&who.names, &names)
    });
    let (reading, others): (Vec<&Rule>, Vec<&Rule>) =
        concerned.partition(|rule| rule.reads.complete || !rule.reads.arguments.is_empty());
    let of_thing = entities(question.deed, &thing)?;
    let entities = with(&of_thing, [who.entity.clone()])?;
    let (action, context) = (vocabulary().action(question.deed), context(who, question.route, None, [])?);
    let request = Request::new(who.uid.clone(), action, thing.uid(), context, None)
        .map_err(|error| error.to_string())?;
    let may = may_permit(&reading, &request, &entities)?;
    if others.is_empty() {
        return Ok((None, may));
    }
    let asked = Together::of(&others, question.deed).map(Arc::new)?;
    Ok((Some(Varying::of(asked, (who, &thing), &of_thing)?), may))
}

impl Together {
    fn of(rules: &[&Rule], deed: Deed) -> Result<Self, String> {
        let mut reads = Reads::default();
        rules.iter().for_each(|rule| reads.add(&rule.reads));
        let asks = |rule: &&Rule| rule.reads.arguments.is_empty() || (rule.permits && rule.reads.complete);
        let is_near = reads.varies() && rules.iter().all(|rule| rule.near.is_some());
        let near = is_near
            .then(|| Concerned::new(rules, deed, |rule| rule.near.as_ref().unwrap_or(&rule.policy)))
            .transpose()?;
        Ok(Self {
            written: Concerned::new(rules, deed, |rule| &rule.policy)?,
            near,
            wanted: Wanted::of(&reads.arguments),
            reads,
            all_ask: rules.iter().all(asks),
        })
    }
}

impl Varying {
    fn of(
        asked: Arc<Together>,
        (who, thing): (&Who, &Thing<'_>),
        of_thing: &Entities,
    ) -> Result<Self, String> {
        let reads = &asked.reads;
        let is_read = thing.sort == Sort::Tool && !reads.arguments.is_empty();
        let shape = is_read.then(|| match thing.definition.map(|of| of.input.as_deref()) {
            Some(Some(input)) => Shape::read(input, &reads.arguments),
            Some(None) => Err("there is none that can be read".to_owned()),
            None => Err("it is not known, since the server does not list the tool".to_owned()),
        });
        let caller = if reads.caller { &who.entity } else { &who.nameless };
        let entities = with(of_thing, [caller.clone()])?;
        Ok(Self { asked, entities, who: who.uid.clone(), what: thing.uid(), shape })
    }
}

impl Varying {
    /// What they are asked.
    pub(crate) fn request(&self, deed: Deed, context: Context) -> Result<Request, String> {
        let action = vocabulary().action(deed);
        Request::new(self.who.clone(), action, self.what.clone(), context, None)
            .map_err(|error| error.to_string())
    }
}

/// All that policies look at, but for who calls and the arguments. Of the actions it is the one at hand, with those that it is in:
/// what is here is gone through at each call whose arguments are read.
pub(crate) fn entities(deed: Deed, thing: &Thing<'_>) -> Result<Entities, String> {
    let uid = vocabulary().action(deed);
    let action = vocabulary().actions.iter().find(|action| action.uid() == uid);
    let all = action.cloned().into_iter().chain([thing.entity(), thing.server_entity()]);
    Entities::from_entities(all, None).map_err(|error| error.to_string())
}

/// The same with some more.
///
/// # Errors
/// When one stands twice.
pub(crate) fn with(entities: &Entities, more: impl IntoIterator<Item = Entity>) -> Result<Entities, String> {
    entities.clone().add_entities(more, None).map_err(|error| error.to_string())
}
