//! A chain as somebody reads it who goes behind its writer: in order, from a place that was written down, through whatever has become
//! of its files meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::hash::Hash;
use crate::line::Head;
use crate::place;
pub use crate::place::open_with;
use crate::reach::{Reach, Reached};
use crate::recover::LONGEST_LINE;

/// How much is read of a file at once.
const PIECE: usize = 256 * 1024;
/// So much of what nobody wants is passed over before somebody hears how far that is.
const MOST_PASSED: u64 = 8 * 1024 * 1024;

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The segment.
    pub segment: u64,
    /// So many bytes of it are before.
    pub offset: u64,
    /// The place in the chain of the record behind it.
    pub seq: u64,
    /// The hash of the record before it, by which it is known again; [`Hash::NONE`] where nobody has read that record.
    pub before: Hash,
    /// The place of the last `start` record before it.
    pub start: u64,
}

impl Mark {
    /// Whether a record is the one behind it.
    fn is_before(&self, head: &Head<'_>) -> bool {
        head.seq == self.seq && (self.before == Hash::NONE || head.prev == self.before)
    }
}

/// Records in a row.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    /// Those that are wanted, without their line breaks.
    pub lines: Vec<String>,
    /// The place behind each of them.
    pub marks: Vec<Mark>,
    /// The place behind all that was looked at.
    pub end: Option<Mark>,
    /// So many that are wanted, or may be, are not there any more.
    pub missing: u64,
    /// So many lines are no records.
    pub unreadable: u64,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Behind what was written then.
    After(Reached),
    /// With the first record that there is.
    Start,
    /// Where it was.
    At(Mark),
}

/// What was found where a reader had been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// What it has read.
    AsItWas,
    /// The end of the chain was lost, with what it had read of it; it goes on with what was written instead.
    CutBack,
    /// So many records behind that place were deleted.
    Deleted(u64),
}

/// The chain of one process, as it is read.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    reach: Arc<Reach>,
    at: Mark,
    /// How long segments are that are written to their end.
    lengths: BTreeMap<u64, u64>,
}

