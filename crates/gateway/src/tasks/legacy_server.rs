//! A modern client asks about a task of a legacy server.
//!
//! What the extension shows in `tasks/get` a legacy server says on `tasks/result`: the result once the task is over, and
//! before that its questions. For those, one such request is held open from the first time that the task is seen to wait for
//! its client; `tasks/update` answers what was asked on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use base::bulkhead::Slot;
use base::error::CallError;
use base::owned_task::OwnedTask;
use base::sync::lock;
use base::{random, reply};
use mcp::call::Call;
use mcp::json::Patch;
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::legacy::tasks::{self as shapes, Outcome, Status, Task};
use mcp::mrtr::{InputRequest, Retry};
use mcp::notify::{Notice, Seen};
use mcp::reject::Reject;
use mcp::version::Era;
use tokio::sync::watch;
use tokio::time::{Duration, timeout};
use upstream::{Arrival, Ask, PendingReply};

use super::client::Courier;
use super::{Failed, RouteTasks, Subject, result_of};
use base::uris::{Mapping, map_result_uris};

/// How long `tasks/get` waits for the question of a task that waits for its client. Later ones are seen the next time.
const GATHER: Duration = Duration::from_secs(1);
/// And for further ones, so that they are seen together.
const SETTLE: Duration = Duration::from_millis(20);
/// The most questions of one task at once.
const MOST_QUESTIONS: usize = 64;

/// The tasks that are held open, by their public ids.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenTasks(Arc<Mutex<HashMap<String, Arc<Open>>>>);

/// A task whose questions are heard.
#[derive(Debug)]
struct Open {
    questions: Mutex<Vec<(InputRequest, PendingReply)>>,
    /// Counts the questions so far; closed when no more can come.
    asked: watch::Sender<usize>,
    /// Makes the keys of one hearing different from those of another: a key is used once in a task's life.
    nonce: String,
    hearing: Mutex<Option<OwnedTask>>,
}

impl OpenTasks {
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    fn find(&self, public: &str) -> Option<Arc<Open>> {
        lock(&self.0).get(public).cloned()
    }

    fn close(&self, public: &str) {
        drop(lock(&self.0).remove(public));
    }

    /// What a task asks, from now on; `wait` is the request on which it asks.
    fn open(
        &self,
        public: &str,
        (courier, wait): (&Courier, Call),
        (nonce, place): (String, Slot),
    ) -> Arc<Open> {
        let mut table = lock(&self.0);
        if let Some(open) = table.get(public) {
            return Arc::clone(open);
        }
        let open = Arc::new(Open {
            questions: Mutex::default(),
            asked: watch::Sender::new(0),
            nonce,
            hearing: Mutex::default(),
        });
        let (held, name, heard) = (self.clone(), public.to_owned(), Arc::downgrade(&open));
        let courier = courier.clone();
        let hearing = OwnedTask::spawn(async move {
            if let Err(error) = hear(&courier, &wait, &heard).await {
                tracing::debug!(upstream = courier.to(), %error, "cannot hear what a task asks");
            }
            drop(place);
            let mut table = lock(&held.0);
            // Another one may have taken its place.
            if table.get(&name).is_some_and(|open| Arc::downgrade(open).ptr_eq(&heard)) {
                table.remove(&name);
            }
        });
        *lock(&open.hearing) = Some(hearing);
        table.insert(public.to_owned(), Arc::clone(&open));
        open
    }
}

/// Hears what a task asks until it is over, or nothing came for so long as a client may take to answer.
async fn hear(courier: &Courier, wait: &Call, open: &Weak<Open>) -> Result<(), CallError> {
    let keep = courier.upstream.plan().deadlines.input;
    let mut answer = courier.send(wait, None).await?;
    while let Ok(arrival) = timeout(keep, answer.next()).await {
        let (arrival, Some(open)) = (arrival?, open.upgrade()) else { break };
        match arrival {
            Arrival::Ask(ask) => open.take(ask),
            Arrival::Notice(_, Seen { notice: Notice::Cancelled { request: Some(id) }, .. }) => {
                open.withdraw(&id);
            }
            Arrival::Notice(..) => {}
            Arrival::Response(_) => break,
        }
    }
    Ok(())
}

impl Open {
    fn take(&self, ask: Ask) {
        let mut questions = lock(&self.questions);
        if questions.len() >= MOST_QUESTIONS {
            // Dropped, it is refused.
            return;
        }
        let number = *self.asked.borrow() + 1;
        let mut request = ask.request(format!("input-{}-{number}", self.nonce));
        let params = request.params().map(shapes::untag).transpose();
        match params.and_then(|params| {
            request.params = params.map(Into::into);
            request.modernize()
        }) {
            Ok(()) => questions.push((request, ask.into_reply())),
            Err(fault) => tracing::warn!("a task's question cannot be read: {fault}"),
        }
        drop(questions);
        self.asked.send_replace(number);
    }

    fn withdraw(&self, theirs: &Id) {
        lock(&self.questions).retain(|(_, debt)| debt.id().canonical() != theirs.canonical());
    }

    /// All that is asked now; waits a little if that is nothing yet.
    async fn questions(&self) -> Vec<InputRequest> {
        let mut asked = self.asked.subscribe();
        if lock(&self.questions).is_empty() {
            // Either way, what is there counts.
            drop(timeout(GATHER, asked.changed()).await);
        }
        while matches!(timeout(SETTLE, asked.changed()).await, Ok(Ok(()))) {}
        lock(&self.questions).iter().map(|(request, _)| request.clone()).collect()
    }

