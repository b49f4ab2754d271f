//! A server's lists, held to what was pinned of them.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use mcp::method::Kind;
use mcp::version::Era;

use super::{Pages, ServerLists};
use crate::catalog::entries::own_name;
use crate::catalog::remarks::{Done, Remark};

impl ServerLists {
    /// Whether what is not as it was pinned may not be used, so that before a call it must be known what it is.
    pub fn holds(&self) -> bool {
        self.pins.as_ref().is_some_and(|pins| pins.holds())
    }

    /// How often anything has changed that was pinned, or was seen to be something else.
    pub(super) fn pins_version(&self) -> u64 {
        self.pins.as_ref().map_or(0, |pins| pins.version())
    }

    /// How many times servers had been reached when it was found out what this one has of a kind; nothing where that makes no
    /// difference. Whoever was reached since may be another one.
    pub fn known_at(&self, kind: Kind, client: Era) -> Option<u64> {
        let known_at = || super::of_kind(&self.known(client).read_at, kind).load(Ordering::Acquire);
        (matches!(kind, Kind::Tool | Kind::Prompt) && self.holds()).then(known_at)
    }

    /// The pages are all that the server has of a kind: what was pinned and is not there is told.
    pub(super) async fn hold_to_pins(&self, kind: Kind, pages: &mut Pages) {
        let Some(pins) = &self.pins else { return };
        let entries = pages.pages.iter().flat_map(|page| &page.page.entries);
        let names: HashSet<String> = entries.map(|entry| own_name(kind, entry)).collect();
        let lacks = pins.ended(kind, names).await;
        let why = || "it was pinned, and its server does not list it any more".to_owned();
        // What is not there cannot be shown, whatever becomes of what is.
        let done = if pins.holds() { Done::Quarantined } else { Done::Changed };
        pages.beside = lacks.iter().map(|name| Remark::new(kind, name, done, why())).collect();
        self.tell(&pages.beside);
    }

    /// The server has nothing of a kind.
    pub async fn lists_nothing(&self, kind: Kind) -> Pages {
        let mut nothing = Pages::default();
        if let Some(pins) = &self.pins {
            pins.ready().await;
        }
        self.hold_to_pins(kind, &mut nothing).await;
        nothing
    }
}
