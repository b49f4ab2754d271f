//! What a span is, and what it says: never what a call says, only what kind of call it is and how it ended.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use base::traces::{Came, Sent, Span, SpanEnd, Traces};
use mcp::json::Object;
use mcp::method::Kind;
use mcp::trace::SpanPlace;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};
use tokio::time::Instant;

use crate::facts::{Facts, Side, cut, keys, known, text};
use crate::measures::{self, Measures};

/// Makes spans.
#[derive(Debug)]
pub(crate) struct Spans(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tracer: Option<SdkTracer>,
    measures: Option<Measures>,
}

/// A span that is open.
#[derive(Debug)]
struct OpenSpan {
    inner: Arc<Inner>,
    span: Option<(SdkSpan, SpanPlace)>,
    facts: Facts,
    began: Instant,
    end: SpanEnd,
}

fn context(of: &SpanPlace, is_remote: bool) -> SpanContext {
    let flags = if of.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let state = of.state.as_deref().and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    SpanContext::new(TraceId::from_bytes(of.trace), SpanId::from_bytes(of.span), flags, is_remote, state)
}

fn place(of: &SpanContext) -> SpanPlace {
    let state = of.trace_state().header();
    SpanPlace {
        trace: of.trace_id().to_bytes(),
        span: of.span_id().to_bytes(),
        sampled: of.is_sampled(),
        state: (!state.is_empty()).then(|| state.into()),
    }
}

impl Spans {
    pub(crate) fn new(tracer: Option<SdkTracer>, measures: Option<Measures>) -> Self {
        Self(Arc::new(Inner { tracer, measures }))
    }

    fn open(&self, facts: Facts, parent: Option<(&SpanPlace, bool)>) -> OpenSpan {
        let kind = match facts.side {
            Side::Server => SpanKind::Server,
            Side::Client => SpanKind::Client,
        };
        let span = self.0.tracer.as_ref().and_then(|tracer| {
            let above = match parent {
                Some((parent, is_remote)) => {
                    Context::new().with_remote_span_context(context(parent, is_remote))
                }
                None => Context::new(),
            };
            // Its name is known at its end, and made only if it is kept.
            let builder = SpanBuilder::from_name(facts.method).with_kind(kind);
            let span = tracer.build_with_context(builder, &above);
            let place = place(span.span_context());
            // When the provider has ended, there is none.
            span.span_context().is_valid().then_some((span, place))
        });
        let end = SpanEnd::Failed("cancelled", None);
        OpenSpan { inner: Arc::clone(&self.0), span, facts, began: Instant::now(), end }
    }
}

impl Traces for Spans {
    fn came(&self, came: &Came<'_>) -> Box<dyn Span> {
        let facts = Facts {
            side: Side::Server,
            method: known(came.method),
            revision: came.revision,
            carrier: Some(came.carrier),
            thing: None,
            upstream: None,
        };
        let meta =
            came.meta.filter(|meta| meta.contains("traceparent")).and_then(|meta| Object::parse(meta).ok());
        let (parent, other) = came.trace.places(meta.as_ref());
        let links = [other.as_ref(), came.before.filter(|_| parent.is_some())];
        let above = parent.as_ref().map(|parent| (parent, true)).or_else(|| Some((came.before?, false)));
        let mut open = self.open(facts, above);
        links.into_iter().flatten().for_each(|link| open.link(link));
        if let Some(span) = open.kept() {
            let id = came.id.trim_matches('"');
            span.set_attribute(KeyValue::new(keys::REQUEST_ID, cut(id).to_owned()));
            span.set_attribute(KeyValue::new(keys::ROUTE, came.route.to_owned()));
            if let Some(session) = came.session {
                span.set_attribute(KeyValue::new(keys::SESSION, text(session)));
            }
        }
        Box::new(open)
    }

    fn sent(&self, sent: &Sent<'_>) -> Box<dyn Span> {
        let facts = Facts {
            side: Side::Client,
            method: known(sent.method),
            revision: sent.revision,
            carrier: Some(sent.carrier),
            thing: sent.thing.map(|(kind, name)| (kind, cut(name).into())),
            upstream: Some(Arc::clone(sent.upstream)),
        };
        let mut open = self.open(facts, sent.parent.map(|parent| (parent, sent.is_remote)));
        if let Some(span) = open.kept() {
            span.set_attribute(KeyValue::new(keys::REQUEST_ID, sent.id.to_string()));
            if let Some((host, port)) = sent.address {
                span.set_attribute(KeyValue::new(keys::ADDRESS, host.to_owned()));
                span.set_attribute(KeyValue::new(keys::PORT, i64::from(port)));
            }
        }
        Box::new(open)
    }

    fn between_us(&self, method: &str, outcome: &'static str, took: Duration) {
        let Some(measures) = &self.0.measures else { return };
        let facts = Facts {
            side: Side::Server,
            method: known(method),
            revision: "",
            carrier: None,
            thing: None,
            upstream: None,
        };
        let end = if outcome == "ok" { SpanEnd::Ok } else { SpanEnd::Failed(outcome, None) };
        measures.record(&facts, end, took);
    }

    fn session_ended(&self, revision: &'static str, lasted: Duration) {
        if let Some(measures) = &self.0.measures {
            measures.session(revision, lasted);
        }
    }
}

impl OpenSpan {
    /// The span, if it is kept.
    fn kept(&mut self) -> Option<&mut SdkSpan> {
        self.span.as_mut().map(|(span, _)| span).filter(|span| span.is_recording())
    }
}

impl Span for OpenSpan {
    fn place(&self) -> Option<&SpanPlace> {
        self.span.as_ref().map(|(_, place)| place)
    }

    fn goes_to(&mut self, upstream: &Arc<str>) {
        self.facts.upstream = Some(Arc::clone(upstream));
    }

    fn about(&mut self, kind: Kind, name: &str) {
        self.facts.thing = Some((kind, cut(name).into()));
    }

    fn link(&mut self, other: &SpanPlace) {
        if let Some(span) = self.kept() {
            span.add_link(context(other, true), Vec::new());
        }
    }

    fn ends(&mut self, end: SpanEnd) {
        self.end = end;
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        let (end, took) = (self.end, self.began.elapsed());
        if let Some(measures) = &self.inner.measures {
            measures.record(&self.facts, end, took);
        }
        let mut said = Vec::new();
        let Some(span) = self.span.as_mut().map(|(span, _)| span).filter(|span| span.is_recording()) else {
            return;
        };
        self.facts.common(&mut said);
        span.set_attributes(said);
        span.update_name(self.facts.name());
        if let Some(code) = measures::status_code(end, false) {
            span.set_attribute(KeyValue::new(keys::STATUS_CODE, code));
        }
        match measures::error_type(end, false) {
            Some(kind) => {
                span.set_attribute(KeyValue::new(keys::ERROR_TYPE, kind));
                // What its server or we say of it may be about what the call says.
                span.set_status(Status::error(""));
            }
            None if end == SpanEnd::Asked => {
                span.set_attribute(KeyValue::new(keys::OUTCOME, "input_required"));
            }
            None => {}
        }
        span.end();
    }
}
