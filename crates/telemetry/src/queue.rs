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
