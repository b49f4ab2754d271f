//! The spine: the whole way of a call, read aloud.
//!
//! A listener has made a modern call of what came in ([`mcp::inbound`]); this module finds out who calls, whose the
//! subject is, whether the one may use the other, and sends it there; [`crate::relay`] carries the answer back. No
//! method has a branch of its own here: the method table says whether a call goes to the owner of its subject or to
//! all servers.

use std::sync::Arc;

use auth::{Action, Permit, Principal};
use base::error::CallError;
use base::plan::Deadlines;
use base::reply;
use http::{HeaderName, HeaderValue};
use mcp::answer::{APPS_EXTENSION, TASKS_EXTENSION};
use mcp::call::Call;
use mcp::json::{Object, Patch};
use mcp::jsonrpc::Message;
use mcp::meta::ClientFacts;
use mcp::method::{Kind, Reach};
use mcp::mirror::MirrorFault;
use mcp::mrtr;
use mcp::outbound;
use mcp::reject::Reject;
use mcp::trace::Trace;
use mcp::version::Era;
use tokio::time::Duration;
use transport::http::body::Pieces;
use upstream::{Answer, Order};

use crate::caller::Caller;
use crate::catalog::uris::Mapping;
use crate::catalog::{Member, Target};
use crate::changes::subscription::Subscription;
use crate::relay::{Errand, Relay};
use crate::route::Route;
use crate::suspend::{Binding, Bond, Resumed};
use crate::tally::Tally;
use crate::tasks::{Tasking, Wait};

/// For how long a state is good that a modern server has given. Whether it still is, its server says.
const BOUND: Duration = Duration::from_secs(24 * 3600);

/// How a call goes on.
#[derive(Debug)]
pub(crate) enum Course {
    /// We have the answer.
    Own(Message),
    /// We have its text, with nothing left to be done about it.
    Built(Pieces),
    /// A server is answering.
    Relay(Box<Relay>),
    /// A subscription stream.
    Listen(Box<Subscription>),
    /// A wait for the end of a task.
    Wait(Box<Wait>),
}

impl Route {
    /// Carries a call to where it is answered.
    pub(crate) async fn run(&self, call: Box<Call>, caller: &Arc<Caller>) -> Result<Course, CallError> {
        let mut tally = Tally::begin(&self.world.metrics, call.method_label());
        let course = self.go(&call, caller, &mut tally).await;
        match course {
            Ok(Way::Own(message)) => {
                tally.ended("ok");
                Ok(Course::Own(message))
            }
            Ok(Way::Built(text)) => {
                tally.ended("ok");
                Ok(Course::Built(text))
            }
            Ok(Way::Listen(subscription)) => {
                tally.ended("ok");
                Ok(Course::Listen(subscription))
            }
            Ok(Way::Wait(wait)) => {
                tally.ended("ok");
                Ok(Course::Wait(wait))
            }
            Ok(Way::Server(answer, mapping, tasking)) => {
                let mut deadlines = self.deadlines(answer.upstream());
                if tasking.as_ref().is_some_and(|tasking| tasking.place.is_some()) {
                    // A task is quiet until it is over.
                    deadlines.call = deadlines.call_max;
                }
                let suspends = caller.era() == Era::Modern && answer.era() == Era::Legacy;
                let bond = if suspends { self.bond(&call, caller, deadlines.input) } else { None };
                let binding = self.binding(&call, caller, answer.upstream());
                let caller = Arc::clone(caller);
                let errand = Errand { caller, mapping, deadlines, bond, binding, tally, tasking };
                Ok(Course::Relay(Box::new(Relay::new(*answer, call, errand))))
            }
            Ok(Way::Resumed(mut relay)) => {
                relay.count(tally);
                Ok(Course::Relay(relay))
            }
            Err(error) => {
                tally.failed(&error);
                Err(error)
            }
        }
    }

