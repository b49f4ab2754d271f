//! What segments are written on: the files of the system, or in tests something that hangs, fails and loses power when it is told to.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::place;

/// How a segment is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It is not there yet.
    New,
    /// It is there.
    There,
}

/// Where segments are.
pub trait Medium: Debug + Send + Sync {
    /// Opens a segment to write into it.
    ///
    /// # Errors
    /// As of the system: `AlreadyExists` for a new one that is there.
    fn open(&self, path: &Path, how: Opening) -> io::Result<Box<dyn SegmentFile>>;

    /// Has what was done to the entries of a directory outlive the machine.
    ///
    /// # Errors
    /// As of the system.
    fn settle(&self, directory: &Path) -> io::Result<()>;
}

/// A segment that is open.
pub trait SegmentFile: Debug + Send {
    /// How many names it has, and how long it is.
    ///
    /// # Errors
    /// As of the system.
    fn facts(&self) -> io::Result<(u64, u64)>;

    /// Cuts it, or has it end in zeros.
    ///
    /// # Errors
    /// As of the system.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Writes all of it there.
    ///
    /// # Errors
    /// As of the system; some of it may be written then.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Has what was written outlive the machine.
    ///
    /// # Errors
    /// As of the system; nobody knows then what is there.
    fn sync(&self) -> io::Result<()>;
}

/// The files of this system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl Medium for SystemFiles {
    fn open(&self, path: &Path, how: Opening) -> io::Result<Box<dyn SegmentFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(how == Opening::New).mode(0o600);
        Ok(Box::new(place::open_with(options, path)?))
    }

    fn settle(&self, directory: &Path) -> io::Result<()> {
        place::settle(directory)
    }
}

impl SegmentFile for File {
    fn facts(&self) -> io::Result<(u64, u64)> {
        self.metadata().map(|facts| (facts.nlink(), facts.len()))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
