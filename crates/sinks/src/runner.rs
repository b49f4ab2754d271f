//! One sink at work: it reads behind the writer, delivers, waits for its receiver, and passes over what it may not keep waiting.
//!
//! It runs on a thread of its own, so whatever it does to files may take its time. What was delivered is written down after it was,
//! so a process that is killed delivers the last of it once more.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base::metrics::{SinkCounts, SinkFailure};
use base::plan::audit::OnFull;
use base::plan::feed::{RecordTypes, SinkPlan};
use base::sink::{Event, Sink};
use ledger::line::{Head, moment_of};
use ledger::reach::{Reach, Reached};
use ledger::spool::{Begin, Mark, Resumed, Spool, Stretch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cursor::{self, CursorFile, Found};
use crate::receiver::{Bounds, Receiver, Taken, Undelivered};
use crate::rejected;
use crate::shared::Shared;

/// How often it looks for more.
const LOOK: Duration = Duration::from_millis(250);
/// The pause after the first failure, and after many.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that a receiver may ask for.
const LONGEST_AFTER: Duration = Duration::from_secs(300);
/// The longest one while the process ends.
const PARTING_PAUSE: Duration = Duration::from_millis(500);
/// The same trouble is told so often.
const TELL: Duration = Duration::from_secs(60);
/// So many records in a row may be refused by a receiver before it has to show that it takes any.
const IN_A_ROW: usize = 8;
/// The most bytes of a record that is kept to try a receiver with.
const MOST_GOOD: usize = 64 * 1024;
/// After so many deliveries in a row, a receiver that took less at a time is given more again.
const GROWS_AFTER: u32 = 64;
/// How much is looked at once of what is passed over.
const PASSED: (usize, usize) = (4096, 1024 * 1024);

/// What one sink is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) plan: SinkPlan,
    pub(crate) receiver: Box<dyn Receiver>,
    pub(crate) directory: PathBuf,
    pub(crate) reach: Arc<Reach>,
    /// Up to where it was written when this process began to deliver.
    pub(crate) now: Reached,
    pub(crate) counts: Arc<SinkCounts>,
    /// The ledger, which is told what was passed over.
    pub(crate) tells: Arc<dyn Sink>,
    pub(crate) shared: Arc<Shared>,
    /// Its place among those that share.
    pub(crate) index: usize,
    /// Nothing more will be written: what is left is delivered, and then it is over.
    pub(crate) closing: CancellationToken,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There may be more.
    Again,
    /// There is nothing now.
    Idle,
}

#[derive(Debug)]
struct Runner {
    parts: Parts,
    spool: Spool,
    cursor: CursorFile,
    wanted: Option<BTreeSet<String>>,
    /// When the oldest record was made that waits.
    oldest: Option<SystemTime>,
    /// Since when records wait for others to go with them.
    gathering: Option<Instant>,
    /// The most records of one delivery.
    most: usize,
    good_deliveries: u32,
    failures: u32,
    /// So many records in a row were refused.
    in_a_row: usize,
    /// One that was taken.
    known_good: Option<String>,
    told: Option<Instant>,
}

/// Works until all is delivered that there will be.
pub(crate) async fn run(mut parts: Parts) {
    let mut failures = 0;
    loop {
        match Runner::open(parts) {
            Ok(runner) => {
                if failures > 0 {
                    runner.parts.shared.down(runner.parts.index, false);
                    // It is there again, whether or not there is anything to deliver.
                    runner.parts.counts.delivered(0);
                }
                return runner.run().await;
            }
            Err((same, error)) => {
                parts = same;
                parts.counts.failed(SinkFailure::Ledger);
                parts.shared.down(parts.index, true);
                // It is tried once a minute after a while, and so said as often.
                tracing::error!(sink = parts.plan.name, "the ledger cannot be read for this sink: {error}");
                if parts.closing.is_cancelled() {
                    return;
                }
                failures += 1;
                sleep(back_off(failures)).await;
            }
        }
    }
}

