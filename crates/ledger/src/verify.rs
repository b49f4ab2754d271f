//! Whether a ledger is as it was written: of all replicas, over all segments, by nothing but its files and public keys.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use mcp::json::{self, Object};

use crate::chain::{CHECKPOINT, Chain, DELETED};
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::line::{self, Head};
use crate::place;
use crate::recover::LONGEST_LINE;
use crate::witness::Witnessed;

/// So many records may stand behind the last checkpoint: one is written each thousand, and a group before it, and a process that was
/// killed may have left as many.
const MOST_UNSIGNED: u64 = 8192;

/// The first thing that is wrong with one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Whose chain.
    pub replica: String,
    /// The segment's file.
    pub segment: Option<String>,
    /// The line in it, from 1.
    pub line: u64,
    /// The place of the record in the chain.
    pub seq: u64,
    /// What is wrong.
    pub why: String,
}

/// One chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaReport {
    /// Whose.
    pub replica: String,
    /// How many segments, records and checkpoints there are.
    pub segments: u64,
    /// How many records.
    pub records: u64,
    /// How many of them are checkpoints.
    pub checkpoints: u64,
    /// How many at the end no checkpoint covers yet.
    pub unsigned: u64,
    /// Of so many the witness has seen the same.
    pub witnessed: u64,
    /// Which time it begins and ends at.
    pub times: Option<(String, String)>,
    /// What is worth knowing, and not wrong.
    pub notes: Vec<String>,
}

/// What has become of a whole ledger.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Each chain, as far as it is good.
    pub replicas: Vec<ReplicaReport>,
    /// What is wrong; nothing where all is well.
    pub bad: Vec<Bad>,
}

/// What a ledger is held to.
#[derive(Debug, Clone, Default)]
pub struct Against {
    /// The keys that may have signed.
    pub keys: Vec<PublicKey>,
    /// The checkpoints that were kept elsewhere.
    pub witnessed: Witnessed,
}

/// Verifies a ledger.
///
/// # Errors
/// When it cannot be read.
pub fn verify(ledger: &Path, against: &Against) -> io::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let (replicas, _) = place::replicas(ledger)?;
    for (number, why) in &against.witnessed.odd {
        report.bad.push(elsewhere(
            "the witness",
            (*number).try_into().unwrap_or_default(),
            (*why).to_owned(),
        ));
    }
    for (replica, lines) in &against.witnessed.lines {
        if !replicas.contains(replica) {
            let most = lines.keys().next_back().copied().unwrap_or_default();
            let why = format!("all of its records are missing; the witness has a checkpoint at {most}");
            report.bad.push(elsewhere(replica, 0, why));
        }
    }
    for replica in replicas {
        let (one, bad) = Verifying::new(&replica, against).run(&ledger.join(&replica))?;
        report.replicas.push(one);
        report.bad.extend(bad);
    }
    Ok(report)
}

fn elsewhere(replica: &str, line: u64, why: String) -> Bad {
    Bad { replica: replica.to_owned(), segment: None, line, seq: 0, why }
}

struct Verifying<'a> {
    against: &'a Against,
    seen: Option<&'a BTreeMap<u64, String>>,
    chain: Chain,
    /// Where the chain goes on behind what was deleted: the place and hash of the last record of each segment that is said to be.
    deleted: Vec<(u64, Hash)>,
    /// The record that the chain begins with, if that is not its first one: whether what was before was deleted is said further on.
    begins: Option<(u64, Hash)>,
    report: ReplicaReport,
    segment: String,
    line: u64,
}

/// One line, or what is left of one.
enum Piece<'l> {
    Whole(&'l str),
    Torn(usize),
    Garbled,
}

impl<'a> Verifying<'a> {
    fn new(replica: &str, against: &'a Against) -> Self {
        Self {
            against,
            seen: against.witnessed.lines.get(replica),
            chain: Chain::new(replica),
            deleted: Vec::new(),
            begins: None,
            report: ReplicaReport { replica: replica.to_owned(), ..ReplicaReport::default() },
            segment: String::new(),
            line: 0,
        }
    }

