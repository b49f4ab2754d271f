//! How a modern call asks: its result says `input_required`, and the client calls again with the answers.
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`.

use mcp::call::Call;
use mcp::json::{self, Object};
use mcp::reject::Reject;

use crate::answer::Refusal;
use crate::question::{Answers, Question};
use crate::seal::Seal;
use crate::tool::Stop;

/// Whether answers count that come without the state of the round before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// They do: a client may send them with its first call.
    None,
    /// They do not: the first round always seals a state, and its answers come with that or not at all.
    Sealed,
}

/// What earlier rounds of a call brought.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// The answers that this request carries.
    given: Answers,
    /// The answers that its state remembers.
    remembered: Answers,
    has_state: bool,
    binding: String,
}

/// The client is asked, and calls again.
#[derive(Debug)]
pub(crate) struct Asked {
    requests: String,
    state: Option<String>,
}

impl Asked {
    /// The members of the `InputRequiredResult`.
    pub(crate) fn members(&self) -> String {
        let state = self.state.as_ref().map(|state| format!(r#","requestState":"{state}""#));
        format!(r#""inputRequests":{{{}}}{}"#, self.requests, state.unwrap_or_default())
    }
}

impl Rounds {
    /// Reads what a request carries of earlier rounds.
    pub(crate) fn read(call: &Call, seal: &Seal) -> Result<Self, Refusal> {
        let bad = |name: &'static str| move |fault| Refusal::Rule(Reject::member(name, &fault));
        let params = Object::parse(call.params().unwrap_or("{}")).map_err(bad("params"))?;
        let given = params.object("inputResponses").map_err(bad("inputResponses"))?;
        let state = params.string("requestState").map_err(bad("requestState"))?;
        let subject = call.subject().map_or("", |subject| &subject.text);
        let binding = [call.method_name(), subject, call.arguments().unwrap_or_default()].join("\n");
        let remembered = match &state {
            None => Answers::default(),
            Some(state) => {
                let opened = seal.open(state, &binding);
                let opened = opened.as_deref().and_then(|text| Object::parse(text).ok());
                // Why it does not open is nobody's business: it would tell a forger how far the forgery got.
                opened.map(|object| Answers::read(&object)).ok_or_else(|| {
                    Refusal::Params(
                        "\"requestState\" is not, or no longer, valid for this request".to_owned(),
                    )
                })?
            }
        };
        let given = given.map(|object| Answers::read(&object)).unwrap_or_default();
        Ok(Self { given, remembered, has_state: state.is_some(), binding })
    }

    /// All answers to `questions`, or what to ask the client. Answers that make no sense are asked for again, and
    /// those that nobody asked for are not looked at (§Server Requirements).
    pub(crate) fn ask(
        &mut self,
        questions: &[(&'static str, Question)],
        memory: Memory,
        seal: &Seal,
    ) -> Result<Answers, Stop> {
        if self.has_state || memory == Memory::None {
            for (key, question) in questions {
                if let Some(answer) = self.given.find(key).filter(|answer| question.is_answered_by(answer)) {
                    self.remembered.insert(key, answer);
                }
            }
        }
        let missing: Vec<_> = questions
            .iter()
            .filter(|(key, _)| self.remembered.find(key).is_none())
            .map(|(key, question)| {
                format!(
                    r#"{}:{{"method":"{}","params":{}}}"#,
                    json::quote(key),
                    question.method(),
                    question.params()
                )
            })
            .collect();
        if missing.is_empty() {
            return Ok(self.remembered.clone());
        }
        let state = if memory == Memory::Sealed || !self.remembered.is_empty() {
            let sealed = seal.close(&self.remembered.text(), &self.binding);
            Some(sealed.ok_or(Stop::Refused(Refusal::Internal("the state could not be sealed")))?)
        } else {
            None
        };
        Err(Stop::Asks(Asked { requests: missing.join(","), state }))
    }
}
