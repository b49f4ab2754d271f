//! A call in flight: what the client sent, and a line back to it until the answer goes out.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};
use mcp::answer::notification_message;
use mcp::call::Call;
use mcp::json::{self, Object};
use mcp::jsonrpc::Id;
use mcp::meta::LogLevel;
use mcp::reject::Reject;
use mcp::version::{Era, Revision};
use tokio::sync::mpsc;

use crate::answer::{Answer, Refusal};
use crate::calls::Ticket;
use crate::legacy::inquiries::Inquiries;
use crate::question::{Answers, Question};
use crate::rounds::{Memory, Rounds};
use crate::server::Server;
use crate::tool::Stop;

/// How many messages wait for a slow client before the call waits too.
const LINE: usize = 16;

/// What a call says to its client.
#[derive(Debug)]
pub(crate) enum Said {
    /// A notification or a request.
    Message(Bytes),
    /// The client should come back for the rest: an HTTP stream of the legacy era is closed, anything else is not.
    HangUp,
    /// The response, and its status over HTTP.
    Answer(StatusCode, Bytes),
}

/// Where calls say it.
pub(crate) type Line = mpsc::Sender<Said>;

/// A line, and its other end.
pub(crate) fn line() -> (Line, mpsc::Receiver<Said>) {
    mpsc::channel(LINE)
}

/// How a call came.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The revision that it speaks.
    pub(crate) revision: &'static Revision,
    /// The HTTP headers; none on stdio.
    pub(crate) headers: HeaderMap,
}

/// How a call asks its client.
#[derive(Debug)]
pub(crate) enum Asking {
    /// In the result, and the client calls again.
    ByRetry(Rounds),
    /// In the middle of the call, by a request on its line.
    InBetween(Arc<Inquiries>),
}

/// One call in flight.
pub(crate) struct LiveCall {
    /// What the client sent.
    pub(crate) call: Call,
    /// How it came.
    pub(crate) origin: Origin,
    /// Where it came.
    pub(crate) server: Arc<Server>,
    line: Line,
    asking: Asking,
}

impl LiveCall {
    /// A call that has not begun.
    pub(crate) fn new(server: &Arc<Server>, call: Call, origin: Origin, asking: Asking, line: Line) -> Self {
        Self { call, origin, server: Arc::clone(server), line, asking }
    }

    /// Begins the call as a task of its own, which says its answer last. A call that is cancelled is dropped where it
    /// awaits and says nothing more.
    pub(crate) fn start<A>(self, ticket: Ticket, run: impl FnOnce(Self) -> A + Send + 'static)
    where
        A: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        let (server, line) = (Arc::clone(&self.server), self.line.clone());
        let (id, era) = (self.call.id().clone(), self.era());
        let is_tool = self.call.method_name() == "tools/call";
        server.tracker.clone().spawn(async move {
            let outcome = tokio::select! {
                biased;
                () = ticket.cancelled.cancelled() => {
                    if is_tool {
                        server.world.count_cancellation();
                    }
                    return;
                }
                outcome = run(self) => outcome,
            };
            // The id is free again before the client can know that it is.
            drop(ticket);
            say(&line, response(&server, &id, era, &outcome)).await;
        });
    }

    /// The era that the client speaks.
    pub(crate) fn era(&self) -> Era {
        self.origin.revision.era
    }

