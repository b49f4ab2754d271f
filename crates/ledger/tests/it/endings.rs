//! However a process ends, its ledger goes on, and what was accepted is in it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use base::plan::audit::{Durability, OnFull};
use base::sink::{Accept, Sink as _, Untaken};
use ledger::chain::Chain;

use crate::stand::{Stand, call, facts};

/// Waits for something that a thread does.
pub(crate) async fn soon(what: impl Fn() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not come");
}

#[tokio::test]
async fn a_torn_record_is_cut_off_and_told() {
    let mut stand = Stand::new();
    stand.plan.segment_bytes = 1024 * 1024;
    stand.session("one", 3).await;
    let path = stand.segments("one")[0].clone();
    let whole = fs::read(&path).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&whole[..100]).unwrap();
    let report = stand.verify();
    assert!(
        report.bad.is_empty() && report.replicas[0].notes[0].contains("not whole (100 bytes)"),
        "{report:?}"
    );
    stand.session("one", 3).await;
    let report = stand.verify();
    assert!(report.bad.is_empty(), "{report:?}");
    assert!(report.replicas[0].notes[0].contains("was killed while it wrote"), "{report:?}");
    assert!(fs::read_to_string(&path).unwrap().contains("\"torn\":100"));
    assert_eq!(report.replicas[0].unsigned, 0);
}

#[tokio::test]
async fn a_segment_that_was_only_begun_is_gone_on_with() {
    let stand = Stand::new();
    stand.session("one", 3).await;
    fs::write(stand.directory().join("one/00000002.jsonl"), "").unwrap();
    assert_eq!(stand.bad(), None);
    stand.session("one", 3).await;
    let report = stand.verify();
    assert!(report.bad.is_empty() && report.replicas[0].segments == 2, "{report:?}");
}

#[tokio::test]
async fn what_is_no_record_is_left_for_who_looks() {
    let stand = Stand::new();
    stand.session("one", 3).await;
    let path = stand.segments("one")[0].clone();
    let mut text = fs::read(&path).unwrap();
    text.extend_from_slice(b"nonsense\n");
    fs::write(&path, &text).unwrap();
    stand.session("one", 3).await;
    assert_eq!(fs::read(&path).unwrap(), text);
    let bad = stand.bad().unwrap();
    assert_eq!((bad.line, bad.why.as_str()), (7, "this is no record of a ledger, or it was altered"));
}

#[tokio::test]
async fn two_processes_write_two_chains() {
    let stand = Stand::new();
    let (one, two) = (stand.open("host"), stand.open("host"));
    assert_eq!((one.replica(), two.replica()), ("host", "host-2"));
    for number in 0..10 {
        call(&one, number).await;
        call(&two, number).await;
    }
    one.close().await;
    two.close().await;
    let report = stand.verify();
    assert!(report.bad.is_empty() && report.replicas.len() == 2, "{report:?}");
    assert_eq!(report.replicas[0].records, 13, "start, calls, end, checkpoint");
}

#[tokio::test]
async fn what_is_accepted_is_in_the_file() {
    for durability in [Durability::Process, Durability::Disk] {
        let mut stand = Stand::new();
        stand.plan.durability = durability;
        let ledger = stand.open("one");
        for number in 0..20 {
            call(&ledger, number).await;
            let name = format!("alice-{number}\\\"");
            let files = stand.files();
            assert!(files.values().any(|bytes| String::from_utf8_lossy(bytes).contains(&name)), "{name}");
        }
        ledger.close().await;
        assert_eq!(stand.bad(), None);
    }
}

