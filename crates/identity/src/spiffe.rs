//! SPIFFE: names of workloads, and what is special about the keys of a trust domain.

use std::time::Duration;

use mcp::json::{self, Object};

/// The longest SPIFFE ID, and trust domain (SPIFFE-ID §2.3).
const LONGEST_ID: usize = 2048;
const LONGEST_DOMAIN: usize = 255;
/// The bounds on how often a bundle is fetched anew, whatever it says.
const HINTS: std::ops::RangeInclusive<u64> = 30..=3600;

/// The trust domain of the SPIFFE ID of a workload (SPIFFE-ID §2): none if it is no such ID. One without a path is the trust
/// domain's own, and no workload's.
pub(crate) fn trust_domain(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("spiffe://").filter(|_| id.len() <= LONGEST_ID)?;
    let (domain, path) = rest.split_once('/')?;
    let is_domain_byte =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    let is_path_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_path_byte);
    let is_domain = (1..=LONGEST_DOMAIN).contains(&domain.len()) && domain.bytes().all(is_domain_byte);
    (is_domain && path.split('/').all(is_segment)).then_some(domain)
}

/// Whether a key of a bundle is one for JWT-SVIDs (SPIFFE Trust Domain and Bundle §4.2.2): others are not to be used.
pub(crate) fn is_for_tokens(key: &str) -> bool {
    let used = Object::parse(key).ok().and_then(|key| key.string("use").ok().flatten());
    used.is_some_and(|used| used == "jwt-svid")
}

/// How soon a bundle wants to be fetched anew (§4.1.2 `spiffe_refresh_hint`).
pub(crate) fn refresh_hint(bundle: &[u8]) -> Option<Duration> {
    let bundle = Object::parse(std::str::from_utf8(bundle).ok()?).ok()?;
    let hint = json::integer(bundle.get("spiffe_refresh_hint").ok()??)?;
    let seconds = u64::try_from(hint).ok()?;
    Some(Duration::from_secs(seconds.clamp(*HINTS.start(), *HINTS.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        assert_eq!(trust_domain("spiffe://example.org/ns/a/sa/b-1_c.d"), Some("example.org"));
        let long = format!("spiffe://example.org/{}", "a".repeat(2048));
        for none in [
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org/a/",
            "spiffe://example.org//a",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/.",
            "spiffe://Example.org/a",
            "SPIFFE://example.org/a",
            "spiffe:///a",
            "spiffe://example.org:80/a",
            "spiffe://u@example.org/a",
            "spiffe://example.org/a?b",
            "spiffe://example.org/a#b",
            "spiffe://example.org/%61",
            "spiffe://example.org/a b",
            "https://example.org/a",
            "example.org/a",
            "",
            &long,
        ] {
            assert_eq!(trust_domain(none), None, "{none}");
        }
    }

    #[test]
    fn a_hint_is_kept_within_bounds() {
        let hint =
            |value: &str| refresh_hint(format!(r#"{{"keys":[],"spiffe_refresh_hint":{value}}}"#).as_bytes());
        assert_eq!(hint("300"), Some(Duration::from_secs(300)));
        assert_eq!(
            (hint("1"), hint("86400")),
            (Some(Duration::from_secs(30)), Some(Duration::from_secs(3600)))
        );
        for none in ["-1", "\"300\"", "1.5", "null", "1e300"] {
            assert_eq!(hint(none), None, "{none}");
        }
        assert_eq!(refresh_hint(br#"{"keys":[]}"#), None);
    }
}
