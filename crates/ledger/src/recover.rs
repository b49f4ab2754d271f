//! Where a chain goes on that was written before, however that ended.
//!
//! A process that is killed leaves the beginning of a group: whole lines and one that is not. A power cut may leave any of its sectors,
//! and zeros for the others ([`hole`]). Both are cut off, since no caller has an answer for them; of the second what is there is put
//! beside. All else that is no record is somebody's doing, and left as it is.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::chain::Chain;
use crate::line::Head;
use crate::place;

/// The longest line that is read: a record with the arguments of a call, of which each byte may be an escape.
pub(crate) const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// What is written to a disk whole or not at all.
const SECTOR: u64 = 512;
/// So many zeros are a hole wherever they begin: where a file ended on the disk is not where it ended for us.
const MANY: u64 = 16;
/// What is written at once is less, and so is what a power cut may leave of it. Behind what was lost otherwise there may be records.
const MOST_TORN: u64 = 16 * 1024 * 1024;
/// How often what is left of one place is put beside.
const MOST_BESIDE: u32 = 64;

/// Where in the files a chain goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    /// Behind so many bytes of it; without, it is not there yet.
    pub(crate) length: Option<u64>,
    /// Whether the last record has no line break.
    pub(crate) lacks_end: bool,
}

/// Where a chain has come to.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) chain: Chain,
    pub(crate) at: Place,
    /// How many bytes behind the last whole record were never a record.
    pub(crate) torn: u64,
    /// Whether there are zeros among them, and more behind.
    pub(crate) holes: bool,
    /// What is wrong with what is there.
    pub(crate) why: Option<String>,
    /// The newest time in the last segment, and whether an older one stands behind it: [`crate::line::is_back`].
    pub(crate) newest: Option<String>,
    pub(crate) mixed: bool,
}

/// Reads the last segment of a chain.
pub(crate) fn recover(directory: &Path, replica: &str) -> io::Result<Recovered> {
    let (numbers, _) = place::segments(directory)?;
    let at = Place { segment: 1, length: None, lacks_end: false };
    let chain = Chain::new(replica);
    let mut found = Recovered { chain, at, torn: 0, holes: false, why: None, newest: None, mixed: false };
    let Some(last) = numbers.last().copied() else { return Ok(found) };
    found.at = Place { segment: last, length: Some(0), lacks_end: false };
    for number in numbers.iter().rev().copied() {
        let lines = read(&mut found, directory, number, number == last)?;
        if lines > 0 || found.why.is_some() {
            break;
        }
        // It was begun, and nothing was written into it: what goes before it says where the chain is.
    }
    if found.why.is_some() {
        // What is there is left as it is, for who looks into it.
        found.at = Place { segment: last + 1, length: None, lacks_end: false };
        (found.torn, found.holes) = (0, false);
    }
    Ok(found)
}

/// Follows the lines of a segment, and says how many there are.
fn read(found: &mut Recovered, directory: &Path, number: u64, is_last: bool) -> io::Result<u64> {
    let path = place::segment(directory, number);
    let file = place::open(&path)?;
    let whole = file.metadata()?.len();
    let mut from = BufReader::with_capacity(256 * 1024, file);
    let (mut length, mut lines, mut line) = (0, 0, Vec::new());
    let keep = |found: &mut Recovered, length| {
        if is_last {
            found.at.length = Some(length);
        }
    };
    loop {
        line.clear();
        let size = from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        let size = u64::try_from(size).unwrap_or_default();
        if size == 0 {
            keep(found, length);
            return Ok(lines);
        }
        let (text, has_end) = line.strip_suffix(b"\n").map_or((&line[..], false), |text| (text, true));
        // With a hole in it a line may begin as a record and end as one.
        let holes = hole(&line, length, whole);
        let text = std::str::from_utf8(text).ok().filter(|_| !holes);
        let record = text.and_then(|text| Some((Head::read(text)?, text)));
        if let Some((head, text)) = record.filter(|(head, _)| has_end || is_next(found, head, lines)) {
            if lines == 0 {
                found.chain.jump(&head);
            }
            found.chain.follow(&head, text);
            let newest = found.newest.get_or_insert_with(|| head.time.to_owned());
            found.mixed |= crate::line::is_back(newest, head.time);
            if head.time > newest.as_str() {
                head.time.clone_into(newest);
            }
            length += size;
            lines += 1;
            if !has_end && is_last {
                found.at.lacks_end = true;
            } else if !has_end {
                found.why = Some(format!("{}: line {lines} has no end", path.display()));
            }
            continue;
        }
        // Behind what is not read to its end there may be records, and a segment that has another behind it was whole once.
        if !is_last || (!has_end && size >= LONGEST_LINE) || (has_end && !holes) {
            found.why = Some(format!("{}: line {} is no record", path.display(), lines + 1));
        } else {
            (found.torn, found.holes) = (whole.saturating_sub(length), holes);
        }
        keep(found, length);
        return Ok(lines);
    }
}

