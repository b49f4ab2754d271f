//! A ledger of many records: how fast it is verified, and how soon something is found in it.
//!
//! `cargo bench -p ledger --bench many -- 10000000 DIR` writes it into a new directory there and deletes it at the end.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on must fail, and says what it measured"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use auth::{Claims, Principal};
use base::clock::Clock;
use base::detail::{Detail, Examined};
use base::plan::audit::AuditPlan;
use base::sink::{Accept, CallFacts, Sink as _};
use ledger::key::SigningKey;
use ledger::query::{Filter, read};
use ledger::tail::Tail;
use ledger::verify::{Against, verify};
use ledger::{Ledger, Who};

/// So many records wait for the disk at once.
const AT_ONCE: u64 = 1000;

/// A record each ten milliseconds, from some time on.
#[derive(Debug, Default)]
struct Steady(AtomicU64);

const BEGIN: u64 = 1_800_000_000_000;

impl Clock for Steady {
    fn now(&self) -> SystemTime {
        at(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn at(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(BEGIN + 10 * number)
}

fn spelled(number: u64) -> String {
    base::moment::write(at(number)).replace('Z', "000Z")
}

fn facts(number: u64) -> CallFacts {
    let claims = Claims {
        issuer: "https://id.example.com".to_owned(),
        subject: format!("{:08x}-alice", number % 5000),
        scopes: vec!["mcp:use".to_owned()],
        groups: vec!["staff".to_owned()],
        ..Claims::default()
    };
    let examined = |bytes| Some(Examined { digest: Some([7; 32]), bytes, text: None });
    let detail = Detail {
        claims: Some(Arc::new(claims)),
        route: Some("main".into()),
        era: Some(("modern", "2026-07-28")),
        trace: Some(format!("{number:032x}").into()),
        id: Some(number.to_string().into()),
        thing: Some(("tool", "create_issue".into())),
        arguments: examined(900),
        ..Detail::default()
    };
    CallFacts {
        principal: Principal::of("https://id.example.com", "alice", Some("desktop")),
        upstream: "github".into(),
        method: "tools/call".into(),
        outcome: "ok",
        took: Duration::from_micros(1234),
        detail: Some(Box::new(detail)),
    }
}

fn plan(root: &Path) -> AuditPlan {
    AuditPlan { witness: Some(root.join("witness.jsonl")), ..AuditPlan::at(root.join("audit")) }
}

fn write(plan: &AuditPlan, key: &Arc<SigningKey>, records: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outside = (Arc::new(Steady::default()) as _, Arc::default());
    let ledger = Ledger::open(plan, Who { name: "main", version: "1" }, Arc::clone(key), outside);
    let ledger = ledger.expect("a ledger");
    runtime.block_on(async {
        let mut number = 0;
        while number < records {
            let all: Vec<_> = (0..AT_ONCE).map(|more| ledger.accept(&facts(number + more))).collect();
            for accept in all {
                if let Accept::Later(taken) = accept {
                    taken.await.expect("it is taken");
                }
            }
            number += AT_ONCE;
        }
        ledger.close().await;
    });
}

fn found(directory: &Path, filter: &Filter) -> u64 {
    let mut found = 0;
    read(directory, filter, |_| {
        found += 1;
        Ok(true)
    })
    .expect("it is read");
    found
}

/// How long this thread has had a processor: on a machine that does other things, too, that is what something costs.
fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let records = args.next().map_or(100_000, |text| text.parse().expect("a number of records"));
    let root = match args.next() {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    };
    let root = root.expect("a directory");
    let (plan, key) = (plan(root.path()), Arc::new(SigningKey::random().expect("a key")));
    let measure = |what: &str, does: &mut dyn FnMut() -> u64| {
        let (begun, worked) = (Instant::now(), worked());
        let many = does();
        let (took, worked) = (begun.elapsed(), self::worked().saturating_sub(worked));
        println!("{what}: {many} in {took:.3?}, of which this thread had a processor for {worked:.3?}");
    };
    measure("written", &mut || {
        write(&plan, &key, records);
        records
    });
    let directory = &plan.directory;
    let against = Against { keys: vec![key.public()], witnesses: vec![root.path().join("witness.jsonl")] };
    measure("verified, with a witness", &mut || {
        let report = verify(directory, &against).expect("it is read");
        assert!(report.bad.is_empty(), "{:?}", report.bad);
        report.replicas.iter().map(|one| one.records).sum()
    });
    let window = |from: u64| Filter {
        since: Some(spelled(from)),
        until: Some(spelled(from + 6000)),
        ..Filter::default()
    };
    for part in [0, 1, 2, 3] {
        let filter = window(records / 4 * part);
        measure("found in a minute of it, by time", &mut || found(directory, &filter));
    }
    let one = Filter { trace: Some(format!("{:032x}", records / 2)), ..Filter::default() };
    measure("found by trace, with nothing said of the time", &mut || found(directory, &one));
    let mut tail = None;
    measure("followed from the end: to begin", &mut || {
        tail = Some(Tail::behind_all(directory).expect("it is read"));
        0
    });
    measure("followed from the end: to look once more", &mut || {
        let tail = tail.as_mut().expect("it has begun");
        tail.next(&Filter::default(), |_| Ok(true)).expect("it is read");
        0
    });
}
