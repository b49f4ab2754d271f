//! What has happened between two looks at `/metrics`, over all replicas that were looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::exposition::{self, Numbers};

/// One look at one replica.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    /// Its numbers; none where it did not answer.
    pub numbers: Option<Numbers>,
    /// What `/readyz` says, or why nothing came.
    pub state: String,
    /// Whether that is that it is ready.
    pub ready: bool,
}

/// What came of calls, in the time between.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    pub(crate) all: f64,
    pub(crate) failed: f64,
    /// How many took up to so many seconds: the bounds of the histogram, and what is counted up to each.
    buckets: BTreeMap<Bound, f64>,
}

/// A bound of a histogram in millionths of a second, so that bounds have an order.
type Bound = u64;

/// What is known of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    pub(crate) calls: Calls,
    /// On how many replicas it is up, and on how many anybody knows.
    pub(crate) up: (usize, usize),
    /// The worst state of its breaker: 0 closed, 1 half-open, 2 open.
    pub(crate) breaker: f64,
    pub(crate) processes: f64,
}

/// What is known of a sink of the ledger, over all replicas.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lag {
    pub(crate) records: f64,
    pub(crate) seconds: f64,
    pub(crate) up: bool,
    pub(crate) lost: f64,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// How much time is between; nothing where there was only one look.
    pub(crate) between: Option<Duration>,
    pub(crate) calls: Calls,
    pub(crate) servers: BTreeMap<String, Server>,
    pub(crate) methods: BTreeMap<String, f64>,
    /// What was not `ok`, by outcome: in the time between, and ever.
    pub(crate) outcomes: BTreeMap<String, (f64, f64)>,
    pub(crate) sinks: BTreeMap<String, Lag>,
    /// Sums of what is held now, by name.
    pub(crate) held: BTreeMap<String, f64>,
}

/// What is no failure: it was answered, asked back, or its caller has gone.
const WELL: [&str; 3] = ["ok", "input_required", "cancelled"];
const HISTOGRAM: &str = "portolan_call_duration_seconds_bucket";
const HELD: [&str; 10] = [
    "portolan_calls_open",
    "portolan_sessions",
    "portolan_memory_held_bytes",
    "portolan_memory_limit_bytes",
    "portolan_streams",
    "portolan_children",
    "portolan_listener_connections",
    "portolan_store_away",
    "portolan_audit_records_lost_total",
    "portolan_pins_waiting",
];

impl Calls {
    /// The time that this share of calls took at most, in seconds: as Prometheus estimates it, on a line between two bounds.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.buckets.values().copied().fold(0.0, f64::max);
        if total <= 0.0 {
            return None;
        }
        let rank = share * total;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            let upper = seconds(*bound);
            if *count >= rank {
                // Behind the last bound nobody knows how far.
                let Some(upper) = upper else { return Some(lower) };
                let inside = count - below;
                let part = if inside > 0.0 { (rank - below) / inside } else { 1.0 };
                return Some(lower + (upper - lower) * part);
            }
            (lower, below) = (upper.unwrap_or(lower), *count);
        }
        Some(lower)
    }
}

fn seconds(bound: Bound) -> Option<f64> {
    (bound != Bound::MAX).then(|| Duration::from_micros(bound).as_secs_f64())
}

fn bound_of(le: &str) -> Option<Bound> {
    if le == "+Inf" {
        return Some(Bound::MAX);
    }
    let seconds: f64 = le.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()?.as_micros().try_into().ok()
}

impl Sample {
    /// What is between two looks at the same replicas, in the same order.
    #[must_use]
    pub fn between(before: Option<(&[Scrape], Duration)>, now: &[Scrape]) -> Self {
        let mut sample = Self { between: before.map(|(_, between)| between), ..Self::default() };
        for (at, look) in now.iter().enumerate() {
            let Some(numbers) = &look.numbers else { continue };
            let then = before.and_then(|(looks, _)| looks.get(at)?.numbers.as_ref());
            for (series, number) in numbers {
                // A counter that is smaller has begun anew; one that was not there began at nothing, if we were looking.
                let was = then.map(|then| then.get(series).copied().unwrap_or_default());
                let grown = was.map(|was| if *number >= was { number - was } else { *number });
                sample.add(series, *number, grown.unwrap_or_default());
            }
        }
        sample
    }

