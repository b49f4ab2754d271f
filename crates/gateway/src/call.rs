//! The spine: the whole way of a call, read aloud.
//!
//! A listener has found out who calls ([`catalog::caller`]) and made a modern call of what came in ([`mcp::inbound`]). Here it is
//! counted, located, taken through its route's filters, and sent; [`crate::forward::relay`] carries the answer back. No method
//! has a branch of its own: the method table says whether a call goes to the owner of its subject or to all servers.

use std::sync::Arc;

use auth::Refusal;
use base::error::CallError;
use catalog::caller::Caller;
use catalog::changes::subscription::Subscription;
use limits::{Entry, Held};
use mcp::call::Call;
use mcp::listen::Filter;
use mcp::method::{Kind, Method, Reach};
use mcp::reject::Reject;
use mcp::version::Era;

use crate::forward::edit::{self, Edit};
use crate::forward::filter::Answered;
use crate::forward::record::CallRecord;
use crate::forward::round;
use crate::forward::state::Proof;
use crate::outcome::Outcome;
use crate::route::Route;

impl Route {
    /// Carries a call to where it is answered, and has it written down however that ends. Cancel safe: dropped, the call is
    /// cancelled.
    pub(crate) async fn run(
        &self,
        call: Box<Call>,
        caller: &Arc<Caller>,
        approved: Option<Box<Proof>>,
    ) -> Result<Outcome, CallError> {
        let mut record = CallRecord::of_call(&self.world, (&call, caller), &self.name)?;
        match self.go((call, approved), caller, &mut record).await {
            Ok(mut outcome) => {
                outcome.keep(record).await?;
                Ok(outcome)
            }
            Err(error) => {
                record.failed(&error).await?;
                Err(error)
            }
        }
    }

    async fn go(
        &self,
        (call, approved): (Box<Call>, Option<Box<Proof>>),
        caller: &Arc<Caller>,
        record: &mut CallRecord,
    ) -> Result<Outcome, CallError> {
        let mut counted = match self.limiting.as_ref().map(|limiting| {
            let goes_on = || self.suspended.goes_on(&self.name, &call, caller, &self.world);
            limiting.enter((&call, approved.as_deref()), caller, goes_on)
        }) {
            None => None,
            Some(Entry::Now(counted)) => counted?,
            Some(Entry::Later(counted)) => counted.await?,
        };
        record.hold(self.places.take().await?);
        if self.reach(&call, caller.era())? == Reach::All {
            let outcome = self.over_all(&call, caller).await?;
            if let Some(counted) = counted {
                counted.count(outcome.bytes());
            }
            return Ok(outcome);
        }
        let target =
            self.locate(&call, caller, record).await.inspect_err(|error| record.would_go_to(error))?;
        record.goes_to(&target, &call, caller);
        let admitted = self.filters.admit(&call, caller, (&target, approved)).await;
        let mut admitted = admitted.inspect_err(|error| {
            not_counted(error, counted.as_deref_mut());
            if let CallError::Refused(_) | CallError::ApprovalNeeded(_) | CallError::ApprovalDenied { .. } =
                error
            {
                self.sender.say_decision((&call, &target), caller, None, record);
            }
        })?;
        let proof = admitted.approved.as_deref();
        if let (Some(proof), Some(detail)) = (proof, record.detail()) {
            detail.approval = Some(proof.id.as_str().into());
        }
        if matches!(admitted.answer.as_deref(), Some(Answered::Own(_) | Answered::Rounds(_))) {
            // We answer instead of its target: the gate is asked as if it were sent. What is yet to be approved is not.
            let approved = proof.map(|proof| &proof.approved);
            match self.sender.permit_in((&call, &target), caller, approved, Some(record)) {
                Ok(_) | Err(CallError::Refused(Refusal::Approval(_))) => {}
                Err(error) => {
                    edit::not_sent(&error, &mut admitted.edits);
                    return Err(error);
                }
            }
        }
        let answer = match admitted.answer.take().map(|answer| *answer) {
            None => {
                let sent = (admitted.call.as_deref().unwrap_or(&call), &*call);
                let to = (&target, admitted.approved.as_deref());
                let answer = self.sender.send(sent, caller, to, Some(record)).await;
                answer.inspect_err(|error| {
                    edit::not_sent(error, &mut admitted.edits);
                    not_counted(error, counted.as_deref_mut());
                })?
            }
            Some(Answered::Server(answer)) => {
                let approved = admitted.approved.as_deref().map(|proof| &proof.approved);
                self.sender.say_decision((&call, &target), caller, approved, record);
                answer
            }
            Some(Answered::Own(message)) => {
                let bytes = message.bytes().len();
                admitted.edits.extend(counted.map(|counted| counted as Box<dyn Edit>));
                admitted.edits.iter_mut().for_each(|edit| edit.arrived(bytes));
                return Ok(Outcome::Own(message));
            }
            // It was counted when it was begun.
            Some(Answered::Resumed(relay)) => return Ok(Outcome::Relay(relay)),
            Some(Answered::Rounds(rounds)) => {
                admitted.edits.extend(counted.map(|counted| counted as Box<dyn Edit>));
                return Ok(Outcome::Rounds(round::with_edits(rounds, admitted.edits), None));
            }
        };
        admitted.edits.extend(counted.map(|counted| counted as Box<dyn Edit>));
        Ok(Outcome::Relay(self.sender.relay(answer, (call, admitted), caller, &target)))
    }

    /// Whom a call concerns, if there is such a method in its client's era.
    fn reach(&self, call: &Call, era: Era) -> Result<Reach, CallError> {
        let unknown = || CallError::Reject(Reject::UnknownMethod(call.method_name().to_owned()));
        match call.method() {
            Some(method) if !exists_in(method, era) => Err(unknown()),
            // What is left of these by the legacy era's door is for a server that is alone.
            Some(Method { reach: Reach::Peer, .. }) if self.catalog.only().is_none() => Err(unknown()),
            method => Ok(method.map_or(Reach::Owner, |method| method.reach)),
        }
    }

    /// A call that concerns all servers: a list, a description, or a subscription.
    async fn over_all(&self, call: &Call, caller: &Caller) -> Result<Outcome, CallError> {
        let Some(method) = call.method() else { return Err(CallError::Internal("no method".to_owned())) };
        if method.entries.is_some() {
            return self.lists.list(call, method, caller).await.map(Outcome::from);
        }
        if method.cacheable {
            // What is rare lies in a box of its own: the future of the usual call is moved as a whole, and must be small.
            return Box::pin(self.descriptions.describe(call, caller)).await.map(Outcome::Own);
        }
        let wanted = Filter::read(call.params())?;
        if let Some(identifier) = &self.identifier {
            let whose = (&caller.principal, caller.claims.as_deref());
            let lacks = |uri: &String| identifier.lacks_for_uri(whose, Kind::Resource, uri);
            wanted.uris.iter().find_map(lacks).map_or(Ok(()), Err)?;
        }
        let whose = (caller.whose(), caller.era());
        let subscription = Box::pin(Subscription::open(&self.changes, wanted, whose)).await?;
        Ok(Outcome::Listen(Box::new(subscription.for_stream(call.id().clone()))))
    }
}

/// Another limit than those by its caller refuses a call: it costs nothing of them.
fn not_counted(error: &CallError, counted: Option<&mut Held>) {
    if let (CallError::RateLimited(_), Some(counted)) = (error, counted) {
        counted.give_back();
    }
}

fn exists_in(method: &Method, era: Era) -> bool {
    match era {
        Era::Modern => method.modern,
        Era::Legacy => method.legacy,
    }
}
