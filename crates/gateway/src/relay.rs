//! The answer on its way back: the client's id, token and names put in again, and nothing passed on that the client
//! may not be given.

use bytes::Bytes;
use http::StatusCode;
use mcp::answer::{self, AnswerFault, ResultType};
use mcp::call::Call;
use mcp::json::{JsonFault, Object, Patch};
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::meta::ClientFacts;
use mcp::method::{Kind, Method};
use mcp::notify::{Notice, Seen};
use mcp::reject::code;
use mcp::version::Era;
use std::sync::Arc;
use tokio::time::{Duration, Instant, timeout_at};

use crate::catalog::names::Names;
use crate::catalog::{map_error_uri, map_result_uris};
use crate::plan::Deadlines;
use crate::reply::CallError;
use crate::tally::Tally;
use crate::upstream::answer::{Answer, Arrival, Response};

/// An answer that is being passed on. Dropping it before the response cancels the call.
#[derive(Debug)]
pub(crate) struct Relay {
    answer: Answer,
    id: Id,
    method: Option<&'static Method>,
    method_name: Box<str>,
    client: ClientFacts,
    client_era: Era,
    token: Option<Box<str>>,
    last_progress: f64,
    mapping: Option<Mapping>,
    idle: Duration,
    /// When it counts as dead unless the server shows a sign of life before.
    alive_until: Instant,
    /// When it is over in any case.
    end: Instant,
    tally: Tally,
}

/// Whose URIs are to be mapped.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub(crate) names: Arc<Names>,
    pub(crate) server: usize,
}

/// The next thing for the client.
#[derive(Debug)]
pub(crate) enum Passed {
    /// A notification of the call.
    Notice(Bytes),
    /// The response, with the client's id.
    Response(Message, Option<StatusCode>),
}

impl Relay {
    pub(crate) fn new(
        answer: Answer,
        call: &Call,
        client_era: Era,
        mapping: Option<Mapping>,
        deadlines: Deadlines,
        tally: Tally,
    ) -> Self {
        Self {
            answer,
            id: call.id().clone(),
            method: call.method(),
            method_name: call.method_name().into(),
            client: call.client().clone(),
            client_era,
            token: call.progress_token().map(Into::into),
            last_progress: f64::NEG_INFINITY,
            mapping,
            idle: deadlines.call,
            alive_until: Instant::now() + deadlines.call,
            end: tally.began() + deadlines.call_max,
            tally,
        }
    }

    /// Whether the server chose to stream.
    pub(crate) fn streams(&self) -> bool {
        self.answer.streams()
    }

    /// Waits for the next thing. After the response or an error it must not be asked again. Safe to drop while
    /// waiting.
    pub(crate) async fn next(&mut self) -> Result<Passed, CallError> {
        let passed = self.pass().await;
        match &passed {
            Ok(Passed::Notice(_)) => {}
            Ok(Passed::Response(message, _)) => {
                self.tally.ended(if matches!(message.kind(), MessageKind::Error(_)) {
                    "error"
                } else {
                    "ok"
                });
            }
            Err(error) => self.tally.failed(error),
        }
        passed
    }

    async fn pass(&mut self) -> Result<Passed, CallError> {
        loop {
            // Kept from one wait to the next: whoever waits here may stop waiting and begin again at any time.
            let (until, after) = if self.alive_until < self.end {
                (self.alive_until, self.idle)
            } else {
                (self.end, self.end - self.tally.began())
            };
            let arrival = match timeout_at(until, self.answer.next()).await {
                Ok(arrival) => arrival?,
                Err(_elapsed) => {
                    return Err(CallError::Deadline { upstream: self.answer.upstream().to_owned(), after });
                }
            };
            // A sign of life, progress for one.
            self.alive_until = Instant::now() + self.idle;
            match arrival {
                Arrival::Response(response) => return self.pass_response(response),
                Arrival::Notice(message, seen) => {
                    if let Some(bytes) = self.pass_notice(&message, &seen) {
                        return Ok(Passed::Notice(bytes));
                    }
                }
            }
        }
    }

