//! What a decision costs, by what is counted and of how many: `cargo bench -p limits --bench decision`. The bulkhead stands beside it,
//! since every call takes a place in two of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on must end")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth::Principal;
use base::bulkhead::Bulkhead;
use base::error::CallError;
use base::metrics::Metrics;
use base::plan::limit::{LimitPlan, LimitingPlan, LoopAction, LoopPlan, Per, Rate};
use divan::Bencher;
use futures_util::FutureExt as _;
use limits::{Entered, Entry, Limiter, Repeated, RouteLimits, Subject, Turn};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const ARGUMENTS: &str = r#"{"path":"/srv/data/report.txt","amount":42,"to":["a@example.com"],"dry":true,"text":"twenty words or so, as most arguments are"}"#;

fn main() {
    divan::main();
}

/// More than anybody makes.
const RATE: Rate = Rate { times: 1_000_000_000, within: Duration::from_secs(1), burst: 1_000_000_000 };

fn limit(per: &[Per]) -> LimitPlan {
    LimitPlan {
        name: "l".to_owned(),
        per: per.to_vec(),
        routes: None,
        servers: None,
        tools: None,
        rate: Some(RATE),
        concurrent: None,
        result_bytes: None,
    }
}

fn route(limits: Vec<LimitPlan>, loops: Option<LoopPlan>) -> RouteLimits {
    let limiter = Limiter::new(Arc::new(Metrics::new()), None);
    limiter.follow(&LimitingPlan { limits, loops });
    limiter.of_route("main").unwrap()
}

fn principals(many: usize) -> Vec<Principal> {
    (0..many)
        .map(|n| Principal::of("https://id.example.com/realms/company", &n.to_string(), Some("agent")))
        .collect()
}

fn subject(principal: &Principal) -> Subject<'_> {
    Subject {
        principal,
        client: Some("agent"),
        route: "main",
        server: Some("files"),
        tool: Some("read_file"),
    }
}

fn passed(entry: Entry<'_>) -> Entered {
    match entry {
        Entry::Now(entered) => entered.unwrap(),
        Entry::Later(_) => panic!("it waits"),
    }
}

/// A rate for each of so many principals.
#[divan::bench(args = [1, 1000, 50_000])]
fn rate(bencher: Bencher<'_, '_>, many: usize) {
    let (limits, principals) = (route(vec![limit(&[Per::Principal])], None), principals(many));
    let next = AtomicUsize::new(0);
    bencher.bench_local(|| {
        let whose = &principals[next.fetch_add(1, Ordering::Relaxed) % many];
        passed(limits.enter(&subject(black_box(whose)), Turn::New))
    });
}

/// The same with everything that can be counted, and given back at the end.
#[divan::bench]
fn rate_at_once_and_bytes(bencher: Bencher<'_, '_>) {
    let all = LimitPlan { concurrent: Some(4), result_bytes: Some(usize::MAX), ..limit(&[Per::Principal]) };
    let (limits, principals) = (route(vec![all], None), principals(1));
    bencher.bench_local(|| {
        let held = passed(limits.enter(&subject(black_box(&principals[0])), Turn::New)).unwrap();
        held.count(1000);
    });
}

/// Three limits, by principal, by tool and by both.
#[divan::bench]
fn three_rates(bencher: Bencher<'_, '_>) {
    let all = vec![limit(&[Per::Principal]), limit(&[Per::Tool]), limit(&[Per::Principal, Per::Tool])];
    let (limits, principals) = (route(all, None), principals(1));
    bencher.bench_local(|| {
        let subject = subject(black_box(&principals[0]));
        drop(passed(limits.enter(&subject, Turn::New)));
        passed(limits.enter_target(subject, None, Turn::New))
    });
}

/// One that is over its rate.
#[divan::bench]
fn refused(bencher: Bencher<'_, '_>) {
    let rate = Rate { times: 1, within: Duration::from_secs(3600), burst: 1 };
    let (limits, principals) =
        (route(vec![LimitPlan { rate: Some(rate), ..limit(&[Per::Principal]) }], None), principals(1));
    drop(passed(limits.enter(&subject(&principals[0]), Turn::New)));
    bencher.bench_local(|| match limits.enter(&subject(black_box(&principals[0])), Turn::New) {
        Entry::Now(Err(error)) => error,
        other => panic!("{other:?}"),
    });
}

/// Whether a call is the same as others.
#[divan::bench]
fn loops(bencher: Bencher<'_, '_>) {
    let plan = LoopPlan { calls: u32::MAX, within: Duration::from_secs(1), action: LoopAction::Refuse };
    let (limits, principals) = (route(Vec::new(), Some(plan)), principals(1));
    bencher.bench_local(|| {
        let repeated = Repeated { session: Some("0123456789abcdef"), arguments: Some(black_box(ARGUMENTS)) };
        passed(limits.enter_target(subject(&principals[0]), Some(repeated), Turn::New))
    });
}

/// A place at a server that has some, and gives it back.
#[divan::bench]
fn place(bencher: Bencher<'_, '_>) {
    let (places, principals) = (Bulkhead::new("calls".to_owned(), 256, 1024), principals(1));
    let held = places.take().now_or_never();
    bencher.bench_local(|| places.take_for(black_box(&principals[0])).now_or_never().unwrap().unwrap());
    drop(held);
}

/// The same by a semaphore of tokio, which the places were before there were turns.
#[divan::bench]
fn place_of_a_semaphore(bencher: Bencher<'_, '_>) {
    let places = Arc::new(Semaphore::new(256));
    let held = take(&places).now_or_never();
    bencher.bench_local(|| take(black_box(&places)).now_or_never().unwrap().unwrap());
    drop(held);
}

async fn take(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, CallError> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Ok(place);
    }
    Arc::clone(places).acquire_owned().await.map_err(|_closed| CallError::Draining)
}
