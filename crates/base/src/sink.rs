//! Where the records of calls go: metrics, and whatever else wants to know of each call that is over.

use std::borrow::Cow;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use auth::Principal;

use crate::metrics::Metrics;

/// What is known of a call, or of another request, that is over.
#[derive(Debug)]
pub struct CallFacts {
    /// Who has made it.
    pub principal: Principal,
    /// The name of the server that it went to; empty if that was none in particular.
    pub upstream: Arc<str>,
    /// The method, as far as it is one that is known.
    pub method: Cow<'static, str>,
    /// How it ended: `ok`, `error` (the server's own), `input_required`, `cancelled`, or the label of an error of ours
    /// (docs/reference/errors.md).
    pub outcome: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// Whether a sink has taken a record.
#[expect(missing_debug_implementations, reason = "a future has nothing to show")]
pub enum Accept<'a> {
    /// It has.
    Now,
    /// It will have when this is done.
    Later(Pin<Box<dyn Future<Output = ()> + Send + 'a>>),
}

/// Takes the record of each call that is over. The last thing of a call leaves when all sinks have taken it.
pub trait Sink: Send + Sync + Debug {
    /// Takes a record.
    fn accept<'a>(&'a self, facts: &'a CallFacts) -> Accept<'a>;

    /// Whether it ever says [`Accept::Later`].
    fn waits(&self) -> bool {
        false
    }
}

impl Sink for Metrics {
    fn accept<'a>(&'a self, facts: &'a CallFacts) -> Accept<'a> {
        self.call(&facts.upstream, &facts.method, facts.outcome, facts.took);
        Accept::Now
    }
}

/// All sinks of one process.
#[derive(Debug, Clone)]
pub struct Sinks {
    all: Arc<[Arc<dyn Sink>]>,
    waits: bool,
}

impl Sinks {
    /// These, in this order.
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Sink>>) -> Self {
        Self { waits: all.iter().any(|sink| sink.waits()), all: all.into() }
    }

    /// The metrics alone.
    #[must_use]
    pub fn counting(metrics: &Arc<Metrics>) -> Self {
        Self::new(vec![Arc::clone(metrics) as Arc<dyn Sink>])
    }

    /// Whether any of them takes its time.
    #[must_use]
    pub fn wait(&self) -> bool {
        self.waits
    }

    /// Gives a record to all of them, which take it at once. Those that would not are left out: see [`Sinks::wait`].
    pub fn tell(&self, facts: &CallFacts) {
        for sink in &*self.all {
            drop(sink.accept(facts));
        }
    }

    /// Gives a record to all of them, and waits until each has taken it.
    pub async fn deliver(self, facts: CallFacts) {
        for sink in &*self.all {
            if let Accept::Later(taken) = sink.accept(&facts) {
                taken.await;
            }
        }
    }
}
