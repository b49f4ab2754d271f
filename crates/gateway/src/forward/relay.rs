//! The answer on its way back: the client's id, token and names put in again, and nothing passed on that the client
//! may not be given.

use base::bulkhead::Slot;
use base::error::CallError;
use base::plan::Deadlines;
use bytes::Bytes;
use catalog::caller::Caller;
use http::StatusCode;
use mcp::answer::{self, AnswerFault, ResultType};
use mcp::call::Call;
use mcp::json::{JsonFault, LONG, Object, Patch};
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::legacy::tasks::Task;
use mcp::meta::ClientFacts;
use mcp::method::{Kind, Method};
use mcp::mrtr::{self, InputRequest, InputRequired};
use mcp::notify::{Notice, Seen};
use mcp::reject::code;
use mcp::trace::SpanPlace;
use mcp::version::{Era, Revision};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use tokio::time::{Duration, Instant, timeout_at};
use transport::http::body::Pieces;
use upstream::{Answer, Arrival, Ask, Response};

use crate::forward::edit::{Edit, Heard};
use crate::forward::questions::Asking;
use crate::forward::record::{self, CallRecord};
use crate::forward::state::{Bond, Proof};
use base::uris::{Mapping, map_error_uri, map_result_uris};

/// How much of what comes while a call is suspended is kept.
const MOST_EARLY: usize = 256;
const MOST_EARLY_BYTES: usize = 4 * 1024 * 1024;

/// An answer that is being passed on. Dropping it before the response cancels the call.
#[derive(Debug)]
pub(crate) struct Relay {
    answer: Box<Answer>,
    id: Id,
    method: Option<&'static Method>,
    method_name: Cow<'static, str>,
    caller: Arc<Caller>,
    /// What the server was told of the client, where that is something else.
    told: Option<ClientFacts>,
    /// The proof that the call was approved: it is still, when it is sent again with what its server asks for.
    approved: Option<Box<Proof>>,
    token: Option<Box<str>>,
    last_progress: f64,
    mapping: Option<Mapping>,
    /// Whether the client knows tasks by names of ours.
    names_tasks: bool,
    idle: Duration,
    /// When it counts as dead unless the server shows a sign of life before.
    alive_until: Instant,
    /// Until when a client that was asked something may keep the server waiting.
    asked_until: Option<Instant>,
    /// When it is over in any case.
    end: Instant,
    /// How long the client may take to answer what the server asks.
    input: Duration,
    longest: Duration,
    /// What the call is suspended under when its legacy server asks a modern client.
    bond: Option<Bond>,
    /// What changes the answer, in the order of the filters; on the way back they come in reverse.
    edits: Vec<Box<dyn Edit>>,
    /// The call as it came, to be sent again with what its modern server asks a legacy client for.
    call: Option<Box<Call>>,
    /// What came while the call was suspended.
    early: VecDeque<Result<Arrival, CallError>>,
    /// Written when it ends.
    record: Option<CallRecord>,
    /// What followed the call that it was begun in, if another one goes on with it.
    before: Option<Box<SpanPlace>>,
    /// The last thing, while it is written down.
    last: Option<Result<Passed, CallError>>,
}

/// What the answer to a call is passed on with.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) caller: Arc<Caller>,
    pub(crate) mapping: Option<Mapping>,
    pub(crate) deadlines: Deadlines,
    pub(crate) bond: Option<Bond>,
    pub(crate) edits: Vec<Box<dyn Edit>>,
    /// What the server was told of the client, where that is something else.
    pub(crate) told: Option<ClientFacts>,
    /// The proof that the call was approved, if it was.
    pub(crate) approved: Option<Box<Proof>>,
    /// Whether tasks have names of ours, whoever calls and however things are named.
    pub(crate) names_tasks: bool,
}

/// The next thing for the client.
#[derive(Debug)]
pub(crate) enum Passed {
    /// A notification of the call.
    Notice(Bytes),
    /// The server no longer waits for the answer to a request of that id.
    Withdrawn(Id),
    /// A request of a legacy server in mid-call; the call goes on meanwhile.
    Ask(Ask),
    /// A modern server has answered a legacy client's call by asking for input: the call is to be sent again with it.
    Input(InputRequired, Box<Call>),
    /// A legacy server has answered a modern client's call by asking to visit URLs first.
    Visit(Vec<InputRequest>),
    /// The response, with the client's id, as it is to be sent.
    Built(Pieces),
    /// The response, with the client's id.
    Response(Message, Option<StatusCode>),
}