impl Spool {
    /// Goes to where it begins.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub fn open(directory: &Path, reach: Arc<Reach>, from: Begin) -> io::Result<(Self, Resumed)> {
        let reached = match from {
            Begin::After(reached) => reached,
            Begin::Start | Begin::At(_) => reach.reached(),
        };
        let now = Mark {
            segment: reached.segment,
            offset: reached.length,
            seq: reached.next,
            before: Hash::NONE,
            start: reached.next,
        };
        let mut spool = Self { directory: directory.to_owned(), reach, at: now, lengths: BTreeMap::new() };
        let resumed = match from {
            Begin::After(_) => Resumed::AsItWas,
            Begin::Start => {
                let first = spool.numbers()?.first().copied();
                spool.at = spool.begin_of(first.unwrap_or(reached.segment))?.unwrap_or(now);
                Resumed::AsItWas
            }
            Begin::At(mark) => spool.resume(mark)?,
        };
        Ok((spool, resumed))
    }

    /// Where it is.
    #[must_use]
    pub fn at(&self) -> Mark {
        self.at
    }

    /// Goes back, or on, to a place that it gave.
    pub fn go_to(&mut self, mark: Mark) {
        self.at = mark;
        self.lengths = self.lengths.split_off(&mark.segment);
    }

    /// How many bytes are written behind a place.
    pub fn bytes_behind(&mut self, mark: &Mark) -> u64 {
        let reached = self.reach.reached();
        let mut bytes = 0_u64;
        for number in mark.segment..reached.segment {
            let directory = &self.directory;
            let length = self.lengths.entry(number).or_insert_with(|| {
                std::fs::metadata(place::segment(directory, number)).map_or(0, |found| found.len())
            });
            bytes = bytes.saturating_add(*length);
        }
        bytes.saturating_add(reached.length).saturating_sub(mark.offset)
    }

    /// The first segment from which on about so many bytes, or fewer, are behind a place.
    pub fn segment_within(&mut self, mark: &Mark, most: u64) -> u64 {
        let mut behind = self.bytes_behind(mark).saturating_add(mark.offset);
        let mut segment = mark.segment;
        while segment < self.reach.reached().segment && behind > most {
            behind = behind.saturating_sub(self.lengths.get(&segment).copied().unwrap_or_default());
            segment += 1;
        }
        segment
    }

    /// Reads on: records that are wanted, up to so many (or one more), and about so many bytes of them. Where it stands does not change:
    /// for that, [`Self::go_to`].
    ///
    /// A line that says that records before it are lacking is believed where a segment is not there, or when the record behind it follows
    /// it; else whoever writes one such line into a file would have all others passed over.
    ///
    /// # Errors
    /// When the disk does not give what is there.
    pub fn read(
        &self,
        (records, bytes): (usize, usize),
        mut wants: impl FnMut(&Head<'_>) -> bool,
    ) -> io::Result<Stretch> {
        let reached = self.reach.reached();
        let (mut batch, mut passed) = (Taking::new(self.at, reached.next), 0);
        let start = self.at;
        let has_room = |batch: &Taking, passed: u64| {
            let has_room = batch.is_below(records, bytes) && passed < MOST_PASSED;
            // Of a line that is in doubt, somebody has to see what is behind it.
            has_room || batch.doubt.as_ref().is_some_and(|doubt| doubt.before == start)
        };
        while has_room(&batch, passed) {
            let Some(file) = open(&place::segment(&self.directory, batch.at.segment))? else {
                // Deleted, or moved away: what comes next says how many records those were.
                match self.numbers()?.into_iter().find(|number| *number > batch.at.segment) {
                    Some(next) if next <= reached.segment => batch.lacks_up_to(next),
                    _ => break,
                }
                continue;
            };
            let is_last = batch.at.segment >= reached.segment;
            let end = if is_last { reached.length } else { file.metadata()?.len() };
            let mut lines = Lines { file: &file, offset: batch.at.offset, end, bytes: Vec::new(), done: 0 };
            let mut is_over = false;
            while !is_over && has_room(&batch, passed) {
                let Some(found) = lines.next()? else {
                    is_over = true;
                    continue;
                };
                passed += found.bytes.len() as u64 + 1;
                batch.take(&found, &mut wants);
            }
            if is_over && is_last {
                break;
            }
            if is_over {
                // What may be left of it is no whole line, and never will be.
                (batch.at.segment, batch.at.offset) = (batch.at.segment + 1, 0);
            }
        }
        Ok(batch.done(start))
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        Ok(place::segments(&self.directory)?.0)
    }

    fn begin_of(&self, number: u64) -> io::Result<Option<Mark>> {
        let mut found = None;
        self.scan(number, |_, head, _| {
            found =
                Some(Mark { segment: number, offset: 0, seq: head.seq, before: head.prev, start: head.seq });
            false
        })?;
        Ok(found)
    }

    /// Finds a place again.
    fn resume(&mut self, mark: Mark) -> io::Result<Resumed> {
        let numbers = self.numbers()?;
        let reached = self.reach.reached();
        let first = numbers.first().copied().unwrap_or(reached.segment);
        if mark.segment < first {
            let begin = self.begin_of(first)?;
            if let Some(begin) = begin.filter(|begin| begin.seq >= mark.seq) {
                self.at = Mark { start: mark.start, ..begin };
                let deleted = begin.seq - mark.seq;
                return Ok(if deleted > 0 { Resumed::Deleted(deleted) } else { Resumed::AsItWas });
            }
        }
        // The record behind it is there, and follows the one before it; or nothing is behind it.
        let fits = |head: &Head<'_>| mark.is_before(head);
        let mut at = mark;
        loop {
            match self.line_at(&at)? {
                Some(line) if Head::read(&line).is_some_and(|head| fits(&head)) => {
                    self.at = at;
                    return Ok(Resumed::AsItWas);
                }
                None if at.segment < reached.segment => (at.segment, at.offset) = (at.segment + 1, 0),
                None if reached.next == mark.seq
                    && at.segment == reached.segment
                    && at.offset == reached.length =>
                {
                    self.at = at;
                    return Ok(Resumed::AsItWas);
                }
                _ => break,
            }
        }
        self.find(mark, &numbers)
    }

    /// Finds where the chain went on after its end was lost: with the first `start` that was not there before.
    fn find(&mut self, mark: Mark, numbers: &[u64]) -> io::Result<Resumed> {
        let (mut same, mut newer, mut older) = (None, None, None);
        for number in numbers.iter().copied() {
            self.scan(number, |offset, head, _| {
                let here =
                    Mark { segment: number, offset, seq: head.seq, before: head.prev, start: mark.start };
                if mark.is_before(head) {
                    same = Some(here);
                }
                if head.kind == "start" && head.seq <= mark.seq {
                    if head.seq > mark.start && newer.is_none() {
                        newer = Some(here);
                    }
                    older = Some(here);
                }
                same.is_none()
            })?;
        }
        if let Some(same) = same {
            self.at = same;
            return Ok(Resumed::AsItWas);
        }
        let first = match numbers.first() {
            Some(number) => self.begin_of(*number)?,
            None => None,
        };
        self.at = newer.or(older).or(first).unwrap_or(self.at);
        Ok(Resumed::CutBack)
    }

    /// Reads the heads of a segment, until somebody has seen enough.
    fn scan(&self, number: u64, mut sees: impl FnMut(u64, &Head<'_>, &str) -> bool) -> io::Result<()> {
        let Some(file) = open(&place::segment(&self.directory, number))? else { return Ok(()) };
        let mut from = BufReader::with_capacity(PIECE, file);
        let (mut offset, mut bytes) = (0_u64, Vec::new());
        loop {
            bytes.clear();
            let size = from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
            let line = bytes.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            if let Some((head, line)) = line.and_then(|line| Some((Head::read(line)?, line)))
                && !sees(offset, &head, line)
            {
                return Ok(());
            }
            if size == 0 {
                return Ok(());
            }
            offset += size as u64;
        }
    }

    /// The whole line that begins at a place, if one does.
    fn line_at(&self, at: &Mark) -> io::Result<Option<String>> {
        let Some(file) = open(&place::segment(&self.directory, at.segment))? else { return Ok(None) };
        let end = file.metadata()?.len();
        let mut lines = Lines { file: &file, offset: at.offset, end, bytes: Vec::new(), done: 0 };
        Ok(lines.next()?.and_then(|found| String::from_utf8(found.bytes.to_owned()).ok()))
    }
}

/// Records as they are taken out of the files.
struct Taking {
    stretch: Stretch,
    at: Mark,
    /// The place of the record that the writer writes next: none that is there has it.
    next: u64,
    /// Bytes of what is wanted.
    bytes: usize,
    /// A segment is not there.
    lacks: bool,
    doubt: Option<Doubt>,
    /// Where it was when it went on behind records that are said to be lacking.
    left: Option<Mark>,
}

/// A line that says that records before it are lacking.
struct Doubt {
    /// The place before it.
    before: Mark,
    /// The place behind it, if it is what it says.
    behind: Mark,
    line: String,
    is_wanted: bool,
}

impl Taking {
    fn new(at: Mark, next: u64) -> Self {
        Self { stretch: Stretch::default(), at, next, bytes: 0, lacks: false, doubt: None, left: None }
    }

    fn is_below(&self, records: usize, bytes: usize) -> bool {
        self.stretch.lines.len() < records && self.bytes < bytes
    }

    fn lacks_up_to(&mut self, segment: u64) {
        self.lacks = true;
        (self.at.segment, self.at.offset) = (segment, 0);
    }

    fn take(&mut self, found: &Line<'_>, wants: &mut impl FnMut(&Head<'_>) -> bool) {
        let before = self.at;
        self.at.offset = found.behind;
        let text = std::str::from_utf8(found.bytes).ok();
        let read = text.and_then(|text| Some((Head::read(text)?, text)));
        let Some((head, text)) = read.filter(|(head, _)| head.seq < self.next) else {
            self.stretch.unreadable += 1 + u64::from(self.doubt.take().is_some());
            return;
        };
        let mut behind = Mark { seq: head.seq + 1, before: Hash::of(&[text.as_bytes()]), ..self.at };
        if head.kind == "start" {
            behind.start = head.seq;
        }
        if let Some(doubt) = self.doubt.take() {
            if doubt.behind.is_before(&head) {
                self.left = Some(before);
                self.stretch.missing += doubt.behind.seq - 1 - before.seq;
                self.accept(doubt.behind, doubt.line, doubt.is_wanted);
                behind.start = if head.kind == "start" { head.seq } else { self.at.start };
            } else {
                self.stretch.unreadable += 1;
            }
        }
        let left = self.left.filter(|left| left.before != Hash::NONE && left.is_before(&head));
        if left.is_some() {
            // It was not lacking: what said so was put there.
            self.left = None;
        } else if head.seq < self.at.seq {
            // It has been delivered, or stands where it does not belong.
            return;
        } else if head.seq > self.at.seq && !self.lacks {
            let (line, is_wanted) = (text.to_owned(), wants(&head));
            self.doubt = Some(Doubt { before, behind, line, is_wanted });
            return;
        } else {
            self.stretch.missing += head.seq - self.at.seq;
        }
        self.accept(behind, text.to_owned(), wants(&head));
    }

    fn accept(&mut self, behind: Mark, line: String, is_wanted: bool) {
        (self.at, self.lacks) = (behind, false);
        if is_wanted {
            self.bytes += line.len();
            self.stretch.lines.push(line);
            self.stretch.marks.push(behind);
        }
    }

    /// What is in doubt is read again when there is something behind it.
    fn done(self, start: Mark) -> Stretch {
        let at = self.doubt.map_or(self.at, |doubt| doubt.before);
        Stretch { end: (at != start).then_some(at), ..self.stretch }
    }
}

