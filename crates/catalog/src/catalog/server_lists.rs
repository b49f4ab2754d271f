//! The lists of one server as a route shows them: fetched page by page, cached as the server allows, and fetched once
//! however many ask at the same time.
//!
//! Source: MCP 2026-07-28 `server/utilities/caching`.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use auth::{Action, Gate, Principal};
use base::aside::{LARGE, aside};
use base::cache::{Bounds, Cache};
use base::digest::{Digest, Mark};
use base::era::PerEra;
use base::error::CallError;
use base::pin::Pins;
use base::plan::SessionRule;
use base::sync::lock;
use bytes::Bytes;
use mcp::cache::{Hints, Scope};
use mcp::call::Call;
use mcp::json;
use mcp::jsonrpc::{Message, MessageKind};
use mcp::legacy::downgrade::{self, Gap};
use mcp::legacy::tasks::{self, Form};
use mcp::list::Page;
use mcp::meta::{ClientFacts, LogWish};
use mcp::method::{Kind, Method};
use mcp::version::{Era, Revision, Structured};
use tokio::time::{Instant, timeout_at};
use transport::memory::Held;
use upstream::{Arrival, Order, Upstream, links_begun};

use crate::caller::Caller;
use crate::catalog::entries::{Entry, EntryFilter, own_name};
use crate::catalog::index::Index;
use crate::catalog::remarks::{Remark, ToldRemarks};
use crate::catalog::sight::Sight;

mod pinning;
mod reading;
mod renewal;
mod way;

use self::pinning::Wholes;
use self::reading::{Reading, made_of};

/// What is kept of one server's pages. Cursors and capability sets are the client's to choose.
const BOUNDS: Bounds = Bounds { values: 1024, bytes: 64 * 1024 * 1024 };
/// The most pages that one list may have, and the most entries: a server that pages without end is lying.
const MOST_PAGES_OF_A_LIST: usize = 200;
const MOST_ENTRIES: usize = 20_000;
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// For so long something is fresh of which no clock can say how long it is.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Until when something is fresh, and for whom: [`Hints`], however much time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    pub until: Instant,
    pub scope: Scope,
}

impl Freshness {
    /// The term of what is made of two.
    pub fn and(self, other: Self) -> Self {
        Self { until: self.until.min(other.until), scope: self.scope.max(other.scope) }
    }
}

/// For whom a list is fetched. Lists may depend on the client's capabilities, and private ones on its principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audience {
    whose: Option<(Principal, Option<Arc<str>>)>,
    capabilities: Mark,
    /// The era of the clients; where a server is asked for both in one, that one.
    era: Era,
}

impl Audience {
    /// `session` is the downstream session, where each has a conversation of its own with the server.
    pub fn of(caller: &Caller, session: Option<&Arc<str>>) -> Self {
        let whose = (caller.principal.clone(), session.cloned());
        Self { whose: Some(whose), capabilities: Mark::of(&caller.facts.capabilities), era: caller.era() }
    }

    /// The same for what was said in an era.
    fn in_era(self, era: Era) -> Self {
        Self { era, ..self }
    }

    /// All who have declared the same.
    pub fn everyone(&self) -> Self {
        Self { whose: None, ..self.clone() }
    }
}

/// Why a list is not there.
#[derive(Debug, Clone)]
pub enum ListFault {
    /// The server could not be asked, or its answer is none.
    Call(CallError),
    /// The server's own error response.
    Theirs(Box<Message>),
}

impl ListFault {
    /// What clients may read of it.
    pub fn public(&self) -> String {
        match self {
            Self::Call(error) => base::reply::wire(error).text,
            Self::Theirs(message) => match message.kind() {
                MessageKind::Error(parts) => format!("it answers with error {}", parts.code),
                _ => "it answers with no list".to_owned(),
            },
        }
    }
}

