//! Tasks of either era, for clients of either era.
//!
//! In the legacy era (2025-11-25, core) the client asks for a task; in the modern one (the tasks extension) the server
//! decides. Where both sides are of one era their messages pass, with the ids of an aggregate put in and taken out; across,
//! [`legacy_client`] and [`legacy_server`] translate. Reading order: [`ids`] (what an id that we hand out says), `filter`
//! (how a tool call goes), `edit` (ids in what passes), then the two translations.
//!
//! Source: MCP 2025-11-25 `basic/utilities/tasks`; tasks extension `specification/draft/tasks`.

use std::sync::Arc;
use std::time::Duration;

use auth::Principal;
use base::bulkhead::Bulkhead;
use base::cache::{Bounds, Cache};
use base::error::CallError;
use catalog::Target;
use catalog::caller::Caller;
use mcp::answer::TASKS_EXTENSION;
use mcp::call::Call;
use mcp::jsonrpc::{Message, MessageKind};
use mcp::legacy::tasks::{self as shapes, Form, Status, Task};
use mcp::meta::ClientFacts;
use mcp::method::Kind;
use mcp::reject::{Reject, code};
use mcp::version::Era;
use replica::Replica;
use store::seal::Seal;

use crate::forward::filter::{Answered, At, Verdict};
use crate::forward::outlasting::{Outlasting, TaskOf};
use crate::forward::record::CallRecord;
use crate::forward::send::Sender;
use base::uris::Mapping;

mod client;
mod edit;
mod filter;
mod ids;
mod legacy_client;
mod legacy_server;
mod results;
mod told;
mod wait;

use self::client::Courier;
use self::edit::{Reshape, TaskEdit};
use self::ids::{Ids, Name};
use self::legacy_server::OpenTasks;
use self::results::Finished;
use self::told::{Seen, Tells};

/// What is remembered of tasks that legacy clients have cancelled at modern servers.
const CANCELLED: Bounds = Bounds { values: 16 * 1024, bytes: usize::MAX };

/// What all routes know of tasks. What can be said in an id is said there; this is lost with a restart.
#[derive(Debug)]
pub(crate) struct Tasks {
    seal: Arc<Seal>,
    /// Places for those who wait for the end of a task: `tasks/result`, and calls of clients that cannot have tasks. They
    /// may wait for long, so they take none of the places at their servers.
    waits: Arc<Bulkhead>,
    /// Cancelled by legacy clients, for whom that is final whatever a modern server makes of it.
    cancelled: Cache<String, (), CallError>,
    /// Results of calls that their servers made no task of, although their legacy clients wanted one.
    finished: Finished,
    /// Tasks of legacy servers that wait for modern clients.
    held: OpenTasks,
    /// The places among the calls of a tool that tasks hold.
    pub(crate) outlasting: Arc<Outlasting>,
    /// The ends of tasks that were written down.
    seen: Arc<Seen>,
    /// This process among others: an id names who knows its task.
    replica: Option<Arc<Replica>>,
}

impl Tasks {
    /// `most` may wait for the end of a task at once.
    pub(crate) fn new(seal: Arc<Seal>, most: usize, replica: Option<Arc<Replica>>) -> Arc<Self> {
        let waits = Bulkhead::new("calls that wait for a task".to_owned(), most, 0);
        Arc::new(Self {
            seal,
            waits: Arc::new(waits),
            cancelled: Cache::new(CANCELLED),
            finished: Finished::new(),
            held: OpenTasks::default(),
            outlasting: Arc::default(),
            seen: Arc::default(),
            replica,
        })
    }

    /// Gives up what is held open.
    pub(crate) fn clear(&self) {
        self.held.clear();
    }
}

/// A task that a client's request is about.
struct Subject {
    /// To its server.
    courier: Courier,
    /// Its server's own name of it.
    own: String,
    /// The client's.
    public: String,
    mapping: Option<Mapping>,
    ending: Ending,
}