/// What waits behind a place of a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    /// Records.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the first of them was made.
    pub oldest: Option<String>,
}

/// Looks at what waits behind a place, for somebody who does not write the chain.
///
/// # Errors
/// When the chain cannot be read.
pub fn waiting(directory: &Path, mark: &Mark) -> io::Result<Behind> {
    let (numbers, _) = place::segments(directory)?;
    let Some(last) = numbers.last().copied() else { return Ok(Behind::default()) };
    let reach = Arc::new(Reach::new(false));
    let length = std::fs::metadata(place::segment(directory, last))?.len();
    let reached = Reached { segment: last, length, next: u64::MAX };
    reach.come_to(reached);
    let (mut spool, _) = Spool::open(directory, reach, Begin::After(reached))?;
    spool.go_to(*mark);
    let mut waiting = Behind { bytes: spool.bytes_behind(mark), ..Behind::default() };
    loop {
        let stretch = spool.read((4096, PIECE), |_| true)?;
        if waiting.oldest.is_none() {
            let first = stretch.lines.first().and_then(|line| Head::read(line));
            waiting.oldest = first.map(|head| head.time.to_owned());
        }
        waiting.records += stretch.lines.len() as u64;
        let Some(end) = stretch.end else { return Ok(waiting) };
        spool.go_to(end);
    }
}

