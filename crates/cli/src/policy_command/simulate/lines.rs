//! The lines of files, one after the other, however many there are and however long one is.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::fault::Fault;

/// The longest line that is read: arguments of calls may be in it.
const LONGEST: usize = 64 * 1024 * 1024;
/// How deep directories are looked into: one for each replica, and some room.
const DEEPEST: usize = 4;

/// Where lines come from, in their order.
#[derive(Debug)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug)]
enum Source {
    Stdin,
    File { path: PathBuf, bytes: u64 },
}

/// Where a line stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) file: &'a str,
    /// From 1.
    pub(super) line: u64,
    /// How much was read before it, of all files.
    pub(super) bytes: u64,
}

/// A line.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// Without its end.
    Text(&'a [u8]),
    TooLong,
}

impl Sources {
    /// Files as they are named; of directories all `.jsonl` files by their names; `-` is stdin.
    pub(super) fn of(named: &[PathBuf]) -> Result<Self, Fault> {
        let mut all = Vec::new();
        for path in named {
            if path.as_os_str() == "-" {
                all.push(Source::Stdin);
            } else if path.is_dir() {
                let before = all.len();
                within(path, DEEPEST, &mut all)?;
                if all.len() == before {
                    let what = format!("{} has no .jsonl file", path.display());
                    return Err(Fault::usage(what).hint("name the directory of [audit], or files"));
                }
            } else {
                all.push(file(path)?);
            }
        }
        // What is named twice, or is within a directory that is named, too, counts once.
        let mut seen = HashSet::new();
        all.retain(|source| match source {
            Source::Stdin => true,
            Source::File { path, .. } => {
                seen.insert(fs::canonicalize(path).unwrap_or_else(|_gone| path.clone()))
            }
        });
        if all.iter().filter(|source| matches!(source, Source::Stdin)).count() > 1 {
            return Err(Fault::usage("stdin can be read once only"));
        }
        Ok(Self(all))
    }

    /// How much there is to read, if that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        let of = |source: &Source| match source {
            Source::Stdin => None,
            Source::File { bytes, .. } => Some(*bytes),
        };
        self.0.iter().map(of).sum()
    }

    /// Gives each line that is not empty.
    pub(super) fn each(
        self,
        mut take: impl FnMut(At<'_>, Found<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut bytes = 0;
        for source in self.0 {
            let (name, mut reader): (String, Box<dyn BufRead>) = match source {
                Source::Stdin => ("-".to_owned(), Box::new(BufReader::new(io::stdin()))),
                Source::File { path, .. } => {
                    let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
                    (path.display().to_string(), Box::new(BufReader::with_capacity(256 * 1024, file)))
                }
            };
            let (mut text, mut line) = (Vec::new(), 0);
            loop {
                let (length, fits) =
                    next(&mut reader, &mut text).map_err(|error| unreadable(Path::new(&name), &error))?;
                if length == 0 {
                    break;
                }
                line += 1;
                let at = At { file: &name, line, bytes };
                bytes += length;
                match fits {
                    true if text.trim_ascii().is_empty() => {}
                    true => take(at, Found::Text(text.trim_ascii()))?,
                    false => take(at, Found::TooLong)?,
                }
            }
        }
        Ok(())
    }
}

fn within(directory: &Path, deep: usize, all: &mut Vec<Source>) -> Result<(), Fault> {
    let entries = fs::read_dir(directory).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let mut paths: Vec<_> = entries
        .map_err(|error| unreadable(directory, &error))?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if deep > 1 {
                within(&path, deep - 1, all)?;
            }
        } else if path.extension().is_some_and(|ending| ending == "jsonl") {
            all.push(file(&path)?);
        }
    }
    Ok(())
}

fn file(path: &Path) -> Result<Source, Fault> {
    let found = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    Ok(Source::File { path: path.to_owned(), bytes: found.len() })
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::usage(format!("{} cannot be read: {error}", path.display()))
}

/// Reads a line without its end: how long it is with it, and whether it is not too long. At the end of all, nothing.
fn next(reader: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<(u64, bool)> {
    text.clear();
    let (mut length, mut fits) = (0, true);
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |end| end + 1);
        if taken == 0 {
            return Ok((length, fits));
        }
        fits &= text.len() + taken <= LONGEST;
        if fits {
            text.extend(chunk.iter().take(end.unwrap_or(taken)));
        } else {
            text.clear();
        }
        length += taken as u64;
        reader.consume(taken);
        if end.is_some() {
            return Ok((length, fits));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_after_the_other() {
        let mut reader = BufReader::with_capacity(3, &b"abcdef\n\n\r\nlast"[..]);
        let mut text = Vec::new();
        let mut seen = Vec::new();
        while let (length @ 1.., fits) = next(&mut reader, &mut text).unwrap() {
            assert!(fits);
            seen.push((length, String::from_utf8(text.clone()).unwrap()));
        }
        let expected = [(7, "abcdef"), (1, ""), (2, "\r"), (4, "last")];
        assert_eq!(seen, expected.map(|(length, text)| (length, text.to_owned())));
    }
}