#[tokio::test]
async fn many_at_once_are_all_written() {
    let stand = std::sync::Arc::new(Stand::new());
    let ledger = stand.open("one");
    let mut waiting = Vec::new();
    for number in 0..500 {
        if let Accept::Later(taken) = ledger.accept(&facts(number)) {
            waiting.push(taken);
        }
    }
    for taken in waiting {
        taken.await.unwrap();
    }
    ledger.close().await;
    let report = stand.verify();
    assert!(report.bad.is_empty(), "{report:?}");
    let calls: usize = stand
        .files()
        .values()
        .map(|bytes| String::from_utf8_lossy(bytes).matches("\"type\":\"call\"").count())
        .sum();
    assert_eq!(calls, 500);
    let Accept::Later(taken) = ledger.accept(&facts(1)) else { panic!("it is not written") };
    assert_eq!(taken.await, Err(Untaken), "after the end nothing is answered without its record");
    assert!(ledger.refuse());
}

/// The directory is gone, as when a disk is unmounted; then it is there again.
#[tokio::test]
async fn without_a_disk_calls_are_refused_until_it_is_back() {
    let stand = Stand::new();
    let ledger = stand.open("one");
    call(&ledger, 0).await;
    assert!(!ledger.refuse() && ledger.amiss().is_none() && ledger.guards());
    let (there, away) = (stand.directory().join("one"), stand.directory().with_extension("away"));
    fs::rename(&there, &away).unwrap();
    fs::remove_file(away.join("00000001.jsonl")).unwrap();
    let Accept::Later(taken) = ledger.accept(&facts(1)) else { panic!("it is to be waited for") };
    soon(|| ledger.amiss().is_some()).await;
    assert!(ledger.amiss().unwrap().contains("No such file"), "{:?}", ledger.amiss());
    assert!(ledger.refuse() && ledger.refuse());
    fs::rename(&away, &there).unwrap();
    taken.await.unwrap();
    soon(|| ledger.amiss().is_none()).await;
    assert!(!ledger.refuse());
    call(&ledger, 2).await;
    ledger.close().await;
    let text: String =
        stand.files().values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert!(text.contains("alice-1\\\"") && text.contains("\"lost\":0,\"refused\":2,"), "{text}");
    let bad = stand.bad().unwrap();
    assert!(bad.why.contains("missing"), "that the first segment is gone is found out: {}", bad.why);
}

#[tokio::test]
async fn a_caller_is_told_that_there_is_no_record() {
    let stand = Stand::new();
    let ledger = stand.open("one");
    fs::remove_dir_all(stand.directory()).unwrap();
    let Accept::Later(taken) = ledger.accept(&facts(1)) else { panic!("it is to be waited for") };
    soon(|| ledger.amiss().is_some()).await;
    assert_eq!(taken.await, Err(Untaken));
    ledger.close().await;
}

#[tokio::test]
async fn where_that_is_wanted_calls_go_on_and_the_gap_is_told() {
    let mut stand = Stand::new();
    stand.plan.on_full = OnFull::Drop;
    let ledger = stand.open("one");
    let (there, away) = (stand.directory().join("one"), stand.directory().with_extension("away"));
    fs::rename(&there, &away).unwrap();
    fs::remove_file(away.join("00000001.jsonl")).unwrap();
    assert!(!ledger.guards());
    let Accept::Later(taken) = ledger.accept(&facts(0)) else { panic!("nobody knows yet") };
    soon(|| ledger.amiss().is_some()).await;
    assert_eq!(taken.await, Ok(()), "no call fails over it");
    assert!(
        matches!(ledger.accept(&facts(1)), Accept::Now) && matches!(ledger.accept(&facts(2)), Accept::Now)
    );
    fs::rename(&away, &there).unwrap();
    soon(|| ledger.amiss().is_none()).await;
    call(&ledger, 3).await;
    ledger.close().await;
    let text: String =
        stand.files().values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert!(text.contains("\"lost\":2,\"refused\":0,\"since\":"), "{text}");
}

