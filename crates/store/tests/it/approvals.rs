//! What is approved is used once, by one, in time.

use std::time::Duration;

use futures_util::future::join_all;
use store::approvals::{MOST_OF_ONE, Question, Standing};

use crate::stand::{Stand, on_both};

const HOUR: Duration = Duration::from_secs(3600);

on_both!(
    a_question_is_answered_once,
    what_was_approved_is_used_by_one,
    a_question_is_open_once,
    what_is_over_makes_way,
    that_one_is_over_is_noticed_once,
    what_was_approved_goes_on_one_turn_at_a_time,
    only_so_many_are_open,
    they_are_listed_and_forgotten,
    what_is_approved_and_over_is_good_for_nothing,
    a_caller_takes_back_what_is_not_used,
    who_was_asked_may_use_what_another_approved,
    what_somebody_else_denied_outlives_what_its_caller_takes_back,
);

fn question(id: &str, binding: &str) -> Question {
    Question {
        id: id.to_owned(),
        binding: binding.to_owned(),
        principal: "ann".to_owned(),
        whose: ("https://id".to_owned(), "ann".to_owned()),
        what: ["main", "bank", "tools/call", "pay"].map(str::to_owned),
        arguments: r#"{"n":1}"#.to_owned(),
        reason: "a\nb".to_owned(),
        policies: "p".to_owned(),
        approvers: "[]".to_owned(),
        lasts: HOUR,
    }
}

async fn a_question_is_answered_once(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let asked = question("1", "b");
    assert!(ours.ask_approval(&asked).await.unwrap());
    let found = theirs.approval("1").await.unwrap().unwrap();
    assert_eq!((&found.question, found.standing), (&asked, Standing::Pending));
    assert_eq!(found.expires_at - found.made_at, 3_600_000);
    let same = theirs.approval_of("b").await.unwrap().unwrap();
    assert_eq!(
        (&same.question, same.standing, same.expires_at),
        (&found.question, found.standing, found.expires_at)
    );
    assert!(found.left() <= HOUR && found.left() > HOUR / 2, "{:?}", found.left());
    let deciding = (0..8).map(|n| {
        let store = if n % 2 == 0 { &ours } else { &theirs };
        async move { store.decide_approval("1", n < 4, &format!("by {n}")).await.unwrap() }
    });
    let done: Vec<bool> = join_all(deciding).await;
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
    let winner = done.iter().position(|done| *done).unwrap();
    let found = ours.approval("1").await.unwrap().unwrap();
    assert_eq!(found.decided_by, format!("by {winner}"));
    assert_eq!(found.standing, if winner < 4 { Standing::Approved } else { Standing::Denied });
    assert!(!ours.decide_approval("2", true, "x").await.unwrap(), "there is none");
}

async fn what_was_approved_is_used_by_one(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    assert!(ours.ask_approval(&question("1", "b")).await.unwrap());
    assert!(!ours.use_approval("1", "b").await.unwrap(), "nobody has approved it");
    assert!(ours.decide_approval("1", true, "bob").await.unwrap());
    assert!(!ours.use_approval("1", "c").await.unwrap(), "it is for something else");
    let using = (0..8).map(|n| {
        let store = if n % 2 == 0 { &ours } else { &theirs };
        async move { store.use_approval("1", "b").await.unwrap() }
    });
    assert_eq!(join_all(using).await.into_iter().filter(|used| *used).count(), 1);
    let found = theirs.approval("1").await.unwrap().unwrap();
    assert_eq!(found.standing, Standing::Used);
    assert!(found.used_at >= found.decided_at && found.decided_at > 0);
    assert_eq!(theirs.approval_of("b").await.unwrap(), None);
    // The same again is another question.
    assert!(ours.ask_approval(&question("2", "b")).await.unwrap());
    let using = (0..4).map(|_| async { ours.approve_and_use("2", "b", "ann").await.unwrap().is_some() });
    assert_eq!(join_all(using).await.into_iter().filter(|used| *used).count(), 1);
    // What was denied is no more.
    assert!(ours.ask_approval(&question("3", "b")).await.unwrap());
    assert!(ours.decide_approval("3", false, "bob").await.unwrap());
    assert!(
        !ours.use_approval("3", "b").await.unwrap()
            && ours.approve_and_use("3", "b", "ann").await.unwrap().is_none()
    );
    assert_eq!(ours.approval_of("b").await.unwrap().unwrap().standing, Standing::Denied);
}

async fn a_question_is_open_once(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    let names: Vec<_> = (0..8).map(|n| question(&n.to_string(), "b")).collect();
    let asking = names.iter().enumerate().map(|(n, asked)| {
        let store = if n % 2 == 0 { &ours } else { &theirs };
        async move { store.ask_approval(asked).await.unwrap() }
    });
    let new = join_all(asking).await;
    assert_eq!(new.iter().filter(|new| **new).count(), 1);
    let id = new.iter().position(|new| *new).unwrap().to_string();
    assert_eq!(ours.approval_of("b").await.unwrap().unwrap().question.id, id);
    assert!(ours.decide_approval(&id, true, "bob").await.unwrap());
    assert!(!theirs.ask_approval(&question("9", "b")).await.unwrap(), "it is approved");
}

