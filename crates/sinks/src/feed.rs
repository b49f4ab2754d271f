//! All sinks of a process, each on a thread of its own.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base::metrics::{Metrics, SinkCounts, SinkFailure};
use base::plan::feed::SinkPlan;
use base::sink::Sink;
use base::sync::lock;
use ledger::Ledger;
use ledger::reach::Reach;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::make::{self, Surroundings, Unmade};
use crate::runner::{self, Parts};
use crate::shared::{Shared, SpoolGate};

/// How long what is left may take when the process ends.
const PARTING: Duration = Duration::from_secs(5);

/// Why there is no feed.
#[derive(Debug, thiserror::Error)]
pub enum FeedFault {
    /// A receiver cannot be made.
    #[error(transparent)]
    Unmade(#[from] Unmade),
    /// The system gives no thread.
    #[error("cannot start a thread for sink {0:?}: {1}")]
    Thread(String, io::Error),
}

/// Has it seen that the thread of a sink died.
struct Seen {
    shared: Arc<Shared>,
    index: usize,
    counts: Arc<SinkCounts>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        if thread::panicking() {
            self.counts.failed(SinkFailure::Ledger);
            self.shared.down(self.index, true);
            tracing::error!("the thread of a sink died: nothing is delivered for it before the next start");
        }
    }
}

/// The sinks of one process, at work. Dropped, they stop where they are.
pub struct Feed {
    shared: Arc<Shared>,
    closing: CancellationToken,
    ended: Mutex<Vec<oneshot::Receiver<()>>>,
    _gone: DropGuard,
}

impl Feed {
    /// Begins to deliver what a ledger writes. The ledger was opened as one that is read ([`Ledger::open_read`]).
    ///
    /// # Errors
    /// When a receiver cannot be made, or the system gives no thread.
    pub fn start(
        plans: &[SinkPlan],
        ledger: &Arc<Ledger>,
        metrics: &Metrics,
        outside: &Surroundings,
    ) -> Result<Arc<Self>, FeedFault> {
        let tells = Arc::clone(ledger) as Arc<dyn Sink>;
        Self::over((ledger.directory(), ledger.reach()), plans, (&tells, metrics), outside)
    }

    fn over(
        (directory, reach): (&Path, Arc<Reach>),
        plans: &[SinkPlan],
        (tells, metrics): (&Arc<dyn Sink>, &Metrics),
        outside: &Surroundings,
    ) -> Result<Arc<Self>, FeedFault> {
        let shared = Arc::new(Shared::new(plans, Arc::clone(&reach)));
        let (closing, gone) = (CancellationToken::new(), CancellationToken::new());
        let (mut all, now) = (Vec::new(), reach.reached());
        for (index, plan) in plans.iter().enumerate() {
            let counts = Arc::new(SinkCounts::new(&plan.name, Arc::clone(&outside.clock)));
            metrics.sink(&counts);
            all.push(Parts {
                plan: plan.clone(),
                receiver: make::receiver(plan, outside)?,
                directory: directory.to_owned(),
                reach: Arc::clone(&reach),
                now,
                counts,
                tells: Arc::clone(tells),
                shared: Arc::clone(&shared),
                index,
                closing: closing.clone(),
            });
        }
        let mut ended = Vec::new();
        for parts in all {
            let name = parts.plan.name.clone();
            let (over, hears) = oneshot::channel();
            let fault = |error| FeedFault::Thread(name.clone(), error);
            let runtime = Builder::new_current_thread().enable_all().build().map_err(fault)?;
            let gone = gone.clone();
            let seen =
                Seen { shared: Arc::clone(&shared), index: parts.index, counts: Arc::clone(&parts.counts) };
            let work = move || {
                let _seen = seen;
                runtime.block_on(async {
                    tokio::select! {
                        () = Box::pin(runner::run(parts)) => {}
                        () = gone.cancelled() => {}
                    }
                });
                // Nobody may be waiting for that.
                let _unheard = over.send(());
            };
            thread::Builder::new().name(format!("sink-{name}")).spawn(work).map_err(fault)?;
            ended.push(hears);
        }
        Ok(Arc::new(Self { shared, closing, ended: Mutex::new(ended), _gone: gone.drop_guard() }))
    }

    /// What refuses calls while too much waits for a sink that is to lose nothing; nothing where no sink is such a one.
    #[must_use]
    pub fn gate(&self) -> Option<Arc<dyn Sink>> {
        self.shared.refuses().then(|| Arc::new(SpoolGate(Arc::clone(&self.shared))) as Arc<dyn Sink>)
    }

    /// Delivers what is left, now that the ledger has ended, as far as that is done in a few seconds.
    pub async fn finish(&self) {
        self.closing.cancel();
        let ended = std::mem::take(&mut *lock(&self.ended));
        let until = Instant::now() + PARTING;
        let mut late = 0;
        for ended in ended {
            late += usize::from(timeout_at(until, ended).await.is_err());
        }
        if late > 0 {
            tracing::warn!(sinks = late, "not all was delivered; the rest is when this process begins again");
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("shared", &self.shared).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base::clock::SystemClock;
    use base::plan::audit::OnFull;
    use base::plan::feed::{FilePlan, Format, ReceiverPlan, RecordTypes};

    use super::*;

    #[test]
    fn a_thread_that_died_is_seen_and_refuses_where_nothing_is_to_be_lost() {
        let file =
            FilePlan { path: "x".into(), rotate_bytes: 1, rotate_after: None, keep_files: 0, lasts: false };
        let plan = |on_full| SinkPlan {
            name: "x".to_owned(),
            receiver: ReceiverPlan::File(file.clone()),
            format: Format::Json,
            types: RecordTypes::All,
            spool: 1,
            on_full,
            timeout: PARTING,
            from_start: true,
        };
        for (on_full, refuses) in [(OnFull::Drop, false), (OnFull::Refuse, true)] {
            let metrics = Metrics::new();
            let counts = Arc::new(SinkCounts::new("x", Arc::new(SystemClock)));
            metrics.sink(&counts);
            let shared = Arc::new(Shared::new(&[plan(on_full)], Arc::new(Reach::new(true))));
            let gate = SpoolGate(Arc::clone(&shared));
            let seen = || Seen { shared: Arc::clone(&shared), index: 0, counts: Arc::clone(&counts) };
            drop(seen());
            assert!(!gate.refuse() && metrics.text().contains("portolan_sink_up{sink=\"x\"} 1"));
            let seen = seen();
            let died = thread::spawn(move || {
                let _seen = seen;
                panic!("as a test wants it");
            });
            assert!(died.join().is_err());
            assert!(metrics.text().contains("portolan_sink_up{sink=\"x\"} 0"));
            assert_eq!((gate.refuse(), gate.amiss().is_some()), (refuses, refuses));
        }
    }
}