/// Whether a line without a line break is the next record all the same: then nothing of it is lacking.
fn is_next(found: &Recovered, head: &Head<'_>, lines: u64) -> bool {
    lines > 0
        && head.replica == found.chain.replica()
        && (head.seq, head.prev) == (found.chain.next(), found.chain.prev())
}

/// Whether a line, which begins so far into a file of that length, has sectors in it that were never written: zeros up to the end of
/// one, or of the file. Records have no zeros in them.
pub(crate) fn hole(line: &[u8], begins: u64, whole: u64) -> bool {
    if whole.saturating_sub(begins) > MOST_TORN {
        return false;
    }
    let at = |offset: usize| begins + u64::try_from(offset).unwrap_or_default();
    let mut from = 0;
    while let Some(found) = memchr::memchr(0, line.get(from..).unwrap_or_default()) {
        let start = from + found;
        let rest = line.get(start..).unwrap_or_default();
        let end = start + rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
        let (first, behind) = (at(start), at(end));
        let begins_well = start == 0 || first % SECTOR == 0 || behind - first >= MANY;
        if begins_well && (behind % SECTOR == 0 || behind == whole) {
            return true;
        }
        from = end;
    }
    false
}

/// Copies what is behind so many bytes of a segment into a file beside it, and gives its name.
pub(crate) fn put_beside(directory: &Path, number: u64, length: u64) -> io::Result<String> {
    let mut from = place::open(&place::segment(directory, number))?;
    from.seek(SeekFrom::Start(length))?;
    for time in 1..=MOST_BESIDE {
        let name = format!("{}{number:08}-{length}-{time}", place::TORN);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut to = match place::open_with(options, &directory.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        place::settle(directory)?;
        return Ok(name);
    }
    Err(io::Error::other(format!(
        "{}: files that begin with {} are too many",
        directory.display(),
        place::TORN
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_what_no_sector_has_filled() {
        let line = |zeros: std::ops::Range<usize>| {
            let mut line = vec![b'a'; 2000];
            line[zeros].fill(0);
            line
        };
        assert!(hole(&line(0..512), 0, 9999), "a sector");
        assert!(hole(&line(412..924), 100, 9999), "a sector, counted from where the file begins");
        assert!(hole(&line(0..412), 100, 9999), "from the end that the file had up to the end of the sector");
        assert!(hole(&line(300..1024), 0, 9999), "from some end up to the end of a sector");
        assert!(hole(&line(1536..2000), 0, 2000), "up to the end of the file");
        assert!(!hole(&line(5..6), 0, 9999) && !hole(&line(511..512), 0, 9999), "a bit that was flipped");
        assert!(
            !hole(&line(0..100), 0, 9999) && !hole(&line(600..900), 0, 9999),
            "zeros that somebody wrote"
        );
        assert!(!hole(&line(0..0), 0, 9999));
        assert!(!hole(&line(0..512), 0, 99_999_999), "what is behind that may be records");
    }
}
