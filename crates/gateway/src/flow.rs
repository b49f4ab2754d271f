//! A call in progress, seen from its client: one thing after the other until the response.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use base::error::CallError;
use base::reply::{self, ErrorRow};
use bytes::Bytes;
use catalog::caller::Caller;
use catalog::changes::subscription::Subscription;
use http::StatusCode;
use mcp::answer;
use mcp::call::Call;
use mcp::json;
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::legacy::convert;
use mcp::legacy::downgrade::{self, Gap};
use mcp::method::Method;
use mcp::mrtr::{self, InputRequest, InputRequired};
use mcp::reject::code;
use mcp::trace::SpanPlace;
use mcp::version::Era;
use tokio::time::{Duration, Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use transport::http::body::Pieces;
use upstream::Ask;

use crate::forward::questions::{Asking, Questions};
use crate::forward::record::{self, CallRecord};
use crate::forward::relay::{Passed, Relay};
use crate::forward::round::{Round, RoundStep, Rounds, Waited};
use crate::forward::state::Proof;
use crate::outcome::Outcome;
use crate::route::Route;

pub(crate) mod in_flight;
mod listening;
mod steps;

pub(crate) use self::listening::Listening;
pub(crate) use self::steps::Steps;

/// The next thing of a call.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is known how the answer comes: as a stream, or perhaps as one message.
    Begun {
        /// Whether the server streams.
        streams: bool,
    },
    /// A notification.
    Notice(Bytes),
    /// A request to the client.
    Ask(Bytes),
    /// The response; nothing comes after it.
    Last(Last),
}

/// How a call ends.
#[derive(Debug)]
pub(crate) enum Last {
    /// With a response of a server, or with ours.
    Message(Message, Option<StatusCode>),
    /// With the text of a result of ours, as the client can read it.
    Built(Pieces),
    /// With an error of ours.
    Error(Box<ErrorRow>),
    /// With the end of a subscription stream.
    Ended(Bytes),
}

type Starting = Pin<Box<dyn Future<Output = Result<Outcome, CallError>> + Send>>;

