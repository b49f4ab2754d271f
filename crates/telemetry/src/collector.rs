//! A collector: OTLP over HTTP, in protobuf, by Portolan's own client. What it takes, and what is lost on the way, is counted.
//!
//! A thread of its own carries it: the SDK's threads have no runtime, and calls need not wait for it. It takes a success only for
//! that which it is: 2xx, and an answer that is one of a collector (enterprise reference A4: a login page is a 200, too). No
//! redirect is followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::metrics::Metrics;
use base::plan::telemetry::TelemetryPlan;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use transport::http::client::{Destination, HttpClient, SendFault};
use transport::net::Network;
use transport::workers::Workers;

const PROTOBUF: &str = "application/x-protobuf";
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one is sent again, and the pause before the first time, which doubles.
const RETRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const MOST_BYTES: usize = 64 * 1024;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Spans,
    Metrics,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Metrics => "metrics",
        }
    }
}

/// The way to a collector.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    client: HttpClient,
    headers: HeaderMap,
    workers: Workers,
    tasks: TaskTracker,
    counts: Arc<Metrics>,
}

impl Collector {
    pub(crate) fn new(
        plan: &TelemetryPlan,
        network: Arc<dyn Network>,
        counts: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let workers = Workers::start(1)?;
        let client = HttpClient::new(network, plan.client.clone(), None, &workers);
        let mut headers = HeaderMap::new();
        for (name, value) in &plan.headers {
            headers.append(name, value.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION"))));
        Ok(Self { client, headers, workers, tasks: TaskTracker::new(), counts })
    }

    /// What sends one kind of thing.
    pub(crate) fn to(&self, signal: Signal, to: &Destination, resource: &Resource) -> Sender {
        let resource = resource.into();
        Sender { collector: self.clone(), to: to.clone(), signal, resource, dropped: AtomicU64::new(0) }
    }
}

/// Sends one kind of thing.
#[derive(Debug)]
pub(crate) struct Sender {
    collector: Collector,
    to: Destination,
    signal: Signal,
    resource: ResourceAttributesWithSchema,
    /// What there was no room for since somebody was told of it.
    dropped: AtomicU64,
}

/// Why a collector has not taken something.
#[derive(Debug, thiserror::Error)]
enum Untaken {
    #[error("{0}")]
    Unsent(#[from] SendFault),
    #[error("it did not answer within {PATIENCE:?}")]
    Late,
    #[error("it answers {0}")]
    Refused(StatusCode, Option<Duration>),
    #[error("it answers as no collector does{0}; is that its URL?")]
    Strange(String),
}

impl Untaken {
    /// Whether it may go well later, and when (OTLP 1.10 §OTLP/HTTP Response).
    fn again(&self, tried: u32) -> Option<Duration> {
        let pause = PAUSE.saturating_mul(1 << tried.min(8));
        match self {
            // It may have come although its answer did not: spans have ids, and collectors are made for that.
            Self::Unsent(SendFault::Connect(_) | SendFault::Late(_) | SendFault::Broken(_)) | Self::Late => {
                Some(pause)
            }
            Self::Refused(status, after) if matches!(status.as_u16(), 429 | 502 | 503 | 504) => {
                Some(after.map_or(pause, |after| after.min(LONGEST_PAUSE)))
            }
            _ => None,
        }
    }
}

impl Sender {
    /// One more for which there is no room.
    pub(crate) fn no_room(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.count(0, 1);
    }

    fn count(&self, taken: usize, lost: usize) {
        let [taken, lost] = [taken, lost].map(|count| count.try_into().unwrap_or(u64::MAX));
        self.collector.counts.telemetry(taken, lost);
    }

    /// Sends spans.
    pub(crate) async fn spans(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        self.send((body, count), |answer| {
            let told = ExportTraceServiceResponse::decode(answer).ok()?.partial_success;
            Some(told.map(|told| (told.rejected_spans, told.error_message)))
        })
        .await
    }

    /// Sends something, on the thread that carries that, and tells what became of it.
    async fn send(
        &self,
        (body, count): (Vec<u8>, usize),
        read: impl Fn(Bytes) -> Option<Option<(i64, String)>>,
    ) -> OTelSdkResult {
        let what = self.signal.name();
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(count = dropped, "{what} were dropped: more came than the collector has taken");
        }
        let (collector, to) = (self.collector.clone(), self.to.clone());
        let task = async move { collector.deliver(&to, Bytes::from(body)).await };
        let sent = self.collector.workers.run(&self.collector.tasks, task).await;
        let strange = || Untaken::Strange(String::new());
        let taken = match sent {
            Ok(sent) => sent.and_then(|answer| read(answer).ok_or_else(strange)),
            // The thread is gone, and so is everything else.
            Err(fault) => Err(Untaken::Strange(format!(" ({fault})"))),
        };
        match taken {
            Ok(told) => {
                let (rejected, why) = told.unwrap_or_default();
                let rejected = usize::try_from(rejected).unwrap_or_default().min(count);
                self.count(count - rejected, rejected);
                if rejected > 0 {
                    let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
                    tracing::warn!(count = rejected, "the collector has rejected {what}: {why}");
                }
                Ok(())
            }
            Err(fault) => {
                self.count(0, count);
                tracing::warn!(count, "{what} are lost, for the collector has not taken them: {fault}");
                Err(OTelSdkError::InternalFailure(fault.to_string()))
            }
        }
    }
}

impl Collector {
    /// Sends something until it is taken, or there is no hope for it.
    async fn deliver(&self, to: &Destination, body: Bytes) -> Result<Bytes, Untaken> {
        let mut tried = 0;
        loop {
            let fault = match timeout(PATIENCE, self.post(to, body.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(fault)) => fault,
                Err(_elapsed) => Untaken::Late,
            };
            match fault.again(tried) {
                Some(pause) if tried < RETRIES => sleep(pause).await,
                _ => return Err(fault),
            }
            tried += 1;
        }
    }

    async fn post(&self, to: &Destination, body: Bytes) -> Result<Bytes, Untaken> {
        let mut reply = self.client.send(Method::POST, to, self.headers.clone(), body).await?;
        let status = reply.status();
        if !status.is_success() {
            let after = reply.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
            return Err(Untaken::Refused(status, after.map(Duration::from_secs)));
        }
        let media = reply.media_type();
        let mut whole = Vec::new();
        while let Some(chunk) = reply.chunk().await? {
            if whole.len() + chunk.len() > MOST_BYTES {
                return Err(SendFault::TooLarge { limit: MOST_BYTES }.into());
            }
            whole.extend_from_slice(&chunk);
        }
        // Some say nothing, which is a message without members.
        if !whole.is_empty() && media.as_deref() != Some(PROTOBUF) {
            let media = media.map(|media| format!(", with {:?}", media.chars().take(60).collect::<String>()));
            return Err(Untaken::Strange(media.unwrap_or_default()));
        }
        Ok(whole.into())
    }
}

impl PushMetricExporter for Sender {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let request = ExportMetricsServiceRequest::from(metrics);
        let count =
            request.resource_metrics.iter().flat_map(|of| &of.scope_metrics).map(|of| of.metrics.len());
        let (count, body) = (count.sum(), request.encode_to_vec());
        self.send((body, count), |answer| {
            let told = ExportMetricsServiceResponse::decode(answer).ok()?.partial_success;
            Some(told.map(|told| (told.rejected_data_points, told.error_message)))
        })
        .await
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
