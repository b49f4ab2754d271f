//! One `tools/call` or `prompts/get`, of either era, and how it asks the client something.

#![expect(
    deprecated,
    reason = "logging, sampling and roots are deprecated in 2026-07-28 and required before"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use rmcp::model::{
    ClientCapabilities, ErrorCode, InputRequest, InputRequiredResult, InputResponses, JsonObject,
    LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, SealOptions, ServerRequest,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::fixture::{Fixture, session_key};

/// How long a sealed state is believed.
const STATE_LIFETIME: Duration = Duration::from_secs(600);

/// Why a call ends without a result of its own.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It ran and failed: a result with `isError`.
    Failed(String),
    /// The modern client has to answer first.
    Ask(InputRequiredResult),
    /// A protocol error.
    Refused(ErrorData),
}

/// Whether a question remembers, in `requestState`, what was answered before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    None,
    /// Sealed, and no answer is believed that comes without it.
    Sealed,
}

pub(crate) type Answers = BTreeMap<String, Value>;

pub(crate) struct Call<'a> {
    pub(crate) fixture: &'a Fixture,
    pub(crate) context: &'a RequestContext<RoleServer>,
    pub(crate) arguments: JsonObject,
    /// The tool or prompt; a sealed state is bound to it.
    target: String,
    responses: InputResponses,
    /// What earlier rounds and earlier questions of this round were answered.
    answered: Answers,
    has_state: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        fixture: &'a Fixture,
        context: &'a RequestContext<RoleServer>,
        target: &str,
        arguments: Option<JsonObject>,
        responses: Option<InputResponses>,
        state: Option<&str>,
    ) -> Result<Self, ErrorData> {
        let answered = match state {
            None => Answers::new(),
            Some(state) => fixture.seal.open_json_with(state, target.as_bytes()).map_err(|error| {
                // The reason is for the operator: it would tell a forger how far the forgery got.
                eprintln!("requestState refused: {error}");
                ErrorData::invalid_params("Invalid or expired requestState", None)
            })?,
        };
        Ok(Self {
            fixture,
            context,
            arguments: arguments.unwrap_or_default(),
            target: target.to_owned(),
            responses: responses.unwrap_or_default(),
            answered,
            has_state: state.is_some(),
        })
    }

    pub(crate) fn modern(&self) -> bool {
        is_modern(self.context)
    }

    pub(crate) fn argument(&self, name: &str) -> &str {
        self.arguments.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn declares(&self, capability: &str) -> bool {
        self.context.client_capabilities().is_some_and(|capabilities| match capability {
            "elicitation" => capabilities.elicitation.is_some(),
            "sampling" => capabilities.sampling.is_some(),
            "roots" => capabilities.roots.is_some(),
            _ => false,
        })
    }

    pub(crate) fn require(&self, capability: &str) -> Result<(), Stop> {
        if self.declares(capability) {
            return Ok(());
        }
        if !self.modern() {
            // -32021 does not exist there.
            return Err(Stop::Failed(format!("The client does not support {capability}")));
        }
        let required: ClientCapabilities =
            serde_json::from_value(json!({ capability: {} })).map_err(internal)?;
        Err(Stop::Refused(ErrorData::missing_required_client_capability(required)))
    }

    /// Reports progress, if the client asked for it.
    pub(crate) async fn progress(&self, done: f64, total: f64) -> Result<(), Stop> {
        let Some(token) = self.context.meta.get_progress_token() else { return Ok(()) };
        let params = ProgressNotificationParam::new(token, done).with_total(total);
        self.context.peer.notify_progress(params).await.map_err(internal)
    }

    /// Sends a log message of level info, unless the client wants only graver ones, or (modern) none.
    pub(crate) async fn log(&self, text: &str) -> Result<(), Stop> {
        let floor = if self.modern() {
            self.context.meta.log_level()
        } else {
            let key = session_key(&self.context.extensions);
            Some(self.fixture.log_level(&key).unwrap_or(LoggingLevel::Debug))
        };
        if !matches!(floor, Some(LoggingLevel::Debug | LoggingLevel::Info)) {
            return Ok(());
        }
        let params = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
        self.context.peer.notify_logging_message(params).await.map_err(internal)
    }

    /// Has the client answer: in mid-call if it is a legacy one, by `input_required` if it is a modern one.
    pub(crate) async fn ask(&mut self, questions: &[(&str, Value)], memory: Memory) -> Result<Answers, Stop> {
        for (_, question) in questions {
            self.require(capability_for(question))?;
        }
        if !self.modern() {
            // All questions at once, as in the modern era.
            let asked = questions.iter().map(|(_, question)| self.push(question));
            let mut answers = Answers::new();
            for ((key, _), answer) in questions.iter().zip(futures_util::future::join_all(asked).await) {
                answers.insert((*key).to_owned(), answer?);
            }
            return Ok(answers);
        }

        if self.has_state || memory == Memory::None {
            for (key, question) in questions {
                if let Some(answer) = self.responses.get(*key).filter(|answer| answers(question, answer)) {
                    self.answered.insert((*key).to_owned(), answer.clone());
                }
            }
        }
        let missing = questions.iter().filter(|(key, _)| !self.answered.contains_key(*key));
        let missing = missing
            .map(|(key, question)| Ok(((*key).to_owned(), typed(question)?)))
            .collect::<Result<BTreeMap<_, _>, Stop>>()?;
        if !missing.is_empty() {
            let state = match memory {
                Memory::None => None,
                Memory::Sealed => Some(self.sealed()?),
            };
            return Err(Stop::Ask(InputRequiredResult::new(Some(missing), state)));
        }
        Ok(questions
            .iter()
            .filter_map(|(key, _)| Some(((*key).to_owned(), self.answered.get(*key)?.clone())))
            .collect())
    }

    fn sealed(&self) -> Result<String, Stop> {
        let options = SealOptions::new().associated_data(self.target.as_bytes()).ttl(STATE_LIFETIME);
        self.fixture.seal.seal_json_with(&self.answered, &options).map_err(internal)
    }

    async fn push(&self, question: &Value) -> Result<Value, Stop> {
        let request = match typed(question)? {
            InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
            InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
            InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
            _ => return Err(internal("the SDK knows a new kind of question")),
        };
        let answer = self.context.peer.send_request(request).await;
        let answer = answer.map_err(|error| Stop::Failed(format!("The client did not answer: {error}")))?;
        serde_json::to_value(answer).map_err(internal)
    }
}

