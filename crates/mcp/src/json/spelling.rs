//! What a string with escapes means, without decoding it: strangers choose how often and how long it is asked.

use memchr::memchr;

/// Whether a JSON string, which was checked to be one, means this text. It stops where they differ.
pub(super) fn means(raw: &[u8], text: &[u8]) -> bool {
    let inner = raw.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or_default();
    // `\u0041` is the longest spelling of a byte, and none is shorter than what it means.
    if !(text.len()..=text.len() * 6).contains(&inner.len()) {
        return false;
    }
    let (mut inner, mut text) = (inner, text);
    loop {
        let plain = memchr(b'\\', inner).unwrap_or(inner.len());
        let Some((head, rest)) = inner.split_at_checked(plain) else { return false };
        let Some(left) = text.strip_prefix(head) else { return false };
        if rest.is_empty() {
            return left.is_empty();
        }
        let Some((meaning, after)) = escape(rest) else { return false };
        let Some(left) = left.strip_prefix(meaning.encode_utf8(&mut [0; 4]).as_bytes()) else { return false };
        (inner, text) = (after, left);
    }
}

/// What the escape means that begins here, and what follows it. Nothing for half of a pair, which is no text.
/// Source: RFC 8259 §7.
fn escape(spelled: &[u8]) -> Option<(char, &[u8])> {
    let (&kind, after) = spelled.strip_prefix(b"\\")?.split_first()?;
    let plain = match kind {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let (first, after) = unit(after)?;
            if let Some(meaning) = char::from_u32(first.into()) {
                return Some((meaning, after));
            }
            let (second, after) = unit(after.strip_prefix(b"\\u")?)?;
            let meaning = char::decode_utf16([first, second]).next()?.ok()?;
            return Some((meaning, after));
        }
        other => char::from(other),
    };
    Some((plain, after))
}

/// Four hexadecimal digits, and what follows them.
fn unit(digits: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, after) = digits.split_at_checked(4)?;
    let unit = digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?));
    Some((u16::try_from(unit?).ok()?, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::means;
    use crate::json::string;

    /// A string as anybody may spell it.
    fn spelled() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "a",
            "u",
            "\\u0075",
            "\\u0041",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\b",
            "\\f",
            "\\r",
            "\\t",
            "é",
            "\\u00e9",
            "\\ud83d\\ude00",
            "😀",
            "\\ud83d",
            "\\uDE00",
            "\\u0000",
            "ri",
        ]);
        prop::collection::vec(part, 0..6).prop_map(|parts| format!("\"{}\"", parts.concat()))
    }

    proptest! {
        #[test]
        fn it_means_what_serde_json_reads(raw in spelled(), other in spelled(), text in any::<String>()) {
            let meaning = string(&raw).ok();
            for text in [meaning.as_deref().unwrap_or("a"), string(&other).as_deref().unwrap_or(""), &text, "", "uri", "\\ud83d"] {
                prop_assert_eq!(means(raw.as_bytes(), text.as_bytes()), meaning.as_deref() == Some(text), "{} {:?}", raw, text);
            }
        }
    }
}
