//! What is delivered, whatever becomes of the receiver, of this process and of the ledger's files.

use std::fs;

use base::plan::audit::OnFull;
use base::plan::feed::RecordTypes;
use base::sink::{Event, Sink as _};

use crate::server::Server;
use crate::stand::{Stand, lines_to};

fn ok() -> (u16, String) {
    (200, String::new())
}

/// Follows what comes in order: each once, or again from a place that had come.
#[derive(Default, Debug)]
struct Order {
    next: u64,
    again: u64,
}

impl Order {
    fn came(&mut self, seqs: &[u64]) {
        for seq in seqs {
            assert!(*seq <= self.next, "{seq} came, and {} did not", self.next);
            self.again += u64::from(*seq < self.next);
            self.next = self.next.max(*seq + 1);
        }
    }
}

#[tokio::test]
async fn all_is_delivered_in_order_and_the_end_too() {
    let (stand, server) = (Stand::new(), Server::new(|_| ok()));
    let mut sink = lines_to(server.address);
    sink.types = RecordTypes::All;
    let open = stand.open(&[sink]);
    open.calls(200).await;
    open.end().await;
    let mut order = Order::default();
    let mut last = String::new();
    server.until(|came| {
        order.came(&came.seqs());
        assert!(
            came.headers.contains("content-type: application/x-ndjson") && came.path == "/in",
            "{came:?}"
        );
        last = came.body.clone();
        came.body.contains("\"type\":\"end\"")
    });
    assert!(last.contains("\"type\":\"checkpoint\"") && order.again == 0 && order.next > 200);
    stand.is_good();
    assert!(fs::read_dir(stand.chain()).unwrap().count() > 5, "over many segments");
    assert_eq!(stand.metric("sink_delivered_total"), order.next);
    assert_eq!(stand.metric("sink_behind_records"), 0);
}

#[tokio::test]
async fn what_was_not_delivered_is_when_the_process_begins_again() {
    let (stand, server) = (Stand::new(), Server::new(|_| (503, String::new())));
    let mut sink = lines_to(server.address);
    sink.types = RecordTypes::All;
    let open = stand.open(std::slice::from_ref(&sink));
    open.calls(100).await;
    server.next();
    // Nobody waits for the receiver: as if the process had been killed.
    drop(open.feed);
    drop(open.ledger);
    server.answer(|_| ok());
    stand.until_lock_is_free().await;
    let open = stand.open(&[sink]);
    let mut order = Order::default();
    server.until(|came| {
        order.came(&came.seqs());
        order.next >= 100
    });
    open.end().await;
    stand.is_good();
}

#[tokio::test]
async fn a_new_sink_begins_now_or_at_the_start_and_has_its_types_only() {
    let (stand, server) = (Stand::new(), Server::new(|_| ok()));
    stand.open(&[]).end().await;
    let (mut now, mut start) = (lines_to(server.address), lines_to(server.address));
    (now.from_start, now.name) = (false, "now".to_owned());
    (start.name, start.types) = ("start".to_owned(), RecordTypes::These(vec!["start".to_owned()]));
    let open = stand.open(&[now, start]);
    let first = server.next();
    assert_eq!((first.body.matches("\"type\":\"start\"").count(), first.body.lines().count()), (2, 2));
    open.calls(1).await;
    let next = server.next();
    assert!(next.body.contains("alice-0") && next.body.lines().count() == 1, "{next:?}");
    open.end().await;
}

