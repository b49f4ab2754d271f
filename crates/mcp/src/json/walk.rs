//! Going through a JSON text once, whatever lies in it and however deep, without building anything.

use super::JsonFault;
use super::fault;
use super::scan::Scanner;

/// What stands next in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// An object begins.
    Object,
    /// An array begins.
    Array,
    /// A member's name, with its quotes and escapes. Its value comes next.
    Name(&'a str),
    /// A string, number, boolean or null, as it is written.
    Scalar(&'a str),
    /// The innermost object or array ends.
    End,
}

/// Goes through the value that `text` holds, and tells each step. Nothing is called by itself: how deep a text is costs a bit
/// for each level.
///
/// # Errors
/// What `each` says, or what is wrong when `text` is not one JSON value.
pub fn walk<'a, E: From<JsonFault>>(
    text: &'a str,
    mut each: impl FnMut(Step<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let no_json = || E::from(fault::of_value(text));
    let mut scanner = Scanner::new(text);
    // Whether each of what is open is an object.
    let mut open: Vec<bool> = Vec::new();
    scanner.space();
    loop {
        let start = scanner.at();
        match scanner.peek() {
            Some(begins @ (b'{' | b'[')) => {
                let is_object = begins == b'{';
                scanner.eat(begins);
                each(if is_object { Step::Object } else { Step::Array })?;
                scanner.space();
                if !scanner.eat(if is_object { b'}' } else { b']' }) {
                    if is_object {
                        each(Step::Name(scanner.name().ok_or_else(no_json)?.at.of(text)))?;
                    }
                    open.push(is_object);
                    continue;
                }
                each(Step::End)?;
            }
            _ => {
                scanner.value().ok_or_else(no_json)?;
                each(Step::Scalar(text.get(start..scanner.at()).unwrap_or_default()))?;
            }
        }
        // A value ends here, and whatever ends with it.
        loop {
            let Some(is_object) = open.last().copied() else {
                return if scanner.ends() { Ok(()) } else { Err(no_json()) };
            };
            scanner.space();
            if scanner.eat(b',') {
                scanner.space();
                if is_object {
                    each(Step::Name(scanner.name().ok_or_else(no_json)?.at.of(text)))?;
                }
                break;
            }
            if !scanner.eat(if is_object { b'}' } else { b']' }) {
                return Err(no_json());
            }
            open.pop();
            each(Step::End)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps(text: &str) -> Result<Vec<Step<'_>>, JsonFault> {
        let mut steps = Vec::new();
        walk(text, |step| {
            steps.push(step);
            Ok::<_, JsonFault>(())
        })?;
        Ok(steps)
    }

    #[test]
    fn each_thing_is_told_in_its_order() {
        let text = r#" {"a":[1, {} ,"x"],"\u0062":null} "#;
        let told = steps(text).unwrap();
        let expected = [
            Step::Object,
            Step::Name("\"a\""),
            Step::Array,
            Step::Scalar("1"),
            Step::Object,
            Step::End,
            Step::Scalar("\"x\""),
            Step::End,
            Step::Name("\"\\u0062\""),
            Step::Scalar("null"),
            Step::End,
        ];
        assert_eq!(told, expected);
        assert_eq!(steps("1.50").unwrap(), [Step::Scalar("1.50")]);
    }

    #[test]
    fn what_serde_json_refuses_is_refused() {
        for text in
            ["", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "1 2", "[}", "{]", "{\"a\" 1}", "tru", "{1:2}"]
        {
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(), "{text}");
            assert!(steps(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        assert_eq!(steps(&deep).unwrap().len(), 400_000);
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_json_takes(text in r#"[\[\]{}",:0-9a-e \\untrl-]{0,24}"#) {
            prop_assert_eq!(steps(&text).is_ok(), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }
    }
}