    async fn go(&self, call: &Call, caller: &Arc<Caller>, tally: &mut Tally) -> Result<Way, CallError> {
        tally.hold(self.places.take().await?);
        match call.method().map(|method| method.reach) {
            Some(_) if call.method().is_some_and(|method| !exists_in(method, caller.era())) => {
                Err(unknown_method(call))
            }
            // What is left of these by the legacy era's door is for a server that is alone.
            Some(Reach::Peer) if self.catalog.only().is_none() => Err(unknown_method(call)),
            // What is rare lies in a box of its own: the future of the usual call is moved as a whole, and must be small.
            Some(Reach::All) => Box::pin(self.over_all(call, caller)).await,
            Some(Reach::Owner | Reach::Peer) | None => {
                if call.kind() == Kind::Task {
                    return Box::pin(self.task(call, caller)).await;
                }
                let target = self.catalog.locate(call, caller).await?;
                tally.goes_to(target.member.upstream.label());
                if call.continues() && caller.era() == Era::Modern {
                    return Box::pin(self.go_on(call, &target, caller)).await;
                }
                self.forward(call, &target, caller).await
            }
        }
    }

    /// Goes on with a retry. A modern server has given the state itself, and gets it back as it is; of a legacy server's
    /// call we hold what is open.
    async fn go_on(&self, call: &Call, target: &Target<'_>, caller: &Arc<Caller>) -> Result<Way, CallError> {
        let upstream = &target.member.upstream;
        let (era, _) = upstream.discovered(&caller.principal, caller.era(), Some(call.client())).await?;
        if era == Era::Modern {
            if let Some(binding) = self.binding(call, caller, upstream.name()) {
                let own = self.suspended.unbound(call, &binding.bond, self.world.clock.now())?;
                return self.forward(own.as_ref().unwrap_or(call), target, caller).await;
            }
            return self.forward(call, target, caller).await;
        }
        self.permit(call, target, &caller.principal)?;
        let keep = upstream.plan().deadlines.input;
        let bond = Bond::new(&self.name, &caller.principal, call, keep);
        // So that whoever ends the server waits for it, as for any other call.
        let place = upstream.place().await?;
        match self.suspended.resume(call, caller, (&bond, self.world.clock.now())).await? {
            Resumed::Goes(mut relay) => {
                relay.seat(place);
                Ok(Way::Resumed(relay))
            }
            Resumed::Asks(result) => Ok(Way::Own(reply::own_result(call.id(), &result)?)),
            Resumed::Anew => {
                let anew = mrtr::again(call, &[], None)?;
                self.forward(&anew, target, caller).await
            }
        }
    }

    /// What binds a modern server's state to this replica: where a client may come to another one, and each has a process of
    /// its own.
    fn binding(&self, call: &Call, caller: &Caller, upstream: &str) -> Option<Box<Binding>> {
        if self.replica.is_none() || caller.era() == Era::Legacy {
            return None;
        }
        let mut members = self.catalog.members.iter().map(|member| &member.upstream);
        let is_process = members.any(|member| member.is_process() && member.name() == upstream);
        if !is_process || call.method().is_none_or(|method| !method.may_ask) {
            return None;
        }
        let bond = Bond::new(&self.name, &caller.principal, call, BOUND);
        let (suspended, clock) = (Arc::clone(&self.suspended), Arc::clone(&self.world.clock));
        Some(Box::new(Binding { suspended, bond, clock }))
    }

    /// What a call can be suspended under; nothing if nobody may ask in it.
    fn bond(&self, call: &Call, caller: &Caller, keep: Duration) -> Option<Bond> {
        let asks = call.method().is_some_and(|method| method.may_ask);
        if !asks || mrtr::askable(call.client().capabilities()) == "{}" {
            return None;
        }
        Some(Bond::new(&self.name, &caller.principal, call, keep))
    }

    fn permit(&self, call: &Call, target: &Target<'_>, principal: &Principal) -> Result<Permit, CallError> {
        let name = target.name.as_deref().or_else(|| call.subject().map(|subject| &*subject.text));
        let upstream = target.member.upstream.label();
        let action = Action { method: call.method_name(), upstream, name };
        Ok(self.gate.permit(principal, &action)?)
    }

    /// Sends a call to its target. A refusal over mirrored headers means that our idea of the tool's schema is old:
    /// the list is read again and the call, which was not carried out, sent once more.
    pub(crate) async fn send(
        &self,
        call: &Call,
        target: &Target<'_>,
        caller: &Caller,
    ) -> Result<Box<Answer>, CallError> {
        let mirrored = self.mirror(call, target, caller).await?;
        let answer = self.send_once(call, target, caller, &mirrored).await?;
        if !answer.refuses_headers() || call.kind() != Kind::Tool {
            return Ok(answer);
        }
        // The list and the second try need the place that the refused answer still holds.
        let refused = answer.release();
        Box::pin(target.member.relearn(caller)).await;
        let learned = Box::pin(self.mirror(call, target, caller)).await?;
        if learned == mirrored {
            return Ok(Box::new(refused));
        }
        Box::pin(self.send_once(call, target, caller, &learned)).await
    }

