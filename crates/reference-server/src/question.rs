//! What a server can ask a client in the middle of a call, and how answers are read.

use std::collections::BTreeMap;

use mcp::json::{self, Kind, Object};

use crate::tool::Stop;

/// One question.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// A form for the user; `schema` is a flat JSON Schema.
    Form { message: String, schema: String },
    /// A prompt for the client's model.
    Sample { prompt: String, max_tokens: u32 },
    /// Which roots the client has.
    Roots,
}

impl Question {
    /// A form.
    pub(crate) fn form(message: &str, schema: &str) -> Self {
        Self::Form { message: message.to_owned(), schema: schema.to_owned() }
    }

    /// A form with one required field of a primitive type.
    pub(crate) fn field(message: &str, name: &str, kind: &str) -> Self {
        Self::form(
            message,
            &format!(
                r#"{{"type":"object","properties":{{"{name}":{{"type":"{kind}"}}}},"required":["{name}"]}}"#
            ),
        )
    }

    /// A prompt for the client's model.
    pub(crate) fn sample(prompt: &str, max_tokens: u32) -> Self {
        Self::Sample { prompt: prompt.to_owned(), max_tokens }
    }

    /// The request's method.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Form { .. } => "elicitation/create",
            Self::Sample { .. } => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }

    /// The capability that a client declares who can be asked.
    pub(crate) fn capability(&self) -> &'static str {
        match self {
            Self::Form { .. } => "elicitation",
            Self::Sample { .. } => "sampling",
            Self::Roots => "roots",
        }
    }

    /// The request's params.
    pub(crate) fn params(&self) -> String {
        match self {
            Self::Form { message, schema } => {
                format!(r#"{{"message":{},"requestedSchema":{schema}}}"#, json::quote(message))
            }
            Self::Sample { prompt, max_tokens } => format!(
                r#"{{"messages":[{{"role":"user","content":{{"type":"text","text":{}}}}}],"maxTokens":{max_tokens}}}"#,
                json::quote(prompt)
            ),
            Self::Roots => "{}".to_owned(),
        }
    }

    /// Whether the JSON text `answer` is an answer to this question.
    pub(crate) fn is_answered_by(&self, answer: &str) -> bool {
        let Ok(answer) = Object::parse(answer) else { return false };
        match self {
            Self::Form { schema, .. } => match answer.string("action").ok().flatten().as_deref() {
                Some("accept") => {
                    answer.object("content").is_ok_and(|content| fits(content.as_ref(), schema))
                }
                Some("decline" | "cancel") => true,
                _ => false,
            },
            Self::Sample { .. } => answer.get("content").is_ok_and(|content| content.is_some()),
            Self::Roots => answer.get("roots").ok().flatten().is_some_and(|raw| json::array(raw).is_ok()),
        }
    }
}

/// Whether an accepted form has every required field, each of its declared type.
fn fits(content: Option<&Object<'_>>, schema: &str) -> bool {
    let Ok(schema) = Object::parse(schema) else { return false };
    let required = schema.get("required").ok().flatten().and_then(|raw| json::array(raw).ok());
    let properties = schema.object("properties").ok().flatten();
    required.unwrap_or_default().into_iter().all(|name| {
        let Ok(name) = json::string(name) else { return false };
        let property = properties.as_ref().and_then(|all| all.object(&name).ok().flatten());
        let wanted = property.and_then(|property| property.string("type").ok().flatten());
        let Some(value) = content.and_then(|content| content.get(&name).ok().flatten()) else { return false };
        match wanted.as_deref() {
            Some("string") => Kind::of(value) == Kind::String,
            Some("boolean") => Kind::of(value) == Kind::Boolean,
            Some("integer" | "number") => Kind::of(value) == Kind::Number,
            _ => true,
        }
    })
}

/// Answers, each the JSON text of a result object, by the keys of their questions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(BTreeMap<String, String>);

impl Answers {
    /// Reads them from an object; anything may be the value of a key.
    pub(crate) fn read(object: &Object<'_>) -> Self {
        Self(object.iter().map(|member| (member.name.to_string(), member.value.to_owned())).collect())
    }

    /// Keeps an answer.
    pub(crate) fn insert(&mut self, key: &str, answer: &str) {
        self.0.insert(key.to_owned(), answer.to_owned());
    }

    /// The answer to the question of that key.
    pub(crate) fn find(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of the questions that were answered.
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// All as one JSON object.
    pub(crate) fn text(&self) -> String {
        let members: Vec<_> = self.0.iter().map(|(key, raw)| format!("{}:{raw}", json::quote(key))).collect();
        format!("{{{}}}", members.join(","))
    }

    /// What the user put in a field of a form.
    pub(crate) fn field(&self, key: &str, name: &str) -> Result<String, Stop> {
        let form = self.object(key);
        let content = form.as_ref().and_then(|form| form.object("content").ok().flatten());
        match content.and_then(|content| content.get(name).ok().flatten()) {
            Some(value) => {
                Ok(json::string(value).map_or_else(|_| value.to_owned(), |text| text.into_owned()))
            }
            None => Err(Stop::Failed(format!("there is no answer: {}", self.form(key)))),
        }
    }

    /// What came of a form, whatever the user did.
    pub(crate) fn form(&self, key: &str) -> String {
        let form = self.object(key);
        let action = form.as_ref().and_then(|form| form.string("action").ok().flatten()).unwrap_or_default();
        let content = form.as_ref().and_then(|form| form.get("content").ok().flatten()).unwrap_or("{}");
        format!("action={action}, content={content}")
    }

    /// The text of a sampled message, whose content is one block or a list of them.
    pub(crate) fn sampled(&self, key: &str) -> String {
        let message = self.object(key);
        let content = message.and_then(|message| message.get("content").ok().flatten()).unwrap_or("{}");
        let blocks = json::array(content).unwrap_or_else(|_| vec![content]);
        let texts = blocks.into_iter().filter_map(|block| Object::parse(block).ok()?.string("text").ok()?);
        texts.collect::<Vec<_>>().join(" ")
    }

    /// The URIs of the client's roots.
    pub(crate) fn roots(&self, key: &str) -> Vec<String> {
        let roots = self.object(key).and_then(|result| result.get("roots").ok().flatten());
        let roots = roots.and_then(|raw| json::array(raw).ok()).unwrap_or_default();
        let uri = |root| Some(Object::parse(root).ok()?.string("uri").ok()??.into_owned());
        roots.into_iter().filter_map(uri).collect()
    }

    fn object(&self, key: &str) -> Option<Object<'_>> {
        Object::parse(self.find(key)?).ok()
    }
}
