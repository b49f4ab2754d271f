//! A real ledger with its sinks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::Principal;
use base::clock::SystemClock;
use base::metrics::Metrics;
use base::plan::audit::{AuditPlan, OnFull};
use base::plan::feed::{Format, HttpBody, PostPlan, ReceiverPlan, RecordTypes, SinkPlan};
use base::sink::{Accept, CallFacts, Sink as _};
use ledger::key::SigningKey;
use ledger::verify::{Against, verify};
use ledger::{Ledger, Who};
use sinks::cursor::{self, Found};
use sinks::feed::Feed;
use sinks::make::Surroundings;
use tempfile::TempDir;
use transport::http::client::{ClientSettings, Destination};
use transport::memory::Memory;
use transport::net::SystemNetwork;

pub(crate) struct Stand {
    _root: TempDir,
    key: Arc<SigningKey>,
    pub(crate) plan: AuditPlan,
    /// Those of the process that is open.
    metrics: Mutex<Arc<Metrics>>,
}

/// A ledger that is written, and its sinks.
pub(crate) struct Open {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) feed: Arc<Feed>,
}

pub(crate) fn surroundings() -> Surroundings {
    Surroundings {
        network: Arc::new(SystemNetwork),
        memory: Memory::new(1 << 30),
        clock: Arc::new(SystemClock),
    }
}

pub(crate) fn post(url: &str) -> PostPlan {
    let destination = Destination::new(url.parse().unwrap()).unwrap();
    PostPlan { destination, headers: Vec::new(), client: ClientSettings::default() }
}

pub(crate) fn sink(receiver: ReceiverPlan) -> SinkPlan {
    SinkPlan {
        name: "x".to_owned(),
        receiver,
        format: Format::Json,
        types: RecordTypes::Usual,
        spool: 1 << 30,
        on_full: OnFull::Drop,
        timeout: Duration::from_secs(30),
        from_start: true,
    }
}

pub(crate) fn lines_to(address: std::net::SocketAddr) -> SinkPlan {
    sink(ReceiverPlan::Http(post(&format!("http://{address}/in")), HttpBody::Lines))
}

impl Stand {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let plan = AuditPlan { segment_bytes: 8 * 1024, ..AuditPlan::at(root.path().join("audit")) };
        Self { _root: root, key: Arc::new(SigningKey::random().unwrap()), plan, metrics: Mutex::default() }
    }

    pub(crate) fn open(&self, sinks: &[SinkPlan]) -> Open {
        let who = Who { name: "one", version: "1" };
        let metrics = Arc::new(Metrics::new());
        *self.metrics.lock().unwrap() = Arc::clone(&metrics);
        let outside = (Arc::new(SystemClock) as _, Arc::clone(&metrics));
        let ledger = Ledger::open_read(&self.plan, who, Arc::clone(&self.key), outside).unwrap();
        let feed = Feed::start(sinks, &ledger, &metrics, &surroundings()).unwrap();
        Open { ledger, feed }
    }

    pub(crate) fn chain(&self) -> PathBuf {
        self.plan.directory.join("one")
    }

    /// Waits until nobody has the chain.
    pub(crate) async fn until_lock_is_free(&self) {
        let lock = std::fs::File::open(self.chain().join("lock")).unwrap();
        while lock.try_lock().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The ledger is as it was written, and nothing odd is in it.
    pub(crate) fn is_good(&self) {
        let against = Against { keys: vec![self.key.public()], ..Against::default() };
        let report = verify(&self.plan.directory, &against).unwrap();
        assert!(report.bad.is_empty(), "{report:?}");
        assert!(!format!("{report:?}").contains("nothing of the ledger's"), "{report:?}");
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.lock().unwrap().text();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("portolan_{name}")))
            .unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until it is written down that all before that record was delivered.
    pub(crate) async fn until_delivered(&self, seq: u64) {
        let path = cursor::path(&self.chain(), "x");
        while !matches!(cursor::read(&path).unwrap(), Found::At(mark) if mark.seq >= seq) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a metric is that.
    pub(crate) async fn until_metric(&self, name: &str, is: impl Fn(u64) -> bool) {
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        while !is(self.metric(name)) {
            assert!(tokio::time::Instant::now() < until, "{}", self.metrics.lock().unwrap().text());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Open {
    pub(crate) async fn calls(&self, count: usize) {
        for number in 0..count {
            let facts = CallFacts {
                principal: Principal::of("https://id.example", &format!("alice-{number}"), None),
                upstream: "bank".into(),
                method: "tools/call".into(),
                outcome: "ok",
                took: Duration::from_micros(1234),
                detail: None,
            };
            if let Accept::Later(taken) = self.ledger.accept(&facts) {
                taken.await.unwrap();
            }
        }
    }

    pub(crate) async fn end(self) {
        self.ledger.close().await;
        self.feed.finish().await;
    }
}
