//! What the figures ought to be. Each line is a ratio within one run, or a bound.

use super::Record;
use super::stats::{Spread, percentile};
use super::table::{cost, latencies, more, yardstick};
use crate::fault::Fault;
use crate::say;
use crate::yard::ANONYMOUS;

/// A promise, and what was found.
#[derive(Debug)]
pub(super) struct Line {
    what: &'static str,
    unit: &'static str,
    limit: f64,
    /// None if it was not measured.
    value: Option<f64>,
}

impl Line {
    fn cells(&self) -> String {
        let Self { what, unit, limit, .. } = self;
        let Some(value) = self.value else {
            return format!("| {what} | ≤ {limit}{unit} | – | not measured |");
        };
        let verdict = if value <= *limit {
            "met".to_owned()
        } else {
            format!("missed by {:.0} %", (value / limit - 1.0) * 100.0)
        };
        format!("| {what} | ≤ {limit}{unit} | {value:.2}{unit} | {verdict} |")
    }
}

/// The table in Markdown.
pub(super) fn table(records: &[Record]) -> Vec<String> {
    rows(&lines(records)).collect()
}

fn rows(lines: &[Line]) -> impl Iterator<Item = String> {
    let head = ["| | budget | measured | |", "| --- | --: | --: | --- |"].map(str::to_owned);
    head.into_iter().chain(lines.iter().map(Line::cells))
}

/// Prints what was measured of it.
pub(crate) fn show(records: &[Record]) -> Result<(), Fault> {
    let measured: Vec<_> = lines(records).into_iter().filter(|line| line.value.is_some()).collect();
    if measured.is_empty() {
        return Ok(());
    }
    say::out("\nBudget\n").map_err(Fault::of("stdout"))?;
    rows(&measured).try_for_each(|line| say::out(&line).map_err(Fault::of("stdout")))
}

fn lines(records: &[Record]) -> Vec<Line> {
    let found = Found(records);
    let line = |what, limit, unit, value| Line { what, unit, limit, value };
    vec![
        line("1 KB call, CPU against the cheaper of nginx and HAProxy", 1.6, " ×", found.ratio("call-1k")),
        line("64 KB call", 1.4, " ×", found.ratio("call-64k")),
        line("1 MB call", 1.3, " ×", found.ratio("call-1024k")),
        line(
            "1 MB calls, memory for each that is under way (a buffer each way)",
            2.2,
            " MB",
            found.each_call("call-1024k"),
        ),
        line(
            "modern → stdio, CPU against our 1 KB call",
            1.5,
            " ×",
            found.against("modern-stdio", "call-1k"),
        ),
        line(
            "legacy → modern, CPU against our 1 KB call",
            1.5,
            " ×",
            found.against("legacy-modern", "call-1k"),
        ),
        line("added latency at 100 calls/s, p50", 0.2, " ms", found.added(50.0)),
        line("added latency at 100 calls/s, p99", 1.0, " ms", found.added(99.0)),
        line("cached tools/list of 1,000 tools, CPU against nginx serving the file", 2.0, " ×", found.file()),
        line("10,000 idle subscriptions, memory", 200.0, " MB", found.held()),
        line("their CPU beside keep-alives, more than one has", 1.0, " ms/s", found.restless()),
        line("start to first served call", 50.0, " ms", found.start()),
        line("idle memory", 30.0, " MB", found.idle()),
        line(
            "1 KB call with a token seen before, CPU more than without",
            1.0,
            " µs",
            found.more("identity-seen"),
        ),
        line("the same with a new token each", 100.0, " µs", found.more("identity-first")),
        line("the same with a proof (DPoP) each", 70.0, " µs", found.more("identity-proof")),
        line("10,000 tokens, memory more than without", 40.0, " MB", found.tokens()),
    ]
}

/// What was found, to be asked.
struct Found<'a>(&'a [Record]);

impl Found<'_> {
    fn record(&self, name: &str) -> Option<&Record> {
        self.0.iter().find(|record| record.case.name == name)
    }

    fn cost(&self, case: &str, who: &str) -> Option<f64> {
        cost(self.record(case)?.row(who)?)
    }

    fn ratio(&self, case: &str) -> Option<f64> {
        Some(self.cost(case, "portolan")? / yardstick(self.record(case)?)?)
    }

    fn against(&self, case: &str, other: &str) -> Option<f64> {
        Some(self.cost(case, "portolan")? / self.cost(other, "portolan")?)
    }

    fn each_call(&self, case: &str) -> Option<f64> {
        let record = self.record(case)?;
        let row = record.row("portolan").filter(|row| row.peak > 0)?;
        Some(row.peak.saturating_sub(row.idle) as f64 / 1e6 / record.case.load.connections as f64)
    }

    fn added(&self, percent: f64) -> Option<f64> {
        let record = self.record("latency")?;
        let of = |name| percentile(&latencies(record.row(name)?), percent);
        Some((of("portolan")? - of("direct")?) / 1e3)
    }

    fn file(&self) -> Option<f64> {
        Some(self.cost("list-1000-cached", "portolan")? / self.cost("list-1000-cached", "nginx-file")?)
    }

    fn more(&self, case: &str) -> Option<f64> {
        more(self.record(case)?, "portolan")
    }

    fn tokens(&self) -> Option<f64> {
        let record = self.record("identity-10000")?;
        let peak = |who| Some(record.row(who).filter(|row| row.peak > 0)?.peak as f64 / 1e6);
        Some(peak("portolan")? - peak(ANONYMOUS)?)
    }

    /// Only if there really were as many.
    fn held(&self) -> Option<f64> {
        let round = self.record("subscriptions-10000")?.row("portolan")?.rounds.last()?;
        (round.calls == 10_000).then_some(round.memory as f64 / 1e6)
    }

    fn restless(&self) -> Option<f64> {
        let busy = |case| {
            let round = self.record(case)?.row("portolan")?.rounds.last()?;
            Some((round.calls, round.cpu * 1e3 / round.seconds))
        };
        let (many, busy_with_many) = busy("subscriptions-10000-quiet")?;
        let (_, busy_with_one) = busy("subscriptions-1-quiet")?;
        (many == 10_000).then_some((busy_with_many - busy_with_one).max(0.0))
    }

    fn start(&self) -> Option<f64> {
        let row = self.record("start")?.row("portolan")?;
        Spread::of(row.starts.iter().copied()).map(|spread| spread.median * 1e3)
    }

    fn idle(&self) -> Option<f64> {
        let row = self.record("start")?.row("portolan")?;
        (row.idle > 0).then_some(row.idle as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{record, row};

    #[test]
    fn a_budget_is_met_or_missed_by_so_much() {
        let records = [
            record("call-1k", vec![row("nginx", 20.0), row("haproxy", 25.0), row("portolan", 30.0)]),
            record("call-64k", vec![row("nginx", 50.0), row("haproxy", 40.0), row("portolan", 84.0)]),
            record("modern-stdio", vec![row("portolan", 60.0)]),
        ];
        let table = table(&records);
        let cells = |at: usize| table[at + 2].split('|').map(str::trim).skip(2).collect::<Vec<_>>();
        assert_eq!(cells(0), ["≤ 1.6 ×", "1.50 ×", "met", ""]);
        assert_eq!(cells(1), ["≤ 1.4 ×", "2.10 ×", "missed by 50 %", ""]);
        assert_eq!(cells(2), ["≤ 1.3 ×", "–", "not measured", ""]);
        assert_eq!(cells(4), ["≤ 1.5 ×", "2.00 ×", "missed by 33 %", ""]);
    }
}
