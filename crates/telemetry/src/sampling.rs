//! Which traces are kept: those that their callers keep, up to so many in a second, and a part of all others.
//!
//! Whoever calls can say of each call that it be kept. So what is kept for callers' wishes has a bound: beyond it, it depends on the
//! trace's id alone, as for those who say nothing, so that all who see a trace and keep the same part of all keep the same ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};
use tokio::time::Instant;

/// Decides what is kept.
#[derive(Debug, Clone)]
pub(crate) struct Sampling {
    part: Sampler,
    wishes: Arc<Wishes>,
}

/// How many wishes were heard in this second.
#[derive(Debug)]
pub(crate) struct Wishes {
    most: u32,
    since: Instant,
    /// The second, and how many in it.
    heard: AtomicU64,
}

impl Wishes {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, since: Instant::now(), heard: AtomicU64::new(0) }
    }

    /// Whether one more is heard now.
    pub(crate) fn hear(&self) -> bool {
        let second = self.since.elapsed().as_secs() & u64::from(u32::MAX);
        let next = |before: u64| {
            let count = if before >> 32 == second { before & u64::from(u32::MAX) } else { 0 };
            (count < u64::from(self.most)).then_some(second << 32 | (count + 1))
        };
        self.heard.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

impl Sampling {
    /// A part of all, and so many in a second whose callers wish it.
    pub(crate) fn new(part: f64, most: u32) -> Self {
        Self { part: Sampler::TraceIdRatioBased(part), wishes: Arc::new(Wishes::new(most)) }
    }
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let span = parent.filter(|parent| parent.has_active_span()).map(|parent| parent.span());
        let known = span.as_ref().map(|span| span.span_context()).filter(|of| of.is_valid());
        let state = known.map(|of| of.trace_state().clone()).unwrap_or_default();
        let said = |kept: bool, state: TraceState| SamplingResult {
            decision: if kept { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: Vec::new(),
            trace_state: state,
        };
        match known {
            Some(of) if !of.is_remote() => said(of.is_sampled(), state),
            Some(of) if of.is_sampled() && self.wishes.hear() => said(true, state),
            // Not to be kept is a wish, too, and costs nothing.
            Some(of) if !of.is_sampled() && self.wishes.most > 0 => said(false, state),
            _ => self.part.should_sample(None, trace, name, kind, attributes, links).with_state(state),
        }
    }
}

trait WithState {
    fn with_state(self, state: TraceState) -> Self;
}

impl WithState for SamplingResult {
    fn with_state(self, trace_state: TraceState) -> Self {
        Self { trace_state, ..self }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    use super::*;

    fn decision(sampling: &Sampling, sampled: Option<bool>, is_remote: bool, trace: u128) -> bool {
        let parent = sampled.map(|sampled| {
            let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let span = SpanId::from(7);
            Context::new().with_remote_span_context(SpanContext::new(
                TraceId::from(trace),
                span,
                flags,
                is_remote,
                TraceState::default(),
            ))
        });
        let said =
            sampling.should_sample(parent.as_ref(), TraceId::from(trace), "", &SpanKind::Server, &[], &[]);
        said.decision == SamplingDecision::RecordAndSample
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_heard_so_often_in_a_second_and_no_more() {
        let sampling = Sampling::new(0.0, 3);
        let heard = || (0..10).filter(|_| decision(&sampling, Some(true), true, 1)).count();
        assert_eq!(heard(), 3);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(heard(), 3);
        // What is ours is kept whole.
        assert!(decision(&sampling, Some(true), false, 1));
        let all = Sampling::new(1.0, 0);
        assert!(decision(&all, Some(false), true, 1), "nobody asks the caller");
        assert!(!decision(&Sampling::new(1.0, 1), Some(false), true, 1), "the caller keeps none");
        assert!(!decision(&all, Some(false), false, 1), "a part of what is not kept is not kept");
    }

    #[test]
    fn beyond_that_it_depends_on_the_trace_alone() {
        let sampling = Sampling::new(0.5, 0);
        let kept = |trace: u128| decision(&sampling, Some(true), true, trace);
        let count = (0..1000_u128)
            .filter(|n| kept(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
            .count();
        assert!((300..700).contains(&count), "{count}");
        assert_eq!(kept(12345), kept(12345));
    }
}
