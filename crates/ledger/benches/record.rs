//! What a record costs: to be made, to be written, to be verified.
#![expect(clippy::expect_used, reason = "a bench that cannot go on must fail")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Claims, Decision, Principal};
use base::clock::SystemClock;
use base::detail::{Detail, Examined};
use base::plan::audit::AuditPlan;
use base::sink::{Accept, CallFacts, Sink as _};
use divan::counter::ItemsCount;
use ledger::chain::Chain;
use ledger::key::SigningKey;
use ledger::payload::Keeper;
use ledger::verify::{Against, verify};
use ledger::{Ledger, Who, record};
use tempfile::TempDir;

/// So many records are verified at a time.
const RECORDS: usize = 100_000;

fn main() {
    divan::main();
}

/// As of a usual call: a token, a tool, arguments and a result by digest, a decision.
fn facts() -> CallFacts {
    let claims = Claims {
        issuer: "https://id.example.com".to_owned(),
        subject: "0b8f9c1e-alice".to_owned(),
        client: Some("desktop".to_owned()),
        scopes: vec!["mcp:use".to_owned()],
        groups: vec!["staff".to_owned(), "payments".to_owned()],
        ..Claims::default()
    };
    let examined = |bytes| Some(Examined { digest: Some([7; 32]), bytes, text: None });
    let detail = Detail {
        claims: Some(Arc::new(claims)),
        route: Some("main".into()),
        era: Some(("modern", "2026-07-28")),
        trace: Some("0af7651916cd43dd8448eb211c80319c".into()),
        id: Some("17".into()),
        thing: Some(("tool", "create_issue".into())),
        arguments: examined(900),
        result: examined(1000),
        decision: Some(Decision {
            allowed: true,
            by: vec!["staff-may-call".into()],
            why: "permitted by staff-may-call".into(),
            version: "5f".repeat(32).into(),
            observed: false,
        }),
        ..Detail::default()
    };
    CallFacts {
        principal: Principal::of("https://id.example.com", "0b8f9c1e-alice", Some("desktop")),
        upstream: "github".into(),
        method: "tools/call".into(),
        outcome: "ok",
        took: Duration::from_micros(1234),
        detail: Some(Box::new(detail)),
    }
}

/// The digests of 1 KB of arguments and 1 KB of a result.
#[divan::bench]
fn digests(bencher: divan::Bencher<'_, '_>) {
    let (key, text) = (SigningKey::random().expect("a key"), vec![b'a'; 1024]);
    bencher.bench(|| (key.digest([black_box(text.as_slice())]), key.digest([black_box(text.as_slice())])));
}

/// The members of a record.
#[divan::bench]
fn members(bencher: divan::Bencher<'_, '_>) {
    let (facts, keeper) = (facts(), Keeper::default());
    bencher.bench(|| record::of_call(black_box(&facts), &keeper));
}

/// Its line in the chain, with its hash.
#[divan::bench]
fn line(bencher: divan::Bencher<'_, '_>) {
    let (body, _) = record::of_call(&facts(), &Keeper::default());
    let (mut chain, mut out) = (Chain::new("main"), Vec::new());
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_196_800);
    bencher.bench_local(|| {
        out.clear();
        chain.record(&mut out, ("call", at), black_box(&body));
    });
}

fn ledger(root: &TempDir) -> (Arc<Ledger>, Arc<SigningKey>) {
    let plan = AuditPlan::at(root.path().to_owned());
    let key = Arc::new(SigningKey::random().expect("a key"));
    let outside = (Arc::new(SystemClock) as _, Arc::default());
    (
        Ledger::open(&plan, Who { name: "main", version: "1" }, Arc::clone(&key), outside).expect("a ledger"),
        key,
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Sixty-four calls that end together, until all are accepted by the system.
#[divan::bench]
fn accepted(bencher: divan::Bencher<'_, '_>) {
    let (root, runtime, facts) = (tempfile::tempdir().expect("a directory"), runtime(), facts());
    let (ledger, _) = ledger(&root);
    bencher.counter(ItemsCount::new(64_usize)).bench_local(|| {
        runtime.block_on(async {
            let all: Vec<_> = (0..64).map(|_| ledger.accept(&facts)).collect();
            for accept in all {
                if let Accept::Later(taken) = accept {
                    taken.await.expect("it is taken");
                }
            }
        });
    });
    runtime.block_on(ledger.close());
}

/// A whole ledger is verified.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn verified(bencher: divan::Bencher<'_, '_>) {
    let (root, runtime, facts) = (tempfile::tempdir().expect("a directory"), runtime(), facts());
    let (ledger, key) = ledger(&root);
    runtime.block_on(async {
        for _ in 0..RECORDS / 1000 {
            let all: Vec<_> = (0..1000).map(|_| ledger.accept(&facts)).collect();
            for accept in all {
                if let Accept::Later(taken) = accept {
                    taken.await.expect("it is taken");
                }
            }
        }
        ledger.close().await;
    });
    let against = Against { keys: vec![key.public()], ..Against::default() };
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let report = verify(root.path(), &against).expect("it is read");
        assert!(report.bad.is_empty());
    });
}