impl Relay {
    pub(crate) fn new(answer: Box<Answer>, call: Box<Call>, errand: Errand) -> Self {
        let Errand { caller, mapping, deadlines, bond, edits, told, approved, names_tasks } = errand;
        let is_quiet = edits.iter().any(|edit| edit.may_be_quiet());
        let idle = if is_quiet { deadlines.call_max } else { deadlines.call };
        let now = Instant::now();
        let asked_again = caller.era() == Era::Legacy && answer.era() == Era::Modern;
        Self {
            input: deadlines.input,
            longest: deadlines.call_max,
            bond,
            answer,
            id: call.id().clone(),
            method: call.method(),
            method_name: call.method_label(),
            told,
            approved,
            token: call.progress_token().map(Into::into),
            last_progress: f64::NEG_INFINITY,
            // A caller of whom something was said is one among others, who must not hear of each other's.
            names_tasks: names_tasks || mapping.is_some() || caller.claims.is_some(),
            mapping,
            idle,
            alive_until: now + idle,
            asked_until: None,
            end: now + deadlines.call_max,
            call: (asked_again && call.method().is_some_and(|method| method.may_ask)).then_some(call),
            early: VecDeque::new(),
            caller,
            edits,
            record: None,
            before: None,
            last: None,
        }
    }

    /// The proof that the call was approved, for when it is sent again.
    pub(crate) fn take_proof(&mut self) -> Option<Box<Proof>> {
        self.approved.take().map(|proof| Box::new(proof.counted_before()))
    }

    /// The server's name.
    pub(crate) fn upstream(&self) -> &str {
        self.answer.upstream()
    }

    /// How long its client may take to answer.
    pub(crate) fn patience(&self) -> Duration {
        self.input
    }

    /// What it is suspended under, if that can be.
    pub(crate) fn bond(&self) -> Option<&Bond> {
        self.bond.as_ref()
    }

    /// Its record, which is closed elsewhere from now on.
    pub(crate) fn take_record(&mut self) -> Option<CallRecord> {
        self.before = self.span();
        self.record.take()
    }

    /// What follows the call that it answers, or followed it.
    pub(crate) fn span(&self) -> Option<Box<SpanPlace>> {
        Some(Box::new(self.record.as_ref()?.span()?.clone()))
    }

    /// The client has its answer, which asks for something; the server has not.
    pub(crate) fn suspend(&mut self) {
        self.answer.give_up_place();
        self.edits.iter_mut().for_each(|edit| edit.suspend());
    }