    /// Reports progress, if the client wants it. `done` must grow from report to report.
    pub(crate) async fn progress(&self, done: u64, total: u64) {
        let Some(token) = self.call.progress_token() else { return };
        let params = format!(r#"{{"progressToken":{token},"progress":{done},"total":{total}}}"#);
        self.notify("notifications/progress", &params).await;
    }

    /// Sends a log message, if the client wants those of that level.
    pub(crate) async fn log(&self, level: LogLevel, text: &str) {
        if self.call.client().log.wants(Some(level)) {
            let params = format!(r#"{{"level":"{level}","logger":"fixture","data":{}}}"#, json::quote(text));
            self.notify("notifications/message", &params).await;
        }
    }

    /// Sends a notification that belongs to this call.
    pub(crate) async fn notify(&self, method: &str, params: &str) {
        self.send(notification_message(method, Some(params))).await;
    }

    /// Sends a message that belongs to this call.
    pub(crate) async fn send(&self, message: Bytes) {
        say(&self.line, Said::Message(message)).await;
    }

    /// Closes the client's stream in mid-call, where the client can come back for the rest.
    pub(crate) async fn hang_up(&self) {
        say(&self.line, Said::HangUp).await;
    }

    /// Asks the client, and gives its answers. A modern client is asked in the result: the `Err` must be passed on,
    /// and the tool begins anew with the answers at hand.
    pub(crate) async fn ask(
        &mut self,
        questions: &[(&'static str, Question)],
        memory: Memory,
    ) -> Result<Answers, Stop> {
        for (_, question) in questions {
            self.require(question.capability())?;
        }
        match &mut self.asking {
            Asking::ByRetry(rounds) => rounds.ask(questions, memory, &self.server.seal),
            Asking::InBetween(inquiries) => {
                // All questions at once, as in the modern era.
                let asked = questions
                    .iter()
                    .map(|(_, question)| inquiries.ask(question, &self.line, &self.server.drain));
                let mut answers = Answers::default();
                for ((key, _), answer) in questions.iter().zip(join_all(asked).await) {
                    answers.insert(key, &answer.map_err(Stop::Failed)?);
                }
                Ok(answers)
            }
        }
    }

    /// Stops the call unless the client declared a capability.
    pub(crate) fn require(&self, capability: &'static str) -> Result<(), Stop> {
        match self.era() {
            _ if self.declares(capability) => Ok(()),
            Era::Modern => Err(Stop::Refused(Refusal::Capability(capability))),
            // The legacy era has no error for it.
            Era::Legacy => Err(Stop::Failed(format!("the client does not support {capability}"))),
        }
    }

    /// Whether the client declared a capability. Of elicitation it is forms that are meant, which an empty object
    /// declares, too (MCP 2026-07-28 `client/elicitation` §Capabilities).
    pub(crate) fn declares(&self, capability: &str) -> bool {
        let declared = Object::parse(self.call.client().capabilities()).ok();
        match declared.and_then(|all| all.object(capability).ok().flatten()) {
            Some(elicitation) if capability == "elicitation" => {
                elicitation.is_empty() || elicitation.iter().any(|member| member.name == "form")
            }
            declared => declared.is_some(),
        }
    }

    /// The JSON text of an argument.
    pub(crate) fn argument(&self, name: &str) -> Result<Option<&str>, Stop> {
        let Some(arguments) = self.call.arguments() else { return Ok(None) };
        let read = Object::parse(arguments).and_then(|arguments| arguments.get(name));
        // An argument that stands twice is the client's fault; a wrong one is the model's, and for it to read.
        read.map_err(|fault| Stop::Refused(Refusal::Rule(Reject::member("arguments", &fault))))
    }

    /// A string argument.
    pub(crate) fn text_argument(&self, name: &str) -> Result<Option<Cow<'_, str>>, Stop> {
        let text = self.argument(name)?.map(json::string).transpose();
        text.map_err(|fault| Stop::Failed(format!("argument {name:?}: {fault}")))
    }

    /// A string argument that must be there.
    pub(crate) fn required_text(&self, name: &str) -> Result<Cow<'_, str>, Stop> {
        self.text_argument(name)?.ok_or_else(|| Stop::Failed(format!("argument {name:?} is required")))
    }

    /// A whole number that is not negative, or `default`.
    pub(crate) fn count_argument(&self, name: &str, default: u64) -> Result<u64, Stop> {
        let Some(raw) = self.argument(name)? else { return Ok(default) };
        let number = json::integer(raw).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| Stop::Failed(format!("argument {name:?} must be a whole number from 0 on")))
    }
}

/// The response to a request.
pub(crate) fn response(server: &Server, id: &Id, era: Era, outcome: &Result<Answer, Refusal>) -> Said {
    match outcome {
        Ok(answer) => {
            let result = answer.text(era, &server.info);
            Said::Answer(StatusCode::OK, mcp::answer::result_message(id, &result))
        }
        Err(refusal) => {
            let (status, message) = refusal.response(Some(id), era);
            Said::Answer(status, message)
        }
    }
}

/// A client that is gone hears nothing; whether that ends the call is for its era to say, not for the call.
pub(crate) async fn say(line: &Line, said: Said) {
    if line.send(said).await.is_err() {
        tracing::debug!("nobody listens to a call any more");
    }
}
