//! Calls that their legacy clients wanted as tasks and that their modern servers carried out at once. Such a client gets a
//! task all the same: one that is over, with its result here for a while.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::cache::{Bounds, Cache};
use base::error::CallError;
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
    /// Keeps a result: the `CreateTaskResult` for it.
    pub(super) fn finish(&self, result: &str) -> Result<String, CallError> {
        let handle = random::hex::<16>()?;
        let name = Name::Finished { handle: handle.clone() };
        let public = self.give(&name, Some(KEEP))?;
        let now = json::quote(&stamp(self.now()));
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

/// A time as RFC 3339 writes it, in UTC.
fn stamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days since 0000-03-01, in eras of 400 years (H. Hinnant, «chrono-compatible low-level date algorithms»).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are() {
        let at = |seconds| stamp(UNIX_EPOCH + Duration::from_millis(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_785_196_800_000), "2026-07-28T00:00:00.000Z");
    }
}
