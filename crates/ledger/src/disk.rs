//! The file that is being written, of several that follow each other: the segments of a chain, and the files of payloads beside them.
//! Nothing of it is ever moved: what could not be written whole is cut off and written again at its place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::medium::{Medium, Opening, SegmentFile};
use crate::place;
use crate::recover::Place;

#[derive(Debug)]
pub(crate) struct Disk {
    medium: Arc<dyn Medium>,
    directory: PathBuf,
    /// What the names of its files begin with.
    prefix: &'static str,
    number: u64,
    /// Nothing before the file is there.
    file: Option<Box<dyn SegmentFile>>,
    /// How much of it is written and good.
    length: u64,
    /// Whether there may be something of ours behind that.
    spoilt: bool,
    /// Whether what is written is to outlive the machine.
    lasts: bool,
}

impl Disk {
    /// Begins with a file of that number and prefix, when there is something for it.
    pub(crate) fn new(
        medium: Arc<dyn Medium>,
        directory: &Path,
        (prefix, number): (&'static str, u64),
        lasts: bool,
    ) -> Self {
        let directory = directory.to_owned();
        Self { medium, directory, prefix, number, file: None, length: 0, spoilt: false, lasts }
    }

    /// Goes on at that place of a chain.
    pub(crate) fn at(medium: Arc<dyn Medium>, directory: &Path, at: Place, lasts: bool) -> io::Result<Self> {
        let mut disk = Self::new(medium, directory, ("", at.segment), lasts);
        if let Some(mut length) = at.length {
            let opened = disk.medium.open(&disk.path(), Opening::There)?;
            if opened.facts()?.1 != length {
                opened.set_len(length)?;
            }
            if at.lacks_end {
                opened.write_all_at(b"\n", length)?;
                length += 1;
            }
            if lasts {
                // What was cut off must not come back in the midst of what is written there next.
                opened.sync()?;
            }
            (disk.file, disk.length) = (Some(opened), length);
        }
        Ok(disk)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(place::numbered(self.prefix, self.number))
    }

    /// The number of the file that is written, if one is.
    pub(crate) fn writes(&self) -> Option<u64> {
        self.file.as_ref().map(|_| self.number)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Has what is written outlive the machine.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync())
    }

    /// What comes next stands in a new file.
    pub(crate) fn turn(&mut self) {
        (self.number, self.file, self.length, self.spoilt) = (self.number + 1, None, 0, false);
    }

    /// Writes lines. When it fails, none of them counts, and the same are to be written again.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Some(file) = &self.file {
            if self.spoilt {
                file.set_len(self.length)?;
                self.spoilt = false;
            }
            let (links, length) = file.facts()?;
            if links == 0 || length != self.length {
                // Somebody else has been at it: what was written there is lost, and what is written there would be.
                tracing::error!(
                    file = %self.path().display(),
                    "somebody has changed or removed a file of the ledger that was being written; it goes on in a new one"
                );
                self.turn();
            }
        }
        if self.file.is_none() {
            self.file = Some(self.begin()?);
        }
        let Some(file) = &self.file else { return Err(io::Error::other("no file")) };
        self.spoilt = true;
        file.write_all_at(lines, self.length)?;
        if self.lasts {
            // After a failure nobody knows what the system has kept: all of it is written again.
            file.sync()?;
        }
        self.spoilt = false;
        self.length += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn begin(&mut self) -> io::Result<Box<dyn SegmentFile>> {
        let path = self.path();
        let mut opened = self.medium.open(&path, Opening::New);
        let is_empty = || std::fs::symlink_metadata(&path).is_ok_and(|of| of.is_file() && of.len() == 0);
        if opened.is_err() && is_empty() {
            // Begun before, and then the directory could not be settled.
            opened = self.medium.open(&path, Opening::There);
        }
        if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            // Not of this process, which alone may write here: it is left for who looks into it.
            self.number += 1;
        }
        let file = opened?;
        self.medium.settle(&self.directory)?;
        Ok(file)
    }
}
