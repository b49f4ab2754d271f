//! Checkpoints kept elsewhere: who cuts off the end of a chain, or takes an older copy for it, would have to do the same there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::line::Head;
use crate::teller::Elsewhere;

/// How much of the end of the file is looked at when a process begins.
const TAIL: u64 = 1024 * 1024;

/// A file with the checkpoints of all replicas, a line each. It is opened for each: somebody may move it away when it is large.
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
    lasts: bool,
}

impl Witness {
    pub(crate) fn new(path: &Path, lasts: bool) -> Self {
        Self { path: path.to_owned(), lasts }
    }
}

impl Elsewhere for Witness {
    fn name(&self) -> &'static str {
        "file"
    }

    fn add(&mut self, lines: &[Vec<u8>]) -> io::Result<()> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        // In one write: other replicas may write into the same file. What a full disk has torn gets an end before.
        let begin: &[u8] = if is_torn(&file)? { b"\n" } else { b"" };
        file.write_all(&[begin, &lines.concat()].concat())?;
        if self.lasts { file.sync_data() } else { Ok(()) }
    }

    fn last_of(&mut self, replica: &str) -> io::Result<Option<u64>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let heads = text.lines().filter_map(Head::read).filter(|head| head.replica == replica);
        Ok(heads.map(|head| head.seq).max())
    }
}

/// Whether the last line has no end.
fn is_torn(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}
