//! Deciding who may do what.

use std::fmt;
use std::sync::Arc;

use crate::action::Action;
use crate::allowance::Allowance;
use crate::claims::Claims;
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::view::Narrow;

/// What was decided about an action, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The policies that have decided.
    pub by: Vec<Box<str>>,
    /// Why.
    pub why: Box<str>,
    /// Stands for all that was decided by ([`Decide::id`]).
    pub version: Box<str>,
    /// Whether it is only looked at, and was done whatever this says.
    pub observed: bool,
}

/// Decides who may do what on one route. It says the same of the same, and does no I/O.
pub trait Decide: fmt::Debug + Send + Sync {
    /// Stands for what it decides by: two of one id decide the same.
    fn id(&self) -> &str;

    /// Whether the action may be done.
    ///
    /// # Errors
    /// When it may not.
    fn decide(&self, principal: &Principal, action: &Action<'_>) -> Result<(), Refusal>;

    /// The same, and how often the action may be done, by the word of each that allows it: within one of these is enough. Nothing
    /// where it is any number of times.
    ///
    /// # Errors
    /// When it may not be done.
    fn allow(&self, principal: &Principal, action: &Action<'_>) -> Result<Vec<Allowance>, Refusal> {
        self.decide(principal, action).map(|()| Vec::new())
    }

    /// The same, and what was decided, for who keeps records of that.
    fn allow_and_tell(
        &self,
        principal: &Principal,
        action: &Action<'_>,
    ) -> (Result<Vec<Allowance>, Refusal>, Option<Decision>) {
        (self.allow(principal, action), None)
    }

    /// What somebody may see; nothing where that is everything.
    fn view(&self, principal: &Principal, claims: Option<&Arc<Claims>>) -> Option<Arc<dyn Narrow>>;

    /// Whether what nobody may use is to its caller as if it were not there. Else it is refused, and said why.
    fn hides(&self) -> bool;

    /// Whether what it denies is refused. Else that is only said in the log.
    fn enforces(&self) -> bool {
        true
    }

    /// Whether something may have to be approved first ([`Refusal::Approval`]).
    fn asks(&self) -> bool {
        false
    }
}

/// Allows nothing: where there should be policies and nobody has read them.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Decide for Nothing {
    fn id(&self) -> &'static str {
        "nothing"
    }

    fn decide(&self, _: &Principal, _: &Action<'_>) -> Result<(), Refusal> {
        Err(Refusal::Policy(None))
    }

    fn view(&self, _: &Principal, _: Option<&Arc<Claims>>) -> Option<Arc<dyn Narrow>> {
        Some(Arc::new(Self))
    }

    fn hides(&self) -> bool {
        false
    }
}

impl Narrow for Nothing {
    fn id(&self) -> Arc<str> {
        "nothing".into()
    }

    fn shows(&self, _: &Action<'_>) -> bool {
        false
    }
}
