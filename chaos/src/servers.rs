//! The servers behind: they do what they are asked, and write each effect down. What they know of the world (effects and
//! versions) they share, as real servers share a database; sessions they do not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::record::{Change, Record, Subject};

pub(crate) mod http;
pub(crate) mod legacy;
pub(crate) mod modern;
pub(crate) mod stdio;

/// How many resources each server over HTTP has.
pub(crate) const RESOURCES: usize = 3;
/// What is watched of a server beside its resources.
pub(crate) const TOOLS: &str = "tools";

/// The world that all servers act on.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) record: Arc<Record>,
    versions: Mutex<BTreeMap<Subject, u64>>,
    changed: broadcast::Sender<Subject>,
    /// Connections that gateways have to our servers.
    open: AtomicUsize,
}

/// The name of a subject: `legacy/r0`, `modern/tools`.
pub(crate) fn subject(server: &str, what: &str) -> Subject {
    format!("{server}/{what}")
}

impl World {
    pub(crate) fn new(record: Arc<Record>) -> Arc<Self> {
        let (changed, _) = broadcast::channel(4096);
        Arc::new(Self { record, versions: Mutex::default(), changed, open: AtomicUsize::new(0) })
    }

    /// An effect is carried out.
    pub(crate) fn effect(&self, id: &str) {
        self.record.book().effects.push(id.to_owned());
    }

    pub(crate) fn version(&self, subject: &str) -> u64 {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.get(subject).copied().unwrap_or(0)
    }

    /// Something changes, and all who serve it hear of that.
    pub(crate) fn change(&self, subject: &str) {
        let version = {
            let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            let version = versions.entry(subject.to_owned()).or_default();
            *version += 1;
            *version
        };
        let change = Change { subject: subject.to_owned(), version, at: self.record.now() };
        self.record.book().changes.push(change);
        // That nobody listens is no fault here.
        self.changed.send(subject.to_owned()).ok();
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Subject> {
        self.changed.subscribe()
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// A tool call, as far as all eras have it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) tool: String,
    /// The effect.
    pub(crate) id: String,
    /// How many milliseconds it takes after the effect.
    pub(crate) wait: u64,
    pub(crate) token: Option<Value>,
}

impl Asked {
    pub(crate) fn read(params: &Value) -> Self {
        let arguments = &params["arguments"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let token = params["_meta"]["progressToken"].clone();
        Self {
            tool: text(&params["name"]),
            id: text(&arguments["id"]),
            wait: arguments["wait"].as_u64().unwrap_or(0),
            token: (!token.is_null()).then_some(token),
        }
    }

    /// The texts of the progress of a call that takes so long: one a quarter.
    pub(crate) fn progress(&self, step: u64) -> Option<Value> {
        let token = self.token.as_ref()?;
        Some(notification(
            "notifications/progress",
            &json!({"progressToken": token, "progress": step, "total": STEPS, "message": self.id}),
        ))
    }
}

/// How many progress notifications a call that takes time gives.
pub(crate) const STEPS: u64 = 4;
/// How the answer begins of a server whose question was refused.
pub(crate) const NOT_DONE: &str = "not done";
/// The levels at which the tool `log` logs.
pub(crate) const LEVELS: [&str; 3] = ["debug", "warning", "critical"];

pub(crate) fn done(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// What the tool `ask` says when it was answered.
pub(crate) fn done_with(id: &str, answer: &Value) -> Value {
    let word = answer["content"]["word"].as_str().unwrap_or("nothing");
    done(&format!("done {id} {word}"))
}

pub(crate) fn question(id: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]});
    json!({"message": format!("a word for {id}"), "requestedSchema": schema})
}

pub(crate) fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

pub(crate) fn log_of(id: &str) -> impl Iterator<Item = (&'static str, Value)> {
    let message = move |level| {
        (
            level,
            notification("notifications/message", &json!({"level": level, "logger": "chaos", "data": id})),
        )
    };
    LEVELS.into_iter().map(message)
}

/// How grave a level is.
pub(crate) fn gravity(level: &str) -> usize {
    let levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    levels.iter().position(|known| *known == level).unwrap_or(0)
}

/// The list of tools. Its version stands in a description.
pub(crate) fn tools(version: u64) -> Value {
    let schema =
        json!({"type": "object", "properties": {"id": {"type": "string"}, "wait": {"type": "integer"}}});
    let tool = |name: &str, text: String| json!({"name": name, "description": text, "inputSchema": schema});
    json!([
        tool("effect", format!("version {version}")),
        tool("ask", "Asks for a word, and then does it".to_owned()),
        tool("log", "Does it, and logs".to_owned()),
    ])
}

pub(crate) fn resources() -> Value {
    let all = (0..RESOURCES).map(|n| json!({"uri": uri(&format!("r{n}")), "name": format!("r{n}")}));
    Value::Array(all.collect())
}

pub(crate) fn uri(what: &str) -> String {
    format!("chaos://{what}")
}

/// The content of a resource: its version.
pub(crate) fn content(world: &World, server: &str, uri: &str) -> Option<Value> {
    let what = uri.strip_prefix("chaos://")?;
    let version = world.version(&subject(server, what));
    Some(json!([{"uri": uri, "mimeType": "text/plain", "text": version.to_string()}]))
}
