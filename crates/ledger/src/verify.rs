//! Whether a ledger is as it was written: of all replicas, over all segments, by nothing but its files and public keys.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use mcp::json::{self, Object};

use crate::chain::{CHECKPOINT, Chain, DELETED};
use crate::compare::{self, Comparison, Extent, Known, Shown};
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::line::{self, Head};
use crate::place::{self, Loose};
use crate::recover::{LONGEST_LINE, hole};

/// So many records may stand behind the last checkpoint: one is written each thousand, and a group before it, and a process that was
/// killed may have left as many.
const MOST_UNSIGNED: u64 = 8192;
/// So many notes are kept of one chain; of more, how many.
const MOST_NOTES: usize = 100;

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
    /// Of so many a witness has seen the same.
    pub witnessed: u64,
    /// The place of the last of these.
    pub witnessed_to: Option<u64>,
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
    /// What is worth knowing of the whole, and not wrong.
    pub notes: Vec<String>,
    /// Lines of witnesses that were never whole: a disk was full, or a process writes. They say nothing.
    pub torn: u64,
}

/// What a ledger is held to.
#[derive(Debug, Clone, Default)]
pub struct Against {
    /// The keys that may have signed.
    pub keys: Vec<PublicKey>,
    /// Files with the checkpoints that were kept elsewhere.
    pub witnesses: Vec<PathBuf>,
}

/// A ledger whose chains are verified, and are yet to be compared with what others have seen.
#[derive(Debug)]
pub struct Verified {
    report: VerifyReport,
    comparison: Comparison,
}

/// Verifies a ledger.
///
/// # Errors
/// When it cannot be read.
pub fn verify(ledger: &Path, against: &Against) -> io::Result<VerifyReport> {
    let verified = Verified::of(ledger, against)?;
    Ok(verified.report())
}

impl Verified {
    /// Verifies the chains, and compares them with files.
    ///
    /// # Errors
    /// When the ledger, or one of the files, cannot be read.
    pub fn of(ledger: &Path, Against { keys, witnesses }: &Against) -> io::Result<Self> {
        let mut report = VerifyReport::default();
        let mut comparison = Comparison::by(keys);
        let length = |path: &Path| std::fs::metadata(path).map(|facts| facts.len());
        // What they see from now on is of records that may not be looked at.
        let files = witnesses.iter().map(|path| Ok((compare::begins(path), length(path)?, path)));
        let mut files = files.collect::<io::Result<Vec<_>>>()?;
        files.sort();
        let (replicas, others) = place::replicas(ledger)?;
        if place::loose(ledger) == Some(Loose::Written) {
            report.notes.push("others than its owner may write into the ledger's directory".to_owned());
        }
        for other in others.iter().take(MOST_NOTES) {
            report.notes.push(format!("{other} is no replica's directory, and was not looked at"));
        }
        for replica in replicas {
            let directory = ledger.join(&replica);
            let (one, bad, segments, next) = Verifying::new(&replica, keys).run(&directory)?;
            // Of a chain that is bad one knows enough.
            let segments = if bad.is_none() { segments } else { Vec::new() };
            let next = if bad.is_none() { next } else { u64::MAX };
            comparison.chains.insert(replica, (Known { directory, segments, next }, Shown::default()));
            report.replicas.push(one);
            report.bad.extend(bad);
        }
        for (_, length, path) in files {
            comparison.file(path, length)?;
        }
        Ok(Self { report, comparison })
    }

    /// Compares with a checkpoint that somebody has kept, the one of that number there.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn compare(&mut self, (whose, number): (&Path, u64), line: &str) -> io::Result<()> {
        self.comparison.line(whose, number, line)
    }

    /// All of it.
    #[must_use]
    pub fn report(self) -> VerifyReport {
        let Self { mut report, comparison } = self;
        report.torn = comparison.torn;
        for (path, line) in comparison.odd {
            let why = "this is no checkpoint".to_owned();
            report.bad.push(elsewhere(&format!("the witness {}", path.display()), line, why));
        }
        for (replica, last) in &comparison.absent {
            let why = format!("all of its records are missing; the witness has a checkpoint at {last}");
            report.bad.push(elsewhere(replica, 0, why));
        }
        if comparison.strange > 0 {
            report.notes.push(format!(
                "so many lines of witnesses are no checkpoints of ours, and say nothing: no key that is given has signed them: {}",
                comparison.strange
            ));
        }
        if comparison.more > 0 {
            let why = format!(
                "so many of its lines are no checkpoints, or of replicas that are missing, too: {}",
                comparison.more
            );
            report.bad.push(elsewhere("the witness", 0, why));
        }
        for one in &mut report.replicas {
            let Some((known, shown)) = comparison.chains.get(&one.replica) else { continue };
            (one.witnessed, one.witnessed_to) = (shown.same, shown.last);
            let (seq, why) = match (shown.other, shown.beyond) {
                (Some(other), _) => (
                    other,
                    "the witness has seen another checkpoint here: the chain was written anew".to_owned(),
                ),
                (None, Some(last)) => {
                    let next = known.next;
                    let why = format!(
                        "the end was cut off: the witness has a checkpoint at {last}, and the ledger ends before {next}"
                    );
                    (next, why)
                }
                (None, None) => continue,
            };
            report.bad.push(Bad { replica: one.replica.clone(), segment: None, line: 0, seq, why });
        }
        report
    }
}

fn elsewhere(replica: &str, line: u64, why: String) -> Bad {
    Bad { replica: replica.to_owned(), segment: None, line, seq: 0, why }
}

