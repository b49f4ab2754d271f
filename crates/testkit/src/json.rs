//! Raw JSON texts: finding values, and comparing what is not ours to change. Written apart from the library under test,
//! so that a mistake there is not made here, too.
#![expect(clippy::string_slice, reason = "places lie between ASCII characters")]

use std::ops::Range;

/// The members of an object as they stand: each name, with its quotes, and its value.
///
/// Valid JSON is taken for granted; what is no object has no members.
#[must_use]
pub fn members(text: &str) -> Vec<(&str, &str)> {
    places(text).into_iter().map(|(name, value)| (&text[name], &text[value])).collect()
}

fn places(text: &str) -> Vec<(Range<usize>, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return found;
    }
    at = skip_space(bytes, at + 1);
    while bytes.get(at) == Some(&b'"') {
        let name = at..value_end(bytes, at);
        let value_start = skip_space(bytes, skip_space(bytes, name.end) + 1);
        let value = value_start..value_end(bytes, value_start);
        at = skip_space(bytes, value.end);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        found.push((name, value));
    }
    found
}

/// The elements of an array as they stand.
#[must_use]
pub fn elements(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = skip_space(bytes, skip_space(bytes, 0) + 1);
    while at < bytes.len() && bytes.get(at) != Some(&b']') {
        let end = value_end(bytes, at);
        found.push(&text[at..end]);
        at = skip_space(bytes, end);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
    }
    found
}

/// Where the value stands that a path of member names leads to, however the names are spelled.
#[must_use]
pub fn place(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let mut place = 0..text.len();
    for name in path {
        let inner = &text[place.clone()];
        let (_, value) = places(inner).into_iter().find(|(n, _)| unescaped(&inner[n.clone()]) == *name)?;
        place = place.start + value.start..place.start + value.end;
    }
    Some(place)
}

/// The value that a path leads to.
#[must_use]
pub fn at<'t>(text: &'t str, path: &[&str]) -> Option<&'t str> {
    place(text, path).map(|place| &text[place])
}

/// The text of a JSON string that has no escapes.
#[must_use]
pub fn plain(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// The text with another value at a path that is there.
#[must_use]
pub fn with(text: &str, path: &[&str], value: &str) -> String {
    let place = place(text, path).unwrap_or_else(|| panic!("{path:?} is not in {text}"));
    [&text[..place.start], value, &text[place.end..]].concat()
}

/// The text with `*` for the values at those of the paths that are there.
#[must_use]
pub fn masked(text: &str, paths: &[&[&str]]) -> String {
    let mut out = text.to_owned();
    for path in paths {
        if place(&out, path).is_some() {
            out = with(&out, path, "*");
        }
    }
    out
}

/// The text without the member at a path, and without the comma that goes with it.
#[must_use]
pub fn without(text: &str, path: &[&str]) -> String {
    let Some((last, parents)) = path.split_last() else { return text.to_owned() };
    let Some(parent) = place(text, parents) else { return text.to_owned() };
    let inner = &text[parent.clone()];
    let all = places(inner);
    let Some(index) = all.iter().position(|(name, _)| unescaped(&inner[name.clone()]) == *last) else {
        return text.to_owned();
    };
    let gone = match (index.checked_sub(1).map(|before| &all[before]), all.get(index + 1)) {
        (_, Some(next)) => all[index].0.start..next.0.start,
        (Some(before), None) => before.1.end..all[index].1.end,
        (None, None) => all[index].0.start..all[index].1.end,
    };
    [&text[..parent.start + gone.start], &text[parent.start + gone.end..]].concat()
}

/// What a JSON string says. An escape that is no character of the basic plane is left as it stands.
#[must_use]
pub fn unescaped(value: &str) -> String {
    let mut rest = plain(value);
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let escaped = after.strip_prefix('u').and_then(|hex| hex.get(..4));
        let code = escaped.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        let (c, length) = match (code, after.chars().next()) {
            (Some(c), _) => (c, 5),
            (None, Some('n')) => ('\n', 1),
            (None, Some('r')) => ('\r', 1),
            (None, Some('t')) => ('\t', 1),
            (None, Some(c @ ('"' | '\\' | '/'))) => (c, 1),
            _ => ('\\', 0),
        };
        out.push(c);
        rest = after.split_at(length).1;
    }
    out + rest
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// One past the end of the value that begins at `at`.
fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    while let Some(byte) = bytes.get(at) {
        match (in_string, byte) {
            (true, b'\\') => at += 1,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') if depth == 0 => return at,
            (false, b'}' | b']') => depth -= 1,
            (false, b',' | b':') if depth == 0 => return at,
            (false, byte) if depth == 0 && byte.is_ascii_whitespace() => return at,
            (false, _) => {}
        }
        at += 1;
        if depth == 0 && !in_string && matches!(bytes.get(at - 1), Some(b'"' | b'}' | b']')) {
            return at;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#" { "a" : {"b":[1,{"c":"}\""}], "d":-1.0e5} ,"e":"x"} "#;

    #[test]
    fn values_are_found_where_they_stand() {
        assert_eq!(at(TEXT, &["a", "b"]), Some(r#"[1,{"c":"}\""}]"#));
        assert_eq!(elements(at(TEXT, &["a", "b"]).unwrap()), ["1", r#"{"c":"}\""}"#]);
        assert_eq!(
            (at(TEXT, &["a", "d"]), at(TEXT, &["e"]), at(TEXT, &["f"])),
            (Some("-1.0e5"), Some("\"x\""), None)
        );
    }

    #[test]
    fn names_are_found_however_they_are_spelled() {
        assert_eq!(at(r#"{"\u0069d":7,"i\/o":8}"#, &["id"]), Some("7"));
        assert_eq!(unescaped(r#""\u0041\n\"\ud800""#), "A\n\"\\ud800");
    }

    #[test]
    fn texts_change_nowhere_else() {
        assert_eq!(masked(TEXT, &[&["a", "d"], &["x"]]), TEXT.replace("-1.0e5", "*"));
        assert_eq!(without(TEXT, &["a", "d"]), r#" { "a" : {"b":[1,{"c":"}\""}]} ,"e":"x"} "#);
        assert_eq!(without(TEXT, &["a"]), r#" { "e":"x"} "#);
        assert_eq!(without(r#"{"a":1}"#, &["a"]), "{}");
    }
}