/// What is to be done when a task is over.
#[derive(Debug, Clone)]
struct Ending {
    outlasting: Arc<Outlasting>,
    task: TaskOf,
    /// Has it written down, if anything is.
    tells: Option<Box<Tells>>,
}

impl Ending {
    /// A task was seen like that.
    fn saw(&self, status: Status) {
        if status.is_over() {
            self.outlasting.over(&self.task);
            self.tells.iter().for_each(|tells| tells.over(status));
        }
    }

    /// A server has answered a request about the task. That it refuses one says nothing: anybody can ask so that it does.
    fn answered(&self, method: &str, response: &Message) {
        let MessageKind::Result(parts) = response.kind() else { return };
        let status = match method {
            "tasks/result" => Some(Status::Completed),
            _ => Task::read(response.at(parts.result)).ok().map(|task| task.status),
        };
        status.into_iter().for_each(|status| self.saw(status));
    }
}

/// The tasks of one route's clients.
#[derive(Debug)]
pub(crate) struct RouteTasks {
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) sender: Arc<Sender>,
    /// Whether there are several principals, who may know nothing of each other's.
    pub(crate) knows_callers: bool,
}

impl RouteTasks {
    /// Whether ids pass as they are between a client and a server of that era. A legacy server knows a task in the session or
    /// the process that it was made in, which is one principal's; a modern one may give it to whoever knows its id. Where policies
    /// refuse what they deny, an id must say which tool its task runs.
    fn passes_ids(&self, era: Era) -> bool {
        self.sender.catalog.names.is_transparent()
            && (!self.knows_callers || era == Era::Legacy)
            && !self.sender.gate.enforces()
    }

    /// The replica that knows the task that a request is about; none where any does.
    pub(crate) fn holder(&self, call: &Call, principal: &Principal) -> Option<String> {
        let subject = call.subject().filter(|_| call.kind() == Kind::Task)?;
        Ids::new(self, principal).holder(&subject.text)
    }

