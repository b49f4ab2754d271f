//! Pages of a list.

use std::num::NonZeroUsize;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::answer::Refusal;

/// The members of a list result: the entries from `cursor` on, each a JSON text, and the cursor of the next page.
///
/// The second page's cursor is the empty string, on purpose: a client that takes it for the end loses entries.
pub(crate) fn page(
    member: &str,
    entries: &[String],
    cursor: Option<&str>,
    size: Option<NonZeroUsize>,
) -> Result<String, Refusal> {
    let bad = || Refusal::Params("\"cursor\" is not one of this list's".to_owned());
    let size = size.map_or(usize::MAX, NonZeroUsize::get);
    let start = match cursor {
        None => 0,
        Some("") => size,
        Some(cursor) => read(cursor).filter(|start| *start > size && start % size == 0).ok_or_else(bad)?,
    };
    let rest = entries.get(start..).filter(|rest| start == 0 || !rest.is_empty()).ok_or_else(bad)?;
    let (shown, left) = rest.split_at(size.min(rest.len()));
    let next = match start {
        _ if left.is_empty() => String::new(),
        0 => r#","nextCursor":"""#.to_owned(),
        _ => format!(r#","nextCursor":"{}""#, write(start + size)),
    };
    Ok(format!(r#""{member}":[{}]{next}"#, shown.join(",")))
}

fn write(start: usize) -> String {
    URL_SAFE_NO_PAD.encode(start.to_string())
}

fn read(cursor: &str) -> Option<usize> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_cursor_is_empty_and_all_entries_come_once() {
        let entries: Vec<_> = (0..5).map(|n| n.to_string()).collect();
        let read = |cursor: Option<&str>| page("n", &entries, cursor, NonZeroUsize::new(2));
        assert_eq!(read(None).unwrap(), r#""n":[0,1],"nextCursor":"""#);
        assert_eq!(read(Some("")).unwrap(), r#""n":[2,3],"nextCursor":"NA""#);
        assert_eq!(read(Some("NA")).unwrap(), r#""n":[4]"#);
        for bad in ["MA", "Mg", "NQ", "!", "NDA"] {
            assert!(read(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_a_size_there_is_one_page_and_no_cursor() {
        let entries = ["0".to_owned()];
        assert_eq!(page("n", &entries, None, None).unwrap(), r#""n":[0]"#);
        assert_eq!(page("n", &[], None, None).unwrap(), r#""n":[]"#);
        assert!(page("n", &entries, Some(""), None).is_err());
    }
}
