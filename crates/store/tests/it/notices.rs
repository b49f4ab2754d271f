//! Notices reach every subscriber, or it hears that it has missed some.

use store::notices::{Heard, NOTICE_BYTES, Notice, Notices};
use testkit::soon;

use crate::stand::{Stand, on_both};

on_both!(
    a_subscriber_hears_what_is_published_after_its_first_word,
    who_is_too_slow_hears_that_it_missed_some,
    a_notice_is_short,
);

pub(crate) async fn heard(notices: &mut Notices) -> Heard {
    soon("a notice", notices.next()).await.unwrap()
}

pub(crate) fn notice(topic: &str, id: &str) -> Heard {
    Heard::Notice(Notice { topic: topic.to_owned(), id: id.to_owned() })
}

async fn a_subscriber_hears_what_is_published_after_its_first_word(stand: &Stand) {
    let ours = stand.open().await;
    // Between processes of one machine, nothing is heard: each looks at the file.
    let theirs = stand.open().await;
    let publisher = if matches!(stand, Stand::Sqlite(_)) { &ours } else { &theirs };
    let mut first = ours.subscribe().await;
    assert_eq!(heard(&mut first).await, Heard::Missed);
    let mut second = ours.subscribe().await;
    assert_eq!(heard(&mut second).await, Heard::Missed, "whoever comes later may have missed some, too");
    for id in ["one", "two\nlines", ""] {
        publisher.publish("keys", id).await.unwrap();
    }
    for notices in [&mut first, &mut second] {
        for id in ["one", "two\nlines", ""] {
            assert_eq!(heard(notices).await, notice("keys", id));
        }
    }
    drop(ours);
    assert_eq!(soon("the end", first.next()).await, None);
}

async fn who_is_too_slow_hears_that_it_missed_some(stand: &Stand) {
    let store = stand.open().await;
    let (mut slow, mut quick) = (store.subscribe().await, store.subscribe().await);
    assert_eq!(heard(&mut slow).await, Heard::Missed);
    assert_eq!(heard(&mut quick).await, Heard::Missed);
    for number in 0..1500 {
        store.publish("t", &number.to_string()).await.unwrap();
        assert_eq!(heard(&mut quick).await, notice("t", &number.to_string()));
    }
    assert_eq!(heard(&mut slow).await, Heard::Missed);
    let Heard::Notice(next) = heard(&mut slow).await else { panic!("missed twice") };
    let first: u32 = next.id.parse().unwrap();
    for number in first + 1..1500 {
        assert_eq!(heard(&mut slow).await, notice("t", &number.to_string()));
    }
}

async fn a_notice_is_short(stand: &Stand) {
    let store = stand.open().await;
    let mut notices = store.subscribe().await;
    assert_eq!(heard(&mut notices).await, Heard::Missed);
    assert!(store.publish("t", &"x".repeat(NOTICE_BYTES)).await.is_err());
    assert!(store.publish("t\n", "x").await.is_err());
    let longest = "x".repeat(NOTICE_BYTES - 1);
    store.publish("t", &longest).await.unwrap();
    assert_eq!(heard(&mut notices).await, notice("t", &longest));
}