    fn add(&mut self, series: &str, number: f64, grown: f64) {
        let label = |name| exposition::label(series, name);
        let name = exposition::name(series);
        match name {
            "portolan_calls_total" => {
                let (outcome, server) = (label("outcome"), label("upstream"));
                let failed = if WELL.contains(&&*outcome) { 0.0 } else { grown };
                let server = &mut self.servers.entry(server).or_default().calls;
                for calls in [&mut self.calls, server] {
                    calls.all += grown;
                    calls.failed += failed;
                }
                *self.methods.entry(label("method")).or_default() += grown;
                if outcome != "ok" {
                    let (now, ever) = self.outcomes.entry(outcome).or_default();
                    (*now, *ever) = (*now + grown, *ever + number);
                }
            }
            HISTOGRAM => {
                let Some(bound) = bound_of(&label("le")) else { return };
                let server = &mut self.servers.entry(label("upstream")).or_default().calls;
                for calls in [&mut self.calls, server] {
                    *calls.buckets.entry(bound).or_default() += grown;
                }
            }
            "portolan_upstream_up" => {
                let (up, all) = &mut self.servers.entry(label("upstream")).or_default().up;
                (*up, *all) = (*up + usize::from(number > 0.0), *all + 1);
            }
            "portolan_upstream_breaker" => {
                let server = self.servers.entry(label("upstream")).or_default();
                server.breaker = server.breaker.max(number);
            }
            "portolan_upstream_processes" => {
                self.servers.entry(label("upstream")).or_default().processes += number;
            }
            _ if HELD.contains(&name) => *self.held.entry(name.to_owned()).or_default() += number,
            _ => {
                if let Some(what) = name.strip_prefix("portolan_sink_") {
                    let sink =
                        self.sinks.entry(label("sink")).or_insert_with(|| Lag { up: true, ..Lag::default() });
                    sink.add(what, number);
                }
            }
        }
    }

    /// A sum of what is held now.
    pub(crate) fn held(&self, name: &str) -> f64 {
        self.held.get(&format!("portolan_{name}")).copied().unwrap_or_default()
    }

    /// So many in a second.
    pub(crate) fn rate(&self, number: f64) -> Option<f64> {
        let between = self.between?.as_secs_f64();
        (between > 0.0).then(|| number / between)
    }
}

impl Lag {
    fn add(&mut self, what: &str, number: f64) {
        match what {
            "behind_records" => self.records += number,
            "behind_seconds" => self.seconds = self.seconds.max(number),
            "up" => self.up &= number > 0.0,
            "rejected_total" | "dropped_total" => self.lost += number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Scrape {
        Scrape { numbers: Some(exposition::read(text)), ..Scrape::default() }
    }

    #[test]
    fn what_happened_between_two_looks_is_counted() {
        let then = look(
            "portolan_calls_total{upstream=\"a\",method=\"m\",outcome=\"ok\"} 10\n\
             portolan_calls_total{upstream=\"a\",method=\"m\",outcome=\"unreachable\"} 5\n",
        );
        let now = look(
            "portolan_calls_total{upstream=\"a\",method=\"m\",outcome=\"ok\"} 30\n\
             portolan_calls_total{upstream=\"a\",method=\"m\",outcome=\"unreachable\"} 2\n\
             portolan_calls_total{upstream=\"b\",method=\"m\",outcome=\"cancelled\"} 4\n\
             portolan_upstream_up{upstream=\"a\"} 0\nportolan_streams 3\n",
        );
        let sample = Sample::between(Some((&[then], Duration::from_secs(2))), &[now]);
        let a = &sample.servers["a"];
        assert_eq!((a.calls.all, a.calls.failed, a.up), (22.0, 2.0, (0, 1)), "one counter has begun anew");
        assert_eq!((sample.calls.all, sample.calls.failed), (26.0, 2.0));
        assert_eq!(sample.rate(sample.calls.all), Some(13.0));
        assert_eq!(sample.outcomes["cancelled"], (4.0, 4.0));
        assert_eq!(sample.held("streams"), 3.0);
        assert!(!sample.outcomes.contains_key("ok"));
    }

    #[test]
    fn one_look_says_nothing_of_rates() {
        let only = look("portolan_calls_total{upstream=\"a\",method=\"m\",outcome=\"error\"} 10\n");
        let sample = Sample::between(None, &[only, Scrape::default()]);
        assert_eq!(sample.rate(sample.calls.all), None);
        assert_eq!((sample.calls.all, sample.outcomes["error"]), (0.0, (0.0, 10.0)));
    }

    #[test]
    fn quantiles_lie_between_the_bounds() {
        let none = look("");
        let now = look(
            "portolan_call_duration_seconds_bucket{le=\"0.001\",upstream=\"a\"} 50\n\
             portolan_call_duration_seconds_bucket{le=\"0.002\",upstream=\"a\"} 90\n\
             portolan_call_duration_seconds_bucket{le=\"+Inf\",upstream=\"a\"} 100\n",
        );
        let sample = Sample::between(Some((&[none], Duration::from_secs(1))), &[now]);
        let millis = |share| (sample.calls.quantile(share).unwrap() * 1e6).round();
        assert_eq!((millis(0.25), millis(0.7), millis(0.99)), (500.0, 1500.0, 2000.0));
        assert_eq!(Calls::default().quantile(0.5), None);
    }
}
