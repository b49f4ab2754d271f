//! The one thread that writes a chain: groups of records, a checkpoint now and then, and what is too old is deleted.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::clock::Clock;
use base::plan::audit::AuditPlan;

use crate::chain::{Chain, DELETED, ERASED};
use crate::disk::Disk;
use crate::key::SigningKey;
use crate::line::Head;
use crate::place::{self, Claim};
use crate::queue::{Gap, Queue};
use crate::recover::LONGEST_LINE;
use crate::shelf::Shelf;
use crate::witness::Witness;

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
    pub(crate) shelf: Shelf,
    pub(crate) witness: Option<Witness>,
    pub(crate) claim: Claim,
    /// Since when there are records that no checkpoint covers.
    pub(crate) unsigned_since: Option<Instant>,
    pub(crate) looked: Option<Instant>,
    /// Whether the witness could be told the last time.
    pub(crate) witness_fails: bool,
}

impl Writer {
    /// Writes the first record of a process. Nothing can be done where that fails.
    pub(crate) fn begin(&mut self, body: &str) -> io::Result<()> {
        let mut out = Vec::new();
        self.chain.record(&mut out, ("start", self.clock.now()), body);
        self.unsigned_since = Some(Instant::now());
        self.disk.write(&out)
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

    fn due_in(&self) -> Duration {
        self.unsigned_since.map_or(LOOK, |since| WITHIN.saturating_sub(since.elapsed()))
    }

    /// Writes what there is. Whether there may be more.
    fn group(&mut self, out: &mut Vec<u8>) -> bool {
        let segment = usize::try_from(self.plan.segment_bytes).unwrap_or(usize::MAX);
        let batch = self.queue.take(self.due_in(), GROUP.min(segment));
        if let Some(gap) = batch.gap {
            self.chain.record(out, ("gap", self.clock.now()), &told(gap));
        }
        for entry in &batch.entries {
            self.chain.record(out, (entry.kind, entry.at), &entry.body);
        }
        if batch.last {
            self.chain.record(out, ("end", self.clock.now()), "");
        }
        let stale = self.shelf.too_old(self.clock.now());
        for name in stale.iter().filter_map(|path| path.file_name()?.to_str()) {
            let body = format!(",\"file\":\"{name}\",\"why\":\"keep\"");
            self.chain.record(out, (ERASED, self.clock.now()), &body);
        }
        let old = self.too_old(out);
        if self.unsigned_since.is_none() && self.chain.unsigned() > 0 {
            self.unsigned_since = Some(Instant::now());
        }
        let written = u64::try_from(out.len()).unwrap_or(u64::MAX);
        let is_full = written > 0 && self.disk.length().saturating_add(written) >= self.plan.segment_bytes;
        let is_due = batch.last || is_full || self.chain.unsigned() >= EVERY || self.due_in().is_zero();
        let checkpoint = if is_due { self.chain.checkpoint(out, self.clock.now(), &self.key) } else { None };
        if self.chain.unsigned() == 0 {
            self.unsigned_since = None;
        }
        let payloads: String = batch.entries.iter().map(|entry| entry.payloads.as_str()).collect();
        if !out.is_empty() && !self.put(payloads.as_bytes(), out) {
            return false;
        }
        for entry in batch.entries {
            // Whoever made the call may have gone.
            entry.taken.map(|taken| taken.send(()));
        }
        if let Some(line) = checkpoint.and_then(|start| out.get(start..)) {
            self.tell_witness(line);
        }
        if !old.is_empty() {
            self.delete(&old);
        }
        if !stale.is_empty() {
            self.remove(&stale);
        }
        if is_full {
            self.disk.turn();
        }
        !batch.last
    }

    /// Writes lines, however long that takes. Nothing is given up before the process ends.
    fn put(&mut self, payloads: &[u8], lines: &[u8]) -> bool {
        let (mut tries, mut shelved) = (0, payloads.is_empty());
        loop {
            // What a record names is there before it is.
            let written = if shelved { Ok(()) } else { self.shelf.write(payloads) };
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
                std::thread::park_timeout(RETRY / 4);
            } else {
                self.queue.pause(RETRY);
            }
        }
    }

    fn tell_witness(&mut self, line: &[u8]) {
        let Some(witness) = &self.witness else { return };
        match witness.add(line) {
            Ok(()) => self.witness_fails = false,
            Err(error) if !self.witness_fails => {
                self.witness_fails = true;
                tracing::error!(
                    "a checkpoint of the ledger cannot be kept elsewhere (audit.witness): {error}"
                );
            }
            Err(_) => {}
        }
    }

    /// Says of segments that they are deleted, because all that is in them is too old.
    fn too_old(&mut self, out: &mut Vec<u8>) -> Vec<u64> {
        let Some(keep) = self.plan.keep else { return Vec::new() };
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let mut stamp = crate::line::Stamp::default();
        let Some(since) = self.clock.now().checked_sub(keep) else { return Vec::new() };
        let since = stamp.write(since).to_owned();
        let numbers = place::segments(&self.claim.directory).map(|(numbers, _)| numbers).unwrap_or_default();
        let mut old = Vec::new();
        for pair in numbers.windows(2).take(MOST_DELETED) {
            let &[number, next] = pair else { break };
            let first = |number| first_line(&place::segment(&self.claim.directory, number));
            let (Some(this), Some(behind)) = (first(number), first(next)) else { break };
            let (Some(this), Some(behind)) = (Head::read(&this), Head::read(&behind)) else { break };
            // What begins the next one is not older than what ends this one.
            if behind.time >= &*since || next > self.disk.number() {
                break;
            }
            let (first, last, hash) = (this.seq, behind.seq.saturating_sub(1), behind.prev);
            let body =
                format!(",\"segment\":{number},\"first\":{first},\"last\":{last},\"hash\":\"sha256:{hash}\"");
            self.chain.signed(out, (DELETED, self.clock.now()), &body, &self.key);
            old.push(number);
        }
        old
    }

    /// Files of payloads that are too old. What says that they are deleted is on the disk before they are.
    fn remove(&self, paths: &[PathBuf]) {
        if let Err(error) = self.disk.settle() {
            tracing::warn!("no payloads are deleted, however old: {error}");
            return;
        }
        for path in paths {
            match fs::remove_file(path) {
                Ok(()) => {
                    tracing::info!(file = %path.display(), "deleted: it is older than audit.payloads.keep");
                }
                Err(error) => tracing::warn!("{}: {error}", path.display()),
            }
        }
    }

    /// What says that they are deleted is on the disk before they are.
    fn delete(&self, numbers: &[u64]) {
        if let Err(error) = self.disk.settle() {
            tracing::warn!("nothing of the ledger is deleted, however old: {error}");
            return;
        }
        for path in numbers.iter().map(|number| place::segment(&self.claim.directory, *number)) {
            match fs::remove_file(&path) {
                Ok(()) => {
                    tracing::info!(segment = %path.display(), "deleted: all that is in it is older than audit.keep");
                }
                Err(error) => tracing::warn!("{}: {error}", path.display()),
            }
        }
    }
}

fn told(gap: Gap) -> String {
    let mut since = crate::line::Stamp::default();
    let since = since.write(gap.since);
    format!(",\"lost\":{},\"refused\":{},\"since\":\"{since}\"", gap.lost, gap.refused)
}

/// The first line of a segment, if it has one.
pub(crate) fn first_line(path: &Path) -> Option<String> {
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?).take(LONGEST_LINE).read_until(b'\n', &mut line).ok()?;
    line.pop_if(|byte| *byte == b'\n')?;
    String::from_utf8(line).ok()
}
