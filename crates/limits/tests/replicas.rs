//! What three replicas allow together, with a real PostgreSQL between them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::Principal;
use base::error::CallError;
use base::metrics::Metrics;
use base::plan::limit::{LimitPlan, LimitingPlan, Per, Rate};
use futures_util::future::join_all;
use limits::{Entered, Entry, Limiter, RouteLimits, Shared, Subject, Turn};
use store::{Place, Settings, Store};
use testkit::postgres::Postgres;

const REPLICAS: usize = 3;

/// Replicas that allow each principal this rate.
async fn replicas(postgres: &Postgres, rate: Rate) -> Vec<RouteLimits> {
    replicas_with(postgres, (Some(rate), None)).await
}

/// The same with a quota of bytes.
async fn replicas_with(postgres: &Postgres, most: (Option<Rate>, Option<usize>)) -> Vec<RouteLimits> {
    replicas_named(postgres, "each", most).await
}

/// The same under another name.
async fn replicas_named(
    postgres: &Postgres,
    name: &str,
    (rate, bytes): (Option<Rate>, Option<usize>),
) -> Vec<RouteLimits> {
    let place = Place::parse(&postgres.url(), Path::new("/")).unwrap();
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        let settings = Settings { limit: testkit::PATIENCE, ..Settings::default() };
        let store = Arc::new(Store::open(&place, settings).await.unwrap());
        assert!(store.is_for_many());
        let limiter = Limiter::new(Arc::new(Metrics::new()), Some(Shared::new(store, || REPLICAS)));
        let limit = LimitPlan {
            name: name.to_owned(),
            per: vec![Per::Principal],
            routes: None,
            servers: None,
            tools: None,
            rate,
            concurrent: None,
            result_bytes: bytes,
        };
        limiter.follow(&LimitingPlan { limits: vec![limit], loops: None });
        replicas.push(limiter.of_route("main").unwrap());
    }
    replicas
}

async fn enter(limits: &RouteLimits, principal: &Principal) -> Result<Entered, CallError> {
    let subject = Subject { principal, client: None, route: "main", server: None, tool: None };
    match limits.enter(&subject, Turn::New) {
        Entry::Now(entered) => entered,
        Entry::Later(entered) => entered.await,
    }
}

async fn passes(limits: &RouteLimits, principal: &Principal) -> bool {
    enter(limits, principal).await.is_ok()
}

/// How many of so many calls pass, all at once, at all of them.
async fn passed(replicas: &[RouteLimits], principal: &Principal, calls: usize) -> usize {
    let calls = (0..calls).map(|number| passes(&replicas[number % REPLICAS], principal));
    join_all(calls).await.into_iter().filter(|passed| *passed).count()
}

#[tokio::test]
async fn they_allow_together_what_one_would() {
    let postgres = Postgres::start();
    // More than passes here would take hours.
    let rate = Rate { times: 30, within: Duration::from_secs(24 * 3600), burst: 30 };
    let replicas = replicas(&postgres, rate).await;
    let (a, b) = (Principal::of("i", "a", None), Principal::of("i", "b", None));
    assert_eq!(passed(&replicas, &a, 200).await, 30);
    assert_eq!(passed(&replicas, &a, 20).await, 0);
    assert_eq!(passed(&replicas[..], &b, 10).await, 10);
    assert_eq!(passed(&replicas[..], &b, 100).await, 20);
}

/// Many in a short time, of which each replica is given a few at a time: never more than the burst and what the time that has
/// passed allows.
#[tokio::test]
async fn they_never_allow_more_than_rate_and_burst() {
    let postgres = Postgres::start();
    let rate = Rate { times: 2000, within: Duration::from_secs(1), burst: 100 };
    let replicas = replicas(&postgres, rate).await;
    let a = Principal::of("i", "a", None);
    let (began, mut all) = (Instant::now(), 0);
    for _ in 0..40 {
        all += passed(&replicas, &a, 300).await;
    }
    // The database's clock ticks in milliseconds.
    let most = 100 + 2000 * (began.elapsed() + Duration::from_millis(2)).as_millis() / 1000;
    assert!(all > 100 && all as u128 <= most, "{all} in {:?}", began.elapsed());
}

/// How callers come.
#[derive(Debug, Clone, Copy)]
enum Coming {
    /// All the time.
    Always,
    /// First one at each replica, which keeps what it was given besides; and just before that is lost all, when the burst is back.
    WhenLeasesAreHeld,
}

