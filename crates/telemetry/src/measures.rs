//! What is measured of all requests, whether or not their traces are kept.
//!
//! Every label is one of few: methods of the table, revisions of the table, labels of errors of ours, codes that JSON-RPC sets
//! aside, names of things that servers list. The SDK puts what is still too much, past 2,000, under one label.

use std::borrow::Cow;
use std::time::Duration;

use base::traces::SpanEnd;
use opentelemetry::metrics::{Histogram, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::facts::{Facts, OTHER, Side, keys};

/// The boundaries that the conventions want.
const SECONDS: [f64; 14] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The instruments.
#[derive(Debug)]
pub(crate) struct Measures {
    server: Histogram<f64>,
    client: Histogram<f64>,
    sessions: Histogram<f64>,
}

impl Measures {
    pub(crate) fn new(meter: &SdkMeterProvider, scope: InstrumentationScope) -> Self {
        let meter = meter.meter_with_scope(scope);
        let seconds = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        Self {
            server: seconds(
                "mcp.server.operation.duration",
                "How long requests of clients took, from when they were received until the last of the answer was there",
            ),
            client: seconds(
                "mcp.client.operation.duration",
                "How long requests to servers took, from when they were sent until the last of the answer was there",
            ),
            sessions: seconds(
                "mcp.server.session.duration",
                "How long sessions of legacy clients lasted that were ended, and not just left",
            ),
        }
    }

    pub(crate) fn record(&self, facts: &Facts, end: SpanEnd, took: Duration) {
        let mut labels = Vec::with_capacity(8);
        facts.common(&mut labels);
        if let Some(kind) = error_type(end, true) {
            labels.push(KeyValue::new(keys::ERROR_TYPE, kind));
        }
        if let Some(code) = status_code(end, true) {
            labels.push(KeyValue::new(keys::STATUS_CODE, code));
        }
        let histogram = if facts.side == Side::Server { &self.server } else { &self.client };
        histogram.record(took.as_secs_f64(), &labels);
    }
}

impl Measures {
    pub(crate) fn session(&self, revision: &'static str, lasted: Duration) {
        self.sessions.record(lasted.as_secs_f64(), &[KeyValue::new(keys::REVISION, revision)]);
    }
}

/// The class of an error; in a metric, servers' codes are told apart only as far as JSON-RPC sets them aside.
pub(crate) fn error_type(end: SpanEnd, is_metric: bool) -> Option<Cow<'static, str>> {
    match end {
        SpanEnd::Ok | SpanEnd::Asked => None,
        SpanEnd::ToolError => Some("tool_error".into()),
        SpanEnd::Error(code) => Some(spelled(code, is_metric)),
        SpanEnd::Failed(label, _) => Some(label.into()),
    }
}

/// The code of a response that is an error.
pub(crate) fn status_code(end: SpanEnd, is_metric: bool) -> Option<Cow<'static, str>> {
    match end {
        SpanEnd::Error(code) | SpanEnd::Failed(_, Some(code)) => Some(spelled(code, is_metric)),
        _ => None,
    }
}

fn spelled(code: i64, is_metric: bool) -> Cow<'static, str> {
    // JSON-RPC 2.0 §5.1; ours stand beside them, and come with a label.
    if is_metric && !(-32_768..=-32_000).contains(&code) { OTHER.into() } else { code.to_string().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_servers_make_no_labels_without_end() {
        assert_eq!(error_type(SpanEnd::Error(-32_602), true).as_deref(), Some("-32602"));
        assert_eq!(error_type(SpanEnd::Error(123_456), true).as_deref(), Some(OTHER));
        assert_eq!(error_type(SpanEnd::Error(123_456), false).as_deref(), Some("123456"));
        assert_eq!(error_type(SpanEnd::Failed("deadline", Some(504)), true).as_deref(), Some("deadline"));
        assert_eq!(error_type(SpanEnd::ToolError, true).as_deref(), Some("tool_error"));
        assert_eq!((error_type(SpanEnd::Ok, true), status_code(SpanEnd::ToolError, true)), (None, None));
    }
}
