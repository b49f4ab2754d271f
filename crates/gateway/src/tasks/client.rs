//! Requests of ours about tasks, with all that it takes to send them: they may outlive the request that they are made for.

use std::sync::Arc;

use auth::{Action, Gate};
use base::error::CallError;
use catalog::Target;
use catalog::caller::Caller;
use mcp::call::Call;
use mcp::json;
use mcp::jsonrpc::Message;
use mcp::meta::ClientFacts;
use mcp::trace::Trace;
use mcp::version::{Era, Revision};
use upstream::{Answer, Arrival, Order, Upstream};

use crate::forward::send::{self, Sender};

/// Sends requests to one server on behalf of one client.
#[derive(Debug, Clone)]
pub(crate) struct Courier {
    pub(super) upstream: Arc<Upstream>,
    /// What the server is told of the client.
    pub(super) facts: ClientFacts,
    gate: Gate,
    caller: Arc<Caller>,
}

impl Courier {
    pub(super) fn new(
        sender: &Sender,
        target: &Target<'_>,
        (caller, facts): (&Arc<Caller>, ClientFacts),
    ) -> Self {
        Self {
            upstream: Arc::clone(&target.member.upstream),
            facts,
            gate: sender.gate.clone(),
            caller: Arc::clone(caller),
        }
    }

    /// The server's name.
    pub(super) fn to(&self) -> &str {
        self.upstream.name()
    }

    /// A request about the task that the server calls `own`; `members` are those beside the id, each after a comma.
    pub(super) fn about(&self, method: &str, own: &str, members: &str) -> Result<Call, CallError> {
        let params = format!("{{\"taskId\":{}{members}}}", json::quote(own));
        Ok(Call::own(method, &params, self.facts.clone())?)
    }

    /// Sends a request, and gives what begins to answer it. Progress of the earlier request `after` belongs to it now.
    pub(super) async fn send(&self, call: &Call, after: Option<u64>) -> Result<Box<Answer>, CallError> {
        let action = Action::new(call.method_name(), self.upstream.label(), None);
        let permit = self.gate.permit(&self.caller.principal, &action)?;
        let order = Order {
            call,
            era: self.caller.era(),
            reads: Era::Modern,
            subject: None,
            trace: Trace::read(&self.caller.headers),
            span: None,
            is_listed: false,
            headers: &self.caller.headers,
            mirrored: &[],
            session: self.caller.session.clone(),
            client: self.caller.client.clone(),
            within: send::within(call, &self.upstream.plan().deadlines),
            listens: false,
            probes: false,
            after,
            known_at: None,
            sent: None,
        };
        self.upstream.send(permit.cover(order)).await
    }

    /// Sends a request and waits for its response, an error of the server's included.
    pub(super) async fn ask(&self, call: &Call) -> Result<(Message, &'static Revision), CallError> {
        let after = self.upstream.plan().deadlines.call;
        let asked = async {
            let mut answer = self.send(call, None).await?;
            loop {
                if let Arrival::Response(response) = answer.next().await? {
                    return Ok((response.message, answer.revision()));
                }
            }
        };
        let late = || CallError::Deadline { upstream: self.to().to_owned(), after };
        tokio::time::timeout(after, asked).await.unwrap_or_else(|_elapsed| Err(late()))
    }
}
