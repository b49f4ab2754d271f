//! The figures, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::judge::{self, Finding, stamp};
use crate::record::{Blow, Book, Call, Kind, Outcome};

/// How much of a finding is printed.
const WIDTH: usize = 300;

/// What happened.
pub(crate) fn figures(book: &Book) -> String {
    let mut text = String::new();
    // A String takes all that is written to it.
    calls(book, &mut text).ok();
    sessions(book, &mut text).ok();
    blows(book, &mut text).ok();
    watching(book, &mut text).ok();
    for (what, count) in &book.tallies {
        writeln!(text, "  {count:>7}  {what}").ok();
    }
    text
}

fn calls(book: &Book, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n{:<16} {:>8} {:>13} {:>18} {:>11} {:>9} {:>10}",
        "calls", "all", "acknowledged", "lost and reported", "sent again", "slowest", "wrong"
    )?;
    for kind in Kind::ALL {
        let of_kind = || book.calls.iter().filter(move |call| call.kind == kind);
        if of_kind().next().is_none() {
            continue;
        }
        let count = |is: fn(&Outcome) -> bool| judge::count(book, kind, is);
        let acknowledged = count(|outcome| *outcome == Outcome::Acknowledged);
        let lost = count(|outcome| matches!(outcome, Outcome::Lost(_)));
        let wrong = of_kind().count() - acknowledged - lost;
        let again: u32 = of_kind().map(|call| call.refused).sum();
        let slowest = of_kind().map(|call| call.ended.saturating_sub(call.began)).max().unwrap_or_default();
        writeln!(
            text,
            "{:<16} {:>8} {:>13} {:>18} {:>11} {:>9} {:>10}",
            kind.name(),
            of_kind().count(),
            acknowledged,
            lost,
            again,
            stamp(slowest),
            wrong
        )?;
    }
    Ok(())
}

fn sessions(book: &Book, text: &mut String) -> std::fmt::Result {
    // A session moved if it was served after the replica that had opened it was gone.
    let moved = book.sessions.iter().filter(|session| {
        let gone = book.struck.iter().find(|struck| {
            let ends = matches!(struck.blow, Blow::Kill | Blow::Drain | Blow::Term);
            ends && struck.replica == session.home && struck.from >= session.opened
        });
        gone.is_some_and(|gone| session.served.iter().any(|at| *at > gone.from))
    });
    let lost = book.sessions.iter().filter(|session| session.is_lost).count();
    writeln!(
        text,
        "\nsessions: {} opened, {} served after the replica that opened them was gone, {lost} lost and opened again",
        book.sessions.len(),
        moved.count()
    )
}

fn blows(book: &Book, text: &mut String) -> std::fmt::Result {
    let mut losses: BTreeMap<Blow, (usize, Duration)> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for call in &book.calls {
        if let (Some(cause), Some(took)) = (judge::cause(book, call), judge::report_time(book, call)) {
            let (count, slowest) = losses.entry(cause.blow).or_default();
            *count += 1;
            *slowest = took.max(*slowest);
        }
        if let Outcome::Lost(why) = &call.outcome {
            *reasons.entry(why).or_default() += 1;
        }
    }
    writeln!(text, "\n{:<10} {:>6} {:>12} {:>24}", "done", "times", "calls lost", "slowest report of that")?;
    for blow in Blow::ALL {
        let times = book.struck.iter().filter(|struck| struck.blow == blow).count();
        if times == 0 {
            continue;
        }
        let (lost, slowest) = losses.get(&blow).copied().unwrap_or_default();
        let slowest = if lost > 0 { stamp(slowest) } else { "–".to_owned() };
        writeln!(text, "{:<10} {times:>6} {lost:>12} {slowest:>24}", blow.name())?;
    }
    for (why, count) in reasons {
        writeln!(text, "  {count:>7}  lost: {why}")?;
    }
    Ok(())
}

fn watching(book: &Book, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\nwatching: {} changes, {} watchers, {} looks\n",
        book.changes.len(),
        book.watchers.len(),
        book.found.len()
    )
}

/// Each call that was lost: when it was sent and to whom, by what it was lost, and what its client was told when.
pub(crate) fn losses(book: &Book) -> String {
    let lost = book.calls.iter().filter(|call| matches!(call.outcome, Outcome::Lost(_)));
    let line = |call: &Call| {
        let cause = judge::cause(book, call).map_or_else(
            || "nothing".to_owned(),
            |cause| format!("{} of {:?} at {}", cause.blow.name(), cause.replica, stamp(cause.from)),
        );
        let told = judge::report_time(book, call).map_or_else(String::new, stamp);
        format!(
            "{:>10}  {} sent at {} to {:?}, lost by {cause}, told after {told}: {:?}\n",
            stamp(call.ended),
            call.id,
            stamp(call.sent),
            call.replicas,
            call.outcome
        )
    };
    lost.map(line).collect()
}

/// What was wrong, each finding.
pub(crate) fn list(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{:>10}  {}\n", stamp(finding.at), finding.what)).collect()
}

/// What was wrong, each kind of finding once, with the first of them.
pub(crate) fn kinds(findings: &[Finding]) -> String {
    let mut kinds: BTreeMap<String, (usize, &Finding)> = BTreeMap::new();
    for finding in findings {
        kinds.entry(kind(&finding.what)).or_insert((0, finding)).0 += 1;
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by_key(|(_, first)| first.at);
    let line = |(count, first): &(usize, &Finding)| {
        let what: String = first.what.chars().take(WIDTH).collect();
        format!("{count:>5} × as at {:>9}  {what}\n", stamp(first.at))
    };
    kinds.iter().map(line).collect()
}

/// What is left of a finding without its numbers, and without what makes it one of its kind.
fn kind(what: &str) -> String {
    let general = what.split(['{', '[']).next().unwrap_or_default();
    let mut kind = String::new();
    for c in general.chars() {
        match c {
            '0'..='9' if kind.ends_with('#') => {}
            '0'..='9' => kind.push('#'),
            _ => kind.push(c),
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_of_a_kind_are_told_once() {
        let finding =
            |seconds, what: &str| Finding { at: Duration::from_secs(seconds), what: what.to_owned() };
        let all = [
            finding(1, "call-17 was lost ([1])"),
            finding(2, "a process is left"),
            finding(3, "call-2 was lost ([2, 3])"),
        ];
        let text = kinds(&all);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("2 × as at    1.000s  call-17 was lost"), "{text}");
        assert_eq!(list(&all).lines().count(), 3);
    }
}
