//! A judge that cannot find anything is worthless: each of its rules is broken here once.

use super::*;
use crate::record::{Found, Session};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u32) -> At {
    SECOND * seconds
}

fn call(id: &str, kind: Kind, outcome: Outcome) -> Call {
    let (began, ended) = (at(10), at(11));
    Call { id: id.to_owned(), kind, began, sent: began, ended, replicas: vec![1], refused: 0, outcome }
}

/// A run in which all went well: one call of each kind.
fn good() -> Book {
    let calls: Vec<_> =
        Kind::ALL.iter().map(|kind| call(kind.name(), *kind, Outcome::Acknowledged)).collect();
    let effects = calls.iter().map(|call| call.id.clone()).collect();
    Book { calls, effects, ..Book::default() }
}

fn struck(blow: Blow, replica: usize, from: u32, to: u32) -> Struck {
    Struck { blow, replica: Some(replica), from: at(from), to: at(to) }
}

/// The only finding.
fn finding(book: &Book) -> String {
    let all = findings(book);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].what.clone()
}

fn lost() -> Outcome {
    Outcome::Lost("502".to_owned())
}

#[test]
fn a_good_run_has_no_findings() {
    assert_eq!(findings(&good()), []);
}

#[test]
fn what_others_wrote_down_as_wrong_is_wrong() {
    let mut book = good();
    book.wrong.push((at(3), "a process is left".to_owned()));
    assert_eq!(finding(&book), "a process is left");
}

#[test]
fn an_effect_twice_is_found_however_its_call_ended() {
    for kind in Kind::ALL {
        for outcome in [Outcome::Acknowledged, lost()] {
            let mut book = good();
            book.struck.push(struck(Blow::Kill, 1, 10, 13));
            let call = book.calls.iter_mut().find(|call| call.kind == kind).unwrap();
            call.outcome = outcome;
            book.effects.push(kind.name().to_owned());
            assert!(finding(&book).contains("carried out 2 times"), "{kind:?}");
        }
    }
}

#[test]
fn an_acknowledged_call_without_its_effect_is_found() {
    let mut book = good();
    book.effects.remove(0);
    assert!(finding(&book).contains("never carried out"));
}

#[test]
fn an_effect_of_a_refused_call_and_one_of_nobody_are_found() {
    let mut book = good();
    book.effects.push("stranger".to_owned());
    assert!(finding(&book).contains("nobody asked for it"));
    let mut book = good();
    book.calls[0].outcome = Outcome::Refused("draining".to_owned());
    let all = findings(&book);
    assert!(all.iter().any(|finding| finding.what.contains("and carried out")), "{all:?}");
    assert!(all.iter().any(|finding| finding.what.contains("refused for too long")), "{all:?}");
}

#[test]
fn a_call_of_which_nothing_more_is_heard_is_found() {
    let mut book = good();
    book.calls[0].outcome = Outcome::Open;
    assert!(finding(&book).contains("nothing more was heard"));
    // Whatever was done to it.
    book.struck.push(struck(Blow::Kill, 1, 10, 13));
    assert!(finding(&book).contains("nothing more was heard"));
}

#[test]
fn a_wrong_answer_is_found() {
    let mut book = good();
    book.calls[0].outcome = Outcome::Wrong("another call's".to_owned());
    assert!(finding(&book).contains("another call's"));
}

#[test]
fn a_loss_needs_a_cause() {
    for kind in Kind::ALL {
        let mut book = good();
        let call = book.calls.iter_mut().find(|call| call.kind == kind).unwrap();
        call.outcome = lost();
        assert!(finding(&book).contains("nothing had been done to it"), "{kind:?}");
        book.struck.push(struck(Blow::Kill, 1, 10, 13));
        assert_eq!(findings(&book), [], "{kind:?}");
        for blow in [Blow::Reload, Blow::Misload, Blow::Burst] {
            book.struck = vec![struck(blow, 1, 10, 13)];
            assert!(finding(&book).contains("nothing had been done to it"), "{kind:?} {blow:?}");
        }
    }
}

