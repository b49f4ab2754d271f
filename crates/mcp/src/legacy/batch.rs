//! JSON-RPC batches: several messages in one array. Only revision 2025-03-26 has them (`basic` §Batching).
//!
//! Members keep their bytes: they are slices of what came.

use std::collections::HashSet;

use bytes::Bytes;

use crate::json::{self, Span};
use crate::jsonrpc::{EnvelopeFault, Message, MessageKind, Unread};

/// The most messages of a batch. Each is a call of its own, so this bounds what one request can set going.
pub const MOST_MEMBERS: usize = 64;

/// A member: a message, or why it is none. The others of its batch count all the same (JSON-RPC 2.0 §6).
pub type Member = Result<Message, Unread>;

/// Whether a text can only be an array.
#[must_use]
pub fn is_array(text: &[u8]) -> bool {
    text.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) == Some(&b'[')
}

/// The texts of the members of an array, whatever they are.
///
/// # Errors
/// When the text is not one JSON array, when it is empty, or when it has more than [`MOST_MEMBERS`].
pub fn split(text: &Bytes) -> Result<Vec<Bytes>, EnvelopeFault> {
    let Ok(view) = std::str::from_utf8(text) else { return Err(EnvelopeFault::NotUtf8) };
    let (members, more) =
        json::array_within(view, MOST_MEMBERS).map_err(|fault| EnvelopeFault::NotJson(fault.to_string()))?;
    if more {
        return Err(EnvelopeFault::Invalid(format!("a batch may have at most {MOST_MEMBERS} messages")));
    }
    if members.is_empty() {
        return Err(EnvelopeFault::Invalid("a batch needs at least one message".to_owned()));
    }
    let slice = |member: &&str| {
        let at = Span::locate(view, member);
        text.slice(at.start..at.end)
    };
    Ok(members.iter().map(slice).collect())
}

/// The members of a client's batch, each nested `most_depth` levels deep at most; the array itself does not count.
///
/// # Errors
/// As [`split`]; and when it opens a session, which a batch never does (`basic/lifecycle`), or when two of its requests
/// have the same id, because nobody could tell their answers from each other.
pub fn read(text: &Bytes, most_depth: usize) -> Result<Vec<Member>, EnvelopeFault> {
    let members: Vec<_> = split(text)?.iter().map(|member| Message::of_client(member, most_depth)).collect();
    let mut ids = HashSet::new();
    for member in members.iter().flatten() {
        let MessageKind::Request(request) = member.kind() else { continue };
        if &*request.method == "initialize" {
            return Err(EnvelopeFault::Invalid("\"initialize\" must not be part of a batch".to_owned()));
        }
        if !ids.insert(request.id.canonical()) {
            let why = format!("two requests of the batch have the id {}", request.id.raw());
            return Err(EnvelopeFault::Invalid(why));
        }
    }
    Ok(members)
}

/// An array of messages.
#[must_use]
pub fn join(messages: &[Bytes]) -> Bytes {
    let mut out = Vec::with_capacity(messages.iter().map(|message| message.len() + 1).sum::<usize>() + 2);
    out.push(b'[');
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(message);
    }
    out.push(b']');
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    use super::*;
    use crate::jsonrpc::Id;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn read(text: &Bytes) -> Result<Vec<Member>, EnvelopeFault> {
        super::read(text, 4)
    }

    fn fault(text: &str) -> String {
        read(&bytes(text)).unwrap_err().to_string()
    }

    #[test]
    fn what_a_batch_may_not_be() {
        let call = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        assert!(fault("[]").contains("at least one"));
        assert!(
            fault(&format!("[{},{}]", call("\"a\""), call("\"\\u0061\""))).contains("the id \"\\u0061\"")
        );
        assert!(read(&bytes(&format!("[{},{}]", call("1"), call("\"1\"")))).is_ok());
        assert!(fault(r#"[{"jsonrpc":"2.0","id":1,"method":"initialize"}]"#).contains("initialize"));
        let ones = |count| format!("[{}]", vec!["1"; count].join(","));
        assert!(fault(&ones(MOST_MEMBERS + 1)).contains("at most 64"));
        assert_eq!(read(&bytes(&ones(MOST_MEMBERS))).unwrap().len(), MOST_MEMBERS);
        assert!(matches!(read(&bytes("[1,]")), Err(EnvelopeFault::NotJson(_))));
        assert!(matches!(read(&bytes("[1] 2")), Err(EnvelopeFault::NotJson(_))));
        assert!(matches!(read(&bytes("{}")), Err(EnvelopeFault::NotJson(_))));
        assert_eq!(read(&Bytes::from_static(b"[\"\xff\"]")).unwrap_err(), EnvelopeFault::NotUtf8);
    }

    #[test]
    fn a_member_that_is_no_message_does_not_spoil_the_others() {
        let members = read(&bytes(r#"[1, [], {"jsonrpc":"2.0","method":"x"}, {"jsonrpc":"1.0"}]"#)).unwrap();
        assert_eq!(members.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, false, true, false]);
    }

    /// Each is judged by itself: as deep as the array is, it would be one level deeper.
    #[test]
    fn a_member_that_is_too_deep_does_not_spoil_the_others() {
        let ask = |id: u8, value: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x","params":{{"a":{value}}}}}"#)
        };
        let members = read(&bytes(&format!("[{},{}]", ask(1, "[[1]]"), ask(2, "[[[]]]")))).unwrap();
        let [Ok(_), Err(unread)] = members.as_slice() else { panic!("{members:?}") };
        assert_eq!(unread.fault, EnvelopeFault::TooDeep { depth: 5, most: 4 });
        assert_eq!(unread.id, Some(Id::number(2)));
    }

    fn message() -> impl Strategy<Value = String> {
        let value = prop_oneof![Just("42.0"), Just("[1,[2]]"), Just("\"],[\""), Just("{\"a\":[]}")];
        (value, "[a-z]{1,5}")
            .prop_map(|(value, method)| format!(r#"{{"jsonrpc":"2.0", "method":"{method}","x":{value}}}"#))
    }

    proptest! {
        #[test]
        fn members_keep_their_bytes(messages in prop::collection::vec(message(), 1..MOST_MEMBERS), space in "[ \n\r\t]{0,3}") {
            let text = format!("{space}[{space}{}{space}]{space}", messages.join(&format!("{space},{space}")));
            assert!(is_array(text.as_bytes()));
            let texts = split(&bytes(&text)).unwrap();
            assert!(read(&bytes(&text)).unwrap().into_iter().map(Result::unwrap).map(|read| read.bytes().clone()).eq(texts.clone()));
            assert!(texts.iter().map(|text| &text[..]).eq(messages.iter().map(String::as_bytes)));
            assert_eq!(&join(&texts)[..], format!("[{}]", messages.join(",")).as_bytes());
        }

        #[test]
        fn any_input_is_read_or_refused(data in any::<Vec<u8>>()) {
            let data = Bytes::from([b"[", &data[..], b"]"].concat());
            if let Ok(members) = read(&data) {
                assert!((1..=MOST_MEMBERS).contains(&members.len()));
            }
        }
    }
}
