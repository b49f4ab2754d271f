//! Percent-encoding (RFC 3986 §2.1).

use std::borrow::Cow;

/// The byte that two hexadecimal digits mean.
pub(crate) fn byte(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The text with everything decoded that can be; what is no text then stays as it is.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, others)) = rest.split_first() {
        let meant = others.get(..2).filter(|_| first == b'%').and_then(byte);
        bytes.push(meant.unwrap_or(first));
        rest = others.get(if meant.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The text as a part of a form (RFC 6749, its appendix «Use of application/x-www-form-urlencoded»): everything but letters, digits and a few marks is encoded.
pub(crate) fn form(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(decoded("%61ccess%5Ftoken%"), "access_token%");
        assert_eq!(decoded("a%zz%4"), "a%zz%4");
        assert_eq!(decoded("%ff"), "%ff");
        assert_eq!(form("a b:c/ä~*"), "a+b%3Ac%2F%C3%A4%7E%2A");
    }
}
