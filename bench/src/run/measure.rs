//! One case, measured: everyone in turn, round by round, so that what the machine does besides meets all alike.

use super::load;
use crate::cases::{Case, Group};
use crate::fault::Fault;
use crate::load::{BEGIN, Outcome};
use crate::report::{Record, Round, Row};
use crate::say;
use crate::yard::{self, Ground, Yard};

/// Measures all who have these names.
pub(super) fn case(ground: &Ground, case: &Case, names: &[String], rounds: usize) -> Record {
    let mut rows: Vec<_> = names.iter().map(|name| Row::new(name)).collect();
    if case.group == Group::Start {
        starts(ground, case, &mut rows, rounds);
        return Record { case: case.clone(), rows };
    }
    let mut yards: Vec<Option<Yard>> = Vec::new();
    for row in &mut rows {
        yards.push(row.keep(yard::start(ground, case, &row.name)));
    }
    for (row, yard) in rows.iter_mut().zip(&yards) {
        if let Some(yard) = yard {
            row.idle = yard.idle;
            row.starts.push(yard.started_in.as_secs_f64());
        }
    }
    for number in 0..rounds {
        for (row, yard) in rows.iter_mut().zip(&mut yards) {
            let Some(serving) = yard else { continue };
            match round(ground, serving) {
                Ok(round) => {
                    say::progress(&format!(
                        "  round {} of {rounds}, {}",
                        number + 1,
                        row.line(case.group, &round)
                    ));
                    row.rounds.push(round);
                }
                Err(fault) => {
                    let said = serving.said();
                    row.fail(&Fault::new(format!("{fault}\n{said}")));
                    *yard = None;
                }
            }
        }
    }
    for (row, yard) in rows.iter_mut().zip(&yards) {
        row.peak = yard.as_ref().map_or(0, |yard| yard.memory().1);
    }
    Record { case: case.clone(), rows }
}

/// Starts each of them as often as there are rounds.
fn starts(ground: &Ground, case: &Case, rows: &mut [Row], rounds: usize) {
    for _ in 0..rounds {
        for row in rows.iter_mut().filter(|row| row.name != "direct") {
            if let Some(yard) = row.keep(yard::start(ground, case, &row.name)) {
                row.starts.push(yard.started_in.as_secs_f64());
                row.idle = yard.idle;
            }
        }
    }
}

/// One measurement of one of them.
fn round(ground: &Ground, yard: &Yard) -> Result<Round, Fault> {
    let mut running = load(ground, &yard.load)?;
    let (mut before, mut outcome) = (None, None);
    for line in running.lines().into_iter().flatten() {
        let line = line.map_err(Fault::of("the load's output"))?;
        if line == BEGIN {
            before = Some(yard.used());
        } else {
            let after = yard.used();
            let read: Outcome = serde_json::from_str(&line).map_err(Fault::of("the load's outcome"))?;
            let memory = yard.memory().0;
            outcome = Some((read, after, memory));
        }
    }
    running.wait()?;
    match (before, outcome) {
        (Some(before), Some((outcome, after, memory))) => {
            let used = after.since(before);
            Ok(Round {
                calls: outcome.calls,
                seconds: outcome.seconds,
                cpu: used.cpu.as_secs_f64(),
                children: used.children.as_secs_f64(),
                memory,
                latencies: outcome.latencies,
            })
        }
        _ => Err(Fault::new(format!("the load said nothing: {}", running.said()))),
    }
}