enum State {
    Starting(Starting),
    Own(Message),
    Built(Pieces),
    Relay(Box<Relay>),
    /// A legacy server has asked a modern client: what else it asks at once goes with it.
    Gathering(Box<Relay>, Vec<Ask>, Instant),
    /// A modern server has asked a legacy client.
    Asking(Box<Round>, Option<Box<CallRecord>>),
    /// What is to be said before the end.
    Ending(VecDeque<Bytes>, Last),
    Listen(Box<Subscription>),
    /// We answer as soon as we can, and ask a legacy client meanwhile.
    Rounds(Box<dyn Rounds>, Option<Box<CallRecord>>),
    /// The answer is there, and is being written down.
    Closing(Option<Box<CallRecord>>, Result<(Message, &'static str), CallError>),
    Failed(CallError),
    Over,
}

/// How long to wait for more after a legacy server has asked for something, so that it becomes one result.
const GATHER: Duration = Duration::from_millis(20);
/// The most that a server may ask for at once.
const MOST_ASKS: usize = 32;

/// A call in progress. Dropping it cancels the call.
pub(crate) struct Flow {
    id: Id,
    method: Option<&'static Method>,
    state: State,
    route: Arc<Route>,
    caller: Arc<Caller>,
    /// What a legacy client is asked in this call.
    asking: Option<Asking>,
    /// How often a modern server has asked, and the ids of the elicitations by URL in it.
    rounds: u32,
    urls: Vec<String>,
    /// The proof that the call was approved: it is still, when it is sent again with what its server asks for.
    approved: Option<Box<Proof>>,
    /// What followed the call when it was sent before.
    before: Option<Box<SpanPlace>>,
    /// Ends subscription streams in good order.
    drain: CancellationToken,
}

impl Flow {
    /// A call that begins when it is first asked for a step. `questions` is where a legacy client's answers come in.
    pub(crate) fn new(
        route: Arc<Route>,
        mut call: Box<Call>,
        mut caller: Caller,
        questions: Option<&Arc<Questions>>,
        drain: CancellationToken,
    ) -> Self {
        if let Some(carried) = route.carried(&caller.facts, caller.era()) {
            caller.declared = Some(Box::new(std::mem::replace(&mut caller.facts, carried.clone())));
            call.set_client(carried);
        }
        let (id, method, caller) = (call.id().clone(), call.method(), Arc::new(caller));
        let asking = questions.cloned().map(Asking::new);
        let state = State::Starting(start(Arc::clone(&route), (call, None, None), Arc::clone(&caller)));
        let urls = Vec::new();
        let (approved, before) = (None, None);
        Self { id, method, state, route, caller, asking, rounds: 0, urls, approved, before, drain }
    }

    pub(crate) fn id(&self) -> &Id {
        &self.id
    }

    pub(crate) fn method(&self) -> Option<&'static Method> {
        self.method
    }

    /// Waits for the next step. After [`Step::Last`] it must not be asked again. Cancel safe.
    pub(crate) async fn next(&mut self) -> Step {
        loop {
            if let Some(step) = self.advance().await {
                return step;
            }
        }
    }

    /// Waits for something to happen, and says what of it is a step.
    async fn advance(&mut self) -> Option<Step> {
        match &mut self.state {
            State::Starting(start) => {
                let (state, streams) = match start.await {
                    Ok(Outcome::Own(message)) => (State::Own(message), false),
                    Ok(Outcome::Built(text)) => (State::Built(text), false),
                    Ok(Outcome::Relay(relay)) => {
                        let streams = relay.streams();
                        (State::Relay(relay), streams)
                    }
                    Ok(Outcome::Listen(subscription)) => (State::Listen(subscription), true),
                    Ok(Outcome::Rounds(rounds, record)) => (State::Rounds(rounds, record), false),
                    Err(error) => (State::Failed(error), false),
                };
                self.state = state;
                // Where it is sent again it has begun before.
                (self.rounds == 0).then_some(Step::Begun { streams })
            }
            State::Relay(relay) => {
                let passed = relay.next(self.asking.as_ref()).await;
                self.passed(passed)
            }
            State::Gathering(relay, asks, until) => {
                if asks.len() < MOST_ASKS
                    && let Ok(passed) = timeout_at(*until, Box::pin(relay.next(None))).await
                {
                    return self.passed(passed);
                }
                self.suspend()
            }
            State::Closing(record, answer) => {
                // What is rare lies in a box of its own.
                Box::pin(write_down(record.as_deref_mut(), answer)).await;
                self.closed()
            }
            State::Asking(round, _) => {
                let turn = tokio::select! {
                    turn = Box::pin(round.next()) => turn,
                    // Nobody will be here to hear the answer.
                    () = self.drain.cancelled() => {
                        let why = "the server asks for input, and Portolan is shutting down".to_owned();
                        Err(CallError::InputRefused { why })
                    }
                };
                self.turn(turn)
            }
            State::Rounds(rounds, record) => {
                let Some(asking) = &mut self.asking else {
                    let error = CallError::Internal("a client cannot be asked".to_owned());
                    return Some(self.fail(&error));
                };
                let waited = waits(rounds.as_mut(), asking, &self.drain).await;
                self.urls.append(rounds.urls());
                let waited = Box::pin(written(waited, record.as_deref_mut())).await;
                self.waited(waited)
            }
            State::Ending(unsaid, _) => {
                if let Some(bytes) = unsaid.pop_front() {
                    return Some(Step::Notice(bytes));
                }
                Some(self.own())
            }
            State::Listen(subscription) => {
                let told = tokio::select! {
                    told = subscription.next() => told,
                    () = self.drain.cancelled() => None,
                };
                Some(match told {
                    Some(bytes) => Step::Notice(bytes),
                    None => {
                        let end = subscription.end().unwrap_or_default();
                        self.last(Last::Ended(end))
                    }
                })
            }
            State::Own(_) | State::Built(_) | State::Failed(_) | State::Over => Some(self.own()),
        }
    }

    /// What has come of an answer of ours.
    fn waited(&mut self, waited: Result<Waited, CallError>) -> Option<Step> {
        let answer = match waited {
            Ok(Waited::Ask(bytes)) => return Some(Step::Ask(bytes)),
            Ok(Waited::Goes(call, proof)) => {
                self.rounds += 1;
                if let State::Rounds(_, Some(record)) = &self.state {
                    self.before = record.span().cloned().map(Box::new);
                }
                self.again(call, Some(proof));
                return None;
            }
            Ok(Waited::Over(message)) => {
                let outcome = record::outcome_of(&message);
                Ok((message, outcome))
            }
            Err(error) => Err(error),
        };
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Rounds(_, record) => State::Closing(record, answer),
            other => other,
        };
        None
    }

