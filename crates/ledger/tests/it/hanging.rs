//! A disk or a witness that does not answer counts as one that fails.

use std::sync::Arc;
use std::time::Duration;

use base::plan::audit::OnFull;
use base::sink::{Accept, Sink as _};
use ledger::{Ground, Ledger};

use crate::endings::soon;
use crate::mediums::{Door, Friend, Hanging};
use crate::stand::{Stand, call, facts};

/// No test waits for two seconds.
const PATIENCE: Duration = Duration::from_millis(40);

fn behind(stand: &Stand) -> (Arc<Ledger>, Arc<Door>) {
    let door = Arc::new(Door::default());
    let medium = Arc::new(Hanging(Arc::clone(&door)));
    (stand.open_on("one", Ground { medium, patience: PATIENCE, ..Ground::default() }), door)
}

#[tokio::test]
async fn a_disk_that_hangs_is_one_that_fails() {
    let stand = Stand::new();
    let (ledger, door) = behind(&stand);
    call(&ledger, 0).await;
    assert!(!ledger.refuse() && ledger.amiss().is_none());
    door.shut(true);
    let Accept::Later(taken) = ledger.accept(&facts(1)) else { panic!("it is to be waited for") };
    soon(|| ledger.amiss().is_some()).await;
    let why = ledger.amiss().unwrap();
    assert!(why.starts_with("its disk has not answered for "), "{why}");
    assert!(ledger.refuse(), "what cannot be written is not begun");
    door.shut(false);
    taken.await.unwrap();
    soon(|| ledger.amiss().is_none()).await;
    assert!(!ledger.refuse());
    call(&ledger, 2).await;
    ledger.close().await;
    assert_eq!(stand.bad(), None);
    let text = stand.text();
    assert!(text.contains("alice-1\\\"") && text.contains("\"lost\":0,\"refused\":1,"), "{text}");
}

#[tokio::test]
async fn where_that_is_wanted_calls_go_on_while_it_hangs() {
    let mut stand = Stand::new();
    stand.plan.on_full = OnFull::Drop;
    let (ledger, door) = behind(&stand);
    door.shut(true);
    let Accept::Later(taken) = ledger.accept(&facts(0)) else { panic!("nobody knows yet") };
    soon(|| ledger.amiss().is_some()).await;
    assert_eq!(taken.await, Ok(()));
    assert!(matches!(ledger.accept(&facts(1)), Accept::Now));
    door.shut(false);
    soon(|| ledger.amiss().is_none()).await;
    // Nothing else comes, and yet it is told.
    soon(|| stand.text().contains("\"lost\":1,\"refused\":0,")).await;
    ledger.close().await;
    assert_eq!(stand.bad(), None);
}

#[tokio::test]
async fn a_witness_that_cannot_be_read_stops_nothing() {
    let mut stand = Stand::new();
    stand.plan.witness = Some(stand.directory().to_owned());
    let metrics: Arc<base::metrics::Metrics> = Arc::default();
    let ledger = stand.open_with("one", &metrics, Ground::default());
    assert!(metrics.text().contains("audit_witness_away{witness=\"file\"} 1"), "{}", metrics.text());
    call(&ledger, 0).await;
    ledger.close().await;
}

#[tokio::test]
async fn a_process_that_ends_does_not_wait_for_it() {
    let stand = Stand::new();
    let (ledger, door) = behind(&stand);
    door.shut(true);
    tokio::time::pause();
    ledger.close().await;
    door.shut(false);
}

#[tokio::test]
async fn a_witness_that_hangs_or_fails_stops_nothing() {
    let mut stand = Stand::new();
    stand.plan.witness = None;
    stand.plan.segment_bytes = 1024;
    let friend = Friend::default();
    friend.door.shut(true);
    let elsewhere = vec![Box::new(friend.clone()) as _];
    let metrics: Arc<base::metrics::Metrics> = Arc::default();
    let ground = Ground { elsewhere, patience: PATIENCE, ..Ground::default() };
    let ledger = stand.open_with("one", &metrics, ground);
    let is_away =
        |away: u8| metrics.text().contains(&format!("audit_witness_away{{witness=\"friend\"}} {away}"));
    soon(|| is_away(1)).await;
    for number in 0..20 {
        call(&ledger, number).await;
        assert!(!ledger.refuse() && ledger.amiss().is_none());
    }
    assert_eq!(friend.heard.lock().unwrap().len(), 0);
    *friend.fails.lock().unwrap() = true;
    friend.door.shut(false);
    call(&ledger, 20).await;
    assert!(is_away(1));
    *friend.fails.lock().unwrap() = false;
    soon(|| is_away(0)).await;
    ledger.close().await;
    // What it has missed it has heard, in order, and the last of all.
    let heard = friend.heard.lock().unwrap().clone();
    let text = stand.text();
    let ours: Vec<_> =
        text.split_inclusive('\n').filter(|line| line.contains("\"type\":\"checkpoint\"")).collect();
    assert!(ours.len() > 4 && heard == ours, "{} {}", ours.len(), heard.len());
}
