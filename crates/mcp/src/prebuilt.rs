//! Results that many are given: one text that is made once, and of which only two places differ from one time to the
//! next, the request's id and the time for which the result is still fresh.

use std::time::Duration;

use bytes::Bytes;

use crate::answer::{self, AnswerFault};
use crate::json::{Object, Patch, Span};
use crate::jsonrpc::{Id, Message};

/// A result response without its id and without its `ttlMs`.
#[derive(Debug, Clone)]
pub struct Prebuilt {
    text: Bytes,
    id_at: Span,
    ttl_at: Option<Span>,
}

impl Prebuilt {
    /// Reads a result response, whosever id and whatever time it has.
    ///
    /// # Errors
    /// When it is no result, or `ttlMs` stands twice in it.
    pub fn read(message: &Message) -> Result<Self, AnswerFault> {
        let parts = answer::result_of(message)?;
        let result = Object::parse(message.at(parts.result))?;
        let ttl_at = result.get("ttlMs")?.map(|ttl| result.span_of(ttl).shift(parts.result.start));
        Ok(Self { text: message.bytes().clone(), id_at: parts.id_at, ttl_at })
    }

    /// The text for a request, in pieces that follow each other. What is long in it is not copied.
    #[must_use]
    pub fn pieces(&self, id: &Id, ttl: Duration) -> Vec<Bytes> {
        let mut patch = Patch::new();
        patch.replace(self.id_at, id.raw().as_bytes());
        if let Some(at) = self.ttl_at {
            patch.replace(at, itoa::Buffer::new().format(ttl.as_millis()).as_bytes());
        }
        patch.pieces(&self.text)
    }

    /// The same of bytes that say the same, such as those that somebody counts.
    #[must_use]
    pub fn lying_in(self, place: impl FnOnce(Bytes) -> Bytes) -> Self {
        Self { text: place(self.text), ..self }
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Prebuilt, AnswerFault> {
        Prebuilt::read(&Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap())
    }

    fn filled(text: &str, id: &str, ms: u64) -> String {
        let pieces = read(text).unwrap().pieces(&Id::parse(id).unwrap(), Duration::from_millis(ms));
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn the_id_and_the_time_are_put_where_they_stood() {
        let text = r#"{"jsonrpc":"2.0","id":0,"result":{"ttlMs":5,"tools":[{"ttlMs":7,"id":0}]}}"#;
        let out = r#"{"jsonrpc":"2.0","id":"a","result":{"ttlMs":1234,"tools":[{"ttlMs":7,"id":0}]}}"#;
        assert_eq!(filled(text, "\"a\"", 1234), out);
        let behind = r#" {"result":{"x":[],"ttlMs" : 5.0 },"id" :"long","jsonrpc":"2.0"} "#;
        let out = r#" {"result":{"x":[],"ttlMs" : 0 },"id" :1,"jsonrpc":"2.0"} "#;
        assert_eq!(filled(behind, "1", 0), out);
        let without = r#"{"jsonrpc":"2.0","id":0,"result":{}}"#;
        assert_eq!(filled(without, "-3", 9), r#"{"jsonrpc":"2.0","id":-3,"result":{}}"#);
    }

    #[test]
    fn only_results_that_can_be_read_are_taken() {
        assert!(read(r#"{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"m"}}"#).is_err());
        assert!(read(r#"{"jsonrpc":"2.0","method":"a"}"#).is_err());
        assert!(read(r#"{"jsonrpc":"2.0","id":0,"result":{"ttlMs":1,"ttlMs":2}}"#).is_err());
    }

    #[test]
    fn what_is_long_is_shared() {
        let long = "x".repeat(20_000);
        let text = format!(r#"{{"jsonrpc":"2.0","id":0,"result":{{"ttlMs":5,"x":"{long}"}}}}"#);
        let built = read(&text).unwrap();
        let pieces = built.pieces(&Id::number(1), Duration::ZERO);
        assert_eq!(pieces.len(), 2);
        assert!(built.text.as_ptr_range().contains(&pieces[1].as_ptr()));
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_text(before in 0usize..1500, between in 0usize..1500, after in 0usize..1500, turned: bool) {
            let fill = |length: usize| " ".repeat(length);
            let (before, between, after) = (fill(before), fill(between), fill(after));
            let text = |id: &str, ttl: &str| if turned {
                format!(r#"{{{before}"result":{{"ttlMs":{ttl}{between}}},"id":{id},"jsonrpc":"2.0"{after}}}"#)
            } else {
                format!(r#"{{"jsonrpc":"2.0","id":{id},{before}"result":{{{between}"ttlMs":{ttl}{after}}}}}"#)
            };
            prop_assert_eq!(filled(&text("0", "0"), "\"id\"", 77), text("\"id\"", "77"));
        }
    }
}
