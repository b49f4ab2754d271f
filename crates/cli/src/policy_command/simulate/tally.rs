//! What would change, counted.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base::moment;
use serde_json::json;

use crate::columns;

/// So many kinds of changes are told apart.
const MOST_ROWS: usize = 1000;
/// What is longer is cut.
const LONGEST: usize = 160;

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    /// There were no policies.
    Nothing,
    Allow,
    Ask,
    Deny,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::Nothing => "no policies",
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// A call that would be decided otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) principal: String,
    pub(super) thing: String,
    pub(super) was: Word,
    pub(super) would: Word,
    /// The policies that would decide; nothing where none permits it.
    pub(super) by: Vec<String>,
}

#[derive(Debug)]
struct Times {
    calls: u64,
    first: SystemTime,
    last: SystemTime,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) same: u64,
    pub(super) unknown: u64,
    pub(super) not_decided: u64,
    /// Those that would reach no server: the configuration does not have the route, or the route not the server.
    pub(super) not_served: u64,
    pub(super) unreadable: u64,
    /// Other records, and calls that nobody asks about.
    pub(super) passed_over: u64,
    changes: BTreeMap<Change, Times>,
}

impl Changes {
    pub(super) fn add(&mut self, mut change: Change, time: SystemTime) {
        for text in [&mut change.principal, &mut change.thing].into_iter().chain(&mut change.by) {
            cut(text);
        }
        if self.changes.len() >= MOST_ROWS && !self.changes.contains_key(&change) {
            let others = || "(others)".to_owned();
            change = Change { principal: others(), thing: others(), by: Vec::new(), ..change };
        }
        let times = self.changes.entry(change).or_insert(Times { calls: 0, first: time, last: time });
        times.calls += 1;
        times.first = times.first.min(time);
        times.last = times.last.max(time);
    }

    /// How many calls would be decided otherwise.
    pub(super) fn changed(&self) -> u64 {
        self.changes.values().map(|times| times.calls).sum()
    }

    /// How many calls were read.
    pub(super) fn calls(&self) -> u64 {
        self.same + self.unknown + self.not_decided + self.not_served + self.changed()
    }

    /// The most frequent first.
    fn sorted(&self) -> Vec<(&Change, &Times)> {
        let mut all: Vec<_> = self.changes.iter().collect();
        all.sort_by_key(|(_, times)| std::cmp::Reverse(times.calls));
        all
    }

    pub(super) fn text(&self, for_terminal: bool) -> String {
        let mut text = String::new();
        if !self.changes.is_empty() {
            let head = ["CALLS", "WAS", "WOULD BE", "WHO", "WHAT", "FIRST", "LAST", "POLICIES"];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            for (change, times) in self.sorted() {
                let by = match change.by.as_slice() {
                    [] if change.would == Word::Deny => "no policy permits it".to_owned(),
                    by => by.join(", "),
                };
                rows.push(vec![
                    times.calls.to_string(),
                    change.was.text().to_owned(),
                    change.would.text().to_owned(),
                    change.principal.clone(),
                    change.thing.clone(),
                    moment::write(times.first),
                    moment::write(times.last),
                    by,
                ]);
            }
            let width =
                |at: usize| rows.iter().map(move |row| row.get(at).map_or(0, |cell| cell.chars().count()));
            let widths: Vec<usize> = (0..7).map(|at| width(at).max().unwrap_or_default() + 2).collect();
            text = columns::table(&widths, &rows, for_terminal);
            text.push('\n');
        }
        let calls = |count: u64| if count == 1 { "1 call".to_owned() } else { format!("{count} calls") };
        text.push_str(&format!(
            "{}: {} would be decided otherwise, {} as before, {} unknown, {} not decided by policies\n",
            calls(self.calls()),
            self.changed(),
            self.same,
            self.unknown,
            self.not_decided
        ));
        if self.not_served > 0 {
            text.push_str(&format!(
                "to routes and servers that this configuration does not have: {}\n",
                self.not_served
            ));
        }
        if self.unreadable > 0 {
            text.push_str(&format!("lines that cannot be read: {}\n", self.unreadable));
        }
        text
    }

    pub(super) fn json(&self) -> String {
        let change = |(change, times): (&Change, &Times)| {
            json!({
                "principal": change.principal,
                "what": change.thing,
                "was": change.was.text(),
                "wouldBe": change.would.text(),
                "policies": change.by,
                "calls": times.calls,
                "first": moment::write(times.first),
                "last": moment::write(times.last),
            })
        };
        let all = json!({
            "calls": self.calls(),
            "changed": self.changed(),
            "same": self.same,
            "unknown": self.unknown,
            "notDecided": self.not_decided,
            "notServed": self.not_served,
            "unreadable": self.unreadable,
            "changes": self.sorted().into_iter().map(change).collect::<Vec<_>>(),
        });
        format!("{all}\n")
    }
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(at);
        text.push('…');
    }
    // A line is a row, and what a caller has sent moves no cursor.
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, "\u{fffd}");
    }
}
