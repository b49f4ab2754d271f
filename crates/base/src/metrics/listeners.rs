//! What the places of each listener count for themselves, read when the page is asked for.

use std::sync::{Arc, Mutex};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use transport::http::server::places::Places;

use crate::sync::lock;

/// The places of all listeners that were bound.
#[derive(Debug, Clone, Default)]
pub(super) struct Listeners(Arc<Mutex<Vec<Arc<Places>>>>);

impl Listeners {
    /// None yet; all that are added are shown.
    pub(super) fn shown(registry: &mut Registry) -> Self {
        let listeners = Self::default();
        registry.register_collector(Box::new(listeners.clone()));
        listeners
    }

    pub(super) fn add(&self, places: Arc<Places>) {
        lock(&self.0).push(places);
    }
}

type Gauge = (&'static str, &'static str, fn(&Places) -> usize);
type Counter = (&'static str, &'static str, fn(&Places) -> u64);

const GAUGES: [Gauge; 2] = [
    ("listener_connections", "Connections open", Places::open),
    ("listener_connections_limit", "The most connections that may be open", Places::most),
];

const COUNTERS: [Counter; 2] = [
    ("listener_idle_closed", "Idle connections that were closed to let new ones in", Places::closed),
    ("listener_refused", "Connections that were refused because all others were busy", Places::refused),
];

impl Collector for Listeners {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let listeners = lock(&self.0).clone();
        if listeners.is_empty() {
            return Ok(());
        }
        for (name, help, read) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for places in &listeners {
                let gauge = ConstGauge::new(i64::try_from(read(places)).unwrap_or(i64::MAX));
                gauge.encode(family.encode_family(&[("listener", places.name())])?)?;
            }
        }
        for (name, help, read) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for places in &listeners {
                ConstCounter::new(read(places))
                    .encode(family.encode_family(&[("listener", places.name())])?)?;
            }
        }
        Ok(())
    }
}
