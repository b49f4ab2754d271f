//! What is known of a server's lists gets old.

use std::sync::atomic::Ordering;

use mcp::method::Kind;
use mcp::version::Era;

use super::{Known, ServerLists};
use crate::catalog::index::Index;

impl ServerLists {
    /// A list changed, for clients of one era or of both: what was fetched before this moment is stale.
    pub fn changed(&self, kind: Kind, clients: Option<Era>) {
        let holds = self.holds();
        let decides = self.gate.decides() || holds;
        let changed = |known: &Known| {
            match kind {
                // Nobody decides by what a tool was: before the next call they are read again.
                Kind::Tool if decides => known.learn(Index::forget_tools),
                // Records do not say what it was, either.
                Kind::Tool if self.upstream.world().sinks.examines().is_some() => {
                    known.learn(|index| index.definitions.clear());
                }
                Kind::Prompt if holds => known.learn(Index::forget_prompts),
                _ => {}
            }
            known.generation(kind).fetch_add(1, Ordering::AcqRel)
        };
        match clients {
            Some(client) => changed(self.known(client)),
            None => changed(&self.eras.modern).max(changed(&self.eras.legacy)),
        };
    }

    /// Counts the changes of a list as clients of an era see it.
    pub fn changes(&self, kind: Kind, client: Era) -> u64 {
        self.known(client).generation(kind).load(Ordering::Acquire) + self.pins_version()
    }
}
