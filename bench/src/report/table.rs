//! Tables of figures.

use super::stats::{Spread, percentile, sorted};
use super::{Record, Row};
use crate::cases::Group;
use crate::fault::Fault;
use crate::say;

/// Who is the yardstick: the cheaper of these.
const YARDSTICKS: [&str; 2] = ["nginx", "haproxy"];

/// Prints what was found in a case.
pub(crate) fn show(record: &Record) -> Result<(), Fault> {
    say::out(&format!("\n{}\n", record.case.title)).map_err(Fault::of("stdout"))?;
    for line in of(record) {
        say::out(&line).map_err(Fault::of("stdout"))?;
    }
    Ok(())
}

/// The table of a case in Markdown.
pub(crate) fn of(record: &Record) -> Vec<String> {
    let head: &[&str] = match record.case.group {
        Group::Latency => &["", "p50 ms", "p90", "p99", "p99.9", "added p50", "p90", "p99", "p99.9"],
        Group::Start => &["", "start to first call, ms", "idle MB"],
        Group::Idle => &["", "MB", "KB each", "CPU ms/s"],
        _ => &["", "CPU µs/call", "×", "calls/s", "±%", "idle MB", "peak MB", "its children µs/call"],
    };
    let mut lines = vec![line(head.iter().map(|text| (*text).to_owned()))];
    lines.push(line(head.iter().map(|text| if text.is_empty() { "---" } else { "--:" }.to_owned())));
    lines.extend(record.rows.iter().map(|row| line(cells(record, row))));
    lines
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

fn cells(record: &Record, row: &Row) -> Vec<String> {
    let mut cells = vec![row.name.clone()];
    match record.case.group {
        Group::Latency => {
            let mine = latencies(row);
            let direct = record.row("direct").map(latencies).unwrap_or_default();
            let at = |percent: f64| percentile(&mine, percent);
            let percents = [50.0, 90.0, 99.0, 99.9];
            cells.extend(percents.map(|percent| figure(at(percent).map(|us| us / 1e3), 3)));
            cells.extend(percents.map(|percent| {
                let added = at(percent).zip(percentile(&direct, percent)).map(|(mine, direct)| mine - direct);
                figure(added.map(|us| us / 1e3), 3)
            }));
        }
        Group::Start => {
            cells.push(figure(Spread::of(row.starts.iter().copied()).map(|spread| spread.median * 1e3), 1));
            cells.push(megabytes(row.idle));
        }
        Group::Idle => {
            let last = row.rounds.last();
            cells.push(megabytes(last.map_or(0, |round| round.memory)));
            cells.push(figure(
                last.map(|round| round.memory.saturating_sub(row.idle) as f64 / 1e3 / round.calls as f64),
                1,
            ));
            cells.push(figure(last.map(|round| round.cpu * 1e3 / round.seconds), 2));
        }
        _ => {
            let cost = cost(row);
            cells.push(figure(cost, 1));
            cells.push(figure(cost.zip(yardstick(record)).map(|(mine, theirs)| mine / theirs), 2));
            let rate = Spread::of(row.rounds.iter().map(super::Round::rate));
            cells.push(figure(rate.map(|rate| rate.median), 0));
            cells.push(figure(Spread::of(row.rounds.iter().map(super::Round::cost)).map(Spread::percent), 1));
            cells.push(megabytes(row.idle));
            cells.push(megabytes(row.peak));
            let children = Spread::of(row.rounds.iter().map(|r| r.children * 1e6 / r.calls as f64));
            cells.push(figure(children.map(|spread| spread.median).filter(|median| *median > 0.0), 1));
        }
    }
    cells
}

/// All latencies of a row in order, in microseconds.
pub(crate) fn latencies(row: &Row) -> Vec<f64> {
    sorted(row.rounds.iter().flat_map(|round| round.latencies.iter().copied()))
}

/// The median cost of a call in microseconds, if there is a process that it can be known of.
pub(crate) fn cost(row: &Row) -> Option<f64> {
    Spread::of(row.rounds.iter().map(super::Round::cost)).map(|cost| cost.median).filter(|cost| *cost > 0.0)
}

/// The cost of the cheaper yardstick.
pub(crate) fn yardstick(record: &Record) -> Option<f64> {
    let costs = YARDSTICKS.iter().filter_map(|name| cost(record.row(name)?));
    costs.min_by(f64::total_cmp)
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn megabytes(bytes: u64) -> String {
    figure((bytes > 0).then_some(bytes as f64 / 1e6), 1)
}
