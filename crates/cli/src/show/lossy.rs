//! Strings of servers as a person may see them, also those that are no Unicode text.

use std::borrow::Cow;

use mcp::json;

/// The text of a JSON string. A lone surrogate, which no text can hold, stays the escape that it was (`\ud83d`).
///
/// None if it is no string.
pub(crate) fn string(raw: &str) -> Option<String> {
    if let Ok(text) = json::string(raw) {
        return Some(text.into_owned());
    }
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    json::string(&format!("\"{}\"", without_lone(inner))).ok().map(Cow::into_owned)
}

/// The inside of a JSON string in which the escape of each lone surrogate stands for its own letters.
fn without_lone(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len() + 8);
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let is_pair =
            |high| (0xd800..0xdc00).contains(&high) && escape.get(6..).and_then(unit).is_some_and(is_low);
        let length = match unit(escape) {
            Some(high) if is_pair(high) => 12,
            Some(lone) if (0xd800..0xe000).contains(&lone) => {
                out.push('\\');
                6
            }
            Some(_) => 6,
            // An escape of one character. The text is JSON, so there is one.
            None => escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at),
        };
        let (escape, after) = escape.split_at(length);
        out.push_str(escape);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_low(unit: u32) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// The UTF-16 unit that a text begins with as `\uXXXX`.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_stay_escapes_and_nothing_else_does() {
        for (raw, text) in [
            (r#""a\ud83db""#, r"a\ud83db"),
            (r#""\udc00""#, r"\udc00"),
            (r#""\ud83d\ud83d\ude00\n\\ud83d\"é""#, "\\ud83d😀\n\\ud83d\"é"),
            (r#""\ud83d\\udc00""#, r"\ud83d\udc00"),
            (r#""plain""#, "plain"),
        ] {
            assert_eq!(string(raw).as_deref(), Some(text), "{raw}");
        }
        assert_eq!(string("5"), None);
    }
}
