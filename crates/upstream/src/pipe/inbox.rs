//! What a server says: each message goes to the call that it belongs to, or to all who listen.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::error::CallError;
use base::sync::lock;
use bytes::Bytes;
use mcp::glance::Glance;
use mcp::jsonrpc::{EnvelopeFault, Id, Message, MessageKind, Request};
use mcp::notify::{self, Notice, Seen};
use mcp::reject::code;
use mcp::tolerant;
use tokio::sync::oneshot;

use super::{Inner, Pipe, Wants};
use crate::ask::{self, Ask, Nobody};
use crate::backlog::{Giver, Said};

/// The most bytes that are looked at of a line that is no message.
const MOST_OF_A_LINE: usize = 16 * 1024;

/// The calls that wait, by their ids.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: HashMap<u64, PendingCall>,
    /// How many responses have come that answer none of them, and what the last one is told.
    strange: Option<(usize, CallError)>,
    /// How much had been said when the first of them began.
    said: usize,
}

impl Calls {
    /// Which call such a response was meant for cannot be told. Where there have been as many as calls wait, each of
    /// these has had its own. What was `said` meanwhile is not to be answered, but some do.
    fn fail_if_all_are_answered(&mut self, said: usize) {
        let Some((strange, _)) = &self.strange else { return };
        let waits = |call: &PendingCall| !call.wants.listens;
        let waiting = self.calls.values().filter(|call| waits(call)).count();
        let to_words = if waiting == 0 { 0 } else { said.wrapping_sub(self.said) };
        if waiting > strange.saturating_sub(to_words) {
            return;
        }
        let Some((_, error)) = self.strange.take() else { return };
        for (_, call) in self.calls.extract_if(|_, call| waits(call)) {
            drop(call.response.send(Err(error.clone())));
        }
    }

    /// A call begins.
    pub(super) fn begin(&mut self, id: u64, call: PendingCall, said: usize) {
        // One subscription may last as long as the conversation.
        if self.calls.values().all(|other| other.wants.listens) {
            self.said = said;
        }
        self.calls.insert(id, call);
    }

    /// One call waits no longer, which may have been the one that was answered so.
    pub(super) fn give_up(&mut self, id: u64) -> bool {
        let waited = self.calls.remove(&id).is_some();
        if waited && let Some((strange, _)) = &mut self.strange {
            *strange -= 1;
            if *strange == 0 {
                self.strange = None;
            }
        }
        waited
    }
}

impl Deref for Calls {
    type Target = HashMap<u64, PendingCall>;

    fn deref(&self) -> &Self::Target {
        &self.calls
    }
}

impl DerefMut for Calls {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.calls
    }
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct PendingCall {
    pub(super) notices: Giver,
    pub(super) response: oneshot::Sender<Result<Message, CallError>>,
    pub(super) wants: Wants,
}

impl Pipe {
    /// Takes one message from the server to where it belongs.
    pub(super) fn take(&self, line: &Bytes, read: Result<Message, EnvelopeFault>) {
        let message = match read {
            Ok(message) => message,
            Err(fault) => {
                return match Glance::strange_id(line) {
                    Some(came) => self.take_strange(&came),
                    None => {
                        let answers = Glance::answers(line);
                        if answers.is_none() {
                            self.heard(line);
                        }
                        self.unreadable(answers.as_ref(), &fault);
                    }
                };
            }
        };
        match message.kind() {
            MessageKind::Result(_) | MessageKind::Error(_) => self.take_response(message),
            MessageKind::Notification(_) => self.take_notice(message),
            MessageKind::Request(request) => {
                let request = request.clone();
                self.take_request(message, &request);
            }
        }
    }

