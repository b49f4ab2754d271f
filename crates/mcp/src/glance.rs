//! What can still be told of a message that cannot be read: whether it answers something, and what.
//!
//! Who waits for that answer must hear that it will not come in any other form. A message may be unreadable because
//! it is too large to keep, so this takes bytes as they come and keeps next to nothing of them.

use crate::jsonrpc::Id;
use crate::tolerant;

/// The longest name or id that is looked at, with its quotes.
const LONGEST: usize = 64;

/// Looks at a message as it passes by, without keeping it.
#[derive(Debug, Default)]
pub struct Glance {
    depth: usize,
    text: Text,
    /// The text at the top level since the last comma or colon, as far as it is kept.
    token: Vec<u8>,
    /// The name of the member whose value comes, if a value comes.
    name: Option<Vec<u8>>,
    ids: usize,
    id: Option<Vec<u8>>,
    kind: Kind,
    /// Something stands before or behind the object, so that it may be anything: a line of a log that quotes a message.
    beside: bool,
    ended: bool,
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

/// What the members so far say of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Unknown,
    Response,
    /// A method makes it one, whatever else there is.
    Request,
}

impl Glance {
    /// The id of the request that a whole text answers, if that can be told without doubt.
    #[must_use]
    pub fn answers(text: &[u8]) -> Option<Id> {
        let mut glance = Self::default();
        glance.feed(text);
        glance.response_id()
    }

    /// What stands in the place of the id in a whole text that answers something, where that can be the id of nothing.
    #[must_use]
    pub fn strange_id(text: &[u8]) -> Option<String> {
        let mut glance = Self::default();
        glance.feed(text);
        let raw = std::str::from_utf8(glance.id.as_deref()?).ok()?;
        let is_answer = !glance.beside && glance.kind == Kind::Response && glance.ids == 1;
        (is_answer && raw != "null" && Id::parse(raw).is_none() && tolerant::number(raw).is_none())
            .then(|| raw.to_owned())
    }

    /// The id of what a whole text perhaps asks for, if that can be told without doubt.
    #[must_use]
    pub fn asks(text: &[u8]) -> Option<Id> {
        let mut glance = Self::default();
        glance.feed(text);
        glance.request_id()
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.take(*byte);
        }
    }

    /// The id of the request that is answered by what has passed so far, if that can be told without doubt.
    #[must_use]
    pub fn response_id(&self) -> Option<Id> {
        self.only_id().filter(|_| self.kind == Kind::Response)
    }

    /// The id of what is perhaps asked for by what has passed so far, if that can be told without doubt.
    #[must_use]
    pub fn request_id(&self) -> Option<Id> {
        self.only_id().filter(|_| self.kind != Kind::Response)
    }

    fn only_id(&self) -> Option<Id> {
        if self.beside || self.ids != 1 {
            return None;
        }
        Id::parse(std::str::from_utf8(self.id.as_deref()?).ok()?)
    }

    fn take(&mut self, byte: u8) {
        if self.text != Text::Outside {
            self.keep(byte);
            self.text = match (self.text, byte) {
                (Text::Inside, b'\\') => Text::Escaped,
                (Text::Inside, b'"') => Text::Outside,
                _ => Text::Inside,
            };
            return;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if self.ended || (self.depth == 0 && byte != b'{') => self.beside = true,
            b'"' => {
                self.keep(byte);
                self.text = Text::Inside;
            }
            b'{' | b'[' => {
                self.keep(byte);
                self.depth += 1;
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.value_ends();
                    self.ended = true;
                }
                self.depth -= 1;
            }
            b':' if self.depth == 1 && self.name.is_none() => self.name_ends(),
            b',' if self.depth == 1 => self.value_ends(),
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.token.len() < LONGEST {
            self.token.push(byte);
        }
    }

    fn name_ends(&mut self) {
        let name = std::mem::take(&mut self.token);
        match &*name {
            b"\"id\"" => self.ids += 1,
            b"\"method\"" => self.kind = Kind::Request,
            // The value may be all that follows.
            b"\"result\"" | b"\"error\"" if self.kind == Kind::Unknown => self.kind = Kind::Response,
            _ => {}
        }
        self.name = Some(name);
    }

    fn value_ends(&mut self) {
        let value = std::mem::take(&mut self.token);
        if self.name.take().as_deref() == Some(b"\"id\"") {
            self.id = Some(value);
        }
    }
}

/// Whether an unreadable text answers the request `id`, one of ours.
#[must_use]
pub fn answers(text: &[u8], id: u64) -> bool {
    Glance::answers(text).and_then(|found| tolerant::number(found.raw())) == Some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn id(text: &str) -> Option<String> {
        Glance::answers(text.as_bytes()).map(|id| id.raw().to_owned())
    }

    #[test]
    fn a_response_is_told_wherever_its_id_stands() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"result":null}"#,
            r#" { "result" : {"id":1,"a":[{"id":2}],"s":"}\"{,:"} , "jsonrpc":"2.0", "id" : 7 } "#,
            r#"{"jsonrpc":"2.0","id":7,"error":"none"}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"cut":"#,
        ] {
            assert_eq!(id(text).as_deref(), Some("7"), "{text}");
        }
        assert_eq!(id(r#"{"id":"a\"b","result":1}"#).as_deref(), Some(r#""a\"b""#));
        let not_utf8 = [br#"{"id":7,"result":{"text":""#.as_slice(), b"\xff", br#""}}"#].concat();
        assert!(answers(&not_utf8, 7));
    }

    #[test]
    fn what_may_be_anything_else_answers_nothing() {
        for text in [
            "",
            "{",
            "starting up...",
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"a","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":7,"id":8,"result":null}"#,
            r#"{"jsonrpc":"2.0","result":{"id":7}}"#,
            r#"{"jsonrpc":"2.0","id":null,"result":null}"#,
            r#"{"jsonrpc":"2.0","id":7.5,"result":null}"#,
            r#"sent {"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{}} sent"#,
            r#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#,
        ] {
            assert_eq!(id(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_never_panics_and_cuts_do_not_matter(text in r#"[{}\[\]",:\\ a7]{0,40}|(\{"id":[0-9],"result":)?.{0,20}"#, cut in any::<prop::sample::Index>()) {
            let (head, tail) = text.as_bytes().split_at(cut.index(text.len() + 1));
            let mut glance = Glance::default();
            glance.feed(head);
            glance.feed(tail);
            assert_eq!(glance.response_id(), Glance::answers(text.as_bytes()));
        }
    }
}
