//! Files of payloads, beside the segments of a chain: `payloads-00000001.jsonl` … They are written before the records that name what is
//! in them, and are erased in place, so that whoever writes and whoever erases do not meet.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::disk::Disk;
use crate::line::BACK;
use crate::medium::Medium;
use crate::payload::Payload;
use crate::{place, seek};

/// The longest line: 1 MiB, of which each byte may have become a longer one when things were taken out, in base64.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// How often somebody looks for what is too old, at least.
const LOOK: Duration = Duration::from_secs(3600);
/// A file comes to an end, and somebody looks for old ones, when this part of what they are kept for has passed: so nothing stays for
/// longer than that and an eighth more.
const PARTS: u32 = 16;
/// But not before, nor long after.
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// The most files that are deleted at once.
const MOST_DELETED: usize = 16;

/// The files of a chain's directory, in their order.
pub(crate) fn files(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(number) = place::number_of(place::OF_PAYLOADS, &entry.file_name().to_string_lossy()) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Where payloads are put.
#[derive(Debug)]
pub(crate) struct Shelf {
    directory: PathBuf,
    /// What another process has left is never written.
    disk: Disk,
    /// When something was written first into the file that is written.
    since: SystemTime,
    /// About how long a file gets.
    most: u64,
    keep: Option<Duration>,
    looked: Option<Instant>,
}

impl Shelf {
    pub(crate) fn at(
        medium: Arc<dyn Medium>,
        directory: &Path,
        (most, lasts): (u64, bool),
        keep: Option<Duration>,
    ) -> io::Result<Self> {
        let last = files(directory)?.last().map_or(0, |(number, _)| *number);
        let disk = Disk::new(medium, directory, (place::OF_PAYLOADS, last + 1), lasts);
        let directory = directory.to_owned();
        Ok(Self { directory, disk, since: SystemTime::UNIX_EPOCH, most, keep, looked: None })
    }

    /// How long a file is written, and after what time it is looked for old ones; nothing where all are kept.
    fn part(&self) -> Option<Duration> {
        self.keep.map(|keep| (keep / PARTS).clamp(SHORTEST, LONGEST))
    }

    /// Whether the file that is written has been for long enough. A clock that went back cannot tell.
    fn is_over(&self, now: SystemTime) -> bool {
        let is_over =
            |part| now + BACK < self.since || now.duration_since(self.since).is_ok_and(|age| age >= part);
        self.disk.length() > 0 && self.part().is_some_and(is_over)
    }

    /// Writes lines. When it fails, none of them counts, and the same are to be written again.
    pub(crate) fn write(&mut self, lines: &[u8], now: SystemTime) -> io::Result<()> {
        if self.disk.length() >= self.most || self.is_over(now) {
            self.disk.turn();
        }
        let before = self.disk.writes();
        self.disk.write(lines)?;
        if self.disk.writes() != before {
            self.since = now;
        }
        Ok(())
    }

    /// How long until it is to be looked for what is too old.
    pub(crate) fn looks_in(&self) -> Duration {
        let Some(part) = self.part() else { return LOOK };
        self.looked.map_or(Duration::ZERO, |looked| part.min(LOOK).saturating_sub(looked.elapsed()))
    }

    /// What was to be deleted could not be: it is not looked again at once.
    pub(crate) fn waits(&mut self) {
        self.looked = Some(Instant::now());
    }

    /// The files into which nothing was written for so long that they are to be deleted, and since when. It is looked for them once in
    /// a while, and at once where there are more.
    pub(crate) fn too_old(&mut self, now: SystemTime) -> Vec<(PathBuf, SystemTime)> {
        let Some(keep) = self.keep else { return Vec::new() };
        if !self.looks_in().is_zero() {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let Some(before) = now.checked_sub(keep) else { return Vec::new() };
        if self.is_over(now) {
            // Nothing may come that would have it end.
            self.disk.turn();
        }
        let is_written = |number: u64| self.disk.writes() == Some(number);
        let written_at = |path: PathBuf| {
            let written = fs::symlink_metadata(&path).and_then(|facts| facts.modified()).ok()?;
            Some((path, written)).filter(|(_, written)| *written < before)
        };
        let found = files(&self.directory).unwrap_or_default().into_iter();
        let found = found.filter(|(number, _)| !is_written(*number));
        let old: Vec<_> = found.filter_map(|(_, path)| written_at(path)).take(MOST_DELETED).collect();
        if old.len() == MOST_DELETED {
            self.looked = None;
        }
        old
    }
}

/// One line of a file, and where it begins.
pub(crate) struct Found<'l> {
    pub(crate) path: &'l Path,
    pub(crate) at: u64,
    pub(crate) line: Result<&'l str, ()>,
}

/// Hands on all lines of a replica's files, until it is told to stop. What a process that was killed has left half is passed over.
pub(crate) fn read(directory: &Path, mut told: impl FnMut(Found<'_>) -> io::Result<bool>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (_, path) in files(directory)? {
        let file = match place::open(&path) {
            // It was old, and was deleted since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let (mut from, mut at) = (BufReader::with_capacity(256 * 1024, file), 0);
        loop {
            bytes.clear();
            let length = from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
            let Some(line) = bytes.strip_suffix(b"\n") else { break };
            let line = std::str::from_utf8(line).map_err(|_not| ());
            if !told(Found { path: &path, at, line })? {
                return Ok(());
            }
            at += u64::try_from(length).unwrap_or_default();
        }
    }
    Ok(())
}

/// Whether a line is what an erased payload has left.
pub(crate) fn is_erased(line: &str) -> bool {
    line.starts_with(ERASED)
}

const ERASED: &str = "{\"v\":1,\"erased\":\"";

/// Writes over a payload, at its place and as long as it is.
pub(crate) fn erase(path: &Path, at: u64, line: &str) -> io::Result<()> {
    let filler = line.len().checked_sub(ERASED.len() + 2).ok_or(io::ErrorKind::InvalidData)?;
    if Payload::read(line).is_none() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let text = format!("{ERASED}{}\"}}", "-".repeat(filler));
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let file = place::open_with(options, path)?;
    let mut there = vec![0; line.len() + 1];
    let read = seek::read_at(&file, &mut there, at)?;
    match there.get(..read).and_then(|there| there.strip_suffix(b"\n")) {
        Some(there) if there == line.as_bytes() => {}
        Some(there) if there == text.as_bytes() => return file.sync_all(),
        _ => {
            let what = "it is not where it was found: somebody has changed or replaced its file";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    }
    let before = file.metadata()?.modified();
    file.write_all_at(text.as_bytes(), at)?;
    // When it is too old is told by when it was written last.
    if let Ok(before) = before {
        file.set_modified(before)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use base::clock::{Clock as _, SystemClock};

    use super::*;
    use crate::medium::SystemFiles;

    fn name_of(number: u64) -> String {
        place::numbered(place::OF_PAYLOADS, number)
    }

    #[test]
    fn what_is_written_is_found_and_no_file_of_another_is_touched() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemClock.now();
        let shelf = || Shelf::at(Arc::new(SystemFiles), directory.path(), (20, false), None).unwrap();
        let mut one = shelf();
        one.write(b"first line of it all\n", now).unwrap();
        one.write(b"second\n", now).unwrap();
        let mut two = shelf();
        two.write(b"third\n", now).unwrap();
        let names: Vec<_> = files(directory.path()).unwrap().into_iter().map(|(number, _)| number).collect();
        assert_eq!(names, [1, 2, 3]);
        fs::write(directory.path().join(name_of(4)), "torn").unwrap();
        let mut lines = Vec::new();
        read(directory.path(), |found| {
            lines.push(found.line.unwrap().to_owned());
            Ok(true)
        })
        .unwrap();
        assert_eq!(lines, ["first line of it all", "second", "third"]);
        let is_one = |name: &str| place::number_of(place::OF_PAYLOADS, name).is_some();
        assert!(
            is_one("payloads-00000001.jsonl") && !is_one("payloads-1.jsonl") && !is_one("00000001.jsonl")
        );
    }

    #[test]
    fn files_are_too_old_by_when_they_were_written_last() {
        let directory = tempfile::tempdir().unwrap();
        let keep = Some(Duration::from_secs(3600));
        let mut one = Shelf::at(Arc::new(SystemFiles), directory.path(), (1, false), keep).unwrap();
        let now = SystemClock.now();
        let later = now + Duration::from_secs(7200);
        one.write(b"a\n", now).unwrap();
        one.write(b"b\n", later).unwrap();
        let old: Vec<_> = one.too_old(later).into_iter().map(|(path, _)| path).collect();
        assert_eq!(old, [directory.path().join(name_of(1))], "the one that is written stays");
        assert!(one.too_old(later).is_empty(), "it is not looked again at once");
    }

    #[test]
    fn where_there_are_more_it_is_looked_again_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut one =
            Shelf::at(Arc::new(SystemFiles), directory.path(), (1, false), Some(Duration::from_secs(3600)))
                .unwrap();
        let later = SystemClock.now() + Duration::from_secs(7200);
        (0..40).for_each(|_| one.write(b"a\n", later).unwrap());
        let mut deleted = 0;
        while one.looks_in().is_zero() {
            for (path, _) in one.too_old(later) {
                fs::remove_file(path).unwrap();
                deleted += 1;
            }
        }
        assert_eq!(deleted, 39);
    }

    /// A file ends by its age, too, and so does one into which nothing comes any more.
    #[test]
    fn nothing_lives_longer_than_it_is_kept_and_an_eighth() {
        let directory = tempfile::tempdir().unwrap();
        let keep = Duration::from_secs(16 * 600);
        let mut one =
            Shelf::at(Arc::new(SystemFiles), directory.path(), (1024 * 1024, false), Some(keep)).unwrap();
        let now = SystemClock.now();
        one.write(b"a\n", now).unwrap();
        one.write(b"b\n", now + Duration::from_secs(599)).unwrap();
        assert_eq!(files(directory.path()).unwrap().len(), 1);
        one.write(b"c\n", now + Duration::from_secs(600)).unwrap();
        assert_eq!(files(directory.path()).unwrap().len(), 2);
        assert!(one.part().unwrap() * 2 == keep / 8);
        assert_eq!(one.too_old(now + keep + Duration::from_secs(1201)).len(), 2, "the idle one, too");
    }

    #[test]
    fn nothing_is_written_over_but_what_was_found() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join(name_of(1)), directory.path().join("other"));
        let line = "{\"v\":1,\"id\":\"0f3c1a77d2b94e5f8a6b0c1d2e3f4a5b\",\"replica\":\"one\",\"part\":\"arguments\",\
                    \"enc\":\"AAAA\",\"ciphertext\":\"AAAA\"}";
        assert!(Payload::read(line).is_some());
        let text = format!("another line\n{line}\n");
        fs::write(&path, &text).unwrap();
        assert!(erase(&path, 3, line).is_err());
        fs::write(&other, &text).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(erase(&path, 13, line).is_err(), "no link is followed");
        assert_eq!(fs::read_to_string(&other).unwrap(), text);
        erase(&other, 13, line).unwrap();
        assert!(!fs::read_to_string(&other).unwrap().contains("0f3c"));
    }
}