async fn what_is_over_makes_way(stand: &Stand) {
    let store = stand.open().await;
    let short = |id: &str| Question { lasts: Duration::ZERO, ..question(id, "b") };
    assert!(store.ask_approval(&short("1")).await.unwrap());
    assert_eq!(store.approval("1").await.unwrap().unwrap().standing, Standing::Expired);
    assert_eq!(store.approval_of("b").await.unwrap(), None);
    assert!(!store.decide_approval("1", true, "bob").await.unwrap(), "too late");
    assert_eq!(store.approve_and_use("1", "b", "ann").await.unwrap(), None, "too late");
    let other = Question {
        whose: ("https://other".to_owned(), "nan".to_owned()),
        reason: "c".to_owned(),
        approvers: "[[]]".to_owned(),
        ..question("2", "b")
    };
    assert!(!store.ask_approval(&other).await.unwrap(), "nobody has noticed yet");
    assert_eq!(store.expire_approvals(Some("b"), 10).await.unwrap().len(), 1);
    assert!(store.ask_approval(&other).await.unwrap());
    assert_eq!(store.approval_of("b").await.unwrap().unwrap().question, other, "nothing is left of it");
    assert_eq!(store.approval("1").await.unwrap().unwrap().standing, Standing::Expired, "it is remembered");
}

async fn that_one_is_over_is_noticed_once(stand: &Stand) {
    let (ours, theirs) = (stand.open().await, stand.open().await);
    for n in 0..20 {
        let id = format!("n{n:02}");
        assert!(ours.ask_approval(&Question { lasts: Duration::ZERO, ..question(&id, &id) }).await.unwrap());
    }
    assert!(ours.ask_approval(&question("open", "open")).await.unwrap());
    let looking = (0..8).map(|n| {
        let store = if n % 2 == 0 { &ours } else { &theirs };
        async move { store.expire_approvals(None, 5).await.unwrap() }
    });
    let mut noticed: Vec<_> =
        join_all(looking).await.into_iter().flatten().map(|one| (one.question.id, one.standing)).collect();
    loop {
        let more = ours.expire_approvals(None, 5).await.unwrap();
        assert!(more.len() <= 5);
        if more.is_empty() {
            break;
        }
        noticed.extend(more.into_iter().map(|one| (one.question.id, one.standing)));
    }
    noticed.sort_by(|one, other| one.0.cmp(&other.0));
    let all: Vec<_> = (0..20).map(|n| (format!("n{n:02}"), Standing::Expired)).collect();
    assert_eq!(noticed, all);
    assert!(!ours.decide_approval("n00", true, "bob").await.unwrap(), "it stays over");
    assert_eq!(ours.approval_of("open").await.unwrap().unwrap().standing, Standing::Pending);
}

async fn what_was_approved_goes_on_one_turn_at_a_time(stand: &Stand) {
    let store = stand.open().await;
    assert!(store.ask_approval(&question("1", "b")).await.unwrap());
    assert!(!store.go_on_approved("1", "b", 0).await.unwrap(), "it has not begun");
    assert!(store.approve_and_use("1", "b", "ann").await.unwrap().is_some());
    let going = (0..4).map(|_| async { store.go_on_approved("1", "b", 1).await.unwrap() });
    assert_eq!(join_all(going).await.into_iter().filter(|gone| *gone).count(), 1);
    assert!(
        !store.go_on_approved("1", "b", 1).await.unwrap()
            && !store.go_on_approved("1", "c", 2).await.unwrap()
    );
    assert!(store.go_on_approved("1", "b", 2).await.unwrap());
}

async fn only_so_many_are_open(stand: &Stand) {
    let store = stand.open().await;
    for n in 0..MOST_OF_ONE {
        assert!(store.ask_approval(&question(&format!("{n}"), &format!("b{n}"))).await.unwrap());
    }
    assert!(!store.ask_approval(&question("more", "more")).await.unwrap());
    let other = Question { principal: "bob".to_owned(), ..question("other", "other") };
    assert!(store.ask_approval(&other).await.unwrap(), "one caller leaves room for others");
    assert!(store.decide_approval("0", false, "bob").await.unwrap());
    assert!(store.ask_approval(&question("more", "more")).await.unwrap());
}

