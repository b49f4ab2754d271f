//! What ledgers have signed is kept as it was first seen.

use std::time::Duration;

use crate::stand::{Stand, on_both};

on_both!(the_first_of_a_place_stays, they_are_given_in_pages, what_is_old_is_forgotten);

async fn the_first_of_a_place_stays(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    assert_eq!(ours.last_checkpoint("web-1").await.unwrap(), None);
    for (replica, seq, line) in [("web-1", 7, "seven"), ("web-1", 9, "nine"), ("web-2", 20, "twenty")] {
        ours.keep_checkpoint(replica, seq, line).await.unwrap();
    }
    theirs.keep_checkpoint("web-1", 7, "another").await.unwrap();
    assert_eq!(theirs.last_checkpoint("web-1").await.unwrap(), Some(9));
    let later = theirs.checkpoints_time().await.unwrap() + 60_000;
    let all = theirs.checkpoints(later, ("", -1), 10).await.unwrap();
    let lines: Vec<_> = all.iter().map(|one| (one.replica.as_str(), one.seq, one.line.as_str())).collect();
    assert_eq!(lines, [("web-1", 7, "seven"), ("web-1", 9, "nine"), ("web-2", 20, "twenty")]);
    assert_eq!(
        theirs.checkpoints(0, ("", -1), 10).await.unwrap(),
        [],
        "what was kept since is not looked at"
    );
}

async fn they_are_given_in_pages(stand: &Stand) {
    let ours = stand.open().await;
    for seq in 0..50 {
        ours.keep_checkpoint(["a", "a-2", "b"][seq as usize % 3], seq, "line").await.unwrap();
    }
    let later = ours.checkpoints_time().await.unwrap() + 60_000;
    let (mut behind, mut seen) = ((String::new(), -1), 0);
    loop {
        let page = ours.checkpoints(later, (&behind.0, behind.1), 7).await.unwrap();
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        assert!(page.is_sorted_by_key(|one| (one.replica.clone(), one.seq)));
        behind = (last.replica.clone(), last.seq);
        seen += page.len();
    }
    assert_eq!(seen, 50);
}

/// Each replica has a time of its own for which it keeps what it has, and the last one of each stays.
async fn what_is_old_is_forgotten(stand: &Stand) {
    let ours = stand.open().await;
    for (replica, seq) in [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)] {
        ours.keep_checkpoint(replica, seq, "line").await.unwrap();
    }
    let left = async || {
        let later = ours.checkpoints_time().await.unwrap() + 60_000;
        let all = ours.checkpoints(later, ("", -1), 10).await.unwrap();
        all.into_iter().map(|one| format!("{}{}", one.replica, one.seq)).collect::<Vec<_>>().join(" ")
    };
    ours.forget_checkpoints("a", Duration::from_secs(3600)).await.unwrap();
    assert_eq!(left().await, "a1 a2 a3 b1 b2");
    let begun = ours.checkpoints_time().await.unwrap();
    while ours.checkpoints_time().await.unwrap() == begun {}
    ours.forget_checkpoints("a", Duration::ZERO).await.unwrap();
    assert_eq!(left().await, "a3 b1 b2");
}