pub(crate) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| !version.has_initialize())
}

fn internal(error: impl std::fmt::Display) -> Stop {
    Stop::Refused(ErrorData::new(ErrorCode::INTERNAL_ERROR, error.to_string(), None))
}

pub(crate) fn typed(question: &Value) -> Result<InputRequest, Stop> {
    serde_json::from_value(question.clone()).map_err(internal)
}

fn capability_for(question: &Value) -> &'static str {
    match question["method"].as_str() {
        Some("elicitation/create") => "elicitation",
        Some("sampling/createMessage") => "sampling",
        _ => "roots",
    }
}

/// Whether `answer` is of the kind that `question` asks for and, for an accepted form, has every required field.
fn answers(question: &Value, answer: &Value) -> bool {
    match capability_for(question) {
        "elicitation" if answer["action"] == "accept" => {
            let required = question["params"]["requestedSchema"]["required"].as_array();
            let names = required.into_iter().flatten().filter_map(Value::as_str);
            names.into_iter().all(|name| answer["content"].get(name).is_some())
        }
        "elicitation" => answer["action"] == "decline" || answer["action"] == "cancel",
        "sampling" => answer.get("content").is_some(),
        _ => answer["roots"].is_array(),
    }
}

// The questions.

pub(crate) fn form(message: &str, schema: &Value) -> Value {
    json!({
        "method": "elicitation/create",
        "params": { "mode": "form", "message": message, "requestedSchema": schema },
    })
}

/// A form with one required field.
pub(crate) fn field(message: &str, name: &str, kind: &str) -> Value {
    form(message, &json!({ "type": "object", "properties": { name: { "type": kind } }, "required": [name] }))
}

pub(crate) fn sample(text: &str, max_tokens: u32) -> Value {
    json!({
        "method": "sampling/createMessage",
        "params": {
            "messages": [{ "role": "user", "content": { "type": "text", "text": text } }],
            "maxTokens": max_tokens,
        },
    })
}

pub(crate) fn list_roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

// The answers.

/// A field of an accepted form.
pub(crate) fn answered_field(answers: &Answers, key: &str, name: &str) -> Result<String, Stop> {
    let answer = answers.get(key).unwrap_or(&Value::Null);
    if answer["action"] != "accept" {
        return Err(Stop::Failed(format!("The user answered {}", answer["action"])));
    }
    Ok(plain(&answer["content"][name]))
}

/// What came of a form, whatever the user did.
pub(crate) fn shown_form(answers: &Answers, key: &str) -> String {
    let answer = answers.get(key).unwrap_or(&Value::Null);
    let content = answer.get("content").unwrap_or(&Value::Null);
    format!("action={}, content={content}", plain(&answer["action"]))
}

/// The text of a sampled message, which comes as one block or as a list of them.
pub(crate) fn sampled_text(answers: &Answers, key: &str) -> String {
    let content = answers.get(key).map_or(&Value::Null, |answer| &answer["content"]);
    let block = content.get(0).unwrap_or(content);
    plain(&block["text"])
}

pub(crate) fn root_uris(answers: &Answers, key: &str) -> Vec<String> {
    let roots = answers.get(key).and_then(|answer| answer["roots"].as_array());
    roots.into_iter().flatten().map(|root| plain(&root["uri"])).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
