//! Tables of figures.

use super::stats::{Spread, percentile, sorted};
use super::{Record, Round, Row};
use crate::cases::Group;
use crate::fault::Fault;
use crate::say;
use crate::yard::ANONYMOUS;

/// Who is the yardstick: the cheaper of these. Replicas are held against one.
const YARDSTICKS: [&str; 3] = ["nginx", "haproxy", "portolan-1"];
const PERCENTS: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// Prints what was found in a case.
pub(crate) fn show(record: &Record) -> Result<(), Fault> {
    say::out("").map_err(Fault::of("stdout"))?;
    of_group(&[record]).iter().try_for_each(|line| say::out(line).map_err(Fault::of("stdout")))
}

/// One table in Markdown for all cases of a group.
pub(super) fn of_group(records: &[&Record]) -> Vec<String> {
    let Some(first) = records.first() else { return Vec::new() };
    let head: &[&str] = match first.case.group {
        Group::Latency => &["p50 ms", "p90", "p99", "p99.9", "added p50", "p90", "p99", "p99.9"],
        Group::Start => &["start to first call, ms", "idle MB"],
        Group::Idle => &["MB", "KB each", "CPU ms/s"],
        Group::Sessions => &["MB", "KB each", "sessions per MB"],
        Group::Identity => {
            &["CPU µs/call", "more µs", "± %", "calls/s", "idle MB", "peak MB", "µs/call of its children"]
        }
        Group::Replicas => {
            &["CPU µs/call", "× one", "± %", "calls/s", "idle MB", "peak MB", "µs/call of its children"]
        }
        _ => {
            &["CPU µs/call", "× yardstick", "± %", "calls/s", "idle MB", "peak MB", "µs/call of its children"]
        }
    };
    let mut lines = vec![
        line([" ".to_owned()].into_iter().chain(head.iter().map(|text| (*text).to_owned()))),
        line(["---"].iter().chain(head.iter().map(|_| &"--:")).map(|text| (*text).to_owned())),
    ];
    for record in records {
        let title = format!("**{}**", record.case.title);
        lines.push(line([title].into_iter().chain(head.iter().map(|_| String::new()))));
        lines.extend(record.rows.iter().map(|row| line(cells(record, row))));
    }
    lines
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

fn cells(record: &Record, row: &Row) -> Vec<String> {
    let figures = match record.case.group {
        Group::Latency => latency_cells(record, row),
        Group::Start => {
            let start = Spread::of(row.starts.iter().copied()).map(|spread| spread.median * 1e3);
            vec![figure(start, 1), megabytes(row.idle)]
        }
        Group::Idle => idle_cells(row),
        Group::Sessions => session_cells(row),
        Group::Calls | Group::Eras | Group::Lists | Group::Connections | Group::Growth | Group::Replicas => {
            call_cells(record, row)
        }
        Group::Identity => {
            let mut cells = call_cells(record, row);
            cells[1] = figure(more(record, &row.name), 1);
            cells
        }
    };
    [row.name.clone()].into_iter().chain(figures).collect()
}

fn latency_cells(record: &Record, row: &Row) -> Vec<String> {
    let mine = latencies(row);
    let direct = record.row("direct").map(latencies).unwrap_or_default();
    let whole = PERCENTS.map(|percent| percentile(&mine, percent));
    let added = PERCENTS.map(|percent| Some(percentile(&mine, percent)? - percentile(&direct, percent)?));
    whole.into_iter().chain(added).map(|us| figure(us.map(|us| us / 1e3), 3)).collect()
}

fn idle_cells(row: &Row) -> Vec<String> {
    let last = row.rounds.last();
    let each = |round: &Round| round.memory.saturating_sub(row.idle) as f64 / 1e3 / round.calls as f64;
    vec![
        megabytes(last.map_or(0, |round| round.memory)),
        figure(last.map(each), 1),
        figure(last.map(|round| round.cpu * 1e3 / round.seconds), 2),
    ]
}

fn session_cells(row: &Row) -> Vec<String> {
    let last = row.rounds.last();
    let more = |round: &Round| round.memory.saturating_sub(row.idle) as f64;
    vec![
        megabytes(last.map_or(0, |round| round.memory)),
        figure(last.map(|round| more(round) / 1e3 / round.calls as f64), 2),
        // Less than a page each is nothing that can be measured.
        figure(last.filter(|round| more(round) > 1e6).map(|round| round.calls as f64 * 1e6 / more(round)), 0),
    ]
}

fn call_cells(record: &Record, row: &Row) -> Vec<String> {
    let costs = Spread::of(row.rounds.iter().map(Round::cost)).filter(|costs| costs.median > 0.0);
    let rate = Spread::of(row.rounds.iter().map(Round::rate));
    let children =
        Spread::of(row.rounds.iter().map(Round::children_cost)).filter(|spread| spread.median > 0.0);
    let ratio = costs.zip(yardstick(record)).map(|(costs, yardstick)| costs.median / yardstick);
    vec![
        figure(costs.map(|costs| costs.median), 1),
        figure(ratio, 2),
        figure(costs.map(Spread::percent), 1),
        figure(rate.map(|rate| rate.median), 0),
        megabytes(row.idle),
        megabytes(row.peak),
        figure(children.map(|spread| spread.median), 1),
    ]
}

/// All latencies of a row in order, in microseconds.
pub(super) fn latencies(row: &Row) -> Vec<f64> {
    sorted(row.rounds.iter().flat_map(|round| round.latencies.iter().copied()))
}

/// The median cost of a call in microseconds, if there is a process that it can be known of.
pub(super) fn cost(row: &Row) -> Option<f64> {
    Spread::of(row.rounds.iter().map(Round::cost)).map(|cost| cost.median).filter(|cost| *cost > 0.0)
}

/// What a call costs somebody more than the Portolan that does not ask who calls, in microseconds.
pub(super) fn more(record: &Record, who: &str) -> Option<f64> {
    Some(cost(record.row(who)?)? - cost(record.row(ANONYMOUS).filter(|row| row.name != who)?)?)
}

/// The cost of the cheaper yardstick.
pub(super) fn yardstick(record: &Record) -> Option<f64> {
    let costs = YARDSTICKS.iter().filter_map(|name| cost(record.row(name)?));
    costs.min_by(f64::total_cmp)
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn megabytes(bytes: u64) -> String {
    figure((bytes > 0).then_some(bytes as f64 / 1e6), 1)
}