impl Runner {
    /// Goes to where it was, or begins.
    #[expect(clippy::result_large_err, reason = "who failed tries again with what it had")]
    fn open(parts: Parts) -> Result<Self, (Parts, io::Error)> {
        let opened = begin(&parts);
        match opened {
            Err(error) => Err((parts, error)),
            Ok((spool, cursor)) => {
                let wanted = match &parts.plan.types {
                    RecordTypes::These(types) => Some(types.iter().cloned().collect()),
                    RecordTypes::Usual | RecordTypes::All => None,
                };
                let most = parts.receiver.bounds().records;
                Ok(Self {
                    parts,
                    spool,
                    cursor,
                    wanted,
                    oldest: None,
                    gathering: None,
                    most,
                    good_deliveries: 0,
                    failures: 0,
                    in_a_row: 0,
                    known_good: None,
                    told: None,
                })
            }
        }
    }

    async fn run(mut self) {
        let closing = self.parts.closing.clone();
        loop {
            let is_closing = closing.is_cancelled();
            match self.round().await {
                Next::Again => {}
                Next::Idle if is_closing => return,
                Next::Idle => {
                    tokio::select! {
                        () = sleep(LOOK) => {}
                        () = closing.cancelled() => {}
                    }
                }
            }
        }
    }

    async fn round(&mut self) -> Next {
        self.measure();
        if self.is_over() && self.parts.plan.on_full == OnFull::Drop {
            return self.skip().await;
        }
        let bounds = self.parts.receiver.bounds();
        let is_closing = self.parts.closing.is_cancelled();
        let gathers = self.gathering.is_some_and(|since| since.elapsed() < self.parts.receiver.patience());
        if gathers && !is_closing && !self.fills(bounds) {
            return Next::Idle;
        }
        let stretch = match self.read((bounds.records, bounds.bytes)) {
            Ok(stretch) => stretch,
            Err(error) => {
                self.trouble(SinkFailure::Ledger, &error.to_string(), None).await;
                return Next::Again;
            }
        };
        if stretch.lines.is_empty() {
            (self.oldest, self.gathering) = (None, None);
            let Some(end) = stretch.end else { return Next::Idle };
            self.note_missing(&stretch);
            self.commit(end);
            return Next::Again;
        }
        self.oldest = time_of(&stretch.lines, 0);
        let since = *self.gathering.get_or_insert_with(Instant::now);
        let is_full = stretch.lines.len() >= bounds.records
            || stretch.lines.iter().map(String::len).sum::<usize>() >= bounds.bytes;
        if since.elapsed() < self.parts.receiver.patience() && !is_full && !is_closing {
            return Next::Idle;
        }
        self.note_missing(&stretch);
        self.deliver(stretch).await
    }

    fn read(&self, bounds: (usize, usize)) -> io::Result<Stretch> {
        let (types, wanted) = (&self.parts.plan.types, self.wanted.as_ref());
        self.spool.read(bounds, |head| match wanted {
            Some(wanted) => wanted.contains(head.kind),
            None => *types == RecordTypes::All || head.kind != "checkpoint",
        })
    }

    /// Delivers records in their order, whatever halves that takes.
    async fn deliver(&mut self, stretch: Stretch) -> Next {
        let (lines, mut from) = (&stretch.lines, 0);
        // Where halves end that something was refused in.
        let mut ends: Vec<usize> = Vec::new();
        while let Some(first) = lines.get(from) {
            self.oldest = time_of(lines, from);
            let end = ends.last().copied().unwrap_or(lines.len());
            let to = end.min(from + self.most.max(1));
            let Some(some) = lines.get(from..to) else { break };
            let taken = match self.attempt(some).await {
                Ok(taken) => taken,
                Err((cause, Undelivered::Later { why, after })) => {
                    self.trouble(cause, &why, after).await;
                    if self.must_skip() {
                        return Next::Again;
                    }
                    continue;
                }
                Err((cause, Undelivered::TooLarge { why })) if some.len() > 1 => {
                    self.parts.counts.failed(cause);
                    tracing::debug!(sink = self.parts.plan.name, records = some.len(), "too large: {why}");
                    (self.most, self.good_deliveries) = (some.len() / 2, 0);
                    continue;
                }
                Err((cause, Undelivered::Refused { .. })) if some.len() > 1 => {
                    self.parts.counts.failed(cause);
                    ends.push(from + some.len() / 2);
                    continue;
                }
                Err((cause, Undelivered::TooLarge { why } | Undelivered::Refused { why })) => {
                    self.parts.counts.failed(cause);
                    Taken { rejected: vec![(0, why)], ..Taken::default() }
                }
            };
            if !self.may_reject(some.len(), &taken).await {
                let said = taken.rejected.first().map(|(_, why)| why.as_str()).unwrap_or_default();
                self.trouble(SinkFailure::Refused, &format!("it takes nothing any more: {said}"), None).await;
                if self.must_skip() {
                    return Next::Again;
                }
                continue;
            }
            self.took(some, &taken, first);
            if let Some(mark) = to.checked_sub(1).and_then(|at| stretch.marks.get(at)) {
                self.commit(*mark);
            }
            from = to;
            while ends.last().is_some_and(|end| *end <= from) {
                ends.pop();
            }
        }
        (self.oldest, self.gathering) = (None, None);
        if let Some(end) = stretch.end {
            self.commit(end);
        }
        Next::Again
    }