    fn run(mut self, directory: &Path) -> io::Result<(ReplicaReport, Option<Bad>)> {
        let bad = match self.all(directory)? {
            Ok(()) => None,
            Err(why) => Some(Bad {
                replica: self.report.replica.clone(),
                segment: (!self.segment.is_empty()).then(|| self.segment.clone()),
                line: self.line,
                seq: self.chain.next(),
                why,
            }),
        };
        self.report.unsigned = self.chain.unsigned();
        Ok((self.report, bad))
    }

    fn all(&mut self, directory: &Path) -> io::Result<Result<(), String>> {
        let (numbers, others) = place::segments(directory)?;
        for other in others {
            self.report.notes.push(format!("{other} is nothing of the ledger's"));
        }
        let mut before = None;
        for (at, number) in numbers.iter().enumerate() {
            if let Some(before) = before.filter(|before| before + 1 != *number) {
                return Ok(Err(format!("segment {} is missing", before + 1)));
            }
            before = Some(*number);
            let path = place::segment(directory, *number);
            self.segment =
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            self.report.segments += 1;
            if let Err(why) = self.segment(&path, at + 1 == numbers.len())? {
                return Ok(Err(why));
            }
        }
        self.segment.clear();
        self.line = 0;
        Ok(self.whole())
    }

    /// What is wrong with the chain as a whole.
    fn whole(&mut self) -> Result<(), String> {
        if let Some((seq, prev)) = self.begins
            && !self.deleted.contains(&(seq.wrapping_sub(1), prev))
        {
            return Err(format!(
                "the records before {seq} are missing, and no signed record says that they were deleted"
            ));
        }
        let next = self.chain.next();
        match self.seen.and_then(|seen| seen.keys().next_back()) {
            Some(last) if *last >= next => Err(format!(
                "the end was cut off: the witness has a checkpoint at {last}, and the ledger ends before {next}"
            )),
            _ => Ok(()),
        }
    }

    fn segment(&mut self, path: &Path, is_last: bool) -> io::Result<Result<(), String>> {
        let mut from = BufReader::with_capacity(1024 * 1024, File::open(path)?);
        let mut bytes = Vec::new();
        self.line = 0;
        loop {
            bytes.clear();
            if from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            self.line += 1;
            let checked = match piece(&bytes) {
                Piece::Whole(line) => self.record(line),
                // A process was killed while it wrote, or is writing.
                Piece::Torn(length) if is_last && (length as u64) < LONGEST_LINE => {
                    self.report.notes.push(format!(
                        "the last line is not whole ({length} bytes): a process writes, or was killed while it wrote"
                    ));
                    Ok(())
                }
                Piece::Torn(_) => Err("the line has no end".to_owned()),
                Piece::Garbled => Err("this is no text".to_owned()),
            };
            if checked.is_err() {
                return Ok(checked);
            }
        }
        // A segment without a record is what a process leaves that is killed when it begins one.
        Ok(if self.line == 0 && !is_last {
            Err("there is nothing in this segment".to_owned())
        } else {
            Ok(())
        })
    }

