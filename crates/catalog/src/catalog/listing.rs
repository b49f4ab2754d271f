//! Lists as clients get them: built once from what lies below, and given to all who may have the same until it changes.
//!
//! A list is a pure function of its servers' pages, the client's revision, and the cursor. So its text is kept, and who
//! asks again costs one look at the clock and at each server's count of changes, however many entries there are; only
//! the request's id and the time that is left are written anew ([`mcp::prebuilt`]).

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use auth::{Refusal, View, ViewId};
use base::aside::{LARGE, aside};
use base::cache::{Bounds, Cache};
use base::digest::Digest;
use base::error::CallError;
use base::plan::SessionRule;
use base::reply;
use bytes::Bytes;
use mcp::answer::AnswerFault;
use mcp::cache::{Hints, Scope};
use mcp::call::Call;
use mcp::json;
use mcp::jsonrpc::{Id, Message};
use mcp::legacy::convert;
use mcp::list;
use mcp::method::{Kind, Method};
use mcp::prebuilt::Prebuilt;
use mcp::reject::Reject;
use mcp::version::{Era, Revision};
use tokio::time::{Duration, Instant};
use transport::http::body::Pieces;
use transport::memory::Memory;

use crate::caller::Caller;
use crate::catalog::remarks::{Remarks, degradation, degraded};
use crate::catalog::server_lists::{Audience, Freshness, ListFault, Pages};
use crate::catalog::sight::Sight;
use crate::catalog::{Catalog, Member, Merged, cursor};

/// What is kept of the lists of one route. Cursors and capability sets are the client's to choose.
const BOUNDS: Bounds = Bounds { values: 512, bytes: 32 * 1024 * 1024 };
/// The most bytes of a cursor: longer ones cost us more than they tell a server.
const MOST_CURSOR: usize = 4096;

/// The lists of one route.
#[derive(Debug)]
pub struct Lists {
    catalog: Arc<Catalog>,
    memory: Memory,
    listings: Cache<ListKey, Arc<Listing>, Infallible>,
    /// Merged lists of which clients get pages.
    merged: Cache<ListKey, Arc<(Merged, Basis)>, Infallible>,
    /// Whether any server has a conversation with each client's session of its own.
    by_session: bool,
}

/// What a list is asked for by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ListKey {
    method: &'static str,
    revision: &'static str,
    cursor: Option<Digest>,
    audience: Audience,
    /// What is shown of it.
    view: ViewId,
}

impl ListKey {
    /// The key under which all who have declared the same find what is public.
    fn for_everyone(&self) -> Self {
        Self { audience: self.audience.everyone(), ..self.clone() }
    }

    fn without_cursor(&self) -> Self {
        Self { cursor: None, ..self.clone() }
    }
}

/// What something was built from, as far as it may change.
#[derive(Debug, Clone)]
struct Basis {
    term: Freshness,
    /// Each server's count of changes before its pages were read.
    changes: Arc<[u64]>,
    /// Whether it is the same for all who have declared the same.
    is_shared: bool,
}

impl Basis {
    fn holds(&self, catalog: &Catalog, (kind, client): (Kind, Era), now: Instant) -> bool {
        now < self.term.until && catalog.changes(kind, client).eq(self.changes.iter().copied())
    }
}

/// A list as clients of one revision get it, or a page of it.
#[derive(Debug)]
struct Listing {
    text: Prebuilt,
    basis: Basis,
}

impl Listing {
    fn new(
        message: &Message,
        (method, to): (&Method, &Revision),
        basis: Basis,
        memory: &Memory,
    ) -> Result<Self, AnswerFault> {
        let text = match to.era {
            Era::Modern => Prebuilt::read(message)?,
            // If a member stands twice, the client gets what the server said.
            Era::Legacy => match convert::age(message.clone(), Some(method)) {
                Ok(aged) => Prebuilt::read(&aged)?,
                Err(_) => Prebuilt::read(message)?,
            },
        };
        // A server's own text counts already, but what was made of it does not.
        Ok(Self { text: text.lying_in(|text| memory.own(text)), basis })
    }

    /// The response to a request.
    fn answer(&self, id: &Id) -> Pieces {
        let left = self.basis.term.until.saturating_duration_since(Instant::now());
        Pieces::from(self.text.pieces(id, left))
    }
}

