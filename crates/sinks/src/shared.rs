//! What the sinks of a process say to each other and to the world: what of the ledger they need, and whether too much waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use base::plan::audit::OnFull;
use base::plan::feed::SinkPlan;
use base::sink::{Accept, CallFacts, Sink};
use ledger::reach::Reach;

/// What sinks say to each other and to the world.
#[derive(Debug)]
pub(crate) struct Shared {
    reach: Arc<Reach>,
    sinks: Vec<One>,
    /// How many have more waiting than may, and refuse calls over it.
    full: AtomicUsize,
}

#[derive(Debug)]
struct One {
    name: String,
    refuses: bool,
    is_full: AtomicBool,
    /// The first segment that it still needs.
    needs: AtomicU64,
}

impl Shared {
    pub(crate) fn new(plans: &[SinkPlan], reach: Arc<Reach>) -> Self {
        let one = |plan: &SinkPlan| One {
            name: plan.name.clone(),
            refuses: plan.on_full == OnFull::Refuse,
            is_full: AtomicBool::new(false),
            needs: AtomicU64::new(0),
        };
        Self { reach, sinks: plans.iter().map(one).collect(), full: AtomicUsize::new(0) }
    }

    /// Whether calls are ever refused over one of them.
    pub(crate) fn refuses(&self) -> bool {
        self.sinks.iter().any(|one| one.refuses)
    }

    /// A sink needs segments from that one on.
    pub(crate) fn needs(&self, index: usize, segment: u64) {
        let Some(one) = self.sinks.get(index) else { return };
        // It only goes up, so whoever says it last says too little at worst.
        if one.needs.swap(segment, Ordering::SeqCst) != segment {
            let least = self.sinks.iter().map(|one| one.needs.load(Ordering::SeqCst)).min();
            self.reach.hold(least.unwrap_or(u64::MAX));
        }
    }

    /// Whether more waits for a sink than may; true where that is new.
    pub(crate) fn fill(&self, index: usize, is_full: bool) -> bool {
        let Some(one) = self.sinks.get(index) else { return false };
        if one.is_full.swap(is_full, Ordering::Relaxed) == is_full {
            return false;
        }
        if is_full {
            self.full.fetch_add(1, Ordering::Relaxed);
        } else {
            self.full.fetch_sub(1, Ordering::Relaxed);
        }
        true
    }
}

/// Refuses calls while too much waits for a sink.
#[derive(Debug)]
pub(crate) struct SpoolGate(pub(crate) Arc<Shared>);

impl Sink for SpoolGate {
    fn accept(&self, _facts: &CallFacts) -> Accept {
        Accept::Now
    }

    fn guards(&self) -> bool {
        true
    }

    fn refuse(&self) -> bool {
        self.0.full.load(Ordering::Relaxed) > 0
    }

    fn amiss(&self) -> Option<String> {
        let full = self.0.sinks.iter().find(|one| one.is_full.load(Ordering::Relaxed))?;
        Some(format!("more of the ledger waits for sink {:?} than may", full.name))
    }
}
