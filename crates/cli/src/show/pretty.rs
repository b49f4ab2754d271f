//! JSON for a person: broken into lines, and otherwise as it came. Numbers keep their spelling, members their order.

/// Lines with two more spaces a level, the first one without any. Text that is no JSON comes out somehow.
pub(crate) fn pretty(json: &str, level: usize) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = level;
    let mut rest = json.trim().char_indices().peekable();
    let mut in_string = false;
    let mut escaped = false;
    while let Some((_, c)) = rest.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while rest.next_if(|(_, next)| next.is_ascii_whitespace()).is_some() {}
                match rest.next_if(|(_, next)| matches!(next, '}' | ']')) {
                    Some((_, close)) => out.push(close),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
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
            c => out.push(c),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_not_changed() {
        let text = r#"{"b":[1.0, {}, [ ]],"a":"x\\\"{,:}","n":{"e":1e2}}"#;
        assert_eq!(
            pretty(text, 0),
            "{\n  \"b\": [\n    1.0,\n    {},\n    []\n  ],\n  \"a\": \"x\\\\\\\"{,:}\",\n  \"n\": {\n    \"e\": 1e2\n  }\n}"
        );
        assert_eq!(pretty("[1]", 1), "[\n    1\n  ]");
    }
}
