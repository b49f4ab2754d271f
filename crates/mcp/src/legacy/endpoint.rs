//! The `endpoint` event of HTTP+SSE: where a client is to POST its messages. Source: MCP 2024-11-05 `basic/transports`
//! §HTTP with SSE; RFC 3986 §5.2.
//!
//! A server that could name any address could make us send messages, and the credentials that go with them, anywhere.
//! So the address must be of the origin of the stream that named it.

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

/// The most bytes that an endpoint's URI may have.
const MOST_BYTES: usize = 8 * 1024;

/// Why an endpoint is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// It is no URI.
    #[error("its endpoint event holds no URI")]
    NoUri,
    /// It leads elsewhere.
    #[error("its endpoint event leads to another origin, {theirs}, than its stream has, {ours}")]
    OtherOrigin {
        /// The origin of the endpoint.
        theirs: String,
        /// The origin of the stream.
        ours: String,
    },
}

/// The URI that `reference`, an absolute or relative one, stands for in a stream that was read from `base`.
///
/// # Errors
/// When it is no URI, or of another origin.
pub fn resolve(base: &Uri, reference: &str) -> Result<Uri, EndpointFault> {
    let reference = reference.trim();
    let reference = reference.split('#').next().unwrap_or_default();
    if reference.is_empty() || reference.len() > MOST_BYTES {
        return Err(EndpointFault::NoUri);
    }
    let whole = if has_scheme(reference) {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{}:{reference}", base.scheme_str().unwrap_or("http"))
    } else {
        let parts = base.clone().into_parts();
        let path = merge(base.path(), reference);
        let mut resolved = parts;
        resolved.path_and_query =
            Some(path.parse::<PathAndQuery>().map_err(|_invalid| EndpointFault::NoUri)?);
        return Uri::from_parts(resolved).map_err(|_invalid| EndpointFault::NoUri);
    };
    let uri: Uri = whole.parse().map_err(|_invalid| EndpointFault::NoUri)?;
    let (ours, theirs) = (origin(base), origin(&uri));
    // What stands before an @ is no host, and looks like one.
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours == theirs && !has_user => Ok(uri),
        (Some(ours), Some(theirs)) if !has_user => Err(EndpointFault::OtherOrigin { theirs, ours }),
        _ => Err(EndpointFault::NoUri),
    }
}

fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// Scheme, host and port; none without a host, or where the scheme is not one of HTTP.
fn origin(uri: &Uri) -> Option<String> {
    let scheme = uri.scheme()?;
    let port = match uri.port_u16() {
        Some(port) => port,
        None if *scheme == Scheme::HTTPS => 443,
        None if *scheme == Scheme::HTTP => 80,
        None => return None,
    };
    let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
    Some(format!("{scheme}://{host}:{port}"))
}

/// A path, or a query alone, relative to a path.
fn merge(base: &str, reference: &str) -> String {
    if reference.starts_with('?') {
        return format!("{base}{reference}");
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path.strip_prefix('/').unwrap_or(&path).split('/').peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            _ => segments.push(segment),
        }
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn at(base: &str, reference: &str) -> Result<String, EndpointFault> {
        resolve(&base.parse().unwrap(), reference).map(|uri| uri.to_string())
    }

    #[test]
    fn references_are_resolved_as_in_a_page() {
        let base = "http://h:1/a/sse?key=x";
        for (reference, resolved) in [
            ("/messages?sessionId=1", "http://h:1/messages?sessionId=1"),
            ("messages/", "http://h:1/a/messages/"),
            ("?sessionId=1", "http://h:1/a/sse?sessionId=1"),
            ("../m?u=/../x", "http://h:1/m?u=/../x"),
            ("./../../m/.", "http://h:1/m/"),
            ("http://h:1/m", "http://h:1/m"),
            ("HTTP://H:1/m#part", "http://H:1/m"),
            ("//h:1/m", "http://h:1/m"),
            (" /m \n", "http://h:1/m"),
        ] {
            assert_eq!(at(base, reference).as_deref(), Ok(resolved), "{reference}");
        }
        assert_eq!(at("https://h/sse", "https://h:443/m").as_deref(), Ok("https://h:443/m"));
        assert_eq!(at("http://h", "m").as_deref(), Ok("http://h/m"));
    }

    #[test]
    fn another_origin_is_refused() {
        for reference in [
            "http://evil/m",
            "//evil/m",
            "https://h:1/m",
            "http://h:2/m",
            "http://h/m",
            "http://h:1.evil/m",
            "http://h.evil:1/m",
            "http://h:1@evil/m",
            "http://user@h:1/m",
            "ftp://h:1/m",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://",
            "http:m",
            "",
            "#",
            "/a b",
        ] {
            assert!(at("http://h:1/sse", reference).is_err(), "{reference}");
        }
        let fault = at("https://h/sse", "http://h/m").unwrap_err();
        assert!(fault.to_string().contains("http://h:80, than its stream has, https://h:443"), "{fault}");
    }

    proptest! {
        #[test]
        fn what_is_resolved_has_the_origin(reference in any::<String>()) {
            if let Ok(uri) = resolve(&Uri::from_static("http://h:1/a/sse"), &reference) {
                assert_eq!(origin(&uri).as_deref(), Some("http://h:1"));
            }
        }

        #[test]
        fn no_dots_are_left(reference in "[./?a:@]{0,12}") {
            if let Ok(uri) = resolve(&Uri::from_static("http://h:1/a/sse"), &reference) {
                assert!(has_scheme(&reference) || reference.starts_with("//") || uri.path().split('/').all(|part| part != ".."), "{uri}");
            }
        }
    }
}
