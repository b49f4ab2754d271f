//! What `portolan top` shows: one page of text, as wide and as high as the terminal.

use std::fmt::Write as _;

use base::visible::visible;

use crate::sample::{Calls, Sample, Scrape, Server};

/// By what servers are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Most calls first.
    #[default]
    Calls,
    /// Most failures first.
    Errors,
    /// The slowest first.
    Latency,
    /// By name.
    Name,
}

/// One page.
#[derive(Debug)]
pub struct Page<'p> {
    /// What was looked at, as whoever asked for it calls it.
    pub targets: &'p [String],
    /// What each of those has said last.
    pub looks: &'p [Scrape],
    /// What is between the last two looks.
    pub sample: &'p Sample,
    /// By what servers are ordered.
    pub order: Order,
    /// What time it is.
    pub time: &'p str,
    /// Columns and lines; nothing where all is wanted, however long.
    pub size: Option<(usize, usize)>,
}

impl Page<'_> {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![self.title()];
        lines.extend(self.replicas());
        lines.push(String::new());
        lines.push(self.calls());
        lines.push(self.held());
        lines.push(String::new());
        lines.extend(self.servers());
        for part in [self.methods(), self.outcomes(), self.sinks()] {
            if !part.is_empty() {
                lines.push(String::new());
                lines.extend(part);
            }
        }
        if let Some((columns, rows)) = self.size {
            // What does not fit is the end; that there is more is said.
            if lines.len() > rows {
                lines.truncate(rows.saturating_sub(1));
                lines.push("… more than fits here; --once shows all of it".to_owned());
            }
            for line in &mut lines {
                if let Some((at, _)) = line.char_indices().nth(columns) {
                    line.truncate(at);
                }
            }
        }
        lines.join("\n") + "\n"
    }

    fn title(&self) -> String {
        let ready = self.looks.iter().filter(|look| look.ready).count();
        let of = self.targets.len();
        let what = match (of, ready) {
            (1, 1) => "ready".to_owned(),
            (1, _) => "not ready".to_owned(),
            _ => format!("{ready} of {of} ready"),
        };
        format!("portolan top  {what}  {}", self.time)
    }

    /// Those that are not simply ready, or all where there are few.
    fn replicas(&self) -> Vec<String> {
        let each = self.targets.iter().zip(self.looks);
        let shown = each.filter(|(_, look)| !look.ready || self.targets.len() <= 4);
        shown.map(|(target, look)| format!("  {target}  {}", visible(&look.state))).collect()
    }

    fn rate(&self, number: f64) -> String {
        self.sample.rate(number).map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}"))
    }

    fn calls(&self) -> String {
        let Calls { all, failed, .. } = self.sample.calls;
        let share = if all > 0.0 { 100.0 * failed / all } else { 0.0 };
        let took = |share| time(self.sample.calls.quantile(share));
        format!(
            "calls {}/s  failed {}/s ({share:.1} %)  p50 {}  p95 {}  p99 {}",
            self.rate(all),
            self.rate(failed),
            took(0.5),
            took(0.95),
            took(0.99)
        )
    }

    fn held(&self) -> String {
        let held = |name| self.sample.held(name);
        let mut text = format!(
            "open: calls {:.0}  connections {:.0}  streams {:.0}  sessions {:.0}  processes {:.0}  memory {:.0} %",
            held("calls_open"),
            held("listener_connections"),
            held("streams"),
            held("sessions"),
            held("children"),
            100.0 * held("memory_held_bytes") / held("memory_limit_bytes").max(1.0)
        );
        let warned = [
            ("store_away", "the store is away"),
            ("audit_records_lost_total", "audit records were lost"),
            ("pins_waiting", "pins wait for somebody"),
        ];
        for (_, what) in warned.into_iter().filter(|(name, _)| held(name) > 0.0) {
            text.push_str("  ! ");
            text.push_str(what);
        }
        text
    }

    fn servers(&self) -> Vec<String> {
        let mut servers: Vec<(&String, &Server)> = self.sample.servers.iter().collect();
        let most = |one: f64, other: f64| other.total_cmp(&one);
        servers.sort_by(|(name, one), (other_name, other)| {
            let by = match self.order {
                Order::Calls => most(one.calls.all, other.calls.all),
                Order::Errors => most(one.calls.failed, other.calls.failed),
                Order::Latency => {
                    let slow = |server: &Server| server.calls.quantile(0.95).unwrap_or_default();
                    most(slow(one), slow(other))
                }
                Order::Name => std::cmp::Ordering::Equal,
            };
            by.then_with(|| name.cmp(other_name))
        });
        let mut lines =
            vec![row("SERVER", "STATE", ["CALLS/S", "FAILED/S", "P50", "P95", "PROCS"].map(str::to_owned))];
        for (name, server) in servers {
            let name = if name.is_empty() { "(none)" } else { name };
            let numbers = [
                self.rate(server.calls.all),
                self.rate(server.calls.failed),
                time(server.calls.quantile(0.5)),
                time(server.calls.quantile(0.95)),
                if server.processes > 0.0 { format!("{:.0}", server.processes) } else { String::new() },
            ];
            lines.push(row(&visible(name), &state(server), numbers));
        }
        lines
    }

    fn methods(&self) -> Vec<String> {
        let mut methods: Vec<_> = self.sample.methods.iter().filter(|(_, count)| **count > 0.0).collect();
        methods.sort_by(|one, other| other.1.total_cmp(one.1).then_with(|| one.0.cmp(other.0)));
        let mut lines = Vec::new();
        for (name, count) in methods.into_iter().take(8) {
            lines.push(row(&visible(name), "", numbers([self.rate(*count)])));
        }
        with_head(row("METHOD", "", numbers(["CALLS/S".to_owned()])), lines)
    }

    fn outcomes(&self) -> Vec<String> {
        let mut outcomes: Vec<_> = self.sample.outcomes.iter().collect();
        outcomes.sort_by(|(name, one), (other_name, other)| {
            let by = other.0.total_cmp(&one.0).then_with(|| other.1.total_cmp(&one.1));
            by.then_with(|| name.cmp(other_name))
        });
        let lines = outcomes.into_iter().take(10).map(|(name, (now, ever))| {
            row(&visible(name), "", numbers([self.rate(*now), format!("{ever:.0}")]))
        });
        let head = row("OUTCOME", "", numbers(["CALLS/S".to_owned(), "EVER".to_owned()]));
        with_head(head, lines.collect())
    }

    fn sinks(&self) -> Vec<String> {
        let lines = self.sample.sinks.iter().map(|(name, lag)| {
            let state = if lag.up { "up" } else { "down" };
            let old = time((lag.seconds > 0.0).then_some(lag.seconds));
            row(
                &visible(name),
                state,
                numbers([format!("{:.0}", lag.records), old, format!("{:.0}", lag.lost)]),
            )
        });
        let head = ["WAITING", "OLDEST", "LOST"].map(str::to_owned);
        with_head(row("AUDIT SINK", "STATE", numbers(head)), lines.collect())
    }
}

