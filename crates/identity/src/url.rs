//! URLs as they are compared (RFC 3986 §6.2.2 and §6.2.3).

use crate::percent;

/// A URL in its normal form, without query and fragment; nothing where it is no URL of a resource over HTTP.
pub(crate) fn normal(text: &str) -> Option<String> {
    if text.bytes().any(|byte| !matches!(byte, b'!'..=b'~')) {
        return None;
    }
    let bare = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = bare.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => "443",
        "http" => "80",
        _ => return None,
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = (rest.get(..at)?, rest.get(at..)?);
    // Credentials in it would make two URLs of one.
    if authority.is_empty() || authority.contains(['@', '\\', '%']) {
        return None;
    }
    let authority = authority.to_ascii_lowercase();
    // The colons of an IPv6 address stand within brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority.as_str(), ""),
    };
    if host.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port = port.trim_start_matches('0');
    let port = if port.is_empty() || port == default { String::new() } else { format!(":{port}") };
    Some(format!("{scheme}://{host}{port}{}", without_dots(&spelled(path)?)))
}

/// A URI as a server may read it: without space around it, slashes of one kind, scheme and authority in lower case, percent signs in
/// one spelling, without dots (RFC 3986 §6.2.2); of a file of this machine with three slashes (WHATWG URL Standard §4.4). What is no
/// URI stays as it is.
fn likened(uri: &str) -> String {
    let plain = uri.trim_matches(|c: char| c.is_whitespace() || c.is_control()).replace('\\', "/");
    let plain = local_file(&plain).unwrap_or(plain);
    let Some((scheme, rest)) = plain.split_once("://") else { return uri.to_owned() };
    let at = rest.find('/').unwrap_or(rest.len());
    let (Some(authority), Some(path)) = (rest.get(..at), rest.get(at..)) else { return uri.to_owned() };
    let Some(path) = spelled(path) else { return uri.to_owned() };
    let path = if path.is_empty() { path } else { without_dots(&path) };
    format!("{}://{}{path}", scheme.to_ascii_lowercase(), authority.to_ascii_lowercase())
}

/// A file of this machine, with no slash twice; nothing where it is none, or another machine's.
fn local_file(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let is_ours = !rest.starts_with("//") || path.starts_with('/');
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    (scheme.eq_ignore_ascii_case("file") && is_ours).then(|| format!("file:///{}", parts.join("/")))
}

/// The same, if it is another text than what is written. What the one may not be, the other may not be, either.
#[must_use]
pub fn other_spelling(uri: &str) -> Option<String> {
    Some(likened(uri)).filter(|likened| likened != uri)
}

/// Percent signs in one spelling (RFC 3986 §6.2.2.1 and §6.2.2.2).
fn spelled(path: &str) -> Option<String> {
    let (mut out, mut rest) = (Vec::with_capacity(path.len()), path.as_bytes());
    while let Some((&first, others)) = rest.split_first() {
        if first != b'%' {
            out.push(first);
            rest = others;
            continue;
        }
        let meant = percent::byte(others.get(..2)?)?;
        if meant.is_ascii_alphanumeric() || b"-._~".contains(&meant) {
            out.push(meant);
        } else {
            out.extend(format!("%{meant:02X}").bytes());
        }
        rest = others.get(2..)?;
    }
    String::from_utf8(out).ok()
}

/// RFC 3986 §5.2.4, of a path that begins with a slash or is empty.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match *segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
        // A path that ends in dots ends in a slash.
        if is_last && matches!(*segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// A URI as it is written, and as its server may read it.
pub(crate) fn spellings(uri: &str) -> [String; 2] {
    [uri.to_owned(), likened(uri)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_has_one_form() {
        let form = "https://gw.example/a/mcp";
        for same in [
            "https://gw.example/a/mcp",
            "HTTPS://GW.example:443/a/mcp",
            "https://gw.example:/a/mcp?x=1#y",
            "https://gw.example/a/b/../mcp",
            "https://gw.example/a/./mcp",
            "https://gw.example/%61/m%63p",
            "https://gw.example:0443/../a/mcp",
        ] {
            assert_eq!(normal(same).as_deref(), Some(form), "{same}");
        }
        assert_eq!(normal("http://[::1]:80"), Some("http://[::1]/".to_owned()));
        assert_eq!(normal("http://[::1]:8080/x/.."), Some("http://[::1]:8080/".to_owned()));
        assert_eq!(normal("https://a/%2f%c3"), Some("https://a/%2F%C3".to_owned()));
    }

    #[test]
    fn a_file_has_one_other_spelling() {
        for same in [
            "file:/etc/passwd",
            "file://localhost/etc/passwd",
            " file:///etc/passwd",
            "file:///etc\\passwd",
            "file:///etc//passwd",
            "FILE:///etc/./passwd",
            "file:etc/passwd\n",
            "file:///%65tc/passwd",
        ] {
            assert_eq!(other_spelling(same).as_deref(), Some("file:///etc/passwd"), "{same}");
        }
        assert_eq!(
            other_spelling("file://host/a/../b").as_deref(),
            Some("file://host/b"),
            "another machine's"
        );
        for only in [
            "file:///etc/passwd",
            "https://example.com/a//b",
            "mem:x",
            "t://open",
            "",
            "file:///h\u{e4}/\u{20ac}",
        ] {
            assert_eq!(other_spelling(only), None, "{only}");
        }
    }

    #[test]
    fn a_uri_is_likened_to_how_it_is_read() {
        for same in [
            "file:///secret/x",
            "FILE:///secret/x",
            "file:///./secret/x",
            "file:///%73ecret/x",
            "file:///a/../secret/x",
        ] {
            assert_eq!(likened(same), "file:///secret/x", "{same}");
        }
        for other in ["a", "file:///%zz", "mem:x/../y"] {
            assert_eq!(likened(other), other);
        }
    }

    #[test]
    fn others_have_another_or_none() {
        for other in [
            "http://gw.example/a/mcp",
            "https://gw.example:8443/a/mcp",
            "https://gw.example/a/mcp/",
            "https://gw.example/A/mcp",
            "https://gw.example/a//mcp",
            "https://gw.example/a%2Fmcp",
            "https://gw.example./a/mcp",
        ] {
            assert!(normal(other).is_some_and(|form| form != "https://gw.example/a/mcp"), "{other}");
        }
        for none in [
            "",
            "/a/mcp",
            "ftp://a/b",
            "https://",
            "https:///a",
            "https://u@gw.example/a/mcp",
            "https://a/%zz",
            "https://a/%4",
            "https://a:x/",
            "https://a/b c",
            "https://a/\u{e4}",
        ] {
            assert_eq!(normal(none), None, "{none}");
        }
    }
}
