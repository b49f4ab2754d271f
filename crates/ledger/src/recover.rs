//! Where a chain goes on that was written before, however that ended.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use crate::chain::Chain;
use crate::line::Head;
use crate::place;

/// The longest line that is read: a record with the arguments of a call, of which each byte may be an escape.
pub(crate) const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// Where a chain has come to.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) chain: Chain,
    /// The segment to go on in, and behind how many bytes; a new one without.
    pub(crate) at: (u64, Option<u64>),
    /// How many bytes behind the last whole record were never a record.
    pub(crate) torn: u64,
    /// What is wrong with what is there.
    pub(crate) why: Option<String>,
}

/// Reads the last segment of a chain.
pub(crate) fn recover(directory: &Path, replica: &str) -> io::Result<Recovered> {
    let (numbers, _) = place::segments(directory)?;
    let mut found = Recovered { chain: Chain::new(replica), at: (1, None), torn: 0, why: None };
    let Some(last) = numbers.last().copied() else { return Ok(found) };
    found.at = (last, Some(0));
    for number in numbers.iter().rev().copied() {
        let (length, lines) = read(&mut found, &place::segment(directory, number))?;
        if number == last {
            found.at.1 = Some(length);
        }
        if lines > 0 {
            break;
        }
        // It was begun, and nothing was written into it: what goes before it says where the chain is.
    }
    if found.why.is_some() {
        // What is there is left as it is, for who looks into it.
        (found.at, found.torn) = ((last + 1, None), 0);
    }
    Ok(found)
}

/// Follows the lines of a segment; with how many bytes whole lines have, and how many there are.
fn read(found: &mut Recovered, path: &Path) -> io::Result<(u64, u64)> {
    let mut from = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let (mut length, mut lines, mut line) = (0, 0, Vec::new());
    loop {
        line.clear();
        let bytes = from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        let size = u64::try_from(bytes).unwrap_or_default();
        let Some(text) = line.strip_suffix(b"\n") else {
            found.torn += size;
            return Ok((length, lines));
        };
        match std::str::from_utf8(text).ok().and_then(|text| Some((Head::read(text)?, text))) {
            Some((head, text)) => {
                if lines == 0 {
                    found.chain.jump(&head);
                }
                found.chain.follow(&head, text);
            }
            None => found.why = Some(format!("{}: line {} is no record", path.display(), lines + 1)),
        }
        length += size;
        lines += 1;
    }
}
