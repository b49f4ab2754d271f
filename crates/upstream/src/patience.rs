//! How long others wait for a server, and what is made of it when it lets them wait.

use std::sync::Arc;

use auth::Principal;
use base::error::CallError;
use base::fault::Fault;
use base::plan::SessionRule;
use mcp::discover::Discovered;
use mcp::meta::ClientFacts;
use mcp::version::Era;
use tokio::time::{Duration, Instant, timeout};

use crate::answer::Answer;
use crate::link::Health;
use crate::suspense::{Waited, Want};
use crate::upstream::{Upstream, Wire};

/// For so long a server that is down is waited for: one that refuses has refused by then, and one that is back answers.
const MOMENT: Duration = Duration::from_millis(100);
/// What a description is waited for at most: there are clients that give it one second in all.
const DESCRIPTION: Duration = Duration::from_millis(500);

impl Upstream {
    /// Something is asked of it that clients may wait for.
    pub fn waited(&self) -> Waited<'_> {
        self.shared.suspense.waited()
    }

    /// Reaches it for nobody in particular, and starts it for that. How that went, its health tells as well.
    pub async fn reach(&self) -> Result<(), CallError> {
        self.discovered(&Principal::anonymous(), Era::Modern, None).await.map(drop)
    }

    /// Why nobody should wait for it, if so.
    pub fn sick(&self) -> Option<CallError> {
        let sick = self.shared.suspense.sick()?;
        Some(self.starting().unwrap_or(sick))
    }

    /// Why it says nothing yet, if it is a program that is being started for the first time, or takes long to start.
    pub fn starting(&self) -> Option<CallError> {
        match &self.wire {
            Wire::Stdio(wire) => wire.starting(self.health() != Health::Unknown),
            Wire::Http(_) | Wire::Own(_) => None,
        }
    }

    /// What it has said so far that is no message, if it is a program that is being started; what that is, nobody knows.
    pub fn said(&self) -> Option<String> {
        match &self.wire {
            Wire::Stdio(wire) => wire.said(),
            Wire::Http(_) | Wire::Own(_) => None,
        }
    }

    /// Whether nothing speaks against it.
    pub fn is_well(&self) -> bool {
        self.shared.breaker.due().is_none() && matches!(*self.shared.health().borrow(), Health::Up { .. })
    }

    /// Whether it is waited for until it has started or is given up: a program, where nobody stays who could be told later that it is
    /// there.
    pub fn is_waited_out(&self) -> bool {
        self.is_process() && !self.plan().watched
    }

    /// What it is found to be for a client, for whom that takes no longer than `within`; a start that is waited out is bounded where
    /// the program is started.
    pub async fn discovered_within(
        &self,
        within: Duration,
        (principal, era, client): (&Principal, Era, &ClientFacts),
    ) -> Option<Result<(Era, Arc<Discovered>), CallError>> {
        let found = self.discovered(principal, era, Some(client));
        if self.is_waited_out() { Some(found.await) } else { timeout(within, found).await.ok() }
    }

    /// How long others wait for it: longer while it is a program that is being started for the first time.
    pub fn grace(&self) -> Duration {
        let deadlines = &self.plan().deadlines;
        // Where each client has a process of its own, each is started for the first time.
        let first = self.health() == Health::Unknown || self.plan().sessions == SessionRule::PerClient;
        match self.is_process() && first {
            // Its lists have their time from its start on.
            true if self.is_waited_out() => deadlines.starting,
            true => deadlines.starting.min(deadlines.list),
            false => deadlines.grace.min(deadlines.list),
        }
    }

    /// For how long something has been waited for.
    pub fn waited_so_far(&self) -> Duration {
        let waited = self.shared.suspense.since().map(|since| since.elapsed()).unwrap_or_default();
        Duration::from_millis(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX))
    }

    /// Until when those wait for it who want to see other servers, too: not at all if it is known to be sick, and hardly if
    /// something has been waited for already.
    pub fn patience(&self, want: Want) -> Instant {
        let now = Instant::now();
        if self.sick().is_some() || self.shared.breaker.due().is_some() {
            return now;
        }
        if matches!(self.health(), Health::Down { .. }) {
            return now + MOMENT;
        }
        let (since, grace) = (self.shared.suspense.since().unwrap_or(now), self.grace());
        let until = (since + grace).max(now + MOMENT.min(grace));
        match want {
            Want::Description if self.is_waited_out() => until,
            Want::Description => until.min(now + DESCRIPTION),
            Want::List => until,
        }
    }

    /// It was asked for a list or a description and said nothing until the deadline.
    pub fn hung(&self, error: &CallError) {
        self.shared.suspense.ill(error);
        if matches!(self.health(), Health::Up { .. }) {
            self.shared.set_health(Health::down(error));
        }
        if matches!(&self.wire, Wire::Http(_)) {
            self.shared.went_wrong(Fault::Late, error);
        }
    }

    /// It has answered that.
    pub fn answers(&self) {
        self.shared.suspense.well();
    }

    /// It has answered when it was asked how it is.
    pub(super) fn recovered(&self, answer: &Answer) {
        if self.sick().is_none() {
            return;
        }
        self.answers();
        if self.shared.breaker.due().is_none() {
            self.shared.set_health(Health::Up {
                era: answer.era(),
                revision: answer.revision().name,
                transport: answer.transport(),
            });
        }
    }

    /// Nobody is there where it was listened to for changes: it is looked for from now on.
    pub fn away(&self, error: &CallError) {
        let is_gone = matches!(error, CallError::Unreachable { fault: Some(Fault::NoConnection), .. });
        if is_gone && matches!(self.health(), Health::Up { .. }) {
            self.shared.set_health(Health::down(error));
        }
    }
}
