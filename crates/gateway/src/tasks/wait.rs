//! `tasks/result` of a legacy client for a task of a modern server: asks how the task is until it is over, and what it asks
//! for meanwhile, its client is asked on the stream of this call.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use base::bulkhead::Slot;
use base::error::CallError;
use base::reply;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use mcp::call::Call;
use mcp::json::Patch;
use mcp::jsonrpc::{Id, Message};
use mcp::legacy::downgrade::{self, Gap};
use mcp::legacy::tasks::{self as shapes, Status, Task};
use mcp::method;
use mcp::mrtr::{InputRequest, InputRequired};
use mcp::version::{Era, Revision};
use tokio::time::{Duration, Instant, sleep};

use super::{Failed, Subject, Tasks, result_of};
use crate::forward::questions::Asking;
use crate::forward::round::{Round, RoundStep, Rounds, Waited};
use base::uris::{Mapping, map_result_uris};

/// How long to wait before asking again, if the server does not say; and within which bounds it may say so.
const PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Waits for the end of a task.
pub(super) struct Wait {
    about: Arc<About>,
    doing: Doing,
    /// The questions that the client has answered: a server may show them for a while yet.
    answered: BTreeSet<String>,
    rounds: u32,
    /// Ids of elicitations by URL, which end when the task is over.
    urls: Vec<String>,
    until: Instant,
    _place: Slot,
}

/// What the wait is for.
struct About {
    id: Id,
    subject: Subject,
    /// The client's revision.
    revision: &'static Revision,
    tasks: Arc<Tasks>,
}

/// What it does now. Who waits may be dropped and ask again, so what is under way is kept here.
enum Doing {
    Looking(Pin<Box<dyn Future<Output = Result<Look, CallError>> + Send>>),
    Asking(Box<Round>),
}

/// How the task is.
enum Look {
    Over(Message),
    Asks(Vec<InputRequest>, Duration),
    Goes(Duration),
}

impl Wait {
    pub(super) fn new(
        tasks: &Arc<Tasks>,
        call: &Call,
        revision: &'static Revision,
        (subject, place): (Subject, Slot),
    ) -> Self {
        let until = Instant::now() + subject.courier.upstream.plan().deadlines.call_max;
        let (id, tasks) = (call.id().clone(), Arc::clone(tasks));
        let about = Arc::new(About { id, subject, revision, tasks });
        let doing = look(&about, Duration::ZERO);
        Self { about, doing, answered: BTreeSet::new(), rounds: 0, urls: Vec::new(), until, _place: place }
    }

    /// Waits for the next thing. Cancel safe.
    async fn next(&mut self, asking: &mut Asking) -> Result<Waited, CallError> {
        let courier = &self.about.subject.courier;
        let deadlines = courier.upstream.plan().deadlines;
        let late = CallError::Deadline { upstream: courier.to().to_owned(), after: deadlines.call_max };
        loop {
            let turn = match &mut self.doing {
                Doing::Looking(look) => {
                    let looked = tokio::time::timeout_at(self.until, look).await;
                    match looked.map_err(|_elapsed| late.clone())?? {
                        Look::Over(message) => return Ok(Waited::Over(message)),
                        Look::Goes(pause) => {
                            self.doing = self::look(&self.about, pause);
                            continue;
                        }
                        Look::Asks(requests, pause) => {
                            self.ask(requests, pause, asking, deadlines.input)?;
                            continue;
                        }
                    }
                }
                Doing::Asking(round) => round.next().await?,
            };
            match turn {
                RoundStep::Say(bytes) => return Ok(Waited::Ask(bytes)),
                RoundStep::Again(update) => self.doing = self.update(*update),
            }
        }
    }

    /// Asks the client what it was not asked yet.
    fn ask(
        &mut self,
        requests: Vec<InputRequest>,
        pause: Duration,
        asking: &mut Asking,
        patience: Duration,
    ) -> Result<(), CallError> {
        let new = requests.into_iter().filter(|request| !self.answered.contains(&request.key));
        let mut new: Vec<_> = new.collect();
        if new.is_empty() {
            self.doing = look(&self.about, pause);
            return Ok(());
        }
        let Subject { courier, own, public, .. } = &self.about.subject;
        for request in &mut new {
            if let Some(required) = request.lacks(courier.facts.capabilities()) {
                return Err(CallError::MissingCapability { upstream: courier.to().to_owned(), required });
            }
            // 2025-11-25 §Associating Task-Related Messages.
            let tagged = shapes::tag(request.params().unwrap_or("{}"), public);
            request.params = Some(tagged.map_err(|fault| CallError::unreadable(courier.to(), fault))?.into());
            self.answered.insert(request.key.clone());
        }
        let update = courier.about("tasks/update", own, "")?;
        let input = InputRequired { requests: new, state: None };
        let mut round = Round::begin(input, Box::new(update), asking, (self.rounds, patience))?;
        self.urls.append(&mut round.urls);
        self.rounds += 1;
        self.doing = Doing::Asking(Box::new(round));
        Ok(())
    }

