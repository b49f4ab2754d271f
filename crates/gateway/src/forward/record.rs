//! One call's record: opened when the call is known, closed once however it ends, before its last thing leaves.

use std::borrow::Cow;
use std::sync::Arc;

use auth::Principal;
use base::bulkhead::Slot;
use base::error::CallError;
use base::metrics::Metrics;
use base::reply;
use base::sink::{CallFacts, Sinks};
use base::world::World;
use mcp::jsonrpc::{Message, MessageKind};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// What is written of one call. Dropped before it is closed, it is closed as cancelled.
#[derive(Debug)]
pub(crate) struct CallRecord {
    sinks: Sinks,
    /// Owns what waits for the sinks, where any of them takes its time.
    tasks: Option<TaskTracker>,
    metrics: Arc<Metrics>,
    /// Nothing more once it is closed.
    facts: Option<CallFacts>,
    began: Instant,
    /// Until all sinks have it.
    closing: Option<JoinHandle<()>>,
    /// The call's place among all calls, free again when it ends.
    place: Option<Slot>,
}

impl CallRecord {
    /// For a call that begins now. No server is known to be its target.
    pub(crate) fn open(world: &World, principal: &Principal, method: Cow<'static, str>) -> Self {
        Self {
            sinks: world.sinks.clone(),
            tasks: world.sinks.wait().then(|| world.tasks.clone()),
            metrics: Arc::clone(&world.metrics),
            facts: Some(CallFacts {
                principal: principal.clone(),
                upstream: Arc::clone(world.metrics.nobody()),
                method,
                outcome: "cancelled",
                took: Duration::ZERO,
            }),
            began: Instant::now(),
            closing: None,
            place: None,
        }
    }

    /// The server of that name is its target.
    pub(crate) fn goes_to(&mut self, upstream: &Arc<str>) {
        if let Some(facts) = &mut self.facts {
            facts.upstream = Arc::clone(upstream);
        }
    }

    /// Keeps the call's place until it ends.
    pub(crate) fn hold(&mut self, place: Slot) {
        self.place = Some(place);
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Progress was not passed on.
    pub(crate) fn progress_left_out(&self) {
        if let Some(facts) = &self.facts {
            self.metrics.progress_left_out(&facts.upstream);
        }
    }

    /// Closes it, if it is not closed yet, and waits until all sinks have it. Cancel safe: asked again, it waits for the rest.
    pub(crate) async fn close(&mut self, outcome: &'static str) {
        self.end(outcome);
        self.written().await;
    }

    /// The same for a call that has failed.
    pub(crate) async fn failed(&mut self, error: &CallError) {
        self.end_failed(error);
        self.written().await;
    }

    /// Closes it, if it is not closed yet.
    pub(crate) fn end(&mut self, outcome: &'static str) {
        let Some(facts) = self.facts.take() else { return };
        let facts = CallFacts { outcome, took: self.began.elapsed(), ..facts };
        self.place = None;
        match &self.tasks {
            // By itself, so that it is written whether or not anybody waits for that.
            Some(tasks) => self.closing = Some(tasks.spawn(self.sinks.clone().deliver(facts))),
            None => self.sinks.tell(&facts),
        }
    }

    /// The same for a call that has failed.
    pub(crate) fn end_failed(&mut self, error: &CallError) {
        let row = reply::wire(error);
        if let Some(facts) = &self.facts {
            row.log(error, &facts.method);
        }
        self.end(row.label);
    }

    /// Whether nobody need wait for a sink.
    pub(crate) fn is_written(&self) -> bool {
        self.closing.is_none()
    }

    /// Waits until all sinks have it. Cancel safe.
    pub(crate) async fn written(&mut self) {
        if let Some(closing) = &mut self.closing {
            // An error means that the runtime is ending.
            drop(closing.await);
            self.closing = None;
        }
    }

    /// What has come of it takes none of the places of calls: it has places of its own.
    pub(crate) fn release(&mut self) {
        self.place = None;
    }
}

/// How a call has ended that has this response, of a server or of ours.
pub(crate) fn outcome_of(message: &Message) -> &'static str {
    if matches!(message.kind(), MessageKind::Error(_)) { "error" } else { "ok" }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        // Nobody waited for the end.
        self.end("cancelled");
    }
}
