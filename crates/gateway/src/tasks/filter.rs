//! How a tool call goes that has to do with tasks.

use base::error::CallError;
use catalog::Catalog;
use mcp::jsonrpc::MessageKind;
use mcp::legacy::tasks::{self as shapes, Form, Task};
use mcp::method::Kind;
use mcp::version::Era;
use upstream::Arrival;

use super::RouteTasks;
use super::client::Courier;
use super::edit::{Abandon, Reshape, TaskEdit};
use super::ids::Ids;
use crate::forward::edit::Edit;
use crate::forward::filter::{Admit, Answered, At, Filter, Stage, Verdict};

impl Filter for RouteTasks {
    fn stage(&self) -> Stage {
        Stage::Tasks
    }

    fn admit<'a>(&'a self, at: At<'a>) -> Admit<'a> {
        match at.call.kind() {
            Kind::Task => Admit::Later(Box::pin(self.about(at))),
            Kind::Tool if at.call.method_name() == "tools/call" => self.tool(at),
            _ => Admit::PASS,
        }
    }
}

/// Whether a client wants its call to be a task, or takes it for one.
fn wants(At { call, caller, .. }: At<'_>) -> bool {
    match Form::of_client(caller.revision, call.client()) {
        Some(Form::Extension) => true,
        Some(Form::Core) => shapes::is_wanted(call),
        None => false,
    }
}

/// The server's own name of the tool.
fn tool_of<'a>(At { call, target, .. }: At<'a>) -> &'a str {
    let tool = target.name.as_deref().or_else(|| call.subject().map(|subject| &*subject.text));
    tool.unwrap_or_default()
}

impl RouteTasks {
    /// A tool call: nearly all have nothing to do with tasks, and that is known at once.
    fn tool<'a>(&'a self, at: At<'a>) -> Admit<'a> {
        let known = Catalog::known_to_require_task(at.target, tool_of(at), at.caller.era());
        if !wants(at) && (at.caller.revision.core_tasks || known == Some(false)) {
            return Admit::PASS;
        }
        Admit::Later(Box::pin(self.decide(at)))
    }

    async fn decide(&self, at: At<'_>) -> Result<Verdict, CallError> {
        let At { call, caller, target, .. } = at;
        let wants = wants(at);
        // A legacy client that knows tasks and does not want one hears from its server that it must.
        let may_run = !caller.revision.core_tasks;
        let catalog = &self.sender.catalog;
        let required = may_run && catalog.requires_task(target, tool_of(at), caller).await?;
        if !wants && !required {
            return Ok(Verdict::Pass);
        }
        let upstream = &target.member.upstream;
        let (theirs, discovered) =
            upstream.discovered(&caller.principal, caller.era(), Some(&caller.facts)).await?;
        let created = |from, to, client| {
            let tool = (upstream.name().to_owned(), tool_of(at).to_owned());
            let ids = Ids::new(self, &caller.principal);
            Some(TaskEdit::of(Reshape::Created { from, to, tool, ids, client }))
        };
        let facts = || call.client().clone();
        let transparent = self.passes_ids(caller.era());
        Ok(match (caller.era(), Form::of_server(theirs, &discovered)) {
            // Ids pass as they are.
            (Era::Modern, Some(Form::Extension)) | (Era::Legacy, Some(Form::Core))
                if wants && transparent =>
            {
                Verdict::Pass
            }
            (Era::Modern, Some(Form::Extension)) if wants => {
                Verdict::With { call: None, edit: created(Form::Extension, Form::Extension, facts()) }
            }
            (Era::Legacy, Some(Form::Core)) if wants => {
                Verdict::With { call: None, edit: created(Form::Core, Form::Core, facts()) }
            }
            (Era::Legacy, Some(Form::Extension)) if wants => {
                let asked = shapes::not_asking(call)?;
                let client = shapes::declaring(asked.client());
                let edit = created(Form::Extension, Form::Core, client.clone());
                Verdict::With { call: Some(Box::new(asked.with_client(client))), edit }
            }
            // In the legacy era nobody but the client decides; a tool that need not be a task is called as any other.
            (_, Some(Form::Core)) if required => {
                let asking = Box::new(shapes::asking(call)?);
                if !wants {
                    return self.run(At { call: &asking, ..at }).await;
                }
                let edit = created(Form::Core, Form::Extension, asking.client().clone());
                Verdict::With { call: Some(asking), edit }
            }
            _ => Verdict::Pass,
        })
    }

    /// Runs a task for a client that cannot have one, and gives its result as the call's.
    async fn run(&self, At { call, came, caller, target, approved }: At<'_>) -> Result<Verdict, CallError> {
        let place = self.tasks.waits.take().await?;
        let upstream = &target.member.upstream;
        let mut answer = self.sender.send((call, came), caller, (target, approved), None).await?;
        let within = upstream.plan().deadlines.call;
        let begun = async {
            loop {
                if let Arrival::Response(response) = answer.next().await? {
                    return Ok(response);
                }
            }
        };
        let late = || CallError::Deadline { upstream: upstream.name().to_owned(), after: within };
        let response = tokio::time::timeout(within, begun).await.unwrap_or_else(|_elapsed| Err(late()))?;
        let invalid = |fault| CallError::invalid(upstream.name(), &fault);
        let own = match response.message.kind() {
            MessageKind::Result(parts) => {
                let text = response.message.at(parts.result);
                Task::read_created(text).map_err(invalid)?.map(|task| task.id.into_owned())
            }
            _ => None,
        };
        // It has answered at once.
        let Some(own) = own else {
            return Ok(Verdict::Answer(Box::new(Answered::Server(Box::new(answer.over(response)))), None));
        };
        let courier = Courier::new(&self.sender, target, (caller, call.client().clone()));
        let cancel = courier.about("tasks/cancel", &own, "")?;
        let abandon = Abandon::new(courier.clone(), cancel, &self.sender.world.tasks);
        let wait = courier.about("tasks/result", &own, "")?;
        // The token of the call is good for as long as the task goes on (2025-11-25 §Task Progress Notifications).
        let answer = courier.send(&wait, Some(answer.id())).await?;
        let reshape = Some(Reshape::Final { abandon: Some(Box::new(abandon)) });
        let edit: Box<dyn Edit> = Box::new(TaskEdit { reshape, place: Some(place), ending: None });
        Ok(Verdict::Answer(Box::new(Answered::Server(answer)), Some(edit)))
    }
}