    /// What cannot be read and answers a call is that call's answer, or it would wait for another one until its
    /// deadline. What answers nothing is left out: to end the conversation for it would cost all others theirs.
    pub(super) fn unreadable(&self, answers: Option<&Id>, fault: &dyn fmt::Display) {
        let upstream = &self.inner.upstream;
        match answers.and_then(|id| tolerant::number(id.raw())) {
            Some(id) => {
                let error = self.inner.shared.invalid(&fault.to_string());
                self.answer(id, Err(error));
            }
            None => tracing::warn!(upstream, "skipped a line that is no message: {fault}"),
        }
    }

    /// What is no message may be the reason why its program is about to end.
    fn heard(&self, line: &[u8]) {
        let line = &line[..line.len().min(MOST_OF_A_LINE)];
        self.inner.words.add(&self.inner.shared.masked(&String::from_utf8_lossy(line)));
    }

    fn take_response(&self, message: Message) {
        // One without an id may be the answer to a notification, which some servers give.
        let Some(id) = message.response_id() else {
            return tracing::warn!(upstream = self.inner.upstream, "skipped a response to nothing");
        };
        match id.as_number() {
            Some(number) => self.answer(number, Ok(message)),
            // Nothing at all: that is how some answer notifications.
            None if id.raw() == "\"\"" => {}
            None => self.take_strange(id.raw()),
        }
    }

    /// An answer by an id that is nobody's.
    fn take_strange(&self, came: &str) {
        let error = self.inner.shared.strange_id(came, None);
        tracing::warn!(upstream = self.inner.upstream, "{error}");
        let mut waiting = lock(&self.inner.waiting);
        waiting.strange.get_or_insert((0, error)).0 += 1;
        waiting.fail_if_all_are_answered(self.inner.said.load(Ordering::Relaxed));
    }

    /// A call could not be sent. Whoever it was that waits for it hears that.
    pub(crate) fn fail(&self, id: u64, error: CallError) {
        self.answer(id, Err(error));
    }

    /// Ends the wait of the call `id`.
    fn answer(&self, id: u64, response: Result<Message, CallError>) {
        let mut waiting = lock(&self.inner.waiting);
        let answered = waiting.remove(&id);
        waiting.fail_if_all_are_answered(self.inner.said.load(Ordering::Relaxed));
        drop(waiting);
        match answered {
            // Nobody may be there any more: a response that comes after a cancel is nothing unusual.
            Some(waiting) => drop(waiting.response.send(response)),
            None => tracing::debug!(upstream = self.inner.upstream, "a response that nobody waits for"),
        }
    }

    /// A message does not say to which call a request belongs.
    fn take_request(&self, message: Message, request: &Request) {
        let Inner { upstream, whose, shared, .. } = &*self.inner;
        let method = &*request.method;
        if let Some(reply) = ask::answer_at_once(whose.askable(), &request.id, method, message.params()) {
            return self.say(reply);
        }
        shared.temper.asked();
        let waiting = lock(&self.inner.waiting);
        let owner = ask::owner(whose, waiting.iter().map(|(id, call)| (*id, &call.wants.asked, call)));
        // The server may have been told more than this client can be asked.
        if let (Ok(call), true) = (&owner, whose.is_shared())
            && let Some(reply) =
                ask::answer_at_once(Some(&call.wants.asked.declared), &request.id, method, message.params())
        {
            drop(waiting);
            return self.say(reply);
        }
        let ask = Ask::new(message, request, (whose, Box::new(self.clone())));
        let given = match owner {
            // Where there is no room for it, it is refused by being dropped.
            Ok(call) => {
                shared.unsolicited.give(&ask, call.wants.asked.client.as_ref());
                call.notices.give(Said::Ask(ask)).then_some(()).ok_or("too much waits for the client")
            }
            Err(Nobody::NoCall) => shared.unsolicited.ask(whose, ask),
            Err(why) => {
                ask.refuse(code::INVALID_PARAMS, why.text());
                Err(why.text())
            }
        };
        drop(waiting);
        if let Err(why) = given {
            tracing::warn!(upstream, method, "a request of the server is refused: {why}");
        }
    }