struct Verifying<'a> {
    keys: &'a [PublicKey],
    chain: Chain,
    segments: Vec<Extent>,
    /// How much of the segment was read, and how long it is.
    place: (u64, u64),
    /// How often the clock went back, and of the first time between what.
    back: (u64, Option<String>),
    /// So many notes were too many.
    more_notes: u64,
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
    fn new(replica: &str, keys: &'a [PublicKey]) -> Self {
        Self {
            keys,
            chain: Chain::new(replica),
            segments: Vec::new(),
            place: (0, 0),
            back: (0, None),
            more_notes: 0,
            deleted: Vec::new(),
            begins: None,
            report: ReplicaReport { replica: replica.to_owned(), ..ReplicaReport::default() },
            segment: String::new(),
            line: 0,
        }
    }

    /// What is there, what is wrong first, where each segment begins, and behind what the chain ends.
    fn run(mut self, directory: &Path) -> io::Result<(ReplicaReport, Option<Bad>, Vec<Extent>, u64)> {
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
        if let (times, Some(first)) = self.back {
            let more = if times > 1 { format!("; it did so {times} times in all") } else { String::new() };
            self.report.notes.push(format!("{first}{more}"));
        }
        if self.more_notes > 0 {
            self.report.notes.push(format!("notes that are not shown: {}", self.more_notes));
        }
        Ok((self.report, bad, self.segments, self.chain.next()))
    }

    fn note(&mut self, note: String) {
        if self.report.notes.len() < MOST_NOTES {
            self.report.notes.push(note);
        } else {
            self.more_notes += 1;
        }
    }

    fn all(&mut self, directory: &Path) -> io::Result<Result<(), String>> {
        let (numbers, others) = place::segments(directory)?;
        for other in others {
            self.note(if other.starts_with(place::TORN) {
                format!("{other} is what a power cut has left of records that were never whole")
            } else {
                format!("{other} is nothing of the ledger's")
            });
        }
        if place::loose(directory) == Some(Loose::Written) {
            self.note("others than its owner may write into its directory".to_owned());
        }
        let mut loose = 0_u64;
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
            loose += u64::from(place::loose(&path) == Some(Loose::Written));
            if let Err(why) = self.segment(&path, *number, at + 1 == numbers.len())? {
                return Ok(Err(why));
            }
        }
        if loose > 0 {
            self.note(format!("others than its owner may write into so many of its files: {loose}"));
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
        Ok(())
    }

    fn segment(&mut self, path: &Path, number: u64, is_last: bool) -> io::Result<Result<(), String>> {
        let file = match place::open(path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Err("this is no file, but a link, a pipe or something else".to_owned()));
            }
            opened => opened?,
        };
        self.place = (0, file.metadata()?.len());
        let mut from = BufReader::with_capacity(1024 * 1024, file);
        let mut bytes = Vec::new();
        self.line = 0;
        loop {
            bytes.clear();
            if from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            self.line += 1;
            let (begins, whole) = self.place;
            let checked = match piece(&bytes) {
                // It may begin as a record and end as one.
                _ if is_last && hole(&bytes, begins, whole) => {
                    let left = whole.saturating_sub(begins);
                    self.note(format!(
                        "the last {left} bytes are what a power cut leaves of records: some of it was never written"
                    ));
                    break;
                }
                Piece::Whole(line) => self.record(line),
                // A process was killed while it wrote, or is writing.
                Piece::Torn(length) if is_last && (length as u64) < LONGEST_LINE => {
                    self.note(format!(
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
            self.place.0 += bytes.len() as u64;
            if bytes.ends_with(b"\n") {
                let (first, length) = (self.chain.next().saturating_sub(1), self.place.0);
                match self.segments.last_mut().filter(|one| one.number == number) {
                    Some(one) => one.length = length,
                    None => self.segments.push(Extent { first, number, length }),
                }
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
        match head.kind {
            CHECKPOINT => self.checkpoint(&head, line)?,
            DELETED => {
                compare::signed_by(self.keys, &head, line)?;
                self.deleted.push(deleted(&head).ok_or("it does not say what was deleted")?);
                self.note(format!("record {next} says that a segment was deleted because it was old"));
            }
            "start" if head.rest.contains("\"torn\":") => {
                self.note(format!(
                    "before record {next} a process was killed while it wrote: what is no whole record was cut off"
                ));
            }
            "gap" => {
                self.note(format!("record {next} says that records are lacking: {}", head.rest));
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
                if line::is_back(last, head.time) {
                    self.back.0 += 1;
                    let (segment, line) = (&self.segment, self.line);
                    self.back.1.get_or_insert_with(|| {
                        format!(
                            "at record {} ({segment}, line {line}) the clock went back from {last} to {}",
                            head.seq, head.time
                        )
                    });
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
        compare::signed_by(self.keys, head, line)?;
        self.report.checkpoints += 1;
        Ok(())
    }
}

fn piece(bytes: &[u8]) -> Piece<'_> {
    match bytes.strip_suffix(b"\n") {
        None => Piece::Torn(bytes.len()),
        Some(line) => std::str::from_utf8(line).map_or(Piece::Garbled, Piece::Whole),
    }
}

fn deleted(head: &Head<'_>) -> Option<(u64, Hash)> {
    let text = compare::rest_as_object(head)?;
    let object = Object::parse(&text).ok()?;
    let hash = json::string(object.get("hash").ok()??).ok()?;
    Some((object.get("last").ok()??.parse().ok()?, Hash::of_hex(hash.strip_prefix("sha256:")?)?))
}
