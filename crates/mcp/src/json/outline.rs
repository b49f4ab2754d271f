//! The members of a message and of the few objects in it that an intermediary looks into, found in one pass.
//!
//! A message is read once, however often something in it is asked for later: a long argument or a long result costs its
//! bytes once.

use super::object::{MOST_KEPT, Place, Places};
use super::scan::{self, Scanner};
use super::{JsonFault, Object, Span, fault};

/// Where the members stand. One list, because messages are moved about a lot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outline {
    notes: Vec<Note>,
    /// Whether a member at any depth is called `uri`.
    uri: bool,
    /// Whether a value at any depth is null or an empty array.
    nothing: bool,
    /// How many objects and arrays lie in each other where it goes deepest.
    depth: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Note {
    /// An object whose members were noted: it is known by its number among these.
    Object { number: u8, at: Span, members: usize },
    /// A member of the object of that number.
    Member { object: u8, place: Place },
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
        let mut scanner = Scanner::new(text);
        let mut notes = Notes { text, notes: Vec::with_capacity(24), objects: 0 };
        match notes.object(&mut scanner, Way::Message).filter(|()| scanner.ends()) {
            Some(()) => Ok(Self {
                notes: notes.notes,
                uri: scanner.uri,
                nothing: scanner.nothing,
                depth: u32::try_from(scanner.deepest).unwrap_or(u32::MAX),
            }),
            None => Err(fault::of_object(text)),
        }
    }

    /// Whether anything in it, at any depth, is null or an empty array.
    pub(crate) fn says_nothing(&self) -> bool {
        self.nothing
    }

    /// How many objects and arrays lie in each other where it goes deepest, the message itself included: 1 of `{}`.
    pub(crate) fn depth(&self) -> usize {
        usize::try_from(self.depth).unwrap_or(usize::MAX)
    }

    /// The message's own members, if there are not too many.
    pub(crate) fn root<'a>(&'a self, text: &'a str) -> Option<Object<'a>> {
        let Note::Object { at, .. } = self.notes.first()? else { return None };
        self.object_at(at.start, text)
    }

    /// The object that begins at a place of the text that this is the outline of, if its members were noted.
    pub(crate) fn object_at<'a>(&'a self, start: usize, text: &'a str) -> Option<Object<'a>> {
        let (number, index, at) = self.notes.iter().enumerate().find_map(|(index, note)| match note {
            Note::Object { number, at, members } if at.start == start && *members <= MOST_KEPT => {
                Some((*number, index, *at))
            }
            _ => None,
        })?;
        let notes = self.notes.get(index + 1..).unwrap_or_default();
        Some(Object::noted(text, at, Places::Noted { notes, number }, self.uri))
    }
}

/// What was noted so far.
struct Notes<'a> {
    text: &'a str,
    notes: Vec<Note>,
    objects: u8,
}

impl Notes<'_> {
    /// Passes an object and notes its members.
    fn object(&mut self, scanner: &mut Scanner<'_>, way: Way) -> Option<()> {
        scanner.space();
        let (number, index, start) = (self.objects, self.notes.len(), scanner.at());
        self.objects += 1;
        self.notes.push(Note::Object { number, at: Span { start, end: start }, members: 0 });
        let mut members = 0;
        scan::members(scanner, |scanner, name| {
            let start = scanner.at();
            match way.then(name.at.of(self.text)) {
                // More than a few of them only where names stand twice.
                Some(way) if scanner.peek() == Some(b'{') && usize::from(self.objects) < MOST_KEPT => {
                    self.object(scanner, way)?;
                }
                _ => scanner.value()?,
            }
            members += 1;
            if members <= MOST_KEPT {
                let place = Place { name, value: Span { start, end: scanner.at() } };
                self.notes.push(Note::Member { object: number, place });
            }
            Some(())
        })?;
        let at = Span { start, end: scanner.at() };
        *self.notes.get_mut(index)? = Note::Object { number, at, members };
        Some(())
    }
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
        let mut scanner = Scanner::new(text);
        scanner.space();
        assert_eq!(scanner.value().map(|()| scanner.deepest), Some(outline.depth()), "{text}");
        for note in &outline.notes {
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
