//! The pins of one server, as the data plane asks for them.
//!
//! Whatever is looked at once is a copy of a moment (`State`). It is changed by whoever looks at lists (what was seen), by a reload
//! (the lock file, the rule) and by what other processes put into the store.

use base::define;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::digest::Digest;
use base::metrics::Metrics;
use base::pin::{Listed, Pending, Pinned, Pins, Unpinned};
use base::plan::pins::{PinMode, PinRule, Quarantined, Suspicious};
use base::sync::lock;
use mcp::method::Kind;
use store::Store;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::alike::{self, Others};
use crate::book::{Book, PinnedDefinition, can_be_kept, can_be_pinned};
use crate::checks::{self, Finding};
use crate::hidden::visible;
use crate::waiting::{AllSeen, Seen, Why, said};
use crate::words;

mod keeping;
#[cfg(test)]
mod tests;

/// When to ask the store again for what was never read.
const RETRY: Duration = Duration::from_secs(1);
/// Why something is held that could not be kept and read again.
const UNREADABLE: &str = "it cannot be read, or its name is too long, so that it cannot be pinned";
/// Why everything is held.
const UNKNOWN: &str = "what was pinned cannot be found out now";
/// So many things of one kind of one server are remembered before they are pinned, and so many bytes of them.
const MOST_FIRST: usize = 20_000;
const MOST_FIRST_BYTES: usize = 64 * 1024 * 1024;

/// What the pins of all servers share.
pub(crate) struct Common {
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) metrics: Arc<Metrics>,
    /// The tools of all servers that are pinned.
    pub(crate) others: Mutex<Others>,
    /// How often anything has changed by which lists are made.
    pub(crate) changes: watch::Sender<u64>,
}

/// The pins of one server.
pub struct ServerPins {
    server: String,
    common: Arc<Common>,
    state: ArcSwap<State>,
    /// One changes it at a time.
    changing: Mutex<()>,
    version: AtomicU64,
    decisions: AtomicU64,
    /// What a server has shown that has no pins yet.
    first: Mutex<First>,
    /// What was seen since it was last settled.
    noted: Mutex<Vec<Seen>>,
    /// What the store is yet to be told.
    unsent: Mutex<VecDeque<Unsent>>,
    /// What the store does not take, and is remembered by this process alone.
    unkept: Mutex<Vec<Seen>>,
    /// One talks with the store at a time: what is read late is not older than what was read before, and nothing is taken for told
    /// that was not.
    storing: tokio::sync::Mutex<()>,
    /// One reads at a time before a list. When it last went wrong.
    reading: tokio::sync::Mutex<Option<Instant>>,
}

/// What is known at one moment.
struct State {
    mode: PinMode,
    quarantined: Quarantined,
    suspicious: Suspicious,
    /// Whether a lock file has the pins.
    is_locked: bool,
    /// Whether the store was read, as far as there is one.
    is_read: bool,
    /// What is pinned; nothing as long as that is not known.
    book: Option<Arc<Book>>,
    /// The version that the store has of it.
    stored: i64,
    /// Whether it has more than the store.
    is_unsaved: bool,
    waiting: Arc<AllSeen>,
    /// What pinned things say, without their names → their names.
    says: OnceLock<HashMap<Digest, String>>,
}

#[derive(Default)]
struct First {
    kinds: BTreeMap<Kind, FirstThings>,
}

#[derive(Default)]
struct FirstThings {
    things: HashMap<String, PinnedDefinition>,
    bytes: usize,
}

impl FirstThings {
    /// Adds one that is not there. False if there is no room.
    fn add(&mut self, name: &str, pin: PinnedDefinition) -> bool {
        let bytes = self.bytes + pin.text.len() + name.len();
        let has_room = self.things.len() < MOST_FIRST && bytes <= MOST_FIRST_BYTES;
        if has_room {
            self.things.insert(name.to_owned(), pin);
            self.bytes = bytes;
        }
        has_room
    }
}

impl First {
    fn get(&self, kind: Kind, name: &str) -> Option<&PinnedDefinition> {
        self.kinds.get(&kind)?.things.get(name)
    }
}

