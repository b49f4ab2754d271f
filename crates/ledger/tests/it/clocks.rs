//! Whatever clocks do, records are found by their times, and followed as they are written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use base::clock::{Clock, SystemClock};
use base::sink::Sink as _;
use ledger::line::Head;
use ledger::query::{Filter, read};
use ledger::tail::Tail;

use crate::endings::soon;
use crate::power::dice;
use crate::stand::{Stand, call, facts};

/// Says what it is told to, in milliseconds since 1970, and a millisecond more each time.
#[derive(Debug)]
struct Told(AtomicU64);

impl Clock for Told {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

const BEGIN: u64 = 1_800_000_000_000;
const HOUR: u64 = 3_600_000;

fn found(stand: &Stand, filter: &Filter) -> Vec<String> {
    let mut found = Vec::new();
    let told = |line: &str| {
        found.push(line.to_owned());
        Ok(true)
    };
    read(stand.directory(), filter, told).unwrap();
    found
}

fn time(line: &str) -> &str {
    Head::read(line).unwrap().time
}

/// What is found by a search is what is found by reading everything.
#[tokio::test]
async fn records_are_found_whatever_the_clock_did() {
    let mut stand = Stand::new();
    // Some segments are small and some are not.
    stand.plan.segment_bytes = 1536 * 1024;
    let clock = Arc::new(Told(BEGIN.into()));
    let mut dice = dice(7);
    for _ in 0..2 {
        let ledger = stand.open_at("one", Arc::clone(&clock) as _);
        for round in 0..8 {
            match dice(3) {
                _ if round == 5 => {}
                0 => drop(clock.0.fetch_add(dice(3 * HOUR), Ordering::Relaxed)),
                1 => drop(clock.0.fetch_sub(dice(3 * HOUR), Ordering::Relaxed)),
                _ => {}
            }
            let many = if round == 5 { 3500 } else { dice(400) };
            let waiting: Vec<_> = (0..many).map(|number| ledger.accept(&facts(number as usize))).collect();
            for accept in waiting {
                if let base::sink::Accept::Later(taken) = accept {
                    taken.await.unwrap();
                }
            }
        }
        ledger.close().await;
    }
    let report = stand.verify();
    assert!(report.bad.is_empty(), "{report:?}");
    let back: Vec<_> =
        report.replicas[0].notes.iter().filter(|note| note.contains("the clock went back")).collect();
    assert!(
        back.len() == 1 && back[0].contains(".jsonl, line ") && back[0].contains(" times in all"),
        "{report:?}"
    );
    let all = found(&stand, &Filter::default());
    let large = stand.files().values().filter(|bytes| bytes.len() > 1024 * 1024).count();
    assert!(all.len() > 3000 && large > 0, "{} {large}", all.len());
    let times: BTreeSet<&str> = all.iter().map(|line| time(line)).collect();
    let times: Vec<&str> = times.into_iter().collect();
    for _ in 0..25 {
        let mut at = || times[dice(times.len() as u64) as usize].to_owned();
        let (since, until) = (at(), at());
        let filter = match since.as_bytes()[25] % 3 {
            0 => Filter { since: Some(since), ..Filter::default() },
            1 => Filter { until: Some(until), ..Filter::default() },
            _ => Filter { since: Some(since), until: Some(until), ..Filter::default() },
        };
        let wanted: Vec<_> =
            all.iter().filter(|line| filter.wants(&Head::read(line).unwrap(), line)).collect();
        let found = found(&stand, &filter);
        assert!(found.iter().eq(wanted.iter().copied()), "{filter:?}: {} of {}", found.len(), wanted.len());
    }
}

/// Only what is really too old is deleted, whatever the clock says meanwhile.
#[tokio::test]
async fn no_clock_has_the_ledger_deleted() {
    let mut stand = Stand::new();
    let clock = Arc::new(Told((BEGIN + 2 * HOUR).into()));
    let write = async |stand: &Stand, many| {
        let ledger = stand.open_at("one", Arc::clone(&clock) as _);
        for number in 0..many {
            call(&ledger, number).await;
        }
        ledger
    };
    write(&stand, 60).await.close().await;
    let all = stand.segments("one");
    assert!(all.len() > 2);
    // It leaps ahead by ten years while a process runs.
    stand.plan.keep = Some(Duration::from_millis(HOUR));
    let ledger = write(&stand, 0).await;
    clock.0.fetch_add(87_600 * HOUR, Ordering::Relaxed);
    call(&ledger, 0).await;
    ledger.close().await;
    assert!(stand.segments("one").starts_with(&all), "{:?}", stand.segments("one"));
    // What was written two hours later than what follows it is not older than that.
    clock.0.store(BEGIN, Ordering::Relaxed);
    stand.plan.keep = None;
    write(&stand, 60).await.close().await;
    stand.plan.keep = Some(Duration::from_millis(HOUR));
    clock.0.store(BEGIN + 5 * HOUR / 2, Ordering::Relaxed);
    write(&stand, 3).await.close().await;
    assert!(stand.segments("one").starts_with(&all), "{:?}", stand.segments("one"));
    assert_eq!(stand.bad(), None);
    // And then it is.
    clock.0.store(BEGIN + 4 * HOUR, Ordering::Relaxed);
    write(&stand, 3).await.close().await;
    assert!(!stand.segments("one").contains(&all[0]), "{:?}", stand.segments("one"));
    assert_eq!(stand.bad(), None);
}

/// However much is too old, all of it goes.
#[tokio::test]
async fn a_busy_gateway_does_not_fill_its_disk() {
    let mut stand = Stand::new();
    stand.plan.segment_bytes = 1024;
    stand.session("one", 240).await;
    let all = stand.segments("one");
    assert!(all.len() > 40, "{}", all.len());
    stand.plan.keep = Some(Duration::ZERO);
    stand.session("one", 20).await;
    let left = stand.segments("one");
    assert!(left.iter().all(|path| !all[..all.len() - 1].contains(path)), "{left:?}");
    assert_eq!(stand.bad(), None);
}

#[tokio::test]
async fn records_of_clocks_that_lag_are_followed() {
    let stand = Stand::new();
    let ahead = stand.open("ahead");
    let behind = stand.open_at("behind", Arc::new(Told(BEGIN.into())));
    call(&ahead, 0).await;
    call(&behind, 1).await;
    let mut tail = Tail::behind_all(stand.directory()).unwrap();
    let mut seen = Vec::new();
    let mut next = |tail: &mut Tail| {
        let filter = Filter { kind: Some("call".to_owned()), ..Filter::default() };
        let before = seen.len();
        tail.next(&filter, |line| {
            seen.push(line.to_owned());
            Ok(true)
        })
        .unwrap();
        seen[before..].to_vec()
    };
    assert_eq!(next(&mut tail).len(), 0);
    for number in 2..80 {
        // Over segments, too.
        call(if number % 2 == 0 { &ahead } else { &behind }, number).await;
        let came = next(&mut tail);
        assert!(came.len() == 1 && came[0].contains(&format!("alice-{number}\\\"")), "{number}: {came:?}");
    }
    let late = stand.open_at("late", Arc::new(Told(BEGIN.into())));
    call(&late, 80).await;
    assert_eq!(next(&mut tail).len(), 1, "of a replica that was not there");
    for ledger in [&ahead, &behind, &late] {
        ledger.close().await;
    }
    assert!(stand.segments("ahead").len() > 1 && next(&mut tail).is_empty());
    // What is not whole yet comes when it is.
    let path = stand.segments("late")[0].clone();
    let (text, line) = (std::fs::read_to_string(&path).unwrap(), seen.last().unwrap().clone());
    let mut seen = Vec::new();
    for (added, many) in [(&line[..50], 0), (&line[50..], 0), ("\n", 1)] {
        let text = std::fs::read_to_string(&path).unwrap() + added;
        std::fs::write(&path, text).unwrap();
        let told = |line: &str| {
            seen.push(line.to_owned());
            Ok(true)
        };
        tail.next(&Filter::default(), told).unwrap();
        assert_eq!(seen.len(), many);
    }
    let behind = Tail::behind_all(stand.directory()).unwrap();
    let mut all = 0;
    behind
        .before(&Filter::default(), |_| {
            all += 1;
            Ok(true)
        })
        .unwrap();
    assert_eq!(all, found(&stand, &Filter::default()).len());
    std::fs::write(&path, text).unwrap();
}

#[tokio::test]
async fn what_was_not_written_is_told_at_the_end() {
    let stand = Stand::new();
    let ledger = stand.open_at("one", Arc::new(SystemClock));
    for _ in 0..100 {
        ledger.note(base::sink::Event { kind: "login", members: Vec::new() });
    }
    ledger.close().await;
    let end = stand.text().lines().find(|line| line.contains("\"type\":\"end\"")).unwrap().to_owned();
    let written = stand.text().matches("\"type\":\"login\"").count() as u64;
    let told: u64 = stand
        .text()
        .lines()
        .filter_map(|line| line.split_once("\"more\":").or_else(|| line.split_once("\"moreLogins\":")))
        .map(|(_, count)| count.trim_end_matches(['}', '\n']).parse::<u64>().unwrap())
        .sum();
    assert_eq!(written + told, 100, "{end}");
    soon(|| stand.bad().is_none()).await;
}

#[tokio::test]
async fn who_comes_with_sessions_that_there_are_not_hides_no_other() {
    let stand = Stand::new();
    let ledger = stand.open_at("one", Arc::new(SystemClock));
    let session =
        |outcome: &str| base::sink::Event { kind: "session", members: vec![("outcome", outcome.to_owned())] };
    (0..100).for_each(|_| ledger.note(session("lost")));
    (0..30).for_each(|_| ledger.note(session("opened")));
    ledger.close().await;
    let count = |outcome: &str| stand.text().matches(&format!("\"outcome\":\"{outcome}\"")).count();
    assert_eq!(count("opened"), 30);
    // The test may have gone on for more than a second.
    assert!((20..100).contains(&count("lost")), "{}", count("lost"));
    assert!(stand.text().contains("\"moreSessions\":"));
}
