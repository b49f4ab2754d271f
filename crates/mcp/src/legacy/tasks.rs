//! The core tasks of 2025-11-25 and the tasks extension of the modern era: one task in two shapes.
//!
//! In the legacy era the client asks for a task with `params.task`, polls a bare task and fetches the result by
//! `tasks/result`. In the modern era the server decides, and `tasks/get` carries result, error or open questions. What is
//! not renamed stays as it came: times, numbers, unknown members.
//!
//! Source: MCP 2025-11-25 `basic/utilities/tasks`; tasks extension `specification/draft/tasks`.

use std::borrow::Cow;

use bytes::Bytes;

use crate::answer::{AnswerFault, TASKS_EXTENSION};
use crate::call::Call;
use crate::discover::Discovered;
use crate::inbound;
use crate::json::{self, JsonFault, Kind, Object, Patch, Span};
use crate::jsonrpc::Message;
use crate::meta::ClientFacts;
use crate::mrtr::InputRequest;
use crate::reject::Reject;
use crate::version::{Era, Revision};

/// The member of `_meta` by which messages of the legacy era say to which task they belong.
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// The `tasks` capability of a gateway before servers of the extension. Not `list`: no such server can be asked for one, and
/// what a list lacks must not be there for `tasks/get` either.
pub const OFFER: &str = r#"{"cancel":{},"requests":{"tools":{"call":{}}}}"#;

/// In which way a peer has tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As 2025-11-25 has them.
    Core,
    /// As the extension has them.
    Extension,
}

impl Form {
    /// What a server has.
    #[must_use]
    pub fn of_server(era: Era, discovered: &Discovered) -> Option<Self> {
        let capabilities = &discovered.capabilities;
        match era {
            Era::Legacy => capabilities.core_tasks.then_some(Self::Core),
            Era::Modern => capabilities.extensions.contains_key(TASKS_EXTENSION).then_some(Self::Extension),
        }
    }

    /// What a client can have, whether or not it wants it for a call.
    #[must_use]
    pub fn of_client(revision: &Revision, client: &ClientFacts) -> Option<Self> {
        match revision.era {
            Era::Legacy => revision.core_tasks.then_some(Self::Core),
            Era::Modern => client.declares(TASKS_EXTENSION).then_some(Self::Extension),
        }
    }
}

/// How far a task has come. Both eras have the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It goes on.
    Working,
    /// It waits for its client.
    InputRequired,
    /// It has a result.
    Completed,
    /// It has an error; in the legacy era also a result that says `isError`.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl Status {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Working, "working"),
        (Self::InputRequired, "input_required"),
        (Self::Completed, "completed"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
    ];

    /// Its word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("working", |(_, name)| name)
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// A task object of either era, looked into.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    object: Object<'a>,
    /// The name that its server gave it.
    pub id: Cow<'a, str>,
    /// How far it has come.
    pub status: Status,
}

