//! How much callers may take: a call is counted when it is known who calls, and again when it is known where it goes. What is counted
//! to its end goes with its answer.
//!
//! A retry of a modern client counts as a call, because only its server can tell whether it is one, and anybody could say so; unless
//! its state opens, and leads to a call that is open here and goes on with it: that was counted. What we send again ourselves counts once.
//! A tool's call that becomes a task is counted among those at once until its task is over ([`super::outlasting`]).
//! A call that a limit refuses, or a policy's, is given back by all others; one that policies deny, by those of its target, which callers
//! may share who are allowed it. A call that somebody is to approve first is counted before anybody is asked, however that ends.

use std::sync::Arc;
use std::time::Duration;

use base::error::CallError;
use catalog::Target;
use catalog::caller::Caller;
use limits::{Entered, Entry, Held, Limiter, Repeated, RouteLimits, Subject, Turn};
use mcp::call::Call;
use mcp::legacy::tasks::Task;
use mcp::method::Kind;

use super::edit::Edit;
use super::filter::{Admit, At, Filter, Stage, Verdict};
use super::outlasting::{Outlasting, TaskOf};
use super::state::{Counted, Proof};

/// The limits of a route.
#[derive(Debug)]
pub(crate) struct Limiting {
    route: String,
    limits: RouteLimits,
    outlasting: Arc<Outlasting>,
}

impl Limiting {
    /// Those of the route of that name, if there are any.
    pub(crate) fn of_route(name: &str, limiter: &Limiter, outlasting: &Arc<Outlasting>) -> Option<Arc<Self>> {
        let limits = limiter.of_route(name)?;
        Some(Arc::new(Self { route: name.to_owned(), limits, outlasting: Arc::clone(outlasting) }))
    }

    /// Counts a call by who makes it. `goes_on` says whether it goes on with one that was counted.
    pub(crate) fn enter(
        &self,
        (call, approved): (&Call, Option<&Proof>),
        caller: &Caller,
        goes_on: impl FnOnce() -> bool,
    ) -> Entry<'static> {
        let turn = if call.continues() && goes_on() { Turn::Again } else { turn(call, approved) };
        self.limits.enter(&self.subject(caller), turn)
    }

    /// Counts a call whose approval is looked at, by where it goes. Cancel safe.
    pub(crate) async fn count(&self, at: At<'_>) -> Result<Option<Box<dyn Edit>>, CallError> {
        let verdict = match self.admit(at) {
            Admit::Now(verdict) => verdict?,
            Admit::Later(verdict) => verdict.await?,
        };
        Ok(match verdict {
            Verdict::With { edit, .. } => edit,
            _ => None,
        })
    }

    fn subject<'a>(&'a self, caller: &'a Caller) -> Subject<'a> {
        let client = caller.claims.as_ref().and_then(|claims| claims.client.as_deref());
        Subject { principal: &caller.principal, client, route: &self.route, server: None, tool: None }
    }
}

impl Filter for Limiting {
    fn stage(&self) -> Stage {
        Stage::Limits
    }

    fn admit<'a>(&'a self, At { call, came, caller, target, approved }: At<'a>) -> Admit<'a> {
        if approved.is_some_and(|proof| proof.counted == Counted::Here) {
            return Admit::PASS;
        }
        let is_tool = call.kind() == Kind::Tool;
        let name = || target.name.as_deref().or_else(|| call.subject().map(|subject| &*subject.text));
        let tool = if is_tool { name() } else { None };
        let server = Some(target.member.upstream.name());
        let subject = Subject { server, tool, ..self.subject(caller) };
        let repeated = Repeated {
            session: caller.session.as_deref().or(caller.client.as_deref()),
            arguments: call.arguments(),
        };
        let repeated = is_tool.then_some(repeated);
        match self.limits.enter_target(subject, repeated, turn(came, approved)) {
            Entry::Now(entered) => Admit::Now(entered.map(|entered| self.verdict(entered, (caller, target)))),
            Entry::Later(entered) => Admit::Later(Box::pin(async move {
                entered.await.map(|entered| self.verdict(entered, (caller, target)))
            })),
        }
    }
}

fn turn(call: &Call, approved: Option<&Proof>) -> Turn {
    let is_counted = approved.is_some_and(|proof| proof.counted == Counted::Before);
    if call.is_again() || is_counted { Turn::Again } else { Turn::New }
}

impl Limiting {
    fn verdict(&self, entered: Entered, whose: (&Caller, &Target<'_>)) -> Verdict {
        let Some(held) = entered else { return Verdict::Pass };
        let edit: Box<dyn Edit> = if held.counts_tools_at_once() {
            let (task, outlasting) = (TaskOf::new(whose, ""), Arc::clone(&self.outlasting));
            let longest = whose.1.member.upstream.plan().deadlines.call;
            Box::new(ToolHeld { held, task, outlasting, longest })
        } else {
            held
        };
        Verdict::With { call: None, edit: Some(edit) }
    }
}

/// A tool's call that is counted among those at once, and may become a task.
#[derive(Debug)]
struct ToolHeld {
    held: Box<Held>,
    /// The task that it may become, but for its name.
    task: TaskOf,
    outlasting: Arc<Outlasting>,
    /// So long a task counts of which nobody hears that it is over.
    longest: Duration,
}

impl Edit for ToolHeld {
    fn arrived(&mut self, bytes: usize) {
        self.held.count(bytes);
    }

    fn outlasts(&self) -> bool {
        true
    }

    fn began(&mut self, task: &Task<'_>) {
        if !task.status.is_over()
            && let Some(held) = self.held.outlast()
        {
            self.outlasting.hold(self.task.called(&task.id), held, self.longest);
        }
    }

    fn give_back(&mut self) {
        self.held.give_back();
    }

    fn suspend(&mut self) {
        self.held.suspend();
    }

    fn go_on(&mut self) {
        self.held.go_on();
    }
}

impl Edit for Held {
    fn arrived(&mut self, bytes: usize) {
        self.count(bytes);
    }

    fn give_back(&mut self) {
        Self::give_back(self);
    }

    fn suspend(&mut self) {
        Self::suspend(self);
    }

    fn go_on(&mut self) {
        Self::go_on(self);
    }
}
