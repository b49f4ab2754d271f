//! Where a ledger is: a directory, in it a directory for each replica, in that the segments of its chain.
//!
//! One process at a time writes a chain: it holds a lock on the chain's directory. Another takes a directory of its own.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::line::is_name;

const LOCK: &str = "lock";
const EXTENSION: &str = ".jsonl";
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
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            let lock = OpenOptions::new()
                .write(true)
                .create(true)
                .mode(0o600)
                .truncate(false)
                .open(directory.join(LOCK))?;
            match lock.try_lock() {
                // The directory may be new.
                Ok(()) => {
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

/// A name as a directory may have it.
fn fitting(name: &str) -> String {
    let name: String = name.to_lowercase().chars().take(LONGEST_NAME).collect();
    let name = name.replace(|c: char| !u8::try_from(c).is_ok_and(is_name), "-");
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "main".to_owned() } else { name.to_owned() }
}

/// The file of that segment.
pub(crate) fn segment(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}{EXTENSION}"))
}

/// The segments of a chain in their order, and what else there is in its directory.
pub(crate) fn segments(directory: &Path) -> io::Result<(Vec<u64>, Vec<String>)> {
    let (mut numbers, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_suffix(EXTENSION).and_then(|digits| digits.parse::<u64>().ok());
        match number.filter(|number| format!("{number:08}{EXTENSION}") == name) {
            Some(number) => numbers.push(number),
            None if name == LOCK || crate::shelf::is_one(&name) => {}
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