impl<'a> Task<'a> {
    /// Reads a task: what `tasks/get` answers in either era, or a `CreateTaskResult` of the extension.
    ///
    /// # Errors
    /// When it has no id or no known status, or a member twice.
    pub fn read(text: &'a str) -> Result<Self, AnswerFault> {
        let object = Object::parse(text)?;
        object.deny_duplicates()?;
        let id = object.string("taskId")?.ok_or(AnswerFault::NotATask("it has no \"taskId\""))?;
        let status = object.string("status")?;
        let known =
            |name: &str| Status::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status);
        let status = status.and_then(|name| known(&name));
        let status = status.ok_or(AnswerFault::NotATask("it has no known \"status\""))?;
        Ok(Self { object, id, status })
    }

    /// Reads the task in a `CreateTaskResult` of the legacy era; none if the result is no such thing.
    ///
    /// # Errors
    /// When it is one that cannot be read.
    pub fn read_created(result: &'a str) -> Result<Option<Self>, AnswerFault> {
        Object::parse(result)?.get("task")?.map(Self::read).transpose()
    }

    /// How long to wait before asking again, in milliseconds.
    #[must_use]
    pub fn poll_interval(&self) -> Option<u64> {
        self.number("pollIntervalMs").or_else(|| self.number("pollInterval"))
    }

    /// How long it is kept, in milliseconds from its creation; none if for ever, or if nothing is said.
    #[must_use]
    pub fn ttl(&self) -> Option<u64> {
        self.number("ttlMs").or_else(|| self.number("ttl"))
    }

    fn number(&self, name: &str) -> Option<u64> {
        u64::try_from(json::integer(self.object.get(name).ok().flatten()?)?).ok()
    }

    /// The inlined result of the extension.
    #[must_use]
    pub fn result(&self) -> Option<&'a str> {
        self.object.get("result").ok().flatten().filter(|raw| Kind::of(raw) == Kind::Object)
    }

    /// The inlined error of the extension.
    #[must_use]
    pub fn error(&self) -> Option<&'a str> {
        self.object.get("error").ok().flatten().filter(|raw| Kind::of(raw) == Kind::Object)
    }

    /// What the extension's task waits for.
    ///
    /// # Errors
    /// When it asks for something that no client can be asked for.
    pub fn input(&self) -> Result<Vec<InputRequest>, AnswerFault> {
        match self.object.object("inputRequests")? {
            Some(asked) => InputRequest::read_all(&asked),
            None => Ok(Vec::new()),
        }
    }

    /// Whether its result says that the tool failed.
    fn is_error(&self) -> bool {
        let flag =
            |result: &str| Object::parse(result).ok()?.get("isError").ok().flatten().map(|raw| raw == "true");
        self.result().and_then(flag) == Some(true)
    }

    /// The task as the legacy era has it, under `id`. `status` if it is to be another one than it says.
    #[must_use]
    pub fn core(&self, id: &str, status: Option<Status>) -> String {
        // A tool that failed is a failed task there (2025-11-25 §Task Status).
        let failed = self.status == Status::Completed && self.is_error();
        let status = status.unwrap_or(if failed { Status::Failed } else { self.status });
        let mut out = Rebuilt::begin(id, status);
        let mut has_ttl = false;
        for member in self.object.iter() {
            match &*member.name {
                "taskId" | "status" | "resultType" | "result" | "error" | "inputRequests"
                | "requestState" | "_meta" => {}
                "ttlMs" => {
                    has_ttl = true;
                    out.add("\"ttl\"", member.value);
                }
                "pollIntervalMs" => out.add("\"pollInterval\"", member.value),
                _ => out.add(member.raw_name, member.value),
            }
        }
        if !has_ttl && self.object.get("ttl").ok().flatten().is_none() {
            out.add("\"ttl\"", "null");
        }
        out.end()
    }

    /// The legacy era's `CreateTaskResult` of an extension's.
    #[must_use]
    pub fn core_created(&self, id: &str) -> String {
        let meta = self.object.get("_meta").ok().flatten().map(|meta| format!(",\"_meta\":{meta}"));
        format!("{{\"task\":{}{}}}", self.core(id, None), meta.unwrap_or_default())
    }

    /// The task as the extension has it in answer to `tasks/get`, under `id` and with what belongs to its status.
    #[must_use]
    pub fn detailed(&self, id: &str, outcome: &Outcome<'_>) -> String {
        let (status, member) = match outcome {
            Outcome::Result(result) => (Status::Completed, Some(("\"result\"", (*result).to_owned()))),
            Outcome::Error(error) => (Status::Failed, Some(("\"error\"", (*error).to_owned()))),
            Outcome::Input(requests) => {
                (Status::InputRequired, Some(("\"inputRequests\"", InputRequest::write_all(requests))))
            }
            // A question that nobody has seen yet cannot be shown.
            Outcome::Nothing if self.status == Status::InputRequired => (Status::Working, None),
            Outcome::Nothing => (self.status, None),
        };
        let mut out = self.extension(id, status, "\"complete\"");
        if let Some((name, value)) = member {
            out.add(name, &value);
        }
        out.end()
    }

    /// The extension's `CreateTaskResult` of a legacy one: `result` is the whole of it.
    #[must_use]
    pub fn extension_created(&self, id: &str, result: &str) -> String {
        let mut out = self.extension(id, self.status, "\"task\"");
        if let Some(meta) = Object::parse(result).ok().and_then(|result| result.get("_meta").ok().flatten()) {
            out.add("\"_meta\"", meta);
        }
        out.end()
    }

    fn extension(&self, id: &str, status: Status, result_type: &str) -> Rebuilt {
        let mut out = Rebuilt::begin(id, status);
        out.add("\"resultType\"", result_type);
        let mut has_ttl = false;
        for member in self.object.iter() {
            match &*member.name {
                "taskId" | "status" | "resultType" | "_meta" => {}
                "ttl" => {
                    has_ttl = true;
                    out.add("\"ttlMs\"", member.value);
                }
                "pollInterval" => out.add("\"pollIntervalMs\"", member.value),
                _ => out.add(member.raw_name, member.value),
            }
        }
        if !has_ttl && self.object.get("ttlMs").ok().flatten().is_none() {
            out.add("\"ttlMs\"", "null");
        }
        out
    }
}

