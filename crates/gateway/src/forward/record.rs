//! One call's record: opened when the call is known, closed once however it ends, before its last thing leaves.

use std::borrow::Cow;
use std::sync::Arc;

use auth::{Decision, Principal};
use base::bulkhead::Slot;
use base::detail::{self, Detail, Examine, Examined, SentAs};
use base::error::{self, CallError};
use base::metrics::Metrics;
use base::reply;
use base::sink::{CallFacts, Event, Sinks, Taking, Untaken};
use base::traces::{Came, Carrier, Span, SpanEnd};
use base::world::World;
use catalog::Target;
use catalog::caller::Caller;
use mcp::call::Call;
use mcp::json::Object;
use mcp::jsonrpc::{Message, MessageKind};
use mcp::method::{self, Kind};
use mcp::trace::{SpanPlace, Trace};
use tokio::time::{Duration, Instant};

/// What is written of one call. Dropped before it is closed, it is closed as cancelled.
#[derive(Debug)]
pub(crate) struct CallRecord {
    sinks: Sinks,
    metrics: Arc<Metrics>,
    /// Nothing more once it is closed.
    facts: Option<CallFacts>,
    began: Instant,
    /// Those that are taking it.
    closing: Taking,
    /// The call's place among all calls, free again when it ends.
    place: Option<Slot>,
    /// What follows the call until it ends, if anything does.
    followed: Option<Box<dyn Span>>,
    /// Where that is: known beyond its end.
    span: Option<Box<SpanPlace>>,
    /// How it has been answered.
    answered: Option<SpanEnd>,
    /// Whether it is of a call that waits for its client, and no request.
    waits: bool,
}

/// What is to be said of a request that goes to a server for a call.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    /// The call's span.
    pub(crate) span: Option<SpanPlace>,
    /// Whether its server is known to have what it is about.
    pub(crate) is_listed: bool,
}

impl CallRecord {
    /// For what begins now. No server is known to be its target.
    ///
    /// # Errors
    /// When no record of it could be taken: then it must not begin.
    pub(crate) fn open(
        world: &World,
        principal: &Principal,
        method: Cow<'static, str>,
    ) -> Result<Self, CallError> {
        if world.sinks.refuse() {
            let error = CallError::AuditUnavailable { sent: false };
            // It is in no record, so that this is all that is known of it.
            world.metrics.call(world.metrics.nobody(), &method, reply::wire(&error).label, Duration::ZERO);
            return Err(error);
        }
        Ok(Self {
            sinks: world.sinks.clone(),
            metrics: Arc::clone(&world.metrics),
            facts: Some(CallFacts {
                principal: principal.clone(),
                upstream: Arc::clone(world.metrics.nobody()),
                method,
                outcome: "cancelled",
                took: Duration::ZERO,
                detail: None,
            }),
            began: Instant::now(),
            closing: Taking::default(),
            place: None,
            followed: None,
            span: None,
            answered: None,
            waits: false,
        })
    }

    /// For a request on a route that is no call, and begins now.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn of_request(
        world: &World,
        (request, caller): (Option<&Message>, &Caller),
        (method, route): (&'static str, &str),
    ) -> Result<Self, CallError> {
        let mut record = Self::open(world, &caller.principal, method.into())?;
        if let (Some(by), Some(facts)) = (world.sinks.examines(), &mut record.facts) {
            facts.detail = Some(Box::new(of_request(by.as_ref(), (request, caller), route)));
        }
        Ok(record)
    }

