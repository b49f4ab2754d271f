//! Where traces and metrics of calls go, and of how many calls.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use transport::http::client::{ClientSettings, Destination};

/// All that is said of traces and metrics.
#[derive(Clone)]
pub struct TelemetryPlan {
    /// Where traces go, if anywhere.
    pub traces: Option<Destination>,
    /// Where metrics go, if anywhere.
    pub metrics: Option<Destination>,
    /// What goes with each request to either.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How they are reached.
    pub client: ClientSettings,
    /// How many of those calls are kept whose callers do not say whether theirs is: from 0 to 1.
    pub sample: f64,
    /// Of how many calls in a second the caller's wish is heard that they be kept.
    pub sample_callers: u32,
    /// How often metrics are sent.
    pub every: Duration,
    /// What this service is called.
    pub service_name: String,
    /// What else is said of this process.
    pub resource: Vec<(String, String)>,
}

impl fmt::Debug for TelemetryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything that makes two plans different, but for what is secret; of that, which headers there are.
        let place = |to: &Destination| to.url().to_string();
        f.debug_struct("TelemetryPlan")
            .field("traces", &self.traces.as_ref().map(place))
            .field("metrics", &self.metrics.as_ref().map(place))
            .field("headers", &self.headers)
            .field("client", &self.client)
            .field("sample", &(self.sample, self.sample_callers))
            .field("every", &self.every)
            .field("resource", &(&self.service_name, &self.resource))
            .finish()
    }
}
