//! Compares chains that are good with what witnesses have seen of them, line by line: however much that is, none of it is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use mcp::json::{self, Object};

use crate::chain::CHECKPOINT;
use crate::key::PublicKey;
use crate::line::{self, Head};
use crate::{place, seek};

/// The longest line that a witness has; a checkpoint has half a kilobyte.
const LONGEST_LINE: u64 = 64 * 1024;
/// Of so many replicas that are not there, and of so many lines that say nothing, one hears each.
const MOST_TOLD: usize = 20;
/// So many segments are kept open.
const MOST_OPEN: usize = 64;
/// What a checkpoint begins with, however little of it was written.
const BEGINS: &str = "{\"v\":1,\"type\":\"checkpoint\",";

/// One segment of a chain that is good: the place of its first record, its number, and how much of it was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    pub(crate) number: u64,
    pub(crate) length: u64,
}

/// One chain that is good.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) directory: PathBuf,
    pub(crate) segments: Vec<Extent>,
    /// Behind the last record.
    pub(crate) next: u64,
}

/// What comparing a chain has shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    /// How many of its checkpoints a witness has seen, and the last of them.
    pub(crate) same: u64,
    pub(crate) last: Option<u64>,
    /// The first that is another one.
    pub(crate) other: Option<u64>,
    /// The last that the chain does not reach.
    pub(crate) beyond: Option<u64>,
}

/// Compares.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Whose signatures count: a witness is a file that others may write, and nobody is accused by what they make up.
    keys: Vec<PublicKey>,
    /// Checkpoints that no chain has, and that none of these keys has signed.
    pub(crate) strange: u64,
    pub(crate) chains: BTreeMap<String, (Known, Shown)>,
    /// Replicas that are not there, and the last place of each that a witness has seen.
    pub(crate) absent: BTreeMap<String, u64>,
    /// Lines that are no checkpoints: of which witness, and which.
    pub(crate) odd: Vec<(PathBuf, u64)>,
    /// Lines that were never whole: they say nothing.
    pub(crate) torn: u64,
    /// So many replicas and lines were too many to be kept.
    pub(crate) more: u64,
    open: BTreeMap<(String, u64), File>,
}

impl Comparison {
    pub(crate) fn by(keys: &[PublicKey]) -> Self {
        Self { keys: keys.to_owned(), ..Self::default() }
    }

