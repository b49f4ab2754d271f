//! URI templates (RFC 6570), as far as it takes to tell whose a URI is: whether a template can become it.

/// Longer ones are nobody's.
const MOST_BYTES: usize = 8 * 1024;
/// Templates with more parts lead nowhere.
const MOST_PARTS: usize = 64;

/// A part of a template.
enum Part<'t> {
    Text(&'t [u8]),
    /// `{x}`: something within one segment of a path.
    Segment,
    /// `{+x}`, `{/x*}`, `{?x,y}` and the like: anything that begins with the sign, or nothing.
    Rest(Option<u8>),
}

/// Whether `uri` can be made of `template`.
#[must_use]
pub fn fits(template: &str, uri: &str) -> bool {
    let uri = uri.as_bytes();
    let Some(parts) = parts(template).filter(|_| uri.len() <= MOST_BYTES) else { return false };
    // The places in the URI that the parts so far can lead to.
    let mut open = vec![false; uri.len() + 1];
    if let Some(first) = open.first_mut() {
        *first = true;
    }
    for part in parts {
        let mut next = vec![false; uri.len() + 1];
        let mut reached = false;
        for (at, place) in next.iter_mut().enumerate() {
            *place = match part {
                Part::Text(text) => {
                    let begin = at.checked_sub(text.len());
                    begin.is_some_and(|begin| is(&open, begin) && uri.get(begin..at) == Some(text))
                }
                Part::Segment => {
                    let before = at.checked_sub(1);
                    let goes_on = before.and_then(|before| uri.get(before)).is_some_and(|byte| *byte != b'/');
                    reached = goes_on && (reached || before.is_some_and(|before| is(&open, before)));
                    reached
                }
                Part::Rest(sign) => {
                    let before = at.checked_sub(1);
                    let begins = before.is_some_and(|before| {
                        is(&open, before) && sign.is_none_or(|sign| uri.get(before) == Some(&sign))
                    });
                    reached |= begins;
                    reached || is(&open, at)
                }
            };
        }
        if !next.contains(&true) {
            // Most templates end here, with their first text.
            return false;
        }
        open = next;
    }
    is(&open, uri.len())
}

fn is(places: &[bool], at: usize) -> bool {
    places.get(at).copied().unwrap_or_default()
}

fn parts(template: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let (expression, after) = after.split_once('}')?;
        parts.push(Part::Text(text.as_bytes()));
        parts.push(match expression.as_bytes().first()? {
            b'+' => Part::Rest(None),
            sign @ (b'#' | b'.' | b'/' | b';' | b'?' | b'&') => Part::Rest(Some(*sign)),
            _ => Part::Segment,
        });
        if parts.len() > MOST_PARTS {
            return None;
        }
        rest = after;
    }
    parts.push(Part::Text(rest.as_bytes()));
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_becomes_what_its_parts_allow() {
        for (template, uri) in [
            ("https://example.com/{x}", "https://example.com/a"),
            ("https://example.com/{x}", "https://example.com/zzz?q=1"),
            ("https://example.com/{x}/b", "https://example.com/a/b"),
            ("https://example.com/{+path}", "https://example.com/a/b/c"),
            ("https://example.com{/path*}", "https://example.com/a/b"),
            ("https://example.com{/path*}", "https://example.com"),
            ("https://example.com/n{?q,lang}", "https://example.com/n?q=1&lang=de"),
            ("https://example.com/n{?q,lang}", "https://example.com/n"),
            ("/article/{title}", "/article/Rust"),
            ("a{x}a{y}a", "aaaaa"),
            ("same", "same"),
            ("{x}", "é"),
        ] {
            assert!(fits(template, uri), "{template} {uri}");
        }
        for (template, uri) in [
            ("https://example.com/{x}", "https://example.com/"),
            ("https://example.com/{x}", "https://example.com/a/b"),
            ("https://example.com/{x}", "https://example.org/a"),
            ("https://example.com/n{?q}", "https://example.com/nq"),
            ("a{x}a", "aa"),
            ("a{", "a{"),
            ("a{}", "a"),
            ("same", "samer"),
        ] {
            assert!(!fits(template, uri), "{template} {uri}");
        }
        assert!(!fits(&"{x}".repeat(100), "a"));
    }
}