#[tokio::test]
async fn what_is_refused_is_found_by_halves_and_kept_and_what_is_too_large_is_made_smaller() {
    let (stand, server) = (Stand::new(), Server::new(|_| (503, String::new())));
    let open = stand.open(&[lines_to(server.address)]);
    open.calls(60).await;
    server.next();
    server.answer(|came| {
        if came.body.lines().count() > 20 {
            (413, "less".to_owned())
        } else if came.body.contains("alice-7\\") || came.body.contains("alice-33\\") {
            (400, "not <this>\n one".to_owned())
        } else {
            ok()
        }
    });
    stand.until_metric("sink_behind_records", |records| records == 0).await;
    assert_eq!(stand.metric("sink_rejected_total"), 2);
    let rejected = fs::read_to_string(stand.chain().join("sink-x.rejected.jsonl")).unwrap();
    assert!(
        rejected.lines().count() == 2 && rejected.contains("it answers 400: not <this> one"),
        "{rejected}"
    );
    assert!(rejected.contains("alice-7\\") && rejected.contains("alice-33\\"));
    open.end().await;
    stand.is_good();
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_loses_nothing() {
    let (stand, server) = (Stand::new(), Server::new(|_| (400, String::new())));
    let open = stand.open(&[lines_to(server.address)]);
    open.calls(60).await;
    stand.until_metric("sink_failures_total{sink=\"x\",cause=\"refused\"}", |failures| failures > 20).await;
    // A few are left out before it is clear that nothing is taken; these are kept.
    assert_eq!(stand.metric("sink_rejected_total"), 8);
    let rejected = fs::read_to_string(stand.chain().join("sink-x.rejected.jsonl")).unwrap();
    assert_eq!(rejected.lines().count(), 8);
    server.answer(|_| ok());
    stand.until_metric("sink_behind_records", |records| records == 0).await;
    assert_eq!(stand.metric("sink_rejected_total"), 8);
    open.end().await;
}

#[tokio::test]
async fn what_waits_too_long_is_passed_over_and_the_ledger_says_so() {
    let (stand, server) = (Stand::new(), Server::new(|_| (503, "retry-after: 1\r\n\r\n".to_owned())));
    let mut sink = lines_to(server.address);
    sink.spool = 20_000;
    let open = stand.open(&[sink]);
    open.calls(150).await;
    stand.until_metric("sink_dropped_total", |dropped| dropped > 0).await;
    stand.until_metric("sink_behind_bytes", |bytes| bytes <= 20_000).await;
    server.answer(|_| ok());
    let mut said = String::new();
    server.until(|came| {
        said += &came.body;
        said.contains("\"type\":\"sink\"")
    });
    assert!(said.contains("\"sink\":\"x\",\"outcome\":\"skipped\",\"records\":\""), "{said}");
    open.end().await;
    stand.is_good();
}

#[tokio::test]
async fn where_nothing_is_to_be_lost_calls_are_refused_until_there_is_room() {
    let (stand, server) = (Stand::new(), Server::new(|_| (503, String::new())));
    let mut sink = lines_to(server.address);
    (sink.spool, sink.on_full, sink.types) = (20_000, OnFull::Refuse, RecordTypes::All);
    let open = stand.open(&[sink]);
    let gate = open.feed.gate().unwrap();
    assert!(gate.guards() && !gate.refuse() && gate.amiss().is_none());
    open.calls(150).await;
    let until = |is: bool| {
        let gate = &gate;
        async move {
            while gate.refuse() != is {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), until(true)).await.unwrap();
    assert!(gate.amiss().unwrap().contains("waits for sink \"x\""));
    server.answer(|_| ok());
    tokio::time::timeout(std::time::Duration::from_secs(60), until(false)).await.unwrap();
    assert_eq!((gate.amiss(), stand.metric("sink_dropped_total")), (None, 0));
    open.end().await;
    let mut order = Order::default();
    server.until(|came| {
        order.came(&came.seqs());
        came.body.contains("\"type\":\"end\"")
    });
}

#[tokio::test]
async fn a_chain_that_lost_its_end_goes_on_with_what_was_written_instead() {
    let (stand, server) = (Stand::new(), Server::new(|_| ok()));
    let sink = lines_to(server.address);
    let open = stand.open(std::slice::from_ref(&sink));
    open.calls(10).await;
    stand.until_delivered(11).await;
    drop((open.feed, open.ledger));
    stand.until_lock_is_free().await;
    // The power went: the last four records are lost, of which the receiver has heard, and half of another one is left.
    let mut segments: Vec<_> =
        fs::read_dir(stand.chain()).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.to_string_lossy().contains("/0000"));
    segments.sort();
    let path = segments.last().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let kept = lines[..lines.len() - 4].join("\n") + "\n" + lines[lines.len() - 4].get(..50).unwrap();
    fs::write(path, kept).unwrap();
    while server.came_by_now() {}
    let open = stand.open(&[sink]);
    let first = server.next();
    assert!(first.body.lines().next().unwrap().contains("\"type\":\"start\""), "{first:?}");
    open.calls(3).await;
    open.end().await;
    stand.is_good();
}

#[tokio::test]
async fn segments_that_are_waited_for_are_kept_and_lost_ones_are_counted() {
    let (mut stand, server) = (Stand::new(), Server::new(|_| (503, String::new())));
    let sink = lines_to(server.address);
    let open = stand.open(std::slice::from_ref(&sink));
    open.calls(100).await;
    server.next();
    drop((open.feed, open.ledger));
    stand.until_lock_is_free().await;
    // All of it is too old at once.
    stand.plan.keep = Some(std::time::Duration::ZERO);
    let first = stand.chain().join("00000001.jsonl");
    let open = stand.open(std::slice::from_ref(&sink));
    open.calls(1).await;
    assert!(first.exists());
    drop((open.feed, open.ledger));
    stand.until_lock_is_free().await;
    fs::remove_file(&first).unwrap();
    server.answer(|_| ok());
    let open = stand.open(&[sink]);
    stand.until_metric("sink_dropped_total", |dropped| dropped > 0).await;
    let mut said = String::new();
    server.until(|came| {
        said += &came.body;
        said.contains("\"outcome\":\"missing\"")
    });
    open.end().await;
}

#[tokio::test]
async fn a_sink_that_cannot_begin_is_seen_and_refuses_until_it_can() {
    let (stand, server) = (Stand::new(), Server::new(|_| ok()));
    stand.open(&[]).end().await;
    let cursor = stand.chain().join("sink-x.cursor");
    fs::create_dir(&cursor).unwrap();
    let mut sink = lines_to(server.address);
    sink.on_full = OnFull::Refuse;
    let open = stand.open(&[sink]);
    let gate = open.feed.gate().unwrap();
    stand.until_metric("sink_up", |up| up == 0).await;
    assert!(gate.refuse() && gate.amiss().unwrap().contains("sink \"x\""));
    fs::remove_dir(&cursor).unwrap();
    stand.until_metric("sink_up", |up| up == 1).await;
    assert!(!gate.refuse() && gate.amiss().is_none());
    open.end().await;
}

#[tokio::test]
async fn one_that_began_now_goes_on_where_it_began_and_never_gets_all_that_was_before() {
    let (stand, server) = (Stand::new(), Server::new(|_| (503, String::new())));
    stand.open(&[]).end().await;
    let mut sink = lines_to(server.address);
    sink.from_start = false;
    // Its receiver is away when it begins, and the process ends.
    let open = stand.open(std::slice::from_ref(&sink));
    open.calls(3).await;
    let first = server.next().seqs()[0];
    drop((open.feed, open.ledger));
    stand.until_lock_is_free().await;
    server.answer(|_| ok());
    while server.came_by_now() {}
    let open = stand.open(std::slice::from_ref(&sink));
    assert_eq!(server.next().seqs()[0], first);
    open.end().await;
    assert_eq!(stand.metric("sink_dropped_total"), 0);
    // A power cut has left nothing of its cursor.
    fs::write(stand.chain().join("sink-x.cursor"), "").unwrap();
    while server.came_by_now() {}
    let open = stand.open(&[sink]);
    open.calls(1).await;
    let came = server.next();
    assert!(came.seqs()[0] > first + 3 && !came.body.contains("alice-2\\"), "{came:?}");
    open.end().await;
}

#[tokio::test]
async fn what_nobody_wants_does_not_have_more_passed_over_than_must_be() {
    let (stand, server) = (Stand::new(), Server::new(|_| (503, String::new())));
    let mut sink = lines_to(server.address);
    (sink.spool, sink.types) = (30_000, RecordTypes::These(vec!["call".to_owned()]));
    let open = stand.open(&[sink]);
    for _ in 0..30 {
        open.calls(1).await;
        for _ in 0..4 {
            open.ledger.note(Event { kind: "pin", members: vec![("name", "x".repeat(300))] });
        }
    }
    open.calls(1).await;
    stand.until_metric("sink_dropped_total", |dropped| dropped > 0).await;
    stand.until_metric("sink_behind_bytes", |bytes| bytes <= 30_000).await;
    let dropped = stand.metric("sink_dropped_total");
    assert!(dropped < 25, "{dropped} of 31");
    server.answer(|_| ok());
    stand.until_metric("sink_delivered_total", |delivered| delivered == 31 - dropped).await;
    open.end().await;
}
