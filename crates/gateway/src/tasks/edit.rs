//! What becomes of an answer that names a task, on its way to the client.

use base::bulkhead::Slot;
use base::error::CallError;
use mcp::answer::{self, AnswerFault, ResultType};
use mcp::call::Call;
use mcp::json::{self, Object, Patch};
use mcp::jsonrpc::{Message, MessageKind};
use mcp::legacy::tasks::{self as shapes, Form, Task};
use mcp::meta::ClientFacts;
use std::time::Duration;
use tokio_util::task::TaskTracker;

use super::Ending;
use super::client::Courier;
use super::ids::{Ids, Name};
use crate::forward::edit::{Edit, Heard};

/// What is done to the answer of a call that has to do with a task.
#[derive(Debug)]
pub(super) struct TaskEdit {
    /// Nothing where ids pass as they are.
    pub(super) reshape: Option<Reshape>,
    /// The place of one who waits for the end of a task.
    pub(super) place: Option<Slot>,
    /// What is done when the answer to a request of that method says that the task is over.
    pub(super) ending: Option<(Ending, String)>,
}

impl TaskEdit {
    pub(super) fn of(reshape: Reshape) -> Box<dyn Edit> {
        Box::new(Self { reshape: Some(reshape), place: None, ending: None })
    }
}

impl Edit for TaskEdit {
    fn notice(&mut self, message: &Message) -> Heard {
        let reshape = self.reshape.as_ref().filter(|reshape| reshape.knows(message));
        reshape.and_then(|reshape| reshape.said(message)).map_or(Heard::Unknown, Heard::Instead)
    }

    fn ask(&mut self, message: &mut Message) {
        if let Some(said) = self.reshape.as_ref().and_then(|reshape| reshape.said(message)) {
            *message = said;
        }
    }

    fn response(&mut self, response: Message) -> Result<Message, CallError> {
        if let Some((ending, method)) = &self.ending {
            ending.answered(method, &response);
        }
        match &mut self.reshape {
            Some(reshape) => reshape.response(response),
            None => Ok(response),
        }
    }

    fn leaves_responses(&self) -> bool {
        false
    }

    fn may_be_quiet(&self) -> bool {
        self.place.is_some()
    }
}

/// How tasks in an answer are put for the client.
#[derive(Debug)]
pub(super) enum Reshape {
    /// The call may have become a task, whose id the client does not know yet. `tool` is its server and the server's own
    /// name of it, `client` what the server knows of the client.
    Created { from: Form, to: Form, tool: (String, String), ids: Ids, client: ClientFacts },
    /// The answer is about a task that the client knows under another id.
    Known { own: String, public: String },
    /// The answer is a task's result, for a client that knows of no task.
    Final { abandon: Option<Box<Abandon>> },
}

impl Reshape {
    /// The result of a response as the client is to have it: what is not changed stays byte for byte.
    fn response(&mut self, message: Message) -> Result<Message, CallError> {
        if let Self::Final { abandon } = self
            && let Some(abandon) = abandon.take()
        {
            abandon.over();
        }
        let MessageKind::Result(parts) = message.kind() else { return Ok(message) };
        let (text, at) = (message.at(parts.result), parts.result);
        let mut patch = Patch::new();
        match self {
            Self::Created { from, to, tool: (server, tool), ids, client } => {
                let created = Created { from: *from, to: *to, server, tool, ids, client };
                match created.result(text)? {
                    Some(result) => patch.replace(at, result.as_bytes()),
                    None => return Ok(message),
                }
            }
            Self::Known { own, public } => renamed(text, at.start, (own, public), &mut patch)?,
            Self::Final { .. } => {
                let result = shapes::untag(text).map_err(|fault| internal(&fault))?;
                patch.replace(at, result.as_bytes());
            }
        }
        reread(message, &patch)
    }

