//! One call's line in the metrics, written exactly once however the call ends.

use std::borrow::Cow;
use std::sync::Arc;

use base::bulkhead::Slot;
use base::error::CallError;
use base::metrics::Metrics;
use base::reply;
use tokio::time::Instant;

/// Counts one call when it ends, or when it is dropped.
#[derive(Debug)]
pub(crate) struct Tally {
    metrics: Arc<Metrics>,
    upstream: Arc<str>,
    method: Cow<'static, str>,
    began: Instant,
    done: bool,
    /// The call's place among all calls, free again when it ends.
    place: Option<Slot>,
}

impl Tally {
    /// For a call that begins now. `upstream` is empty as long as no server is known to be its target.
    pub(crate) fn begin(metrics: &Arc<Metrics>, method: Cow<'static, str>) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            upstream: Arc::clone(metrics.nobody()),
            method,
            began: Instant::now(),
            done: false,
            place: None,
        }
    }

    pub(crate) fn goes_to(&mut self, upstream: &Arc<str>) {
        self.upstream = Arc::clone(upstream);
    }

    /// Keeps the call's place until it ends.
    pub(crate) fn hold(&mut self, place: Slot) {
        self.place = Some(place);
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn ended(&mut self, outcome: &'static str) {
        if !self.done {
            self.done = true;
            self.place = None;
            self.metrics.call(&self.upstream, &self.method, outcome, self.began.elapsed());
        }
    }

    /// Progress was not passed on.
    pub(crate) fn progress_left_out(&self) {
        self.metrics.progress_left_out(&self.upstream);
    }

    pub(crate) fn failed(&mut self, error: &CallError) {
        let wire = reply::wire(error);
        if !self.done {
            wire.log(error, &self.method);
        }
        self.ended(wire.label);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // Nobody waited for the end.
        self.ended("cancelled");
    }
}
