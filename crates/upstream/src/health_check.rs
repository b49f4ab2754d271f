//! Asking a server how it is, so that one that comes back is found though nobody calls it, and no client's call has to
//! fail for that.
//!
//! What is sent is Portolan's own and says nothing of anybody: `server/discover` or, in a legacy session that belongs to
//! no client, `ping`; with the headers that the configuration gives every request, no client's headers, and no arguments.
//! One at a time for each server.

use std::sync::Arc;

use auth::{Action, Gate, Principal};
use base::error::CallError;
use base::fault::Fault;
use bytes::Bytes;
use mcp::call::Call;
use mcp::meta::{ClientFacts, LogWish};
use mcp::version::Era;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::answer::Answer;
use crate::arrival::Arrival;
use crate::failed::Failed;
use crate::health::admission::Admission;
use crate::link::{Health, Link, NOTHING};
use crate::order::Order;
use crate::pipe::pool::Need;
use crate::upstream::Upstream;

/// The first pause before a server that is down is asked how it is, and the longest.
const FIRST_CHECK: Duration = Duration::from_secs(1);
/// The first one for a program, which is ours to start: many fail a few times because something else is not up yet.
const FIRST_START: Duration = Duration::from_millis(250);
const LONGEST_CHECK: Duration = Duration::from_secs(30);

/// Asks one server how it is.
#[derive(Debug)]
pub struct HealthCheck {
    upstream: Arc<Upstream>,
    gate: Gate,
    principal: Principal,
}

impl HealthCheck {
    pub fn new(upstream: Arc<Upstream>, gate: Gate, principal: Principal) -> Self {
        Self { upstream, gate, principal }
    }

    /// Asks whenever there is reason to. Never ends by itself.
    pub async fn run(self) {
        let mut health = self.upstream.health_changes();
        loop {
            let down = async {
                let down = health.wait_for(|health| matches!(health, Health::Down { .. }));
                down.await.is_ok()
            };
            tokio::select! {
                is_down = down => if !is_down { return },
                () = self.idle() => {
                    self.check().await;
                    continue;
                }
            }
            let mut pause = if self.upstream.is_process() { FIRST_START } else { FIRST_CHECK };
            while matches!(*health.borrow(), Health::Down { .. }) {
                // An open breaker knows when the server may be tried; that trial is ours, before any client's.
                let due = self.upstream.shared.breaker.due();
                let left = due.map(|due| due.saturating_duration_since(Instant::now()));
                sleep(left.unwrap_or_else(|| self.upstream.shared.breaker.jitter(pause))).await;
                pause = (pause * 2).min(LONGEST_CHECK);
                // It may have come back with somebody's call.
                if matches!(*health.borrow(), Health::Down { .. }) {
                    self.check().await;
                }
            }
        }
    }

    /// Waits until nothing was sent to the server for as long as the configuration says.
    async fn idle(&self) {
        let Some(every) = self.upstream.plan().health_check else { return std::future::pending().await };
        loop {
            let before = self.upstream.shared.requests();
            sleep(self.upstream.shared.breaker.jitter(every)).await;
            if self.upstream.shared.requests() == before {
                return;
            }
        }
    }

    /// Whatever the server answers, it is there; the upstream takes note of it.
    async fn check(&self) {
        let Ok(admission) = self.upstream.admit() else { return };
        let within = self.upstream.plan().deadlines.connect;
        let asked = async {
            // The start of a program is bounded where it is started, and others may be started before it.
            if self.upstream.is_process()
                && let Err(error) = self.link().await
            {
                return Ok(Err(error));
            }
            timeout(within, self.ask()).await
        };
        match asked.await {
            Ok(Ok(mut answer)) => {
                self.upstream.record_success(admission, &mut answer);
                self.upstream.recovered(&answer);
            }
            Ok(Err(error)) => {
                tracing::debug!(upstream = self.upstream.name(), %error, "still down");
                let failed = Failed::from(error);
                // It is not asked more often for being asked, so only a trial counts.
                self.upstream.record_failure(admission.filter(Admission::is_trial), &failed);
            }
            Err(_elapsed) => {
                let error =
                    self.upstream.shared.unreached(&format!("no answer within {within:?}"), Fault::Late);
                self.upstream.shared.set_health(Health::down(&error));
                if let Some(admission) = admission {
                    self.upstream.shared.noted(admission.record_late(&error), &error);
                }
            }
        }
    }

    async fn link(&self) -> Result<(Era, Link), CallError> {
        let upstream = &self.upstream;
        let era = upstream.own_era(&self.principal).await;
        let whose = upstream.whose(&self.principal, era, None, NOTHING);
        Ok((era, upstream.link(&whose, Need::Own).await?))
    }

    async fn ask(&self) -> Result<Box<Answer>, CallError> {
        let upstream = &self.upstream;
        let (era, link) = self.link().await?;
        let method = if link.era() == Era::Modern { "server/discover" } else { "ping" };
        let client =
            ClientFacts { capabilities: Bytes::from_static(b"{}"), info: None, log: LogWish::Nothing };
        let call = Call::own(method, "{}", client)?;
        let action = Action::new(method, upstream.label(), None);
        let permit = self.gate.permit(&self.principal, &action)?;
        let order = Order { probes: true, ..Order::ours(&call, era, upstream.plan().deadlines.connect) };
        let mut answer = upstream.send(permit.cover(order)).await?;
        loop {
            if let Arrival::Response(response) = answer.next().await? {
                return Ok(Box::new(answer.over(response)));
            }
        }
    }
}
