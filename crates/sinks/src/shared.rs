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
    /// How many times over calls are refused: once for each that has more waiting than may, and for each that nobody delivers for.
    shut: AtomicUsize,
}

#[derive(Debug)]
struct One {
    name: String,
    refuses: bool,
    is_full: AtomicBool,
    /// Whether nobody delivers for it: nobody would know then how much waits.
    is_down: AtomicBool,
    /// The first segment that it still needs.
    needs: AtomicU64,
}

impl Shared {
    pub(crate) fn new(plans: &[SinkPlan], reach: Arc<Reach>) -> Self {
        let one = |plan: &SinkPlan| One {
            name: plan.name.clone(),
            refuses: plan.on_full == OnFull::Refuse,
            is_full: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            needs: AtomicU64::new(0),
        };
        Self { reach, sinks: plans.iter().map(one).collect(), shut: AtomicUsize::new(0) }
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
        self.flip(&one.is_full, is_full)
    }

    /// Whether nobody delivers for a sink, since the ledger cannot be read for it or its thread has died. Over one that is to lose
    /// nothing, calls are refused.
    pub(crate) fn down(&self, index: usize, is_down: bool) {
        if let Some(one) = self.sinks.get(index).filter(|one| one.refuses) {
            self.flip(&one.is_down, is_down);
        }
    }

    fn flip(&self, of: &AtomicBool, is: bool) -> bool {
        if of.swap(is, Ordering::Relaxed) == is {
            return false;
        }
        if is {
            self.shut.fetch_add(1, Ordering::Relaxed);
        } else {
            self.shut.fetch_sub(1, Ordering::Relaxed);
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
        self.0.shut.load(Ordering::Relaxed) > 0
    }

    fn amiss(&self) -> Option<String> {
        if let Some(down) = self.0.sinks.iter().find(|one| one.is_down.load(Ordering::Relaxed)) {
            return Some(format!("nothing is delivered for sink {:?}: the log says why", down.name));
        }
        let full = self.0.sinks.iter().find(|one| one.is_full.load(Ordering::Relaxed))?;
        Some(format!("more of the ledger waits for sink {:?} than may", full.name))
    }
}