    /// For a call on a route that begins now; `before` is what it was sent in before, if it is sent again for its client.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn of_call(
        world: &World,
        (call, caller): (&Call, &Caller),
        (route, before): (&str, Option<&SpanPlace>),
    ) -> Result<Self, CallError> {
        let mut record = Self::told_of(world, (call, caller), route)?;
        if let Some(traces) = world.sinks.traces() {
            let span = traces.came(&came((call, caller), (route, before), &Trace::read(&caller.headers)));
            record.span = span.place().cloned().map(Box::new);
            if let (Some(place), Some(facts)) = (&record.span, &mut record.facts)
                && let Some(detail) = &mut facts.detail
            {
                detail.trace = Some(place.trace_id().into());
            }
            record.followed = Some(span);
        }
        Ok(record)
    }

    /// For a call that waits for its client before it is sent again: nobody follows that.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn of_waiting(
        world: &World,
        (call, caller): (&Call, &Caller),
        route: &str,
    ) -> Result<Self, CallError> {
        let mut record = Self::told_of(world, (call, caller), route)?;
        record.waits = true;
        Ok(record)
    }

    /// For a call of which nobody follows anything yet.
    fn told_of(world: &World, (call, caller): (&Call, &Caller), route: &str) -> Result<Self, CallError> {
        let mut record = Self::open(world, &caller.principal, call.method_label())?;
        if let (Some(by), Some(facts)) = (world.sinks.examines(), &mut record.facts) {
            facts.detail = Some(Box::new(detail(by.as_ref(), (call, caller), route)));
        }
        Ok(record)
    }

    /// Where what follows the call is, or was.
    pub(crate) fn span(&self) -> Option<&SpanPlace> {
        self.span.as_deref()
    }

    /// It goes on with what was begun in another call.
    pub(crate) fn goes_on_with(&mut self, other: &SpanPlace) {
        if let Some(span) = &mut self.followed {
            span.link(other);
        }
    }

    /// It is about to be sent. What is said of that, if anybody follows it.
    pub(crate) fn is_sent(&mut self, call: &Call, target: &Target<'_>, caller: &Caller) -> Option<Followed> {
        let span = self.followed.as_mut()?;
        let is_listed = is_listed(call, target, caller);
        if let Some(subject) = call.subject().filter(|_| is_listed) {
            span.about(call.kind(), &subject.text);
        }
        Some(Followed { span: self.span.as_deref().cloned(), is_listed })
    }

    /// What puts the names of its trace and span into lines of the log, if it has some: of calls of which the trace is kept.
    pub(crate) fn log_of_kept(&self) -> Option<tracing::Span> {
        self.span.as_deref().filter(|span| span.sampled).map(log)
    }

    /// What a sink wants to know beside what is counted, if any does, and the call is not over.
    pub(crate) fn detail(&mut self) -> Option<&mut Detail> {
        self.facts.as_mut()?.detail.as_deref_mut()
    }

    /// Whether any sink wants to know more than what is counted.
    pub(crate) fn is_detailed(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.detail.is_some())
    }

    /// Where it goes is known.
    pub(crate) fn goes_to(&mut self, target: &Target<'_>, call: &Call, caller: &Caller) {
        let Some(facts) = &mut self.facts else { return };
        let upstream = target.member.upstream.label();
        facts.upstream = Arc::clone(upstream);
        if let Some(span) = &mut self.followed {
            span.goes_to(upstream);
        }
        let Some(detail) = facts.detail.as_deref_mut() else { return };
        if let (Some(name), Some((_, known))) = (&target.name, &mut detail.thing) {
            *known = (&**name).into();
        }
        let Some((_, name)) = &detail.thing else { return };
        let index = target.member.server_lists.index(caller.era());
        detail.definition = index.definition(call.kind(), name).cloned();
        let Some(by) = self.sinks.examines().filter(|_| call.kind() == Kind::Tool) else { return };
        detail.keeps = by.keeps(upstream, name);
        if let Some(arguments) = &mut detail.arguments
            && arguments.bytes <= by.most_kept()
            && (detail.keeps.plain || detail.keeps.arguments)
        {
            arguments.text = call.arguments().map(Into::into);
        }
    }

    /// It is to be sent again there, with what its server has asked for.
    pub(crate) fn goes_on_at(&mut self, upstream: &str) {
        if let Some(facts) = &mut self.facts {
            facts.upstream = upstream.into();
        }
    }

    /// It is refused before anybody knows where it would go but by the error.
    pub(crate) fn would_go_to(&mut self, error: &CallError) {
        let CallError::Quarantined { upstream, name, .. } = error else { return };
        let Some(facts) = &mut self.facts else { return };
        facts.upstream = upstream.as_str().into();
        if let Some((_, known)) = facts.detail.as_deref_mut().and_then(|detail| detail.thing.as_mut()) {
            *known = name.as_str().into();
        }
    }

    /// Where it is said how it goes out, if anybody wants to know.
    pub(crate) fn sending(&mut self) -> Option<Arc<SentAs>> {
        let by = self.sinks.examines()?.clone();
        let sent = &mut self.detail()?.sent;
        Some(Arc::clone(sent.get_or_insert_with(|| Arc::new(SentAs::new(&by)))))
    }

    /// A request that is no call is about something of a server's own.
    pub(crate) fn concerns(&mut self, upstream: &Arc<str>, own: &str, told: Option<Decision>) {
        let Some(facts) = &mut self.facts else { return };
        facts.upstream = Arc::clone(upstream);
        if let Some((_, known)) = facts.detail.as_deref_mut().and_then(|detail| detail.thing.as_mut()) {
            *known = own.into();
        }
        self.decided(told);
    }

    /// It has become a task that its server calls so.
    pub(crate) fn began_task(&mut self, own: &str) {
        self.is_task(own);
        let Some(facts) = &self.facts else { return };
        let Some(detail) = facts.detail.as_deref() else { return };
        let members = vec![
            ("task", detail.task.as_ref().map(detail::keyed).unwrap_or_default()),
            ("outcome", "created".to_owned()),
            ("principal", facts.principal.id().to_owned()),
            ("route", detail.route.as_deref().unwrap_or_default().to_owned()),
            ("server", facts.upstream.to_string()),
            ("tool", detail.thing.as_ref().map(|(_, name)| name.to_string()).unwrap_or_default()),
        ];
        self.sinks.note(&Event { kind: "task", members });
    }

    /// It has become a task, or is about one, that its server calls so.
    pub(crate) fn is_task(&mut self, own: &str) {
        let Some(by) = self.sinks.examines().cloned() else { return };
        if let Some(detail) = self.detail() {
            detail.task = Some(by.digest(own.as_bytes()));
        }
    }

    /// Nothing is to be written of it: what comes of it has a record of its own.
    pub(crate) fn forget(mut self) {
        self.facts = None;
    }

    /// Whether somebody wants to know what was decided about it, and does not yet.
    pub(crate) fn lacks_decision(&self) -> bool {
        let detail = self.facts.as_ref().and_then(|facts| facts.detail.as_ref());
        detail.is_some_and(|detail| detail.decision.is_none())
    }

    /// What was decided about it, the last time that somebody was asked.
    pub(crate) fn decided(&mut self, told: Option<Decision>) {
        if let (Some(detail), Some(told)) = (self.detail(), told) {
            detail.decision = Some(told);
        }
    }

    /// What its server, or we instead of it, have answered.
    pub(crate) fn answered(&mut self, message: &Message) {
        if let (Some(_), Some(facts)) = (&self.followed, &self.facts) {
            self.answered = Some(SpanEnd::of(message, method::find(&facts.method)));
        }
        let Some(by) = self.sinks.examines().cloned() else { return };
        let Some(detail) = self.detail() else { return };
        let text = match message.kind() {
            MessageKind::Result(parts) => message.at(parts.result),
            MessageKind::Error(parts) => message.at(parts.error),
            _ => return,
        };
        let mut result = Examined::of(by.as_ref(), text.as_bytes());
        if detail.keeps.result && result.bytes <= by.most_kept() {
            result.text = Some(text.into());
        }
        detail.result = Some(result);
    }

    /// What it was answered with was made of what several have said, and is so long.
    pub(crate) fn answered_with(&mut self, bytes: u64) {
        if let Some(detail) = self.detail() {
            detail.result = Some(Examined::sized(bytes.try_into().unwrap_or(usize::MAX)));
        }
    }

    /// Keeps the call's place until it ends.
    pub(crate) fn hold(&mut self, place: Slot) {
        self.place = Some(place);
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Progress was not passed on.
    pub(crate) fn progress_left_out(&self) {
        if let Some(facts) = &self.facts {
            self.metrics.progress_left_out(&facts.upstream);
        }
    }

    /// Closes it, if it is not closed yet, and waits until all sinks have it. Cancel safe: asked again, it waits for the rest.
    ///
    /// # Errors
    /// When it cannot be taken: then nobody may hear what has come of the call.
    pub(crate) async fn close(&mut self, outcome: &'static str) -> Result<(), CallError> {
        self.end(outcome);
        self.written().await
    }

    /// The same for a call that has failed.
    ///
    /// # Errors
    /// As [`Self::close`].
    pub(crate) async fn failed(&mut self, error: &CallError) -> Result<(), CallError> {
        self.end_failed(error);
        self.written().await
    }

    /// Closes it, if it is not closed yet.
    pub(crate) fn end(&mut self, outcome: &'static str) {
        let Some(facts) = self.facts.take() else { return };
        let facts = CallFacts { outcome, took: self.began.elapsed(), ..facts };
        self.place = None;
        if let Some(traces) = self.sinks.traces() {
            match self.followed.take() {
                Some(mut span) => span.ends(ended(outcome, self.answered)),
                // That a call waited for its client is no request.
                None if self.waits => {}
                None => traces.between_us(&facts.method, outcome, facts.took),
            }
        }
        self.closing = self.sinks.tell(&facts);
    }

    /// The same for a call that has failed.
    pub(crate) fn end_failed(&mut self, error: &CallError) {
        let row = reply::wire(error);
        if let Some(facts) = &self.facts {
            match self.span.as_deref().map(log) {
                Some(span) => span.in_scope(|| row.log(error, &facts.method)),
                None => row.log(error, &facts.method),
            }
        }
        self.answered = Some(SpanEnd::Failed(row.label, Some(row.code)));
        self.end(row.label);
    }

    /// Whether nobody need wait for a sink.
    pub(crate) fn is_written(&self) -> bool {
        self.closing.is_over()
    }

    /// Waits until all sinks have it. Cancel safe.
    ///
    /// # Errors
    /// When one of them cannot take it.
    pub(crate) async fn written(&mut self) -> Result<(), CallError> {
        if self.closing.is_over() {
            return Ok(());
        }
        let taken = self.closing.over().await;
        self.closing = Taking::default();
        taken.map_err(|Untaken| CallError::AuditUnavailable { sent: true })
    }

    /// What has come of it takes none of the places of calls: it has places of its own.
    pub(crate) fn release(&mut self) {
        self.place = None;
    }
}

