//! The members of a message and of the few objects in it that an intermediary looks into, found in one pass.
//!
//! A message is read once, however often something in it is asked for later: a long argument or a long result costs its
//! bytes once.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{JsonFault, Member, Object, Span, fault, string};

/// The most members of one object that are kept. One that has more is read again by whoever asks for it.
const MOST_KEPT: usize = 64;

/// Where the members stand. One list, because messages are moved about a lot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outline(Vec<Note>);

#[derive(Debug, Clone, Copy)]
enum Note {
    /// An object whose members were noted: it is known by its number among these.
    Object { number: u8, at: Span, members: usize },
    /// A member of the object of that number.
    Member { object: u8, name: Span, value: Span },
}

/// The objects that are looked into, by the way to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Message,
    /// `params` or `result`.
    Body,
    /// `_meta` or `arguments` of one.
    Part,
}

impl Way {
    /// Where a member of that name leads. An escaped spelling leads nowhere: what is asked for of it is read then.
    fn then(self, raw_name: &str) -> Option<Self> {
        match (self, raw_name) {
            (Self::Message, r#""params""# | r#""result""#) => Some(Self::Body),
            (Self::Body, r#""_meta""# | r#""arguments""#) => Some(Self::Part),
            _ => None,
        }
    }
}

impl Outline {
    /// Reads the object that `text` holds, and nothing beside it.
    ///
    /// # Errors
    /// Says what is wrong and where when `text` is not one JSON object.
    pub(crate) fn read(text: &str) -> Result<Self, JsonFault> {
        let mut outline = Self(Vec::with_capacity(24));
        let mut reader = serde_json::Deserializer::from_str(text);
        let out = &mut Notes { notes: &mut outline.0, objects: 0 };
        let seed = Level { text, start: skip_space(text, 0), way: Way::Message, out };
        seed.deserialize(&mut reader).map_err(|error| fault(&error, text, "an object"))?;
        reader.end().map_err(|error| JsonFault::Syntax(error.to_string()))?;
        Ok(outline)
    }

    /// The message's own members, if there are not too many.
    pub(crate) fn root<'a>(&self, text: &'a str) -> Option<Object<'a>> {
        let Note::Object { at, .. } = self.0.first()? else { return None };
        self.object_at(at.start, text)
    }

    /// The object that begins at a place of the text that this is the outline of, if its members were noted.
    pub(crate) fn object_at<'a>(&self, start: usize, text: &'a str) -> Option<Object<'a>> {
        let (mine, at) = self.0.iter().find_map(|note| match note {
            Note::Object { number, at, members } if at.start == start && *members <= MOST_KEPT => {
                Some((*number, *at))
            }
            _ => None,
        })?;
        let mut members = SmallVec::new();
        for note in &self.0 {
            if let Note::Member { object, name, value } = note
                && *object == mine
            {
                let raw_name = name.of(text);
                // As in a reading: a name that is no text keeps its spelling.
                let name = string(raw_name).unwrap_or(Cow::Borrowed(raw_name));
                members.push(Member { raw_name, name, value: value.of(text) });
            }
        }
        Some(Object { text: at.of(text), members })
    }
}

/// What was noted so far.
struct Notes<'o> {
    notes: &'o mut Vec<Note>,
    objects: u8,
}

/// One object that is being read.
struct Level<'o, 'n, 'de> {
    text: &'de str,
    /// Where its brace stands.
    start: usize,
    way: Way,
    out: &'o mut Notes<'n>,
}

