//! A line of the ledger, as formats look at it.

use std::borrow::Cow;
use std::time::SystemTime;

use ledger::line::{Head, moment_of};
use ledger::query;
use mcp::json::{self, Object};

/// One record.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// What it begins with.
    pub(crate) head: Head<'a>,
    /// All of it.
    pub(crate) line: &'a str,
    members: Object<'a>,
}

/// How much a record should worry somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// As it should be.
    Usual,
    /// Worth a look where something is looked for.
    Notable,
    /// Something was not allowed, or failed.
    Amiss,
    /// The ledger, or Portolan itself, is not as it should be.
    Grave,
}

/// Whether what was asked for was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was.
    Done,
    /// It was not allowed.
    Forbidden,
    /// It failed.
    Failed,
    /// Its caller did not wait for the end, or nobody knows.
    Open,
}

/// What is not allowed ends so: labels of the error table (docs/reference/errors.md).
const FORBIDDEN: &[&str] = &[
    "denied",
    "policy",
    "unauthenticated",
    "bad_credentials",
    "insufficient_scope",
    "quarantined",
    "approval_needed",
    "approval_denied",
    "rate_limited",
];

/// What says that Portolan itself is not well.
const GRAVE: &[&str] = &["internal", "audit_unavailable"];

impl<'a> Record<'a> {
    /// Reads a line of the ledger.
    pub(crate) fn read(line: &'a str) -> Option<Self> {
        Some(Self { head: Head::read(line)?, line, members: Object::parse(line).ok()? })
    }

    /// All members, in their order.
    pub(crate) fn members(&self) -> &Object<'a> {
        &self.members
    }

    /// The text of a member.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        query::text(&self.members, name)
    }

    /// A number or a text as text: what a client may spell in either way.
    pub(crate) fn spelled(&self, name: &str) -> Option<String> {
        let value = self.members.get(name).ok()??;
        Some(json::string(value).map_or_else(|_| value.to_owned(), Cow::into_owned))
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.members.get(name).ok()??.parse().ok()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        matches!(self.members.get(name), Ok(Some(_)))
    }

    /// The text of a member of an object in it.
    pub(crate) fn inner(&self, outer: &str, name: &str) -> Option<String> {
        query::inner(&self.members, outer, name)
    }

    /// Whether a member of an object in it is `true`; nothing if it is not there.
    pub(crate) fn flag(&self, outer: &str, name: &str) -> Option<bool> {
        Some(self.members.object(outer).ok()??.get(name).ok()?? == "true")
    }

    /// The texts of an array in an object in it, at most so many.
    pub(crate) fn texts(&self, outer: &str, name: &str, most: usize) -> Vec<String> {
        let object = self.members.object(outer).ok().flatten();
        let array = object.as_ref().and_then(|object| object.get(name).ok().flatten());
        let (elements, _) = array.and_then(|text| json::array_within(text, most).ok()).unwrap_or_default();
        elements.into_iter().filter_map(|each| Some(json::string(each).ok()?.into_owned())).collect()
    }

    /// Whether the tool says that it only reads, or that it destroys: of its hints those that it has.
    pub(crate) fn hint(&self, name: &str) -> Option<bool> {
        let definition = self.members.object("definition").ok()??;
        Some(definition.object("hints").ok()??.get(name).ok()?? == "true")
    }

    /// When it was made.
    pub(crate) fn at(&self) -> SystemTime {
        moment_of(self.head.time).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The same in milliseconds.
    pub(crate) fn millis(&self) -> u128 {
        self.at().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
    }

    /// How it ended, as the record says; empty if it does not.
    pub(crate) fn outcome(&self) -> String {
        self.text("outcome").unwrap_or_default()
    }

    /// Whether what was asked for was done.
    pub(crate) fn ending(&self) -> Ending {
        let outcome = self.outcome();
        match (self.head.kind, outcome.as_str()) {
            ("gap", _) | ("sink", "skipped" | "missing" | "full") => Ending::Failed,
            ("approval" | "pin", "denied") => Ending::Forbidden,
            ("call" | "login", other) if FORBIDDEN.contains(&other) => Ending::Forbidden,
            ("login", _) if outcome != "ok" => Ending::Forbidden,
            (_, "refused") | ("task", "failed") | ("session", "lost") => Ending::Failed,
            (_, "cancelled") => Ending::Open,
            ("call", "ok" | "input_required") => Ending::Done,
            ("call", _) => Ending::Failed,
            _ => Ending::Done,
        }
    }

    /// How much it should worry somebody.
    pub(crate) fn weight(&self) -> Weight {
        let outcome = self.outcome();
        let is_broken = ["torn", "unreadable", "witnessed"].into_iter().any(|name| self.has(name));
        match self.head.kind {
            "gap" => Weight::Grave,
            "start" if is_broken => Weight::Grave,
            // What is not there any more, and what opens doors.
            "deleted" | "erased" | "key" => Weight::Notable,
            "pin" if outcome == "forgotten" => Weight::Notable,
            // Clients do that after each restart of Portolan, and it costs them nothing.
            "session" if outcome == "lost" => Weight::Notable,
            "task" if outcome == "failed" => Weight::Notable,
            "call" if GRAVE.contains(&outcome.as_str()) => Weight::Grave,
            // A tool that says so itself: this is what its caller deals with.
            "call" if outcome == "error" => Weight::Notable,
            _ => match self.ending() {
                Ending::Done | Ending::Open => Weight::Usual,
                Ending::Forbidden | Ending::Failed => Weight::Amiss,
            },
        }
    }

    /// What happened, in a few words. What somebody else chose is last.
    pub(crate) fn summary(&self) -> String {
        let said = |name: &str| self.text(name).unwrap_or_default();
        match self.head.kind {
            "call" => {
                let (outcome, method) = (self.outcome(), said("method"));
                let server = self.text("server").map(|server| format!(" at {server}")).unwrap_or_default();
                let thing = self.inner("thing", "name").map(|name| format!(": {name}")).unwrap_or_default();
                format!("{outcome}: {method}{server}{thing}")
            }
            "login" => format!("login: {}: {}", self.outcome(), said("why")),
            "approval" => format!("approval {} {}", said("approval"), self.outcome()),
            "session" => format!("session {} at {}: {}", self.outcome(), said("route"), said("principal")),
            "task" => {
                let tool = self.text("tool").map(|tool| format!(": {tool}")).unwrap_or_default();
                format!("task {} at {}{tool}", self.outcome(), said("server"))
            }
            "key" => format!("{} {}: {}", said("of"), self.outcome(), said("key")),
            "pin" => {
                let thing = self.text("name").map(|name| format!(": {name}")).unwrap_or_default();
                format!("pin of {} {}{thing}", said("server"), self.outcome())
            }
            "erased" => {
                let what = self.text("payload").or_else(|| self.text("file")).unwrap_or_default();
                format!("payloads erased: {what}: {}", said("why"))
            }
            "configuration" => format!("configuration {}: {}", self.outcome(), said("path")),
            "start" => format!("Portolan {} starts", said("version")),
            "end" => "Portolan ends".to_owned(),
            "sink" => format!("sink {}: {}", said("sink"), self.outcome()),
            "gap" => format!(
                "{} records are lacking, and {} calls were refused",
                self.number("lost").unwrap_or_default(),
                self.number("refused").unwrap_or_default()
            ),
            "checkpoint" => "a checkpoint of the ledger".to_owned(),
            "deleted" => "a part of the ledger was deleted".to_owned(),
            other => format!("a record of type {other}"),
        }
    }
}