/// What is known of who makes a request.
fn of_caller(by: &dyn Examine, caller: &Caller, route: &str) -> Detail {
    let token = caller.claims.as_ref().and_then(|claims| claims.jti.as_deref());
    Detail {
        claims: caller.claims.clone(),
        credential: token.map(|token| by.digest(token.as_bytes())),
        route: Some(route.into()),
        era: Some((caller.era().name(), caller.revision.name)),
        address: caller.address,
        session: caller.session.clone(),
        client: caller.facts.info().and_then(says_it_is),
        ..Detail::default()
    }
}

/// The name and version that a client says to have, which nobody has verified; as much of them as is of use.
fn says_it_is(info: &str) -> Option<(Box<str>, Box<str>)> {
    const MOST: usize = 256;
    let info = Object::parse(info).ok()?;
    let text = |name: &str| {
        let text = info.string(name).ok().flatten().unwrap_or_default();
        text.get(..text.floor_char_boundary(MOST)).unwrap_or_default().into()
    };
    Some((text("name"), text("version")))
}

/// What is known of a request that is no call.
fn of_request(by: &dyn Examine, (request, caller): (Option<&Message>, &Caller), route: &str) -> Detail {
    let params = request.and_then(Message::params);
    let object = params.and_then(|params| Object::parse(params).ok());
    let meta = object.as_ref().and_then(|params| params.object("_meta").ok().flatten());
    let uri = object.as_ref().and_then(|params| params.string("uri").ok().flatten());
    let id = request.and_then(|request| match request.kind() {
        MessageKind::Request(request) => Some(request.id.raw().into()),
        _ => None,
    });
    Detail {
        trace: Trace::read(&caller.headers).id_with(meta.as_ref()).map(Into::into),
        id,
        thing: uri.map(|uri| (error::noun(Kind::Resource), (&*uri).into())),
        arguments: params.map(|params| Examined::of(by, params.as_bytes())),
        ..of_caller(by, caller, route)
    }
}