    fn record(&mut self, line: &str) -> Result<(), String> {
        let head = Head::read(line).ok_or("this is no record of a ledger, or it was altered")?;
        if head.replica != self.chain.replica() {
            return Err(format!("this is a record of replica {}", head.replica));
        }
        if self.report.records == 0 && (head.seq, head.prev) != (0, Hash::NONE) {
            self.begins = Some((head.seq, head.prev));
            self.chain.jump(&head);
        }
        let next = self.chain.next();
        match head.seq {
            seq if seq > next => {
                return Err(format!("the records from {next} to {} are missing", seq - 1));
            }
            seq if seq < next => return Err(format!("record {seq} stands here instead of {next}")),
            _ => {}
        }
        if head.prev != self.chain.prev() {
            let before = next.saturating_sub(1);
            return Err(format!(
                "record {before} was altered, or this one: it does not follow the one that stands before it"
            ));
        }
        if let Some(seen) = self.seen.and_then(|seen| seen.get(&next))
            && seen != line
        {
            return Err("the witness has seen another checkpoint here: the chain was written anew".to_owned());
        }
        match head.kind {
            CHECKPOINT => self.checkpoint(&head, line)?,
            DELETED => {
                self.signature(&head, line)?;
                self.deleted.push(deleted(&head).ok_or("it does not say what was deleted")?);
                self.report
                    .notes
                    .push(format!("record {next} says that a segment was deleted because it was old"));
            }
            "start" if head.rest.contains("\"torn\":") => {
                self.report.notes.push(format!(
                    "before record {next} a process was killed while it wrote: what is no whole record was cut off"
                ));
            }
            "gap" => {
                self.report.notes.push(format!("record {next} says that records are lacking: {}", head.rest));
            }
            _ => {}
        }
        self.note_time(&head);
        self.chain.follow(&head, line);
        self.report.records += 1;
        if self.chain.unsigned() > MOST_UNSIGNED {
            return Err(format!(
                "nobody has signed the {MOST_UNSIGNED} records before this one: whoever wrote them had no key"
            ));
        }
        Ok(())
    }

    fn note_time(&mut self, head: &Head<'_>) {
        match &mut self.report.times {
            None => self.report.times = Some((head.time.to_owned(), head.time.to_owned())),
            Some((_, last)) => {
                // What is equal but for fractions of the last second is what threads do.
                if head.time < last.as_str() && head.time.get(..17) != last.get(..17) {
                    self.report.notes.push(format!(
                        "at record {} the clock went back from {last} to {}",
                        head.seq, head.time
                    ));
                }
                last.clear();
                last.push_str(head.time);
            }
        }
    }

    fn checkpoint(&mut self, head: &Head<'_>, line: &str) -> Result<(), String> {
        if !head.rest.starts_with(&self.chain.covered()) {
            if let Some((first, _)) = self.begins.filter(|_| self.report.checkpoints == 0) {
                return Err(format!(
                    "the records before {first} are missing, which this checkpoint covers, too"
                ));
            }
            return Err("this checkpoint does not cover the records that stand before it".to_owned());
        }
        self.signature(head, line)?;
        self.report.checkpoints += 1;
        self.report.witnessed += u64::from(self.seen.is_some_and(|seen| seen.contains_key(&head.seq)));
        Ok(())
    }

    fn signature(&self, head: &Head<'_>, line: &str) -> Result<(), String> {
        let (text, signature) = line::signed(line).ok_or("the signature is missing")?;
        // The rest of the line is the signature alone: what stood behind would be signed by nobody.
        let named = member(head, "key")
            .and_then(|text| PublicKey::of_text(&text))
            .ok_or("it does not say by whom it is signed")?;
        if !self.against.keys.contains(&named) {
            return Err(format!("it is signed with a key that is none of those given: {named}"));
        }
        if named.has_signed(text.as_bytes(), &signature) {
            Ok(())
        } else {
            Err("the signature is wrong".to_owned())
        }
    }
}

fn piece(bytes: &[u8]) -> Piece<'_> {
    match bytes.strip_suffix(b"\n") {
        None => Piece::Torn(bytes.len()),
        Some(line) => std::str::from_utf8(line).map_or(Piece::Garbled, Piece::Whole),
    }
}

/// A text that a record has beside its head.
fn member(head: &Head<'_>, name: &str) -> Option<String> {
    let text = rest_as_object(head)?;
    let object = Object::parse(&text).ok()?;
    Some(json::string(object.get(name).ok()??).ok()?.into_owned())
}

fn rest_as_object(head: &Head<'_>) -> Option<String> {
    Some(format!("{{{}", head.rest.strip_prefix(',')?))
}

fn deleted(head: &Head<'_>) -> Option<(u64, Hash)> {
    let text = rest_as_object(head)?;
    let object = Object::parse(&text).ok()?;
    let hash = json::string(object.get("hash").ok()??).ok()?;
    Some((object.get("last").ok()??.parse().ok()?, Hash::of_hex(hash.strip_prefix("sha256:")?)?))
}