#[derive(Debug, Clone)]
enum Unsent {
    /// And whether something is pinned under its name.
    Seen(Seen, bool),
    Settled(Kind, String),
}

impl State {
    /// What is pinned, if that is known and what was seen to be something else, too.
    fn known(&self) -> Option<&Arc<Book>> {
        self.book.as_ref().filter(|_| self.is_read)
    }

    /// What becomes of a thing that is not as it was pinned.
    fn held(&self, pin: Option<&PinnedDefinition>, why: String) -> Pinned {
        match (self.mode, self.quarantined, pin) {
            (PinMode::Warn, ..) => Pinned::Said(why),
            (PinMode::Quarantine, Quarantined::AsPinned, Some(pin)) => {
                Pinned::AsPinned(Arc::clone(&pin.text), why)
            }
            (PinMode::Quarantine, ..) => Pinned::Withheld(why),
        }
    }

    /// Which pinned thing of another name says the same.
    fn says_the_same(&self, kind: Kind, entry: &str) -> Option<&String> {
        let book = self.book.as_ref()?;
        let says = self.says.get_or_init(|| {
            let all =
                book.iter().filter_map(|(kind, name, pin)| Some((said(kind, &pin.text)?, name.to_owned())));
            all.collect()
        });
        says.get(&said(kind, entry)?)
    }
}

/// Why something is held, with what is odd about it. Clients and their models read this: nothing of what was found stands in it.
fn said_of(why: &Why, found: &[Finding]) -> String {
    if found.is_empty() {
        return why.to_string();
    }
    let found: BTreeSet<_> = found.iter().map(|finding| finding.what.said()).collect();
    format!("{why} ({})", found.into_iter().collect::<Vec<_>>().join("; "))
}