/// The names of the chains of a ledger.
///
/// # Errors
/// When its directory cannot be read.
pub fn chains(ledger: &Path) -> io::Result<Vec<String>> {
    Ok(place::replicas(ledger)?.0)
}

/// Opens a segment, if it is there.
fn open(path: &Path) -> io::Result<Option<File>> {
    match place::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// The whole lines of a file between two places.
struct Lines<'f> {
    file: &'f File,
    /// Where `bytes` stand in the file.
    offset: u64,
    end: u64,
    bytes: Vec<u8>,
    /// So many of `bytes` were given.
    done: usize,
}

struct Line<'l> {
    bytes: &'l [u8],
    /// Where the next one begins.
    behind: u64,
}

impl Lines<'_> {
    fn offset_now(&self) -> u64 {
        self.offset + self.done as u64
    }

    fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut looked = self.done;
        loop {
            let rest = self.bytes.get(looked..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', rest) {
                let (from, to) = (self.done, looked + at);
                self.done = to + 1;
                let behind = self.offset_now();
                return Ok(Some(Line { bytes: self.bytes.get(from..to).unwrap_or_default(), behind }));
            }
            looked = self.bytes.len();
            if self.done > 0 {
                self.bytes.drain(..self.done);
                looked -= self.done;
                self.offset += self.done as u64;
                self.done = 0;
            }
            let left = self.end.saturating_sub(self.offset + self.bytes.len() as u64);
            if left == 0 || self.bytes.len() as u64 >= LONGEST_LINE {
                return Ok(None);
            }
            let room = PIECE.max(self.bytes.len()).min(usize::try_from(left).unwrap_or(PIECE));
            let (from, at) = (self.bytes.len(), self.offset + self.bytes.len() as u64);
            self.bytes.resize(from + room, 0);
            let read = self.file.read_at(self.bytes.get_mut(from..).unwrap_or_default(), at)?;
            self.bytes.truncate(from + read);
            if read == 0 {
                // It is shorter than it was.
                return Ok(None);
            }
        }
    }
}
