//! Where a ledger is: a directory, in it a directory for each replica, in that the segments of its chain.
//!
//! One process at a time writes a chain: it holds a lock on the chain's directory. Another takes a directory of its own.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::line::is_name;

const LOCK: &str = "lock";
const EXTENSION: &str = ".jsonl";
/// What was left of records that a power cut has torn begins with this: [`crate::recover`].
pub(crate) const TORN: &str = "torn-";
/// Files of payloads beside the segments of a chain begin with this.
pub(crate) const OF_PAYLOADS: &str = "payloads-";
/// What sinks keep beside a chain: how far they have come, and what nobody took.
pub(crate) const OF_SINKS: &str = "sink-";
/// The most processes of one name.
const MOST_OF_A_NAME: usize = 1024;
/// The most characters of a name.
const LONGEST_NAME: usize = 64;

/// A chain's directory, which is this process's as long as it holds this.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) directory: PathBuf,
    pub(crate) replica: String,
    _lock: File,
}

impl Claim {
    /// Takes the directory of that name, or the first of `NAME-2`, `NAME-3` … that nobody has.
    pub(crate) fn take(ledger: &Path, name: &str) -> io::Result<Self> {
        let name = fitting(name);
        for number in 1..=MOST_OF_A_NAME {
            let replica = if number == 1 { name.clone() } else { format!("{name}-{number}") };
            let directory = ledger.join(&replica);
            make(&directory)?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).mode(0o600).truncate(false);
            let lock = open_with(options, &directory.join(LOCK))?;
            match lock.try_lock() {
                Ok(()) => {
                    // Whoever made it may have been killed before it was settled.
                    settle(ledger)?;
                    return Ok(Self { directory, replica, _lock: lock });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{MOST_OF_A_NAME} processes called {name} write here")))
    }
}

/// Makes a directory and those above it, so that they outlive the machine. What others have put in its place is not followed.
fn make(directory: &Path) -> io::Result<()> {
    let missing: Vec<_> = directory.ancestors().take_while(|path| !path.exists()).collect();
    for path in missing.iter().rev().filter(|path| !path.as_os_str().is_empty()) {
        match DirBuilder::new().mode(0o700).create(path) {
            // Another process may begin at the same time.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        settle(above.unwrap_or_else(|| Path::new(".")))?;
    }
    if fs::symlink_metadata(directory)?.is_dir() {
        return Ok(());
    }
    let what = "this must be a directory, and is a link or something else: somebody may have put it there to have the ledger \
                written elsewhere; remove it";
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", directory.display())))
}

/// Opens a file of a ledger. Whoever may write into its directory must not have us follow a link, or wait for a pipe.
///
/// # Errors
/// When it cannot be opened so, or is no regular file.
pub fn open_with(mut options: OpenOptions, path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let other = || {
        let what = "this must be a file, and is a link, a pipe or something else";
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()))
    };
    let opened = options.custom_flags(flags).open(path);
    let of_link = |error: &io::Error| {
        [Errno::LOOP, Errno::NXIO].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    };
    let file = opened.map_err(|error| if of_link(&error) { other() } else { error })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
}

/// Opens a file of a ledger to read it.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    open_with(options, path)
}

/// Who may do more with a file or directory of the ledger than its owner alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loose {
    /// Everybody may read it.
    Read,
    /// Others may write it.
    Written,
}

/// Whether others may read or write it.
pub(crate) fn loose(path: &Path) -> Option<Loose> {
    let mode = fs::symlink_metadata(path).ok()?.mode();
    if mode & 0o022 != 0 { Some(Loose::Written) } else { (mode & 0o004 != 0).then_some(Loose::Read) }
}

/// A name as a directory may have it.
fn fitting(name: &str) -> String {
    let name: String = name.to_lowercase().chars().take(LONGEST_NAME).collect();
    let name = name.replace(|c: char| !u8::try_from(c).is_ok_and(is_name), "-");
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "main".to_owned() } else { name.to_owned() }
}

/// What a file is called that is one of several.
pub(crate) fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:08}{EXTENSION}")
}

/// The number in such a name.
pub(crate) fn number_of(prefix: &str, name: &str) -> Option<u64> {
    let number = name.strip_prefix(prefix)?.strip_suffix(EXTENSION)?.parse().ok()?;
    (numbered(prefix, number) == name).then_some(number)
}

/// The file of that segment.
pub(crate) fn segment(directory: &Path, number: u64) -> PathBuf {
    directory.join(numbered("", number))
}

/// The segments of a chain in their order, and what else there is in its directory.
pub(crate) fn segments(directory: &Path) -> io::Result<(Vec<u64>, Vec<String>)> {
    let (mut numbers, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match number_of("", &name) {
            Some(number) => numbers.push(number),
            None if name == LOCK || name.starts_with(OF_SINKS) || number_of(OF_PAYLOADS, &name).is_some() => {
            }
            None => others.push(name),
        }
    }
    numbers.sort_unstable();
    others.sort();
    Ok((numbers, others))
}

/// The names of the replicas that have written into a ledger, and what else there is in its directory.
pub(crate) fn replicas(ledger: &Path) -> io::Result<(Vec<String>, Vec<String>)> {
    let (mut names, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(ledger)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_one = entry.file_type()?.is_dir() && name.bytes().all(is_name);
        if is_one { names.push(name) } else { others.push(name) }
    }
    names.sort();
    others.sort();
    Ok((names, others))
}

/// Has the system keep what was done to the entries of a directory.
pub(crate) fn settle(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_have_two_directories() {
        let directory = tempfile::tempdir().unwrap();
        let take = || Claim::take(directory.path(), "Host.example/..").unwrap();
        let (one, other) = (take(), take());
        assert_eq!((&*one.replica, &*other.replica), ("host.example-..", "host.example-..-2"));
        drop(one);
        assert_eq!(take().replica, "host.example-..", "it goes on where the one before it has ended");
        assert_eq!(replicas(directory.path()).unwrap().0, ["host.example-..", "host.example-..-2"]);
        for (name, fits) in [("", "main"), ("..", "main"), ("ä/b", "b"), ("-rf", "rf"), ("pod_1", "pod_1")] {
            assert_eq!(fitting(name), fits, "{name}");
        }
    }
}