    /// Tells the server what the client has answered, and looks again.
    fn update(&self, update: Call) -> Doing {
        let about = Arc::clone(&self.about);
        Doing::Looking(Box::pin(async move {
            let courier = &about.subject.courier;
            let (message, _) = courier.ask(&update).await?;
            match result_of(&message, courier.to(), Era::Legacy) {
                Ok(_) => Ok(Look::Goes(SHORTEST_PAUSE)),
                Err(Failed::Theirs(message)) => reply::with_id(&message, &about.id).map(Look::Over),
                Err(Failed::Ours(error)) => Err(error),
            }
        }))
    }
}

/// Asks how the task is, after a pause.
fn look(about: &Arc<About>, pause: Duration) -> Doing {
    let about = Arc::clone(about);
    Doing::Looking(Box::pin(async move {
        sleep(pause).await;
        match about.look().await {
            Ok(look) => Ok(look),
            Err(Failed::Theirs(message)) => reply::with_id(&message, &about.id).map(Look::Over),
            Err(Failed::Ours(error)) => Err(error),
        }
    }))
}

impl About {
    async fn look(&self) -> Result<Look, Failed> {
        let Subject { courier, own, public, .. } = &self.subject;
        if self.tasks.is_cancelled(public) {
            return Err(Failed::Ours(cancelled()));
        }
        let (message, from) = courier.ask(&courier.about("tasks/get", own, "")?).await?;
        let text = result_of(&message, courier.to(), Era::Legacy)?;
        let invalid = |fault| CallError::invalid(courier.to(), &fault);
        let task = Task::read(text).map_err(invalid)?;
        self.subject.ending.saw(task.status);
        let pause = task.poll_interval().map_or(PAUSE, Duration::from_millis);
        let pause = pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let lacks = |what| {
            let why = format!("a task that is {} without its {what}", task.status.name());
            CallError::InvalidAnswer { upstream: courier.to().to_owned(), why }
        };
        Ok(match task.status {
            Status::Working => Look::Goes(pause),
            Status::InputRequired => Look::Asks(task.input().map_err(invalid)?, pause),
            Status::Completed => {
                Look::Over(self.result(task.result().ok_or_else(|| lacks("result"))?, from)?)
            }
            Status::Failed => Look::Over(self.error(task.error().ok_or_else(|| lacks("error"))?)?),
            Status::Cancelled => return Err(Failed::Ours(cancelled())),
        })
    }

    /// The result as that of the call that became the task, with the task's name in it.
    fn result(&self, text: &str, from: &'static Revision) -> Result<Message, CallError> {
        let to = self.subject.courier.to();
        let bad = |fault| CallError::unreadable(to, fault);
        let mut patch = Patch::new();
        if let Some(Mapping { names, server }) = &self.subject.mapping {
            let result = mcp::json::Object::parse(text).map_err(bad)?;
            map_result_uris((names, *server), "tools/call", &result, 0, &mut patch).map_err(bad)?;
        }
        let mapped = patch.apply(text.as_bytes());
        let tagged = shapes::tag(&String::from_utf8_lossy(&mapped), &self.subject.public).map_err(bad)?;
        let message = reply::own_result(&self.id, &tagged)?;
        downgrade::response(message, method::find("tools/call"), Gap { from, to: self.revision }).map_err(bad)
    }

    fn error(&self, text: &str) -> Result<Message, CallError> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{text}}}"#, self.id.raw());
        let invalid =
            |why: String| CallError::InvalidAnswer { upstream: self.subject.courier.to().to_owned(), why };
        Message::parse(Bytes::from(text)).map_err(|fault| invalid(fault.to_string()))
    }
}

fn cancelled() -> CallError {
    CallError::Task { why: "the task was cancelled and has no result".to_owned() }
}

impl Rounds for Wait {
    fn next<'a>(&'a mut self, asking: &'a mut Asking) -> BoxFuture<'a, Result<Waited, CallError>> {
        Box::pin(self.next(asking))
    }

    fn urls(&mut self) -> &mut Vec<String> {
        &mut self.urls
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("task", &self.about.subject.own).finish_non_exhaustive()
    }
}