impl Lists {
    pub fn new(catalog: &Arc<Catalog>, memory: &Memory) -> Self {
        let bounds = Bounds { bytes: BOUNDS.bytes.min(memory.limit() / 16), ..BOUNDS };
        let own = |member: &Member| member.upstream.plan().sessions == SessionRule::PerClient;
        Self {
            listings: Cache::new(bounds),
            merged: Cache::new(bounds),
            by_session: catalog.members.iter().any(own),
            catalog: Arc::clone(catalog),
            memory: memory.clone(),
        }
    }

    fn key(&self, method: &Method, cursor: Option<&str>, caller: &Caller, view: &View) -> ListKey {
        let audience = Audience::of(caller, caller.session.as_ref().filter(|_| self.by_session));
        let cursor = cursor.map(|cursor| Digest::of([cursor]));
        ListKey { method: method.name, revision: caller.revision.name, cursor, audience, view: view.id() }
    }

    /// Answers a list request.
    pub async fn list(
        &self,
        call: &Call,
        method: &'static Method,
        caller: &Caller,
    ) -> Result<Listed, CallError> {
        let (to, cursor) = (caller.revision, call.cursor().map(|cursor| &*cursor.text));
        if cursor.is_some_and(|cursor| cursor.len() > MOST_CURSOR) {
            let why = format!("\"cursor\" is longer than {MOST_CURSOR} bytes");
            return Err(CallError::Reject(Reject::Params(why)));
        }
        let view = self.catalog.views.of(caller.whose());
        let key = self.key(method, cursor, caller, &view);
        let wish = Wish { method, cursor, to, key: &key, view: &view };
        let listing = match self.catalog.only() {
            Some(member) => match self.one(member, wish, caller).await {
                Err(ListFault::Theirs(message)) => {
                    return reply::with_id(&message, call.id()).map(Listed::Theirs);
                }
                Err(ListFault::Call(error)) => Err(error),
                Ok(listing) => Ok(listing),
            },
            None => self.over_several(wish, caller).await,
        };
        Ok(Listed::Built(listing?.answer(call.id())))
    }

    /// A page of the only server's list. Clients of the legacy era get all of it in one, since many read no further.
    async fn one(&self, member: &Member, wish: Wish<'_>, caller: &Caller) -> Result<Arc<Listing>, ListFault> {
        if !member.sight(wish.view).lists(wish.method.kind) {
            return Err(ListFault::Call(Refusal::Denied.into()));
        }
        match self.kept(wish) {
            Some(kept) => Ok(kept),
            // What is rare lies in a box of its own: the future of the usual call is moved as a whole, and must be small.
            None => Box::pin(self.read_one(member, wish, caller)).await,
        }
    }

    /// The same, read from the server.
    async fn read_one(
        &self,
        member: &Member,
        wish: Wish<'_>,
        caller: &Caller,
    ) -> Result<Arc<Listing>, ListFault> {
        let changes = self.catalog.changes(wish.method.kind, caller.era()).collect();
        let most = match wish.to.era {
            Era::Legacy if self.catalog.page_size.is_none() => usize::MAX,
            Era::Legacy | Era::Modern => 1,
        };
        let pages = member.reader.pages(wish.method, (wish.cursor, most), caller).await?;
        // Of those who have waited for the page, one builds.
        if let Some(kept) = self.kept(wish) {
            return Ok(kept);
        }
        let invalid =
            |fault: AnswerFault| ListFault::Call(CallError::invalid(member.upstream.name(), &fault));
        let none = || ListFault::Call(CallError::Internal("a list without a page".to_owned()));
        let first = pages.pages.first().ok_or_else(none)?;
        let term = pages.pages.iter().fold(first.term(), |term, page| term.and(page.term()));
        let basis = Basis { term, changes, is_shared: term.scope == Scope::Public };
        let (method, to, server) = (wish.method, wish.to, Arc::clone(member.upstream.label()));
        let (memory, view, catalog) = (self.memory.clone(), wish.view.clone(), Arc::clone(&self.catalog));
        let size = pages.bytes();
        let work = move || {
            let scope = catalog.told(term.scope);
            rewritten(&pages, (method, to), (scope, Sight::of(&server, &view)), catalog.left_out())
                .and_then(|message| Listing::new(&message, (method, to), basis, &memory))
        };
        let listing = if size < LARGE { work() } else { aside(work).await };
        let listing = listing.map_err(invalid)?;
        Ok(self.keep(wish, listing))
    }

