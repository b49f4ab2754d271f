//! A retry of a modern client. A modern server has given the state itself, and gets it back as it is; of a legacy server's
//! call we hold what is open.
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`.

use std::sync::Arc;
use std::time::Duration;

use auth::Refusal;
use base::error::CallError;
use base::reply;
use identity::Identifier;
use mcp::call::Call;
use mcp::method::Kind;
use mcp::mrtr;
use mcp::reject::Reject;
use mcp::version::Era;

use super::edit::Edit;
use super::filter::{Admit, Answered, At, Filter, Stage, Verdict};
use super::send::Sender;
use super::state::{Binding, Bond};
use super::suspend::{Resumed, Suspended};

/// For how long a state is good that a modern server has given. Whether it still is, its server says.
const BOUND: Duration = Duration::from_secs(24 * 3600);

/// Lets retries go on with what they have left open.
#[derive(Debug)]
pub(crate) struct Resumption {
    pub(crate) sender: Arc<Sender>,
    pub(crate) suspended: Arc<Suspended>,
    /// Who finds out who calls, if anybody does. There are several principals then, and no state is good for another than who was
    /// given it.
    pub(crate) identifier: Option<Arc<Identifier>>,
}

impl Filter for Resumption {
    fn stage(&self) -> Stage {
        Stage::Resume
    }

    fn admit<'a>(&'a self, at: At<'a>) -> Admit<'a> {
        // What a client answers to a task's questions is no retry (tasks extension §Task Update Requests).
        if at.caller.era() == Era::Legacy || at.call.kind() == Kind::Task {
            return Admit::PASS;
        }
        if at.call.continues() {
            return Admit::Later(Box::pin(self.go_on(at)));
        }
        match self.binding(at) {
            None => Admit::PASS,
            Some(binding) => Admit::Now(Ok(Verdict::With { call: None, edit: Some(edit(binding)) })),
        }
    }
}

fn has_state(call: &Call) -> bool {
    mrtr::Retry::read(call.params()).is_ok_and(|retry| retry.state.is_some())
}

fn edit(binding: Binding) -> Box<dyn Edit> {
    Box::new(binding)
}

impl Resumption {
    async fn go_on(&self, at: At<'_>) -> Result<Verdict, CallError> {
        let At { call, caller, target, approved, .. } = at;
        let upstream = &target.member.upstream;
        let (era, _) = upstream.discovered(&caller.principal, Era::Modern, Some(call.client())).await?;
        let now = || self.sender.world.clock.now();
        if era == Era::Modern {
            let Some(binding) = self.binding(at) else { return Ok(Verdict::Pass) };
            let unbound = self.suspended.seals.unbound(call, &binding.bond, now())?.map(Box::new);
            if unbound.is_none() && self.identifier.is_some() && has_state(call) {
                // It was given to somebody else, for something else, or long ago.
                return Err(CallError::RequestState("it was not given for this call to this caller"));
            }
            let call = unbound;
            return Ok(Verdict::With { call, edit: Some(edit(binding)) });
        }
        match self.sender.permit(call, target, caller, approved.map(|proof| &proof.approved)) {
            // Before it was sent it was approved; should it be sent again, it is not any more.
            Ok(_) | Err(CallError::Refused(Refusal::Approval(_))) => {}
            Err(error) => return Err(error),
        }
        let bond = Bond::new(&self.sender.route, &caller.principal, call, upstream.plan().deadlines.input);
        let retry = mrtr::Retry::read(call.params())
            .map_err(|fault| CallError::Reject(Reject::member("inputResponses", &fault)))?;
        // Who comes with anything else takes no place, and waits for none.
        let Some(handle) = self.suspended.leads(&retry, &bond, now())? else {
            return Ok(Verdict::With { call: Some(Box::new(mrtr::again(call, &[], None)?)), edit: None });
        };
        // So that whoever ends the server waits for it, as for any other call.
        let place = upstream.place(&caller.principal).await?;
        let lifetime = caller.until_revoked(self.identifier.as_ref());
        let resumed = self.suspended.resume(&handle, (call, caller), &retry, (&bond, now(), lifetime));
        Ok(match resumed.await? {
            Resumed::Goes(mut relay) => {
                relay.seat(place);
                Verdict::Answer(Box::new(Answered::Resumed(relay)), None)
            }
            Resumed::Asks(result) => {
                Verdict::Answer(Box::new(Answered::Own(reply::own_result(call.id(), &result)?)), None)
            }
        })
    }

    /// What binds a modern server's state: to this replica, where a client may come to another one and each has a process of
    /// its own; and to its principal, where there are several.
    fn binding(&self, At { call, caller, target, approved, .. }: At<'_>) -> Option<Binding> {
        let asks = || call.method().is_some_and(|method| method.may_ask);
        let is_of_a_process = self.suspended.seals.has_replicas() && target.member.upstream.is_process();
        if !(is_of_a_process || self.identifier.is_some() || approved.is_some()) || !asks() {
            return None;
        }
        let bond = Bond::new(&self.sender.route, &caller.principal, call, BOUND);
        let (seals, clock) = (Arc::clone(&self.suspended.seals), Arc::clone(&self.sender.world.clock));
        Some(Binding { seals, bond, clock, approved: approved.cloned() })
    }
}
