//! Pages of a merged list: our own cursors, which say where the next page begins and in which list.
//!
//! They are not secret, so they need no seal, but a cursor for a list that has changed since must not skip entries:
//! it names the list by a digest and is refused when that differs (MCP `server/utilities/pagination`: the client
//! starts again).

use aws_lc_rs::digest::{Context, SHA256};

use super::Merged;
use crate::reply::CallError;

/// Leaves the page that `cursor` asks for.
pub(super) fn cut(merged: &mut Merged, cursor: Option<&str>, size: Option<usize>) -> Result<(), CallError> {
    let Some(size) = size.filter(|size| *size > 0) else {
        return if cursor.is_some() { Err(CallError::BadCursor) } else { Ok(()) };
    };
    let digest = digest(merged);
    let start = match cursor {
        None => 0,
        Some(cursor) => {
            parse(cursor, &digest).filter(|at| *at < merged.entries.len()).ok_or(CallError::BadCursor)?
        }
    };
    let end = (start + size).min(merged.entries.len());
    if end < merged.entries.len() {
        merged.next_cursor = Some(format!("{digest}-{end}"));
    }
    merged.entries.truncate(end);
    merged.entries.drain(..start);
    Ok(())
}

fn parse(cursor: &str, digest: &str) -> Option<usize> {
    let (of, at) = cursor.split_once('-')?;
    (of == digest).then(|| at.parse().ok()).flatten()
}

fn digest(merged: &Merged) -> String {
    let mut context = Context::new(&SHA256);
    for entry in &merged.entries {
        context.update(&(entry.text.len() as u64).to_be_bytes());
        context.update(&entry.text);
    }
    let digest = context.finish();
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use mcp::cache::Hints;

    use super::*;
    use crate::catalog::Entry;

    fn list(names: &[&str]) -> Merged {
        let entry =
            |name: &&str| Entry { name: (*name).to_owned(), text: Bytes::copy_from_slice(name.as_bytes()) };
        Merged {
            entries: names.iter().map(entry).collect(),
            hints: Hints::NONE,
            next_cursor: None,
            degraded: BTreeMap::new(),
        }
    }

    #[test]
    fn pages_join_to_the_whole_list() {
        let names = ["a", "b", "c", "d", "e"];
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut page = list(&names);
            cut(&mut page, cursor.as_deref(), Some(2)).unwrap();
            seen.extend(page.entries.into_iter().map(|entry| entry.name));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, names);
    }

    #[test]
    fn cursors_of_other_lists_are_refused() {
        let mut page = list(&["a", "b"]);
        cut(&mut page, None, Some(1)).unwrap();
        let cursor = page.next_cursor.unwrap();
        assert_eq!(cut(&mut list(&["a", "x"]), Some(&cursor), Some(1)), Err(CallError::BadCursor));
        for bad in ["", "x", "-1", "0-0"] {
            assert_eq!(cut(&mut list(&["a", "b"]), Some(bad), Some(1)), Err(CallError::BadCursor));
        }
        assert_eq!(cut(&mut list(&["a"]), Some("x"), None), Err(CallError::BadCursor));
    }
}