/// A page as the route shows it.
#[derive(Debug)]
pub struct CachedPage {
    /// The page as it came.
    pub page: Page,
    /// The revision that its server wrote it in.
    pub revision: &'static Revision,
    /// Whether its server makes tasks as the extension has them.
    makes_tasks: bool,
    /// Its entries with public names, without those that are not shown.
    pub entries: Vec<Entry>,
    /// What was odd in it.
    pub remarks: Vec<Remark>,
    received: Instant,
    generation: u64,
    /// What the server had counted of calls that may change something, when it was asked for.
    acts: u64,
    /// How many times servers had been reached then.
    links: u64,
    /// In whose conversation.
    audience: Audience,
    hints: Hints,
    grace: Mutex<Grace>,
    /// What was made of the page counts beside it.
    _made: Held,
}

/// For whom a page is good whatever its server says of that, as long as nobody calls anything that may have changed it.
#[derive(Debug, Clone, Copy)]
enum Grace {
    /// It was given to whom it was asked for.
    None,
    /// For all who ask until then.
    All(Instant),
    /// For the first who asks until then.
    First(Instant),
}

/// The pages of a list.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    pub pages: Vec<Arc<CachedPage>>,
    /// Where the next one begins, if they end before the list does.
    pub next: Option<String>,
    /// Why they are not all.
    pub lacks: Option<Arc<str>>,
    /// Whether they are what was known before, and are given because there is nothing newer.
    pub is_old: bool,
    /// What was pinned and is not among them.
    pub beside: Vec<Remark>,
}

impl Pages {
    /// Whether any of them was asked for after that moment.
    pub fn came_after(&self, moment: Instant) -> bool {
        self.pages.iter().any(|page| page.received >= moment)
    }

    /// They are good for all who ask for so long.
    pub fn keep(&self, time: Duration) {
        let until = Instant::now() + time;
        self.pages.iter().for_each(|page| *lock(&page.grace) = Grace::All(until));
    }

    /// They are good for the first who asks within so long, unless they are for all.
    pub fn spare(&self, time: Duration) {
        let until = Instant::now() + time;
        for page in &self.pages {
            let mut grace = lock(&page.grace);
            if matches!(*grace, Grace::None) {
                *grace = Grace::First(until);
            }
        }
    }

    /// About how many bytes they are.
    pub fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.page.message.bytes().len()).sum()
    }

    /// Whether a client sees no difference.
    pub fn shows_the_same_as(&self, other: &Self) -> bool {
        let entries = |pages: &Self| -> Vec<Bytes> {
            let entries = pages.pages.iter().flat_map(|page| &page.entries);
            entries.map(|entry| entry.text.clone()).collect()
        };
        entries(self) == entries(other)
    }

    /// For somebody who waits no longer, and why.
    pub fn known_before(self, why: &str) -> Self {
        let age = self.pages.iter().map(|page| page.received.elapsed()).max().unwrap_or_default();
        let lacks = format!("{why}; what is shown of it is {}s old", age.as_secs());
        Self { lacks: Some(lacks.into()), is_old: true, ..self }
    }
}

