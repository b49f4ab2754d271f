//! Pages of a merged list: our own cursors, which say where the next page begins and in which list.
//!
//! They are not secret, so they need no seal, but a cursor for a list that has changed since must not skip entries:
//! it names the list by a digest and is refused when that differs (MCP `server/utilities/pagination`: the client
//! starts again).

use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};
use base::error::CallError;

use super::Merged;

/// Which entries are on the page that `cursor` asks for, and the cursor of the next page.
pub(crate) fn page(
    merged: &Merged,
    cursor: Option<&str>,
    size: Option<usize>,
) -> Result<(Range<usize>, Option<String>), CallError> {
    let all = merged.entries.len();
    let Some(size) = size else {
        return if cursor.is_some() { Err(CallError::BadCursor) } else { Ok((0..all, None)) };
    };
    let digest = merged.digest.get_or_init(|| digest(merged));
    let start = match cursor {
        None => 0,
        Some(cursor) => parse(cursor, digest).filter(|at| *at < all).ok_or(CallError::BadCursor)?,
    };
    let end = start.saturating_add(size).min(all);
    Ok((start..end, (end < all).then(|| format!("{digest}-{end}"))))
}

fn parse(cursor: &str, digest: &str) -> Option<usize> {
    let (of, at) = cursor.split_once('-')?;
    (of == digest).then(|| at.parse().ok()).flatten()
}

fn digest(merged: &Merged) -> String {
    let mut context = Context::new(&SHA256);
    for entry in &merged.entries {
        context.update(&(entry.len() as u64).to_be_bytes());
        context.update(entry);
    }
    let digest = context.finish();
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::OnceLock;

    use bytes::Bytes;
    use mcp::cache::Scope;
    use tokio::time::Instant;

    use super::*;
    use crate::catalog::remarks::Remarks;
    use crate::catalog::server_lists::Freshness;

    fn list(names: &[&'static str]) -> Merged {
        Merged {
            entries: names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect(),
            term: Freshness { until: Instant::now(), scope: Scope::Private },
            is_told: true,
            degraded: BTreeMap::new(),
            remarks: Remarks::default(),
            scope: Scope::Private,
            digest: OnceLock::new(),
        }
    }

    #[test]
    fn pages_join_to_the_whole_list() {
        let list = list(&["a", "b", "c", "d", "e"]);
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let (entries, next) = page(&list, cursor.as_deref(), Some(2)).unwrap();
            seen.extend_from_slice(&list.entries[entries]);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, list.entries);
    }

    #[test]
    fn cursors_of_other_lists_are_refused() {
        let (_, cursor) = page(&list(&["a", "b"]), None, Some(1)).unwrap();
        let refused = |names: &[&'static str], cursor: Option<&str>, size| {
            assert_eq!(page(&list(names), cursor, size), Err(CallError::BadCursor));
        };
        refused(&["a", "x"], cursor.as_deref(), Some(1));
        for bad in ["", "x", "-1", "0-0"] {
            refused(&["a", "b"], Some(bad), Some(1));
        }
        refused(&["a"], Some("x"), None);
    }
}
