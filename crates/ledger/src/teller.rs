//! Tells somebody else of checkpoints, in a thread of its own: a witness that fails, or hangs, never stops the ledger.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use base::metrics::Metrics;
use base::sync::lock;
use tokio::sync::oneshot;

/// So many checkpoints wait for a witness that is away: of a busy gateway those of an hour. Of more, the oldest make way: each later one
/// stands for all before it.
const MOST: usize = 4096;
/// So many are told at once.
const AT_ONCE: usize = 64;
/// How long until what failed is tried again: at first, and at most.
const RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// How often it is tried when the process wants to end.
const LAST_TRIES: u32 = 3;

/// Somebody who keeps checkpoints where those who can write the ledger cannot.
pub trait Elsewhere: Debug + Send {
    /// What it is called in metrics and in the log: a word.
    fn name(&self) -> &'static str;

    /// Keeps checkpoints, each a line with its line break. They may come again.
    ///
    /// # Errors
    /// When it cannot; then all of them come again.
    fn add(&mut self, lines: &[Vec<u8>]) -> io::Result<()>;

    /// The place of the last checkpoint of a replica that it has seen lately.
    ///
    /// # Errors
    /// When it cannot be read.
    fn last_of(&mut self, replica: &str) -> io::Result<Option<u64>>;
}

#[derive(Debug, Default)]
struct Untold {
    lines: VecDeque<Vec<u8>>,
    /// So many have made way.
    left_out: u64,
    closing: bool,
    /// Since when it has not come back.
    busy: Option<Instant>,
    away: bool,
}

/// What waits to be told to one witness.
#[derive(Debug)]
pub(crate) struct Teller {
    name: &'static str,
    untold: Mutex<Untold>,
    wake: Condvar,
    metrics: Arc<Metrics>,
}

/// A thread that tells.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) teller: Arc<Teller>,
    /// What it has seen of this replica.
    seen: mpsc::Receiver<io::Result<Option<u64>>>,
    pub(crate) ended: oneshot::Receiver<()>,
}

impl Told {
    /// What it has seen, as far as it says so in time. One that cannot be read stops nothing.
    pub(crate) fn has_seen(&self, patience: Duration) -> Option<u64> {
        match self.seen.recv_timeout(patience) {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => {
                self.teller.cannot(&error);
                None
            }
            Err(_late) => None,
        }
    }
}

impl Teller {
    /// Begins to tell it. First it is asked for what it has seen of a replica.
    pub(crate) fn begin(
        mut elsewhere: Box<dyn Elsewhere>,
        replica: &str,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Told> {
        let (name, metrics) = (elsewhere.name(), Arc::clone(metrics));
        let (untold, wake) = (Mutex::default(), Condvar::new());
        let teller = Arc::new(Self { name, untold, wake, metrics });
        teller.is_away(false);
        let (say, seen) = mpsc::channel();
        let (over, ended) = oneshot::channel();
        let (own, replica) = (Arc::clone(&teller), replica.to_owned());
        let run = move || {
            own.busy(true);
            // Who has begun without it does not hear it.
            drop(say.send(elsewhere.last_of(&replica)));
            own.busy(false);
            own.run(&mut *elsewhere);
            let _unheard = over.send(());
        };
        thread::Builder::new().name(format!("witness-{name}")).spawn(run)?;
        Ok(Told { teller, seen, ended })
    }

    /// Has a checkpoint told as soon as that can be.
    pub(crate) fn tell(&self, line: &[u8]) {
        let mut untold = lock(&self.untold);
        if untold.lines.len() >= MOST {
            untold.lines.pop_front();
            untold.left_out += 1;
        }
        untold.lines.push_back(line.to_owned());
        drop(untold);
        self.wake.notify_all();
    }

    /// Nothing comes any more.
    pub(crate) fn close(&self) {
        lock(&self.untold).closing = true;
        self.wake.notify_all();
    }

    /// Looks whether it has been at one thing for longer than that.
    pub(crate) fn look(&self, patience: Duration) {
        let mut untold = lock(&self.untold);
        let is_late = untold.busy.is_some_and(|since| since.elapsed() > patience);
        if is_late && !std::mem::replace(&mut untold.away, true) {
            drop(untold);
            self.is_away(true);
            tracing::error!(
                witness = self.name,
                "the ledger's witness has not answered for {} seconds: a cut end of the ledger would not be seen; calls go on",
                patience.as_secs()
            );
        }
    }

    /// It could not be asked. Whoever can write to it again has it back.
    fn cannot(&self, error: &io::Error) {
        if !std::mem::replace(&mut lock(&self.untold).away, true) {
            self.is_away(true);
        }
        tracing::error!(
            witness = self.name,
            "what the ledger's witness has seen cannot be read: whether the ledger ends where it did nobody can say now; calls go on: {error}"
        );
    }

    fn is_away(&self, is_away: bool) {
        self.metrics.witness_away(self.name, is_away);
    }

    fn busy(&self, is_busy: bool) {
        lock(&self.untold).busy = is_busy.then(Instant::now);
    }

    fn run(&self, elsewhere: &mut dyn Elsewhere) {
        let (mut pause, mut tries) = (RETRY, 0);
        loop {
            let lines = self.wait();
            if lines.is_empty() {
                return;
            }
            let done = elsewhere.add(&lines);
            let mut untold = lock(&self.untold);
            untold.busy = None;
            match done {
                Ok(()) => {
                    let left_out = std::mem::take(&mut untold.left_out);
                    let was_away = std::mem::replace(&mut untold.away, false);
                    drop(untold);
                    pause = RETRY;
                    if was_away {
                        self.is_away(false);
                        tracing::info!(witness = self.name, left_out, "the ledger's witness is back");
                    }
                }
                Err(error) => {
                    let was_away = std::mem::replace(&mut untold.away, true);
                    // In their order, before what has come since.
                    let place = MOST.saturating_sub(untold.lines.len());
                    let skipped = lines.len().saturating_sub(place);
                    untold.left_out += u64::try_from(skipped).unwrap_or_default();
                    for line in lines.into_iter().skip(skipped).rev() {
                        untold.lines.push_front(line);
                    }
                    if untold.closing {
                        (tries, pause) = (tries + 1, RETRY);
                    }
                    if !was_away {
                        self.is_away(true);
                        tracing::error!(
                            witness = self.name,
                            "a checkpoint of the ledger cannot be kept elsewhere: a cut end of the ledger would not be seen; calls go on: {error}"
                        );
                    }
                    if tries >= LAST_TRIES {
                        tracing::error!(witness = self.name, "the last checkpoints were not kept elsewhere");
                        return;
                    }
                    let waited = self.wake.wait_timeout_while(untold, pause, |now| !now.closing || tries > 0);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                    pause = (pause * 2).min(LONGEST_RETRY);
                }
            }
        }
    }

    /// Waits for checkpoints; none when it is all over.
    fn wait(&self) -> Vec<Vec<u8>> {
        let untold = lock(&self.untold);
        let waited = self.wake.wait_while(untold, |now| now.lines.is_empty() && !now.closing);
        let mut untold = waited.unwrap_or_else(PoisonError::into_inner);
        let many = untold.lines.len().min(AT_ONCE);
        let lines: Vec<_> = untold.lines.drain(..many).collect();
        untold.busy = (!lines.is_empty()).then(Instant::now);
        lines
    }
}
