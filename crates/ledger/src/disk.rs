//! The segment that is being written. Nothing of it is ever moved: what could not be written whole is cut off and written again at
//! its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::place;

#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    number: u64,
    /// Nothing before the segment is there.
    file: Option<File>,
    /// How much of it is written and good.
    length: u64,
    /// Whether there may be something of ours behind that.
    spoilt: bool,
    /// Whether what is written is to outlive the machine.
    lasts: bool,
}

impl Disk {
    /// Goes on in that segment behind so many bytes, or begins it.
    pub(crate) fn at(
        directory: &Path,
        (number, length): (u64, Option<u64>),
        lasts: bool,
    ) -> io::Result<Self> {
        let path = place::segment(directory, number);
        let file = match length {
            Some(length) => {
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len(length)?;
                Some(file)
            }
            None => None,
        };
        let (directory, length) = (directory.to_owned(), length.unwrap_or_default());
        Ok(Self { directory, number, file, length, spoilt: false, lasts })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Has what is written outlive the machine.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// What comes next stands in a new segment.
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
            let facts = file.metadata()?;
            if facts.nlink() == 0 || facts.len() != self.length {
                // Somebody else has been at it: what was written there is lost, and what is written there would be.
                tracing::error!(
                    segment = %place::segment(&self.directory, self.number).display(),
                    "somebody has changed or removed a segment of the ledger that was being written; it goes on in a new one"
                );
                self.turn();
            }
        }
        if self.file.is_none() {
            let path = place::segment(&self.directory, self.number);
            let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let is_empty = || std::fs::symlink_metadata(&path).is_ok_and(|of| of.is_file() && of.len() == 0);
            if opened.is_err() && is_empty() {
                // Begun before, and then the directory could not be settled.
                opened = OpenOptions::new().write(true).open(&path);
            }
            if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
                // Not of this process, which alone may write here: it is left for who looks into it.
                self.number += 1;
            }
            let file = opened?;
            place::settle(&self.directory)?;
            self.file = Some(file);
        }
        let Some(file) = &self.file else { return Err(io::Error::other("no segment")) };
        self.spoilt = true;
        file.write_all_at(lines, self.length)?;
        if self.lasts {
            // After a failure nobody knows what the system has kept: all of it is written again.
            file.sync_data()?;
        }
        self.spoilt = false;
        self.length += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}
