//! Texts as people can read them.

use mcp::json;

/// JSON with a member a line, as far as it can be read: nothing but white space outside of strings changes, so that what two
/// readers could read in two ways is seen.
#[must_use]
pub fn laid_out(text: &str) -> String {
    // What is said of the rest is no JSON, and no JSON has that.
    let (text, left) = text.split_at(text.find(LEFT).unwrap_or(text.len()));
    let mut out = json::laid_out(text, 0);
    out.push_str(left);
    out
}

/// How it begins that something is left out.
const LEFT: &str = "\n…";

/// JSON without the white space outside of its strings, which could push what matters out of sight.
pub(crate) fn squeezed(text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let stays = |c: &char| {
        if in_string {
            (in_string, escaped) = (escaped || *c != '"', !escaped && *c == '\\');
            return true;
        }
        in_string = *c == '"';
        !c.is_ascii_whitespace()
    };
    text.chars().filter(stays).collect()
}

/// The beginning of a text, and how many bytes are left out.
pub(crate) fn cut(text: &str, most: usize) -> (&str, usize) {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let begin = text.get(..end).unwrap_or_default();
    (begin, text.len() - begin.len())
}

/// The same with a word of what is left out.
pub(crate) fn bounded(text: &str, most: usize) -> String {
    match cut(text, most) {
        (whole, 0) => whole.to_owned(),
        (begin, left) => format!("{begin}{LEFT} and {left} bytes more, which are not shown here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_stays_what_it_is() {
        assert_eq!(
            laid_out(r#"{"a":1,"a": [ 1.50,{}],"b":"x,\"{ y\\","c":[ ]}"#),
            "{\n  \"a\": 1,\n  \"a\": [\n    1.50,\n    {}\n  ],\n  \"b\": \"x,\\\"{ y\\\\\",\n  \"c\": []\n}"
        );
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(bounded("äb", 3), "äb");
        let cut = bounded("aäb", 2);
        assert_eq!(cut, "a\n… and 3 bytes more, which are not shown here");
        assert_eq!(laid_out(&cut), cut);
    }

    #[test]
    fn white_space_hides_nothing() {
        let text = "{ \"a\\\" \" :\n\t1, \"b c\": [ ] }";
        assert_eq!(squeezed(text), "{\"a\\\" \":1,\"b c\":[]}");
        assert_eq!(laid_out(&squeezed(text)), laid_out(text));
    }
}
