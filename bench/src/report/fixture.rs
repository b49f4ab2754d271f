//! Records as tests want them.

use super::{Record, Round, Row};
use crate::cases;

/// A record of a case that there is.
pub(super) fn record(name: &str, rows: Vec<Row>) -> Record {
    let case = cases::all().into_iter().find(|case| case.name == name).unwrap();
    Record { case, rows }
}

/// One round in which each call cost so many microseconds.
pub(super) fn row(name: &str, cost: f64) -> Row {
    let round =
        Round { calls: 1000, seconds: 1.0, cpu: cost / 1e3, children: 0.0, memory: 1, latencies: Vec::new() };
    Row { rounds: vec![round], ..Row::new(name) }
}