impl<'de> DeserializeSeed<'de> for Level<'_, '_, 'de> {
    type Value = Span;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Span, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level<'_, '_, 'de> {
    type Value = Span;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Span, A::Error> {
        let Self { text, start, way, out } = self;
        let (number, index) = (out.objects, out.notes.len());
        out.objects += 1;
        out.notes.push(Note::Object { number, at: Span { start, end: start }, members: 0 });
        let (mut count, mut last) = (0, start + 1);
        while let Some(name) = map.next_key::<&'de RawValue>()? {
            let name = Span::locate(text, name.get());
            let then = way.then(name.of(text)).and_then(|then| Some((then, brace_after(text, name.end)?)));
            let value = match then {
                // More than a few of them only where names stand twice.
                Some((way, start)) if usize::from(out.objects) < MOST_KEPT => {
                    map.next_value_seed(Level { text, start, way, out: &mut *out })?
                }
                _ => Span::locate(text, map.next_value::<&'de RawValue>()?.get()),
            };
            count += 1;
            last = value.end;
            if count <= MOST_KEPT {
                out.notes.push(Note::Member { object: number, name, value });
            }
        }
        let end = skip_space(text, last) + 1;
        let at = Span { start, end };
        if let Some(note) = out.notes.get_mut(index) {
            *note = Note::Object { number, at, members: count };
        }
        Ok(at)
    }
}

/// Where the object begins that is the value of the member whose name ends there; none if the value is no object.
fn brace_after(text: &str, name_end: usize) -> Option<usize> {
    let colon = skip_space(text, name_end);
    let value = skip_space(text, colon + 1);
    (text.as_bytes().get(value) == Some(&b'{')).then_some(value)
}

fn skip_space(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};

    use super::*;

    /// What the outline says of an object is what a second reading says.
    fn check(text: &str) {
        let outline = match (Outline::read(text), Object::parse(text)) {
            (Ok(outline), Ok(_)) => outline,
            (Err(_), Err(_)) => return,
            (outline, object) => panic!("{text}: {:?} and {:?}", outline.err(), object.err()),
        };
        for note in &outline.0 {
            let Note::Object { at, .. } = note else { continue };
            let whole = at.of(text);
            let read = Object::parse(whole).unwrap();
            let Some(known) = outline.object_at(at.start, text) else {
                assert!(read.iter().count() > MOST_KEPT, "{text}");
                continue;
            };
            assert_eq!(known.text(), whole);
            let members = |object: &Object<'_>| -> Vec<_> {
                object
                    .iter()
                    .map(|m| (m.raw_name.to_owned(), m.name.to_string(), m.value.to_owned()))
                    .collect()
            };
            assert_eq!(members(&known), members(&read), "{text}");
        }
    }

    #[test]
    fn it_says_what_a_second_reading_says() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"params":{"_meta":{"a":1},"arguments":{"b":[{"c":2}]}}}"#,
            r#" { "params" : { "_meta" : { } , "x":1 } , "result" : {  } } "#,
            r#"{"params":{},"params":{"_meta":{}},"p\u0061rams":{"_meta":{}}}"#,
            r#"{"params":[1],"result":null}"#,
            r#"{"params":{"arguments":{}"#,
            r#"{"params":{"arguments":{}}}x"#,
            r#"{"params":{"arguments":{"a":}}}"#,
            "{}",
            "[]",
            "",
        ] {
            check(text);
        }
        let many: Vec<_> = (0..100).map(|n| format!("\"{n}\":{n}")).collect();
        check(&format!(r#"{{"params":{{"arguments":{{{}}}}}}}"#, many.join(",")));
        let twice: Vec<_> = (0..300).map(|n| format!("\"params\":{{\"_meta\":{{\"n\":{n}}}}}")).collect();
        check(&format!("{{{}}}", twice.join(",")));
    }

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("1.0"),
            Just("null"),
            Just(r#""\"}""#),
            Just("[ {} ]"),
            Just("{ }"),
            Just("tru")
        ];
        leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
            let name = prop_oneof![
                Just("params"),
                Just("result"),
                Just("_meta"),
                Just("arguments"),
                Just("p\\u0061rams"),
                Just("x")
            ];
            let space = prop_oneof![Just(""), Just(" "), Just("\n\t")];
            prop::collection::vec((name, space, inner), 0..4).prop_map(|members| {
                let each = |(name, space, value): &(&str, &str, String)| {
                    format!("{space}\"{name}\"{space}:{space}{value}{space}")
                };
                format!("{{{}}}", members.iter().map(each).collect::<Vec<_>>().join(","))
            })
        })
    }

    proptest! {
        #[test]
        fn it_says_what_a_second_reading_says_of_anything(text in value()) {
            check(&text);
        }
    }
}