    /// An answer of ours is written down.
    fn closed(&mut self) -> Option<Step> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Closing(_, Ok((message, _))) => {
                let message = self.aged(message);
                self.end(Last::Message(message, None))
            }
            State::Closing(_, Err(error)) => Some(self.fail(&error)),
            _ => Some(self.own()),
        }
    }

    /// What the relay has passed on.
    fn passed(&mut self, passed: Result<Passed, CallError>) -> Option<Step> {
        match passed {
            Ok(Passed::Notice(bytes)) => Some(Step::Notice(bytes)),
            Ok(Passed::Withdrawn(theirs)) => {
                let Some(asking) = &mut self.asking else {
                    self.forget(&theirs);
                    return None;
                };
                let known = asking.withdraw(&theirs)?;
                let params = format!(r#"{{"requestId":{}}}"#, known.raw());
                Some(Step::Notice(answer::notification_message("notifications/cancelled", Some(&params))))
            }
            Ok(Passed::Ask(ask)) => match &mut self.asking {
                Some(asking) => asking.pass_on(ask).map(Step::Ask),
                None => {
                    self.gather(ask);
                    None
                }
            },
            Ok(Passed::Input(input, call)) => {
                self.ask(input, call);
                None
            }
            Ok(Passed::Visit(requests)) => Some(self.visit(&requests)),
            Ok(Passed::Built(text)) => self.end(Last::Built(text)),
            Ok(Passed::Response(message, status)) => {
                self.note_urls(&message);
                let message = self.readable(message);
                self.end(Last::Message(message, status))
            }
            Err(error) => Some(self.fail(&error)),
        }
    }

    /// A legacy server asks a modern client.
    fn gather(&mut self, ask: Ask) {
        let bound = match &self.state {
            State::Relay(relay) | State::Gathering(relay, ..) => relay.bond().is_some(),
            _ => false,
        };
        if !bound {
            let why = "a modern client can be asked in a tool call, a prompt or a read only";
            return ask.refuse(code::INVALID_PARAMS, why);
        }
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Relay(relay) => State::Gathering(relay, vec![ask], Instant::now() + GATHER),
            State::Gathering(relay, mut asks, until) => {
                asks.push(ask);
                State::Gathering(relay, asks, until)
            }
            // The ask is dropped, which refuses it.
            other => other,
        };
    }

    /// The server no longer wants what its modern client was about to be asked.
    fn forget(&mut self, theirs: &Id) {
        let state = std::mem::replace(&mut self.state, State::Over);
        let State::Gathering(relay, asks, until) = state else {
            self.state = state;
            return;
        };
        let (gone, asks): (Vec<_>, Vec<_>) =
            asks.into_iter().partition(|ask| ask.id().canonical() == theirs.canonical());
        gone.into_iter().for_each(Ask::forget);
        self.state = if asks.is_empty() { State::Relay(relay) } else { State::Gathering(relay, asks, until) };
    }

    /// The client gets what the server asks for; the call stays open until it comes back.
    fn suspend(&mut self) -> Option<Step> {
        let State::Gathering(mut relay, asks, _) = std::mem::replace(&mut self.state, State::Over) else {
            return Some(self.own());
        };
        let record = relay.take_record().map(Box::new);
        // Without a bond the client has declared nothing that it could be asked for, and no ask comes here.
        let unbound =
            || CallError::Internal("a call that cannot be suspended was asked for input".to_owned());
        let now = self.route.world.clock.now();
        let parked = relay.bond().cloned().ok_or_else(unbound);
        let lifetime = self.caller.until_revoked(self.route.identifier.as_ref());
        let parked = parked.and_then(|bond| self.route.suspended.park(relay, &bond, asks, (now, lifetime)));
        let answer = parked.and_then(|text| reply::own_result(&self.id, &text));
        self.state = State::Closing(record, answer.map(|message| (message, "input_required")));
        None
    }

    /// A legacy server wants URLs to be visited before it is called again.
    fn visit(&mut self, requests: &[InputRequest]) -> Step {
        let unbound =
            || CallError::Internal("a call that cannot be suspended was asked for input".to_owned());
        let now = self.route.world.clock.now();
        let bond = match &self.state {
            State::Relay(relay) | State::Gathering(relay, ..) => relay.bond().cloned(),
            _ => None,
        };
        let result = bond.ok_or_else(unbound);
        let result = result.and_then(|bond| self.route.suspended.visit(requests, &bond, now));
        self.result(result)
    }

    /// A result of ours, which is the text of an object.
    fn result(&mut self, result: Result<String, CallError>) -> Step {
        match result.and_then(|text| reply::own_result(&self.id, &text)) {
            Ok(message) => self.last(Last::Message(message, None)),
            Err(error) => self.fail(&error),
        }
    }

    /// A modern server asks a legacy client.
    fn ask(&mut self, input: InputRequired, call: Box<Call>) {
        let State::Relay(mut relay) = std::mem::replace(&mut self.state, State::Over) else { return };
        self.approved = relay.take_proof();
        self.before = relay.span();
        let Some(asking) = &mut self.asking else {
            self.state = State::Failed(CallError::Internal("a client cannot be asked".to_owned()));
            return;
        };
        // What its server has answered is in a record. What becomes of the call before it is sent again is in this one.
        let record = match CallRecord::of_waiting(&self.route.world, (&call, &self.caller), &self.route.name)
        {
            Ok(mut record) => {
                record.goes_on_at(relay.upstream());
                Some(Box::new(record))
            }
            Err(error) => {
                self.state = State::Failed(error);
                return;
            }
        };
        self.state = match Round::begin(input, call, asking, (self.rounds, relay.patience())) {
            Ok(mut round) => {
                self.urls.append(&mut round.urls);
                State::Asking(Box::new(round), record)
            }
            Err(error) => State::Closing(record, Err(error)),
        };
        self.rounds += 1;
    }

    fn turn(&mut self, turn: Result<RoundStep, CallError>) -> Option<Step> {
        match turn {
            Ok(RoundStep::Say(bytes)) => Some(Step::Ask(bytes)),
            Ok(RoundStep::Again(call)) => {
                // That has a record of its own.
                if let State::Asking(_, record) = &mut self.state {
                    record.take().into_iter().for_each(|record| record.forget());
                }
                let approved = self.approved.take();
                self.again(call, approved);
                None
            }
            Err(error) => {
                let asking = std::mem::replace(&mut self.state, State::Over);
                let State::Asking(_, record) = asking else { return Some(self.fail(&error)) };
                self.state = State::Closing(record, Err(error));
                None
            }
        }
    }

    /// The call is sent, or sent again.
    fn again(&mut self, call: Box<Call>, approved: Option<Box<Proof>>) {
        let started =
            start(Arc::clone(&self.route), (call, approved, self.before.take()), Arc::clone(&self.caller));
        self.state = State::Starting(started);
    }

    /// The server's response as the client can read it. If nobody can tell what it says, because a member stands twice,
    /// the client gets what the server said.
    fn readable(&self, message: Message) -> Message {
        let (State::Relay(relay) | State::Gathering(relay, ..)) = &self.state else { return message };
        let gap = Gap { from: relay.revision(), to: self.caller.revision };
        let message = if gap.is_even() {
            message
        } else {
            let as_it_is = message.clone();
            downgrade::response(message, self.method, gap).unwrap_or(as_it_is)
        };
        if relay.is_as_it_came() { message } else { self.aged(message) }
    }

    /// A response that is written as the modern era has it, as the client can read it.
    fn aged(&self, message: Message) -> Message {
        if self.caller.era() == Era::Modern {
            return message;
        }
        let as_it_is = message.clone();
        convert::age(message, self.method).unwrap_or(as_it_is)
    }

    /// A legacy client is told to visit URLs first, and waits to hear that this is done.
    fn note_urls(&self, message: &Message) {
        let MessageKind::Error(parts) = message.kind() else { return };
        let (State::Relay(relay) | State::Gathering(relay, ..)) = &self.state else { return };
        let Some(client) =
            self.caller.client.as_ref().filter(|_| parts.code == code::LEGACY_URL_ELICITATION_REQUIRED)
        else {
            return;
        };
        let view = answer::error_view(message, parts);
        let members = &self.route.catalog.members;
        if let Some(member) = members.iter().find(|member| member.upstream.name() == relay.upstream()) {
            member.upstream.gave(mrtr::elicitation_ids(view.data), client);
        }
    }

    /// The server's answer. Elicitations by URL that were asked for in this call are over with it.
    fn end(&mut self, last: Last) -> Option<Step> {
        if self.urls.is_empty() {
            return Some(self.last(last));
        }
        let over = |id: &String| {
            let params = format!(r#"{{"elicitationId":{}}}"#, json::quote(id));
            answer::notification_message("notifications/elicitation/complete", Some(&params))
        };
        self.state = State::Ending(self.urls.iter().map(over).collect(), last);
        None
    }

    fn fail(&mut self, error: &CallError) -> Step {
        let wire = reply::wire_for(error, self.caller.era());
        self.last(Last::Error(Box::new(wire)))
    }

    fn own(&mut self) -> Step {
        let last = match std::mem::replace(&mut self.state, State::Over) {
            State::Own(message) => Last::Message(self.aged(message), None),
            State::Built(text) => Last::Built(text),
            State::Ending(_, last) => last,
            State::Failed(error) => return self.fail(&error),
            _ => Last::Error(Box::new(reply::wire(&CallError::Internal(
                "a call was asked past its end".to_owned(),
            )))),
        };
        Step::Last(last)
    }

    fn last(&mut self, last: Last) -> Step {
        self.state = State::Over;
        Step::Last(last)
    }
}

