//! How a tool call goes that has to do with tasks.

use std::sync::Arc;

use base::error::CallError;
use mcp::call::Call;
use mcp::jsonrpc::MessageKind;
use mcp::legacy::tasks::{self as shapes, Form, Task};
use mcp::version::Era;
use upstream::Arrival;

use super::courier::Courier;
use super::name::Ids;
use super::relay::{Abandon, Reshape, Tasking};
use crate::call::Way;
use crate::caller::Caller;
use crate::catalog::Target;
use crate::route::Route;

/// How a call is sent, and what becomes of its answer.
struct Manner {
    /// The call as its server is to get it, if that differs.
    call: Option<Box<Call>>,
    reshape: Option<Reshape>,
}

impl Manner {
    const PLAIN: Self = Self { call: None, reshape: None };
}

impl Route {
    /// Sends a call to the owner of its subject.
    pub(crate) async fn forward(
        &self,
        call: &Call,
        target: &Target<'_>,
        caller: &Arc<Caller>,
    ) -> Result<Way, CallError> {
        let manner = match call.method_name() {
            "tools/call" => self.manner(call, target, caller).await?,
            _ => Manner::PLAIN,
        };
        if let Some(Reshape::Run) = manner.reshape {
            return Box::pin(self.run_task(manner.call.as_deref().unwrap_or(call), target, caller)).await;
        }
        let answer = self.send(manner.call.as_deref().unwrap_or(call), target, caller).await?;
        let client = manner.call.map(|call| call.client().clone());
        let tasking =
            manner.reshape.map(|reshape| Box::new(Tasking { reshape: Some(reshape), client, place: None }));
        Ok(Way::Server(answer, self.mapping(target), tasking))
    }

    async fn manner(
        &self,
        call: &Call,
        target: &Target<'_>,
        caller: &Arc<Caller>,
    ) -> Result<Manner, CallError> {
        let era = caller.era();
        let wants = match Form::of_client(caller.revision, call.client()) {
            Some(Form::Extension) => true,
            Some(Form::Core) => shapes::is_wanted(call),
            None => false,
        };
        let tool = target.name.as_deref().or_else(|| call.subject().map(|subject| &*subject.text));
        // A legacy client that knows tasks and does not want one hears from its server that it must.
        let may_run = !caller.revision.core_tasks;
        let required =
            may_run && self.catalog.requires_task(target, tool.unwrap_or_default(), caller).await?;
        if !wants && !required {
            return Ok(Manner::PLAIN);
        }
        let upstream = &target.member.upstream;
        let found = Box::pin(upstream.discovered(&caller.principal, caller.era(), Some(&caller.facts)));
        let (theirs, discovered) = found.await?;
        let created = |from, to| {
            let (server, ids) = (upstream.name().to_owned(), Ids::new(self, &caller.principal));
            Some(Reshape::Created { from, to, server, ids })
        };
        let transparent = self.catalog.names.is_transparent();
        let manner = match (era, Form::of_server(theirs, &discovered)) {
            // Ids pass as they are.
            (Era::Modern, Some(Form::Extension)) | (Era::Legacy, Some(Form::Core))
                if wants && transparent =>
            {
                Manner::PLAIN
            }
            (Era::Modern, Some(Form::Extension)) if wants => {
                Manner { call: None, reshape: created(Form::Extension, Form::Extension) }
            }
            (Era::Legacy, Some(Form::Core)) if wants => {
                Manner { call: None, reshape: created(Form::Core, Form::Core) }
            }
            (Era::Legacy, Some(Form::Extension)) if wants => {
                let asked = shapes::not_asking(call)?;
                let client = shapes::declaring(asked.client());
                Manner {
                    call: Some(Box::new(asked.with_client(client))),
                    reshape: created(Form::Extension, Form::Core),
                }
            }
            // In the legacy era nobody but the client decides; a tool that need not be a task is called as any other.
            (_, Some(Form::Core)) if required => {
                let reshape = if wants { created(Form::Core, Form::Extension) } else { Some(Reshape::Run) };
                Manner { call: Some(Box::new(shapes::asking(call)?)), reshape }
            }
            _ => Manner::PLAIN,
        };
        Ok(manner)
    }

    /// Runs a task for a client that cannot have one, and gives its result as the call's.
    async fn run_task(
        &self,
        call: &Call,
        target: &Target<'_>,
        caller: &Arc<Caller>,
    ) -> Result<Way, CallError> {
        let place = self.tasks.waits.take().await?;
        let upstream = &target.member.upstream;
        let mut answer = self.send(call, target, caller).await?;
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
            return Ok(Way::Server(Box::new(answer.over(response)), self.mapping(target), None));
        };
        let courier = Courier::new(self, target, (caller, call.client().clone()));
        let abandon =
            Abandon::new(courier.clone(), courier.about("tasks/cancel", &own, "")?, &self.world.tasks);
        let wait = courier.about("tasks/result", &own, "")?;
        // The token of the call is good for as long as the task goes on (2025-11-25 §Task Progress Notifications).
        let answer = courier.send(&wait, Some(answer.id())).await?;
        let reshape = Some(Reshape::Final { abandon: Some(Box::new(abandon)) });
        let tasking = Tasking { reshape, client: None, place: Some(place) };
        Ok(Way::Server(answer, self.mapping(target), Some(Box::new(tasking))))
    }
}
