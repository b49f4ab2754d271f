//! How far a sink has come: a small file beside the chain, written after what it covers was delivered.
//!
//! It has two places, which are written in turn. So whatever a process is killed in, one of them is whole; and what is older leads to a
//! second delivery, never to none.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ledger::hash::Hash;
use ledger::spool::{Mark, open_with};
use serde_json::Value;

/// The bytes of one place. What is written into it has at most 320.
const ROOM: usize = 512;
const CHECK: &str = ",\"check\":\"";

/// The file of that sink in a chain's directory.
#[must_use]
pub fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("sink-{name}.cursor"))
}

/// What a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Nothing,
    /// How far its sink has come.
    At(Mark),
    /// Nobody knows what it says.
    Unreadable,
}

/// Reads how far a sink has come.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path) -> io::Result<Found> {
    Ok(match newest(path)? {
        Slots::None => Found::Nothing,
        Slots::Bad => Found::Unreadable,
        Slots::Good(_, mark) => Found::At(mark),
    })
}

enum Slots {
    None,
    Bad,
    Good(u64, Mark),
}

fn newest(path: &Path) -> io::Result<Slots> {
    let (mut text, mut options) = (Vec::new(), OpenOptions::new());
    options.read(true);
    match open_with(options, path) {
        Ok(file) => file.take(4 * ROOM as u64).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Slots::None),
        Err(error) => return Err(error),
    };
    let slots = text.chunks(ROOM).filter_map(|slot| read_slot(std::str::from_utf8(slot).ok()?));
    Ok(slots.max_by_key(|(count, _)| *count).map_or(Slots::Bad, |(count, mark)| Slots::Good(count, mark)))
}

fn read_slot(text: &str) -> Option<(u64, Mark)> {
    let text = text.trim_end();
    let (before, check) = text.rsplit_once(CHECK)?;
    if check.strip_suffix("\"}")? != Hash::of(&[before.as_bytes()]).to_string().get(..16)? {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let number = |name: &str| value.get(name)?.as_u64();
    let mark = Mark {
        segment: number("segment")?,
        offset: number("offset")?,
        seq: number("seq")?,
        before: Hash::of_hex(value.get("before")?.as_str()?)?,
        start: number("start")?,
    };
    Some((number("count")?, mark))
}

/// The file, for the one that writes it.
#[derive(Debug)]
pub(crate) struct CursorFile {
    file: File,
    count: u64,
    /// Its directory, as long as nothing was written.
    new_in: Option<PathBuf>,
}

impl CursorFile {
    /// Opens it, or makes it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let count = match newest(path)? {
            Slots::Good(count, _) => count,
            Slots::None | Slots::Bad => 0,
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = open_with(options, path)?;
        let new_in = path.parent().filter(|_| count == 0).map(Path::to_owned);
        Ok(Self { file, count, new_in })
    }

    /// Writes how far it has come.
    pub(crate) fn write(&mut self, mark: &Mark) -> io::Result<()> {
        let count = self.count + 1;
        let Mark { segment, offset, seq, before, start } = mark;
        let text = format!(
            "{{\"v\":1,\"count\":{count},\"segment\":{segment},\"offset\":{offset},\"seq\":{seq},\"before\":\"{before}\",\"start\":{start}"
        );
        let hash = Hash::of(&[text.as_bytes()]).to_string();
        let check = hash.get(..16).unwrap_or_default();
        let text = format!("{text}{CHECK}{check}\"}}");
        let slot = format!("{text:<width$}\n", width = ROOM - 1);
        self.file.write_all_at(slot.as_bytes(), (count % 2) * ROOM as u64)?;
        self.count = count;
        // Of one that was never on the disk nobody knows after a power cut where its sink began.
        if let Some(directory) = self.new_in.take() {
            self.file.sync_all()?;
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(seq: u64) -> Mark {
        Mark { segment: u64::MAX, offset: u64::MAX, seq, before: Hash::of(&[b"x"]), start: u64::MAX }
    }

    #[test]
    fn what_others_put_in_its_place_is_not_followed_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let (link, pipe) = (path(directory.path(), "link"), path(directory.path(), "pipe"));
        let target = directory.path().join("target");
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&link, &pipe] {
            assert!(read(path).unwrap_err().to_string().contains("must be a file"));
            assert!(CursorFile::open(path).unwrap_err().to_string().contains("must be a file"));
            assert!(
                crate::rejected::add(path, "{}", "x").unwrap_err().to_string().contains("must be a file")
            );
        }
        assert_eq!(std::fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn what_was_written_last_is_read_and_a_torn_place_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = path(directory.path(), "x");
        assert_eq!(read(&path).unwrap(), Found::Nothing);
        let mut cursor = CursorFile::open(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Found::Unreadable);
        for seq in 1..=5 {
            cursor.write(&mark(seq)).unwrap();
            assert_eq!(read(&path).unwrap(), Found::At(mark(seq)));
        }
        drop(cursor);
        let mut cursor = CursorFile::open(&path).unwrap();
        cursor.write(&mark(u64::MAX)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 2 * ROOM);
        // Whatever part of the last place was written.
        for cut in 0..300 {
            let mut torn = whole.clone();
            torn[cut..ROOM].fill(b'x');
            std::fs::write(&path, torn).unwrap();
            assert_eq!(read(&path).unwrap(), Found::At(mark(5)), "{cut}");
        }
    }
}
