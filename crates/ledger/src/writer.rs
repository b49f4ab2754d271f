//! The one thread that writes a chain: groups of records, a checkpoint now and then, and what is too old is deleted.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use base::clock::Clock;
use base::plan::audit::AuditPlan;

use crate::chain::{Chain, DELETED, ERASED};
use crate::disk::Disk;
use crate::key::SigningKey;
use crate::line::{BACK, Head};
use crate::place::{self, Claim};
use crate::queue::{Gap, Queue};
use crate::reach::{Reach, Reached};
use crate::recover::LONGEST_LINE;
use crate::seek;
use crate::shelf::Shelf;
use crate::teller::Teller;

/// A checkpoint covers at most about so many records.
const EVERY: u64 = 1024;
/// And no record waits longer for one.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);
/// How much is written at once.
const GROUP: usize = 1024 * 1024;
/// How long until what could not be written is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How often it is tried when the process wants to end.
const LAST_TRIES: u32 = 8;
/// How often somebody looks for what is too old.
const LOOK: Duration = Duration::from_secs(3600);
/// In a segment of more than that, times ascend ([`crate::line::is_back`]): who looks for some need not read all of it.
pub(crate) const SMALL: u64 = 1024 * 1024;
/// When the clock goes back, a segment of so much comes to an end; a smaller one goes on up to it.
const MIXED: u64 = 64 * 1024;
/// About how much a record has beside its members.
const AROUND: usize = 512;
/// The most segments that are deleted at once.
const MOST_DELETED: usize = 16;

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) chain: Chain,
    pub(crate) disk: Disk,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) plan: AuditPlan,
    pub(crate) tellers: Vec<Arc<Teller>>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) shelf: Shelf,
    pub(crate) claim: Claim,
    /// Since when there are records that no checkpoint covers.
    pub(crate) unsigned_since: Option<Instant>,
    pub(crate) looked: Option<Instant>,
    /// When the process began, by two clocks.
    pub(crate) began: (SystemTime, Instant),
    /// Whether times do not ascend in the segment that is written.
    pub(crate) mixed: bool,
    /// The time of what was written last.
    pub(crate) newest: SystemTime,
    /// As long as it is here, somebody looks how long things take.
    pub(crate) _watched: mpsc::Sender<()>,
}

impl Writer {
    /// Writes the first record of a process, behind one of that time. Nothing can be done where that fails.
    pub(crate) fn begin(&mut self, body: &str, newest: Option<SystemTime>) -> io::Result<()> {
        let (mut out, now) = (Vec::new(), self.clock.now());
        if let Some(newest) = newest.filter(|newest| now + BACK < *newest) {
            // While nobody was here, the clock went back.
            self.newest = newest;
            self.mixed = true;
            if self.disk.length() >= MIXED {
                self.chain.checkpoint(&mut out, newest, &self.key);
                if !out.is_empty() {
                    self.disk.write(&out)?;
                }
                self.turn();
                out.clear();
            }
        }
        self.queue.goes_on_from(now);
        self.chain.record(&mut out, ("start", now), body);
        self.unsigned_since = Some(Instant::now());
        self.disk.write(&out)?;
        self.publish();
        Ok(())
    }

    /// Says how far it has come to those who read behind it.
    fn publish(&self) {
        let (segment, length) = (self.disk.number(), self.disk.length());
        self.reach.come_to(Reached { segment, length, next: self.chain.next() });
    }

