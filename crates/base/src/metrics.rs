//! Counts for Prometheus: calls by server, method and outcome, how long they took, and what is held.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcp::method;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use transport::http::server::places::Places;
use transport::memory::Memory;

mod listeners;
mod sinks;

use listeners::Listeners;
use sinks::SinkPage;
pub use sinks::{SinkCounts, SinkFailure};

use crate::fault::BreakerState;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    upstream: Arc<str>,
    method: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    upstream: Arc<str>,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OddLabels {
    upstream: Arc<str>,
    done: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    route: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: String,
    by: &'static str,
}

/// What is counted. Cheap to count; read by [`Metrics::text`].
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    up: Family<UpstreamLabels, Gauge>,
    degraded: Family<UpstreamLabels, Counter>,
    odd: Family<OddLabels, Counter>,
    unpinned: Family<UpstreamLabels, Gauge>,
    restarts: Family<UpstreamLabels, Counter>,
    sessions: Family<UpstreamLabels, Counter>,
    lost: Family<UpstreamLabels, Counter>,
    unopened: Family<UpstreamLabels, Counter>,
    dropped: Family<UpstreamLabels, Counter>,
    progress: Family<UpstreamLabels, Counter>,
    forwards: Family<OutcomeLabels, Counter>,
    approvals: Family<OutcomeLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    limited: Family<LimitLabels, Counter>,
    breaker: Family<UpstreamLabels, Gauge>,
    opened: Family<UpstreamLabels, Counter>,
    retries: Family<UpstreamLabels, Counter>,
    withheld: Family<UpstreamLabels, Counter>,
    children: Gauge,
    processes: Family<UpstreamLabels, Gauge>,
    streams: Gauge,
    listeners: Listeners,
    sinks: SinkPage,
    store_away: Gauge,
    unrecorded: Counter,
    /// The label of calls that concern no upstream in particular.
    nobody: Arc<str>,
}

fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    ])
}

