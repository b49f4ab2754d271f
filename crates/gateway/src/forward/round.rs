//! A modern server asks for input, and its client is legacy: the client is asked by requests on the call's stream, and
//! the call is sent again with the answers.
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`.

use std::collections::VecDeque;
use std::fmt::Debug;

use base::error::CallError;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use mcp::call::Call;
use mcp::jsonrpc::Message;
use mcp::mrtr::{self, InputRequest, InputRequired};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep_until, timeout_at};

use crate::forward::edit::Edit;
use crate::forward::questions::{self, Asking};
use crate::forward::state::Proof;

/// How often a server may ask again in one call.
const MOST_ROUNDS: u32 = 32;
/// The first pause before a call is sent again whose server asked for nothing but that; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One round of questions.
#[derive(Debug)]
pub(crate) struct Round {
    call: Box<Call>,
    state: Option<String>,
    unsaid: VecDeque<Bytes>,
    waiting: VecDeque<(InputRequest, oneshot::Receiver<Message>)>,
    answers: Vec<(String, String)>,
    /// Ids of elicitations by URL, which end when the call has its result.
    pub(crate) urls: Vec<String>,
    /// When the client's time is over; when to go on, if nothing is asked.
    until: Instant,
    patience: Duration,
}

/// An answer of ours that may ask its legacy client first, again and again.
pub(crate) trait Rounds: Send + Debug {
    /// Waits for the next thing for the client. Cancel safe.
    fn next<'a>(&'a mut self, asking: &'a mut Asking) -> BoxFuture<'a, Result<Waited, CallError>>;

    /// What the client is told if Portolan shuts down meanwhile; nothing if that waits for the answer.
    fn leave(&self) -> Option<CallError> {
        None
    }

    /// Ids of elicitations by URL that were asked for meanwhile; they end with the answer.
    fn urls(&mut self) -> &mut Vec<String>;
}

/// An answer of ours with what counts it to its end.
#[derive(Debug)]
struct CountedRounds {
    rounds: Box<dyn Rounds>,
    edits: Vec<Box<dyn Edit>>,
}

/// The same, counted to its end.
pub(crate) fn with_edits(rounds: Box<dyn Rounds>, edits: Vec<Box<dyn Edit>>) -> Box<dyn Rounds> {
    if edits.is_empty() { rounds } else { Box::new(CountedRounds { rounds, edits }) }
}

impl Rounds for CountedRounds {
    fn next<'a>(&'a mut self, asking: &'a mut Asking) -> BoxFuture<'a, Result<Waited, CallError>> {
        Box::pin(async move {
            let waited = self.rounds.next(asking).await;
            if let Ok(Waited::Over(message)) = &waited {
                let bytes = message.bytes().len();
                self.edits.iter_mut().for_each(|edit| edit.arrived(bytes));
            }
            waited
        })
    }

    fn leave(&self) -> Option<CallError> {
        self.rounds.leave()
    }

    fn urls(&mut self) -> &mut Vec<String> {
        self.rounds.urls()
    }
}

/// The next thing for the client.
#[derive(Debug)]
pub(crate) enum Waited {
    /// A request.
    Ask(Bytes),
    /// The response.
    Over(Message),
    /// It is approved: the call goes on.
    Goes(Box<Call>, Box<Proof>),
}

/// What comes next in a round.
pub(crate) enum RoundStep {
    /// A request to the client.
    Say(Bytes),
    /// The call, to be sent again.
    Again(Box<Call>),
}

impl Round {
    /// Begins to ask. `rounds` counts those before.
    pub(crate) fn begin(
        input: InputRequired,
        call: Box<Call>,
        asking: &mut Asking,
        (rounds, patience): (u32, Duration),
    ) -> Result<Self, CallError> {
        let refused = |why: String| CallError::InputRefused { why };
        if rounds >= MOST_ROUNDS {
            return Err(refused(format!("the server has asked for input {MOST_ROUNDS} times in this call")));
        }
        let invalid =
            |fault: mcp::json::JsonFault| refused(format!("what the server asks cannot be read: {fault}"));
        let (requests, urls) = questions::aged(input.requests).map_err(invalid)?;
        let (mut unsaid, mut waiting) = (VecDeque::new(), VecDeque::new());
        for request in requests {
            let asked = asking.ask(&request);
            let (text, answer) =
                asked.ok_or_else(|| refused("the client is asked too much at once".to_owned()))?;
            unsaid.push_back(text);
            waiting.push_back((request, answer));
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << rounds.min(10)).min(LONGEST_PAUSE);
        let until = Instant::now() + if waiting.is_empty() { pause } else { patience };
        Ok(Self { call, state: input.state, unsaid, waiting, answers: Vec::new(), urls, until, patience })
    }

    /// Waits for what comes next. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<RoundStep, CallError> {
        if let Some(text) = self.unsaid.pop_front() {
            return Ok(RoundStep::Say(text));
        }
        let refused = |why: String| CallError::InputRefused { why };
        if self.waiting.is_empty() && self.answers.is_empty() {
            // The server wants nothing but to be called again, later or elsewhere.
            sleep_until(self.until).await;
        }
        while let Some((request, answer)) = self.waiting.front_mut() {
            let response = match timeout_at(self.until, answer).await {
                Ok(Ok(response)) => response,
                Ok(Err(_gone)) => return Err(refused("the client's session has ended".to_owned())),
                Err(_elapsed) => {
                    let why =
                        format!("the client did not answer {} within {:?}", request.method, self.patience);
                    return Err(refused(why));
                }
            };
            let result = questions::result_of(request, &response).map_err(refused)?;
            self.answers.push((request.key.clone(), result));
            self.waiting.pop_front();
        }
        let again = mrtr::again(&self.call, &self.answers, self.state.as_deref())?;
        Ok(RoundStep::Again(Box::new(again.again())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Leaving(Vec<String>);

    impl Rounds for Leaving {
        fn next<'a>(&'a mut self, _: &'a mut Asking) -> BoxFuture<'a, Result<Waited, CallError>> {
            Box::pin(std::future::pending())
        }

        fn leave(&self) -> Option<CallError> {
            Some(CallError::InputRefused { why: "it ends".to_owned() })
        }

        fn urls(&mut self) -> &mut Vec<String> {
            &mut self.0
        }
    }

    #[derive(Debug)]
    struct Nothing;

    impl Edit for Nothing {}

    #[test]
    fn what_is_counted_stops_waiting_as_what_is_not() {
        for edits in [Vec::new(), vec![Box::new(Nothing) as Box<dyn Edit>]] {
            assert!(with_edits(Box::new(Leaving(Vec::new())), edits).leave().is_some());
        }
    }
}