impl ServerPins {
    pub(crate) fn new(server: &str, common: &Arc<Common>) -> Self {
        let state = State {
            mode: PinMode::Quarantine,
            quarantined: Quarantined::Withheld,
            suspicious: Suspicious::Report,
            is_locked: false,
            is_read: false,
            book: None,
            stored: 0,
            is_unsaved: false,
            waiting: Arc::default(),
            says: OnceLock::new(),
        };
        Self {
            server: server.to_owned(),
            common: Arc::clone(common),
            state: ArcSwap::from_pointee(state),
            changing: Mutex::default(),
            version: AtomicU64::new(0),
            decisions: AtomicU64::new(0),
            first: Mutex::default(),
            noted: Mutex::default(),
            unsent: Mutex::default(),
            unkept: Mutex::default(),
            storing: tokio::sync::Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// Every definition that this process has seen or knows to be pinned; of what was seen to be something else, all.
    #[must_use]
    pub fn seen(&self) -> Vec<(Kind, String, PinnedDefinition)> {
        let state = self.state.load_full();
        let first = lock(&self.first);
        let mut all = Vec::new();
        for (kind, things) in &first.kinds {
            all.extend(things.things.iter().map(|(name, pin)| (*kind, name.clone(), pin.clone())));
        }
        let book = state.book.iter().flat_map(|book| book.iter());
        all.extend(book.map(|(kind, name, pin)| (kind, name.to_owned(), pin.clone())));
        all.extend(state.waiting.iter().map(|seen| (seen.kind, seen.name.clone(), seen.definition.clone())));
        all
    }

    /// Puts another state in the place of the current one, unless it is to stay. Whether it was.
    fn change(&self, to: impl FnOnce(&State) -> Option<State>) -> bool {
        let _changing = lock(&self.changing);
        let Some(next) = to(&self.state.load()) else { return false };
        self.common.metrics.pins_waiting(&self.server, next.waiting.count());
        self.state.store(Arc::new(next));
        true
    }

    /// Something else is pinned from now on.
    fn decided(&self) {
        self.decisions.fetch_add(1, Ordering::AcqRel);
        self.renew();
    }

    /// Lists that were made before are old.
    fn renew(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.common.changes.send_modify(|changes| *changes += 1);
    }

    /// What the configuration says from now on; `book` where a lock file has the pins.
    pub(crate) fn carry_out(&self, rule: &PinRule, book: Option<Arc<Book>>) {
        let PinRule { mode, quarantined, suspicious, .. } = *rule;
        let has_store = self.common.store.is_some();
        let mut settled = Vec::new();
        let changed = self.change(|state| {
            let is_locked = book.is_some();
            let same_book = match (&book, &state.book) {
                (Some(new), Some(old)) if state.is_locked => new == old,
                (Some(_), _) => false,
                (None, _) => !state.is_locked,
            };
            let is_known = has_store || state.book.is_some();
            if same_book
                && is_known
                && (mode, quarantined, suspicious) == (state.mode, state.quarantined, state.suspicious)
            {
                return None;
            }
            let mut next = State {
                mode,
                quarantined,
                suspicious,
                is_locked,
                is_read: state.is_read,
                says: OnceLock::new(),
                ..state.copy()
            };
            if let Some(book) = book {
                // Somebody has said what it may be by now.
                let before = state.book.as_ref().filter(|_| state.is_locked);
                let is_decided = |kind: Kind, name: &str| {
                    before.is_some_and(|before| before.get(kind, name) != book.get(kind, name))
                };
                settled.extend(
                    (state.waiting.iter().filter(|seen| is_decided(seen.kind, &seen.name)))
                        .map(|seen| Unsent::Settled(seen.kind, seen.name.clone())),
                );
                next.waiting = Arc::new(state.waiting.without(&book, is_decided));
                next.book = Some(book);
                next.is_read |= !has_store;
            } else if state.is_locked {
                // The store is to be read.
                next = State { book: None, is_read: false, stored: 0, ..next };
            }
            if !has_store && !next.is_locked && next.book.is_none() {
                // It is remembered by this process alone.
                (next.book, next.is_read) = (Some(Arc::default()), true);
            }
            Some(next)
        });
        if has_store {
            self.keep_for_store(settled);
        }
        if changed {
            self.tell_others();
            self.decided();
        }
    }

    /// The tools that are pinned here are known where those of other servers are looked at.
    fn tell_others(&self) {
        let state = self.state.load();
        let mut others = lock(&self.common.others);
        let tools = state.book.iter().flat_map(|book| book.iter()).filter(|(kind, ..)| *kind == Kind::Tool);
        tools.for_each(|(_, name, _)| others.add(&self.server, name));
    }

    /// Something was seen that is not pinned. Of what cannot be read, the digest is remembered; of what has no name, nothing.
    fn note(&self, (kind, name): (Kind, &str), entry: &str, digest: &Arc<str>, why: Why) {
        if !can_be_kept(name) {
            return;
        }
        let definition = if can_be_pinned(kind, name, entry) {
            PinnedDefinition { digest: Arc::clone(digest), text: define::canonical(entry).into() }
        } else {
            PinnedDefinition::unkept(digest)
        };
        lock(&self.noted).push(Seen { kind, name: name.to_owned(), definition, why });
    }

    /// Something that a server without pins shows.
    fn first_seen(
        &self,
        state: &State,
        (kind, name): (Kind, &str),
        entry: &str,
        digest: &Arc<str>,
    ) -> Pinned {
        let mut first = lock(&self.first);
        if let Some(before) = first.get(kind, name) {
            if before.digest == *digest && state.waiting.of(kind, name).is_empty() {
                return Pinned::Same;
            }
            let before = before.clone();
            if before.digest != *digest {
                self.note((kind, name), entry, digest, Why::Changed);
            }
            return state.held(Some(&before), Why::Changed.to_string());
        }
        if !can_be_pinned(kind, name, entry) {
            return state.held(None, UNREADABLE.to_owned());
        }
        let found = self.odd(kind, name, entry);
        if !found.is_empty() && state.suspicious == Suspicious::Withhold {
            self.note((kind, name), entry, digest, Why::Odd);
            return state.held(None, said_of(&Why::Odd, &found));
        }
        self.log((kind, name), &found);
        let of = first.kinds.entry(kind).or_default();
        let pin = PinnedDefinition { digest: Arc::clone(digest), text: define::canonical(entry).into() };
        if of.add(name, pin) {
            Pinned::Same
        } else {
            state.held(None, "its server lists too much to be pinned".to_owned())
        }
    }

    /// What is odd about an entry.
    fn odd(&self, kind: Kind, name: &str, entry: &str) -> Vec<Finding> {
        let mut found = checks::check(entry);
        if kind == Kind::Tool {
            // What takes long is done before: the tools of all servers are looked up in one place.
            let said = alike::mentions(entry);
            let mut others = lock(&self.common.others);
            found.extend(others.check_mentions((&self.server, name), &said));
            others.add(&self.server, name);
        }
        found
    }

    /// Has the log say what was found.
    fn log(&self, (kind, name): (Kind, &str), found: &[Finding]) {
        let (of, name) = (words::one(kind), visible(name));
        found.iter().for_each(|finding| tracing::warn!(upstream = self.server, "{of} {name}: {finding}"));
    }

    /// Pins what was seen until now of a kind, if nothing is pinned of it yet.
    fn pin_first(&self, kind: Kind) {
        let mut count = 0;
        self.change(|state| {
            let book = state.book.as_ref().filter(|book| !state.is_locked && !book.has_kind(kind))?;
            let mut book = Book::clone(book);
            book.begin(kind);
            let things = lock(&self.first).kinds.remove(&kind).unwrap_or_default();
            count = things.things.len();
            things.things.into_iter().for_each(|(name, pin)| book.pin(kind, &name, pin));
            Some(State {
                book: Some(Arc::new(book)),
                is_unsaved: true,
                says: OnceLock::new(),
                ..state.copy()
            })
        });
        if count > 0 {
            tracing::info!(
                upstream = self.server,
                "{count} {} are pinned as they were first seen",
                words::many(kind)
            );
        }
    }

    /// What was noted counts from now on, for every list and every call.
    fn merge(&self) {
        let noted = std::mem::take(&mut *lock(&self.noted));
        if noted.is_empty() {
            return;
        }
        let has_store = self.common.store.is_some();
        let mut news = Vec::new();
        self.change(|state| {
            let mut waiting = AllSeen::clone(&state.waiting);
            for seen in noted {
                let pin = state.book.as_ref().and_then(|book| book.get(seen.kind, &seen.name));
                let is_pinned = pin.is_some() || lock(&self.first).get(seen.kind, &seen.name).is_some();
                if waiting.add(seen.clone(), is_pinned) {
                    news.push((seen, is_pinned));
                }
            }
            if has_store {
                // With the change: whoever reads the store meanwhile finds it in one place or the other.
                self.keep_for_store(
                    news.iter().map(|(seen, of_pinned)| Unsent::Seen(seen.clone(), *of_pinned)),
                );
            }
            (!news.is_empty()).then(|| State { waiting: Arc::new(waiting), ..state.copy() })
        });
        for (Seen { kind, name, definition, .. }, _) in &news {
            self.log((*kind, name), &self.odd(*kind, name, &definition.text));
        }
        // What is new is in no other list either, so a server that makes up names makes nobody list again.
        if news.iter().any(|(_, is_pinned)| *is_pinned) {
            self.renew();
        }
    }
}

impl State {
    /// The same once more; what is made of it is kept only where that is said.
    fn copy(&self) -> Self {
        Self { book: self.book.clone(), waiting: Arc::clone(&self.waiting), says: self.says.clone(), ..*self }
    }
}

impl Pins for ServerPins {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn decisions(&self) -> u64 {
        self.decisions.load(Ordering::Acquire)
    }

    fn holds(&self) -> bool {
        self.state.load().mode == PinMode::Quarantine
    }

    fn ready(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let Some(store) = self.common.store.as_ref().filter(|_| !self.state.load().is_read) else {
                return;
            };
            let mut failed = self.reading.lock().await;
            // Who has waited for the one that failed does not ask again.
            if self.state.load().is_read || failed.is_some_and(|at| at.elapsed() < RETRY) {
                return;
            }
            *failed = None;
            if let Err(fault) = self.read(store).await {
                *failed = Some(Instant::now());
                tracing::warn!(upstream = self.server, "what is pinned of it cannot be found out: {fault}");
            }
        })
    }

