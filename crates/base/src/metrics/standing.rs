//! How things stand when somebody asks: set then, and not whenever something changes.

use std::sync::Arc;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::UpstreamLabels;
/// How full something is that has places for calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// Places that are taken.
    pub inside: usize,
    /// Places that there are.
    pub places: usize,
    /// Those who wait for one.
    pub waiting: usize,
}

/// How a process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether `/readyz` says that it is ready.
    pub ready: bool,
    /// All calls.
    pub calls: Crowd,
    /// Those at each server.
    pub upstreams: Vec<(Arc<str>, Crowd)>,
    /// Legacy clients' sessions with something going on.
    pub sessions: usize,
}

#[derive(Debug)]
pub(super) struct Standings {
    ready: Gauge,
    calls: Gauge,
    most: Gauge,
    sessions: Gauge,
    inside: Family<UpstreamLabels, Gauge>,
    waiting: Family<UpstreamLabels, Gauge>,
}

impl Standings {
    pub(super) fn shown(registry: &mut Registry) -> Self {
        let [ready, calls, most, sessions] = [
            ("ready", "Whether /readyz says that it is ready"),
            ("calls_open", "Calls under way"),
            ("calls_open_limit", "The most calls that may be under way"),
            ("sessions", "Sessions of legacy clients with something going on here"),
        ]
        .map(|(name, help)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        });
        let [inside, waiting] = [
            ("upstream_calls", "Calls under way at an upstream"),
            ("upstream_waiting", "Calls that wait for a place at an upstream"),
        ]
        .map(|(name, help)| {
            let family = Family::default();
            registry.register(name, help, family.clone());
            family
        });
        Self { ready, calls, most, sessions, inside, waiting }
    }

    pub(super) fn set(&self, standing: &Standing) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.ready.set(i64::from(standing.ready));
        self.calls.set(number(standing.calls.inside));
        self.most.set(number(standing.calls.places));
        self.sessions.set(number(standing.sessions));
        for (upstream, crowd) in &standing.upstreams {
            let labels = UpstreamLabels { upstream: Arc::clone(upstream) };
            self.inside.get_or_create(&labels).set(number(crowd.inside));
            self.waiting.get_or_create(&labels).set(number(crowd.waiting));
        }
    }

    pub(super) fn forget(&self, labels: &UpstreamLabels) {
        self.inside.remove(labels);
        self.waiting.remove(labels);
    }
}