    /// Looks at the first bytes of a witness's file: what has come since is of records that were not looked at.
    pub(crate) fn file(&mut self, path: &Path, length: u64) -> io::Result<()> {
        let mut from = BufReader::with_capacity(256 * 1024, File::open(path)?.take(length));
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            if from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            number += 1;
            let has_end = line.pop_if(|byte| *byte == b'\n').is_some();
            if !has_end && line.len() >= usize::try_from(LONGEST_LINE).unwrap_or(usize::MAX) {
                skip_line(&mut from)?;
            }
            if !line.is_empty() {
                self.line(path, number, &String::from_utf8_lossy(&line))?;
            }
        }
    }

    /// Looks at one line.
    pub(crate) fn line(&mut self, path: &Path, number: u64, line: &str) -> io::Result<()> {
        if let Some(head) = Head::read(line).filter(|head| head.kind == CHECKPOINT) {
            return self.checkpoint(&head, line);
        }
        if BEGINS.starts_with(line) || (line.starts_with(BEGINS) && !line.ends_with('}')) {
            self.torn += 1;
        } else if self.odd.len() < MOST_TOLD {
            self.odd.push((path.to_owned(), number));
        } else {
            self.more += 1;
        }
        Ok(())
    }

    /// Whether a key that counts has signed a checkpoint.
    fn is_ours(&mut self, head: &Head<'_>, line: &str) -> bool {
        let is_ours = signed_by(&self.keys, head, line).is_ok();
        self.strange += u64::from(!is_ours);
        is_ours
    }

    fn shown(&mut self, head: &Head<'_>, show: impl FnOnce(&mut Shown)) {
        if let Some((_, shown)) = self.chains.get_mut(head.replica) {
            show(shown);
        }
    }

    fn checkpoint(&mut self, head: &Head<'_>, line: &str) -> io::Result<()> {
        let Some((known, shown)) = self.chains.get_mut(head.replica) else {
            if self.absent.get(head.replica).is_some_and(|last| head.seq <= *last)
                || !self.is_ours(head, line)
            {
                return Ok(());
            }
            let is_full = self.absent.len() >= MOST_TOLD;
            match self.absent.get_mut(head.replica) {
                Some(last) => *last = head.seq,
                None if is_full => self.more += 1,
                None => drop(self.absent.insert(head.replica.to_owned(), head.seq)),
            }
            return Ok(());
        };
        if head.seq >= known.next {
            if shown.beyond < Some(head.seq) && self.is_ours(head, line) {
                self.shown(head, |shown| shown.beyond = Some(head.seq));
            }
            return Ok(());
        }
        let behind = known.segments.partition_point(|one| one.first <= head.seq);
        // What was before the first is deleted, which something signed says.
        let Some(Extent { number, length, .. }) = behind.checked_sub(1).and_then(|at| known.segments.get(at))
        else {
            return Ok(());
        };
        if self.open.len() >= MOST_OPEN {
            self.open.clear();
        }
        let file = match self.open.entry((head.replica.to_owned(), *number)) {
            std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::btree_map::Entry::Vacant(lacking) => {
                match place::open(&place::segment(&known.directory, *number)) {
                    // It was old, and was deleted since.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    opened => lacking.insert(opened?),
                }
            }
        };
        let at = seek::first(file, *length, |_, seq| seq < head.seq)?;
        let mut there = vec![0; line.len() + 1];
        let read = seek::read_at(file, &mut there, at)?;
        if there.get(..read).and_then(|there| there.strip_suffix(b"\n")) != Some(line.as_bytes()) {
            if shown.other.is_none_or(|other| head.seq < other) && self.is_ours(head, line) {
                self.shown(head, |shown| shown.other = Some(head.seq));
            }
        } else if shown.last.is_none_or(|last| last < head.seq) {
            (shown.same, shown.last) = (shown.same + 1, Some(head.seq));
        }
        Ok(())
    }
}

/// Whether one of these keys has signed a record; why not, otherwise.
pub(crate) fn signed_by(keys: &[PublicKey], head: &Head<'_>, line: &str) -> Result<(), String> {
    let (text, signature) = line::signed(line).ok_or("the signature is missing")?;
    // The rest of the line is the signature alone: what stood behind would be signed by nobody.
    let named = member(head, "key")
        .and_then(|text| PublicKey::of_text(&text))
        .ok_or("it does not say by whom it is signed")?;
    if !keys.contains(&named) {
        return Err(format!("it is signed with a key that is none of those given: {named}"));
    }
    if named.has_signed(text.as_bytes(), &signature) {
        Ok(())
    } else {
        Err("the signature is wrong".to_owned())
    }
}

/// A text that a record has beside its head.
fn member(head: &Head<'_>, name: &str) -> Option<String> {
    let text = rest_as_object(head)?;
    let object = Object::parse(&text).ok()?;
    Some(json::string(object.get(name).ok()??).ok()?.into_owned())
}

pub(crate) fn rest_as_object(head: &Head<'_>) -> Option<String> {
    Some(format!("{{{}", head.rest.strip_prefix(',')?))
}

fn skip_line(from: &mut impl io::BufRead) -> io::Result<()> {
    loop {
        let piece = from.fill_buf()?;
        let (used, is_over) = match memchr::memchr(b'\n', piece) {
            Some(at) => (at + 1, true),
            None => (piece.len(), piece.is_empty()),
        };
        from.consume(used);
        if is_over {
            return Ok(());
        }
    }
}

/// When the first checkpoint of a witness's file was made: pieces of one are looked at in their order.
pub(crate) fn begins(path: &Path) -> Option<String> {
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?).take(LONGEST_LINE).read_until(b'\n', &mut line).ok()?;
    Some(line::begins(&line)?.0.to_owned())
}
