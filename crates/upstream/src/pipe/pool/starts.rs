//! Which conversations are being begun, and since when. One that takes longer than it may be silent is *late*: nobody waits for it
//! any more, and it goes on beginning.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base::sync::lock;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::last_words::LastWords;
use crate::link::Whose;

/// The most that a program may take to start, however much it writes meanwhile; more only where it may be silent for longer.
const LONGEST_START: Duration = Duration::from_secs(5 * 60);

/// What is being begun with one server.
#[derive(Debug, Default)]
pub(super) struct Starts(watch::Sender<Vec<Start>>);

#[derive(Debug)]
struct Start {
    number: u64,
    whose: Whose,
    /// Whether everybody waits for it.
    is_first: bool,
    since: Instant,
    /// Whether others are started before it.
    waits: bool,
    is_late: bool,
    signs: Signs,
}

/// Whether it is the turn of one that is to be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Others are begun before it.
    Waits,
    /// It is being begun since then.
    Since(Instant),
}

/// One that is being begun, until dropped.
#[derive(Debug)]
pub(super) struct Starting<'s> {
    starts: &'s Starts,
    number: u64,
    since: Instant,
    /// Whether none is there that could be used instead.
    alone: bool,
    /// What it shows of being at work.
    pub(super) signs: Signs,
}

/// When something that is being begun last showed that it is at work. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signs(Arc<Mutex<Heeded>>);

#[derive(Debug, Default)]
struct Heeded {
    last: Option<Instant>,
    /// What those that were started say, the newest last.
    words: Vec<LastWords>,
    /// Whose signs count, too.
    others: Option<Signs>,
}

/// Why one is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooLate {
    /// It showed nothing for so long.
    Silent(Duration),
    /// It has gone on showing that it is at work, and has taken so long in all.
    Slow(Duration),
}

impl Starts {
    /// One is being begun for `whose`; where it `is_first`, everybody waits for it, and where it is not `alone`, another one could be
    /// used instead.
    pub(super) fn begin(&self, whose: &Whose, (is_first, alone): (bool, bool)) -> Starting<'_> {
        let (mut number, since, signs) = (0, Instant::now(), Signs::default());
        // Only that one is late is news to anybody.
        self.0.send_if_modified(|starts| {
            number = starts.iter().map(|start| start.number + 1).max().unwrap_or(0);
            let (whose, signs) = (whose.clone(), signs.clone());
            starts.push(Start { number, whose, is_first, since, waits: true, is_late: false, signs });
            false
        });
        Starting { starts: self, number, since, alone, signs }
    }

    /// Becomes ready when one is late that `whose` would wait for; since when it is being begun.
    pub(super) async fn late(&self, whose: &Whose) -> Instant {
        let blocks = |start: &&Start| start.is_late && (start.is_first || start.whose.is_kin_of(whose));
        let mut starts = self.0.subscribe();
        loop {
            let late = starts.borrow_and_update().iter().find(blocks).map(|start| start.since);
            match late {
                Some(since) => return since,
                // Its sender is here as long as we are.
                None => drop(starts.changed().await),
            }
        }
    }

    /// What the oldest of them has said so far, if anything.
    pub(super) fn said(&self) -> Option<String> {
        let starts = self.0.borrow();
        starts.iter().min_by_key(|start| start.since).and_then(|start| start.signs.said())
    }

    /// How it stands with the oldest of them; of those that are late, if only they count.
    pub(super) fn oldest(&self, only_late: bool) -> Option<Turn> {
        let starts = self.0.borrow();
        let oldest =
            starts.iter().filter(|start| start.is_late || !only_late).min_by_key(|start| start.since);
        oldest.map(|start| if start.waits { Turn::Waits } else { Turn::Since(start.since) })
    }
}

impl Starting<'_> {
    /// Its turn has come: its time begins now.
    pub(super) fn goes(&mut self) {
        let since = Instant::now();
        self.since = since;
        self.starts.0.send_if_modified(|starts| {
            let start = starts.iter_mut().find(|start| start.number == self.number);
            if let Some(start) = start {
                (start.waits, start.since) = (false, since);
            }
            false
        });
    }

    /// Becomes ready when it is to be given up: after `silence` without a sign. `on_late` is called once if it is given more time
    /// than that.
    pub(super) async fn given_up(&self, silence: Duration, on_late: impl FnOnce()) -> TooLate {
        let most = if self.alone { LONGEST_START.max(silence) } else { silence };
        sleep_until(self.since + silence).await;
        let mut on_late = Some(on_late);
        loop {
            let quiet = self.signs.last().unwrap_or(self.since) + silence;
            let end = self.since + most;
            let (due, why) =
                if end < quiet { (end, TooLate::Slow(most)) } else { (quiet, TooLate::Silent(silence)) };
            if due <= Instant::now() {
                return why;
            }
            if let Some(on_late) = on_late.take() {
                on_late();
            }
            sleep_until(due).await;
        }
    }

    /// Nobody is to wait for it any more.
    pub(super) fn is_late_now(&self) {
        self.starts.0.send_modify(|starts| {
            if let Some(start) = starts.iter_mut().find(|start| start.number == self.number) {
                start.is_late = true;
            }
        });
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn is_late(&self) -> bool {
        let starts = self.starts.0.borrow();
        starts.iter().any(|start| start.number == self.number && start.is_late)
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.starts.0.send_if_modified(|starts| {
            starts.retain(|start| start.number != self.number);
            false
        });
    }
}

impl Signs {
    /// Counts whatever comes out of a source as a sign. Its bytes count, not its lines: what shows progress often ends none.
    pub(crate) fn heard_in<R>(&self, source: R) -> Heard<R> {
        Heard { source, signs: self.clone() }
    }

    /// Something was started that says this.
    pub(crate) fn listens(&self, words: &LastWords) {
        lock(&self.0).words.push(words.clone());
    }

    /// What was said last by what was started, if anything was.
    pub(crate) fn said(&self) -> Option<String> {
        let seen = lock(&self.0);
        let said = seen.words.iter().rev().find_map(LastWords::all);
        said.or_else(|| seen.others.as_ref().and_then(Self::said))
    }

    /// From now on what those have seen counts, too.
    pub(crate) fn count(&self, others: Self) {
        lock(&self.0).others = Some(others);
    }

    fn last(&self) -> Option<Instant> {
        let seen = lock(&self.0);
        seen.last.max(seen.others.as_ref().and_then(Self::last))
    }
}

/// A source that is listened to for signs.
#[derive(Debug)]
pub(crate) struct Heard<R> {
    source: R,
    signs: Signs,
}

impl<R: AsyncRead + Unpin> AsyncRead for Heard<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.source).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            lock(&self.signs.0).last = Some(Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}
