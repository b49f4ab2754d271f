//! What was meant by a name that is none.

/// More names than this are no help.
const MOST_NAMES: usize = 12;

/// What to write instead of a name that is none of these: the nearest one, those that have it behind a server's prefix, or,
/// where none is near, what there is, as `there_are` begins to say.
pub(crate) fn instead(written: &str, names: &[&str], there_are: &str) -> String {
    let behind = |name: &&&str| {
        let prefix = name.strip_suffix(written);
        !written.is_empty() && prefix.is_some_and(|prefix| prefix.ends_with("__"))
    };
    let prefixed: Vec<_> = names.iter().filter(behind).map(|name| format!("{name:?}")).collect();
    if !prefixed.is_empty() {
        return format!("did you mean {}?", prefixed.join(" or "));
    }
    if let Some(meant) = base::nearest::nearest(written, names.iter().copied()) {
        return format!("did you mean {meant:?}?");
    }
    let more = if names.len() > MOST_NAMES { ", …" } else { "" };
    let first: Vec<_> = names.iter().take(MOST_NAMES).copied().collect();
    format!("{there_are} {}{more}", first.join(", "))
}
