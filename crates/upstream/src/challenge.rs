//! What a server says to why it refuses our credentials: the `WWW-Authenticate` of its reply (RFC 9110 §11.6.1, RFC 6750 §3).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// The most characters of a reason: it is theirs to write, and stands in one line of ours.
const MOST: usize = 300;

/// What is shown of a reason. What must not be seen is masked before: half of it would not be known for what it is.
pub(crate) fn cut(reason: &str) -> String {
    reason.chars().take(MOST).collect()
}

/// The reason, for people: its `error_description`, or else its `error`.
pub(crate) fn reason(headers: &HeaderMap) -> Option<String> {
    let challenges: Vec<_> =
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let of = |name: &str| challenges.iter().find_map(|challenge| parameter(challenge, name));
    let said = of("error_description").or_else(|| of("error"))?;
    let said: String = said.chars().filter(|c| !c.is_control()).collect();
    Some(said.trim().to_owned()).filter(|said| !said.is_empty())
}

/// The value of a parameter of a challenge.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    parts(challenge).into_iter().find_map(|part| {
        let (before, value) = part.split_once('=')?;
        // The first one has the scheme before it.
        let is_it = before.split_whitespace().last()?.eq_ignore_ascii_case(name);
        is_it.then(|| unquoted(value.trim()))
    })
}

/// What stands between the commas that are in no quotes.
fn parts(challenge: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in challenge.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.extend(challenge.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(challenge.get(start..));
    parts
}

/// RFC 9110 §5.6.4.
fn unquoted(value: &str) -> String {
    let Some(inside) = value.strip_prefix('"') else { return value.to_owned() };
    let (mut text, mut escaped) = (String::new(), false);
    for c in inside.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => break,
            _ => {
                text.push(c);
                escaped = false;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn said(challenges: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(challenge).unwrap());
        }
        reason(&headers)
    }

    #[test]
    fn the_reason_is_found_in_whatever_order_and_spelling() {
        for (challenges, reason) in [
            (
                &[r#"Bearer error="invalid_token", error_description="It \"expired\", get another""#][..],
                r#"It "expired", get another"#,
            ),
            (&[r#"Bearer Error_Description = "gone" , realm="a, error_description=\"no\"""#], "gone"),
            (&["Basic realm=\"x\"", "Bearer error=insufficient_scope, scope=\"a b\""], "insufficient_scope"),
            (&[r#"Bearer error_description="it has no end"#], "it has no end"),
        ] {
            assert_eq!(said(challenges).as_deref(), Some(reason), "{challenges:?}");
        }
        for none in [&[][..], &["Bearer"], &["Bearer realm=\"error_description=no\""], &["Bearer error=\"\""]]
        {
            assert_eq!(said(none), None, "{none:?}");
        }
        let long = format!("Bearer error_description=\"{}\"", "x".repeat(5000));
        assert_eq!(cut(&said(&[&long]).unwrap()).len(), MOST);
    }
}
