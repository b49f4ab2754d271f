//! What a legacy server asks of a client in the middle of a call: elicitation, sampling, roots.
//!
//! Whoever holds an [`Ask`] owes the server an answer; dropping it is one, so that no server waits for ever.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use mcp::answer;
use mcp::json::Patch;
use mcp::jsonrpc::{Id, Message, Request};
use mcp::mrtr::InputRequest;
use mcp::reject::code;

use crate::link::{NOTHING, Whose};

/// A request of a legacy server that a client must answer.
#[derive(Debug)]
pub struct Ask {
    /// The request as it came.
    pub message: Message,
    method: Box<str>,
    reply: PendingReply,
    /// What the server is told soon if its client says nothing: that it has not declared such a thing.
    undeclared: Option<Bytes>,
}

/// The answer that is owed to a server.
pub struct PendingReply {
    to: Option<Box<dyn ReplyTo>>,
    id: Id,
}

/// Where answers to a server's requests go: the conversation in which it asked.
pub(crate) trait ReplyTo: Send + Sync + fmt::Debug {
    /// Sends one, whether or not anybody takes it.
    fn reply(&self, body: Bytes);
}

impl Ask {
    /// It was said in the conversation of `whose`.
    pub(crate) fn new(message: Message, request: &Request, (whose, to): (&Whose, Box<dyn ReplyTo>)) -> Self {
        let reply = PendingReply { to: Some(to), id: request.id.clone() };
        let undeclared = match whose.askable() {
            Some(_) => None,
            None => answer_at_once(Some(&whose.declared), &request.id, &request.method, message.params()),
        };
        Self { method: request.method.as_ref().into(), message, reply, undeclared }
    }

    /// What the server is told if its client, who need not answer that, does not do so soon.
    pub fn undeclared(&self) -> Option<&Bytes> {
        self.undeclared.as_ref()
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    /// What is asked for, under a key of its call.
    pub fn request(&self, key: String) -> InputRequest {
        let params = self.message.params().map(|params| Bytes::copy_from_slice(params.as_bytes()));
        InputRequest { key, method: self.method.to_string(), params }
    }

    /// The answer that is owed.
    pub fn into_reply(self) -> PendingReply {
        self.reply
    }

    /// The server's own id of it.
    pub fn id(&self) -> &Id {
        &self.reply.id
    }

    /// The server has withdrawn it, and waits for no answer.
    pub fn forget(self) {
        self.reply.forget();
    }

    /// Refuses it.
    pub fn refuse(self, code: i64, why: &str) {
        self.reply.refuse(code, why);
    }
}

impl PendingReply {
    /// The server's own id of the request.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The server no longer waits for it.
    pub fn forget(mut self) {
        self.to = None;
    }

    /// Replies with a result; `result` is the text of a JSON object.
    pub fn result(mut self, result: &str) {
        let body = answer::result_message(&self.id, result);
        self.send(body);
    }

    /// Replies with a client's response, which has an id of ours.
    pub fn response(mut self, response: &Message) {
        let mut patch = Patch::new();
        response.set_id(&self.id, &mut patch);
        self.send(patch.apply(response.bytes()));
    }

    /// Sends an answer as it is.
    pub fn raw(mut self, body: Bytes) {
        self.send(body);
    }

    /// Says something about the answer before it is there.
    pub fn say(&self, body: &Bytes) {
        self.to.iter().for_each(|to| to.reply(body.clone()));
    }

    /// Says that there is no answer.
    pub fn refuse(mut self, code: i64, why: &str) {
        let body = answer::error_message(Some(&self.id), code, why, None);
        self.send(body);
    }

    fn send(&mut self, body: Bytes) {
        if let Some(to) = self.to.take() {
            to.reply(body);
        }
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if self.to.is_some() {
            let why = "nobody is there any more to answer this";
            let body = answer::error_message(Some(&self.id), code::INTERNAL_ERROR, why, None);
            self.send(body);
        }
    }
}

impl fmt::Debug for PendingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingReply").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a call may be asked, and who would be asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Whether the method is one in whose course a server may ask at all.
    pub(crate) may_ask: bool,
    /// What the client declared ([`mcp::mrtr::askable`]).
    pub(crate) declared: Arc<str>,
    /// The client, where it is known which calls are the same one's.
    pub(crate) client: Option<Arc<str>>,
    /// An earlier request whose progress is told to this one.
    pub(crate) after: Option<u64>,
}

/// Why no call is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nobody {
    /// There is no call in which a server may ask.
    NoCall,
    /// There are several, and nothing says which.
    Several,
    /// Its client cannot be asked.
    Undeclared,
}

impl Nobody {
    /// What the server is told.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoCall => "it belongs to no call of a client",
            Self::Several => "it does not say which of several calls it belongs to",
            Self::Undeclared => "the client declared no such capability",
        }
    }
}

impl Asked {
    /// Whether anything can be asked in it.
    pub(crate) fn can_be(&self) -> bool {
        self.may_ask && &*self.declared != "{}"
    }
}