    /// A list over several servers, or a page of it.
    async fn over_several(&self, wish: Wish<'_>, caller: &Caller) -> Result<Arc<Listing>, CallError> {
        // Where a server is down, it is asked first: if it cannot be, the client is told what is missing.
        if !self.catalog.any_is_down()
            && let Some(listing) = self.kept_over_several(wish)?
        {
            return Ok(listing);
        }
        Box::pin(self.read_several(wish, caller)).await
    }

    /// The same, read from the servers.
    async fn read_several(&self, wish: Wish<'_>, caller: &Caller) -> Result<Arc<Listing>, CallError> {
        let changes = self.catalog.changes(wish.method.kind, caller.era()).collect();
        let parts = self.catalog.parts(wish.method, caller, wish.view).await;
        // Of those who have waited for the pages, one builds.
        if parts.iter().all(|part| part.as_ref().is_ok_and(|pages| !pages.is_old))
            && let Some(listing) = self.kept_over_several(wish)?
        {
            return Ok(listing);
        }
        let (catalog, cursor) = (Arc::clone(&self.catalog), wish.cursor.map(str::to_owned));
        let (method, to, memory, view) = (wish.method, wish.to, self.memory.clone(), wish.view.clone());
        let size = parts.iter().flatten().map(Pages::bytes).sum::<usize>();
        let work = move || {
            let merged = catalog.merge(&parts, (method, to), &view);
            let is_shared = merged.is_told && merged.term.scope == Scope::Public;
            let basis = Basis { term: merged.term, changes, is_shared };
            let merged = Arc::new((merged, basis));
            let page = page(&merged, (method, to), (cursor.as_deref(), catalog.page_size), &memory);
            (merged, page)
        };
        let (merged, page) = if size < LARGE { work() } else { aside(work).await };
        if self.catalog.page_size.is_some() && merged.1.holds(&self.catalog, wish.of(), Instant::now()) {
            let (whole, basis) = &*merged;
            let bytes = whole.entries.iter().map(|entry| entry.len() + 128).sum();
            let key = wish.key.without_cursor();
            let key = if basis.is_shared { key.for_everyone() } else { key };
            if self.memory.may_keep(bytes) {
                self.merged.put(key, Arc::clone(&merged), bytes);
            }
        }
        Ok(self.keep(wish, page?))
    }

    /// What is kept and still true: the page, or what it is a page of.
    fn kept_over_several(&self, wish: Wish<'_>) -> Result<Option<Arc<Listing>>, CallError> {
        if let Some(kept) = self.kept(wish) {
            return Ok(Some(kept));
        }
        if self.catalog.page_size.is_none() {
            return Ok(None);
        }
        let now = Instant::now();
        let holds = |kept: &Arc<(Merged, Basis)>| kept.1.holds(&self.catalog, wish.of(), now);
        let key = wish.key.without_cursor();
        let merged = &self.merged;
        let found = merged.find(&key.for_everyone(), holds).or_else(|| merged.find(&key, holds));
        let on = (wish.cursor, self.catalog.page_size);
        let page = |merged: Arc<_>| page(&merged, (wish.method, wish.to), on, &self.memory);
        Ok(found.map(page).transpose()?.map(|listing| self.keep(wish, listing)))
    }

    fn kept(&self, wish: Wish<'_>) -> Option<Arc<Listing>> {
        let now = Instant::now();
        let holds = |listing: &Arc<Listing>| listing.basis.holds(&self.catalog, wish.of(), now);
        let listings = &self.listings;
        listings.find(&wish.key.for_everyone(), holds).or_else(|| listings.find(wish.key, holds))
    }

    /// Keeps a listing for those who may have it, if it is true any longer than this moment.
    fn keep(&self, wish: Wish<'_>, listing: Listing) -> Arc<Listing> {
        let listing = Arc::new(listing);
        let may_keep = self.memory.may_keep(listing.text.size());
        if may_keep && listing.basis.holds(&self.catalog, wish.of(), Instant::now()) {
            let key = if listing.basis.is_shared { wish.key.for_everyone() } else { wish.key.clone() };
            self.listings.put(key, Arc::clone(&listing), listing.text.size() + 1024);
        }
        listing
    }
}

