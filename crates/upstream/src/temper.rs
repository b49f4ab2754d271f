//! Whether a server minds what is declared to it for its clients: by that it is decided how many processes it needs.
//!
//! What a server lists may depend on it (`server-everything` has more tools for clients that can be asked), and what it
//! does in a call may, too. The lists of two processes can be compared; of the rest it is only known that a server which
//! asks does mind. So lists are shared once they were seen to be alike, and calls for as long as the server has not asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base::sync::lock;
use mcp::mrtr;

/// How many sets of capabilities are remembered as alike.
const MOST_ALIKE: usize = 64;

/// What was seen of a server so far.
#[derive(Debug, Default)]
pub(crate) struct Temper {
    asks: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// What the server called itself when this was seen.
    info: Option<String>,
    /// Whether two processes that were told different things listed different things.
    differs: bool,
    /// What was declared to processes that listed the same.
    alike: Vec<Arc<str>>,
}

impl Temper {
    /// It has asked a client for something.
    pub(crate) fn asked(&self) {
        self.asks.store(true, Ordering::Relaxed);
    }

    /// Whether nothing speaks against one process for all: it was compared, and has never asked.
    pub(crate) fn is_indifferent(&self) -> bool {
        let seen = lock(&self.seen);
        !self.asks.load(Ordering::Relaxed) && !seen.differs && !seen.alike.is_empty()
    }

    /// Whether the lists of a process that was told this much are known to be those of the others.
    pub(crate) fn lists_alike(&self, declared: &str) -> bool {
        let seen = lock(&self.seen);
        !seen.differs && seen.alike.iter().any(|told| mrtr::covers(told, declared))
    }

    /// Two processes were compared.
    pub(crate) fn compared(&self, told: [&Arc<str>; 2], alike: bool) {
        let mut seen = lock(&self.seen);
        seen.differs |= !alike;
        for told in told {
            if alike && seen.alike.len() < MOST_ALIKE && !seen.alike.contains(told) {
                seen.alike.push(Arc::clone(told));
            }
        }
    }

    /// Its lists have changed in some process: what was compared before says nothing of now.
    pub(crate) fn changed(&self) {
        lock(&self.seen).alike.clear();
    }

    /// What the server says that it is. Another version of it is another server.
    pub(crate) fn is_of(&self, info: Option<&str>) {
        let mut seen = lock(&self.seen);
        if seen.info.as_deref() != info {
            // What the first one asked while it was being begun is its own.
            if seen.info.is_some() {
                self.asks.store(false, Ordering::Relaxed);
            }
            *seen = Seen { info: info.map(str::to_owned), ..Seen::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_decides_until_the_server_is_another_one() {
        let [none, some]: [Arc<str>; 2] = ["{}".into(), r#"{"elicitation":{},"roots":{}}"#.into()];
        let temper = Temper::default();
        temper.is_of(Some("1"));
        assert!(!temper.is_indifferent() && !temper.lists_alike("{}"));
        temper.compared([&none, &some], true);
        assert!(temper.is_indifferent() && temper.lists_alike(r#"{"roots":{}}"#));
        assert!(!temper.lists_alike(r#"{"sampling":{}}"#), "nobody has seen that");
        temper.changed();
        assert!(!temper.is_indifferent() && !temper.lists_alike("{}"));
        temper.compared([&none, &some], true);
        temper.asked();
        assert!(!temper.is_indifferent() && temper.lists_alike("{}"));
        temper.compared([&none, &some], false);
        assert!(!temper.lists_alike("{}"));
        temper.is_of(Some("2"));
        temper.compared([&none, &some], true);
        assert!(temper.is_indifferent());
    }
}