    fn look(&self, kind: Kind, name: &str, entry: &str, digest: &Arc<str>) -> Pinned {
        if !words::is_pinned(kind) {
            return Pinned::Same;
        }
        let state = self.state.load();
        let Some(book) = state.known() else { return state.held(None, UNKNOWN.to_owned()) };
        if !state.is_locked && !book.has_kind(kind) {
            return self.first_seen(&state, (kind, name), entry, digest);
        }
        let pin = book.get(kind, name);
        if pin.is_some_and(|pin| pin.digest == *digest) {
            return match state.waiting.of(kind, name).first() {
                None => Pinned::Same,
                Some(_) => {
                    state.held(pin, "others were shown something else than what was pinned".to_owned())
                }
            };
        }
        if book.is_denied(kind, name, digest) {
            return state.held(pin, "it is not what was pinned, and was denied".to_owned());
        }
        if pin.is_none() && !can_be_pinned(kind, name, entry) {
            return state.held(None, UNREADABLE.to_owned());
        }
        let known = state.waiting.of(kind, name).iter().find(|seen| seen.definition.digest == *digest);
        let why = match (known, pin) {
            (Some(seen), _) => seen.why.clone(),
            (None, Some(_)) => Why::Changed,
            (None, None) => state.says_the_same(kind, entry).cloned().map_or(Why::New, Why::Renamed),
        };
        let found = if why == Why::Odd { self.odd(kind, name, entry) } else { Vec::new() };
        let said = said_of(&why, &found);
        if known.is_none() {
            self.note((kind, name), entry, digest, why);
        }
        state.held(pin, said)
    }

