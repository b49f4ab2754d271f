//! What every store must do.
//!
//! Expiry is shown without waiting: what is kept for no time is gone at once, what is kept for an hour is there.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use store::Store;
use store::api_keys::ApiKeyFacts;
use store::keys::{Master, SharedKeysFault};
use store::limits::{Lease, Leased};
use store::pins::{MOST_TEXT, MOST_WAITING, Noted, StoredWaiting};
use store::replicas::{Beat, Registration};
use store::revocations::{API_KEYS, MOST_REVOCATIONS, Revoked};
use store::seal::turns::{self, KeyState, Rotation};
use store::seal::{Bound, Seal, SealFault};
use store::sessions::If;
use store::streams::{Appended, Event, Events, Kept};

use crate::stand::{Stand, on_both};

const HOUR: Duration = Duration::from_secs(3600);
const NO_TIME: Duration = Duration::ZERO;
const KEPT: Kept = Kept { events: 5, bytes: 100, time: HOUR };

on_both!(
    a_replica_lives_by_its_heartbeat,
    an_ended_session_is_ended_everywhere,
    facts_are_changed_by_one_at_a_time,
    facts_expire,
    one_of_many_wins_a_race,
    a_session_has_one_holder_until_that_one_is_dead,
    a_stream_gives_each_event_once_or_says_that_some_are_lost,
    a_stream_is_bounded,
    a_stream_ends_once,
    replicas_that_start_together_have_one_key,
    keys_are_rotated_for_all,
    keys_are_worthless_without_their_master,
    api_keys_are_good_until_they_are_taken_back,
    what_is_revoked_is_known_until_it_is_forgotten,
    only_so_much_can_be_revoked,
    replicas_are_given_no_more_of_a_rate_than_there_is,
    pins_are_changed_by_one_at_a_time,
    what_waits_is_noted_once_until_it_is_settled,
    what_a_server_makes_up_takes_no_place_of_what_is_pinned,
    what_has_expired_is_swept,
    what_was_acknowledged_is_there_when_it_is_opened_again,
    many_operations_at_once_are_all_answered,
);

fn registration(id: &str) -> Registration {
    Registration { id: id.to_owned(), version: "1".to_owned(), forward: None, facts: "{}".to_owned() }
}

