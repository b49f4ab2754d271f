//! A claim that only policies look at.

use mcp::json::{self, Kind};

/// The longest text.
const LONGEST: usize = 1024;
/// The most texts of a list.
const MOST: usize = 128;

/// What such a claim says. Anything else that a claim can be is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaidClaim {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
    /// A list of texts.
    Texts(Vec<String>),
}

impl SaidClaim {
    /// Reads a JSON value; nothing where it is none of these, or too long.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let text = |value: &str| {
            let text = json::string(value).ok()?;
            (text.len() <= LONGEST).then(|| text.into_owned())
        };
        match Kind::of(value) {
            Kind::String => text(value).map(Self::Text),
            Kind::Boolean => json::boolean(value).map(Self::Flag),
            // Only as it is usually written: 1.0 and 1e3 are other things to other readers.
            Kind::Number => value.parse().ok().map(Self::Integer),
            Kind::Array => {
                let all = json::array(value).ok().filter(|all| all.len() <= MOST)?;
                let is_text = |each: &&str| Kind::of(each) == Kind::String;
                let all = all.iter().map(|each| Some(*each).filter(is_text).and_then(text));
                all.collect::<Option<Vec<_>>>().map(Self::Texts)
            }
            Kind::Null | Kind::Object => None,
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::Text(text) => json::quote(text),
            Self::Integer(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Texts(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| json::quote(text)).collect();
                format!("[{}]", texts.join(","))
            }
        }
    }

    /// About how many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Integer(_) | Self::Flag(_) => 0,
            Self::Texts(texts) => texts.iter().map(|text| size_of::<String>() + text.capacity()).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_compared_is_read_and_all_else_is_not() {
        for good in [r#""sales""#, "7", "-7", "true", r#"["a","b"]"#, "[]", r#""\u00e4""#] {
            let read = SaidClaim::read(good).unwrap();
            assert_eq!(SaidClaim::read(&read.to_json()), Some(read), "{good}");
        }
        let long = format!("\"{}\"", "x".repeat(LONGEST + 1));
        let many = format!("[{}]", vec!["\"a\""; MOST + 1].join(","));
        for bad in [
            "1.0",
            "1e3",
            "9223372036854775808",
            "null",
            "{}",
            r#"["a",1]"#,
            r#"[["a"]]"#,
            r#""\ud800""#,
            &long,
            &many,
        ] {
            assert_eq!(SaidClaim::read(bad), None, "{bad}");
        }
    }
}