/// What a list request is answered with.
#[derive(Debug)]
pub enum Listed {
    /// The only server's own error.
    Theirs(Message),
    /// The list, with nothing left to be done about it.
    Built(Pieces),
}

/// Which list is asked for.
#[derive(Clone, Copy)]
struct Wish<'a> {
    method: &'static Method,
    cursor: Option<&'a str>,
    to: &'static Revision,
    key: &'a ListKey,
    view: &'a View,
}

impl Wish<'_> {
    /// Whose changes make it old.
    fn of(&self) -> (Kind, Era) {
        (self.method.kind, self.to.era)
    }
}

/// A page of a merged list.
fn page(
    (whole, basis): &(Merged, Basis),
    (method, to): (&Method, &Revision),
    (cursor, size): (Option<&str>, Option<usize>),
    memory: &Memory,
) -> Result<Listing, CallError> {
    let (on_page, next) = cursor::page(whole, cursor, size)?;
    let entries = whole.entries.get(on_page).unwrap_or_default();
    let text = text(method, entries, next.as_deref(), whole);
    let internal = |why: String| CallError::Internal(why);
    let message = Message::parse(text.into()).map_err(|fault| internal(fault.to_string()))?;
    Listing::new(&message, (method, to), basis.clone(), memory).map_err(|fault| internal(fault.to_string()))
}

/// Pages of one server's list as one, as the route shows it: the first one's answer with the entries of all.
fn rewritten(
    pages: &Pages,
    (method, to): (&Method, &'static Revision),
    (scope, sight): (Scope, Sight<'_>),
    left_out: &BTreeMap<String, String>,
) -> Result<Message, AnswerFault> {
    let mut names = HashSet::new();
    let all = pages.pages.iter();
    let all = all.flat_map(|page| page.entries_in(sight, method.kind).map(move |entry| (page, entry)));
    let entries: Vec<Bytes> = all
        .filter(|(_, entry)| names.insert(&entry.name))
        .map(|(page, entry)| page.text_for(entry, method, to))
        .collect();
    let hints = Hints { ttl: Duration::ZERO, scope };
    let mut remarks = Remarks::default();
    pages.pages.iter().for_each(|page| remarks.add(sight.upstream(), page.remarks_in(sight)));
    remarks.add(sight.upstream(), pages.beside.iter().filter(|remark| remark.is_in(sight)));
    // There is one, as whoever asks has seen.
    let first = pages.pages.first().ok_or(AnswerFault::NoEntries("pages"))?;
    let mut members = remarks.members();
    if !left_out.is_empty() {
        members.push(degradation(left_out));
    }
    let text = first.page.rewrite(&entries, hints, pages.next.as_deref(), &members)?;
    Message::parse(text).map_err(|fault| AnswerFault::Unreadable(json::JsonFault::Syntax(fault.to_string())))
}

/// A result of a merged list, of whatever id and time.
fn text(method: &Method, entries: &[Bytes], next: Option<&str>, merged: &Merged) -> Vec<u8> {
    let hints = Hints { ttl: Duration::ZERO, scope: merged.scope };
    let mut text =
        format!(r#"{{"jsonrpc":"2.0","id":0,"result":{{"resultType":"complete",{},"#, hints.members());
    if let Some(cursor) = next {
        text.push_str(&format!("\"nextCursor\":{},", json::quote(cursor)));
    }
    let mut meta: Vec<String> = Vec::new();
    if !merged.degraded.is_empty() {
        meta.push(degraded(&merged.degraded));
    }
    let remarks = merged.remarks.members();
    meta.extend(remarks.iter().map(|(name, value)| format!("{}:{value}", json::quote(name))));
    if !meta.is_empty() {
        text.push_str(&format!("\"_meta\":{{{}}},", meta.join(",")));
    }
    text.push_str(&format!("{}:", json::quote(method.entries.unwrap_or_default())));
    let mut text = text.into_bytes();
    text.extend_from_slice(&list::join(entries));
    text.extend_from_slice(b"}}");
    text
}
