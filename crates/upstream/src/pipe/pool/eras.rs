//! Conversations in both eras: which of them a client needs, and what becomes of one that nobody needs.

use std::time::Duration;

use base::sync::lock;
use mcp::version::Era;
use tokio::time::Instant;

use super::{Begin, PipePool, Running};
use crate::eras::VERDICT_LASTS;
use crate::link::Whose;

impl<B: Begin> PipePool<B> {
    /// What was found out long ago is found out again when nothing goes on: then it costs no conversation of its own.
    pub(super) fn doubt_old(&self) {
        if !B::IS_COSTLY || !lock(&self.found).is_some_and(|at| at.elapsed() >= VERDICT_LASTS) {
            return;
        }
        let slots: Vec<_> = lock(&self.slots).values().cloned().collect();
        let goes_on = |running: &Running| !running.pipe.is_closed();
        let is_over =
            slots.iter().all(|slot| slot.try_lock().is_ok_and(|r| !r.as_ref().is_some_and(goes_on)));
        if is_over {
            lock(&self.found).take();
            [Era::Modern, Era::Legacy].into_iter().for_each(|era| self.shared.eras.doubt(era));
        }
    }

    /// What a conversation for `whose` must be like. A legacy server is told once what its clients can be asked; a modern one
    /// hears it with each call.
    pub(super) fn wanted(&self, whose: &Whose) -> Whose {
        let era = B::era_for(&self.shared, whose.era);
        if era == Era::Modern && self.shared.eras.speaks(era) {
            return whose.bare().in_era(era);
        }
        whose.in_era(era)
    }

    /// Keeps in mind which eras the server speaks, now that it was asked for one.
    pub(super) fn note(&self, running: &Running, told: &Whose) {
        let era = running.link.era();
        self.shared.found(era);
        // It may be what one client says of itself that was refused, or a bad moment, where others were not: who has a
        // conversation goes on in it.
        let is_ones_own =
            self.shared.eras.speaks(told.era) && (told.client.is_some() || self.kin(told).is_some());
        if era != told.era && !is_ones_own && !self.shared.eras.refuses(told.era) {
            // Who shares a conversation must not be asked anew while it goes on.
            self.shared.eras.refused(told.era, Duration::MAX);
        }
        lock(&self.found).get_or_insert_with(Instant::now);
    }

    /// The conversation that there was already in the era in which this one turned out to be, although it was begun for the
    /// other one.
    pub(super) fn same_already(&self, new: &Running, told: &Whose) -> Option<Running> {
        let era = new.link.era();
        if era == told.era {
            return None;
        }
        let is_same = |(other, _): &(Whose, Running)| era == Era::Modern || other.declared == told.declared;
        let (_, running) = self.all_kin(&told.in_era(era)).into_iter().find(is_same)?;
        self.note(new, told);
        new.pipe.close("the server speaks one era, in which there is a conversation already");
        Some(running)
    }

    /// Where a server takes no second conversation, legacy clients share the modern one.
    pub(super) fn instead(&self, told: &Whose) -> Option<Running> {
        if told.era == Era::Modern || self.shared.eras.speaks(Era::Legacy) {
            return None;
        }
        let (_, running) = self.all_kin(&told.bare().in_era(Era::Modern)).into_iter().next()?;
        tracing::info!(
            upstream = self.shared.plan.name,
            "no other process starts for legacy clients; they are bridged to the modern era"
        );
        self.shared.eras.refused(Era::Legacy, VERDICT_LASTS);
        Some(running)
    }

    /// Ends the modern conversation that was begun to see what the server is, if nobody has used it, once there is one for
    /// legacy clients. If it is needed after all it is begun again.
    pub(super) fn end_unused_of_other_era(&self, new: &Running, told: &Whose) {
        if !B::IS_COSTLY || new.link.era() == Era::Modern {
            return;
        }
        for (_, unused) in self.all_kin(&told.in_era(Era::Modern)) {
            // Our own reading of its lists is no use by a client.
            if !unused.has_served() {
                unused.pipe.close_if_idle("nobody has used it, and there is one of the other era now");
            }
        }
    }
}
