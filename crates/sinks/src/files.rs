//! Files of a sink's own: what is written stands in whole lines, older files have a number behind their name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base::clock::Clock;
use base::plan::feed::FilePlan;

use crate::form::Form;
use crate::post::later;
use crate::receiver::{Bounds, Delivery, Receiver, Taken};

/// How much is read at once to find where the last whole line ends.
const PIECE: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Files {
    plan: FilePlan,
    form: Form,
    clock: Arc<dyn Clock>,
    open: Option<Written>,
}

/// The file that is written.
#[derive(Debug)]
struct Written {
    file: File,
    /// So many bytes of it are good.
    length: u64,
    since: SystemTime,
}

impl Files {
    pub(crate) fn new(plan: &FilePlan, form: Form, clock: Arc<dyn Clock>) -> Self {
        Self { plan: plan.clone(), form, clock, open: None }
    }

    fn write(&mut self, lines: &[String]) -> io::Result<()> {
        let text: String = lines.iter().map(|line| self.form.write(line) + "\n").collect();
        let now = self.clock.now();
        // Somebody may have moved it away.
        let path = &self.plan.path;
        let is_there = |open: &Written| {
            // Or copied it, and cut it off (`copytruncate`).
            let ours = open.file.metadata().map(|found| (found.dev(), found.ino(), found.len()));
            let named = fs::metadata(path).map(|found| (found.dev(), found.ino(), open.length));
            ours.ok().zip(named.ok()).is_some_and(|(ours, named)| ours == named)
        };
        let mut open = match self.open.take().filter(is_there) {
            Some(open) => open,
            None => Written::open(path, now)?,
        };
        let is_old = self
            .plan
            .rotate_after
            .is_some_and(|after| now.duration_since(open.since).is_ok_and(|age| age >= after));
        let is_full = open.length.saturating_add(text.len() as u64) > self.plan.rotate_bytes;
        if open.length > 0 && (is_old || is_full) {
            rotate(path, self.plan.keep_files)?;
            open = Written::open(path, now)?;
            open.since = now;
        }
        let open = self.open.insert(open);
        let written = open.file.write_all_at(text.as_bytes(), open.length);
        let written = written.and_then(|()| if self.plan.lasts { open.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Half a line is no record. Should this fail, too, the next one that opens it cuts it off.
            drop(open.file.set_len(open.length));
            self.open = None;
            return Err(error);
        }
        open.length += text.len() as u64;
        Ok(())
    }
}

impl Written {
    fn open(path: &Path, now: SystemTime) -> io::Result<Self> {
        // To open a pipe would wait for who reads it.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other("this is no regular file"));
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(
                    "another process writes it; each process needs a file of its own, such as by ${env:HOSTNAME} in its path",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let facts = file.metadata()?;
        let length = end_of_lines(&file, facts.len())?;
        if length < facts.len() {
            file.set_len(length)?;
        }
        let since = if length == 0 { now } else { facts.created().unwrap_or(now) };
        Ok(Self { file, length, since })
    }
}

/// Whether a process writes the file.
pub(crate) fn is_written(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file())
        && File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Where the last whole line ends.
fn end_of_lines(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let from = end.saturating_sub(PIECE);
        let mut piece = vec![0; usize::try_from(end - from).unwrap_or_default()];
        file.read_exact_at(&mut piece, from)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Gives each file the next number, and the last one up.
fn rotate(path: &Path, keep: usize) -> io::Result<()> {
    let numbered = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if keep == 0 {
        return fs::remove_file(path);
    }
    // The first number that is free, or the last one.
    let last = (1..keep).find(|number| !numbered(*number).exists()).unwrap_or(keep);
    for number in (1..last).rev() {
        fs::rename(numbered(number), numbered(number + 1))?;
    }
    fs::rename(path, numbered(1))?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

impl Receiver for Files {
    fn bounds(&self) -> Bounds {
        Bounds { records: 4096, bytes: 1024 * 1024 }
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a> {
        Box::pin(async move {
            // This may hang with the disk: it is the sink's own thread.
            let written = self.write(lines);
            let path = self.plan.path.display();
            written.map(|()| Taken::default()).map_err(|error| later(format!("{path}: {error}"), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::clock::SystemClock;
    use base::plan::feed::Format;

    use super::*;

    fn files(path: &Path, keep: usize) -> Files {
        let plan = FilePlan {
            path: path.to_owned(),
            rotate_bytes: 30,
            rotate_after: Some(Duration::from_secs(3600)),
            keep_files: keep,
            lasts: true,
        };
        Files::new(&plan, Form::of(Format::Json), Arc::new(SystemClock))
    }

    fn all(directory: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let mut all: Vec<_> = entries
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn files_are_rotated_torn_lines_cut_off_and_two_do_not_write_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.jsonl");
        fs::write(&path, "whole\nto").unwrap();
        let mut one = files(&path, 2);
        one.write(&["a".repeat(10), "b".repeat(10)]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\naaaaaaaaaa\nbbbbbbbbbb\n");
        assert!(
            files(&path, 2).write(&["z".to_owned()]).unwrap_err().to_string().contains("another process")
        );
        for text in ["c", "d", "e", "f"] {
            one.write(&[text.repeat(20)]).unwrap();
        }
        let names = ["x.jsonl", "x.jsonl.1", "x.jsonl.2"].map(str::to_owned);
        assert_eq!(all(directory.path()).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
        assert_eq!(all(directory.path())[2].1, format!("{}\n", "d".repeat(20)));
        fs::rename(&path, directory.path().join("moved")).unwrap();
        one.write(&["g".to_owned()]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "g\n");
        fs::write(&path, "").unwrap();
        one.write(&["h".to_owned()]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "h\n", "it was cut off");
        let none = files(directory.path(), 2).write(&["z".to_owned()]);
        assert!(none.unwrap_err().to_string().contains("no regular file"));
    }
}