async fn a_replica_lives_by_its_heartbeat(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let forward = Some("10.0.0.1:9000".to_owned());
    ours.register(&Registration { forward: forward.clone(), ..registration("a") }).await.unwrap();
    theirs.register(&registration("b")).await.unwrap();
    let living = ours.living(HOUR).await.unwrap();
    let ids: Vec<_> = living.iter().map(|replica| replica.said.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!((&living[0].said.forward, &living[1].said.forward), (&forward, &None));
    assert!(living[0].silent < HOUR && living[0].age < HOUR && living[0].started_at > 0);
    assert!(theirs.living(NO_TIME).await.unwrap().is_empty(), "a lease of no time");

    assert_eq!(ours.beat("a", "{}", HOUR).await.unwrap(), Beat::Alive);
    assert!(theirs.ask_to_drain("a").await.unwrap() && !theirs.ask_to_drain("c").await.unwrap());
    assert_eq!(ours.beat("a", "{}", HOUR).await.unwrap(), Beat::Drain);
    assert!(theirs.living(HOUR).await.unwrap()[0].draining);
    // Registering again is no way out of that.
    ours.register(&registration("a")).await.unwrap();
    assert_eq!(ours.beat("a", "{}", HOUR).await.unwrap(), Beat::Drain);

    // What it says of itself it says with each sign of life. One that comes after the lease is none.
    assert_eq!(ours.beat("a", r#"{"n":1}"#, HOUR).await.unwrap(), Beat::Drain);
    assert_eq!(theirs.living(HOUR).await.unwrap()[0].said.facts, r#"{"n":1}"#);
    assert_eq!(ours.beat("a", "{}", NO_TIME).await.unwrap(), Beat::Forgotten);
    // Nobody is buried who was heard of lately.
    assert!(!theirs.bury("a", HOUR).await.unwrap() && !theirs.bury("c", NO_TIME).await.unwrap());
    ours.register(&registration("d")).await.unwrap();
    assert!(theirs.bury("d", NO_TIME).await.unwrap());
    assert_eq!(ours.beat("d", "{}", HOUR).await.unwrap(), Beat::Forgotten);

    ours.leave("a").await.unwrap();
    assert_eq!(ours.beat("a", "{}", HOUR).await.unwrap(), Beat::Forgotten);
    assert_eq!(theirs.living(HOUR).await.unwrap().len(), 1);
}

async fn an_ended_session_is_ended_everywhere(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    assert!(!ours.session_ended("s").await.unwrap());
    ours.put_fact(("s", "level"), b"debug", HOUR, If::Any).await.unwrap().unwrap();
    ours.hold_session("s", "a", HOUR, HOUR).await.unwrap().unwrap();
    theirs.end_session("s", HOUR).await.unwrap();
    // To end it again, for a shorter time, changes nothing.
    theirs.end_session("s", NO_TIME).await.unwrap();
    assert!(ours.session_ended("s").await.unwrap() && !ours.session_ended("t").await.unwrap());
    assert_eq!(ours.fact(("s", "level")).await.unwrap(), None);
    assert!(ours.facts("s").await.unwrap().is_empty());
    assert_eq!(ours.holder("s").await.unwrap(), None);
    for only_if in [If::Any, If::Absent] {
        assert_eq!(ours.put_fact(("s", "level"), b"info", HOUR, only_if).await.unwrap(), None);
    }
    assert_eq!(ours.hold_session("s", "a", HOUR, HOUR).await.unwrap(), None);
    theirs.end_session("u", NO_TIME).await.unwrap();
    assert!(!ours.session_ended("u").await.unwrap(), "its id is good no longer, so nobody asks");
}

async fn facts_are_changed_by_one_at_a_time(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let name = ("s", "subscribed");
    assert_eq!(ours.fact(name).await.unwrap(), None);
    let first = ours.put_fact(name, b"1", HOUR, If::Absent).await.unwrap().unwrap();
    assert_eq!(theirs.put_fact(name, b"2", HOUR, If::Absent).await.unwrap(), None);
    let seen = theirs.fact(name).await.unwrap().unwrap();
    assert_eq!((seen.version, seen.value.as_slice()), (first, b"1".as_slice()));
    let second = theirs.put_fact(name, b"\0\xff", HOUR, If::Is(first)).await.unwrap().unwrap();
    assert_eq!(ours.put_fact(name, b"3", HOUR, If::Is(first)).await.unwrap(), None);
    assert_eq!(ours.fact(name).await.unwrap().unwrap().value, b"\0\xff");
    assert!(!ours.forget_fact(name, first).await.unwrap());
    assert!(ours.forget_fact(name, second).await.unwrap());
    // It is there again with the same value, and is still another.
    ours.put_fact(name, b"\0\xff", HOUR, If::Any).await.unwrap().unwrap();
    assert_eq!(ours.put_fact(name, b"4", HOUR, If::Is(second)).await.unwrap(), None);
    ours.put_fact(("s", "level"), b"", HOUR, If::Any).await.unwrap().unwrap();
    ours.put_fact(("t", "level"), b"x", HOUR, If::Any).await.unwrap().unwrap();
    let all = theirs.facts("s").await.unwrap();
    let all: Vec<_> = all.iter().map(|(name, fact)| (name.as_str(), fact.value.as_slice())).collect();
    assert_eq!(all, [("level", b"".as_slice()), ("subscribed", b"\0\xff")]);
}

async fn facts_expire(stand: &Stand) {
    let store = stand.open().await;
    let gone = store.put_fact(("s", "a"), b"x", NO_TIME, If::Any).await.unwrap().unwrap();
    assert_eq!(store.fact(("s", "a")).await.unwrap(), None);
    assert_eq!(store.put_fact(("s", "a"), b"y", HOUR, If::Is(gone)).await.unwrap(), None);
    // What has expired is not there, swept or not.
    store.put_fact(("s", "a"), b"z", HOUR, If::Absent).await.unwrap().unwrap();
    assert_eq!(store.fact(("s", "a")).await.unwrap().unwrap().value, b"z");
}

async fn one_of_many_wins_a_race(stand: &Stand) {
    let stores = [stand.open().await, stand.open().await, stand.open().await];
    for round in 0..20 {
        let name = format!("fact{round}");
        let first = stores[0].put_fact(("s", &name), b"0", HOUR, If::Any).await.unwrap().unwrap();
        let racing = stores.iter().cycle().take(9).zip(1u8..).map(|(store, number)| {
            let name = name.as_str();
            async move { store.put_fact(("s", name), &[number], HOUR, If::Is(first)).await.unwrap() }
        });
        let won = join_all(racing).await;
        let winners: Vec<_> = won.iter().zip(1u8..).filter(|(version, _)| version.is_some()).collect();
        assert_eq!(winners.len(), 1, "{won:?}");
        let fact = stores[1].fact(("s", &name)).await.unwrap().unwrap();
        assert_eq!((Some(fact.version), fact.value), (*winners[0].0, vec![winners[0].1]));
    }
}

async fn a_session_has_one_holder_until_that_one_is_dead(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    for id in ["a", "b"] {
        ours.register(&registration(id)).await.unwrap();
    }
    let ours = &ours;
    let racing =
        ["a", "b"].map(|id| async move { (id, ours.hold_session("s", id, HOUR, HOUR).await.unwrap()) });
    let holders = join_all(racing).await;
    let holder = theirs.holder("s").await.unwrap().unwrap();
    assert!(holders.iter().all(|(_, said)| said.as_deref() == Some(&holder)), "{holders:?}");
    let other = if holder == "a" { "b" } else { "a" };

    assert_eq!(ours.hold_session("s", &holder, HOUR, HOUR).await.unwrap().as_deref(), Some(holder.as_str()));
    assert!(!theirs.release_session("s", other).await.unwrap());
    ours.leave(&holder).await.unwrap();
    assert_eq!(theirs.holder("s").await.unwrap().as_deref(), Some(holder.as_str()), "dead, and not replaced");
    assert_eq!(theirs.hold_session("s", other, HOUR, HOUR).await.unwrap().as_deref(), Some(other));
    assert!(theirs.release_session("s", other).await.unwrap());
    assert_eq!(ours.holder("s").await.unwrap(), None);

    theirs.hold_session("t", other, NO_TIME, HOUR).await.unwrap();
    assert_eq!(ours.holder("t").await.unwrap(), None, "it has expired");
    assert_eq!(ours.hold_session("t", "c", HOUR, HOUR).await.unwrap().as_deref(), Some("c"));
}

fn event(sequence: i64, value: &str) -> Event {
    Event { sequence, value: value.as_bytes().to_vec() }
}

fn next(events: &[(i64, &str)], ended: bool) -> Events {
    Events::Next { events: events.iter().map(|(sequence, value)| event(*sequence, value)).collect(), ended }
}

async fn a_stream_gives_each_event_once_or_says_that_some_are_lost(stand: &Stand) {
    let (writer, reader) = (stand.open().await, stand.open().await);
    assert_eq!(reader.events_after("s", 0, 10).await.unwrap(), Events::Lost, "nobody knows it");
    for (sequence, value) in [(1, "one"), (2, ""), (3, "three")] {
        assert_eq!(writer.append("s", &event(sequence, value), KEPT).await.unwrap(), Appended::Yes);
    }
    // Asked for again, because nobody knew whether it was done.
    assert_eq!(writer.append("s", &event(3, "three"), KEPT).await.unwrap(), Appended::Already);
    let after = |after, most| reader.events_after("s", after, most);
    assert_eq!(after(0, 10).await.unwrap(), next(&[(1, "one"), (2, ""), (3, "three")], false));
    assert_eq!(after(0, 2).await.unwrap(), next(&[(1, "one"), (2, "")], false));
    assert_eq!(after(2, 2).await.unwrap(), next(&[(3, "three")], false));
    assert_eq!(after(3, 2).await.unwrap(), next(&[], false));
    assert_eq!(after(4, 2).await.unwrap(), Events::Lost, "nobody was ever given that");
    writer.append("s", &event(5, "five"), KEPT).await.unwrap();
    assert_eq!(after(3, 10).await.unwrap(), Events::Lost, "the fourth never came");
    writer.forget_stream("s").await.unwrap();
    assert_eq!(after(3, 10).await.unwrap(), Events::Lost);
    writer.append("t", &event(1, "gone"), Kept { time: NO_TIME, ..KEPT }).await.unwrap();
    writer.append("t", &event(2, "there"), KEPT).await.unwrap();
    assert_eq!(reader.events_after("t", 0, 10).await.unwrap(), Events::Lost);
    assert_eq!(reader.events_after("t", 1, 10).await.unwrap(), next(&[(2, "there")], false));
}

async fn a_stream_is_bounded(stand: &Stand) {
    let store = stand.open().await;
    for sequence in 1..=8 {
        store.append("many", &event(sequence, "x"), KEPT).await.unwrap();
    }
    let read = |stream, after| store.events_after(stream, after, 100);
    assert_eq!(read("many", 2).await.unwrap(), Events::Lost);
    let Events::Next { events, .. } = read("many", 3).await.unwrap() else { panic!("lost") };
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
    let long = "x".repeat(40);
    for sequence in 1..=4 {
        store.append("large", &event(sequence, &long), KEPT).await.unwrap();
    }
    assert_eq!(read("large", 1).await.unwrap(), Events::Lost);
    assert_eq!(read("large", 2).await.unwrap(), next(&[(3, &long), (4, &long)], false));
    let huge = "x".repeat(1000);
    store.append("large", &event(5, &huge), KEPT).await.unwrap();
    assert_eq!(read("large", 4).await.unwrap(), next(&[(5, &huge)], false), "the last is kept in any case");
}

async fn a_stream_ends_once(stand: &Stand) {
    let store = stand.open().await;
    store.append("s", &event(1, "one"), KEPT).await.unwrap();
    assert_eq!(store.end_stream("s", 1, KEPT).await.unwrap(), Appended::Yes);
    assert_eq!(store.end_stream("s", 1, KEPT).await.unwrap(), Appended::Already);
    assert_eq!(store.append("s", &event(2, "two"), KEPT).await.unwrap(), Appended::Ended);
    assert_eq!(store.append("s", &event(3, "three"), KEPT).await.unwrap(), Appended::Ended);
    assert_eq!(store.events_after("s", 0, 10).await.unwrap(), next(&[(1, "one")], true));
    assert_eq!(store.events_after("s", 1, 10).await.unwrap(), next(&[], true));
    store.end_stream("empty", 0, KEPT).await.unwrap();
    assert_eq!(store.events_after("empty", 0, 10).await.unwrap(), next(&[], true));
}

fn master(byte: u8) -> Master {
    Master::new(Seal::from_secret(&[byte; 32]).unwrap())
}

async fn replicas_that_start_together_have_one_key(stand: &Stand) {
    let stores = join_all((0..4).map(|_| stand.open())).await;
    let (one, other) = (master(1), master(1));
    let racing =
        stores.iter().map(|store| store.keys(if std::ptr::eq(store, &stores[0]) { &one } else { &other }));
    let ids: BTreeSet<_> = join_all(racing)
        .await
        .into_iter()
        .flat_map(|found| found.unwrap().0)
        .map(|turn| turn.key.id())
        .collect();
    assert_eq!(ids.len(), 1);
}

async fn keys_are_rotated_for_all(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let master = master(1);
    let (first, _) = ours.keys(&master).await.unwrap();
    let (turns, now) = ours.rotate_keys(&master, Rotation { lead: HOUR, longest: HOUR }).await.unwrap();
    let states = |turns: &[turns::Turn], now| {
        turns::facts(turns, now).iter().map(|fact| fact.state).collect::<Vec<_>>()
    };
    assert_eq!(states(&turns, now), [KeyState::Coming, KeyState::Sealing]);
    let (seen, now) = theirs.keys(&master).await.unwrap();
    assert_eq!(states(&seen, now), [KeyState::Coming, KeyState::Sealing]);
    // What one replica seals another opens, now and when the turn has come.
    let bound = Bound { purpose: "p", principal: "me" };
    let long = std::time::UNIX_EPOCH + HOUR * 24 * 365 * 1000;
    let early = std::time::UNIX_EPOCH;
    for now in [now, now + 3_600_001] {
        let seal = |turns: &[turns::Turn]| Seal::new(turns::ring(turns, now).unwrap());
        let token = seal(&turns).seal(bound, long, b"x").unwrap();
        assert_eq!(seal(&seen).open(bound, early, &token).as_deref(), Ok(b"x".as_slice()));
    }
    let (revoked, now) = theirs.rotate_keys(&master, Rotation::REVOKE).await.unwrap();
    assert_eq!(states(&revoked, now), [KeyState::Sealing], "retired keys are deleted");
    assert!(revoked.iter().all(|turn| turn.key.id() != first[0].key.id()));
}

async fn keys_are_worthless_without_their_master(stand: &Stand) {
    let store = stand.open().await;
    store.keys(&master(1)).await.unwrap();
    let stranger = store.keys(&master(2)).await.unwrap_err();
    assert_eq!(stranger, SharedKeysFault::Master(SealFault::UnknownKey));
    assert!(store.rotate_keys(&master(2), Rotation::REVOKE).await.is_err());
    assert_eq!(store.keys(&master(1)).await.unwrap().0.len(), 1);
}

async fn replicas_are_given_no_more_of_a_rate_than_there_is(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    // Ten at once, and then one an hour.
    let asked = |most| Lease { every: HOUR, slack: 9 * HOUR, most };
    let leases = (0..20).map(|number| {
        let store = if number % 2 == 0 { &ours } else { &theirs };
        async move { store.lease("a", asked(3)).await.unwrap() }
    });
    let leases = join_all(leases).await;
    assert_eq!(leases.iter().map(|leased| leased.given).sum::<u32>(), 10);
    let empty = leases.iter().filter(|leased| leased.given == 0);
    assert!(empty.clone().count() >= 16, "{leases:?}");
    for Leased { wait, .. } in empty {
        // Who asked earlier may be answered later.
        assert!(wait.abs_diff(HOUR) < testkit::PATIENCE, "{wait:?}");
    }
    // Others are counted by themselves, and nobody is given more at once than anybody may have.
    assert_eq!(theirs.lease("b", asked(100)).await.unwrap().given, 10);
    assert_eq!(ours.lease("c", asked(1)).await.unwrap(), Leased { given: 1, wait: NO_TIME });
    // What is counted afterwards is counted whatever it makes.
    assert_eq!(ours.charge("e", NO_TIME).await.unwrap(), NO_TIME);
    assert!(ours.charge("e", HOUR).await.unwrap().abs_diff(HOUR) < testkit::PATIENCE);
    assert!(theirs.charge("e", HOUR).await.unwrap().abs_diff(2 * HOUR) < testkit::PATIENCE);
    assert!(ours.charge("e", Duration::MAX).await.unwrap() > 1000 * HOUR);
    // A clock that was set back, or a rate that was another, keeps nobody waiting for longer than what there is at once takes.
    let slow = Lease { every: 24 * HOUR, slack: 240 * HOUR, most: 11 };
    assert_eq!(ours.lease("f", slow).await.unwrap().given, 11);
    let fast = Lease { every: Duration::from_secs(60), slack: Duration::from_secs(60), most: 1 };
    let Leased { given, wait } = theirs.lease("f", fast).await.unwrap();
    assert_eq!(given, 0);
    assert!(wait <= Duration::from_secs(60), "{wait:?}");
    // Time that has passed is paid back, up to what may come at once.
    let quick = Lease { every: Duration::from_nanos(1), slack: Duration::from_nanos(4), most: 100 };
    assert_eq!(ours.lease("d", quick).await.unwrap().given, 5);
    let mut again = theirs.lease("d", quick).await.unwrap();
    while again.given < 5 {
        again = theirs.lease("d", quick).await.unwrap();
    }
    assert_eq!(again.given, 5);
}

async fn what_has_expired_is_swept(stand: &Stand) {
    let store = stand.open().await;
    for number in 0..7 {
        let name = format!("{number}");
        store.put_fact(("s", &name), b"x", NO_TIME, If::Any).await.unwrap();
        store.append(&name, &event(1, "x"), Kept { time: NO_TIME, ..KEPT }).await.unwrap();
        store.end_session(&name, NO_TIME).await.unwrap();
        store.hold_session(&format!("h{number}"), "a", NO_TIME, HOUR).await.unwrap();
    }
    store.put_fact(("s", "kept"), b"x", HOUR, If::Any).await.unwrap();
    store.append("kept", &event(1, "x"), KEPT).await.unwrap();
    store.end_session("kept", HOUR).await.unwrap();
    store.hold_session("kept2", "a", HOUR, HOUR).await.unwrap();
    store.register(&registration("a")).await.unwrap();
    assert_eq!(store.sweep(5, HOUR).await.unwrap(), 20, "bounded");
    assert_eq!(store.sweep(5, HOUR).await.unwrap(), 8);
    assert_eq!(store.sweep(5, HOUR).await.unwrap(), 0);
    assert!(store.fact(("s", "kept")).await.unwrap().is_some() && store.session_ended("kept").await.unwrap());
    assert_eq!(store.events_after("kept", 0, 1).await.unwrap(), next(&[(1, "x")], false));
    assert_eq!(store.holder("kept2").await.unwrap().as_deref(), Some("a"));
    assert_eq!(store.sweep(5, NO_TIME).await.unwrap(), 1, "a replica that was silent for too long");
}

async fn what_was_acknowledged_is_there_when_it_is_opened_again(stand: &Stand) {
    let store = stand.open().await;
    store.put_fact(("s", "a"), b"x", HOUR, If::Any).await.unwrap();
    store.close().await;
    assert!(stand.open().await.fact(("s", "a")).await.unwrap().is_some());
}

async fn many_operations_at_once_are_all_answered(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let writing = (0..300).map(|number| {
        let store = if number % 2 == 0 { &ours } else { &theirs };
        async move {
            let name = format!("{number}");
            store.put_fact(("s", &name), name.as_bytes(), HOUR, If::Absent).await.unwrap().unwrap();
            assert_eq!(store.fact(("s", &name)).await.unwrap().unwrap().value, name.as_bytes());
        }
    });
    join_all(writing).await;
    assert_eq!(ours.facts("s").await.unwrap().len(), 300);
}

async fn api_keys_are_good_until_they_are_taken_back(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let facts = |id: &str| ApiKeyFacts {
        id: id.to_owned(),
        principal: "ci \"bot\"".to_owned(),
        routes: vec!["main".to_owned(), "ops".to_owned()],
        scopes: Vec::new(),
        made_at: 0,
        expires_at: None,
    };
    assert!(ours.add_api_key("digest-a", &facts("a"), None).await.unwrap());
    assert!(ours.add_api_key("digest-b", &facts("b"), Some(HOUR)).await.unwrap());
    assert!(ours.add_api_key("digest-c", &facts("c"), Some(NO_TIME)).await.unwrap());
    // Neither a digest nor a name stands for two.
    assert!(!ours.add_api_key("digest-a", &facts("d"), None).await.unwrap());
    assert!(!ours.add_api_key("digest-d", &facts("a"), None).await.unwrap());

    let a = theirs.api_key("digest-a").await.unwrap().unwrap();
    assert!(a.made_at > 0);
    assert_eq!(a, ApiKeyFacts { made_at: a.made_at, ..facts("a") });
    let b = theirs.api_key("digest-b").await.unwrap().unwrap();
    assert_eq!(b.expires_at, Some(b.made_at + 3_600_000));
    assert_eq!(theirs.api_key("digest-c").await.unwrap(), None, "it has expired");
    assert_eq!(theirs.api_key("digest").await.unwrap(), None);
    assert_eq!(theirs.api_keys().await.unwrap(), [a, b]);

    assert!(theirs.revoke_api_key("a").await.unwrap() && !theirs.revoke_api_key("a").await.unwrap());
    assert_eq!(ours.api_key("digest-a").await.unwrap(), None);
    // What has expired can be swept, and what has not is left.
    assert_eq!(ours.sweep(10, HOUR).await.unwrap(), 1);
    assert!(ours.api_key("digest-b").await.unwrap().is_some());
}

async fn what_is_revoked_is_known_until_it_is_forgotten(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let (token, subject) = ((Revoked::Token, "t1"), (Revoked::Subject, "t1"));
    let mut mark = theirs.revocations_mark().await.unwrap();
    let mut changed = async |what: &str| {
        let now = theirs.revocations_mark().await.unwrap();
        assert_ne!(now, mark, "{what}");
        mark = now;
    };
    assert!(ours.revoke("https://id.example", token, HOUR).await.unwrap());
    changed("one more").await;
    assert!(ours.revoke("https://id.example", subject, HOUR).await.unwrap());
    assert!(ours.revoke("https://other.example", token, HOUR).await.unwrap());
    assert!(ours.revoke("https://id.example", (Revoked::Token, "t2"), NO_TIME).await.unwrap());
    changed("two more").await;
    let all = theirs.revocations().await.unwrap();
    let found: Vec<_> = all.iter().map(|one| (one.issuer.as_str(), one.what, one.name.as_str())).collect();
    let expected =
        [("https://id.example", token), ("https://id.example", subject), ("https://other.example", token)]
            .map(|(issuer, (what, name))| (issuer, what, name));
    for one in &expected {
        assert!(found.contains(one), "{one:?} of {found:?}");
    }
    assert_eq!(all.len(), 3, "what has expired is not there");
    assert!(all.iter().all(|one| one.revoked_at > 0 && one.expires_at == one.revoked_at + 3_600_000));

    // Once more is later, and no second one.
    assert!(theirs.revoke("https://id.example", subject, 2 * HOUR).await.unwrap());
    changed("the same again").await;
    let again = ours.revocations().await.unwrap();
    let again = again.iter().find(|one| one.what == Revoked::Subject).unwrap();
    assert!(again.expires_at >= again.revoked_at + 7_200_000);

    assert!(theirs.allow("https://id.example", token).await.unwrap());
    changed("one is allowed").await;
    assert!(!theirs.allow("https://id.example", token).await.unwrap());
    assert_eq!(ours.revocations().await.unwrap().len(), 2);

    // A key that is taken back is told of in the same way.
    let facts = ApiKeyFacts {
        id: "k".to_owned(),
        principal: "ci".to_owned(),
        routes: Vec::new(),
        scopes: Vec::new(),
        made_at: 0,
        expires_at: None,
    };
    assert!(ours.add_api_key("digest-k", &facts, None).await.unwrap());
    changed("another is allowed").await;
    assert!(ours.revoke_api_key("k").await.unwrap());
    changed("a key is taken back").await;
    let all = theirs.revocations().await.unwrap();
    assert!(all.iter().any(|one| (one.issuer.as_str(), one.name.as_str()) == (API_KEYS, "k")));
    assert_eq!(ours.sweep(10, HOUR).await.unwrap(), 1);
    assert_eq!(theirs.revocations().await.unwrap().len(), 3);
}

async fn only_so_much_can_be_revoked(stand: &Stand) {
    let store = stand.open().await;
    stand.fill_revocations("https://id.example", MOST_REVOCATIONS - 1).await;
    let revoke =
        async |name: &str| store.revoke("https://id.example", (Revoked::Token, name), HOUR).await.unwrap();
    assert!(revoke("last").await);
    assert!(!revoke("more").await, "there is no room");
    assert!(!store.revoke("https://other.example", (Revoked::Subject, "alice"), HOUR).await.unwrap());
    let all = store.revocations().await.unwrap();
    assert_eq!(all.len(), MOST_REVOCATIONS);
    assert!(!all.iter().any(|one| one.name == "more"));
    // What is there can be revoked anew.
    assert!(revoke("last").await && revoke("t1").await);
    // Portolan's own keys are taken back all the same, and what they leave takes no room.
    let facts = ApiKeyFacts {
        id: "k".to_owned(),
        principal: "ci".to_owned(),
        routes: Vec::new(),
        scopes: Vec::new(),
        made_at: 0,
        expires_at: None,
    };
    assert!(store.add_api_key("digest", &facts, None).await.unwrap());
    assert!(store.revoke_api_key("k").await.unwrap());
    assert_eq!(store.revocations().await.unwrap().len(), MOST_REVOCATIONS + 1);
    assert!(store.allow("https://id.example", (Revoked::Token, "t1")).await.unwrap());
    assert!(revoke("more").await && !revoke("another").await);
}

async fn pins_are_changed_by_one_at_a_time(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    assert_eq!(ours.pins_of("a").await.unwrap(), None);
    let before = theirs.pins_mark().await.unwrap();
    assert!(ours.put_pins("a", 0, "one").await.unwrap());
    assert!(!theirs.put_pins("a", 0, "other").await.unwrap(), "somebody was there before");
    assert_ne!(theirs.pins_mark().await.unwrap(), before);
    let stored = theirs.pins_of("a").await.unwrap().unwrap();
    assert_eq!((stored.version, stored.pins.as_str()), (1, "one"));
    assert!(theirs.put_pins("a", 1, "two").await.unwrap());
    assert!(!ours.put_pins("a", 1, "three").await.unwrap(), "there are others by now");
    assert_eq!(ours.pins_of("a").await.unwrap().unwrap().pins, "two");
    assert_eq!(ours.pins_of("b").await.unwrap(), None);
}

async fn what_waits_is_noted_once_until_it_is_settled(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let note = async |store: &Store, server: &str, name: &str, digest: &str| {
        store.note_waiting(server, &waiting(name, digest, "{}"), true).await.unwrap()
    };
    assert_eq!(note(&ours, "a", "x", "1").await, Noted::New);
    let before = ours.pins_mark().await.unwrap();
    assert_eq!(note(&theirs, "a", "x", "1").await, Noted::Known);
    assert_ne!(ours.pins_mark().await.unwrap(), before, "who has noted it may not have said so");
    let before = ours.pins_mark().await.unwrap();
    assert_eq!(note(&theirs, "a", "x", "2").await, Noted::New);
    assert_eq!(note(&theirs, "b", "x", "1").await, Noted::New);
    assert_ne!(ours.pins_mark().await.unwrap(), before);
    let digests = async || {
        let all = ours.waiting_of("a").await.unwrap();
        all.into_iter().map(|one| one.digest).collect::<Vec<_>>()
    };
    assert_eq!(digests().await, ["1", "2"]);
    assert!(ours.waiting_of("a").await.unwrap()[0].seen_at > 0);
    assert_eq!(note(&ours, "a", "x", "3").await, Noted::New);
    let x = ("tool", "x");
    assert_eq!(theirs.settle_waiting("a", x, Some("1")).await.unwrap(), 1);
    assert_eq!(digests().await, ["2", "3"], "of the others nobody has said anything");
    assert_eq!(theirs.settle_waiting("a", x, None).await.unwrap(), 2);
    let before = ours.pins_mark().await.unwrap();
    assert_eq!(theirs.settle_waiting("a", x, None).await.unwrap(), 0);
    assert_ne!(ours.pins_mark().await.unwrap(), before);
    assert_eq!((digests().await.len(), ours.waiting_of("b").await.unwrap().len()), (0, 1));
}

fn waiting(name: &str, digest: &str, definition: &str) -> StoredWaiting {
    StoredWaiting {
        kind: "tool".to_owned(),
        name: name.to_owned(),
        digest: digest.to_owned(),
        definition: definition.to_owned(),
        why: "changed".to_owned(),
        seen_at: 0,
    }
}

async fn what_a_server_makes_up_takes_no_place_of_what_is_pinned(stand: &Stand) {
    let store = stand.open().await;
    let note = async |name: &str, digest: &str, definition: &str, of_pinned| {
        store.note_waiting("a", &waiting(name, digest, definition), of_pinned).await.unwrap()
    };
    let before = store.pins_mark().await.unwrap();
    for n in 0..MOST_WAITING {
        assert_eq!(note(&format!("made-up-{n}"), "1", "{}", false).await, Noted::New);
    }
    assert_eq!(note("one-more", "1", "{}", false).await, Noted::Full);
    assert_eq!(store.pins_mark().await.unwrap(), before, "nobody need hear of them");
    let large = "x".repeat(MOST_TEXT);
    assert_eq!(note("pinned", "1", &large, true).await, Noted::New);
    let kept = store.waiting_of("a").await.unwrap();
    let kept = kept.iter().find(|one| one.name == "pinned").unwrap();
    assert_eq!((kept.digest.as_str(), kept.definition.as_str()), ("1", ""), "that it was seen, is kept");
    for n in 2..=8 {
        assert_eq!(note("pinned", &n.to_string(), "{}", true).await, Noted::New);
    }
    assert_eq!(note("pinned", "9", "{}", true).await, Noted::Full);
}
