//! Flat table: traces and metrics for a collector.

use super::{Names, Templates};
use crate::read::table;
use crate::template::Template;
use crate::value::{Count, Lasting, Share};

table! {
    /// Traces and metrics of calls, by OpenTelemetry, for a collector that speaks OTLP over HTTP. Nothing of what calls say is in them:
    /// no arguments, no results, no tokens, no names of people. Without this table, there are none. Not every build knows it.
    Telemetry {
        /// The collector's URL, with references, such as `"http://127.0.0.1:4318"`: traces go to `/v1/traces` below it, metrics to
        /// `/v1/metrics`.
        otlp: Template,
        /// Headers that go with all that is sent, with references.
        headers: Templates,
        /// A file with certificate authorities of the collector beside the system's, in PEM, with references.
        ca: Template,
        /// Whether there are traces.
        traces: bool = true,
        /// Of how many calls a trace is kept whose clients say nothing about it: `1` of all, `0.01` of one in a hundred, `0` of none.
        sample: Share = 0.01,
        /// Of how many calls in a second a trace is kept because their clients keep theirs. Of more, as many are kept as `sample` says.
        /// With 0, clients are not asked.
        sample_callers: Count = 100,
        /// Whether there are metrics.
        metrics: bool = true,
        /// How often metrics are sent.
        metrics_every: Lasting = "60s",
        /// What this service is called.
        service_name: String = "portolan",
        /// What else is said of this process, such as `{ "deployment.environment.name" = "production" }`.
        resource: Names,
        /// Whether what is not said here comes from the environment: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
        /// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES. Another
        /// variable whose name begins with OTEL_ is an error, unless it says what is so anyway.
        environment: bool = false,
    }
}
