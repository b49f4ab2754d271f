//! A call goes to its target: the gate is asked about it as it will be sent, and the order written.

use std::sync::Arc;

use auth::definition::Sort;
use auth::{Action, Approved, Decision, Gate, Known, Permit};
use base::detail::SentAs;
use base::error::CallError;
use base::plan::Deadlines;
use base::world::World;
use catalog::caller::Caller;
use catalog::sight;
use catalog::{Catalog, Member, Target};
use http::{HeaderName, HeaderValue};
use limits::Limiter;
use mcp::call::Call;
use mcp::method::Kind;
use mcp::mirror::MirrorFault;
use mcp::mrtr;
use mcp::outbound;
use mcp::reject::Reject;
use mcp::trace::Trace;
use mcp::version::Era;
use tokio::time::Duration;
use upstream::{Answer, Order};

use crate::forward::desk;
use crate::forward::filter::Admitted;
use crate::forward::record::{CallRecord, Followed};
use crate::forward::relay::{Errand, Relay};
use crate::forward::state::{Bond, Proof};
use base::uris::Mapping;

/// What is followed of a call where it goes out: a span, and what its record says of that.
type Wayside<'s> = (Option<&'s Followed>, Option<&'s Arc<SentAs>>);

/// Sends the calls of one route.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The route's name.
    pub(crate) route: String,
    pub(crate) gate: Gate,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) world: World,
    pub(crate) limiter: Arc<Limiter>,
}

impl Sender {
    /// Asks the gate whether a call may go to its target.
    pub(crate) fn permit(
        &self,
        call: &Call,
        target: &Target<'_>,
        caller: &Caller,
        approved: Option<&Approved>,
    ) -> Result<Permit, CallError> {
        self.ask((call, target), caller, approved, None)
    }

