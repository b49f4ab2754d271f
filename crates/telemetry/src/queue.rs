//! Where spans wait until they are sent: no more than so many. What there is no room for is counted and told of, which the SDK's own
//! queue only does at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

use crate::collector::Sender;

/// The most that wait.
const MOST: usize = 2_048;
/// The most that are sent at once: a collector was seen to lose half of larger ones, and say that all is well.
const BATCH: usize = 512;
/// How long they wait for others.
const PAUSE: Duration = Duration::from_secs(2);

/// The queue.
#[derive(Debug)]
pub(crate) struct Bounded {
    inner: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    sender: Arc<Sender>,
}

impl Bounded {
    pub(crate) fn new(sender: Sender) -> Self {
        let (waiting, sender) = (Arc::<AtomicUsize>::default(), Arc::new(sender));
        let leaving = Leaving { waiting: Arc::clone(&waiting), sender: Arc::clone(&sender) };
        let config = BatchConfigBuilder::default()
            // It never refuses one itself.
            .with_max_queue_size(2 * MOST)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(PAUSE)
            .build();
        let inner = BatchSpanProcessor::builder(leaving).with_batch_config(config).build();
        Self { inner, waiting, sender }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let room = |waiting: usize| (waiting < MOST).then_some(waiting + 1);
        if self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            return self.sender.no_room();
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Takes spans out of the queue.
#[derive(Debug)]
struct Leaving {
    waiting: Arc<AtomicUsize>,
    sender: Arc<Sender>,
}

impl SpanExporter for Leaving {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        // Those on their way have no place in the queue any more.
        self.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        self.sender.spans(batch).await
    }
}

#[cfg(test)]
mod tests {
    use base::metrics::Metrics;
    use base::plan::telemetry::TelemetryPlan;
    use base::sink::Sink as _;
    use base::traces::{Came, Carrier};
    use mcp::trace::Trace;
    use transport::http::client::{ClientSettings, Destination};
    use transport::net::SystemNetwork;

    use super::*;
    use crate::{Telemetry, Who};

    #[test]
    fn what_there_is_no_room_for_is_counted_at_once_and_nobody_waits() {
        // Nobody listens at a port that only the system may give.
        let nowhere = Destination::new("http://127.0.0.1:1/v1/traces".parse().unwrap()).unwrap();
        let plan = TelemetryPlan {
            traces: Some(nowhere),
            metrics: None,
            headers: Vec::new(),
            client: ClientSettings::default(),
            sample: 1.0,
            sample_callers: 0,
            every: Duration::from_secs(60),
            service_name: "x".to_owned(),
            resource: Vec::new(),
        };
        let counts = Arc::new(Metrics::new());
        let who = Who { version: "1", instance: "i" };
        let telemetry = Telemetry::open(&plan, who, (Arc::new(SystemNetwork), Arc::clone(&counts))).unwrap();
        let traces = telemetry.traces().unwrap();
        let many = 4 * MOST;
        for _ in 0..many {
            drop(traces.came(&Came {
                method: "tools/list",
                trace: &Trace::NONE,
                meta: None,
                before: None,
                id: "1",
                revision: "2026-07-28",
                session: None,
                route: "main",
                carrier: Carrier::Http,
            }));
        }
        let text = counts.text();
        let lost = text.lines().find_map(|line| line.strip_prefix("portolan_telemetry_lost_total ")).unwrap();
        let lost: usize = lost.parse().unwrap();
        // Meanwhile some may be on their way.
        assert!(lost >= many - 2 * MOST, "{lost}");
        telemetry.close();
    }
}
