//! The figures that the tables are made of, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::about::About;
use super::stats::percentile;
use super::table::latencies;
use super::{Record, Row};
use crate::fault::Fault;

/// Where latencies are kept: a thousand of them are more than anybody reads.
const PERCENTS: [f64; 10] = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0];

#[derive(Debug, Serialize)]
struct Raw<'a> {
    about: &'a About,
    cases: Vec<RawCase<'a>>,
}

#[derive(Debug, Serialize)]
struct RawCase<'a> {
    name: &'a str,
    title: &'a str,
    connections: usize,
    rows: Vec<RawRow<'a>>,
}

#[derive(Debug, Serialize)]
struct RawRow<'a> {
    name: &'a str,
    calls: Vec<u64>,
    seconds: Vec<f64>,
    cpu_us_per_call: Vec<f64>,
    children_us_per_call: Vec<f64>,
    memory_bytes: Vec<u64>,
    start_ms: Vec<f64>,
    idle_bytes: u64,
    peak_bytes: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    latency_us: BTreeMap<String, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
}

/// The text of the file.
pub(super) fn text(about: &About, records: &[Record]) -> Result<String, Fault> {
    let cases = records.iter().map(|record| RawCase {
        name: &record.case.name,
        title: &record.case.title,
        connections: record.case.load.connections,
        rows: record.rows.iter().map(of_row).collect(),
    });
    let raw = Raw { about, cases: cases.collect() };
    let text = serde_json::to_string_pretty(&raw).map_err(Fault::of("the raw figures"))?;
    Ok(text + "\n")
}

fn of_row(row: &Row) -> RawRow<'_> {
    let sorted = latencies(row);
    let at = |percent: f64| Some((format!("p{percent}"), short(percentile(&sorted, percent)?)));
    RawRow {
        name: &row.name,
        calls: row.rounds.iter().map(|round| round.calls).collect(),
        seconds: row.rounds.iter().map(|round| short(round.seconds)).collect(),
        cpu_us_per_call: row.rounds.iter().map(|round| short(round.cost())).collect(),
        children_us_per_call: row.rounds.iter().map(|round| short(round.children_cost())).collect(),
        memory_bytes: row.rounds.iter().map(|round| round.memory).collect(),
        start_ms: row.starts.iter().map(|seconds| short(seconds * 1e3)).collect(),
        idle_bytes: row.idle,
        peak_bytes: row.peak,
        latency_us: PERCENTS.iter().filter_map(|percent| at(*percent)).collect(),
        fault: row.fault.as_deref(),
    }
}

fn short(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
