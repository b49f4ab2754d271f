//! Sending again what is safe to send again: whatever certainly was not sent, and what does no harm when it is sent twice.
//!
//! Nothing else, ever: a tool call whose connection broke may have been carried out. And nothing of which a client has
//! seen anything yet: an answer that was given out is not taken back.

use base::error::CallError;
use mcp::method::Kind;
use tokio::time::{Duration, sleep, timeout};

use crate::answer::Answer;
use crate::failed::Failed;
use crate::health::admission::Admission;
use crate::link::{Health, Whose};
use crate::order::Order;
use crate::upstream::{Upstream, Wire};

/// The pause before the first retry; before each further one it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// For so long a stream that may have to be asked for again is held back until something comes of it. A client that
/// waits longer must see that its answer has begun.
const HELD_BACK: Duration = Duration::from_secs(10);

impl Upstream {
    /// Whether nothing is left to be done about the beginning of a call but to pass it on. A trial is begun once: it is
    /// there to fail.
    pub(super) fn is_settled(
        &self,
        begun: &Result<Box<Answer>, Failed>,
        order: &Order<'_>,
        is_trial: bool,
    ) -> bool {
        match begun {
            Ok(answer) if answer.is_here() => true,
            _ if is_trial || order.is_own() => true,
            Ok(_) => !self.repeats(order),
            Err(failed) => failed.fault.is_none(),
        }
    }

    /// Begins a call again where that is safe.
    pub(super) async fn retry_until_steady(
        &self,
        order: &Order<'_>,
        whose: &Whose,
        mut begun: Result<Box<Answer>, Failed>,
    ) -> Result<Box<Answer>, Failed> {
        let repeats = self.repeats(order);
        let mut tried = 0;
        loop {
            let failed = match begun {
                Ok(answer) if !repeats || answer.is_here() => return Ok(answer),
                Ok(mut answer) => match timeout(HELD_BACK, answer.next()).await {
                    Ok(Ok(arrival)) => return Ok(Box::new(answer.with_first(arrival))),
                    Ok(Err(error)) => Failed::from(error),
                    Err(_elapsed) => return Ok(answer),
                },
                Err(failed) => failed,
            };
            if !self.wait_to_retry(&failed, repeats, tried).await {
                return Err(failed);
            }
            tried += 1;
            begun = self.begin_placed(order, whose).await;
        }
    }

    /// Whether a call does no harm when the server gets it twice. One that goes on where an earlier one was suspended is
    /// not the same thing twice.
    pub(super) fn repeats(&self, order: &Order<'_>) -> bool {
        if self.shared.plan.retries == 0 || order.call.continues() {
            return false;
        }
        let Some(method) = order.call.method() else { return false };
        if method.reads {
            return true;
        }
        let Some(tools) = self.shared.plan.retry_tools.as_ref().filter(|_| method.kind == Kind::Tool) else {
            return false;
        };
        let name = order.subject.or_else(|| order.call.subject().map(|subject| &*subject.text));
        name.is_some_and(|name| tools.is_match(name))
    }

    /// Whether to try again what failed; waits for a moment if so.
    pub(super) async fn wait_to_retry(&self, failed: &Failed, repeats: bool, tried: usize) -> bool {
        let Some(fault) = failed.fault.filter(|_| tried < self.shared.plan.retries) else { return false };
        // Processes and connections that last have pauses of their own before they are begun again.
        let may_be = (fault.sent_nothing() && self.is_guarded()) || (repeats && fault.may_pass());
        if !may_be || self.shared.breaker.due().is_some() {
            return false;
        }
        let (name, metrics) = (self.name(), &self.shared.world.metrics);
        if !self.shared.may_retry() {
            metrics.retry_withheld(name);
            tracing::debug!(upstream = name, "not sent again: too much was sent again already");
            return false;
        }
        metrics.retried(name);
        tracing::debug!(upstream = name, %fault, "sending again");
        let doubled = FIRST_PAUSE.saturating_mul(1 << tried.min(6));
        sleep(self.shared.breaker.jitter(doubled)).await;
        true
    }

    /// Leave to send something; none is needed where the breaker has nothing to say.
    pub(super) fn admit(&self) -> Result<Option<Admission<'_>>, CallError> {
        match &self.wire {
            Wire::Http(_) => self.shared.breaker.admit().map(Some),
            Wire::Stdio(_) | Wire::Own(_) => Ok(None),
        }
    }

    /// Whether its breaker counts: a process, and the one connection of HTTP+SSE, are begun again with pauses of their own
    /// (`pipe/pool`), which must not be counted twice.
    fn is_guarded(&self) -> bool {
        matches!(&self.wire, Wire::Http(wire) if !wire.is_sse())
    }

    /// The server has begun to answer. A stream that has only begun says no more than that the server is there.
    pub(super) fn record_success(&self, admission: Option<Admission<'_>>, answer: &mut Answer) {
        let Some(admission) = admission else { return };
        if admission.is_trial() {
            admission.record_success();
            self.shared.set_health(Health::Up {
                era: answer.era(),
                revision: answer.revision().name,
                transport: answer.transport(),
            });
        } else if answer.is_here() {
            admission.record_success();
        }
        if !answer.is_here() {
            answer.report();
        }
    }

    /// The server has not answered.
    pub(super) fn record_failure(&self, admission: Option<Admission<'_>>, failed: &Failed) {
        let Some(admission) = admission else { return };
        match (failed.fault, &failed.error) {
            (Some(fault), error) if admission.is_trial() || self.is_guarded() => {
                let has_opened = admission.record_failure(fault, error);
                self.shared.noted(has_opened, error);
            }
            // There is somebody who says no.
            (None, CallError::InvalidAnswer { .. } | CallError::Unauthorized { .. })
            | (None, CallError::Unreachable { .. }) => admission.record_success(),
            // Our own limits say nothing about the server.
            _ => {}
        }
    }
}