    async fn attempt(&mut self, lines: &[String]) -> Result<Taken, (SinkFailure, Undelivered)> {
        let within = self.parts.plan.timeout;
        match timeout(within, self.parts.receiver.deliver(lines)).await {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(why)) => Err((
                match why {
                    Undelivered::Later { .. } => SinkFailure::Away,
                    Undelivered::TooLarge { .. } => SinkFailure::TooLarge,
                    Undelivered::Refused { .. } => SinkFailure::Refused,
                },
                why,
            )),
            Err(_elapsed) => {
                let why = format!("no answer within {within:?}");
                Err((SinkFailure::Late, Undelivered::Later { why, after: None }))
            }
        }
    }

    /// Whether records that are said to be wrong may be left out. Where a receiver takes nothing at all, what is wrong is it, or how we
    /// are set up: then nothing is lost over it, and everything waits.
    async fn may_reject(&mut self, count: usize, taken: &Taken) -> bool {
        if let Some(in_a_row) = in_a_row(self.in_a_row, count, taken) {
            self.in_a_row = in_a_row;
            return true;
        }
        let Some(good) = self.known_good.clone() else { return false };
        let takes = self.attempt(&[good]).await.is_ok_and(|taken| taken.rejected.is_empty());
        if takes {
            self.in_a_row = 0;
        }
        takes
    }

    fn took(&mut self, lines: &[String], taken: &Taken, first: &str) {
        let counts = &self.parts.counts;
        let path = rejected::path(&self.parts.directory, &self.parts.plan.name);
        for (at, why) in &taken.rejected {
            let Some(line) = lines.get(*at) else { continue };
            if let Err(error) = rejected::add(&path, line, why) {
                tracing::error!("{}: {error}", path.display());
            }
        }
        let rejected = taken.rejected.len();
        counts.rejected(taken.lost.saturating_add(rejected as u64));
        let good = (lines.len() - rejected.min(lines.len())) as u64;
        if good > 0 {
            counts.delivered(good.saturating_sub(taken.lost));
            if taken.lost == 0 && rejected == 0 && first.len() <= MOST_GOOD {
                self.known_good = Some(first.to_owned());
            }
            self.good_deliveries += 1;
        }
        if self.good_deliveries >= GROWS_AFTER {
            self.good_deliveries = 0;
            self.most = (2 * self.most).min(self.parts.receiver.bounds().records);
        }
        if self.failures > 0 && good > 0 {
            tracing::info!(sink = self.parts.plan.name, "the sink delivers again");
            (self.failures, self.told) = (0, None);
        }
        if rejected > 0 || taken.lost > 0 {
            let why = taken.rejected.first().map(|(_, why)| why.as_str()).unwrap_or_default();
            let what = format!("{} records were not taken: {why}", rejected as u64 + taken.lost);
            self.tell(&what);
        }
    }

    /// It has been delivered up to there.
    fn commit(&mut self, mark: Mark) {
        self.spool.go_to(mark);
        if let Err(error) = self.cursor.write(&mark) {
            self.parts.counts.failed(SinkFailure::Ledger);
            self.tell(&format!("how far it has come cannot be written down: {error}"));
        }
        self.measure();
    }

    /// Something does not work: waits a while, or until too much waits.
    async fn trouble(&mut self, cause: SinkFailure, why: &str, after: Option<Duration>) {
        self.parts.counts.failed(cause);
        self.failures = self.failures.saturating_add(1);
        self.tell(why);
        let asked = after.map(|after| after.clamp(FIRST_PAUSE, LONGEST_AFTER));
        let mut pause = asked.unwrap_or_else(|| back_off(self.failures));
        let closing = self.parts.closing.clone();
        let was_closing = closing.is_cancelled();
        if was_closing {
            pause = pause.min(PARTING_PAUSE);
        }
        let until = Instant::now() + pause;
        loop {
            self.measure();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.must_skip() {
                return;
            }
            tokio::select! {
                () = sleep(left.min(LOOK)) => {}
                () = closing.cancelled(), if !was_closing => return,
            }
        }
    }

    /// Says how much waits, and what of the ledger is still needed.
    fn measure(&mut self) {
        let at = self.spool.at();
        let bytes = self.spool.bytes_behind(&at);
        let records = self.parts.reach.reached().next.saturating_sub(at.seq);
        self.parts.counts.behind(records, bytes, self.oldest);
        let most = self.parts.plan.spool;
        // What is refused waits for it a while longer than what is passed over; but not for ever, or the disk would be full.
        let needs = match self.parts.plan.on_full {
            OnFull::Drop => at.segment,
            OnFull::Refuse => self.spool.segment_within(&at, most.saturating_mul(2)),
        };
        self.parts.shared.needs(self.parts.index, needs);
        if self.parts.plan.on_full == OnFull::Refuse {
            let is_full = bytes > most;
            let is_open = bytes <= most - most / 10;
            if (is_full || is_open) && self.parts.shared.fill(self.parts.index, is_full) {
                let outcome = if is_full { "full" } else { "open" };
                tracing::warn!(sink = self.parts.plan.name, bytes, "what waits for this sink: {outcome}");
                self.note(outcome, Vec::new());
            }
        }
    }

    /// Whether as much waits as goes into one delivery.
    fn fills(&mut self, bounds: Bounds) -> bool {
        let at = self.spool.at();
        let records = self.parts.reach.reached().next.saturating_sub(at.seq);
        records >= bounds.records as u64 || self.spool.bytes_behind(&at) >= bounds.bytes as u64
    }

    fn is_over(&mut self) -> bool {
        let at = self.spool.at();
        self.spool.bytes_behind(&at) > self.parts.plan.spool
    }

    fn must_skip(&mut self) -> bool {
        self.parts.plan.on_full == OnFull::Drop && self.is_over()
    }

    /// Passes over what waits longest, a tenth of what may wait, and says how much that was.
    async fn skip(&mut self) -> Next {
        let target = self.parts.plan.spool - self.parts.plan.spool / 10;
        let (first, mut lost) = (self.spool.at().seq, 0_u64);
        loop {
            let at = self.spool.at();
            let over = self.spool.bytes_behind(&at).saturating_sub(target);
            if over == 0 {
                break;
            }
            let over = usize::try_from(over).unwrap_or(usize::MAX).min(PASSED.1);
            let stretch = match self.read((PASSED.0, over)) {
                Ok(stretch) => stretch,
                Err(error) => {
                    self.trouble(SinkFailure::Ledger, &error.to_string(), None).await;
                    return Next::Again;
                }
            };
            let Some(end) = stretch.end else { break };
            // What nobody wants is passed over, too: no more goes than has to.
            let behind = self.spool.bytes_behind(&at);
            // More may be written meanwhile.
            let passed = |mark: &Mark, spool: &mut Spool| behind.saturating_sub(spool.bytes_behind(mark));
            let is_enough = |mark: &Mark, spool: &mut Spool| passed(mark, spool) >= over as u64;
            let enough = stretch.marks.iter().position(|mark| is_enough(mark, &mut self.spool));
            match enough.and_then(|last| Some((last, *stretch.marks.get(last)?))) {
                Some((last, mark)) if last + 1 < stretch.lines.len() => {
                    lost += last as u64 + 1 + stretch.missing;
                    self.spool.go_to(mark);
                }
                _ => {
                    lost += stretch.lines.len() as u64 + stretch.missing;
                    self.spool.go_to(end);
                }
            }
        }
        let at = self.spool.at();
        if at.seq == first {
            return Next::Idle;
        }
        self.commit(at);
        self.gathering = None;
        self.parts.counts.dropped(lost);
        let last = at.seq.saturating_sub(1);
        self.note(
            "skipped",
            vec![("records", lost.to_string()), ("first", first.to_string()), ("last", last.to_string())],
        );
        self.tell(&format!("more waited than may: {lost} records were passed over"));
        Next::Again
    }

    fn note_missing(&self, stretch: &Stretch) {
        let missing = stretch.missing.saturating_add(stretch.unreadable);
        if missing > 0 {
            missing_told(&self.parts, missing);
        }
    }

    fn note(&self, outcome: &str, more: Vec<(&'static str, String)>) {
        note(&self.parts, outcome, more);
    }

    /// Logs the same trouble now and then only.
    fn tell(&mut self, what: &str) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            self.told = Some(Instant::now());
            tracing::warn!(sink = self.parts.plan.name, "{what}");
        }
    }
}

