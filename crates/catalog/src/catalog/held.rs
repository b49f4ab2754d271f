//! Things of a server that are held until somebody approves them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::error::CallError;
use base::pin::{Listed, Pins, Unpinned};
use base::sync::lock;
use mcp::method::Kind;
use mcp::version::Era;

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

    /// Whether a thing may be used; of prompts, too, it must be known what they are. The names are the server's own and the public one.
    pub(super) async fn hold(
        &self,
        kind: Kind,
        (name, public): (&str, &str),
        caller: &Caller,
    ) -> Result<(), CallError> {
        if kind == Kind::Prompt {
            // If they cannot be read, getting one will say why.
            drop(self.know(Kind::Prompt, caller, Patience::Whole).await);
        }
        self.permit_pinned(kind, (name, public), caller.era())
    }

    /// Whether a thing may be used, by what is known: what is not as it was pinned may not, nor what its server does not list.
    ///
    /// # Errors
    /// When it may not.
    pub fn permit_pinned(
        &self,
        kind: Kind,
        (name, public): (&str, &str),
        client: Era,
    ) -> Result<(), CallError> {
        let Some(pins) = self.pins.as_ref().filter(|pins| pins.holds()) else { return Ok(()) };
        let permitted = match kind {
            Kind::Tool => {
                let index = self.server_lists.index(client);
                let listed = index.definition(kind, name).map(|definition| &*definition.digest);
                pins.permit(kind, name, listed.map_or(Listed::No, Listed::As))
            }
            _ => pins.permit(kind, name, Listed::Unknown),
        };
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