    fn take_notice(&self, message: Message) {
        let seen = match notify::see(&message) {
            Ok(seen) => seen,
            Err(fault) => {
                tracing::warn!(upstream = self.inner.upstream, "skipped a notification: {fault}");
                return;
            }
        };
        if let Notice::ElicitationComplete { elicitation } = &seen.notice {
            let client = self.inner.shared.unsolicited.given(elicitation);
            return self.complete(&message, seen.clone(), client.as_ref());
        }
        let mut waiting = lock(&self.inner.waiting);
        let owner = match (&seen.subscription, &seen.notice) {
            (_, Notice::Cancelled { request: Some(request) }) => {
                let listens = |id: &u64| waiting.get(id).is_some_and(|call| call.wants.listens);
                if let Some(ended) = request.as_number().filter(listens) {
                    drop(waiting);
                    return self.cancelled(ended);
                }
                // Or a legacy server withdraws a request of its own: whoever has passed that on knows it by its id.
                for call in waiting.values().filter(|call| call.wants.asked.can_be()) {
                    call.notices.give(Said::Notice(message.clone(), seen.clone()));
                }
                return;
            }
            (Some((stream, _)), _) => stream.as_number(),
            (None, Notice::Progress { token, .. }) => token.parse().ok().map(|id: u64| {
                let after = |(_, call): &(&u64, &PendingCall)| call.wants.asked.after == Some(id);
                if waiting.contains_key(&id) {
                    id
                } else {
                    waiting.iter().find(after).map_or(id, |(now, _)| *now)
                }
            }),
            // A log message says not to which call it belongs. With one candidate there is no doubt; with more, it
            // might be another client's (MCP 2025-11-25 `server/utilities/logging` §Log Message Notifications).
            (None, Notice::Log { .. }) => {
                let mut wanting = waiting.iter().filter(|(_, call)| call.wants.logs).map(|(id, _)| *id);
                wanting.next().filter(|_| wanting.next().is_none())
            }
            _ => {
                drop(waiting);
                if matches!(seen.notice, Notice::ListChanged(_)) {
                    self.inner.shared.temper.changed();
                }
                self.inner.shared.tell_client_of(&self.inner.whose, &message, &seen);
                if !self.inner.shared.notices.tell(self.inner.whose.era, message, seen) {
                    self.inner.metrics.dropped(&self.inner.upstream);
                }
                return;
            }
        };
        let lost_by = match owner.and_then(|id| waiting.get(&id)) {
            Some(call) => (!call.notices.give(Said::Notice(message, seen))).then_some(call.wants.listens),
            None => Some(false),
        };
        if let Some(listens) = lost_by {
            self.inner.metrics.dropped(&self.inner.upstream);
            if let (true, Some(id)) = (listens, owner) {
                // It must not lose anything, so it must be told that it is over.
                waiting.remove(&id);
            }
        }
    }

    /// An elicitation is over that this client was given: it is told in a call that is still open, or beside.
    fn complete(&self, message: &Message, seen: Seen, client: Option<&Arc<str>>) {
        let Inner { upstream, shared, metrics, .. } = &*self.inner;
        let Some(client) = client else { return metrics.dropped(upstream) };
        let waiting = lock(&self.inner.waiting);
        let theirs = waiting.iter().filter(|(_, call)| call.wants.asked.client.as_ref() == Some(client));
        let call = theirs.max_by_key(|(id, _)| **id).map(|(_, call)| call);
        let told = call.is_some_and(|call| call.notices.give(Said::Notice(message.clone(), seen)));
        drop(waiting);
        if !told && !shared.unsolicited.tell(client, message.bytes()) {
            metrics.dropped(upstream);
        }
    }

    /// The server ends a subscription stream; it may send a result as well (MCP 2026-07-28 `basic/patterns/cancellation`
    /// against `basic/patterns/subscriptions`).
    fn cancelled(&self, id: u64) {
        let why = "the server has cancelled the subscription".to_owned();
        self.answer(id, Err(CallError::BrokeOff { upstream: self.inner.upstream.clone(), why: why.into() }));
    }
}