    fn pass_notice(&mut self, message: &Message, seen: &Seen) -> Option<Bytes> {
        match &seen.notice {
            Notice::Progress { token_at, progress, .. } => {
                let token = self.token.as_ref()?;
                // MCP `basic/patterns/progress`: it must increase.
                if progress.is_nan() || *progress <= self.last_progress {
                    tracing::debug!(
                        upstream = self.answer.upstream(),
                        "progress that does not increase is left out"
                    );
                    return None;
                }
                self.last_progress = *progress;
                let mut patch = Patch::new();
                patch.replace(*token_at, token.as_bytes());
                Some(patch.apply(message.bytes()))
            }
            Notice::Log { level } => self.client.log.wants(*level).then(|| message.bytes().clone()),
            // What belongs to subscription streams has no place on a call's stream (MCP `streamable-http` §Receiving).
            Notice::ListChanged(_)
            | Notice::ResourceUpdated { .. }
            | Notice::Acknowledged
            | Notice::Cancelled { .. } => None,
            _ => Some(message.bytes().clone()),
        }
    }

    fn pass_response(&self, response: Response) -> Result<Passed, CallError> {
        let Response { message, status } = response;
        self.check_error(&message)?;
        let mut patch = Patch::new();
        message.set_id(&self.id, &mut patch);
        if let MessageKind::Result(parts) = message.kind() {
            let text = message.at(parts.result);
            let unreadable = |fault: JsonFault| CallError::invalid(self.answer.upstream(), &fault.into());
            let result = Object::parse(text).map_err(unreadable)?;
            self.check_type(&result)?;
            answer::name_type(&result, parts.result, &mut patch).map_err(unreadable)?;
            if let Some(Mapping { names, server }) = &self.mapping {
                let offset = parts.result.start;
                map_result_uris(names, *server, &self.method_name, text, offset, &mut patch)
                    .map_err(unreadable)?;
            }
        }
        if let (MessageKind::Error(parts), Some(Mapping { names, server })) = (message.kind(), &self.mapping)
            && self.method.is_some_and(|method| method.kind == Kind::Resource)
        {
            map_error_uri(names, *server, message.at(parts.error), parts.error.start, &mut patch);
        }
        let text = patch.apply(message.bytes());
        let passed = Message::parse(text).map_err(|fault| CallError::InvalidAnswer {
            upstream: self.answer.upstream().to_owned(),
            why: fault.to_string(),
        })?;
        Ok(Passed::Response(passed, status))
    }

    /// A legacy client cannot do anything about errors of the modern era; what they mean for it is ours to say.
    fn check_error(&self, message: &Message) -> Result<(), CallError> {
        let MessageKind::Error(parts) = message.kind() else { return Ok(()) };
        if self.client_era == Era::Modern && parts.code == code::LEGACY_URL_ELICITATION_REQUIRED {
            // No modern server may send that code (MCP 2026-07-28 `basic` §Error Codes).
            return Err(CallError::NotBridged {
                what: "a request to visit a URL first (-32042)".to_owned(),
                why: format!("upstream {:?} asks in the way of 2025-11-25", self.answer.upstream()),
            });
        }
        // A legacy server means something of its own by those codes.
        if self.client_era == Era::Modern || self.answer.era() == Era::Legacy || !code::is_modern(parts.code)
        {
            return Ok(());
        }
        let text = answer::error_view(message, parts).message.into_owned();
        if parts.code == code::MISSING_CLIENT_CAPABILITY {
            return Err(CallError::NotBridged {
                what: "a request for input (elicitation, sampling or roots)".to_owned(),
                why: format!("upstream {:?} needs it for this call: {text}", self.answer.upstream()),
            });
        }
        let why = format!("error {} of the modern era: {text}", parts.code);
        Err(CallError::InvalidAnswer { upstream: self.answer.upstream().to_owned(), why })
    }

    fn check_type(&self, result: &Object<'_>) -> Result<(), CallError> {
        let invalid = |fault: AnswerFault| CallError::invalid(self.answer.upstream(), &fault);
        let asks = answer::result_type(result, &self.client).map_err(invalid)? == ResultType::InputRequired;
        if !asks {
            return Ok(());
        }
        if self.method.is_some_and(|method| !method.may_ask) {
            return Err(invalid(AnswerFault::MayNotAsk(self.method_name.to_string())));
        }
        if self.client_era == Era::Legacy {
            return Err(CallError::NotBridged {
                what: "a request for input (elicitation, sampling or roots)".to_owned(),
                why: format!(
                    "upstream {:?} asks in the modern way, and this client is legacy",
                    self.answer.upstream()
                ),
            });
        }
        Ok(())
    }
}
