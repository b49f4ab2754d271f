//! Finds a record in a segment without reading what is before it: its lines are in some order, of places or of times.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::line;

/// How much is read at once.
const PIECE: usize = 4096;

/// Where the first line begins that is not before what is looked for, by its time and place; the length of the file if all are. What is
/// no record is not before anything.
pub(crate) fn first(file: &File, length: u64, is_before: impl Fn(&str, u64) -> bool) -> io::Result<u64> {
    let mut found = length;
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = low + (high - low) / 2;
        let begins = line_from(file, middle, found)?;
        let is_low = match begins {
            Some(begins) => {
                let is_low = begins_at(file, begins)?.is_some_and(|(time, seq)| is_before(&time, seq));
                if !is_low {
                    found = begins;
                }
                is_low
            }
            // No line begins between here and what was found.
            None => false,
        };
        if is_low {
            low = begins.map_or(length, |begins| begins + 1);
        } else {
            high = middle;
        }
    }
    Ok(found)
}

/// The time and place of the record that begins there.
pub(crate) fn begins_at(file: &File, at: u64) -> io::Result<Option<(String, u64)>> {
    let mut piece = [0; line::BEGIN];
    let read = read_at(file, &mut piece, at)?;
    let begins = line::begins(piece.get(..read).unwrap_or_default());
    Ok(begins.map(|(time, seq)| (time.to_owned(), seq)))
}

/// Where the last line begins that has an end, and where it ends.
pub(crate) fn last(file: &File, length: u64) -> io::Result<(u64, u64)> {
    let (mut ends, mut from, mut piece) = (None, length, vec![0; 16 * PIECE]);
    while from > 0 {
        let size = from.min(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        from -= size;
        let part = piece.get_mut(..usize::try_from(size).unwrap_or_default()).unwrap_or_default();
        let read = read_at(file, part, from)?;
        for at in memchr::memrchr_iter(b'\n', part.get(..read).unwrap_or_default()) {
            let behind = from + u64::try_from(at).unwrap_or_default() + 1;
            match ends {
                None => ends = Some(behind),
                Some(ends) => return Ok((behind, ends)),
            }
        }
    }
    Ok((0, ends.unwrap_or_default()))
}

/// Where the first line begins at or behind a place, and before an end.
fn line_from(file: &File, at: u64, end: u64) -> io::Result<Option<u64>> {
    if at == 0 {
        return Ok((end > 0).then_some(0));
    }
    // A line begins here if one ends before.
    let mut from = at - 1;
    let mut piece = [0; PIECE];
    while from < end {
        let read = read_at(file, &mut piece, from)?;
        let piece = piece.get(..read).unwrap_or_default();
        if let Some(offset) = memchr::memchr(b'\n', piece) {
            let begins = from + u64::try_from(offset).unwrap_or_default() + 1;
            return Ok((begins < end).then_some(begins));
        }
        if read == 0 {
            break;
        }
        from += u64::try_from(read).unwrap_or_default();
    }
    Ok(None)
}

/// Reads as much as there is.
pub(crate) fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + u64::try_from(read).unwrap_or_default()) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::chain::Chain;

    #[test]
    fn every_line_is_found() {
        let (mut chain, mut bytes, mut starts) = (Chain::new("one"), Vec::new(), Vec::new());
        for number in 0..300_u64 {
            starts.push(bytes.len() as u64);
            let body = format!(",\"x\":\"{}\"", "y".repeat(number as usize * 37 % 9000));
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + number);
            chain.record(&mut bytes, ("call", at), &body);
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let length = bytes.len() as u64;
        for (number, start) in starts.iter().enumerate() {
            assert_eq!(first(&file, length, |_, seq| seq < number as u64).unwrap(), *start);
        }
        assert_eq!(first(&file, length, |_, _| true).unwrap(), length);
        assert_eq!(first(&file, length, |_, _| false).unwrap(), 0);
        assert_eq!(first(&file, 0, |_, _| true).unwrap(), 0);
        assert_eq!(last(&file, length).unwrap(), (starts[299], length));
        assert_eq!(last(&file, length - 1).unwrap(), (starts[298], starts[299]));
        assert_eq!(last(&file, starts[1]).unwrap(), (0, starts[1]));
        assert_eq!(last(&file, starts[1] - 1).unwrap(), (0, 0));
    }
}
