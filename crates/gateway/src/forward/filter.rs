//! What a call passes before it is sent: an ordered list per route, made with the plan.
//!
//! A filter sees the call, its caller and its target, and lets it pass, lets it go on changed, or answers it here. It cannot
//! permit: the gate is asked afterwards, about the call as it will be sent ([`super::send`]), and about the call as it is where a
//! filter has answered it ([`crate::call`]).

use std::fmt::Debug;
use std::sync::Arc;

use base::error::CallError;
use catalog::Target;
use catalog::caller::Caller;
use futures_util::future::BoxFuture;
use mcp::call::Call;
use mcp::jsonrpc::Message;
use upstream::Answer;

use super::edit::{self, Edit};
use super::relay::Relay;
use super::round::Rounds;
use super::state::Proof;

/// The place of a filter among the others of its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The caller's token is good for it.
    Scopes,
    /// Somebody approves it, where policies want that.
    Approval,
    /// A retry goes on with what its call has left open.
    Resume,
    /// The caller takes no more than it may.
    Limits,
    /// A call becomes a task, or is about one.
    Tasks,
}

/// All of them, in the order in which calls pass. The edits of answers come in reverse. ARCHITECTURE.md draws it.
pub(crate) const ORDER: &[Stage] =
    &[Stage::Scopes, Stage::Approval, Stage::Resume, Stage::Limits, Stage::Tasks];

impl Stage {
    /// Its name, and what stands in it: a line of the drawing in ARCHITECTURE.md.
    #[cfg(test)]
    fn says(self) -> (&'static str, &'static str) {
        match self {
            Self::Scopes => ("scopes", "a token that is not good for it is refused"),
            Self::Approval => (
                "approval",
                "what policies want to be approved is, by its caller or somebody else, before it goes on",
            ),
            Self::Resume => {
                ("resume", "a retry finds the call left open; a state is bound to its caller and replica")
            }
            Self::Limits => {
                ("limits", "a call that is over a limit is refused, or waits; it is counted to its end")
            }
            Self::Tasks => ("tasks", "a tool is called as a task, or not as one; a task is asked about"),
        }
    }
}

/// What a filter may see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    /// The call as the filters before have left it.
    pub(crate) call: &'a Call,
    /// The call as it came.
    pub(crate) came: &'a Call,
    pub(crate) caller: &'a Arc<Caller>,
    pub(crate) target: &'a Target<'a>,
    /// The proof that it was approved, if it was.
    pub(crate) approved: Option<&'a Proof>,
}

/// What a filter says: at once, as nearly all do, or when it knows.
pub(crate) enum Admit<'a> {
    Now(Result<Verdict, CallError>),
    /// Cancel safe.
    Later(BoxFuture<'a, Result<Verdict, CallError>>),
}

impl Admit<'_> {
    /// It has nothing to do with the call.
    pub(crate) const PASS: Self = Self::Now(Ok(Verdict::Pass));
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It goes on as it is.
    Pass,
    /// It goes on as another call, or its answer is changed on the way back, or both.
    With { call: Option<Box<Call>>, edit: Option<Box<dyn Edit>> },
    /// It was approved, and goes on as it is, or as another call.
    Approved { call: Option<Box<Call>>, proof: Box<Proof>, edit: Option<Box<dyn Edit>> },
    /// It has its answer. A server's may be changed on the way back; what is ours is as it is to be.
    /// It lies in a box of its own: nearly all calls have none.
    Answer(Box<Answered>, Option<Box<dyn Edit>>),
}

/// An answer that a filter has.
#[derive(Debug)]
pub(crate) enum Answered {
    /// A server is giving it.
    Server(Box<Answer>),
    /// We have given it.
    Own(Message),
    /// An open call goes on.
    Resumed(Box<Relay>),
    /// We give it as soon as we have it, and may ask the client first.
    Rounds(Box<dyn Rounds>),
}

/// A step before a call is sent.
pub(crate) trait Filter: Send + Sync + Debug {
    /// Where it stands.
    fn stage(&self) -> Stage;

    /// What becomes of a call.
    fn admit<'a>(&'a self, at: At<'a>) -> Admit<'a>;
}

/// The filters of one route.
#[derive(Debug, Default)]
pub(crate) struct Filters(Box<[Arc<dyn Filter>]>);

/// A call that has passed them.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// The call as it is to be sent, if it was changed.
    pub(crate) call: Option<Box<Call>>,
    /// The proof that it was approved, if it was.
    pub(crate) approved: Option<Box<Proof>>,
    /// In the order of the filters that want them.
    pub(crate) edits: Vec<Box<dyn Edit>>,
    /// Its answer, if it is not to be sent.
    pub(crate) answer: Option<Box<Answered>>,
}

impl Filters {
    /// Puts them in order.
    pub(crate) fn new(mut filters: Vec<Arc<dyn Filter>>) -> Self {
        filters.sort_by_key(|filter| ORDER.iter().position(|stage| *stage == filter.stage()));
        Self(filters.into())
    }

    /// Takes a call through all of them, or up to the first that answers. Cancel safe.
    pub(crate) async fn admit(
        &self,
        call: &Call,
        caller: &Arc<Caller>,
        (target, approved): (&Target<'_>, Option<Box<Proof>>),
    ) -> Result<Admitted, CallError> {
        let mut admitted = Admitted { approved, ..Admitted::default() };
        for filter in &self.0 {
            let verdict = {
                let (came, call) = (call, admitted.call.as_deref().unwrap_or(call));
                let approved = admitted.approved.as_deref();
                match filter.admit(At { call, came, caller, target, approved }) {
                    Admit::Now(verdict) => verdict,
                    Admit::Later(verdict) => verdict.await,
                }
            };
            match verdict.inspect_err(|error| edit::not_sent(error, &mut admitted.edits))? {
                Verdict::Pass => {}
                Verdict::With { call, edit } => {
                    admitted.call = call.or(admitted.call);
                    admitted.edits.extend(edit);
                }
                Verdict::Approved { call, proof, edit } => {
                    admitted.call = call.or(admitted.call);
                    admitted.edits.extend(edit);
                    admitted.approved = Some(proof);
                }
                Verdict::Answer(answer, edit) => {
                    admitted.edits.extend(edit);
                    admitted.answer = Some(answer);
                    break;
                }
            }
        }
        Ok(admitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The drawing of the phases names the filters in the order in which calls pass them.
    #[test]
    fn architecture_draws_the_filters_in_their_order() {
        let page = include_str!("../../../../ARCHITECTURE.md");
        let drawn: Vec<_> = page
            .lines()
            .filter_map(|line| line.split_once("filter: "))
            .filter_map(|(_, says)| says.split_once(": "))
            .collect();
        let ordered: Vec<_> = ORDER.iter().map(|stage| stage.says()).collect();
        assert_eq!(drawn, ordered);
        assert!(ORDER.is_sorted(), "the stages are declared in their order");
    }
}
