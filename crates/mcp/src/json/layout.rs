//! JSON for people: broken into lines, and otherwise as it came. Numbers keep their spelling, members their order, and what two readers
//! could read in two ways is seen.

/// Deeper than this nobody reads, and what is indented more would grow with the square of what was sent.
const DEEPEST: usize = 40;

/// The text with a member a line: lines after the first begin with two spaces for each level, from `level` on. Nothing but white space
/// outside of strings changes. Text that is no JSON comes out somehow.
#[must_use]
pub fn laid_out(json: &str, level: usize) -> String {
    let (mut out, mut depth) = (String::with_capacity(json.len() * 2), level);
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = json.trim().chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            out.push(c);
            (in_string, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_not_changed() {
        let text = r#"{"b":[1.0, {}, [ ]],"a":"x\\\"{,:}","n":{"e":1e2},"n":"\"{ y\\"}"#;
        assert_eq!(
            laid_out(text, 0),
            "{\n  \"b\": [\n    1.0,\n    {},\n    []\n  ],\n  \"a\": \"x\\\\\\\"{,:}\",\n  \"n\": {\n    \"e\": 1e2\n  },\n  \
             \"n\": \"\\\"{ y\\\\\"\n}"
        );
        assert_eq!(laid_out("[1]", 1), "[\n    1\n  ]");
        for odd in ["", "}", "\"", "{\"a", "[[[", ",,", "\u{202e}", "{\"a\":\"\\"] {
            let squeezed = |text: &str| text.split_ascii_whitespace().collect::<String>();
            assert_eq!(squeezed(&laid_out(odd, 0)), squeezed(odd), "{odd}");
        }
        assert!(
            laid_out(&"[".repeat(10_000), 0).len() < 1_000_000,
            "what is deep grows with its length alone"
        );
    }
}
