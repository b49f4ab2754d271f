//! What a request shows of who sends it: one token, and at most one proof.

use auth::{Refusal, Why};
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::percent;

/// The most bytes of a token or a proof. Proxies in front cut lines at 8 KiB by default.
pub(crate) const MOST_BYTES: usize = 8 * 1024;

const TWO_CARRIED: &str = "there is more than one token of a proxy in front";

static DPOP: HeaderName = HeaderName::from_static("dpop");

/// How a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449.
    Dpop,
}

/// The credentials of one request. Nothing of them is ever shown.
pub(crate) struct Shown<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) token: &'a str,
    /// The proof of possession, whichever scheme the token has.
    pub(crate) proof: Option<&'a str>,
    /// The header that it came in, if that is a proxy's.
    pub(crate) header: Option<&'a HeaderName>,
}

impl<'a> Shown<'a> {
    /// Reads the headers and the target of a request.
    ///
    /// # Errors
    /// When there is no token, or what there is can be read in more than one way.
    pub(crate) fn read(headers: &'a HeaderMap, target: &str) -> Result<Self, Refusal> {
        not_in_the_url(target)?;
        let Some(authorization) =
            only(headers, &AUTHORIZATION, "there is more than one Authorization header")?
        else {
            return Err(Refusal::Unauthenticated(Why::NoToken));
        };
        let (scheme, token) = scheme(authorization)?;
        let proof = only(headers, &DPOP, "there is more than one DPoP header")?;
        Ok(Self { scheme, token, proof, header: None })
    }

    /// The token that a proxy in front has sent in one of these headers, if there is one.
    ///
    /// # Errors
    /// When there is more than one, or it can be read in more than one way.
    pub(crate) fn carried(
        names: &'a [HeaderName],
        headers: &'a HeaderMap,
        target: &str,
    ) -> Result<Option<Self>, Refusal> {
        let mut found = None;
        for name in names {
            let Some(token) = only(headers, name, TWO_CARRIED)? else { continue };
            if found.replace((name, token)).is_some() {
                return Err(Refusal::Malformed(TWO_CARRIED));
            }
        }
        let Some((name, token)) = found else { return Ok(None) };
        not_in_the_url(target)?;
        if token.len() > MOST_BYTES {
            return Err(Refusal::Unauthenticated(Why::Token("the token is longer than 8 KiB")));
        }
        Ok(Some(Self { scheme: Scheme::Bearer, token, proof: None, header: Some(name) }))
    }
}

/// RFC 6750 §2.3 lets a token stand there; OAuth 2.1 and MCP do not.
fn not_in_the_url(target: &str) -> Result<(), Refusal> {
    if target.split_once('?').is_some_and(|(_, query)| names_a_token(query)) {
        return Err(Refusal::Malformed("a token may not stand in the URL; send it in Authorization"));
    }
    Ok(())
}

fn names_a_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        // As one that is written with percent signs is read.
        percent::decoded(name).eq_ignore_ascii_case("access_token")
    })
}

/// The one value of a header, which is ASCII.
fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    several: &'static str,
) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Refusal::Malformed(several));
    }
    let text = |value: &'a HeaderValue| {
        value.to_str().map_err(|_not_ascii| Refusal::Malformed("a header with credentials is not ASCII"))
    };
    first.map(text).transpose()
}

/// RFC 9110 §11.4: a scheme, spaces, and here a token68.
fn scheme(value: &str) -> Result<(Scheme, &str), Refusal> {
    let value = value.trim_matches([' ', '\t']);
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let scheme = match scheme {
        _ if scheme.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        _ if scheme.eq_ignore_ascii_case("dpop") => Scheme::Dpop,
        // Who shows something else shows no token (RFC 6750 §3.1).
        _ => return Err(Refusal::Unauthenticated(Why::NoToken)),
    };
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        return Err(Refusal::Malformed("the Authorization header has no token"));
    }
    if token.len() > MOST_BYTES {
        return Err(Refusal::Unauthenticated(Why::Token("the token is longer than 8 KiB")));
    }
    let is_token68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if !token.trim_end_matches('=').bytes().all(is_token68) {
        return Err(Refusal::Malformed("the Authorization header holds more than one token, or none"));
    }
    Ok((scheme, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)], target: &str) -> Result<(Scheme, String, bool), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Shown::read(&map, target).map(|shown| (shown.scheme, shown.token.to_owned(), shown.proof.is_some()))
    }

    #[test]
    fn one_token_is_read() {
        let bearer = |token: &str| Ok((Scheme::Bearer, token.to_owned(), false));
        assert_eq!(read(&[("authorization", "Bearer abc")], "/mcp"), bearer("abc"));
        assert_eq!(
            read(&[("authorization", " bEARER   a.b-c_d~e+f/g== ")], "/mcp?x=access_token"),
            bearer("a.b-c_d~e+f/g==")
        );
        let bound = read(&[("authorization", "dpop abc"), ("dpop", "proof")], "");
        assert_eq!(bound, Ok((Scheme::Dpop, "abc".to_owned(), true)));
    }

    #[test]
    fn no_token_is_another_thing_than_two() {
        for none in
            [&[][..], &[("authorization", "Basic YTpi")], &[("dpop", "proof")], &[("authorization", "abc")]]
        {
            assert_eq!(read(none, "/mcp"), Err(Refusal::Unauthenticated(Why::NoToken)), "{none:?}");
        }
        let two: [(&[(&str, &str)], &str); 9] = [
            (&[("authorization", "Bearer a"), ("authorization", "Bearer a")], "/mcp"),
            (&[("authorization", "Bearer a"), ("authorization", "Basic YTpi")], "/mcp"),
            (&[("authorization", "Bearer a, Bearer b")], "/mcp"),
            (&[("authorization", "Bearer a b")], "/mcp"),
            (&[("authorization", "Bearer")], "/mcp"),
            (&[("authorization", "Bearer a\u{e4}")], "/mcp"),
            (&[("authorization", "Bearer a"), ("dpop", "x"), ("dpop", "y")], "/mcp"),
            (&[("authorization", "Bearer a")], "/mcp?a=b&access_token=c"),
            (&[], "/mcp?%61ccess_token=c"),
        ];
        for (headers, target) in two {
            assert!(matches!(read(headers, target), Err(Refusal::Malformed(_))), "{headers:?} {target}");
        }
    }

    #[test]
    fn a_long_token_is_not_looked_at() {
        let long = format!("Bearer {}", "a".repeat(MOST_BYTES + 1));
        assert!(matches!(
            read(&[("authorization", &long)], ""),
            Err(Refusal::Unauthenticated(Why::Token(_)))
        ));
        assert!(read(&[("authorization", long.split_at(long.len() - 1).0)], "").is_ok());
    }
}