    /// Writes until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let mut out = Vec::new();
        while self.group(&mut out) {
            out.clear();
            // What was large once need not stay so.
            out.shrink_to(2 * GROUP);
        }
    }

    /// The time, as far as it is believed where things are deleted by it: a clock that leaps ahead must not have everything deleted, and is
    /// believed when the next process begins.
    fn believed(&self) -> SystemTime {
        let (began, since_then) = self.began;
        self.clock.now().min(began + since_then.elapsed())
    }

    /// How long until there is something to do, whether or not a record comes.
    fn idles_for(&self) -> Duration {
        let looks_in = match (self.plan.keep, self.looked) {
            (Some(_), None) => Duration::ZERO,
            (Some(_), Some(looked)) => LOOK.saturating_sub(looked.elapsed()),
            (None, _) => LOOK,
        };
        self.due_in().min(looks_in).min(self.shelf.looks_in())
    }

    fn due_in(&self) -> Duration {
        self.unsigned_since.map_or(LOOK, |since| WITHIN.saturating_sub(since.elapsed()))
    }

    /// Writes what there is. Whether there may be more.
    fn group(&mut self, out: &mut Vec<u8>) -> bool {
        let segment = usize::try_from(self.plan.segment_bytes).unwrap_or(usize::MAX);
        let batch = self.queue.take(self.idles_for(), GROUP.min(segment), || self.clock.now());
        let bytes: usize = batch.entries.iter().map(|entry| entry.body.len() + AROUND).sum();
        if self.mixed && self.disk.length().saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)) > SMALL {
            // What is mixed stays small, and what comes is not.
            if self.chain.checkpoint(out, self.newest, &self.key).is_some() && !self.put(&[], out) {
                return false;
            }
            self.tellers.iter().filter(|_| !out.is_empty()).for_each(|teller| teller.tell(out));
            out.clear();
            self.turn();
        }
        for entry in &batch.entries {
            self.chain.record(out, (entry.kind, entry.at), &entry.body);
        }
        self.newest = batch.at;
        if let Some(gap) = batch.gap {
            self.chain.record(out, ("gap", batch.at), &told(gap));
        }
        let believed = self.believed();
        let stale = self.shelf.too_old(believed);
        let mut until = crate::line::Stamp::default();
        for (path, written) in &stale {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let until = until.write(*written);
            let body = format!(",\"file\":\"{name}\",\"until\":\"{until}\",\"why\":\"keep\"");
            self.chain.record(out, (ERASED, batch.at), &body);
        }
        if let Some(body) = &batch.last {
            self.chain.record(out, ("end", batch.at), body);
        }
        let old = self.too_old(out, batch.at, believed);
        if self.unsigned_since.is_none() && self.chain.unsigned() > 0 {
            self.unsigned_since = Some(Instant::now());
        }
        let length = self.disk.length().saturating_add(u64::try_from(out.len()).unwrap_or(u64::MAX));
        let turns = self.turns(length, batch.back) && length > 0;
        let is_due =
            batch.last.is_some() || turns || self.chain.unsigned() >= EVERY || self.due_in().is_zero();
        let checkpoint = if is_due { self.chain.checkpoint(out, batch.at, &self.key) } else { None };
        if self.chain.unsigned() == 0 {
            self.unsigned_since = None;
        }
        let payloads: String = batch.entries.iter().map(|entry| entry.payloads.as_str()).collect();
        if !out.is_empty() && !self.put(payloads.as_bytes(), out) {
            return false;
        }
        if !out.is_empty() {
            self.publish();
        }
        for entry in batch.entries {
            // Whoever made the call may have gone.
            entry.taken.map(|taken| taken.send(()));
        }
        if let Some(line) = checkpoint.and_then(|start| out.get(start..)) {
            self.tellers.iter().for_each(|teller| teller.tell(line));
        }
        if !old.is_empty() && !self.delete(&old) {
            self.looked = Some(Instant::now());
        }
        if !stale.is_empty() && !self.remove(&stale) {
            self.shelf.waits();
        }
        if turns {
            self.turn();
        }
        if self.queue.idle() {
            tracing::info!("the ledger's disk answers again");
        }
        batch.last.is_none()
    }

    fn turn(&mut self) {
        self.disk.turn();
        self.mixed = false;
    }

    /// Whether what comes next stands in a new segment. In one, times ascend, unless it is small.
    fn turns(&mut self, length: u64, back: bool) -> bool {
        self.mixed |= back && length > 0;
        length >= self.plan.segment_bytes || (self.mixed && length >= MIXED)
    }

    /// Writes lines, however long that takes. Nothing is given up before the process ends.
    fn put(&mut self, payloads: &[u8], lines: &[u8]) -> bool {
        let (mut tries, mut shelved) = (0, payloads.is_empty());
        loop {
            self.queue.busy();
            // What a record names is there before it is.
            let written = if shelved { Ok(()) } else { self.shelf.write(payloads, self.believed()) };
            shelved |= written.is_ok();
            let Err(error) = written.and_then(|()| self.disk.write(lines)) else {
                if self.queue.recover() {
                    tracing::info!("the ledger can be written again");
                }
                return true;
            };
            if self.queue.fail(error.to_string()) {
                let directory = self.claim.directory.display();
                tracing::error!(%directory, "the ledger cannot be written: {error}");
            }
            if self.queue.is_closing() {
                tries += 1;
                if tries > LAST_TRIES {
                    tracing::error!("the last records could not be written into the ledger");
                    return false;
                }
                thread::park_timeout(RETRY / 4);
            } else {
                self.queue.pause(RETRY);
            }
        }
    }

    /// Says of segments that they are deleted, because all that is in them is too old.
    fn too_old(&mut self, out: &mut Vec<u8>, at: SystemTime, now: SystemTime) -> Vec<u64> {
        let Some(keep) = self.plan.keep else { return Vec::new() };
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let mut stamp = crate::line::Stamp::default();
        let Some(since) = now.checked_sub(keep) else { return Vec::new() };
        let since = stamp.write(since).to_owned();
        let numbers = place::segments(&self.claim.directory).map(|(numbers, _)| numbers).unwrap_or_default();
        let mut old = Vec::new();
        for pair in numbers.windows(2).take(MOST_DELETED) {
            let &[number, next] = pair else { break };
            let first = |number| first_line(&place::segment(&self.claim.directory, number));
            let (Some(this), Some(behind)) = (first(number), first(next)) else { break };
            let (Some(this), Some(behind)) = (Head::read(&this), Head::read(&behind)) else { break };
            // What begins the next one is not older than what ends this one, unless the clock went back.
            let newest = newest_in(&place::segment(&self.claim.directory, number));
            let is_young = behind.time >= &*since || newest.is_none_or(|newest| newest >= since);
            if is_young || next > self.disk.number() || self.reach.holds(number) {
                break;
            }
            let (first, last, hash) = (this.seq, behind.seq.saturating_sub(1), behind.prev);
            let body =
                format!(",\"segment\":{number},\"first\":{first},\"last\":{last},\"hash\":\"sha256:{hash}\"");
            self.chain.signed(out, (DELETED, at), &body, &self.key);
            old.push(number);
        }
        if old.len() == MOST_DELETED {
            // There may be more.
            self.looked = None;
        }
        old
    }

    /// Files of payloads that are too old. Whether they are deleted.
    fn remove(&self, files: &[(PathBuf, SystemTime)]) -> bool {
        self.unlink(files.iter().map(|(path, _)| path.clone()), "audit.payloads.keep")
    }

    /// Segments that are too old. Whether they are deleted.
    fn delete(&self, numbers: &[u64]) -> bool {
        let paths = numbers.iter().map(|number| place::segment(&self.claim.directory, *number));
        self.unlink(paths, "audit.keep")
    }

    /// What says that they are deleted is on the disk before they are.
    fn unlink(&self, paths: impl Iterator<Item = PathBuf>, key: &str) -> bool {
        self.queue.busy();
        if let Err(error) = self.disk.settle() {
            tracing::warn!("nothing is deleted, however old: {error}");
            return false;
        }
        let mut all = true;
        for path in paths {
            // Many that are slow are no disk that hangs.
            self.queue.busy();
            match fs::remove_file(&path) {
                Ok(()) => {
                    tracing::info!(file = %path.display(), "deleted: all that is in it is older than {key}");
                }
                Err(error) => {
                    all = false;
                    tracing::warn!("{}: {error}", path.display());
                }
            }
        }
        all
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if thread::panicking() {
            self.queue.fail("the thread that writes has died".to_owned());
        }
        self.tellers.iter().for_each(|teller| teller.close());
    }
}

fn told(gap: Gap) -> String {
    let mut since = crate::line::Stamp::default();
    let since = since.write(gap.since);
    format!(",\"lost\":{},\"refused\":{},\"since\":\"{since}\"", gap.lost, gap.refused)
}

/// The newest time in a segment, or one a little before it.
fn newest_in(path: &Path) -> Option<String> {
    let file = place::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    if length > SMALL {
        return seek::begins_at(&file, seek::last(&file, length).ok()?.0).ok()?.map(|(time, _)| time);
    }
    let mut bytes = Vec::new();
    file.take(SMALL).read_to_end(&mut bytes).ok()?;
    let times = bytes.split(|byte| *byte == b'\n').filter_map(|line| Some(crate::line::begins(line)?.0));
    times.max().map(str::to_owned)
}

/// The first line of a segment, if it has one.
pub(crate) fn first_line(path: &Path) -> Option<String> {
    let mut line = Vec::new();
    BufReader::new(place::open(path).ok()?).take(LONGEST_LINE).read_until(b'\n', &mut line).ok()?;
    line.pop_if(|byte| *byte == b'\n')?;
    String::from_utf8(line).ok()
}
