//! The judge: reads the book when all is over, and says what was wrong. It knows nothing that is not in the book.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::record::{At, Blow, Book, Call, Change, Kind, Outcome, Struck, Watcher};

/// How long a call may take, or its loss be unknown, beside the time that something stood still.
pub(crate) const REPORT: Duration = Duration::from_secs(15);
/// How long a watcher may not know of a change, beside the same.
pub(crate) const HEAR: Duration = Duration::from_secs(5);
/// For how long after a replica was lost what it held may be reported as lost. Others take it for dead ten seconds after its
/// last sign of life.
const AFTERMATH: Duration = Duration::from_secs(15);
/// Clients write down a little later than things happen.
const LATE: Duration = Duration::from_millis(250);

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) at: At,
    pub(crate) what: String,
}

/// Everything that is wrong, by time.
pub(crate) fn findings(book: &Book) -> Vec<Finding> {
    let mut all: Vec<Finding> =
        book.wrong.iter().map(|(at, what)| Finding { at: *at, what: what.clone() }).collect();
    all.extend(effects(book));
    all.extend(book.calls.iter().filter_map(|call| fate(book, call)));
    all.extend(book.watchers.iter().flat_map(|watcher| missed(book, watcher)));
    all.extend(sessions(book));
    all.extend(nothing(book));
    all.sort();
    all
}

/// Each effect once at most, each acknowledged one once, and none that nobody asked for.
fn effects(book: &Book) -> Vec<Finding> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for effect in &book.effects {
        *counts.entry(effect).or_default() += 1;
    }
    let mut all = Vec::new();
    for call in &book.calls {
        let count = counts.remove(call.id.as_str()).unwrap_or(0);
        let finding = |what: String| Finding { at: call.ended, what };
        if count > 1 {
            all.push(finding(format!("{} was carried out {count} times ({:?})", call.id, call.outcome)));
        }
        match &call.outcome {
            Outcome::Acknowledged if count == 0 => {
                all.push(finding(format!("{} was acknowledged and never carried out", call.id)));
            }
            Outcome::Refused(why) if count > 0 => {
                all.push(finding(format!("{} was refused ({why}) and carried out", call.id)));
            }
            _ => {}
        }
    }
    let stray = counts.keys().map(|effect| {
        let what = format!("{effect} was carried out, and nobody asked for it");
        Finding { at: At::ZERO, what }
    });
    all.extend(stray);
    all
}

/// What is wrong with how a call ended.
fn fate(book: &Book, call: &Call) -> Option<Finding> {
    let who = || format!("{} ({})", call.id, call.kind.name());
    let given = || format!("replicas {:?}, {} to {}", call.replicas, stamp(call.began), stamp(call.ended));
    let finding = |what: String| Some(Finding { at: call.ended, what });
    match &call.outcome {
        Outcome::Open => {
            finding(format!("{} began at {} and nothing more was heard", who(), stamp(call.began)))
        }
        Outcome::Wrong(what) => finding(format!("{}: {what} ({})", who(), given())),
        Outcome::Refused(why) => finding(format!("{} was refused for too long: {why}", who())),
        Outcome::Lost(why) if cause(book, call).is_none() => {
            finding(format!("{} was lost, and nothing had been done to it: {why} ({})", who(), given()))
        }
        Outcome::Lost(_) | Outcome::Acknowledged => {
            let took = call.ended.saturating_sub(call.began);
            let allowed = REPORT + stood_still(book, call.began, call.ended);
            (took > allowed).then(|| Finding {
                at: call.ended,
                what: format!("{} took {} to be {:?} ({})", who(), stamp(took), call.outcome, given()),
            })
        }
    }
}

/// What a call may have been lost by: the last thing that was done to a replica that it may have been at.
pub(crate) fn cause<'a>(book: &'a Book, call: &Call) -> Option<&'a Struck> {
    let may = |struck: &&Struck| {
        let was_there = struck.replica.is_some_and(|replica| call.replicas.contains(&replica));
        let is_during = struck.from <= call.ended && struck.from + LATE >= call.began;
        match struck.blow {
            // Whose response never began, nobody can tell where it was.
            Blow::Kill if !call.kind.is_held() => is_during && (was_there || call.replicas.is_empty()),
            Blow::Kill | Blow::Stop | Blow::Drain | Blow::Term | Blow::Database if call.kind.is_held() => {
                struck.from <= call.ended && struck.to + AFTERMATH >= call.began
            }
            _ => false,
        }
    };
    book.struck.iter().rev().find(may)
}

