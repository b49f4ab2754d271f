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
    tasks: TaskTracker,
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
            tasks: world.tasks.clone(),
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
        if let Some(closing) = &mut self.closing {
            // An error means that the runtime is ending.
            drop(closing.await);
            self.closing = None;
        }
    }

    /// The call has that response of a server, or of ours.
    pub(crate) async fn answered(&mut self, message: &Message) {
        let is_error = matches!(message.kind(), MessageKind::Error(_));
        self.close(if is_error { "error" } else { "ok" }).await;
    }

    /// The call has failed.
    pub(crate) async fn failed(&mut self, error: &CallError) {
        let row = reply::wire(error);
        if let Some(facts) = &self.facts {
            row.log(error, &facts.method);
        }
        self.close(row.label).await;
    }

    fn end(&mut self, outcome: &'static str) {
        let Some(facts) = self.facts.take() else { return };
        let facts = CallFacts { outcome, took: self.began.elapsed(), ..facts };
        self.place = None;
        if self.sinks.wait() {
            // By itself, so that it is written whether or not anybody waits for that.
            self.closing = Some(self.tasks.spawn(self.sinks.clone().deliver(facts)));
        } else {
            self.sinks.tell(&facts);
        }
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        // Nobody waited for the end.
        self.end("cancelled");
    }
}
