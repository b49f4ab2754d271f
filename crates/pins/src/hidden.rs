//! Characters that nobody sees, and texts in which everything can be seen.

use mcp::json;

/// A JSON string in which everything can be seen.
#[must_use]
pub fn visible(text: &str) -> String {
    escaped(json::quote(text))
}

/// A text in which everything can be seen: what cannot is escaped as in a JSON string.
#[must_use]
pub fn escaped(text: String) -> String {
    if !text.chars().any(is_hidden) {
        return text;
    }
    let mut seen = String::with_capacity(2 * text.len());
    for c in text.chars() {
        if is_hidden(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| seen.push_str(&format!("\\u{unit:04x}")));
        } else {
            seen.push(c);
        }
    }
    seen
}

/// Whether a character cannot be seen, or turns the direction of what is read.
pub(crate) fn is_hidden(c: char) -> bool {
    is_invisible(c) || is_bidirectional(c)
}

/// Whether a character cannot be seen: controls, joiners, fillers, variations, tags. Line breaks and tabs can.
pub(crate) fn is_invisible(c: char) -> bool {
    base::visible::is_hidden(c) && !is_bidirectional(c) && !matches!(c, '\t' | '\n' | '\r')
}

/// Whether a character turns the direction of what is read.
pub(crate) fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
