//! Reading what can be read in one way only.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp::json::{self, Kind, Object};

use crate::fault::TokenFault;

/// How many objects and arrays may lie in each other. Real tokens have three or four.
const MOST_DEPTH: usize = 16;
/// The last second of the year 9999: a later one is no time that anybody means.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// base64url without padding, and in one spelling only: bits that mean nothing are 0 (RFC 7515 §2).
pub(crate) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The same without padding, if that is as much as there must be (RFC 4648 §4).
pub(crate) fn unpadded(text: &str) -> Option<&str> {
    let bare = text.trim_end_matches('=');
    (text.len().is_multiple_of(4) && text.len() - bare.len() <= 2).then_some(bare)
}

pub(crate) fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The JSON text that a part of a token holds.
pub(crate) fn part(text: &str) -> Result<String, TokenFault> {
    let bytes = base64url(text).ok_or(TokenFault::NotBase64)?;
    String::from_utf8(bytes).map_err(|_not_text| TokenFault::NotJson)
}

/// The object that a text holds, in which no member stands twice at any depth (RFC 7515 §4, RFC 7519 §4: either the last one
/// counts or all is refused; two readers must not read two things).
pub(crate) fn object(text: &str) -> Result<Object<'_>, TokenFault> {
    let object = Object::parse(text).map_err(TokenFault::from)?;
    let mut within: Vec<(&str, usize)> = members(&object)?.map(|value| (value, 1)).collect();
    while let Some((value, depth)) = within.pop() {
        let next = match Kind::of(value) {
            Kind::Object => {
                let object = Object::parse(value).map_err(TokenFault::from)?;
                members(&object)?.collect::<Vec<_>>()
            }
            Kind::Array => json::array(value).map_err(TokenFault::from)?,
            _ => continue,
        };
        if depth >= MOST_DEPTH {
            return Err(TokenFault::TooDeep);
        }
        within.extend(next.into_iter().map(|value| (value, depth + 1)));
    }
    Ok(object)
}

fn members<'a>(object: &Object<'a>) -> Result<impl Iterator<Item = &'a str>, TokenFault> {
    object.deny_duplicates().map_err(TokenFault::from)?;
    let values: Vec<&str> = object.iter().map(|member| member.value).collect();
    Ok(values.into_iter())
}

/// A member that is a text, if it is there.
pub(crate) fn text<'a>(object: &Object<'a>, name: &str) -> Result<Option<Cow<'a, str>>, TokenFault> {
    object.string(name).map_err(TokenFault::from)
}

/// A list of texts, or one text alone.
pub(crate) fn texts(value: &str) -> Result<Vec<String>, TokenFault> {
    match Kind::of(value) {
        Kind::Array => {
            let elements = json::array(value).map_err(TokenFault::from)?;
            elements
                .into_iter()
                .map(|one| json::string(one).map(Cow::into_owned).map_err(TokenFault::from))
                .collect()
        }
        _ => Ok(vec![json::string(value).map_err(TokenFault::from)?.into_owned()]),
    }
}

/// A member that is a time, if it is there (RFC 7519 §2 NumericDate: seconds, perhaps with a fraction).
pub(crate) fn time(object: &Object<'_>, name: &str) -> Result<Option<SystemTime>, TokenFault> {
    let Some(value) = object.get(name).map_err(TokenFault::from)? else { return Ok(None) };
    if Kind::of(value) != Kind::Number {
        return Err(TokenFault::Time);
    }
    let seconds: f64 = value.parse().map_err(|_no_number| TokenFault::Time)?;
    if !(0.0..=LAST_SECOND).contains(&seconds) {
        return Err(TokenFault::Time);
    }
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs_f64(seconds)).ok_or(TokenFault::Time).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(base64url("_-8").unwrap(), [0xff, 0xef]);
        for other in ["_-8=", "/+8", "_-9", "_-8 ", " _-8", "_-8\n", "_", "_-8.", "_\u{e4}8"] {
            assert_eq!(base64url(other), None, "{other:?}");
        }
        assert_eq!(base64url(""), Some(Vec::new()));
    }

    #[test]
    fn no_member_stands_twice_at_any_depth() {
        for twice in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"b":{"a":1,"a":2}}"#,
            r#"{"b":[0,{"c":[{"a":1,"a":1}]}]}"#,
        ] {
            assert_eq!(object(twice).unwrap_err(), TokenFault::DuplicateMember, "{twice}");
        }
        assert!(object(r#"{"a":{"a":[{"a":1},{"a":1}]}}"#).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(object(&nested(MOST_DEPTH - 1)).is_ok());
        assert_eq!(object(&nested(MOST_DEPTH)).unwrap_err(), TokenFault::TooDeep);
        assert_eq!(object(&nested(4000)).unwrap_err(), TokenFault::TooDeep);
    }

    #[test]
    fn times_are_numbers_that_somebody_can_mean() {
        let at = |text: &str| time(&object(&format!(r#"{{"t":{text}}}"#)).unwrap(), "t");
        let after = |seconds| Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)));
        assert_eq!(at("1785196800"), after(1_785_196_800.0));
        assert_eq!(at("1785196800.5"), after(1_785_196_800.5));
        assert_eq!(at("1.7851968e9"), after(1_785_196_800.0));
        for none in
            ["-1", "1e12", "1e300", "1e999", "9223372036854775808", "\"1785196800\"", "null", "true", "[1]"]
        {
            assert_eq!(at(none), Err(TokenFault::Time), "{none}");
        }
        assert_eq!(time(&object("{}").unwrap(), "t"), Ok(None));
    }
}
