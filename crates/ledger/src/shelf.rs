//! Files of payloads, beside the segments of a chain: `payloads-00000001.jsonl` … They are written before the records that name what is
//! in them, and are erased in place, so that whoever writes and whoever erases do not meet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::payload::Payload;
use crate::place;

/// The longest line: 1 MiB, of which each byte may have become a longer one when things were taken out, in base64.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// How often somebody looks for what is too old.
const LOOK: Duration = Duration::from_secs(3600);
/// The most files that are deleted at once.
const MOST_DELETED: usize = 16;

fn name_of(number: u64) -> String {
    place::numbered(place::OF_PAYLOADS, number)
}

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
    /// The file that is written, which is begun when there is something for it: what another process has left is never written.
    number: u64,
    file: Option<File>,
    length: u64,
    /// Whether there may be something of ours behind that.
    spoilt: bool,
    /// About how long a file gets.
    most: u64,
    lasts: bool,
    keep: Option<Duration>,
    looked: Option<Instant>,
}

impl Shelf {
    pub(crate) fn at(
        directory: &Path,
        (most, lasts): (u64, bool),
        keep: Option<Duration>,
    ) -> io::Result<Self> {
        let last = files(directory)?.last().map_or(0, |(number, _)| *number);
        let (directory, number) = (directory.to_owned(), last + 1);
        Ok(Self { directory, number, file: None, length: 0, spoilt: false, most, lasts, keep, looked: None })
    }

    /// Writes lines. When it fails, none of them counts, and the same are to be written again.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.is_some() && self.length >= self.most {
            self.turn();
        }
        if let Some(file) = &self.file {
            let facts = file.metadata()?;
            if facts.nlink() == 0 || (facts.len() != self.length && !self.spoilt) {
                tracing::error!("somebody has changed or removed a file of payloads that was being written");
                self.turn();
            }
        }
        let file = match &self.file {
            Some(file) => file,
            None => {
                let path = self.directory.join(name_of(self.number));
                let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
                if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
                    self.number += 1;
                }
                self.file.insert(opened?)
            }
        };
        if self.length == 0 {
            place::settle(&self.directory)?;
        }
        if self.spoilt {
            file.set_len(self.length)?;
        }
        self.spoilt = true;
        file.write_all_at(lines, self.length)?;
        if self.lasts {
            file.sync_data()?;
        }
        self.spoilt = false;
        self.length += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn turn(&mut self) {
        (self.number, self.file, self.length, self.spoilt) = (self.number + 1, None, 0, false);
    }

    /// The files into which nothing was written for so long that they are to be deleted. It is looked for them once in a while.
    pub(crate) fn too_old(&mut self, now: SystemTime) -> Vec<PathBuf> {
        let Some(since) = self.keep.and_then(|keep| now.checked_sub(keep)) else { return Vec::new() };
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let is_written = |number: u64| self.file.is_some() && number == self.number;
        let is_old = |path: &Path| {
            fs::metadata(path).and_then(|facts| facts.modified()).is_ok_and(|written| written < since)
        };
        let found = files(&self.directory).unwrap_or_default().into_iter();
        let old = found.filter(|(number, path)| !is_written(*number) && is_old(path));
        old.take(MOST_DELETED).map(|(_, path)| path).collect()
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
        let (mut from, mut at) = (BufReader::with_capacity(256 * 1024, place::open(&path)?), 0);
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
    let before = fs::metadata(path)?.modified();
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(text.as_bytes(), at)?;
    // When it is too old is told by when it was written last.
    if let Ok(before) = before {
        file.set_modified(before)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_and_no_file_of_another_is_touched() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = || Shelf::at(directory.path(), (20, false), None).unwrap();
        let mut one = shelf();
        one.write(b"first line of it all\n").unwrap();
        one.write(b"second\n").unwrap();
        let mut two = shelf();
        two.write(b"third\n").unwrap();
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
        let mut one = Shelf::at(directory.path(), (1, false), keep).unwrap();
        one.write(b"a\n").unwrap();
        one.write(b"b\n").unwrap();
        let now = fs::metadata(directory.path()).unwrap().modified().unwrap();
        let later = now + Duration::from_secs(7200);
        let old = one.too_old(later);
        assert_eq!(old, [directory.path().join(name_of(1))], "the one that is written stays");
        assert!(one.too_old(later).is_empty(), "it is not looked again at once");
    }
}
