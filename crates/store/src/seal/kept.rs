//! Keys in a file of one machine, so that what was handed out is still good after a restart.
//!
//! One key a line, the earliest first: 64 hexadecimal digits, and behind them when the key was made, from when on it
//! seals and until when earlier ones open, as `made=… seals=… earlier=…` in milliseconds since 1970. A line of digits
//! alone is a key that has always sealed. Only [`rotate`] writes to a file that is there, and it does so whole or not at
//! all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::key::Key;
use super::turns::{self, KeyState, Millis, Rotation, Turn};
use super::{Seal, SealFault};

/// More than any file of keys that are still good.
const FILE_BYTES: u64 = 64 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileFault {
    /// The file cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("{}: others may read this key; chmod 600 it, or remove it to have a new one made", .0.display())]
    Open(PathBuf),
    /// It does not hold keys.
    #[error("{}: this is no key: 64 hexadecimal digits are wanted; remove it to have a new one made", .0.display())]
    Malformed(PathBuf),
    /// Somebody else writes it, or died doing so.
    #[error("{}: another rotation is under way; if there is none, remove this file", .0.display())]
    Busy(PathBuf),
    /// No key could be made.
    #[error(transparent)]
    Seal(#[from] SealFault),
}

/// A time in milliseconds since 1970.
#[must_use]
pub fn millis(time: SystemTime) -> Millis {
    turns::millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl Seal {
    /// The seal with the keys in this file, which is made if it is not there: for its owner only, and never written over.
    ///
    /// # Errors
    /// When the file cannot be read or made, is open to others, or holds no key.
    pub fn kept_at(path: &Path, now: SystemTime) -> Result<Self, KeyFileFault> {
        let ring = turns::ring(&read_or_make(path, now)?, millis(now));
        Ok(Self::new(ring.ok_or_else(|| KeyFileFault::Malformed(path.to_owned()))?))
    }
}

/// The keys in this file, which is made if it is not there.
///
/// # Errors
/// When the file cannot be read or made, is open to others, or holds no key.
pub fn read_or_make(path: &Path, now: SystemTime) -> Result<Vec<Turn>, KeyFileFault> {
    let io = |source| KeyFileFault::Io { path: path.to_owned(), source };
    // Whole under another name first: who starts at the same time must not read half a key.
    match fs::symlink_metadata(path) {
        Ok(_) => read(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let now = millis(now);
            let first = Turn {
                number: 1,
                key: Key::random()?,
                made_at: Some(now),
                seals_from: now,
                earlier_until: now,
            };
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{}-{}", std::process::id(), first.key.id()));
            let scratch = PathBuf::from(name);
            write(&scratch, &[first]).map_err(io)?;
            // A link never replaces a file: whoever was first has made the key of all.
            let linked = fs::hard_link(&scratch, path);
            fs::remove_file(&scratch).map_err(io)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io(error)),
                _ => read(path),
            }
        }
        Err(error) => Err(io(error)),
    }
}

/// Reads the keys in this file.
///
/// # Errors
/// When it cannot be read, is open to others, or holds no key.
pub fn read(path: &Path) -> Result<Vec<Turn>, KeyFileFault> {
    let io = |source| KeyFileFault::Io { path: path.to_owned(), source };
    let file = OpenOptions::new().read(true).open(path).map_err(io)?;
    if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
        return Err(KeyFileFault::Open(path.to_owned()));
    }
    let mut text = String::new();
    file.take(FILE_BYTES).read_to_string(&mut text).map_err(io)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let turns: Option<Vec<_>> = (1..).zip(lines).map(|(number, line)| turn(number, line)).collect();
    turns.filter(|turns| !turns.is_empty()).ok_or_else(|| KeyFileFault::Malformed(path.to_owned()))
}

/// Adds a key to the file, and drops those that are retired.
///
/// # Errors
/// When the file cannot be read or written, or somebody else does that at the same time.
pub fn rotate(path: &Path, rotation: Rotation, now: SystemTime) -> Result<Vec<Turn>, KeyFileFault> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let scratch = PathBuf::from(name);
    let io = |source| KeyFileFault::Io { path: path.to_owned(), source };
    let mut turns = read_or_make(path, now)?;
    let now = millis(now);
    let (seals_from, earlier_until) = rotation.times(now);
    let number = turns.last().map_or(1, |last| last.number + 1);
    turns.push(Turn { number, key: Key::random()?, made_at: Some(now), seals_from, earlier_until });
    let facts = turns::facts(&turns, now);
    turns.retain(|turn| {
        !facts.iter().any(|fact| fact.number == turn.number && fact.state == KeyState::Retired)
    });
    write(&scratch, &turns).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileFault::Busy(scratch.clone()),
        _ => io(source),
    })?;
    fs::rename(&scratch, path).map_err(io)?;
    sync_directory(path).map_err(io)?;
    read(path)
}

fn write(path: &Path, turns: &[Turn]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(turns.iter().map(line).collect::<String>().as_bytes())?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn line(turn: &Turn) -> String {
    let made = turn.made_at.map(|at| format!(" made={at}")).unwrap_or_default();
    format!("{}{made} seals={} earlier={}\n", turn.key.to_text(), turn.seals_from, turn.earlier_until)
}

fn turn(number: i64, line: &str) -> Option<Turn> {
    let mut words = line.split_whitespace();
    let mut turn =
        Turn { number, key: Key::from_text(words.next()?)?, made_at: None, seals_from: 0, earlier_until: 0 };
    for word in words {
        let (name, at) = word.split_once('=')?;
        let at = at.parse().ok()?;
        match name {
            "made" => turn.made_at = Some(at),
            "seals" => turn.seals_from = at,
            "earlier" => turn.earlier_until = at,
            _ => return None,
        }
    }
    Some(turn)
}

#[cfg(test)]
mod tests;
