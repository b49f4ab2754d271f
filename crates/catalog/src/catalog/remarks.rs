//! What was found odd in a server's lists and what was done about it: said in the list, in the log and as a count.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Mutex;

use base::sync::lock;
use mcp::json;
use mcp::meta::DEGRADED;
use mcp::method::Kind;
use upstream::Upstream;

use crate::catalog::sight::Sight;

/// So many remarks of each kind stand in one list.
const MOST_SAID: usize = 50;
/// So many different ones are told apart in the log. A server whose lists change for ever is not followed.
const MOST_TOLD: usize = 2000;
/// So many characters of a name are told.
const MOST_NAME: usize = 128;

/// What became of an odd entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Done {
    /// It was mended.
    Repaired,
    /// It is not shown.
    LeftOut,
    /// It is shown as it came.
    Passed,
    /// It is not what was pinned, and shown as it came.
    Changed,
    /// It is not what was pinned, and shown as that.
    AsPinned,
    /// It is not what was pinned, and not shown.
    Quarantined,
}

impl Done {
    /// The label for it in `/metrics`.
    fn label(self) -> &'static str {
        match self {
            Self::Repaired => "repaired",
            Self::LeftOut => "left_out",
            Self::Passed => "passed",
            Self::Changed => "changed",
            Self::AsPinned | Self::Quarantined => "quarantined",
        }
    }
}

/// As much of a name as is told.
pub fn told_name(name: &str) -> &str {
    name.char_indices().nth(MOST_NAME).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

/// Something odd about one entry of a list, or about a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remark {
    kind: Kind,
    /// The server's own name of the entry, as far as it has one.
    name: String,
    done: Done,
    why: String,
}

impl Remark {
    pub fn new(kind: Kind, name: &str, done: Done, why: String) -> Self {
        Self { kind, name: told_name(name).to_owned(), done, why }
    }

    /// The name of the thing that is not shown because it is not what was pinned, as far as it is told ([`told_name`]).
    pub fn quarantined(&self) -> Option<&str> {
        (self.done == Done::Quarantined).then_some(self.name.as_str())
    }

    /// Whether it is about something that is shown. Of a name that was too long for it, that is not known.
    pub fn is_in(&self, sight: Sight<'_>) -> bool {
        let is_whole = || self.name.chars().nth(MOST_NAME - 1).is_none();
        sight.is_whole() || self.name.is_empty() || (is_whole() && sight.has(self.kind, &self.name))
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = base::error::noun(self.kind);
        let done = match self.done {
            Done::Repaired => "repaired",
            Done::LeftOut => "left out",
            Done::Passed => "passed on as it is, though clients may refuse the whole list for it",
            Done::Changed => "shown as it is",
            Done::AsPinned => "quarantined, and shown as it was pinned",
            Done::Quarantined => "quarantined",
        };
        if self.name.is_empty() {
            write!(f, "{of}s: {done}: {}", self.why)
        } else {
            write!(f, "{of} {:?}: {done}: {}", self.name, self.why)
        }
    }
}

/// What of a server's remarks was told already: each is, once.
#[derive(Debug, Default)]
pub struct ToldRemarks {
    before: Mutex<HashSet<Remark>>,
}

impl ToldRemarks {
    pub fn tell(&self, upstream: &Upstream, remarks: &[Remark]) {
        for remark in remarks {
            let mut before = lock(&self.before);
            if before.len() >= MOST_TOLD || !before.insert(remark.clone()) {
                continue;
            }
            drop(before);
            upstream.world().metrics.odd_entry(upstream.name(), remark.done.label());
            let help = match remark.done {
                Done::Passed => "; schema = \"repair\" of the upstream mends it",
                Done::Changed | Done::AsPinned | Done::Quarantined => {
                    "; `portolan pins diff --connect` shows it"
                }
                Done::Repaired | Done::LeftOut => "",
            };
            tracing::warn!(upstream = upstream.name(), "{remark}{help}");
        }
    }
}

/// What a list says of its odd entries.
#[derive(Debug, Default)]
pub struct Remarks {
    repaired: Vec<String>,
    left_out: Vec<String>,
    changed: Vec<String>,
    quarantined: Vec<String>,
}

impl Remarks {
    pub fn add<'r>(&mut self, server: &str, remarks: impl IntoIterator<Item = &'r Remark>) {
        for remark in remarks {
            let list = match remark.done {
                Done::Repaired => &mut self.repaired,
                Done::LeftOut => &mut self.left_out,
                Done::Changed => &mut self.changed,
                Done::AsPinned | Done::Quarantined => &mut self.quarantined,
                Done::Passed => continue,
            };
            if list.len() < MOST_SAID {
                let [server, name, why] = [server, &remark.name, &remark.why].map(json::quote);
                list.push(format!(r#"{{"server":{server},"name":{name},"why":{why}}}"#));
            }
        }
    }

    /// The members of the list's `_meta`, with their values.
    pub fn members(&self) -> Vec<(&'static str, String)> {
        let all = [
            (REPAIRED, &self.repaired),
            (LEFT_OUT, &self.left_out),
            (CHANGED, &self.changed),
            (QUARANTINED, &self.quarantined),
        ];
        all.into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| (name, format!("[{}]", list.join(","))))
            .collect()
    }
}

/// The member of a result's `_meta` that says which servers it lacks, and why: `"dev.portolan/degraded":[{"server":…,"reason":…}]`.
pub fn degraded(servers: &BTreeMap<String, String>) -> String {
    let (name, value) = degradation(servers);
    format!("{}:{value}", json::quote(name))
}

/// Its name and its value.
pub fn degradation(servers: &BTreeMap<String, String>) -> (&'static str, String) {
    let each = |(server, reason): (&String, &String)| {
        format!(r#"{{"server":{},"reason":{}}}"#, json::quote(server), json::quote(reason))
    };
    let all: Vec<_> = servers.iter().map(each).collect();
    (DEGRADED, format!("[{}]", all.join(",")))
}

/// The member of a list's `_meta` that says which entries were mended.
const REPAIRED: &str = "dev.portolan/repaired";
/// The member of a list's `_meta` that says which entries are not shown.
const LEFT_OUT: &str = "dev.portolan/left-out";
/// The member of a list's `_meta` that says which entries are not what was pinned, and shown all the same.
const CHANGED: &str = "dev.portolan/changed";
/// The member of a list's `_meta` that says which entries are not what was pinned, and therefore not shown, or shown as that.
const QUARANTINED: &str = "dev.portolan/quarantined";