/// Which call a server's request belongs to when it does not say: the only one that can be meant, or the newest if all
/// that can be meant are the same client's. To guess further could show one client's question to another. It was said in the
/// conversation of `whose`.
///
/// # Errors
/// Why there is none.
pub(crate) fn owner<'a, T>(
    whose: &Whose,
    calls: impl Iterator<Item = (u64, &'a Asked, T)>,
) -> Result<T, Nobody> {
    let mut candidates: Vec<_> = calls.filter(|(_, asked, _)| asked.may_ask).collect();
    candidates.sort_by_key(|(id, ..)| *id);
    let same = candidates.windows(2).all(|pair| match pair {
        [(_, one, _), (_, other, _)] => one.client.is_some() && one.client == other.client,
        _ => true,
    });
    match candidates.pop() {
        None => Err(Nobody::NoCall),
        Some(_) if !same => Err(Nobody::Several),
        Some((_, asked, _)) if whose.is_shared() && &*asked.declared == NOTHING => Err(Nobody::Undeclared),
        Some((_, _, owner)) => Ok(owner),
    }
}

/// What a server's request is answered at once, because no client can be asked it; nothing if one can. Without anything
/// `declared` its client is asked whatever it has declared, and refuses in its own words.
pub(crate) fn answer_at_once(
    declared: Option<&str>,
    id: &Id,
    method: &str,
    params: Option<&str>,
) -> Option<Bytes> {
    if method == "ping" {
        return Some(answer::result_message(id, "{}"));
    }
    let refuse = |why: String| Some(answer::error_message(Some(id), code::METHOD_NOT_FOUND, &why, None));
    if mcp::mrtr::capability(method).is_none() {
        return refuse(format!("{method}: no client has such a method"));
    }
    let params = params.map(|params| Bytes::copy_from_slice(params.as_bytes()));
    let request = InputRequest { key: String::new(), method: method.to_owned(), params };
    if let Err(fault) = request.check() {
        let why = format!("{method}: {fault}");
        return Some(answer::error_message(Some(id), code::INVALID_PARAMS, &why, None));
    }
    let lacks = request.lacks(declared?)?;
    refuse(format!("{method}: the client has not declared {lacks}"))
}

#[cfg(test)]
mod tests {
    use auth::Principal;
    use mcp::version::Era;

    use super::*;

    fn asked(may_ask: bool, declared: &str, client: Option<&str>) -> Asked {
        Asked { may_ask, declared: declared.into(), client: client.map(Into::into), after: None }
    }

    fn whose(session: Option<&str>) -> Whose {
        Whose {
            era: Era::Legacy,
            principal: Principal::anonymous(),
            session: session.map(Into::into),
            client: None,
            declared: NOTHING.into(),
        }
    }

    fn owner_in(session: Option<&str>, calls: &[Asked]) -> Result<usize, Nobody> {
        owner(&whose(session), calls.iter().enumerate().map(|(n, asked)| (n as u64, asked, n)))
    }

    fn owner_of(calls: &[Asked]) -> Result<usize, Nobody> {
        owner_in(None, calls)
    }

    #[test]
    fn only_a_call_that_is_surely_meant_is_asked() {
        let can = r#"{"roots":{}}"#;
        assert_eq!(owner_of(&[asked(true, can, None), asked(false, can, None)]), Ok(0));
        assert_eq!(owner_of(&[asked(true, can, Some("a")), asked(true, can, Some("a"))]), Ok(1));
        for calls in [
            vec![],
            vec![asked(false, can, None)],
            vec![asked(true, "{}", None)],
            vec![asked(true, can, None), asked(true, can, None)],
            vec![asked(true, can, Some("a")), asked(true, can, Some("b"))],
            vec![asked(true, can, Some("a")), asked(true, "{}", None)],
        ] {
            assert!(owner_of(&calls).is_err(), "{calls:?}");
        }
    }

    #[test]
    fn a_client_with_a_conversation_of_its_own_is_asked_whatever_it_declared() {
        assert_eq!(owner_in(Some("s"), &[asked(true, "{}", Some("s"))]), Ok(0));
        assert_eq!(whose(Some("s")).askable(), None);
        assert_eq!(whose(None).askable(), Some(NOTHING));
    }

    #[test]
    fn what_no_client_can_be_asked_is_answered_at_once() {
        let id = Id::number(1);
        let at_once = |method| answer_at_once(Some(r#"{"roots":{}}"#), &id, method, None);
        assert!(at_once("roots/list").is_none());
        assert_eq!(at_once("ping").unwrap(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        for method in ["sampling/createMessage", "elicitation/create", "tools/call"] {
            assert!(at_once(method).unwrap().windows(6).any(|w| w == b"-32601"), "{method}");
        }
        assert!(answer_at_once(None, &id, "sampling/createMessage", None).is_none());
        assert!(answer_at_once(None, &id, "tools/call", None).is_some());
    }
}