    async fn send_once(
        &self,
        call: &Call,
        target: &Target<'_>,
        caller: &Caller,
        mirrored: &[(HeaderName, HeaderValue)],
    ) -> Result<Box<Answer>, CallError> {
        let upstream = &target.member.upstream;
        let permit = self.permit(call, target, &caller.principal)?;
        let order = Order {
            call,
            era: caller.era(),
            reads: caller.era(),
            subject: target.name.as_deref(),
            trace: Trace::read(&caller.headers),
            headers: &caller.headers,
            mirrored,
            session: caller.session.clone(),
            client: caller.client.clone(),
            within: within(call, &upstream.plan().deadlines),
            listens: false,
            probes: false,
            after: None,
        };
        upstream.send(permit.cover(order)).await
    }

    /// Checks the mirrored arguments of a tool call and gives the headers that the server is to get. A tool whose
    /// schema nobody has told us is not checked, and its headers pass as they came.
    async fn mirror(
        &self,
        call: &Call,
        target: &Target<'_>,
        caller: &Caller,
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

    /// The client with the capabilities that can be carried: an aggregate does not carry extensions whose methods have
    /// no owner here, no legacy client has methods of an extension unless its server is its own, and no server can have tasks carried out by a client
    /// (protocol.md §2.9). That a legacy client wants a task is told by its call ([`crate::tasks`]).
    pub(crate) fn carried(&self, client: &ClientFacts, era: Era) -> Option<ClientFacts> {
        let text = client.capabilities();
        // Most clients have nothing of that kind. An escaped name is looked at.
        if !["tasks", "extensions", "\\"].iter().any(|part| text.contains(part)) {
            return None;
        }
        let object = Object::parse(text).ok()?;
        let mut patch = Patch::new();
        if era == Era::Legacy {
            object.remove(|name| name == "tasks", 0, &mut patch);
        }
        // The methods of other extensions are modern, and have no owner among several servers; a task's id leads to one.
        let crosses = |id: &str| id == APPS_EXTENSION || (era == Era::Modern && id == TASKS_EXTENSION);
        let passes = |only: &Member| era == Era::Modern || only.upstream.is_ones_own();
        if !self.catalog.only().is_some_and(passes)
            && let Some(raw) = object.get("extensions").ok().flatten()
        {
            let extensions = Object::parse(raw).ok()?;
            extensions.remove(|id| !crosses(id), object.span_of(raw).start, &mut patch);
        }
        let carried = || ClientFacts { capabilities: patch.apply(text.as_bytes()), ..client.clone() };
        (!patch.is_empty()).then(carried)
    }

    pub(crate) fn mapping(&self, target: &Target<'_>) -> Option<Mapping> {
        let names = &self.catalog.names;
        (!names.is_transparent()).then(|| Mapping { names: Arc::clone(names), server: target.server })
    }
}

/// [`Course`], before it is counted.
pub(crate) enum Way {
    Own(Message),
    Built(Pieces),
    Server(Box<Answer>, Option<Mapping>, Option<Box<Tasking>>),
    Resumed(Box<Relay>),
    Listen(Box<Subscription>),
    Wait(Box<Wait>),
}

/// How long the beginning of an answer may take.
pub(crate) fn within(call: &Call, deadlines: &Deadlines) -> Duration {
    if call.waits() { deadlines.call_max } else { deadlines.call.min(deadlines.call_max) }
}

fn exists_in(method: &mcp::method::Method, era: Era) -> bool {
    match era {
        Era::Modern => method.modern,
        Era::Legacy => method.legacy,
    }
}

fn unknown_method(call: &Call) -> CallError {
    CallError::Reject(Reject::UnknownMethod(call.method_name().to_owned()))
}

fn mismatch(fault: &MirrorFault) -> CallError {
    CallError::Reject(Reject::HeaderMismatch { header: fault.header().to_string(), why: fault.to_string() })
}
