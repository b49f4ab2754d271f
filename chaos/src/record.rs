//! What happened, as clients, servers and faults write it down while it happens, and as the judge reads it afterwards.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A time: how long after the beginning of the run.
pub(crate) type At = Duration;

/// What a call is to the judge: what may become of it, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A modern call, which no replica but the one that has it knows of.
    ModernCall,
    /// The same, one of many at once on new connections.
    Burst,
    /// A modern call of a modern server that asks: two stateless calls.
    ModernAsk,
    /// A modern call of a legacy server that asks: a replica holds it until the retry comes.
    ModernAskHeld,
    /// A call in a legacy session.
    LegacyCall,
    /// A call in a legacy session whose server asks the client in its midst.
    LegacyAsk,
    /// A call in a legacy session whose connection the client cuts, to go on with `Last-Event-ID`.
    LegacyResume,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::ModernCall,
        Self::Burst,
        Self::ModernAsk,
        Self::ModernAskHeld,
        Self::LegacyCall,
        Self::LegacyAsk,
        Self::LegacyResume,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ModernCall => "modern-call",
            Self::Burst => "burst",
            Self::ModernAsk => "modern-ask",
            Self::ModernAskHeld => "modern-ask-held",
            Self::LegacyCall => "legacy-call",
            Self::LegacyAsk => "legacy-ask",
            Self::LegacyResume => "legacy-resume",
        }
    }

    /// Whether it may be lost with a replica that the client has not been given to, because that one holds it.
    pub(crate) fn is_held(self) -> bool {
        !matches!(self, Self::ModernCall | Self::Burst | Self::ModernAsk)
    }
}

/// How a call ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has not ended.
    Open,
    /// The right answer came.
    Acknowledged,
    /// The client was told, or saw by its connection, that it may or may not have been carried out.
    Lost(String),
    /// Each time it was sent it was certainly not carried out, until the client gave up.
    Refused(String),
    /// Something came that is none of these.
    Wrong(String),
}

/// A call that has an effect.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The effect that it asks for. It stays the same when the call is sent again.
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) began: At,
    /// When the client last sent something of it: before that it could not be told anything.
    pub(crate) sent: At,
    pub(crate) ended: At,
    /// The replicas that it was given to since it was last refused.
    pub(crate) replicas: Vec<usize>,
    /// How often it was refused and sent again.
    pub(crate) refused: u32,
    pub(crate) outcome: Outcome,
}

/// What was done to the replicas and what they stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// SIGKILL, and a new start.
    Kill,
    /// SIGSTOP, and SIGCONT after a while.
    Stop,
    /// `portolan replicas --drain`, and a new start when it has ended.
    Drain,
    /// SIGTERM, and a new start when it has ended.
    Term,
    /// PostgreSQL ends and starts again.
    Database,
    /// SIGHUP with a changed configuration.
    Reload,
    /// SIGHUP with one that is wrong.
    Misload,
    /// Many new connections at once.
    Burst,
}

impl Blow {
    pub(crate) const ALL: [Self; 8] = [
        Self::Kill,
        Self::Stop,
        Self::Drain,
        Self::Term,
        Self::Database,
        Self::Reload,
        Self::Misload,
        Self::Burst,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Drain => "drain",
            Self::Term => "term",
            Self::Database => "database",
            Self::Reload => "reload",
            Self::Misload => "misload",
            Self::Burst => "burst",
        }
    }
}

/// One such thing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck {
    pub(crate) blow: Blow,
    pub(crate) replica: Option<usize>,
    pub(crate) from: At,
    /// When all was as before.
    pub(crate) to: At,
}

/// A thing that changes and that clients can watch: a resource or the list of tools of one server.
pub(crate) type Subject = String;

/// That a subject has a new version.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) subject: Subject,
    pub(crate) version: u64,
    pub(crate) at: At,
}

/// A client that watches subjects, from when it was first told that it does.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    pub(crate) name: String,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) from: At,
    pub(crate) to: At,
}

/// That a watcher, having been told to look, found this version.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) watcher: String,
    pub(crate) subject: Subject,
    pub(crate) version: u64,
    pub(crate) at: At,
}

/// A legacy session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    pub(crate) opened: At,
    pub(crate) ended: At,
    /// The replica that opened it.
    pub(crate) home: Option<usize>,
    /// When requests of it were answered.
    pub(crate) served: Vec<At>,
    /// It got a 404 although nobody had ended it.
    pub(crate) is_lost: bool,
}

/// Everything that the judge knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    /// Kinds of calls that were to be made, and clients that were to watch: a run without them shows nothing.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) names: Vec<String>,
    pub(crate) calls: Vec<Call>,
    /// Effects that servers carried out.
    pub(crate) effects: Vec<String>,
    pub(crate) struck: Vec<Struck>,
    pub(crate) changes: Vec<Change>,
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) found: Vec<Found>,
    pub(crate) sessions: Vec<Session>,
    /// What whoever saw it knows to be wrong, whatever else happened.
    pub(crate) wrong: Vec<(At, String)>,
    /// Things that happened and are only counted.
    pub(crate) tallies: std::collections::BTreeMap<String, u64>,
}

/// The book while it is written.
#[derive(Debug)]
pub(crate) struct Record {
    began: Instant,
    book: Mutex<Book>,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), book: Mutex::default() }
    }

    pub(crate) fn now(&self) -> At {
        self.began.elapsed()
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wrong(&self, what: impl Into<String>) {
        let now = self.now();
        self.book().wrong.push((now, what.into()));
    }

    pub(crate) fn tally(&self, what: &str) {
        *self.book().tallies.entry(what.to_owned()).or_default() += 1;
    }

    /// A call begins: where it stands in the book.
    pub(crate) fn begin(&self, id: &str, kind: Kind) -> usize {
        let now = self.now();
        let call = Call {
            id: id.to_owned(),
            kind,
            began: now,
            sent: now,
            ended: now,
            replicas: Vec::new(),
            refused: 0,
            outcome: Outcome::Open,
        };
        let mut book = self.book();
        book.calls.push(call);
        book.calls.len() - 1
    }

    /// The client sends something of the call.
    pub(crate) fn sends(&self, call: usize) {
        let now = self.now();
        if let Some(call) = self.book().calls.get_mut(call) {
            call.sent = now;
        }
    }

    /// The call was given to this replica.
    pub(crate) fn given(&self, call: usize, replica: Option<usize>) {
        if let Some(replica) = replica
            && let Some(call) = self.book().calls.get_mut(call)
            && !call.replicas.contains(&replica)
        {
            call.replicas.push(replica);
        }
    }

    /// It was certainly not carried out, and is sent again.
    pub(crate) fn again(&self, call: usize) {
        if let Some(call) = self.book().calls.get_mut(call) {
            call.refused += 1;
            call.replicas.clear();
        }
    }

    pub(crate) fn end(&self, call: usize, outcome: Outcome) {
        let now = self.now();
        if let Some(call) = self.book().calls.get_mut(call) {
            call.ended = now;
            call.outcome = outcome;
        }
    }

    pub(crate) fn found(&self, watcher: &str, subject: &str, version: u64) {
        let found =
            Found { watcher: watcher.to_owned(), subject: subject.to_owned(), version, at: self.now() };
        self.book().found.push(found);
    }
}