/// When the calls pass of clients that hammer at all replicas for some seconds, in order.
async fn hammered(replicas: &[RouteLimits], principal: &Principal, coming: Coming) -> Vec<Duration> {
    const CLIENTS: usize = 4;
    let (began, passed) = (Instant::now(), RefCell::new(Vec::new()));
    let call = async |number: usize| {
        if passes(&replicas[number % REPLICAS], principal).await {
            passed.borrow_mut().push(began.elapsed());
        }
        tokio::task::yield_now().await;
    };
    let all_for = async |millis: u64| {
        let until = Instant::now() + Duration::from_millis(millis);
        let client = async |number: usize| {
            while Instant::now() < until {
                call(number).await;
            }
        };
        join_all((0..REPLICAS * CLIENTS).map(client)).await;
    };
    let pause = async |millis: u64| tokio::time::sleep(Duration::from_millis(millis)).await;
    while began.elapsed() < Duration::from_secs(3) {
        match coming {
            Coming::Always => all_for(3000).await,
            Coming::WhenLeasesAreHeld => {
                pause(300).await;
                join_all((0..REPLICAS).map(call)).await;
                pause(900).await;
                all_for(1100).await;
            }
        }
    }
    let mut passed = passed.into_inner();
    passed.sort();
    passed
}

/// The most in any second, wherever it begins.
fn most_in_a_second(passed: &[Duration]) -> usize {
    let second = Duration::from_secs(1);
    let from = |begin: usize| passed[begin..].iter().take_while(|at| **at - passed[begin] < second).count();
    (0..passed.len()).map(from).max().unwrap_or_default()
}

/// What is promised of replicas: in no second do more pass than the rate and the burst, and a tenth of that. `--no-capture` shows by
/// how much.
#[tokio::test]
async fn in_no_second_do_more_than_a_tenth_too_many_pass() {
    let postgres = Postgres::start();
    let a = Principal::of("i", "a", None);
    for (times, burst) in [(20, 1), (100, 10), (1000, 100)] {
        for coming in [Coming::Always, Coming::WhenLeasesAreHeld] {
            let rate = Rate { times, within: Duration::from_secs(1), burst };
            // Limits of other names count by themselves.
            let replicas = replicas_named(&postgres, &format!("{coming:?}"), (Some(rate), None)).await;
            let passed = hammered(&replicas, &a, coming).await;
            let (most, allowed) = (most_in_a_second(&passed), times as usize + burst as usize);
            println!(
                "{times}/s, burst {burst}, {coming:?}: {} passed; at most {most} in a second of {allowed} ({:+.1} %)",
                passed.len(),
                (most as f64 / allowed as f64 - 1.0) * 100.0
            );
            assert!(most * 10 <= allowed * 11, "{most} of {allowed} at {times}/s, burst {burst}, {coming:?}");
            assert!(passed.len() > burst as usize, "it was more than a burst");
        }
    }
}

/// What has come at one is known to the others when they are next asked, or when it is little, within a second.
#[tokio::test]
async fn bytes_that_come_at_one_count_at_all() {
    let postgres = Postgres::start();
    let replicas = replicas_with(&postgres, (None, Some(1_000_000))).await;
    let (a, b) = (Principal::of("i", "a", None), Principal::of("i", "b", None));
    let held = enter(&replicas[0], &a).await.unwrap().unwrap();
    held.count(600_000);
    assert!(passes(&replicas[0], &a).await, "it has told the others");
    let held = enter(&replicas[1], &a).await.unwrap().unwrap();
    held.count(600_000);
    assert!(!passes(&replicas[1], &a).await);
    assert!(!passes(&replicas[2], &a).await);
    assert!(passes(&replicas[2], &b).await);
}

/// Who has used up a limit that is changed is not held to what it was.
#[tokio::test]
async fn a_limit_that_is_changed_begins_anew() {
    let postgres = Postgres::start();
    let hour = Duration::from_secs(3600);
    let before = replicas(&postgres, Rate { times: 3, within: hour, burst: 3 }).await;
    let a = Principal::of("i", "a", None);
    assert_eq!(passed(&before, &a, 20).await, 3);
    let after = replicas(&postgres, Rate { times: 4, within: hour, burst: 4 }).await;
    assert_eq!(passed(&after, &a, 20).await, 4);
    assert_eq!(passed(&before, &a, 20).await, 0, "and the other one is still the other one");
}

/// Without the store each allows its part, and no replica refuses everybody.
#[tokio::test]
async fn without_the_store_each_allows_its_part() {
    let mut postgres = Postgres::start();
    let rate = Rate { times: 30, within: Duration::from_secs(24 * 3600), burst: 30 };
    let replicas = replicas(&postgres, rate).await;
    let a = Principal::of("i", "a", None);
    assert!(passes(&replicas[0], &a).await);
    postgres.stop();
    for limits in &replicas {
        let mut all = 0;
        for _ in 0..20 {
            all += usize::from(passes(limits, &a).await);
        }
        assert_eq!(all, 10);
    }
}