/// What is known of a call before anybody knows where it goes.
fn detail(by: &dyn Examine, (call, caller): (&Call, &Caller), route: &str) -> Detail {
    let trace = Trace::read(&caller.headers);
    Detail {
        trace: trace.id_with(call.meta_object().as_ref()).map(Into::into),
        id: Some(call.id().raw().into()),
        thing: call.subject().map(|subject| (error::noun(call.kind()), (&*subject.text).into())),
        arguments: call.arguments().map(|text| Examined::of(by, text.as_bytes())),
        again: call.is_again(),
        ..of_caller(by, caller, route)
    }
}

/// What is said of a call to those who follow it.
fn came<'a>(
    (call, caller): (&'a Call, &'a Caller),
    (route, before): (&'a str, Option<&'a SpanPlace>),
    trace: &'a Trace,
) -> Came<'a> {
    Came {
        method: call.method_name(),
        trace,
        meta: call.meta(),
        before,
        id: call.id().raw(),
        revision: caller.revision.name,
        session: caller.session.as_ref(),
        route,
        // What comes over HTTP has headers.
        carrier: if caller.headers.is_empty() { Carrier::Pipe } else { Carrier::Http },
    }
}

/// How a call ends that has this outcome, and was answered so.
fn ended(outcome: &'static str, answered: Option<SpanEnd>) -> SpanEnd {
    match (outcome, answered) {
        ("input_required", _) => SpanEnd::Asked,
        ("ok" | "error", answered) => answered.unwrap_or(SpanEnd::Ok),
        (label, Some(SpanEnd::Failed(same, code))) if same == label => SpanEnd::Failed(label, code),
        (label, _) => SpanEnd::Failed(label, None),
    }
}

/// Whether the target of a call is known to have what it is about.
fn is_listed(call: &Call, target: &Target<'_>, caller: &Caller) -> bool {
    let Some(subject) = call.subject() else { return false };
    let index = target.member.server_lists.index(caller.era());
    match call.kind() {
        Kind::Tool => index.tools.contains_key(target.name.as_deref().unwrap_or(&subject.text)),
        Kind::Prompt => index.seen.contains_key(&(Kind::Prompt, subject.text.to_string())),
        Kind::Resource | Kind::Server | Kind::Task | Kind::Template => false,
    }
}

/// Puts the names of a trace and a span into lines of the log.
fn log(of: &SpanPlace) -> tracing::Span {
    tracing::error_span!("call", trace_id = of.trace_id(), span_id = of.span_id())
}

/// How a call has ended that has this response, of a server or of ours.
pub(crate) fn outcome_of(message: &Message) -> &'static str {
    if matches!(message.kind(), MessageKind::Error(_)) { "error" } else { "ok" }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        // Nobody waited for the end.
        self.end("cancelled");
    }
}