    /// The same, and what was decided is put into the call's record, if somebody wants it there.
    pub(crate) fn permit_in(
        &self,
        of: (&Call, &Target<'_>),
        caller: &Caller,
        approved: Option<&Approved>,
        record: Option<&mut CallRecord>,
    ) -> Result<Permit, CallError> {
        let Some(record) = record.filter(|record| record.is_detailed()) else {
            return self.ask(of, caller, approved, None);
        };
        let mut told = None;
        let asked = self.ask(of, caller, approved, Some(&mut told));
        record.decided(told);
        asked
    }

    /// Puts what is decided about a call into its record that is refused before it would be sent.
    pub(crate) fn say_decision(
        &self,
        of: (&Call, &Target<'_>),
        caller: &Caller,
        approved: Option<&Approved>,
        record: &mut CallRecord,
    ) {
        if record.lacks_decision() {
            // What is refused is refused already.
            drop(self.permit_in(of, caller, approved, Some(record)));
        }
    }

    fn ask(
        &self,
        (call, target): (&Call, &Target<'_>),
        caller: &Caller,
        approved: Option<&Approved>,
        told: Option<&mut Option<Decision>>,
    ) -> Result<Permit, CallError> {
        let name = target.name.as_deref().or_else(|| call.subject().map(|subject| &*subject.text));
        let upstream = target.member.upstream.label();
        if let (Some(name), Some(subject)) = (name, call.subject()) {
            // Its list may have been read again since it was found.
            target.member.permit_pinned(call.kind(), (name, &subject.text), caller)?;
        }
        let action = Action::new(call.method_name(), upstream, name);
        if !self.gate.decides() {
            return Ok(self.gate.permit(&caller.principal, &action)?);
        }
        let index = target.member.server_lists.index(caller.era());
        let trace = Trace::read(&caller.headers);
        let known = Known {
            claims: caller.claims.as_ref(),
            sort: Sort::of(call.kind()),
            definition: name.and_then(|name| index.definition(call.kind(), name)),
            arguments: call.arguments(),
            address: caller.address,
            era: Some(caller.era().name()),
            trace: trace.id(),
            approved,
        };
        Ok(sight::permit(&self.gate, &caller.principal, &Action { known, ..action }, told)?)
    }

    /// Whether a request about a task of this tool may go on: the gate is asked about the tool. Where a denial speaks, it is an error.
    pub(crate) async fn permit_task(
        &self,
        call: &Call,
        (member, tool): (&Member, &str),
        (caller, record): (&Caller, &mut CallRecord),
    ) -> Result<bool, CallError> {
        member.know_tools(caller).await?;
        let index = member.server_lists.index(caller.era());
        let trace = Trace::read(&caller.headers);
        let known = Known {
            claims: caller.claims.as_ref(),
            sort: Some(Sort::Tool),
            definition: index.definition(Kind::Tool, tool),
            address: caller.address,
            era: Some(caller.era().name()),
            trace: trace.id(),
            ..Known::default()
        };
        let action = Action { known, ..Action::new(call.method_name(), member.upstream.label(), Some(tool)) };
        let mut told = None;
        let told_to = if record.is_detailed() { Some(&mut told) } else { None };
        let permitted = sight::permit(&self.gate, &caller.principal, &action, told_to);
        record.decided(told);
        match permitted {
            Ok(_permit) => Ok(true),
            Err(_) if self.gate.hides() => Ok(false),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Sends a call to its target. A refusal over mirrored headers means that our idea of the tool's schema is old:
    /// the list is read again and the call, which was not carried out, sent once more. Cancel safe: dropped, it cancels the
    /// call. `came` is the call as it came. What was approved is used in the moment before.
    pub(crate) async fn send(
        &self,
        (call, came): (&Call, &Call),
        caller: &Caller,
        (target, proof): (&Target<'_>, Option<&Proof>),
        mut record: Option<&mut CallRecord>,
    ) -> Result<Box<Answer>, CallError> {
        let approved = proof.map(|proof| &proof.approved);
        let mirrored = self.mirror(call, caller, target).await?;
        let permit = self.permit_in((call, target), caller, approved, record.as_deref_mut())?;
        if !permit.allowances().is_empty() && !came.is_again() {
            let whose = (self.route.as_str(), &caller.principal);
            Box::pin(self.limiter.allow(whose, permit.allowances())).await?;
        }
        if let Some(proof) = proof {
            // What is refused here needs no approval again.
            Box::pin(desk::spend(&self.world, proof, caller.principal.id())).await?;
        }
        let sent = record.as_deref_mut().and_then(CallRecord::sending);
        let followed = record.as_deref_mut().and_then(|record| record.is_sent(call, target, caller));
        let wayside = (followed.as_ref(), sent.as_ref());
        let answer = match self.send_once(call, caller, (target, permit), (&mirrored, wayside)).await {
            // What it is now is found out in the conversation that has begun, and then it may be sent, or may not.
            Err(CallError::BegunAnew { .. }) => {
                Box::pin(target.member.relearn(call.kind(), caller)).await;
                let learned = Box::pin(self.mirror(call, caller, target)).await?;
                let permit = self.permit_in((call, target), caller, approved, record.as_deref_mut())?;
                return Box::pin(self.send_once(call, caller, (target, permit), (&learned, wayside))).await;
            }
            answer => answer?,
        };
        if !answer.refuses_headers() || call.kind() != Kind::Tool {
            return Ok(answer);
        }
        // The list and the second try need the place that the refused answer still holds.
        let refused = answer.release();
        Box::pin(target.member.relearn(Kind::Tool, caller)).await;
        let learned = Box::pin(self.mirror(call, caller, target)).await?;
        if learned == mirrored {
            return Ok(Box::new(refused));
        }
        let permit = self.permit_in((call, target), caller, approved, record)?;
        Box::pin(self.send_once(call, caller, (target, permit), (&learned, wayside))).await
    }

    async fn send_once(
        &self,
        call: &Call,
        caller: &Caller,
        (target, permit): (&Target<'_>, Permit),
        (mirrored, (followed, sent)): (&[(HeaderName, HeaderValue)], Wayside<'_>),
    ) -> Result<Box<Answer>, CallError> {
        let upstream = &target.member.upstream;
        let order = Order {
            call,
            era: caller.era(),
            reads: caller.era(),
            subject: target.name.as_deref(),
            trace: Trace::read(&caller.headers),
            span: followed.and_then(|followed| followed.span.as_ref()),
            is_listed: followed.is_some_and(|followed| followed.is_listed),
            headers: &caller.headers,
            mirrored,
            session: caller.session.clone(),
            client: caller.client.clone(),
            within: within(call, &upstream.plan().deadlines),
            listens: false,
            probes: false,
            after: None,
            known_at: target.member.server_lists.known_at(call.kind(), caller),
            sent: sent.cloned(),
        };
        upstream.send(permit.cover(order)).await
    }

    /// Checks the mirrored arguments of a tool call and gives the headers that the server is to get. A tool whose
    /// schema nobody has told us is not checked, and its headers pass as they came.
    async fn mirror(
        &self,
        call: &Call,
        caller: &Caller,
        target: &Target<'_>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, CallError> {
        if call.kind() != Kind::Tool {
            return Ok(Vec::new());
        }
        let Some(subject) = call.subject() else { return Ok(Vec::new()) };
        let tool = target.name.as_deref().unwrap_or(&subject.text);
        let Some(params) = self.catalog.mirrored_params(target, tool, caller).await? else {
            let sent = outbound::param_headers(&caller.headers);
            return Ok(sent.map(|(name, value)| (name.clone(), value.clone())).collect());
        };
        let arguments = params.of(call.arguments_object());
        if caller.mirrors {
            arguments.check(&caller.headers).map_err(|fault| mismatch(&fault))?;
        }
        let mut mirrored = arguments
            .headers()
            .map_err(|fault| CallError::Reject(Reject::Params(format!("{}: {fault}", fault.header()))))?;
        let unknown = outbound::param_headers(&caller.headers).filter(|(name, _)| !params.names(name));
        mirrored.extend(unknown.map(|(name, value)| (name.clone(), value.clone())));
        Ok(mirrored)
    }

    /// The answer of a target on its way back to the caller.
    pub(crate) fn relay(
        &self,
        answer: Box<Answer>,
        (call, admitted): (Box<Call>, Admitted),
        caller: &Arc<Caller>,
        target: &Target<'_>,
    ) -> Box<Relay> {
        let deadlines = target.member.upstream.plan().deadlines;
        let suspends = (caller.era(), answer.era()) == (Era::Modern, Era::Legacy);
        let asks = || call.method().is_some_and(|method| method.may_ask);
        let can_be_asked = || mrtr::askable(call.client().capabilities()) != "{}";
        let bond = (suspends && asks() && can_be_asked())
            .then(|| Bond::new(&self.route, &caller.principal, &call, deadlines.input));
        let errand = Errand {
            caller: Arc::clone(caller),
            mapping: self.mapping(target),
            deadlines,
            bond,
            edits: admitted.edits,
            told: admitted.call.map(|call| call.client().clone()),
            approved: admitted.approved,
            names_tasks: self.gate.enforces(),
        };
        Box::new(Relay::new(answer, call, errand))
    }

    /// How the URIs in an answer of that target become public; nothing where they are already.
    pub(crate) fn mapping(&self, target: &Target<'_>) -> Option<Mapping> {
        let names = &self.catalog.names;
        // What is ours names things by their public names.
        let is_ours = target.server >= self.catalog.members.len();
        (!is_ours && !names.is_transparent())
            .then(|| Mapping { names: Arc::clone(names), server: target.server })
    }
}

/// How long the beginning of an answer may take.
pub(crate) fn within(call: &Call, deadlines: &Deadlines) -> Duration {
    if call.waits() { deadlines.call_max } else { deadlines.call.min(deadlines.call_max) }
}

fn mismatch(fault: &MirrorFault) -> CallError {
    CallError::Reject(Reject::HeaderMismatch { header: fault.header().to_string(), why: fault.to_string() })
}
