//! Traces and metrics of calls, by OpenTelemetry, for a collector that speaks OTLP over HTTP. The only crate that knows any of that
//! (design §8): the data plane asks a [`base::traces::Traces`], if there is one.
//!
//! Reading order: [`Telemetry`] (what is begun, and ended), `facts` (what is known of a request), `spans` (what a span is and says), `measures` (what is measured of all
//! of them, kept or not), `sampling` (which are kept), `queue` (where they wait, within bounds), `collector` (how they leave).
//!
//! Names are those of the conventions for MCP: open-telemetry/semantic-conventions-genai, version 0.1.0, the page on MCP, in
//! development; of the general conventions version 1.41. What they have and we never say is in docs/tracing.md.
#![warn(missing_docs)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::metrics::Metrics;
use base::plan::telemetry::TelemetryPlan;
use base::sink::{Accept, CallFacts, Sink};
use base::traces::Traces;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanLimits};
use transport::net::Network;

mod collector;
mod facts;
mod measures;
mod queue;
mod sampling;
mod spans;

use collector::{Collector, Signal};
use measures::Measures;
use queue::Bounded;
use sampling::Sampling;
use spans::Spans;

/// The conventions that names are of.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.41.0";
/// How long what is left may take to leave at the end.
const END: Duration = Duration::from_secs(3);

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces and metrics cannot be begun: {0}")]
pub struct Unbegun(#[from] std::io::Error);

/// Collects what calls do, and sends it.
#[derive(Debug)]
pub struct Telemetry {
    spans: Arc<Spans>,
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
}

/// Which process this is.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// Its version.
    pub version: &'a str,
    /// What no other process is called.
    pub instance: &'a str,
}

impl Telemetry {
    /// Begins to collect.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn open(
        plan: &TelemetryPlan,
        who: Who<'_>,
        (network, counts): (Arc<dyn Network>, Arc<Metrics>),
    ) -> Result<Arc<Self>, Unbegun> {
        let resource = resource(plan, who);
        let collector = Collector::new(plan, network, counts)?;
        let scope = InstrumentationScope::builder("portolan")
            .with_version(who.version.to_owned())
            .with_schema_url(SCHEMA)
            .build();
        let tracer = plan.traces.as_ref().map(|to| {
            let queue = Bounded::new(collector.to(Signal::Spans, to, &resource));
            SdkTracerProvider::builder()
                .with_span_processor(queue)
                .with_sampler(Sampling::new(plan.sample, plan.sample_callers))
                // Said here, so that no variable of the environment says it unasked.
                .with_span_limits(SpanLimits::default())
                .with_resource(resource.clone())
                .build()
        });
        let meter = plan.metrics.as_ref().map(|to| {
            let reader = PeriodicReader::builder(collector.to(Signal::Metrics, to, &resource));
            let reader = reader.with_interval(plan.every).build();
            SdkMeterProvider::builder().with_reader(reader).with_resource(resource.clone()).build()
        });
        let measures = meter.as_ref().map(|meter| Measures::new(meter, scope.clone()));
        let spans = Spans::new(tracer.as_ref().map(|tracer| tracer.tracer_with_scope(scope)), measures);
        Ok(Arc::new(Self { spans: Arc::new(spans), tracer, meter }))
    }

    /// Sends what is left. It may take some seconds, and blocks the thread so long; what cannot leave until then is lost.
    pub fn close(&self) {
        let lost = |what: &str, why: &dyn fmt::Display| {
            tracing::warn!("{what} could not all be sent at the end: {why}");
        };
        if let Some(Err(why)) = self.tracer.as_ref().map(|tracer| tracer.shutdown_with_timeout(END)) {
            lost("traces", &why);
        }
        // The SDK's reader takes up to five seconds, whatever it is told.
        if let Some(Err(why)) = self.meter.as_ref().map(|meter| meter.shutdown_with_timeout(END)) {
            lost("metrics", &why);
        }
    }
}

/// What all that is sent is of.
fn resource(plan: &TelemetryPlan, who: Who<'_>) -> Resource {
    let own = [
        KeyValue::new("service.name", plan.service_name.clone()),
        KeyValue::new("service.version", who.version.to_owned()),
        KeyValue::new("service.instance.id", who.instance.to_owned()),
        KeyValue::new("telemetry.sdk.name", "opentelemetry"),
        KeyValue::new("telemetry.sdk.language", "rust"),
    ];
    let said = plan.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty().with_attributes(own).with_attributes(said).build()
}

impl Sink for Telemetry {
    fn accept(&self, _: &CallFacts) -> Accept {
        // Its span has told all of it.
        Accept::Now
    }

    fn traces(&self) -> Option<Arc<dyn Traces>> {
        Some(Arc::clone(&self.spans) as Arc<dyn Traces>)
    }
}
