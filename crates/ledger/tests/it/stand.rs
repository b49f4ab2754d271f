//! Ledgers of tests: real ones, in directories of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auth::Principal;
use base::clock::{Clock, SystemClock};
use base::metrics::Metrics;
use base::plan::audit::AuditPlan;
use base::sink::{Accept, CallFacts, Sink as _, Untaken};
use ledger::key::SigningKey;
use ledger::verify::{Against, Bad, VerifyReport, verify};
use ledger::{Ground, Ledger, Who};
use tempfile::TempDir;

pub(crate) struct Stand {
    root: TempDir,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) plan: AuditPlan,
}

impl Stand {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let plan = AuditPlan {
            segment_bytes: 8 * 1024,
            witness: Some(root.path().join("witness.jsonl")),
            ..AuditPlan::at(root.path().join("audit"))
        };
        Self { root, key: Arc::new(SigningKey::random().unwrap()), plan }
    }

    pub(crate) fn open(&self, name: &str) -> Arc<Ledger> {
        self.open_on(name, Ground::default())
    }

    pub(crate) fn open_on(&self, name: &str, ground: Ground) -> Arc<Ledger> {
        self.open_with(name, &Arc::default(), ground)
    }

    pub(crate) fn open_with(&self, name: &str, metrics: &Arc<Metrics>, ground: Ground) -> Arc<Ledger> {
        let outside = (Arc::new(SystemClock) as _, Arc::clone(metrics));
        Ledger::open_on(&self.plan, Who { name, version: "1" }, Arc::clone(&self.key), outside, ground)
            .unwrap()
    }

    /// Nothing where it cannot begin.
    pub(crate) fn try_open_on(&self, name: &str, ground: Ground) -> Option<Arc<Ledger>> {
        let outside = (Arc::new(SystemClock) as _, Arc::default());
        Ledger::open_on(&self.plan, Who { name, version: "1" }, Arc::clone(&self.key), outside, ground).ok()
    }

    /// At the times of a clock.
    pub(crate) fn open_at(&self, name: &str, clock: Arc<dyn Clock>) -> Arc<Ledger> {
        let who = Who { name, version: "1" };
        Ledger::open(&self.plan, who, Arc::clone(&self.key), (clock, Arc::default())).unwrap()
    }

    /// All that is written, in the order of replicas and segments.
    pub(crate) fn text(&self) -> String {
        self.files().values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// Begins, writes so many records and ends in good order.
    pub(crate) async fn session(&self, name: &str, records: usize) {
        let ledger = self.open(name);
        for number in 0..records {
            call(&ledger, number).await;
        }
        ledger.close().await;
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.plan.directory
    }

    pub(crate) fn witness(&self) -> PathBuf {
        self.root.path().join("witness.jsonl")
    }

    pub(crate) fn against(&self, with_witness: bool) -> Against {
        let witnesses = if with_witness { vec![self.witness()] } else { Vec::new() };
        Against { keys: vec![self.key.public()], witnesses }
    }

    pub(crate) fn verify(&self) -> VerifyReport {
        verify(self.directory(), &self.against(true)).unwrap()
    }

    /// What is wrong first.
    pub(crate) fn bad(&self) -> Option<Bad> {
        self.verify().bad.into_iter().next()
    }

    /// The segments of a chain, in their order.
    pub(crate) fn segments(&self, replica: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.directory().join(replica)).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        paths.sort();
        paths
    }

    /// Every segment of every chain, as it is.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for replica in fs::read_dir(self.directory()).unwrap() {
            let name = replica.unwrap().file_name().into_string().unwrap();
            for path in self.segments(&name) {
                let bytes = fs::read(&path).unwrap();
                files.insert(path, bytes);
            }
        }
        files
    }
}

pub(crate) fn facts(number: usize) -> CallFacts {
    CallFacts {
        principal: Principal::of("https://id.example", &format!("alice-{number}"), None),
        upstream: "bank".into(),
        method: "tools/call".into(),
        outcome: "ok",
        took: Duration::from_micros(1234),
        detail: None,
    }
}

/// The record of a call is taken.
pub(crate) async fn call(ledger: &Ledger, number: usize) {
    taken(ledger.accept(&facts(number))).await.unwrap();
}

/// Waits until a record is taken.
pub(crate) async fn taken(accept: Accept) -> Result<(), Untaken> {
    match accept {
        Accept::Now => Ok(()),
        Accept::Later(taken) => taken.await,
    }
}