/// Waits for the next thing of an answer of ours; where there is an end to waiting, no longer than the process is to last.
async fn waits(
    rounds: &mut dyn Rounds,
    asking: &mut Asking,
    drain: &CancellationToken,
) -> Result<Waited, CallError> {
    let Some(error) = rounds.leave() else { return rounds.next(asking).await };
    tokio::select! {
        waited = rounds.next(asking) => waited,
        () = drain.cancelled() => Err(error),
    }
}

/// That a client was asked is written down before its call goes on, which has a record of its own.
async fn written(
    waited: Result<Waited, CallError>,
    record: Option<&mut CallRecord>,
) -> Result<Waited, CallError> {
    if let (Ok(Waited::Goes(..)), Some(record)) = (&waited, record) {
        record.close("input_required").await?;
    }
    waited
}

/// An answer of ours is written down, or nobody hears of it.
async fn write_down(
    record: Option<&mut CallRecord>,
    answer: &mut Result<(Message, &'static str), CallError>,
) {
    let Some(record) = record else { return };
    let written = match answer {
        Ok((message, outcome)) => {
            record.answered(message);
            record.close(outcome).await
        }
        Err(error) => record.failed(error).await,
    };
    if let Err(error) = written {
        *answer = Err(error);
    }
}

/// Carries a call to where it is answered.
fn start(
    route: Arc<Route>,
    (call, approved, before): (Box<Call>, Option<Box<Proof>>, Option<Box<SpanPlace>>),
    caller: Arc<Caller>,
) -> Starting {
    Box::pin(async move { route.run(call, &caller, (approved, before)).await })
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("id", &self.id).finish_non_exhaustive()
    }
}
