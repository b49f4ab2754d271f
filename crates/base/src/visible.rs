//! Texts of others, for people who decide by them: what cannot be seen in them is shown.

use std::borrow::Cow;

/// Whether a character cannot be seen, or moves what stands beside it: then a text may say another thing than it seems to.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    // Unicode 16: Default_Ignorable_Code_Point, Bidi_Control, line and paragraph separators, and controls.
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with its hidden characters written as `\u{200b}`; line breaks and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let shows = |c: char| matches!(c, '\n' | '\t') || !is_hidden(c);
    if text.chars().all(shows) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if shows(c) {
            seen.push(c);
        } else {
            seen.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
    }
    Cow::Owned(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_shown() {
        assert_eq!(visible("a\u{202e}b\u{200b}\r\n\u{e0041}"), "a\\u{202e}b\\u{200b}\\u{d}\n\\u{e0041}");
        for plain in ["", "Straße 東京 🙂\n\tمرحبا", "a\\u{200b}"] {
            assert!(matches!(visible(plain), Cow::Borrowed(text) if text == plain), "{plain}");
        }
    }
}
