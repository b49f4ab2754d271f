//! What a receiver will never take: kept beside the chain, within bounds. All of it stands in the ledger, too.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ledger::spool::open_with;
use serde_json::Value;

/// The most bytes of the file. Then it becomes the older one, of which there is one.
const MOST: u64 = 16 * 1024 * 1024;
/// The most bytes of a record that is kept. Of a larger one it is said where it is.
const MOST_RECORD: usize = 1024 * 1024;
/// The most characters of a reason.
const MOST_WHY: usize = 2048;

/// The file of that sink in a chain's directory.
pub(crate) fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("sink-{name}.rejected.jsonl"))
}

/// Adds a record, and why nobody took it.
pub(crate) fn add(path: &Path, line: &str, why: &str) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.len() >= MOST) {
        fs::rename(path, path.with_extension("old.jsonl"))?;
    }
    let why = Value::from(why.chars().take(MOST_WHY).collect::<String>());
    let kept = if line.len() <= MOST_RECORD {
        format!("{{\"why\":{why},\"record\":{line}}}\n")
    } else {
        let seq = ledger::line::Head::read(line).map(|head| head.seq).unwrap_or_default();
        format!("{{\"why\":{why},\"seq\":{seq},\"bytes\":{}}}\n", line.len())
    };
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    let mut file = open_with(options, path)?;
    file.write_all(kept.as_bytes())
}
