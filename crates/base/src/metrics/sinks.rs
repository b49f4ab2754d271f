//! What each sink of the ledger counts for itself, read when the page is asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::clock::Clock;
use crate::sync::lock;

/// Why a delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkFailure {
    /// The receiver is away, busy, or not set up as it should be.
    Away,
    /// It did not answer in time.
    Late,
    /// It takes less at a time.
    TooLarge,
    /// It takes none of this.
    Refused,
    /// The ledger could not be read, or the cursor not be written.
    Ledger,
}

const FAILURES: [(SinkFailure, &str); 5] = [
    (SinkFailure::Away, "away"),
    (SinkFailure::Late, "late"),
    (SinkFailure::TooLarge, "too_large"),
    (SinkFailure::Refused, "refused"),
    (SinkFailure::Ledger, "ledger"),
];

/// What one sink counts.
#[derive(Debug)]
pub struct SinkCounts {
    name: String,
    clock: Arc<dyn Clock>,
    delivered: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
    failures: [AtomicU64; FAILURES.len()],
    is_up: AtomicBool,
    records: AtomicU64,
    bytes: AtomicU64,
    /// When the oldest was made that is to be delivered, in microseconds since 1970; 0 where none is.
    oldest: AtomicU64,
}

impl SinkCounts {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(name: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.to_owned(),
            clock,
            delivered: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failures: Default::default(),
            is_up: AtomicBool::new(true),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
        }
    }

    /// The receiver has so many more.
    pub fn delivered(&self, records: u64) {
        self.delivered.fetch_add(records, Ordering::Relaxed);
        self.is_up.store(true, Ordering::Relaxed);
    }

    /// The receiver will never take so many.
    pub fn rejected(&self, records: u64) {
        self.rejected.fetch_add(records, Ordering::Relaxed);
    }

    /// So many were passed over.
    pub fn dropped(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }

    /// A delivery failed.
    pub fn failed(&self, why: SinkFailure) {
        for ((failure, _), count) in FAILURES.iter().zip(&self.failures) {
            if *failure == why {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        if matches!(why, SinkFailure::Away | SinkFailure::Late | SinkFailure::Ledger) {
            self.is_up.store(false, Ordering::Relaxed);
        }
    }

    /// So many records, and bytes of the ledger, are to be delivered yet; the oldest was made then.
    pub fn behind(&self, records: u64, bytes: u64, oldest: Option<SystemTime>) {
        self.records.store(records, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        let since = oldest.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let micros = since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
        self.oldest.store(micros, Ordering::Relaxed);
    }

    fn seconds_behind(&self) -> u64 {
        match self.oldest.load(Ordering::Relaxed) {
            0 => 0,
            micros => {
                let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros));
                at.and_then(|at| self.clock.now().duration_since(at).ok()).unwrap_or_default().as_secs()
            }
        }
    }
}

/// All sinks.
#[derive(Debug, Clone, Default)]
pub(super) struct SinkPage(Arc<Mutex<Vec<Arc<SinkCounts>>>>);

impl SinkPage {
    /// None yet; all that are added are shown.
    pub(super) fn shown(registry: &mut Registry) -> Self {
        let page = Self::default();
        registry.register_collector(Box::new(page.clone()));
        page
    }

    pub(super) fn add(&self, sink: Arc<SinkCounts>) {
        lock(&self.0).push(sink);
    }
}

type Figure = (&'static str, &'static str, fn(&SinkCounts) -> u64);

const GAUGES: [Figure; 4] = [
    ("sink_up", "Whether the receiver of a sink took what it was given last", |sink| {
        u64::from(sink.is_up.load(Ordering::Relaxed))
    }),
    ("sink_behind_records", "Records of the ledger that a sink has still to look at", |sink| {
        sink.records.load(Ordering::Relaxed)
    }),
    ("sink_behind_bytes", "Bytes of the ledger that a sink has still to look at", |sink| {
        sink.bytes.load(Ordering::Relaxed)
    }),
    (
        "sink_behind_seconds",
        "How long the oldest record waits that a sink has to deliver",
        SinkCounts::seconds_behind,
    ),
];

const COUNTERS: [Figure; 3] = [
    ("sink_delivered", "Records that receivers have taken", |sink| sink.delivered.load(Ordering::Relaxed)),
    ("sink_rejected", "Records that receivers will never take, kept beside the ledger", |sink| {
        sink.rejected.load(Ordering::Relaxed)
    }),
    ("sink_dropped", "Records that a sink has passed over because too much waited for it", |sink| {
        sink.dropped.load(Ordering::Relaxed)
    }),
];

const BY_CAUSE: [(&str, &str); 1] = [("sink_failures", "Deliveries that failed, by cause")];

impl Collector for SinkPage {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sinks = lock(&self.0).clone();
        if sinks.is_empty() {
            return Ok(());
        }
        for (name, help, read) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for sink in &sinks {
                let gauge = ConstGauge::new(i64::try_from(read(sink)).unwrap_or(i64::MAX));
                gauge.encode(family.encode_family(&[("sink", sink.name.as_str())])?)?;
            }
        }
        for (name, help, read) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for sink in &sinks {
                ConstCounter::new(read(sink))
                    .encode(family.encode_family(&[("sink", sink.name.as_str())])?)?;
            }
        }
        for (name, help) in BY_CAUSE {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (sink, (at, (_, cause))) in
                sinks.iter().flat_map(|sink| FAILURES.iter().enumerate().map(move |failure| (sink, failure)))
            {
                let labels = [("sink", sink.name.as_str()), ("cause", *cause)];
                let count = sink.failures.get(at).map_or(0, |count| count.load(Ordering::Relaxed));
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