fn note(parts: &Parts, outcome: &str, more: Vec<(&'static str, String)>) {
    let mut members = vec![("sink", parts.plan.name.clone()), ("outcome", outcome.to_owned())];
    members.extend(more);
    parts.tells.note(Event { kind: "sink", members });
}

fn missing_told(parts: &Parts, missing: u64) {
    parts.counts.dropped(missing);
    tracing::error!(
        sink = parts.plan.name,
        records = missing,
        "records that were to be delivered are not in the ledger any more"
    );
    note(parts, "missing", vec![("records", missing.to_string())]);
}

/// Where it was, or where it begins, which is written down at once.
fn begin(parts: &Parts) -> io::Result<(Spool, CursorFile)> {
    let path = cursor::path(&parts.directory, &parts.plan.name);
    let from = match cursor::read(&path)? {
        Found::At(mark) => Begin::At(mark),
        Found::Nothing if parts.plan.from_start => Begin::Start,
        Found::Nothing => Begin::After(parts.now),
        // Who wanted nothing of before does not get all of it.
        Found::Unreadable if !parts.plan.from_start => {
            tracing::error!(
                sink = parts.plan.name,
                "nobody knows how far this sink had come: it goes on with what comes now, and what it had not delivered is in the ledger only"
            );
            note(parts, "missing", Vec::new());
            Begin::After(parts.now)
        }
        Found::Unreadable => {
            tracing::warn!(
                sink = parts.plan.name,
                "nobody knows how far this sink had come: it begins at the start of the ledger"
            );
            Begin::Start
        }
    };
    let (spool, resumed) = Spool::open(&parts.directory, Arc::clone(&parts.reach), from)?;
    match resumed {
        Resumed::AsItWas => {}
        Resumed::CutBack => tracing::warn!(
            sink = parts.plan.name,
            "the end of the ledger was lost that this sink had delivered; it goes on with what was written instead"
        ),
        Resumed::Deleted(records) => missing_told(parts, records),
    }
    let mut cursor = CursorFile::open(&path)?;
    cursor.write(&spool.at())?;
    Ok((spool, cursor))
}

fn time_of(lines: &[String], at: usize) -> Option<SystemTime> {
    moment_of(Head::read(lines.get(at)?)?.time)
}

/// How many records in a row a receiver has refused, after another delivery; nothing where that is more than may be believed without
/// asking. Of what we have not given it, it has said nothing.
fn in_a_row(before: usize, count: usize, taken: &Taken) -> Option<usize> {
    let given = count.saturating_sub(taken.unfit);
    let refused = taken.rejected.len().saturating_sub(taken.unfit);
    match refused {
        _ if given == 0 => Some(before),
        refused if refused < given => Some(0),
        _ => Some(before + given).filter(|all| *all <= IN_A_ROW),
    }
}

/// The pause after so many failures in a row: twice as long each time, and not the same for all who wait.
fn back_off(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    let dice = base::random::bytes::<1>().map_or(0, |[byte]| u32::from(byte));
    doubled / 2 + doubled / 2 * dice / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_judge_ourselves_says_nothing_of_the_receiver() {
        let taken = |rejected: usize, unfit| Taken {
            rejected: (0..rejected).map(|at| (at, String::new())).collect(),
            unfit,
            lost: 0,
        };
        assert_eq!(in_a_row(7, 20, &taken(20, 20)), Some(7));
        assert_eq!(in_a_row(7, 20, &taken(19, 19)), Some(0));
        assert_eq!(in_a_row(7, 20, &taken(20, 19)), Some(8));
        assert_eq!(in_a_row(7, 20, &taken(20, 18)), None);
        assert_eq!(in_a_row(8, 1, &taken(1, 0)), None);
    }

    #[test]
    fn pauses_get_longer_and_have_an_end() {
        assert!((FIRST_PAUSE / 2..=FIRST_PAUSE).contains(&back_off(1)));
        for failures in [9, 10, 1000, u32::MAX] {
            assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&back_off(failures)));
        }
    }
}