    /// Whether the server has said all, and nobody has heard it yet.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.early.back(), Some(Ok(Arrival::Response(_)) | Err(_)))
    }

    /// Has a place at the server again.
    pub(crate) fn seat(&mut self, place: Slot) {
        self.answer.take_place(place);
    }

    /// Keeps what comes until the call is over or dropped: the server is not made to wait, and its pings are answered.
    /// Progress goes nowhere meanwhile. Cancel safe.
    pub(crate) async fn keep_hearing(&mut self) {
        let mut bytes = 0;
        while self.early.len() < MOST_EARLY && !self.is_over() {
            let arrival = self.answer.next().await;
            let over = matches!(arrival, Ok(Arrival::Response(_)) | Err(_));
            if let Ok(Arrival::Notice(message, _)) = &arrival {
                bytes += message.bytes().len();
                // What a client is told on the way is the first to go.
                if is_progress(&arrival) || bytes > MOST_EARLY_BYTES {
                    continue;
                }
            }
            self.early.push_back(arrival);
            if over {
                break;
            }
        }
        // The rest waits where it comes from.
        std::future::pending::<()>().await;
    }

    /// Goes on for a retry of its client.
    pub(crate) fn replace(mut self: Box<Self>, call: &Call, caller: &Arc<Caller>) -> Box<Self> {
        self.id = call.id().clone();
        self.token = call.progress_token().map(Into::into);
        self.caller = Arc::clone(caller);
        self.told = None;
        self.last_progress = f64::NEG_INFINITY;
        self.edits.iter_mut().for_each(|edit| edit.go_on());
        self
    }

    /// Is written down there when it ends. A call that was suspended begins to count anew.
    pub(crate) fn keep(&mut self, mut record: CallRecord) {
        if let Some(before) = self.before.take() {
            record.goes_on_with(&before);
        }
        self.alive_until = Instant::now() + self.idle;
        self.asked_until = None;
        self.end = record.began() + self.longest;
        self.record = Some(record);
    }

    /// Whether the server chose to stream.
    pub(crate) fn streams(&self) -> bool {
        self.answer.streams()
    }

    /// Whether its response is what the server wrote, but for ids and names: it stays in the legacy era.
    pub(crate) fn is_as_it_came(&self) -> bool {
        self.answer.is_as_it_came() && self.edits.iter().all(|edit| edit.leaves_responses())
    }

    /// The revision that the server wrote its answer in.
    pub(crate) fn revision(&self) -> &'static Revision {
        self.answer.revision()
    }

    /// Waits for the next thing. After the response or an error it must not be asked again. Cancel safe. `asking` is what
    /// its legacy client is asked in this call.
    pub(crate) async fn next(&mut self, asking: Option<&Asking>) -> Result<Passed, CallError> {
        let last = match self.last.take() {
            Some(last) => last,
            None => match self.pass(asking).await {
                passed @ Ok(Passed::Notice(_) | Passed::Ask(_) | Passed::Withdrawn(_)) => return passed,
                last => last,
            },
        };
        let Some(record) = &mut self.record else { return last };
        match &last {
            Ok(Passed::Input(..) | Passed::Visit(_)) => record.end("input_required"),
            Ok(Passed::Response(message, _)) => record.end(record::outcome_of(message)),
            Ok(_) => record.end("ok"),
            Err(error) => record.end_failed(error),
        }
        if record.is_written() {
            return last;
        }
        // It is kept here meanwhile: whoever waits may stop waiting, and come back for it.
        self.last = Some(last);
        if let Err(error) = record.written().await {
            // Nobody hears of what is in no record.
            self.last = None;
            return Err(error);
        }
        let over = || CallError::Internal("a call was asked past its end".to_owned());
        self.last.take().unwrap_or_else(|| Err(over()))
    }

    async fn pass(&mut self, asking: Option<&Asking>) -> Result<Passed, CallError> {
        loop {
            // Kept from one wait to the next: whoever waits here may stop waiting and begin again at any time.
            let (until, after) = match self.asked_until {
                Some(until) if until > self.alive_until => (until, self.idle.max(self.input)),
                _ => (self.alive_until, self.idle),
            };
            let (until, after) = if until < self.end { (until, after) } else { (self.end, self.longest) };
            let heard = match self.early.pop_front() {
                Some(arrival) => Ok(arrival),
                None => {
                    // Pinned where it lies: given to the timer by value it would be moved, and it is large.
                    let next = pin!(self.answer.next());
                    timeout_at(until, next).await
                }
            };
            let arrival = match heard {
                Ok(arrival) => arrival?,
                Err(_elapsed) => {
                    if let Some(method) = asking.and_then(Asking::unanswered) {
                        let why = format!("the client did not answer {method} within {after:?}");
                        return Err(CallError::InputRefused { why });
                    }
                    return Err(CallError::Deadline { upstream: self.answer.upstream().to_owned(), after });
                }
            };
            // A sign of life, progress for one.
            self.alive_until = Instant::now() + self.idle;
            match arrival {
                Arrival::Response(response) => return self.pass_response(response),
                Arrival::Ask(mut ask) => {
                    for edit in self.edits.iter_mut().rev() {
                        edit.ask(&mut ask.message);
                    }
                    // Now it is the server that waits, whatever else it says meanwhile.
                    self.asked_until = Some(Instant::now() + self.idle.max(self.input));
                    return Ok(Passed::Ask(ask));
                }
                Arrival::Notice(_, Seen { notice: Notice::Cancelled { request: Some(id) }, .. }) => {
                    return Ok(Passed::Withdrawn(id));
                }
                Arrival::Notice(message, seen) => {
                    if let Some(bytes) = self.pass_notice(&message, &seen) {
                        // It may be another text than what came: with the client's token, or without a null.
                        return Ok(Passed::Notice(self.answer.counted(bytes)));
                    }
                }
            }
        }
    }

    fn pass_notice(&mut self, message: &Message, seen: &Seen) -> Option<Bytes> {
        match &seen.notice {
            Notice::Progress { token_at, progress, .. } => {
                let token = self.token.as_ref()?;
                // MCP `basic/patterns/progress`: it must increase. What stays in the legacy era passes as it came all the same:
                // its clients always got it so.
                let increases = *progress > self.last_progress;
                if !increases && (self.caller.era(), self.answer.era()) != (Era::Legacy, Era::Legacy) {
                    if let Some(record) = &self.record {
                        record.progress_left_out();
                    }
                    return None;
                }
                self.last_progress = *progress;
                let mut patch = Patch::new();
                patch.replace(*token_at, token.as_bytes());
                Some(patch.apply(message.bytes()))
            }
            Notice::Log { level } => self.client().log.wants(*level).then(|| message.bytes().clone()),
            // The modern era has none: who asks again finds out.
            Notice::ElicitationComplete { .. } if self.caller.era() == Era::Modern => None,
            // What belongs to subscription streams has no place on a call's stream (MCP `streamable-http` §Receiving).
            Notice::ListChanged(_)
            | Notice::ResourceUpdated { .. }
            | Notice::Acknowledged
            | Notice::Cancelled { .. } => None,
            // Of a task that the client does not know by that name.
            _ if self.names_tasks && tells_of_task(message) => {
                self.edits.iter_mut().rev().find_map(|edit| match edit.notice(message) {
                    Heard::Instead(message) => Some(message.bytes().clone()),
                    Heard::Unknown => None,
                })
            }
            _ => Some(message.bytes().clone()),
        }
    }

    /// What the server knows that the client has declared.
    fn client(&self) -> &ClientFacts {
        self.told.as_ref().unwrap_or(&self.caller.facts)
    }

    fn pass_response(&mut self, response: Response) -> Result<Passed, CallError> {
        let Response { message, status } = response;
        if let Some(record) = &mut self.record {
            record.answered(&message);
        }
        if let Some(requests) = self.urls_to_visit(&message)? {
            return Ok(Passed::Visit(requests));
        }
        for edit in &mut self.edits {
            edit.arrived(message.bytes().len());
        }
        self.check_error(&message)?;
        let mut patch = Patch::new();
        message.set_id(&self.id, &mut patch);
        if let MessageKind::Result(parts) = message.kind() {
            let unreadable = |fault: JsonFault| CallError::invalid(self.answer.upstream(), &fault.into());
            let result = message.object(parts.result).map_err(unreadable)?;
            let input = if self.answer.is_as_it_came() { None } else { self.check_type(&result)? };
            // What its client cannot read is no task of its.
            let is_told = self.record.as_ref().is_some_and(CallRecord::is_detailed);
            if (is_told || self.edits.iter().any(|edit| edit.outlasts()))
                && let Some(task) = task_begun(&result, message.at(parts.result))
            {
                self.edits.iter_mut().for_each(|edit| edit.began(&task));
                self.record.iter_mut().for_each(|record| record.began_task(&task.id));
            }
            if let Some(input) = input {
                // A legacy client cannot answer that; it can answer requests.
                if let Some(call) = self.call.take() {
                    return Ok(Passed::Input(input, call));
                }
                for edit in self.edits.iter_mut().rev() {
                    edit.input(&input, (&result, parts.result.start), &mut patch)?;
                }
            }
            if !self.answer.is_as_it_came() {
                answer::name_type(&result, parts.result, &mut patch).map_err(unreadable)?;
            }
            if let Some(Mapping { names, server }) = &self.mapping {
                let offset = parts.result.start;
                map_result_uris((names, *server), &self.method_name, &result, offset, &mut patch)
                    .map_err(unreadable)?;
            }
        }
        if let (MessageKind::Error(parts), Some(Mapping { names, server })) = (message.kind(), &self.mapping)
            && self.method.is_some_and(|method| method.kind == Kind::Resource)
        {
            map_error_uri(names, *server, message.at(parts.error), parts.error.start, &mut patch);
        }
        if self.passes_whole(&message, status) {
            return Ok(Passed::Built(patch.pieces(message.bytes()).into()));
        }
        let mut passed = message.patched(&patch, &self.id);
        for edit in self.edits.iter_mut().rev() {
            passed = edit.response(passed)?;
        }
        Ok(Passed::Response(passed, status))
    }

    /// Whether a result is as its client can read it, and so long that it had better not be copied.
    fn passes_whole(&self, message: &Message, status: Option<StatusCode>) -> bool {
        let modern = (self.caller.era(), self.answer.era()) == (Era::Modern, Era::Modern);
        let is_plain = matches!(message.kind(), MessageKind::Result(_))
            && self.edits.iter().all(|edit| edit.leaves_responses());
        modern
            && is_plain
            && status.is_none_or(|status| status == StatusCode::OK)
            && message.bytes().len() >= LONG
    }

    /// A legacy client cannot do anything about errors of the modern era; what they mean for it is ours to say.
    fn check_error(&self, message: &Message) -> Result<(), CallError> {
        let MessageKind::Error(parts) = message.kind() else { return Ok(()) };
        // A legacy server means something of its own by those codes.
        if self.caller.era() == Era::Modern
            || self.answer.era() == Era::Legacy
            || !code::is_modern(parts.code)
        {
            return Ok(());
        }
        let text = answer::error_view(message, parts).message.into_owned();
        if parts.code == code::MISSING_CLIENT_CAPABILITY {
            let data = answer::error_view(message, parts).data;
            let required =
                data.and_then(|data| Object::parse(data).ok()?.get("requiredCapabilities").ok()?);
            return Err(CallError::MissingCapability {
                upstream: self.answer.upstream().to_owned(),
                required: required.unwrap_or(&text).to_owned(),
            });
        }
        let why = format!("error {} of the modern era: {text}", parts.code);
        Err(CallError::InvalidAnswer { upstream: self.answer.upstream().to_owned(), why })
    }

    /// What a legacy server wants to be visited before it carries out a modern client's call (-32042): in the modern era
    /// that is a request for input.
    fn urls_to_visit(&self, message: &Message) -> Result<Option<Vec<InputRequest>>, CallError> {
        let MessageKind::Error(parts) = message.kind() else { return Ok(None) };
        let is_it = parts.code == code::LEGACY_URL_ELICITATION_REQUIRED;
        // A legacy client knows it, whoever says it; and between modern peers it is an error like any other, although no modern
        // server should use that code (MCP 2026-07-28 `basic` §Error Codes).
        if !is_it || (self.caller.era(), self.answer.era()) != (Era::Modern, Era::Legacy) {
            return Ok(None);
        }
        let upstream = self.answer.upstream();
        let view = answer::error_view(message, parts);
        if self.method.is_none_or(|method| !method.may_ask) {
            let why = format!("error {} has no meaning here: {}", parts.code, view.message);
            return Err(CallError::InvalidAnswer { upstream: upstream.to_owned(), why });
        }
        let requests =
            mrtr::of_url_error(view.data).map_err(|fault| CallError::invalid(upstream, &fault.into()))?;
        if requests.is_empty() {
            return Err(CallError::invalid(upstream, &AnswerFault::AsksForNothing));
        }
        self.check_declared(&requests)?;
        Ok(Some(requests))
    }

    /// What the server asks for, if that is its answer.
    fn check_type(&self, result: &Object<'_>) -> Result<Option<InputRequired>, CallError> {
        let invalid = |fault: AnswerFault| CallError::invalid(self.answer.upstream(), &fault);
        let asks = match answer::result_type(result, self.client()) {
            // Whose type it is only the client knows. A legacy client has none.
            Err(AnswerFault::UnknownResultType(_))
                if self.caller.era() == Era::Modern
                    && self.caller.declared.as_deref().unwrap_or_else(|| self.client()).declares_any() =>
            {
                false
            }
            told => told.map_err(invalid)? == ResultType::InputRequired,
        };
        if !asks {
            return Ok(None);
        }
        if self.method.is_some_and(|method| !method.may_ask) {
            return Err(invalid(AnswerFault::MayNotAsk(self.method_name.to_string())));
        }
        let input = InputRequired::read(result).map_err(invalid)?;
        self.check_declared(&input.requests)?;
        Ok(Some(input))
    }

    /// A client may be asked only for what it has declared (MCP `basic/patterns/mrtr`).
    fn check_declared(&self, requests: &[InputRequest]) -> Result<(), CallError> {
        match requests.iter().find_map(|request| request.lacks(self.client().capabilities())) {
            None => Ok(()),
            Some(required) => {
                Err(CallError::MissingCapability { upstream: self.answer.upstream().to_owned(), required })
            }
        }
    }
}

fn is_progress(arrival: &Result<Arrival, CallError>) -> bool {
    matches!(arrival, Ok(Arrival::Notice(_, Seen { notice: Notice::Progress { .. }, .. })))
}

/// The task that a call has become, by its result in either era. A legacy result beside a task is that of a tool that has just such a
/// member.
fn task_begun<'r>(result: &Object<'_>, text: &'r str) -> Option<Task<'r>> {
    let is_task = result.string("resultType").ok()?.as_deref() == Some("task");
    if is_task {
        return Task::read(text).ok();
    }
    let is_created = result.get("content").ok()?.is_none();
    if is_created { Task::read_created(text).ok()? } else { None }
}

fn tells_of_task(message: &Message) -> bool {
    matches!(message.kind(), MessageKind::Notification(note) if &*note.method == "notifications/tasks/status")
}