#[test]
fn only_what_is_held_is_lost_with_another_replica_or_by_less_than_a_kill() {
    let others = [(Blow::Kill, 2), (Blow::Drain, 1), (Blow::Term, 1), (Blow::Stop, 1), (Blow::Database, 1)];
    for kind in Kind::ALL {
        for (blow, replica) in others {
            let mut book = good();
            book.calls.iter_mut().find(|call| call.kind == kind).unwrap().outcome = lost();
            book.struck.push(struck(blow, replica, 10, 13));
            assert_eq!(findings(&book).is_empty(), kind.is_held(), "{kind:?} {blow:?}");
        }
    }
}

#[test]
fn a_kill_before_or_after_a_stateless_call_is_no_excuse() {
    for (from, to) in [(5, 8), (12, 14)] {
        let mut book = good();
        book.calls[0].outcome = lost();
        book.struck.push(struck(Blow::Kill, 1, from, to));
        assert!(finding(&book).contains("nothing had been done to it"));
    }
    let mut book = good();
    book.calls.iter_mut().find(|call| call.kind == Kind::LegacyCall).unwrap().outcome = lost();
    book.struck.push(struck(Blow::Kill, 2, 40, 41));
    assert!(finding(&book).contains("nothing had been done to it"));
}

#[test]
fn what_takes_too_long_is_found_unless_something_stood_still() {
    for outcome in [Outcome::Acknowledged, lost()] {
        let mut book = good();
        book.calls[0].outcome = outcome;
        book.calls[0].ended = at(30);
        book.struck.push(struck(Blow::Kill, 1, 12, 13));
        assert!(finding(&book).contains("took 20.000s"));
        book.struck.push(struck(Blow::Stop, 2, 12, 18));
        assert_eq!(findings(&book), []);
    }
}

fn watched() -> Book {
    let mut book = good();
    book.watchers.push(Watcher {
        name: "w".to_owned(),
        subjects: vec!["legacy/r0".to_owned()],
        from: at(1),
        to: at(60),
    });
    book.changes.push(Change { subject: "legacy/r0".to_owned(), version: 3, at: at(20) });
    book
}

fn found(version: u64, seconds: u32) -> Found {
    Found { watcher: "w".to_owned(), subject: "legacy/r0".to_owned(), version, at: at(seconds) }
}

#[test]
fn a_change_that_a_watcher_does_not_find_in_time_is_found() {
    let mut book = watched();
    assert!(finding(&book).contains("never"));
    book.found.push(found(2, 21));
    assert!(finding(&book).contains("never"));
    book.found.push(found(3, 40));
    assert!(finding(&book).contains("at 40.000s"));
    book.struck.push(struck(Blow::Stop, 0, 19, 36));
    assert_eq!(findings(&book), []);
    let mut book = watched();
    book.found.push(found(4, 22));
    assert_eq!(findings(&book), []);
}

#[test]
fn a_change_before_or_after_one_watches_is_nothing_to_them() {
    for (from, to) in [(21, 60), (1, 22)] {
        let mut book = watched();
        (book.watchers[0].from, book.watchers[0].to) = (at(from), at(to));
        assert_eq!(findings(&book), []);
    }
    let mut book = watched();
    book.watchers[0].subjects = vec!["legacy/r1".to_owned()];
    assert_eq!(findings(&book), []);
}

#[test]
fn what_never_worked_is_found() {
    let mut book = good();
    book.kinds = vec![Kind::LegacyAsk, Kind::LegacyAsk];
    assert_eq!(findings(&book), []);
    book.calls.retain(|call| call.kind != Kind::LegacyAsk);
    book.effects.retain(|effect| effect != Kind::LegacyAsk.name());
    assert_eq!(finding(&book), "no legacy-ask ever worked");
    let mut book = watched();
    book.found.push(found(3, 21));
    book.names = vec!["w".to_owned(), "v".to_owned()];
    assert_eq!(finding(&book), "v never watched");
}

#[test]
fn a_session_that_is_gone_without_a_cause_is_found() {
    let mut book = good();
    book.sessions.push(Session { opened: at(5), ended: at(9), is_lost: true, ..Session::default() });
    assert!(finding(&book).contains("no replica had ended"));
    book.struck.push(struck(Blow::Database, 0, 6, 7));
    assert!(finding(&book).contains("no replica had ended"));
    book.struck.push(struck(Blow::Kill, 0, 8, 12));
    assert_eq!(findings(&book), []);
}