    /// Where a request about a task goes. Without a name of the server's own, ids pass as they are.
    pub(crate) async fn locate<'c>(
        &'c self,
        call: &Call,
        caller: &Caller,
        record: &mut CallRecord,
    ) -> Result<Target<'c>, CallError> {
        let unknown = || CallError::Reject(Reject::UnknownMethod(call.method_name().to_owned()));
        let era = caller.era();
        let catalog = &self.sender.catalog;
        if let Some(member) = catalog.only().filter(|_| self.passes_ids(era)) {
            let (theirs, _) = member.upstream.discovered(&caller.principal, era, Some(&caller.facts)).await?;
            if theirs == era {
                return Ok(Target { server: 0, member, name: None });
            }
        }
        // A list of several servers' tasks could not have all of them: ids are not kept, and modern servers have no list.
        let Some(public) = call.subject().map(|subject| &subject.text) else { return Err(unknown()) };
        if Form::of_client(caller.revision, call.client()).is_none() {
            return Err(match era {
                Era::Legacy => unknown(),
                Era::Modern => not_declared(),
            });
        }
        let name = Ids::new(self, &caller.principal).open(public)?;
        let (server, tool) = name.tool();
        let no_such = || CallError::UnknownName { kind: Kind::Task, name: public.to_string() };
        let mut members = catalog.members.iter().enumerate();
        let found = members.find(|(_, member)| member.upstream.name() == server);
        if self.sender.gate.decides() {
            let is_allowed = match found {
                // What an earlier version has handed out does not say.
                Some((_, member)) if !tool.is_empty() => {
                    self.sender.permit_task(call, (member, tool), (caller, record)).await?
                }
                _ => !self.sender.gate.enforces(),
            };
            if !is_allowed {
                return Err(no_such());
            }
        }
        match name {
            Name::Finished { handle, .. } => Ok(catalog.own(handle.into())),
            Name::Of { task, .. } => {
                let (server, member) = found.ok_or_else(no_such)?;
                record.is_task(&task);
                Ok(Target { server, member, name: Some(task.into()) })
            }
        }
    }

    /// A request about a task whose server is known.
    async fn about(&self, At { call, caller, target, .. }: At<'_>) -> Result<Verdict, CallError> {
        let (Some(own), Some(subject)) = (&target.name, call.subject()) else {
            let own = call.subject().map(|subject| subject.text.to_string());
            let ending = own.map(|own| self.ending((caller, target), &own));
            return self.pass(call, None, (None, ending)).await;
        };
        let (own, public, era) = (own.to_string(), subject.text.to_string(), caller.era());
        let Name::Of { declared, .. } = Ids::new(self, &caller.principal).open(&public)? else {
            // It is ours, as is its server.
            return Ok(Verdict::Pass);
        };
        let upstream = &target.member.upstream;
        // A legacy server knows its task in the session or the process that it was made in.
        let is_own = era == Era::Legacy && upstream.is_ones_own();
        let client = match declared {
            Some(declared) if !is_own => {
                ClientFacts { capabilities: declared.into(), ..call.client().clone() }
            }
            _ => call.client().clone(),
        };
        let (theirs, _) = upstream.discovered(&caller.principal, era, Some(&client)).await?;
        if era == theirs {
            let changed = Box::new(call.clone().with_client(client));
            let ending = self.ending((caller, target), &own);
            return self
                .pass(call, Some(changed), (Some(Reshape::Known { own, public }), Some(ending)))
                .await;
        }
        let facts = if theirs == Era::Modern { shapes::declaring(&client) } else { client };
        let courier = Courier::new(&self.sender, target, (caller, facts));
        let ending = self.ending((caller, target), &own);
        let subject = Subject { courier, own, public, mapping: self.sender.mapping(target), ending };
        let answered = match theirs {
            Era::Modern => self.task_of_modern(call, caller.revision, subject).await?,
            Era::Legacy => Answered::Own(self.task_of_legacy(call, subject).await?),
        };
        Ok(Verdict::Answer(Box::new(answered), None))
    }

    /// Both sides are of one era.
    async fn pass(
        &self,
        call: &Call,
        changed: Option<Box<Call>>,
        (reshape, ending): (Option<Reshape>, Option<Ending>),
    ) -> Result<Verdict, CallError> {
        let place = if call.waits() { Some(self.tasks.waits.take().await?) } else { None };
        Ok(Verdict::With {
            call: changed,
            edit: Some(Box::new(TaskEdit {
                reshape,
                place,
                ending: ending.map(|ending| (ending, call.method_name().to_owned())),
            })),
        })
    }

    fn ending(&self, whose: (&Caller, &Target<'_>), own: &str) -> Ending {
        let (caller, target) = whose;
        let server = target.member.upstream.name();
        let (sinks, seen) = (&self.sender.world.sinks, &self.tasks.seen);
        Ending {
            outlasting: Arc::clone(&self.tasks.outlasting),
            task: TaskOf::new(whose, own),
            tells: Tells::new(sinks, seen, (caller.principal.id(), server, &self.sender.route), own),
        }
    }
}

/// Who has not declared the extension can have no tasks (tasks extension §Protocol Errors).
fn not_declared() -> CallError {
    CallError::NotDeclared { required: format!("{{\"extensions\":{{\"{TASKS_EXTENSION}\":{{}}}}}}") }
}

/// Why there is no result.
enum Failed {
    Ours(CallError),
    /// The server's own error response.
    Theirs(Box<Message>),
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self::Ours(error)
    }
}

/// The result of a response.
fn result_of<'m>(message: &'m Message, upstream: &str, client: Era) -> Result<&'m str, Failed> {
    match message.kind() {
        MessageKind::Result(parts) => Ok(message.at(parts.result)),
        MessageKind::Error(parts) if client == Era::Legacy && code::is_modern(parts.code) => {
            let why = format!("error {} of the modern era", parts.code);
            Err(Failed::Ours(CallError::InvalidAnswer { upstream: upstream.to_owned(), why }))
        }
        _ => Err(Failed::Theirs(Box::new(message.clone()))),
    }
}

/// How long an id leads back to its server at least.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