/// How long a replica or the database stood still in that time.
fn stood_still(book: &Book, from: At, to: At) -> Duration {
    let still = book.struck.iter().filter(|struck| matches!(struck.blow, Blow::Stop | Blow::Database));
    still.filter(|struck| struck.from <= to && struck.to >= from).map(|struck| struck.to - struck.from).sum()
}

/// The changes that a watcher did not find in time.
fn missed(book: &Book, watcher: &Watcher) -> Vec<Finding> {
    let mut all = Vec::new();
    for change in book.changes.iter().filter(|change| watcher.subjects.contains(&change.subject)) {
        let until = change.at + HEAR + stood_still(book, change.at, change.at + HEAR);
        let is_due = change.at >= watcher.from && until <= watcher.to;
        let found = first(book, watcher, change);
        if is_due && found.is_none_or(|at| at > until) {
            let late = found.map_or_else(|| "never".to_owned(), |at| format!("at {}", stamp(at)));
            let what = format!(
                "{} was not told of version {} of {} in time: it found it {late}",
                watcher.name, change.version, change.subject
            );
            all.push(Finding { at: change.at, what });
        }
    }
    all
}

/// When a watcher first found that version, or a later one.
fn first(book: &Book, watcher: &Watcher, change: &Change) -> Option<At> {
    let found = book.found.iter().find(|found| {
        found.watcher == watcher.name && found.subject == change.subject && found.version >= change.version
    });
    found.map(|found| found.at)
}

/// A session may end before its client ends it only if a replica has ended.
fn sessions(book: &Book) -> Vec<Finding> {
    let is_excused = |session: &crate::record::Session| {
        let ends = |struck: &&Struck| {
            matches!(struck.blow, Blow::Kill | Blow::Stop | Blow::Drain | Blow::Term)
                && struck.from <= session.ended
                && struck.to + AFTERMATH >= session.opened
        };
        book.struck.iter().any(|struck| ends(&struck))
    };
    let lost = book.sessions.iter().filter(|session| session.is_lost && !is_excused(session));
    lost.map(|session| Finding {
        at: session.ended,
        what: format!(
            "a session opened at {} by replica {:?} was gone, and no replica had ended",
            stamp(session.opened),
            session.home
        ),
    })
    .collect()
}

/// What was to be tried and never worked: of that a run shows nothing.
fn nothing(book: &Book) -> Vec<Finding> {
    let works = |kind: Kind| count(book, kind, |outcome| *outcome == Outcome::Acknowledged) > 0;
    let kinds = BTreeSet::from_iter(book.kinds.iter().copied());
    let never =
        kinds.into_iter().filter(|kind| !works(*kind)).map(|kind| format!("no {} ever worked", kind.name()));
    let watches = |name: &str| book.watchers.iter().any(|watcher| watcher.name == name);
    let blind = book.names.iter().filter(|name| !watches(name)).map(|name| format!("{name} never watched"));
    never.chain(blind).map(|what| Finding { at: At::ZERO, what }).collect()
}

/// A time as it is printed.
pub(crate) fn stamp(at: Duration) -> String {
    format!("{:.3}s", at.as_secs_f64())
}

/// How long it took until a client heard of a loss that it could hear of.
pub(crate) fn report_time(book: &Book, call: &Call) -> Option<Duration> {
    let cause = cause(book, call)?;
    matches!(call.outcome, Outcome::Lost(_)).then(|| call.ended.saturating_sub(cause.from.max(call.sent)))
}

/// How many calls of a kind ended in a way.
pub(crate) fn count(book: &Book, kind: Kind, is: impl Fn(&Outcome) -> bool) -> usize {
    book.calls.iter().filter(|call| call.kind == kind && is(&call.outcome)).count()
}

#[cfg(test)]
mod tests;
