//! A chain is read up to where its writer says that it is good, through whatever is in its files beside.

use std::fs;
use std::sync::Arc;

use ledger::hash::Hash;
use ledger::reach::{Reach, Reached};
use ledger::spool::{Begin, Mark, Resumed, Spool};

fn line(seq: u64, kind: &str) -> String {
    let zeros = "0".repeat(64);
    format!(
        "{{\"v\":1,\"type\":\"{kind}\",\"time\":\"2026-12-01T15:40:00.000042Z\",\"replica\":\"one\",\"seq\":{seq},\"prev\":\"sha256:{zeros}\",\"x\":1}}\n"
    )
}

fn seqs(spool: &Spool) -> (Vec<u64>, Option<Mark>) {
    let stretch = spool.read((100, 1 << 20), |head| head.kind != "checkpoint").unwrap();
    assert_eq!(stretch.lines.len(), stretch.marks.len());
    let seq = |line: &String| ledger::line::Head::read(line).unwrap().seq;
    (stretch.lines.iter().map(seq).collect(), stretch.end)
}

#[test]
fn nothing_is_read_before_it_is_good_and_nothing_twice() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (root.path().join("00000001.jsonl"), root.path().join("00000002.jsonl"));
    let reach = Arc::new(Reach::new(true));
    let good = line(0, "start") + &line(1, "call");
    let reached = |segment, text: &str, next| Reached { segment, length: text.len() as u64, next };
    // Half a record is behind what is good.
    fs::write(&first, good.clone() + line(2, "call").get(..40).unwrap()).unwrap();
    reach.come_to(reached(1, &good, 2));
    let (mut spool, resumed) = Spool::open(root.path(), Arc::clone(&reach), Begin::Start).unwrap();
    assert_eq!(resumed, Resumed::AsItWas);
    let (read, end) = seqs(&spool);
    assert_eq!(read, [0, 1]);
    // Until somebody says that these were delivered, they come again.
    assert_eq!(seqs(&spool).0, [0, 1]);
    spool.go_to(end.unwrap());
    assert_eq!(seqs(&spool), (Vec::new(), None));
    // What could not be written is written again at its place; then the segment is full, and the next one has begun.
    let more = good.clone() + &line(2, "checkpoint") + &line(3, "call");
    let next = line(4, "call");
    fs::write(&first, &more).unwrap();
    fs::write(&second, next.clone() + "{\"v\":1,\"type\":\"ca").unwrap();
    reach.come_to(reached(2, &next, 5));
    assert_eq!(spool.bytes_behind(&spool.at()), (more.len() - good.len() + next.len()) as u64);
    let (read, end) = seqs(&spool);
    assert_eq!(read, [3, 4]);
    let at = end.unwrap();
    assert_eq!((at.segment, at.offset, at.seq), (2, next.len() as u64, 5));
    assert_eq!(at.before, Hash::of(&[next.trim_end().as_bytes()]));
    spool.go_to(at);
    assert_eq!(seqs(&spool), (Vec::new(), None));
}

#[test]
fn what_is_no_record_and_what_is_missing_is_counted_and_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let reach = Arc::new(Reach::new(true));
    // Bytes that are no text, a line that is no record, one that stands in the wrong place, half a record at the end of a segment that
    // is over, and a segment that somebody took away.
    let mut odd = line(0, "start").into_bytes();
    odd.extend_from_slice(b"\xff\xfe\nnonsense\n");
    odd.extend_from_slice(
        (line(1, "call") + &line(0, "call") + line(2, "call").get(..50).unwrap()).as_bytes(),
    );
    fs::write(root.path().join("00000001.jsonl"), odd).unwrap();
    let last = line(7, "call");
    fs::write(root.path().join("00000003.jsonl"), &last).unwrap();
    reach.come_to(Reached { segment: 3, length: last.len() as u64, next: 8 });
    let (mut spool, _) = Spool::open(root.path(), reach, Begin::Start).unwrap();
    let stretch = spool.read((100, 1 << 20), |_| true).unwrap();
    assert_eq!((stretch.lines.len(), stretch.unreadable, stretch.missing), (3, 2, 5));
    spool.go_to(stretch.end.unwrap());
    assert_eq!(seqs(&spool), (Vec::new(), None));
}

#[test]
fn a_stretch_has_at_least_one_record_and_ends_at_its_bounds() {
    let root = tempfile::tempdir().unwrap();
    let reach = Arc::new(Reach::new(true));
    let text: String = (0..2000).map(|seq| line(seq, "call")).collect();
    fs::write(root.path().join("00000001.jsonl"), &text).unwrap();
    reach.come_to(Reached { segment: 1, length: text.len() as u64, next: 2000 });
    for (bounds, expected) in [((1, 1), 1), ((100, 1), 1), ((7, 1 << 30), 7), ((5000, 1 << 30), 2000)] {
        let (mut spool, _) = Spool::open(root.path(), Arc::clone(&reach), Begin::Start).unwrap();
        let mut all = Vec::new();
        while let Some(end) = {
            let stretch = spool.read(bounds, |_| true).unwrap();
            assert!(stretch.end.is_none() || stretch.lines.len() <= expected);
            all.extend(stretch.lines);
            stretch.end
        } {
            spool.go_to(end);
        }
        assert!(all.iter().enumerate().all(|(at, found)| *found == line(at as u64, "call").trim_end()));
        assert_eq!(all.len(), 2000);
    }
}