    /// Gives answers to those who wait for them. What was not asked is left alone (tasks extension §Task Update Requests).
    fn answer(&self, answers: &Retry<'_>) {
        let mut questions = lock(&self.questions);
        let (answered, left) =
            questions.drain(..).partition(|(request, _)| answers.response(&request.key).is_some());
        *questions = left;
        drop(questions);
        let answered: Vec<(InputRequest, PendingReply)> = answered;
        for (request, debt) in answered {
            match answers.response(&request.key) {
                Some(result) => debt.result(result),
                None => drop(debt),
            }
        }
    }
}

impl RouteTasks {
    pub(super) async fn task_of_legacy(&self, call: &Call, subject: Subject) -> Result<Message, CallError> {
        let answered = match call.method_name() {
            "tasks/get" => self.get_of_legacy(call, &subject).await,
            "tasks/update" => self.update_at_legacy(call, &subject),
            _ => self.cancel_at_legacy(&subject).await,
        };
        match answered {
            Ok(result) => reply::own_result(call.id(), &result),
            Err(Failed::Theirs(message)) => reply::with_id(&message, call.id()),
            Err(Failed::Ours(error)) => Err(error),
        }
    }

    async fn get_of_legacy(&self, call: &Call, subject: &Subject) -> Result<String, Failed> {
        let Subject { courier, own, public, mapping, ending } = subject;
        let (message, _) = courier.ask(&courier.about("tasks/get", own, "")?).await?;
        let text = result_of(&message, courier.to(), Era::Modern)?;
        let task = Task::read(text).map_err(|fault| CallError::invalid(courier.to(), &fault))?;
        ending.saw(task.status);
        Ok(match task.status {
            Status::Working | Status::Cancelled => task.detailed(public, &Outcome::Nothing),
            Status::Completed | Status::Failed => {
                self.tasks.held.close(public);
                let (message, _) = courier.ask(&courier.about("tasks/result", own, "")?).await?;
                match message.kind() {
                    MessageKind::Error(parts) => {
                        task.detailed(public, &Outcome::Error(message.at(parts.error)))
                    }
                    _ => {
                        let result = result_of(&message, courier.to(), Era::Modern)?;
                        let result = mapped(result, mapping.as_ref(), courier.to())?;
                        task.detailed(public, &Outcome::Result(&result))
                    }
                }
            }
            Status::InputRequired => {
                let open = match self.tasks.held.find(public) {
                    Some(open) => open,
                    None => self.hear(courier, own, public).await?,
                };
                let questions = open.questions().await;
                // A client may be asked only for what it has declared (`basic/patterns/mrtr`).
                let lacking =
                    questions.iter().find_map(|question| question.lacks(call.client().capabilities()));
                if let Some(required) = lacking {
                    let upstream = courier.to().to_owned();
                    return Err(Failed::Ours(CallError::MissingCapability { upstream, required }));
                }
                let asks = Outcome::Input(&questions);
                task.detailed(public, if questions.is_empty() { &Outcome::Nothing } else { &asks })
            }
        })
    }

    /// Opens the request on which a task asks.
    async fn hear(&self, courier: &Courier, own: &str, public: &str) -> Result<Arc<Open>, CallError> {
        let nonce = random::hex::<8>()?;
        let place = self.tasks.waits.take().await?;
        let wait = courier.about("tasks/result", own, "")?;
        Ok(self.tasks.held.open(public, (courier, wait), (nonce, place)))
    }

    fn update_at_legacy(&self, call: &Call, subject: &Subject) -> Result<String, Failed> {
        let bad = |fault| CallError::Reject(Reject::member("inputResponses", &fault));
        let answers = Retry::read(call.params()).map_err(bad)?;
        match self.tasks.held.find(&subject.public) {
            Some(open) => open.answer(&answers),
            None => tracing::debug!("answers for a task that nobody hears (any more)"),
        }
        Ok(ACKNOWLEDGED.to_owned())
    }

    async fn cancel_at_legacy(&self, subject: &Subject) -> Result<String, Failed> {
        let Subject { courier, own, public, ending, .. } = subject;
        let (message, _) = courier.ask(&courier.about("tasks/cancel", own, "")?).await?;
        ending.answered("tasks/cancel", &message);
        if let Err(failed) = result_of(&message, courier.to(), Era::Modern) {
            // In the extension a task that is over can be cancelled to no effect.
            let (message, _) = courier.ask(&courier.about("tasks/get", own, "")?).await?;
            let task =
                result_of(&message, courier.to(), Era::Modern).ok().and_then(|text| Task::read(text).ok());
            if !task.is_some_and(|task| task.status.is_over()) {
                return Err(failed);
            }
        }
        self.tasks.held.close(public);
        Ok(ACKNOWLEDGED.to_owned())
    }
}

const ACKNOWLEDGED: &str = r#"{"resultType":"complete"}"#;

/// A task's result with public URIs, and without the task's name, which stands beside it.
fn mapped(text: &str, mapping: Option<&Mapping>, upstream: &str) -> Result<String, CallError> {
    let mut patch = Patch::new();
    if let Some(Mapping { names, server }) = mapping {
        let mapped = mcp::json::Object::parse(text)
            .and_then(|result| map_result_uris((names, *server), "tools/call", &result, 0, &mut patch));
        mapped.map_err(|fault| CallError::unreadable(upstream, fault))?;
    }
    let text = patch.apply(text.as_bytes());
    shapes::untag(&String::from_utf8_lossy(&text)).map_err(|fault| CallError::unreadable(upstream, fault))
}