fn with_head(head: String, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { lines } else { std::iter::once(head).chain(lines).collect() }
}

fn numbers<const N: usize>(some: [String; N]) -> [String; 5] {
    let mut all = some.into_iter();
    std::array::from_fn(|_| all.next().unwrap_or_default())
}

/// A line of a table. It fits into 80 columns.
fn row(name: &str, state: &str, numbers: [String; 5]) -> String {
    let mut short: String = name.chars().take(24).collect();
    if name.chars().count() > 24 {
        short.pop();
        short.push('…');
    }
    let mut line = format!("{short:<24} {state:<9}");
    for number in numbers {
        // Writing into a text cannot fail.
        let _always = write!(line, "{number:>9}");
    }
    line.trim_end().to_owned()
}

fn state(server: &Server) -> String {
    let (up, all) = server.up;
    let breaker = [(2.0, "open"), (1.0, "half-open")].into_iter().find(|(is, _)| server.breaker >= *is);
    match (breaker, up, all) {
        (_, _, 0) => String::new(),
        (Some((_, open)), ..) => open.to_owned(),
        (None, up, all) if up == all => "up".to_owned(),
        (None, 0, _) => "down".to_owned(),
        (None, up, all) => format!("{up}/{all} up"),
    }
}

fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) if seconds < 100.0 => format!("{seconds:.1} s"),
        Some(seconds) => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exposition;

    #[test]
    fn a_page_has_what_fits() {
        let then = Scrape { numbers: Some(exposition::read("")), ready: true, state: "ready".to_owned() };
        let now = Scrape {
            numbers: Some(exposition::read(
                "portolan_calls_total{upstream=\"docs\",method=\"tools/call\",outcome=\"ok\"} 30\n\
                 portolan_calls_total{upstream=\"files\u{1b}[2J with a name that is far too long\",method=\"tools/list\",outcome=\"upstream_unreachable\"} 4\n\
                 portolan_call_duration_seconds_bucket{upstream=\"docs\",method=\"tools/call\",le=\"0.005\"} 30\n\
                 portolan_upstream_up{upstream=\"docs\"} 1\n\
                 portolan_upstream_breaker{upstream=\"docs\"} 2\n\
                 portolan_memory_held_bytes 2048\nportolan_memory_limit_bytes 4096\n\
                 portolan_sink_behind_records{sink=\"splunk\"} 12\nportolan_sink_up{sink=\"splunk\"} 0\n",
            )),
            ..then.clone()
        };
        let looks = [now];
        let sample = Sample::between(Some((&[then], Duration::from_secs(2))), &looks);
        let targets = ["127.0.0.1:8809".to_owned()];
        let page = |size| {
            let order = Order::Errors;
            Page { targets: &targets, looks: &looks, sample: &sample, order, time: "12:00:00", size }.text()
        };
        insta::assert_snapshot!(page(None), @r#"
        portolan top  ready  12:00:00
          127.0.0.1:8809  ready

        calls 17.0/s  failed 2.0/s (11.8 %)  p50 2.5 ms  p95 4.8 ms  p99 5.0 ms
        open: calls 0  connections 0  streams 0  sessions 0  processes 0  memory 50 %

        SERVER                   STATE      CALLS/S FAILED/S      P50      P95    PROCS
        files\u{1b}[2J with a n…                2.0      2.0        –        –
        docs                     open          15.0      0.0   2.5 ms   4.8 ms

        METHOD                              CALLS/S
        tools/call                             15.0
        tools/list                              2.0

        OUTCOME                             CALLS/S     EVER
        upstream_unreachable                    2.0        4

        AUDIT SINK               STATE      WAITING   OLDEST     LOST
        splunk                   down            12        –        0
        "#);
        let small = page(Some((30, 8)));
        assert_eq!(small.lines().count(), 8, "{small}");
        assert!(small.lines().all(|line| line.chars().count() <= 30), "{small}");
    }
}