/// Records in a row, each of which follows the one before it.
fn chain(seqs: std::ops::Range<u64>) -> Vec<String> {
    let mut prev = Hash::of(&[b"before"]);
    let mut lines = Vec::new();
    for seq in seqs {
        let text = line(seq, "call").replace(&"0".repeat(64), &prev.to_string());
        prev = Hash::of(&[text.trim_end().as_bytes()]);
        lines.push(text);
    }
    lines
}

#[test]
fn a_line_that_says_that_others_are_lacking_silences_none() {
    let root = tempfile::tempdir().unwrap();
    let real = chain(0..6);
    let follows = chain(4..6);
    for (forged, read, unreadable) in [
        (line(u64::MAX, "call"), vec![0, 1, 2, 3, 4, 5], 1),
        (line(6, "call"), vec![0, 1, 2, 3, 4, 5], 1),
        (line(5, "call"), vec![0, 1, 2, 3, 4, 5], 1),
        (line(5, "call") + "nonsense\n", vec![0, 1, 2, 3, 4, 5], 2),
        // Even two that fit each other: they are seen, and so is what they would have hidden.
        (follows.concat(), vec![0, 1, 4, 5, 2, 3, 4, 5], 0),
    ] {
        let text = real[..2].concat() + &forged + &real[2..].concat();
        fs::write(root.path().join("00000001.jsonl"), &text).unwrap();
        let reach = Arc::new(Reach::new(true));
        reach.come_to(Reached { segment: 1, length: text.len() as u64, next: 6 });
        for most in [1, 100] {
            let (mut spool, _) = Spool::open(root.path(), Arc::clone(&reach), Begin::Start).unwrap();
            let (mut seqs, mut bad) = (Vec::new(), 0);
            while let Some(end) = {
                let stretch = spool.read((most, 1 << 20), |_| true).unwrap();
                let seq = |line: &String| ledger::line::Head::read(line).unwrap().seq;
                seqs.extend(stretch.lines.iter().map(seq));
                bad += stretch.unreadable;
                stretch.end
            } {
                spool.go_to(end);
            }
            if most == 1 && unreadable == 0 {
                continue;
            }
            assert_eq!((&seqs, bad), (&read, unreadable), "{forged} {most}");
        }
    }
}

#[test]
fn what_is_behind_a_damaged_record_is_delivered_when_another_one_follows() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("00000001.jsonl");
    let real = chain(0..5);
    let damaged = real[..2].concat() + "damaged\n" + &real[3];
    let reach = Arc::new(Reach::new(true));
    let come_to = |text: &str, next| {
        fs::write(&path, text).unwrap();
        reach.come_to(Reached { segment: 1, length: text.len() as u64, next });
    };
    come_to(&damaged, 4);
    let (mut spool, _) = Spool::open(root.path(), Arc::clone(&reach), Begin::Start).unwrap();
    let (read, end) = seqs(&spool);
    assert_eq!(read, [0, 1]);
    spool.go_to(end.unwrap());
    assert_eq!(seqs(&spool), (Vec::new(), None));
    come_to(&(damaged + &real[4]), 5);
    let stretch = spool.read((100, 1 << 20), |_| true).unwrap();
    assert_eq!(
        (stretch.lines, stretch.missing),
        (vec![real[3].trim_end().to_owned(), real[4].trim_end().to_owned()], 1)
    );
}

#[test]
fn who_began_with_what_comes_next_goes_on_there() {
    let root = tempfile::tempdir().unwrap();
    let (path, real) = (root.path().join("00000001.jsonl"), chain(0..4));
    let text = real[..2].concat();
    fs::write(&path, &text).unwrap();
    let reach = Arc::new(Reach::new(true));
    let now = Reached { segment: 1, length: text.len() as u64, next: 2 };
    reach.come_to(now);
    let (spool, _) = Spool::open(root.path(), Arc::clone(&reach), Begin::After(now)).unwrap();
    let text = real.concat();
    fs::write(&path, &text).unwrap();
    reach.come_to(Reached { segment: 1, length: text.len() as u64, next: 4 });
    let (spool, resumed) = Spool::open(root.path(), reach, Begin::At(spool.at())).unwrap();
    assert_eq!((resumed, seqs(&spool).0), (Resumed::AsItWas, vec![2, 3]));
}
