//! A legacy client asks about a task of a modern server.
//!
//! `tasks/get` loses what the core has no place for; `tasks/result` waits ([`super::wait`]); `tasks/cancel` is final at once
//! in the core, though the server may still think about it, so it is remembered here.

use base::error::CallError;
use base::reply;
use mcp::call::Call;
use mcp::legacy::tasks::{Status, Task};
use mcp::version::{Era, Revision};

use super::results::already_over;
use super::wait::Wait;
use super::{Failed, RouteTasks, Subject, Tasks, result_of};
use crate::forward::filter::Answered;

impl RouteTasks {
    pub(super) async fn task_of_modern(
        &self,
        call: &Call,
        revision: &'static Revision,
        subject: Subject,
    ) -> Result<Answered, CallError> {
        if call.waits() {
            let place = self.tasks.waits.take().await?;
            return Ok(Answered::Rounds(Box::new(Wait::new(&self.tasks, call, revision, (subject, place)))));
        }
        let answered = match call.method_name() {
            "tasks/get" => get(&self.tasks, &subject).await,
            _ => cancel(&self.tasks, &subject).await,
        };
        match answered {
            Ok(task) => reply::own_result(call.id(), &task).map(Answered::Own),
            Err(Failed::Theirs(message)) => reply::with_id(&message, call.id()).map(Answered::Own),
            Err(Failed::Ours(error)) => Err(error),
        }
    }
}

async fn get(tasks: &Tasks, subject: &Subject) -> Result<String, Failed> {
    let public = &subject.public;
    let status = tasks.is_cancelled(public).then_some(Status::Cancelled);
    read(subject, |task| Ok(task.core(public, status))).await
}

async fn cancel(tasks: &Tasks, subject: &Subject) -> Result<String, Failed> {
    let public = &subject.public;
    let cancelled = read(subject, |task| {
        // 2025-11-25 §Task Cancellation.
        if tasks.is_cancelled(public) {
            return Err(already_over(Status::Cancelled));
        }
        if task.status.is_over() {
            Err(already_over(task.status))
        } else {
            Ok(task.core(public, Some(Status::Cancelled)))
        }
    })
    .await?;
    let courier = &subject.courier;
    let (message, _) = courier.ask(&courier.about("tasks/cancel", &subject.own, "")?).await?;
    result_of(&message, courier.to(), Era::Legacy)?;
    tasks.cancelled.put(public.clone(), (), 0);
    Ok(cancelled)
}

/// Gets the task, and makes of it what the client is to have.
async fn read(
    Subject { courier, own, ending, .. }: &Subject,
    made: impl Fn(&Task<'_>) -> Result<String, CallError>,
) -> Result<String, Failed> {
    let (message, _) = courier.ask(&courier.about("tasks/get", own, "")?).await?;
    let text = result_of(&message, courier.to(), Era::Legacy)?;
    let task = Task::read(text).map_err(|fault| CallError::invalid(courier.to(), &fault))?;
    ending.saw(task.status);
    Ok(made(&task)?)
}

impl Tasks {
    /// Whether a legacy client has cancelled it, which is final for that client.
    pub(super) fn is_cancelled(&self, public: &str) -> bool {
        self.cancelled.find(&public.to_owned(), |()| true).is_some()
    }
}