/// What an extension's task carries beside itself.
#[derive(Debug, Clone)]
pub enum Outcome<'a> {
    /// Nothing: it goes on, or was cancelled.
    Nothing,
    /// The text of its result object.
    Result(&'a str),
    /// The text of its error object.
    Error(&'a str),
    /// What it waits for.
    Input(&'a [InputRequest]),
}

/// An object that is written anew from members as they stand.
struct Rebuilt(String);

impl Rebuilt {
    fn begin(id: &str, status: Status) -> Self {
        Self(format!("{{\"taskId\":{},\"status\":\"{}\"", json::quote(id), status.name()))
    }

    fn add(&mut self, raw_name: &str, value: &str) {
        for part in [",", raw_name, ":", value] {
            self.0.push_str(part);
        }
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Every task id that an object names as its own, and where: `taskId`, `task.taskId`, `_meta`'s related task.
///
/// # Errors
/// When such a member stands twice or is of the wrong kind.
pub fn ids(text: &str) -> Result<Vec<(String, Span)>, JsonFault> {
    let object = Object::parse(text)?;
    let mut found = Vec::new();
    let mut note = |raw: Option<&str>| -> Result<(), JsonFault> {
        if let Some(raw) = raw {
            found.push((json::string(raw)?.into_owned(), Span::locate(text, raw)));
        }
        Ok(())
    };
    note(object.get("taskId")?)?;
    if let Some(task) = object.get("task")?.filter(|raw| Kind::of(raw) == Kind::Object) {
        note(Object::parse(task)?.get("taskId")?)?;
    }
    if let Some(meta) = object.get("_meta")?.filter(|raw| Kind::of(raw) == Kind::Object)
        && let Some(related) = Object::parse(meta)?.object(RELATED_TASK)?
    {
        note(related.get("taskId")?)?;
    }
    Ok(found)
}

/// An object whose `_meta` names the task that it belongs to.
///
/// # Errors
/// When it cannot be read.
pub fn tag(text: &str, id: &str) -> Result<String, JsonFault> {
    let object = Object::parse(text)?;
    let related = format!("{{\"taskId\":{}}}", json::quote(id));
    let mut patch = Patch::new();
    match object.get("_meta")?.filter(|raw| Kind::of(raw) == Kind::Object) {
        Some(raw) => {
            let at = object.span_of(raw).start;
            Object::parse(raw)?.set(RELATED_TASK, related.as_bytes(), at, &mut patch)?;
        }
        None => {
            let meta = format!("{{{}:{related}}}", json::quote(RELATED_TASK));
            object.set("_meta", meta.as_bytes(), 0, &mut patch)?;
        }
    }
    applied(&patch, text)
}

/// An object whose `_meta` names no task.
///
/// # Errors
/// When it cannot be read.
pub fn untag(text: &str) -> Result<String, JsonFault> {
    let object = Object::parse(text)?;
    let Some(raw) = object.get("_meta")?.filter(|raw| Kind::of(raw) == Kind::Object) else {
        return Ok(text.to_owned());
    };
    let meta = Object::parse(raw)?;
    let mut patch = Patch::new();
    if meta.iter().all(|member| member.name == RELATED_TASK) && !meta.is_empty() {
        object.remove(|name| name == "_meta", 0, &mut patch);
    } else {
        meta.remove(|name| name == RELATED_TASK, object.span_of(raw).start, &mut patch);
    }
    applied(&patch, text)
}

fn applied(patch: &Patch, text: &str) -> Result<String, JsonFault> {
    String::from_utf8(patch.apply(text.as_bytes()).to_vec()).map_err(|_not_utf8| JsonFault::NotText)
}

/// Whether a legacy server's capabilities say that tools can be called as tasks. What cannot be read says nothing.
#[must_use]
pub fn offers_calls(capabilities: &Object<'_>) -> bool {
    fn inner<'a>(outer: &Object<'a>, name: &str) -> Option<Object<'a>> {
        Object::parse(outer.get(name).ok().flatten()?).ok()
    }
    let tools = inner(capabilities, "tasks").and_then(|tasks| inner(&inner(&tasks, "requests")?, "tools"));
    tools.and_then(|tools| inner(&tools, "call")).is_some()
}

/// Whether a legacy client asks for a task with its call.
#[must_use]
pub fn is_wanted(call: &Call) -> bool {
    let params = call.params().and_then(|params| Object::parse(params).ok());
    params.is_some_and(|params| params.get("task").is_ok_and(|task| task.is_some()))
}

/// Whether a tool of the legacy era, by its `execution`, can only be called as a task.
#[must_use]
pub fn is_required(execution: Option<&str>) -> bool {
    let execution = execution.and_then(|raw| Object::parse(raw).ok());
    let support = execution.and_then(|execution| execution.string("taskSupport").ok().flatten());
    support.as_deref() == Some("required")
}

/// The tool of a modern server, which may make a task of any call, as a legacy client is told of it.
#[must_use]
pub fn with_support(tool: &Bytes) -> Bytes {
    let marked = || -> Option<Bytes> {
        let text = std::str::from_utf8(tool).ok()?;
        let object = Object::parse(text).ok()?;
        let mut patch = Patch::new();
        let execution = object.get("execution").ok()?.filter(|raw| Kind::of(raw) == Kind::Object);
        match execution {
            Some(raw) => {
                let at = object.span_of(raw).start;
                Object::parse(raw).ok()?.set("taskSupport", b"\"optional\"", at, &mut patch).ok()?;
            }
            None => object.set("execution", br#"{"taskSupport":"optional"}"#, 0, &mut patch).ok()?,
        }
        Some(patch.apply(tool))
    };
    // One that cannot be read stays as it is: it is the client's to judge.
    marked().unwrap_or_else(|| tool.clone())
}

/// A call that asks for a task.
///
/// # Errors
/// When the call has no params, as no `tools/call` is without.
pub fn asking(call: &Call) -> Result<Call, Reject> {
    changed(call, |params, at, patch| params.set("task", b"{}", at, patch))
}

/// A call that does not ask for a task, since its server decides.
///
/// # Errors
/// When the call has no params.
pub fn not_asking(call: &Call) -> Result<Call, Reject> {
    changed(call, |params, at, patch| {
        params.remove(|name| name == "task", at, patch);
        Ok(())
    })
}

fn changed(
    call: &Call,
    change: impl FnOnce(&Object<'_>, usize, &mut Patch) -> Result<(), JsonFault>,
) -> Result<Call, Reject> {
    let none = || Reject::Params("params are required".to_owned());
    let (Some(at), Some(text)) = (call.places().at, call.params()) else { return Err(none()) };
    let bad = |fault: JsonFault| Reject::member("task", &fault);
    let mut patch = Patch::new();
    let params = Object::parse(text).map_err(bad)?;
    change(&params, at.start, &mut patch).map_err(bad)?;
    let message = Message::parse(patch.apply(call.message().bytes()))?;
    inbound::legacy(message, call.client().clone())
}

/// A client that declares the extension.
#[must_use]
pub fn declaring(client: &ClientFacts) -> ClientFacts {
    let declared = || -> Option<Bytes> {
        let text = client.capabilities();
        let object = Object::parse(text).ok()?;
        let mut patch = Patch::new();
        match object.get("extensions").ok()?.filter(|raw| Kind::of(raw) == Kind::Object) {
            Some(raw) => {
                let at = object.span_of(raw).start;
                Object::parse(raw).ok()?.set(TASKS_EXTENSION, b"{}", at, &mut patch).ok()?;
            }
            None => {
                let extensions = format!("{{{}:{{}}}}", json::quote(TASKS_EXTENSION));
                object.set("extensions", extensions.as_bytes(), 0, &mut patch).ok()?;
            }
        }
        Some(patch.apply(text.as_bytes()))
    };
    let capabilities = declared().unwrap_or_else(|| client.capabilities.clone());
    ClientFacts { capabilities, ..client.clone() }
}

#[cfg(test)]
mod tests;