#[tokio::test]
async fn what_is_too_old_is_deleted_and_the_gap_is_signed() {
    let mut stand = Stand::new();
    stand.session("one", 60).await;
    let before = stand.segments("one").len();
    assert!(before > 2);
    // Everything but the last segment is older than nothing.
    stand.plan.keep = Some(Duration::ZERO);
    stand.session("one", 1).await;
    let left = stand.segments("one");
    assert!(left.len() <= 2, "{left:?}");
    let report = stand.verify();
    assert!(report.bad.is_empty(), "{report:?}");
    assert!(report.replicas[0].notes.iter().any(|note| note.contains("a segment was deleted")), "{report:?}");
    // Who deletes more than that is found out.
    stand.plan.keep = None;
    stand.session("one", 60).await;
    assert_eq!(stand.bad(), None);
    fs::remove_file(&stand.segments("one")[0]).unwrap();
    assert!(stand.bad().unwrap().why.contains("no signed record says"), "{:?}", stand.bad());
}

#[tokio::test]
async fn a_clock_that_goes_back_is_noted() {
    #[derive(Debug)]
    struct Back(std::sync::atomic::AtomicU64);
    impl base::clock::Clock for Back {
        fn now(&self) -> SystemTime {
            let seconds = self.0.fetch_sub(1000, std::sync::atomic::Ordering::Relaxed);
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        }
    }
    let stand = Stand::new();
    let clock = std::sync::Arc::new(Back(2_000_000_000.into()));
    let who = ledger::Who { name: "one", version: "1" };
    let ledger = ledger::Ledger::open(
        &stand.plan,
        who,
        std::sync::Arc::clone(&stand.key),
        (clock, Default::default()),
    )
    .unwrap();
    call(&ledger, 0).await;
    ledger.close().await;
    let report = stand.verify();
    assert!(
        report.bad.is_empty() && report.replicas[0].notes[0].contains("the clock went back"),
        "{report:?}"
    );
}

/// Whoever computes a chain anew and has no key cannot sign it, and needs no witness to be found out.
#[tokio::test]
async fn a_long_chain_that_nobody_signed_is_none() {
    let stand = Stand::new();
    stand.session("one", 1).await;
    let path = stand.segments("one").remove(0);
    for (records, is_good) in [(8_000, true), (9_000, false)] {
        let (mut chain, mut bytes) = (Chain::new("one"), Vec::new());
        for number in 0..records {
            let body = format!(r#","outcome":"ok","number":{number}"#);
            chain.record(
                &mut bytes,
                ("call", SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)),
                &body,
            );
        }
        fs::write(&path, &bytes).unwrap();
        fs::write(stand.witness(), "").unwrap();
        let bad = stand.bad();
        assert_eq!(bad.is_none(), is_good, "{bad:?}");
        assert!(bad.is_none_or(|bad| bad.why.contains("nobody has signed")));
    }
}

/// A witness on a disk that was full for a moment.
#[tokio::test]
async fn what_is_torn_in_the_witness_says_nothing() {
    let stand = Stand::new();
    stand.session("one", 1).await;
    let line = fs::read_to_string(stand.witness()).unwrap();
    let mut file = OpenOptions::new().append(true).open(stand.witness()).unwrap();
    file.write_all(&line.as_bytes()[..100]).unwrap();
    drop(file);
    stand.session("one", 1).await;
    assert_eq!(stand.bad(), None);
    let text = fs::read_to_string(stand.witness()).unwrap();
    assert!(text.lines().count() > 2 && text.ends_with('\n'), "{text}");
}

/// A segment that was made, and then something else failed.
#[tokio::test]
async fn an_empty_segment_is_gone_on_with() {
    let stand = Stand::new();
    stand.session("one", 60).await;
    let last = stand.segments("one").len();
    let ledger = stand.open("one");
    for number in 1..3 {
        fs::write(stand.directory().join(format!("one/{:08}.jsonl", last + number)), "").unwrap();
    }
    for number in 0..80 {
        call(&ledger, number).await;
    }
    ledger.close().await;
    assert_eq!(stand.bad(), None);
}
