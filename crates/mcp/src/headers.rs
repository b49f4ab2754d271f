//! Mirrored headers: body fields that HTTP requests repeat in headers, and how their values are written.
//!
//! Source: MCP 2026-07-28 `basic/transports/streamable-http` §Request Metadata, §Value Encoding, §Server Validation.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

/// `MCP-Protocol-Version`.
pub static PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Method`.
pub static METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`.
pub static NAME: HeaderName = HeaderName::from_static("mcp-name");
/// `Mcp-Session-Id` (legacy era).
pub static SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `Last-Event-ID` (legacy era).
pub static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What the names of mirrored tool parameters begin with.
pub const PARAM_PREFIX: &str = "mcp-param-";

const OPENS: &str = "=?base64?";
const CLOSES: &str = "?=";

/// Why a mirrored header's value has no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Not visible ASCII and inner spaces, and not wrapped.
    #[error("it holds characters that a header value may not hold unencoded")]
    NotPlain,
    /// Wrapped as `=?base64?…?=`, but not standard base64 with its padding.
    #[error("it is wrapped as base64 but is not standard base64 with padding")]
    NotBase64,
    /// Decoded, but not UTF-8.
    #[error("its base64 does not decode to UTF-8")]
    NotUtf8,
    /// The header is there more than once.
    #[error("it is there more than once")]
    Repeated,
}

/// The value as a header carries it: as it is, or wrapped as base64 when it could not be read back otherwise.
#[must_use]
pub fn encode(value: &str) -> HeaderValue {
    let plain = value.bytes().all(|b| (0x20..=0x7e).contains(&b) || b == b'\t')
        && !value.starts_with([' ', '\t'])
        && !value.ends_with([' ', '\t'])
        && !looks_wrapped(value);
    let text = if plain {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("{OPENS}{}{CLOSES}", STANDARD.encode(value)))
    };
    // Both forms are visible ASCII with inner spaces or tabs, which is what HeaderValue accepts.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// What a header's value means.
///
/// # Errors
/// When it is neither a plain value nor well-formed base64 of UTF-8.
pub fn decode(value: &HeaderValue) -> Result<Cow<'_, str>, HeaderFault> {
    let text = value.to_str().map_err(|_not_ascii| HeaderFault::NotPlain)?.trim_matches([' ', '\t']);
    let Some(inner) = text.strip_prefix(OPENS).and_then(|rest| rest.strip_suffix(CLOSES)) else {
        return Ok(Cow::Borrowed(text));
    };
    let bytes = STANDARD.decode(inner).map_err(|_malformed| HeaderFault::NotBase64)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_malformed| HeaderFault::NotUtf8)
}

/// Whether a plain value would be taken for a wrapped one.
fn looks_wrapped(value: &str) -> bool {
    value.len() >= OPENS.len() + CLOSES.len() && value.starts_with(OPENS) && value.ends_with(CLOSES)
}

/// The meaning of the only header of that name.
///
/// # Errors
/// When there are several, or the value has no meaning.
pub fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<Cow<'h, str>>, HeaderFault> {
    let mut all = headers.get_all(name).iter();
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(HeaderFault::Repeated);
    }
    decode(first).map(Some)
}

/// The text of the only header of that name, which is never wrapped: the version and the method are plain.
///
/// # Errors
/// When there are several, or the value is not plain text.
pub fn only_plain<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, HeaderFault> {
    let mut all = headers.get_all(name).iter();
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(HeaderFault::Repeated);
    }
    let text = first.to_str().map_err(|_not_ascii| HeaderFault::NotPlain)?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn wire(value: &str) -> String {
        encode(value).to_str().unwrap().to_owned()
    }

    #[test]
    fn the_examples_of_the_specification() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(wire(value), header);
            assert_eq!(decode(&HeaderValue::from_str(header).unwrap()).unwrap(), value);
        }
    }

    #[test]
    fn bad_wrappings_are_refused_and_half_wrappings_are_literal() {
        for (header, fault) in [
            ("=?base64?SGVsbG8?=", HeaderFault::NotBase64),
            ("=?base64?SGV$bG8=?=", HeaderFault::NotBase64),
            ("=?base64?SGVs_G8=?=", HeaderFault::NotBase64),
            ("=?base64?/w==?=", HeaderFault::NotUtf8),
        ] {
            assert_eq!(decode(&HeaderValue::from_static(header)), Err(fault), "{header}");
        }
        for literal in ["=?base64?SGVsbG8=", "SGVsbG8=", "=?BASE64?SGVsbG8=?=", "=?base64?="] {
            assert_eq!(decode(&HeaderValue::from_static(literal)).unwrap(), literal);
        }
        assert_eq!(decode(&HeaderValue::from_bytes(b"caf\xc3\xa9").unwrap()), Err(HeaderFault::NotPlain));
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value in any::<String>()) {
            assert_eq!(decode(&encode(&value)).unwrap(), value);
        }
    }
}