impl CachedPage {
    /// Its entries as far as they are shown.
    pub fn entries_in<'p>(
        &'p self,
        sight: Sight<'p>,
        kind: Kind,
    ) -> impl Iterator<Item = &'p Entry> + use<'p> {
        let is_shown = move |entry: &&Entry| {
            sight.has_defined(kind, &own_name(kind, &entry.own), entry.definition.as_ref())
        };
        self.entries.iter().filter(move |entry| sight.is_whole() || is_shown(entry))
    }

    /// What was odd about things that are shown.
    pub fn remarks_in<'p>(&'p self, sight: Sight<'p>) -> impl Iterator<Item = &'p Remark> + use<'p> {
        self.remarks.iter().filter(move |remark| remark.is_in(sight))
    }

    /// The text of one of its entries as a client of a revision can read it.
    pub fn text_for(&self, entry: &Entry, method: &Method, to: &'static Revision) -> Bytes {
        let known = entry.narrow.as_ref().filter(|_| to.structured < Structured::Any);
        let text = known.unwrap_or(&entry.text);
        let text = downgrade::entry(text, method, Gap { from: self.revision, to });
        // Any call may become a task there; a legacy client is told of each tool whether it may.
        if self.makes_tasks && to.core_tasks && method.kind == Kind::Tool {
            tasks::with_support(&text)
        } else {
            text
        }
    }

    /// Until when it is fresh, and for whom.
    pub fn term(&self) -> Freshness {
        let until = self.received.checked_add(self.hints.ttl);
        Freshness { until: until.unwrap_or_else(|| self.received + LONGEST), scope: self.hints.scope }
    }

    /// Whether it may be given; for the first who asks only where its server is well.
    fn is_fresh(&self, generation: u64, upstream: &Upstream) -> bool {
        if self.generation != generation {
            return false;
        }
        let now = Instant::now();
        let mut grace = lock(&self.grace);
        match *grace {
            _ if now.saturating_duration_since(self.received) < self.hints.ttl => true,
            _ if self.acts != upstream.acts() => false,
            Grace::All(until) => now < until,
            Grace::First(until) if upstream.is_well() => {
                *grace = Grace::None;
                now < until
            }
            Grace::First(_) | Grace::None => false,
        }
    }

    /// About what it costs to keep it.
    fn bytes(&self) -> usize {
        self.page.message.bytes().len() + self.entries.iter().map(Entry::bytes).sum::<usize>() + 1024
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PageKey {
    method: &'static str,
    cursor: Option<Digest>,
    audience: Audience,
}

impl Known {
    fn learn(&self, change: impl Fn(&mut Index)) {
        self.index.rcu(|current| {
            let mut next = Index::clone(current);
            change(&mut next);
            next
        });
    }

    fn generation(&self, kind: Kind) -> &AtomicU64 {
        of_kind(&self.generations, kind)
    }
}

fn of_kind([tools, prompts, resources]: &[AtomicU64; 3], kind: Kind) -> &AtomicU64 {
    match kind {
        Kind::Prompt => prompts,
        Kind::Resource | Kind::Template => resources,
        Kind::Server | Kind::Task | Kind::Tool => tools,
    }
}

/// The lists of one server.
#[derive(Debug)]
pub struct ServerLists {
    upstream: Arc<Upstream>,
    gate: Gate,
    filter: Arc<dyn EntryFilter>,
    /// What was pinned of what it lists, if it is held to that.
    pins: Option<Arc<dyn Pins>>,
    /// What is odd in its lists, as far as the log has it.
    told: ToldRemarks,
    pages: Cache<PageKey, Arc<CachedPage>, ListFault>,
    /// What a server lists may differ by the era that it is asked in.
    eras: Arc<PerEra<Known>>,
}

/// What is known of what a server lists in one era.
#[derive(Debug, Default)]
struct Known {
    /// Counts `list_changed`, by kind: tools, prompts, resources.
    generations: [AtomicU64; 3],
    /// The lists that were last read to their end.
    wholes: Wholes,
    index: ArcSwap<Index>,
}

impl ServerLists {
    pub fn new(
        upstream: Arc<Upstream>,
        gate: Gate,
        (filter, pins): (Arc<dyn EntryFilter>, Option<Arc<dyn Pins>>),
    ) -> Self {
        // What is kept must leave room for what is under way.
        let bytes = BOUNDS.bytes.min(upstream.world().memory.limit() / 16);
        let pages = Cache::new(Bounds { bytes, ..BOUNDS });
        Self { upstream, gate, filter, pins, told: ToldRemarks::default(), pages, eras: Arc::default() }
    }

    /// What is known for clients of an era.
    pub fn index(&self, client: Era) -> Arc<Index> {
        self.known(client).index.load_full()
    }

    /// Has the log say what is odd, once.
    pub fn tell(&self, remarks: &[Remark]) {
        self.told.tell(&self.upstream, remarks);
    }

    fn known(&self, client: Era) -> &Known {
        self.eras.of(self.upstream.link_era(client))
    }

    /// The pages of a list from a cursor on, one after the other, and so many at most; what has come of them if there is no
    /// more until then. A cursor that was sent before says nothing new, so the list ends there.
    pub async fn all(
        &self,
        method: &'static Method,
        (from, most): (Option<&str>, usize),
        caller: &Caller,
        until: Instant,
    ) -> Result<Pages, ListFault> {
        let mut all = Pages::default();
        let mut cursor = from.map(str::to_owned);
        let (mut entries, mut bytes, mut sent) = (0, 0, HashSet::new());
        loop {
            let begun = Instant::now();
            let found = timeout_at(until, self.find(method, cursor.clone(), caller)).await;
            let found = found.unwrap_or_else(|_elapsed| Err(ListFault::Call(self.late(until - begun))));
            let page = match found {
                Err(fault) if all.pages.is_empty() => return Err(fault),
                Err(fault) => {
                    all.next = cursor;
                    return Ok(self.cut(method, all, &fault.public()));
                }
                Ok(page) => page,
            };
            entries += page.entries.len();
            bytes += page.bytes();
            sent.extend(cursor);
            if let (true, Some(from), Some(next)) =
                (all.pages.is_empty(), from, page.page.next_cursor.as_deref())
            {
                sent.extend(self.way_to(from, next, method, caller));
            }
            cursor = page.page.next_cursor.clone().filter(|next| !sent.contains(next));
            all.pages.push(page);
            if cursor.is_none() {
                match from {
                    None => self.read_whole(method, caller, &mut all).await,
                    // What came before it may be of another conversation, or of before a change.
                    Some(_) if self.holds() => {}
                    Some(_) => self.completed(method, caller.era()),
                }
                return Ok(all);
            }
            if all.pages.len() >= most {
                return Ok(Pages { next: cursor, ..all });
            }
            if all.pages.len() >= MOST_PAGES_OF_A_LIST || entries >= MOST_ENTRIES || bytes >= MOST_BYTES {
                all.next = cursor;
                return Ok(self.cut(method, all, &format!("its list has more than {entries} entries")));
            }
        }
    }

    /// The pages without those that are missing.
    fn cut(&self, method: &'static Method, pages: Pages, why: &str) -> Pages {
        tracing::warn!(
            upstream = self.upstream.name(),
            method = method.name,
            pages = pages.pages.len(),
            "the rest of its list is left out: {why}"
        );
        Pages { lacks: Some(format!("{why}; the rest of its list is left out").into()), ..pages }
    }

    /// A list was read to its end.
    fn completed(&self, method: &'static Method, client: Era) {
        let is_known = |index: &Index| index.complete.contains(&method.name);
        if is_known(&self.index(client)) {
            return;
        }
        self.learn(client, |index| {
            if !is_known(index) {
                index.complete.push(method.name);
            }
        });
    }

    /// For whom a list is fetched.
    pub fn audience(&self, caller: &Caller) -> Audience {
        let own = self.upstream.plan().sessions == SessionRule::PerClient;
        Audience::of(caller, caller.session.as_ref().filter(|_| own))
            .in_era(self.upstream.link_era(caller.era()))
    }

    /// What a page is kept under if it is for all who have declared the same, and if it is not.
    fn keys(&self, method: &'static Method, cursor: Option<&str>, caller: &Caller) -> (PageKey, PageKey) {
        let cursor = cursor.map(|cursor| Digest::of([cursor]));
        let key = PageKey { method: method.name, cursor, audience: self.audience(caller) };
        (PageKey { audience: key.audience.everyone(), ..key.clone() }, key)
    }

    /// One page, as it is kept or from the server.
    async fn find(
        &self,
        method: &'static Method,
        cursor: Option<String>,
        caller: &Caller,
    ) -> Result<Arc<CachedPage>, ListFault> {
        let (shared, key) = self.keys(method, cursor.as_deref(), caller);
        let generation = || self.changes(method.kind, caller.era());
        let kept = || {
            let is_good = |stocked: &Arc<CachedPage>| stocked.is_fresh(generation(), &self.upstream);
            self.pages.find(&shared, is_good).or_else(|| self.pages.find(&key, is_good))
        };
        if let Some(stocked) = kept() {
            return Ok(stocked);
        }
        let ask = Box::pin(async {
            // It may have come just now.
            if let Some(stocked) = kept() {
                return Ok(stocked);
            }
            let stocked = Arc::new(self.fetch(method, cursor.as_deref(), caller, generation()).await?);
            // What is not fresh for a moment is still the last that is known.
            let key = if stocked.hints.scope == Scope::Public { &shared } else { &key };
            if self.upstream.world().memory.may_keep(stocked.bytes()) {
                self.pages.put(key.clone(), Arc::clone(&stocked), stocked.bytes());
            }
            Ok(stocked)
        });
        // What was asked for before a change, or a call that may have made one, is no answer to who asks after it.
        let (arrived, acts) = (generation(), self.upstream.acts());
        self.pages
            .single_flight(&key, |stocked| stocked.generation >= arrived && stocked.acts >= acts, ask)
            .await
    }

    fn late(&self, within: Duration) -> CallError {
        CallError::Deadline { upstream: self.upstream.name().to_owned(), after: within }
    }

    async fn fetch(
        &self,
        method: &'static Method,
        cursor: Option<&str>,
        caller: &Caller,
        generation: u64,
    ) -> Result<CachedPage, ListFault> {
        if let Some(pins) = &self.pins {
            pins.ready().await;
        }
        let (acts, links) = (self.upstream.acts(), links_begun());
        let (message, revision) = self.ask(method, cursor, caller).await?;
        let Some(entries) = method.entries else {
            return Err(ListFault::Call(CallError::Internal(format!("{} is no list", method.name))));
        };
        let reading = Reading {
            filter: Arc::clone(&self.filter),
            known: Arc::clone(&self.eras),
            era: self.upstream.link_era(caller.era()),
            method,
            revision,
            is_first: cursor.is_none(),
        };
        let read = if message.bytes().len() < LARGE {
            reading.read(message, entries)
        } else {
            aside(move || reading.read(message, entries)).await
        };
        let (page, shown, remarks) =
            read.map_err(|fault| ListFault::Call(CallError::invalid(self.upstream.name(), &fault)))?;
        self.tell(&remarks);
        if let Some(pins) = &self.pins {
            pins.settle().await;
        }
        let hints = self.effective(page.hints);
        let made = self.upstream.world().memory.count(made_of(&page, &shown));
        let known = self.upstream.discovered(&caller.principal, caller.era(), Some(&caller.facts)).await;
        let (era, discovered) = known.map_err(ListFault::Call)?;
        let makes_tasks = Form::of_server(era, &discovered) == Some(Form::Extension);
        Ok(CachedPage {
            page,
            revision,
            makes_tasks,
            entries: shown,
            remarks,
            received: Instant::now(),
            generation,
            acts,
            links,
            audience: self.audience(caller),
            hints,
            grace: Mutex::new(Grace::None),
            _made: made,
        })
    }

    fn learn(&self, client: Era, change: impl Fn(&mut Index)) {
        self.known(client).learn(change);
    }

    /// The server's hints, or the configured ones where it has none to give.
    fn effective(&self, theirs: Hints) -> Hints {
        match self.upstream.plan().list_ttl {
            Some(ttl) if theirs == Hints::NONE => Hints { ttl, scope: Scope::Private },
            _ => theirs,
        }
    }

    /// Asks the server for a page.
    async fn ask(
        &self,
        method: &'static Method,
        cursor: Option<&str>,
        caller: &Caller,
    ) -> Result<(Message, &'static Revision), ListFault> {
        let params =
            cursor.map_or_else(|| "{}".to_owned(), |c| format!(r#"{{"cursor":{}}}"#, json::quote(c)));
        let client = ClientFacts { log: LogWish::Nothing, ..caller.facts.clone() };
        let call =
            Call::own(method.name, &params, client).map_err(|reject| ListFault::Call(reject.into()))?;
        let action = Action::new(method.name, self.upstream.label(), None);
        let permit = self
            .gate
            .permit(&caller.principal, &action)
            .map_err(|refusal| ListFault::Call(refusal.into()))?;
        let within = self.upstream.plan().deadlines.list;
        let order = Order { session: caller.session.clone(), ..Order::ours(&call, caller.era(), within) };
        let answer = async {
            let mut answer = self.upstream.send(permit.cover(order)).await?;
            loop {
                if let Arrival::Response(response) = answer.next().await? {
                    return Ok((response.message, answer.revision()));
                }
            }
        };
        let answered =
            tokio::time::timeout(within, answer).await.unwrap_or_else(|_elapsed| Err(self.late(within)));
        let (message, revision) = answered.map_err(ListFault::Call)?;
        match message.kind() {
            MessageKind::Result(_) => Ok((message, revision)),
            _ => Err(ListFault::Theirs(Box::new(message))),
        }
    }
}
