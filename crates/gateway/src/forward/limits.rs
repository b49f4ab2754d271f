//! How much callers may take: a call is counted when it is known who calls, and again when it is known where it goes. What is counted
//! to its end goes with its answer.
//!
//! A retry of a modern client counts as a call, because only its server can tell whether it is one, and anybody could say so; where
//! it goes on with a call that was left open here, it was counted with that. So it is counted when that is known. What we send again
//! ourselves counts once.

use std::sync::Arc;

use catalog::caller::Caller;
use limits::{Entered, Entry, Held, Limiter, Repeated, RouteLimits, Subject, Turn};
use mcp::call::Call;
use mcp::method::{Kind, Reach};

use super::edit::Edit;
use super::filter::{Admit, At, Filter, Stage, Verdict};

/// The limits of a route.
#[derive(Debug)]
pub(crate) struct Limiting {
    route: String,
    limits: RouteLimits,
}

impl Limiting {
    /// Those of the route of that name, if there are any.
    pub(crate) fn of_route(name: &str, limiter: &Limiter) -> Option<Arc<Self>> {
        let limits = limiter.of_route(name)?;
        Some(Arc::new(Self { route: name.to_owned(), limits }))
    }

    /// Counts a call by who makes it.
    pub(crate) fn enter(&self, call: &Call, caller: &Caller) -> Entry<'static> {
        if is_counted_late(call) { Entry::FREE } else { self.limits.enter(&self.subject(caller), turn(call)) }
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

    fn admit<'a>(&'a self, At { call, came, caller, target }: At<'a>) -> Admit<'a> {
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
        let entry = if is_counted_late(came) {
            self.limits.enter_late(subject, repeated, turn(came))
        } else {
            self.limits.enter_target(subject, repeated, turn(came))
        };
        match entry {
            Entry::Now(entered) => Admit::Now(entered.map(verdict)),
            Entry::Later(entered) => Admit::Later(Box::pin(async { entered.await.map(verdict) })),
        }
    }
}

fn turn(call: &Call) -> Turn {
    if call.is_again() { Turn::Again } else { Turn::New }
}

/// Whether it may go on with a call that was counted.
fn is_counted_late(call: &Call) -> bool {
    let has_owner = call.method().is_none_or(|method| method.reach != Reach::All);
    call.continues() && !call.is_again() && has_owner
}

fn verdict(entered: Entered) -> Verdict {
    entered.map_or(Verdict::Pass, |held| Verdict::With { call: None, edit: Some(held) })
}

impl Edit for Held {
    fn arrived(&mut self, bytes: usize) {
        self.count(bytes);
    }

    fn suspend(&mut self) {
        Self::suspend(self);
    }

    fn go_on(&mut self) {
        Self::go_on(self);
    }
}