/// The label of a method; those that no table knows share one, or a client could make as many as it likes.
fn label(name: &str) -> &'static str {
    method::find(name).map_or("other", |method| method.name)
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "each count has its lines")]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portolan");
        let calls = Family::default();
        let durations = Family::new_with_constructor(seconds as fn() -> Histogram);
        let (up, degraded, restarts) = (Family::default(), Family::default(), Family::default());
        let (sessions, dropped) = (Family::default(), Family::default());
        let (lost, unopened) = (Family::default(), Family::default());
        let (breaker, opened, retries, withheld) =
            (Family::default(), Family::default(), Family::default(), Family::default());
        let (children, streams) = (Gauge::default(), Gauge::default());
        registry.register("calls", "Calls by upstream, method and outcome", calls.clone());
        registry.register_with_unit("call_duration", "How long calls took", Unit::Seconds, durations.clone());
        registry.register("upstream_up", "Whether an upstream could be reached when last tried", up.clone());
        registry.register(
            "lists_degraded",
            "Lists that were served without an upstream's entries",
            degraded.clone(),
        );
        let odd = Family::default();
        registry.register(
            "odd_entries",
            "Entries of lists that clients would refuse, each counted once, by what was done",
            odd.clone(),
        );
        let unpinned = Family::default();
        registry.register(
            "pins_waiting",
            "Tools and prompts that are not as they were pinned, and wait for somebody to approve or deny them",
            unpinned.clone(),
        );
        registry.register("child_starts", "Child processes started", restarts.clone());
        registry.register("upstream_sessions", "Legacy sessions opened", sessions.clone());
        registry.register("upstream_sessions_lost", "Legacy sessions that the server has lost", lost.clone());
        registry.register(
            "upstream_sessions_withheld",
            "Legacy sessions that were not opened because too many had ended at once",
            unopened.clone(),
        );
        registry.register("notifications_dropped", "Notifications that had no one to go to", dropped.clone());
        let progress = Family::default();
        registry.register(
            "progress_left_out",
            "Progress that does not increase, and is passed between legacy clients and servers only",
            progress.clone(),
        );
        let forwards = Family::default();
        registry.register("forwards", "Requests forwarded to other replicas, by outcome", forwards.clone());
        let approvals = Family::default();
        registry.register(
            "approvals",
            "What was asked for, approved, denied and used of what policies want to be approved",
            approvals.clone(),
        );
        let refusals = Family::default();
        registry.register(
            "requests_refused",
            "Requests whose sender was not let in, by route and outcome",
            refusals.clone(),
        );
        let limited = Family::default();
        registry.register(
            "limited",
            "Calls that were over a limit of the configuration, by its name and by what of it",
            limited.clone(),
        );
        registry.register(
            "upstream_breaker",
            "Whether the breaker lets calls through: 0 closed, all; 1 half-open, one as a trial; 2 open, none",
            breaker.clone(),
        );
        registry.register("breaker_openings", "How often the breaker opened", opened.clone());
        registry.register("retries", "Calls and lists that were sent again", retries.clone());
        registry.register(
            "retries_withheld",
            "What was not sent again because too much had been",
            withheld.clone(),
        );
        registry.register("children", "Child processes alive", children.clone());
        let processes = Family::default();
        registry.register("upstream_processes", "Child processes of an upstream alive", processes.clone());
        registry.register("streams", "Subscription and notification streams open", streams.clone());
        let store_away = Gauge::default();
        registry.register("store_away", "Whether there is a store, and it is away", store_away.clone());
        let unrecorded = Counter::default();
        registry.register(
            "audit_records_lost",
            "Records that the ledger could not take, of which only the number is in it",
            unrecorded.clone(),
        );
        Self {
            listeners: Listeners::shown(&mut registry),
            sinks: SinkPage::shown(&mut registry),
            store_away,
            unrecorded,
            registry,
            calls,
            durations,
            up,
            degraded,
            odd,
            unpinned,
            restarts,
            sessions,
            lost,
            unopened,
            dropped,
            progress,
            forwards,
            approvals,
            refusals,
            limited,
            breaker,
            opened,
            retries,
            withheld,
            children,
            processes,
            streams,
            nobody: "".into(),
        }
    }

    /// The label of calls that concern no upstream in particular.
    pub fn nobody(&self) -> &Arc<str> {
        &self.nobody
    }

    /// Shows one more count, which is kept elsewhere and read whenever the page is asked for.
    pub fn show(&mut self, name: &str, help: &str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.registry.register(name, help, Reading { read: Box::new(read), kind: MetricType::Counter });
    }

    /// Shows how much is held for clients and servers, and how much may be.
    pub fn show_memory(&mut self, memory: &Memory) {
        type Read = fn(&Memory) -> usize;
        let counts: [(_, _, Read); 2] = [
            ("memory_refusals", "Requests and answers that there was no memory for", Memory::refused),
            (
                "write_stalls",
                "Connections whose clients took nothing for too long, and that were ended",
                Memory::stalls,
            ),
        ];
        for (name, help, read) in counts {
            let memory = memory.clone();
            self.show(name, help, move || read(&memory).try_into().unwrap_or(u64::MAX));
        }
        let states: [(_, _, Read); 2] = [
            ("memory_held_bytes", "Bytes of requests and answers that are held", Memory::held),
            ("memory_limit_bytes", "The most bytes of requests and answers that may be held", Memory::limit),
        ];
        for (name, help, read) in states {
            let memory = memory.clone();
            let read = Box::new(move || read(&memory).try_into().unwrap_or(u64::MAX));
            self.registry.register(name, help, Reading { read, kind: MetricType::Gauge });
        }
    }

    /// A listener has these places.
    pub fn listener(&self, places: &Arc<Places>) {
        self.listeners.add(Arc::clone(places));
    }

    /// A sink of the ledger counts this.
    pub fn sink(&self, counts: &Arc<SinkCounts>) {
        self.sinks.add(Arc::clone(counts));
    }

    /// The store is away, or is not.
    pub fn store_away(&self, is_away: bool) {
        self.store_away.set(i64::from(is_away));
    }

    /// A request was forwarded to another replica.
    pub fn forwarded(&self, outcome: &'static str) {
        self.forwards.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// This has become of a question that policies ask.
    pub fn approval(&self, outcome: &'static str) {
        self.approvals.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// A request was refused for what its sender has shown, or not shown.
    pub fn refused(&self, route: &str, outcome: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { route: route.to_owned(), outcome }).inc();
    }

    /// A call was over a limit.
    pub fn limited(&self, limit: &str, by: &'static str) {
        self.limited.get_or_create(&LimitLabels { limit: limit.to_owned(), by }).inc();
    }

    /// A record could not be taken.
    pub fn unrecorded(&self) {
        self.unrecorded.inc();
    }

    /// How many streams are open now.
    pub fn streams_now(&self) -> i64 {
        self.streams.get()
    }

    /// How many child processes are alive now.
    pub fn children_now(&self) -> i64 {
        self.children.get()
    }

    /// A call ended.
    pub fn call(&self, upstream: &Arc<str>, method: &str, outcome: &'static str, took: Duration) {
        let method = label(method);
        let upstream = || Arc::clone(upstream);
        self.calls.get_or_create(&CallLabels { upstream: upstream(), method, outcome }).inc();
        let labels = DurationLabels { upstream: upstream(), method };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// An upstream was reached, or was not.
    pub fn up(&self, upstream: &str, is_up: bool) {
        self.up.get_or_create(&UpstreamLabels { upstream: upstream.into() }).set(i64::from(is_up));
    }

    /// What an upstream's breaker does now.
    pub fn breaker(&self, upstream: &str, state: BreakerState) {
        let labels = UpstreamLabels { upstream: upstream.into() };
        let level = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        let before = self.breaker.get_or_create(&labels).set(level);
        if before == 0 && state == BreakerState::Open {
            self.opened.get_or_create(&labels).inc();
        }
    }

    /// Something is sent to an upstream again.
    pub fn retried(&self, upstream: &str) {
        self.retries.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
    }

    /// Something is not sent again, because too much was.
    pub fn retry_withheld(&self, upstream: &str) {
        self.withheld.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
    }

    /// A list was served without an upstream's entries.
    pub fn degraded(&self, upstream: &str) {
        self.degraded.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
    }

    /// A list has an entry that clients would refuse, and that was seen for the first time.
    pub fn odd_entry(&self, upstream: &str, done: &'static str) {
        self.odd.get_or_create(&OddLabels { upstream: upstream.into(), done }).inc();
    }

    /// So many tools and prompts of a server are not as they were pinned.
    pub fn pins_waiting(&self, upstream: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.unpinned.get_or_create(&UpstreamLabels { upstream: upstream.into() }).set(count);
    }

    /// A child process was started.
    pub fn child_started(&self, upstream: &str) {
        self.restarts.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
        self.children.inc();
        self.processes.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
    }

    /// A child process ended.
    pub fn child_ended(&self, upstream: &str) {
        self.children.dec();
        self.processes.get_or_create(&UpstreamLabels { upstream: upstream.into() }).dec();
    }

    /// A legacy session was opened.
    pub fn session_opened(&self, upstream: &str) {
        self.sessions.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
    }

    /// A legacy session was lost by its server.
    pub fn session_lost(&self, upstream: &str) {
        self.lost.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
    }

    /// A legacy session was not opened, because too many had ended at once.
    pub fn session_withheld(&self, upstream: &str) {
        self.unopened.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
    }

    /// A notification had no one to go to.
    pub fn dropped(&self, upstream: &str) {
        self.dropped.get_or_create(&UpstreamLabels { upstream: upstream.into() }).inc();
    }

    /// Progress that does not increase was not passed on.
    pub fn progress_left_out(&self, upstream: &Arc<str>) {
        self.progress.get_or_create(&UpstreamLabels { upstream: Arc::clone(upstream) }).inc();
    }

    /// Streams open; count one more until the guard is dropped.
    #[must_use]
    pub fn stream(&self) -> StreamCount {
        self.streams.inc();
        StreamCount(self.streams.clone())
    }

    /// Forgets the gauges of an upstream that is no longer configured.
    pub fn forget(&self, upstream: &str) {
        self.up.remove(&UpstreamLabels { upstream: upstream.into() });
        self.breaker.remove(&UpstreamLabels { upstream: upstream.into() });
        self.unpinned.remove(&UpstreamLabels { upstream: upstream.into() });
    }

    /// All counts in Prometheus' (OpenMetrics) text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        if encode(&mut out, &self.registry).is_err() {
            // Writing to a String cannot fail; a partial page would still be better than none.
            tracing::error!("the metrics cannot be written");
        }
        out
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A count or a state that somebody else keeps.
struct Reading {
    read: Box<dyn Fn() -> u64 + Send + Sync>,
    kind: MetricType,
}

impl EncodeMetric for Reading {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let now = (self.read)();
        match self.kind {
            MetricType::Gauge => encoder.encode_gauge(&i64::try_from(now).unwrap_or(i64::MAX)),
            _ => encoder.encode_counter::<NoLabelSet, _, u64>(&now, None),
        }
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading")
    }
}

