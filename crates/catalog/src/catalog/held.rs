//! Things of a server that are held until somebody approves them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::error::CallError;
use base::pin::{Listed, Pins, Unpinned};
use base::sync::lock;
use mcp::method::Kind;

use super::Member;
use super::reading::Patience;
use crate::caller::Caller;

/// What of a server's pins its lists go by.
#[derive(Debug)]
pub(super) struct Followed {
    decisions: AtomicU64,
    version: AtomicU64,
}

impl Followed {
    pub(super) fn new(pins: Option<&dyn Pins>) -> Self {
        let of = |count: fn(&dyn Pins) -> u64| AtomicU64::new(pins.map_or(0, count));
        Self { decisions: of(|pins| pins.decisions()), version: of(|pins| pins.version()) }
    }
}

impl Member {
    /// What was pinned of what it lists, if it is held to that.
    pub fn pins(&self) -> Option<&Arc<dyn Pins>> {
        self.pins.as_ref()
    }

    /// Its list was read, and what was read counts no more, since somebody has decided in the meantime: once more.
    pub(super) async fn knows_at_last(&self, caller: &Caller) -> bool {
        self.server_lists.holds()
            && Box::pin(self.know(Kind::Tool, caller, Patience::Whole)).await.is_ok()
            && self.knows_tools(caller.era())
    }

    /// Whether it is held to what was pinned. What it said of things of a kind long ago is forgotten then.
    pub(super) fn is_held(&self, kind: Kind, caller: &Caller) -> bool {
        let is_held = self.server_lists.holds();
        if is_held && matches!(kind, Kind::Tool | Kind::Prompt) {
            self.server_lists.forget_what_is_due(kind, caller);
        }
        is_held
    }

    /// Whether a thing may be used; of prompts, too, it must be known what they are. The names are the server's own and the public one.
    pub(super) async fn hold(
        &self,
        kind: Kind,
        (name, public): (&str, &str),
        caller: &Caller,
    ) -> Result<(), CallError> {
        if kind == Kind::Prompt {
            // What is not known then may not be used.
            drop(self.know(Kind::Prompt, caller, Patience::Whole).await);
        }
        let permitted = self.permit_pinned(kind, (name, public), caller);
        let is_held = matches!(permitted, Err(CallError::Quarantined { .. }));
        if is_held && self.server_lists.is_of_another(kind, caller) {
            // Somebody else was listed other things.
            self.relearn(kind, caller).await;
            return self.permit_pinned(kind, (name, public), caller);
        }
        permitted
    }

    /// Whether a thing may be used, by what is known: what is not as it was pinned may not, nor what its server does not list.
    ///
    /// # Errors
    /// When it may not.
    pub fn permit_pinned(
        &self,
        kind: Kind,
        (name, public): (&str, &str),
        caller: &Caller,
    ) -> Result<(), CallError> {
        let Some(pins) = self.pins.as_ref().filter(|pins| pins.holds()) else { return Ok(()) };
        let index = self.server_lists.index(caller.era());
        let is_known = index.complete.contains(&super::list_name(kind));
        let listed = match index.digest(kind, name) {
            Some(digest) => Listed::As(digest),
            None if is_known => Listed::No,
            None => Listed::Unknown,
        };
        let mut permitted = pins.permit(kind, name, listed);
        if permitted.is_ok() && self.server_lists.is_withheld(kind, name, caller) {
            let why = "in this session its server says something else than what was pinned";
            permitted = Err(Unpinned::Held(why.to_owned()));
        }
        permitted.map_err(|unpinned| match unpinned {
            Unpinned::Unknown => CallError::UnknownName { kind, name: public.to_owned() },
            Unpinned::Held(why) => CallError::Quarantined {
                upstream: self.upstream.name().to_owned(),
                kind,
                name: name.to_owned(),
                why,
            },
        })
    }

    /// Looks at its lists anew if what was pinned has changed since it last did.
    pub fn follow_pins(&self) {
        let Some(pins) = &self.pins else { return };
        let (decisions, version) = (pins.decisions(), pins.version());
        let is_decided = self.followed.decisions.swap(decisions, Ordering::AcqRel) != decisions;
        if self.followed.version.swap(version, Ordering::AcqRel) != version {
            // Whoever could not find out what its tools are may ask again.
            lock(&self.in_vain).take();
            self.reader.pins_changed(is_decided);
        }
    }
}
