//! What was found, and the forms in which it is told.

use crate::cases::{Case, Group};
use crate::fault::Fault;
use crate::say;

pub(crate) mod about;
pub(crate) mod budget;
#[cfg(test)]
mod fixture;
mod plots;
mod raw;
pub(crate) mod results;
mod stats;
mod svg;
pub(crate) mod table;

/// What was found in a case.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) case: Case,
    pub(crate) rows: Vec<Row>,
}

/// What was found of one of those who were measured.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) rounds: Vec<Round>,
    /// Seconds from start to the first answer.
    pub(crate) starts: Vec<f64>,
    /// Bytes in memory after the start.
    pub(crate) idle: u64,
    /// The most bytes that it ever had in memory.
    pub(crate) peak: u64,
    /// Why there is nothing more.
    pub(crate) fault: Option<String>,
}

/// One measurement.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) calls: u64,
    pub(crate) seconds: f64,
    /// Seconds of user and system time of the process under test.
    pub(crate) cpu: f64,
    /// The same of servers that are its children.
    pub(crate) children: f64,
    /// Bytes in memory at the end.
    pub(crate) memory: u64,
    /// Microseconds, only for the open pace.
    pub(crate) latencies: Vec<f64>,
}

impl Round {
    pub(crate) fn rate(&self) -> f64 {
        self.calls as f64 / self.seconds
    }

    /// Microseconds of CPU time for a call.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu * 1e6 / self.calls as f64
    }
}

impl Round {
    /// The same of servers that are its children.
    pub(crate) fn children_cost(&self) -> f64 {
        self.children * 1e6 / self.calls as f64
    }
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rounds: Vec::new(), starts: Vec::new(), idle: 0, peak: 0, fault: None }
    }

    /// What came of it, or nothing and why.
    pub(crate) fn keep<T>(&mut self, done: Result<T, Fault>) -> Option<T> {
        done.map_err(|fault| self.fail(&fault)).ok()
    }

    pub(crate) fn fail(&mut self, fault: &Fault) {
        say::progress(&format!("  {}: {fault}", self.name));
        self.fault.get_or_insert_with(|| fault.to_string());
    }

    /// A measurement as the one who waits sees it.
    pub(crate) fn line(&self, group: Group, round: &Round) -> String {
        if matches!(group, Group::Idle | Group::Sessions) {
            let busy = round.cpu * 1e3 / round.seconds;
            let megabytes = round.memory as f64 / 1e6;
            return format!(
                "{}: {} open, {megabytes:.1} MB, {busy:.2} ms of CPU a second",
                self.name, round.calls
            );
        }
        format!("{}: {:.0} calls/s, {:.1} µs of CPU a call", self.name, round.rate(), round.cost())
    }
}

impl Record {
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}
