//! Calls that their legacy clients wanted as tasks and that their modern servers carried out at once. Such a client gets a
//! task all the same: one that is over, with its result here for a while.

use std::sync::Arc;
use std::time::Duration;

use base::cache::{Bounds, Cache};
use base::error::CallError;
use base::moment;
use base::random;
use mcp::call::Call;
use mcp::json;
use mcp::legacy::tasks::{self as shapes, Status, Task};

use super::Tasks;
use super::ids::{Ids, Name};

/// For so long a result can be fetched.
const KEEP: Duration = Duration::from_secs(600);
/// What is kept of results.
const BOUNDS: Bounds = Bounds { values: 1024, bytes: 32 * 1024 * 1024 };

/// Results by their handles.
#[derive(Debug)]
pub(super) struct Finished(Cache<String, Arc<Over>, CallError>);

/// A task that is over.
#[derive(Debug)]
struct Over {
    /// As the extension would have it.
    task: String,
    result: String,
}

impl Finished {
    pub(super) fn new() -> Self {
        Self(Cache::new(BOUNDS))
    }
}

impl Ids {
    /// Keeps a result of a server's tool: the `CreateTaskResult` for it.
    pub(super) fn finish(&self, (server, tool): (&str, &str), result: &str) -> Result<String, CallError> {
        let handle = random::hex::<16>()?;
        let (server, tool) = (server.to_owned(), tool.to_owned());
        let name = Name::Finished { handle: handle.clone(), server, tool };
        let public = self.give(&name, Some(KEEP))?;
        let now = json::quote(&moment::write(self.now()));
        let task = format!(
            r#"{{"taskId":"","status":"completed","createdAt":{now},"lastUpdatedAt":{now},"ttlMs":{},"result":{result}}}"#,
            KEEP.as_millis()
        );
        // Every task begins so (2025-11-25 §Task Status Lifecycle).
        let created = format!("{{\"task\":{}}}", read(&task)?.core(&public, Some(Status::Working)));
        let bytes = task.len() + result.len() + 256;
        self.tasks.finished.0.put(handle, Arc::new(Over { task, result: result.to_owned() }), bytes);
        Ok(created)
    }
}

impl Tasks {
    /// What a request about such a task is answered: a result as modern servers write it.
    pub(crate) fn result(&self, call: &Call, handle: &str) -> Result<String, CallError> {
        let gone = || CallError::Task { why: "the task has expired".to_owned() };
        let public = call.subject().map(|subject| &*subject.text).unwrap_or_default();
        let over = self.finished.0.find(&handle.to_owned(), |_| true).ok_or_else(gone)?;
        let unreadable = |fault: json::JsonFault| CallError::Internal(fault.to_string());
        match call.method_name() {
            "tasks/get" => {
                let task = read(&over.task)?.core(public, None);
                Ok(task.replacen('{', r#"{"resultType":"complete","#, 1))
            }
            "tasks/result" => shapes::tag(&over.result, public).map_err(unreadable),
            _ => Err(already_over(Status::Completed)),
        }
    }
}

/// A task that is over cannot be cancelled (2025-11-25 §Task Cancellation).
pub(super) fn already_over(status: Status) -> CallError {
    CallError::Task { why: format!("the task is over already: {}", status.name()) }
}

fn read(task: &str) -> Result<Task<'_>, CallError> {
    Task::read(task).map_err(|fault| CallError::Internal(fault.to_string()))
}