async fn they_are_listed_and_forgotten(stand: &Stand) {
    let store = stand.open().await;
    assert!(store.ask_approval(&question("1", "a")).await.unwrap());
    assert!(store.ask_approval(&question("2", "b")).await.unwrap());
    assert!(store.approve_and_use("1", "a", "ann").await.unwrap().is_some());
    let ids = async |all| {
        let mut ids: Vec<_> =
            store.approvals(all).await.unwrap().into_iter().map(|one| one.question.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        (ids(false).await, ids(true).await),
        (vec!["2".to_owned()], vec!["1".to_owned(), "2".to_owned()])
    );
    // A caller that asks again and again leaves no more than so many.
    for n in 0..520 {
        let asked = Question { lasts: Duration::ZERO, ..question(&format!("n{n:03}"), &format!("n{n}")) };
        assert!(store.ask_approval(&asked).await.unwrap());
    }
    assert_eq!(store.approvals(true).await.unwrap().len(), 501, "those that are over, and the open one");
    assert_eq!(ids(false).await, ["2"]);
}

/// How long what is short lasts.
const SHORT: Duration = Duration::from_millis(300);

async fn what_is_approved_and_over_is_good_for_nothing(stand: &Stand) {
    let store = stand.open().await;
    let mut tries = 0;
    let id = loop {
        let id = format!("try {tries}");
        store.expire_approvals(Some("b"), 10).await.unwrap();
        store.ask_approval(&Question { lasts: SHORT, ..question(&id, "b") }).await.unwrap();
        // Where everything is slow it may be over before.
        if store.decide_approval(&id, true, "bob").await.unwrap() {
            break id;
        }
        tries += 1;
    };
    let standing = async || store.approval(&id).await.unwrap().unwrap().standing;
    while standing().await == Standing::Approved {
        tokio::task::yield_now().await;
    }
    assert_eq!(standing().await, Standing::Expired);
    assert!(!store.use_approval(&id, "b").await.unwrap(), "too late");
    assert_eq!(store.approve_and_use(&id, "b", "ann").await.unwrap(), None, "too late");
    assert!(!store.take_back_approval(&id, "ann").await.unwrap(), "there is nothing to take back");
    assert_eq!(store.approval_of("b").await.unwrap(), None);
    let over = store.expire_approvals(Some("b"), 10).await.unwrap();
    let noticed = over.iter().find(|one| one.question.id == id).map(|one| one.decided_by.as_str());
    assert_eq!(noticed, Some("bob"), "and it is known who had approved it");
    assert!(store.ask_approval(&question("2", "b")).await.unwrap(), "it makes way");
}

async fn a_caller_takes_back_what_is_not_used(stand: &Stand) {
    let store = stand.open().await;
    for (id, is_approved) in [("1", false), ("2", true)] {
        assert!(store.ask_approval(&question(id, id)).await.unwrap());
        assert!(!is_approved || store.decide_approval(id, true, "bob").await.unwrap());
        assert!(!store.take_back_approval(id, "eve").await.unwrap(), "it is not hers");
        assert!(store.take_back_approval(id, "ann").await.unwrap());
        let found = store.approval(id).await.unwrap().unwrap();
        assert_eq!((found.standing, found.decided_by.as_str()), (Standing::Denied, "ann"));
        assert!(!store.use_approval(id, id).await.unwrap());
    }
    assert!(store.ask_approval(&question("3", "3")).await.unwrap());
    assert!(store.approve_and_use("3", "3", "ann").await.unwrap().is_some());
    assert!(!store.take_back_approval("3", "ann").await.unwrap(), "it is used");
}

async fn who_was_asked_may_use_what_another_approved(stand: &Stand) {
    let store = stand.open().await;
    assert!(store.ask_approval(&question("1", "b")).await.unwrap());
    assert!(store.decide_approval("1", true, "operator").await.unwrap());
    assert_eq!(store.approve_and_use("1", "b", "ann").await.unwrap().as_deref(), Some("operator"));
    assert_eq!(store.approve_and_use("1", "b", "ann").await.unwrap(), None, "once");
    let found = store.approval("1").await.unwrap().unwrap();
    assert_eq!((found.standing, found.decided_by.as_str()), (Standing::Used, "operator"));
    assert!(store.ask_approval(&question("2", "b")).await.unwrap());
    assert_eq!(store.approve_and_use("2", "b", "ann").await.unwrap().as_deref(), Some("ann"));
}

async fn what_somebody_else_denied_outlives_what_its_caller_takes_back(stand: &Stand) {
    let store = stand.open().await;
    assert!(store.ask_approval(&question("denied", "b")).await.unwrap());
    assert!(store.decide_approval("denied", false, "bob").await.unwrap());
    assert!(store.ask_approval(&question("used", "u")).await.unwrap());
    assert!(store.approve_and_use("used", "u", "ann").await.unwrap().is_some());
    for n in 0..510 {
        let id = format!("n{n:03}");
        assert!(store.ask_approval(&question(&id, &id)).await.unwrap());
        assert!(store.take_back_approval(&id, "ann").await.unwrap());
    }
    assert_eq!(store.approvals(true).await.unwrap().len(), 502, "it is bounded all the same");
    assert_eq!(store.approval_of("b").await.unwrap().unwrap().standing, Standing::Denied);
    assert!(store.go_on_approved("used", "u", 1).await.unwrap(), "a call may go on with it");
}
