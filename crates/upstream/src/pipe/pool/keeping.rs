//! Which conversation is used for what, and how few of them there are: one serves several [`Whose`] where nothing speaks
//! against it, copies that nobody uses end, and there are never more than the plan allows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::error::CallError;
use base::sync::lock;
use mcp::mrtr;
use mcp::version::Era;

use super::{Begin, Need, PipePool, PipeSlot, Running};
use crate::link::Whose;

/// When one beside others is ended that nobody uses.
const COPY_IDLE: Duration = Duration::from_secs(5 * 60);
/// The same for one that was only looked at, and whose lists are those of the others.
const LOOKED_AT: Duration = Duration::from_secs(15);
/// How many are begun for exactly one set of capabilities each before one is begun for all others, where a server does
/// not seem to mind.
const EXACT: usize = 2;

impl<B: Begin> PipePool<B> {
    /// One that is open and good for this.
    pub(super) fn fitting(&self, whose: &Whose, need: Need) -> Option<Running> {
        let whose = &self.wanted(whose);
        let slot = lock(&self.slots).get(whose).cloned();
        let exact = slot.and_then(|slot| slot.try_lock().ok().and_then(|running| running.clone()));
        let exact = exact.filter(|running| !running.pipe.is_closed());
        exact.or_else(|| self.shared_with(whose, need))
    }

    /// One that was begun for others and is as good.
    fn shared_with(&self, whose: &Whose, need: Need) -> Option<Running> {
        if !B::IS_COSTLY {
            return None;
        }
        let temper = &self.shared.temper;
        let is_good = |told: &Whose| match need {
            // It was begun for clients of the other era.
            _ if whose.era == Era::Modern || told.declared == whose.declared => true,
            Need::Own => true,
            Need::Look => temper.lists_alike(&whose.declared) && temper.lists_alike(&told.declared),
            // Told too much, it may ask what the client cannot be asked, and is refused; told too little, it would never ask.
            Need::Call => {
                temper.is_indifferent()
                    && temper.lists_alike(&told.declared)
                    && mrtr::covers(&told.declared, &whose.declared)
            }
        };
        let mut good: Vec<_> = self.all_kin(whose).into_iter().filter(|(told, _)| is_good(told)).collect();
        // The one that was told the least of what will do, and always the same.
        good.sort_by_key(|(told, _)| (told.declared.len(), Arc::clone(&told.declared)));
        good.into_iter().next().map(|(_, running)| running)
    }

    /// One that was begun for others, whether or not it is as good.
    pub(super) fn any_kin(&self, whose: &Whose) -> Option<Running> {
        if !B::IS_COSTLY {
            return None;
        }
        let kin = self.kin(whose)?;
        let upstream = &self.shared.plan.name;
        tracing::warn!(
            upstream,
            "another process of it does not start; the one that runs serves all clients"
        );
        Some(kin)
    }

    /// What the next one for `whose` is told.
    pub(super) fn told(&self, whose: &Whose) -> Whose {
        if whose.is_bare() || !self.shared.temper.is_indifferent() || self.all_kin(whose).len() < EXACT {
            return whose.clone();
        }
        Whose { declared: mrtr::EVERYTHING.into(), ..whose.clone() }
    }

    /// Sees to it that there may be one more.
    pub(super) fn make_room(&self, told: &Whose) -> Result<(), CallError> {
        let mut kin = self.all_eras(told);
        kin.sort_by_key(|(_, running)| running.pipe.last_use());
        let (most, mut left) = (self.shared.plan.processes, kin.len());
        for (_, running) in kin {
            if left < most {
                break;
            }
            if running.pipe.close_if_idle("another one was needed, and it was idle the longest") {
                left -= 1;
            }
        }
        if left < most {
            return Ok(());
        }
        let name = &self.shared.plan.name;
        let what = format!("processes of {name:?} (key \"processes\"), all of which are in use");
        Err(CallError::Overloaded { what, limit: most })
    }

    /// Looks after one until it is over.
    pub(super) fn tend(self: &Arc<Self>, whose: &Whose, running: &Running) {
        let (wire, whose, running) = (Arc::clone(self), whose.clone(), running.clone());
        let configured = self.begin.idle_after();
        if !B::IS_COSTLY && configured.is_none() {
            if !whose.is_shared() {
                self.shared.world.tasks.spawn(async move {
                    running.pipe.closed().await;
                    wire.sweep(&whose);
                });
            }
            return;
        }
        self.shared.world.tasks.spawn(async move {
            let pipe = &running.pipe;
            let step = configured.map_or(LOOKED_AT, |after| after.min(LOOKED_AT));
            let (mut last, mut idle) = (pipe.use_so_far().0, Duration::ZERO);
            loop {
                tokio::select! {
                    () = pipe.closed() => break,
                    () = tokio::time::sleep(step) => {}
                }
                let (uses, waiting) = pipe.use_so_far();
                idle = if uses == last && waiting == 0 { idle + step } else { Duration::ZERO };
                last = uses;
                let is_old = configured.is_some_and(|after| idle >= after);
                if (is_old || wire.is_spare(&whose, &running, idle)) && pipe.close_if_idle("it was idle") {
                    tracing::info!(upstream = wire.shared.plan.name, "ended an idle child process");
                    break;
                }
            }
            wire.ended(&whose, &running);
        });
    }

    /// Whether one that was idle for so long is not needed beside others. The one that was used last is.
    fn is_spare(&self, whose: &Whose, running: &Running, idle: Duration) -> bool {
        let only_seen = !running.has_served() && self.shared.temper.lists_alike(&whose.declared);
        let (enough, last) = (if only_seen { LOOKED_AT } else { COPY_IDLE }, running.pipe.last_use());
        let is_newer = |(other, kin): &(Whose, Running)| other != whose && kin.pipe.last_use() > last;
        idle >= enough && self.all_kin(whose).iter().any(is_newer)
    }

    /// Lets go of the places of one client's own conversations that are over or could not be begun: clients come and go.
    pub(super) fn sweep(&self, whose: &Whose) {
        if whose.is_shared() {
            return;
        }
        let goes_on = |slot: &PipeSlot| {
            // Who holds one beside this map is beginning it.
            Arc::strong_count(slot) > 1
                || slot.try_lock().is_ok_and(|r| r.as_ref().is_some_and(|r| !r.pipe.is_closed()))
        };
        lock(&self.slots).retain(|other, slot| !other.is_kin_of(whose) || goes_on(slot));
    }

    /// One is over. If resources were watched in it, and others are not over, that is done elsewhere: not by whichever serves us
    /// now, which was asked to watch only what was wanted since.
    fn ended(&self, whose: &Whose, running: &Running) {
        self.sweep(whose);
        if running.watches.load(Ordering::Relaxed) && whose.is_shared() && self.kin(whose).is_some() {
            self.shared.begun(running.link.era());
        }
    }
}