/// One open stream.
#[derive(Debug)]
pub struct StreamCount(Gauge);

impl Drop for StreamCount {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded() {
        let (metrics, a) = (Metrics::new(), Arc::from("a"));
        metrics.call(&a, "tools/call", "ok", Duration::from_millis(2));
        metrics.call(&a, "evil/1", "ok", Duration::ZERO);
        metrics.call(&a, "evil/2", "ok", Duration::ZERO);
        let text = metrics.text();
        assert!(
            text.contains(r#"portolan_calls_total{upstream="a",method="tools/call",outcome="ok"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"portolan_calls_total{upstream="a",method="other",outcome="ok"} 2"#),
            "{text}"
        );
        assert!(text.contains("portolan_call_duration_seconds_bucket"), "{text}");
    }

    #[test]
    fn counts_that_are_kept_elsewhere_are_read_when_they_are_shown() {
        static KEPT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let read = || KEPT.load(std::sync::atomic::Ordering::Relaxed);
        let mut metrics = Metrics::new();
        metrics.show("kept", "Kept elsewhere", read);
        KEPT.store(42, std::sync::atomic::Ordering::Relaxed);
        let text = metrics.text();
        assert!(text.contains("# TYPE portolan_kept counter\nportolan_kept_total 42\n"), "{text}");
    }
}