    fn settle(&self) -> Pending<'_, ()> {
        self.merge();
        Box::pin(async {
            let Some(store) = self.common.store.as_ref().filter(|_| self.has_unsent()) else { return };
            if let Err(fault) = self.send(store).await {
                tracing::warn!(
                    upstream = self.server,
                    "other processes are not told yet what is not as it was pinned: {fault}"
                );
            }
        })
    }

    fn ended(&self, kind: Kind, names: HashSet<String>) -> Pending<'_, Vec<String>> {
        Box::pin(async move {
            if !words::is_pinned(kind) {
                return Vec::new();
            }
            self.pin_first(kind);
            self.settle().await;
            let state = self.state.load();
            let Some(book) = &state.book else { return Vec::new() };
            let pinned = book.iter().filter(|(of, name, _)| *of == kind && !names.contains(*name));
            pinned.map(|(_, name, _)| name.to_owned()).collect()
        })
    }

    fn permit(&self, kind: Kind, name: &str, listed: Listed<'_>) -> Result<(), Unpinned> {
        let state = self.state.load();
        // What is made of a template is a resource, and those are not pinned.
        let is_used = words::is_pinned(kind) && kind != Kind::Template;
        if state.mode == PinMode::Warn || !is_used {
            return Ok(());
        }
        let held = |why: &dyn fmt::Display| Err(Unpinned::Held(why.to_string()));
        let Some(book) = state.known() else { return held(&UNKNOWN) };
        let first;
        let pin = if state.is_locked || book.has_kind(kind) {
            book.get(kind, name)
        } else {
            first = lock(&self.first).get(kind, name).cloned();
            first.as_ref()
        };
        let waiting = state.waiting.of(kind, name).first();
        let Some(pin) = pin else {
            return match (waiting, listed) {
                (Some(seen), _) => held(&seen.why),
                (None, Listed::As(_)) => held(&Why::New),
                (None, _) => Err(Unpinned::Unknown),
            };
        };
        match listed {
            Listed::Unknown => {
                held(&"its server does not give its list, so that nobody knows what it is now")
            }
            Listed::No if waiting.is_some() => held(&Why::Changed),
            Listed::No => held(&"its server does not list it any more, or as something that is held"),
            _ if state.quarantined == Quarantined::AsPinned => Ok(()),
            _ if waiting.is_some() => held(&Why::Changed),
            Listed::As(digest) if *digest != *pin.digest => held(&Why::Changed),
            Listed::As(_) => Ok(()),
        }
    }
}

impl fmt::Debug for ServerPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerPins").field("server", &self.server).finish_non_exhaustive()
    }
}
