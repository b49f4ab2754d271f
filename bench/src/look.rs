//! Finds the few things that the bench must know of a message without reading the message: it is the bench's own, or a
//! gateway's copy of it, and what is looked for stands before anything large.

use memchr::memmem;

/// What follows the first `needle`.
pub(crate) fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    memmem::find(text, needle).map(|at| &text[at + needle.len()..])
}

/// The raw number or string that follows the first `"name":`.
pub(crate) fn scalar<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let needle = format!("\"{name}\":");
    scalar_at(after(text, needle.as_bytes())?)
}

fn scalar_at(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let end = match text.first()? {
        b'"' => memchr::memchr(b'"', &text[1..])? + 2,
        _ => text.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' '))?,
    };
    Some(&text[..end])
}

/// The raw id of a message.
pub(crate) fn id(text: &[u8]) -> Option<&[u8]> {
    scalar_at(after(text, b"\"id\":")?)
}

/// The string that stands after `needle`, which ends with its opening quote.
pub(crate) fn string_after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a str> {
    let rest = after(text, needle)?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_as_they_were_written() {
        assert_eq!(id(br#"{"jsonrpc":"2.0","id":17,"method":"x"}"#), Some(&b"17"[..]));
        assert_eq!(id(br#"{"jsonrpc":"2.0","id": "a" }"#), Some(&br#""a""#[..]));
        assert_eq!(id(br#"{"result":{},"id":5}"#), Some(&b"5"[..]));
        assert_eq!(id(br#"{"jsonrpc":"2.0","method":"x"}"#), None);
    }

    #[test]
    fn other_members_are_found_by_name() {
        let text = br#"{"params":{"_meta":{"progressToken":"t-1"},"name":"echo_5"}}"#;
        assert_eq!(scalar(text, "progressToken"), Some(&br#""t-1""#[..]));
        assert_eq!(string_after(text, b"\"name\":\""), Some("echo_5"));
    }
}