    /// A notification or a request of the server, whose params may name the task.
    fn said(&self, message: &Message) -> Option<Message> {
        let params = match message.kind() {
            MessageKind::Request(request) => request.params,
            MessageKind::Notification(note) => note.params,
            _ => None,
        };
        let Some(at) = params else { return Some(message.clone()) };
        let mut patch = Patch::new();
        match self {
            Self::Known { own, public } => {
                renamed(message.at(at), at.start, (own, public), &mut patch).ok()?;
            }
            Self::Final { .. } => {
                patch.replace(at, shapes::untag(message.at(at)).ok()?.as_bytes());
            }
            Self::Created { .. } => {}
        }
        reread(message.clone(), &patch).ok()
    }

    /// Whether a notification of a task's status is about a task that the client knows from here.
    fn knows(&self, message: &Message) -> bool {
        let Self::Known { own, .. } = self else { return false };
        let ids = message.params().and_then(|params| shapes::ids(params).ok());
        ids.is_some_and(|ids| ids.iter().any(|(id, _)| id == own))
    }
}

/// A call that may have become a task.
struct Created<'a> {
    from: Form,
    to: Form,
    server: &'a str,
    tool: &'a str,
    ids: &'a Ids,
    client: &'a ClientFacts,
}

impl Created<'_> {
    /// What the client gets instead of the result; nothing if it gets it as it is.
    fn result(&self, text: &str) -> Result<Option<String>, CallError> {
        let invalid = |fault: AnswerFault| CallError::invalid(self.server, &fault);
        let result = Object::parse(text).map_err(|fault| CallError::unreadable(self.server, fault))?;
        let created = match self.from {
            Form::Core => Task::read_created(text).map_err(invalid)?,
            Form::Extension => match answer::result_type(&result, self.client).map_err(invalid)? {
                ResultType::Task => Some(Task::read(text).map_err(invalid)?),
                ResultType::Complete if self.to == Form::Core => {
                    return self.ids.finish((self.server, self.tool), text).map(Some);
                }
                ResultType::Complete | ResultType::InputRequired => None,
            },
        };
        let Some(task) = created else { return Ok(None) };
        let name = match self.from {
            Form::Core => Name::of_legacy((self.server, self.tool), &task.id, self.client.capabilities()),
            Form::Extension => Name::of_modern((self.server, self.tool), &task.id),
        };
        let public = self.ids.give(&name, task.ttl().map(Duration::from_millis))?;
        Ok(Some(match (self.from, self.to) {
            (Form::Core, Form::Extension) => task.extension_created(&public, text),
            (Form::Extension, Form::Core) => task.core_created(&public),
            (Form::Core, Form::Core) | (Form::Extension, Form::Extension) => {
                let mut patch = Patch::new();
                renamed(text, 0, (&task.id, &public), &mut patch)?;
                String::from_utf8_lossy(&patch.apply(text.as_bytes())).into_owned()
            }
        }))
    }
}

/// Puts a task's public id wherever an object names the task as its own.
fn renamed(
    text: &str,
    offset: usize,
    (own, public): (&str, &str),
    patch: &mut Patch,
) -> Result<(), CallError> {
    for (id, at) in shapes::ids(text).map_err(|fault| internal(&fault))? {
        if id == own {
            patch.replace(at.shift(offset), json::quote(public).as_bytes());
        }
    }
    Ok(())
}

fn reread(message: Message, patch: &Patch) -> Result<Message, CallError> {
    if patch.is_empty() {
        return Ok(message);
    }
    Message::parse(patch.apply(message.bytes())).map_err(|fault| CallError::Internal(fault.to_string()))
}

fn internal(fault: &json::JsonFault) -> CallError {
    CallError::Internal(fault.to_string())
}

/// Cancels a task when it is dropped before the task is over: nobody else knows of it.
#[derive(Debug)]
pub(super) struct Abandon {
    cancel: Option<(Courier, Call)>,
    tasks: TaskTracker,
}

impl Abandon {
    /// `cancel` is the request that cancels it.
    pub(super) fn new(courier: Courier, cancel: Call, tasks: &TaskTracker) -> Self {
        Self { cancel: Some((courier, cancel)), tasks: tasks.clone() }
    }

    fn over(mut self) {
        self.cancel = None;
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        let Some((courier, cancel)) = self.cancel.take() else { return };
        self.tasks.spawn(async move {
            if let Err(error) = courier.ask(&cancel).await {
                tracing::debug!(%error, "could not cancel a task");
            }
        });
    }
}
