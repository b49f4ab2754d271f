//! The catalog of a route: the merged, filtered and named set of what its servers offer, and the way back from a
//! public name to the server that has it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use auth::{Gate, View};
use base::error::CallError;
use base::pin::Pins;
use base::plan::{LeftOut, RoutePlan, SchemaRule};
use base::sync::lock;
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::future::join_all;
use identity::{Identifier, Views};
use mcp::cache::Scope;
use mcp::call::Call;
use mcp::method::{self, Kind, Method};
use mcp::mirror::MirroredParams;
use mcp::template;
use mcp::version::{Era, Revision};
use tokio::sync::watch;
use tokio::time::Instant;
use upstream::{Health, Upstream};

mod cursor;
pub mod describe;
pub mod entries;
mod held;
pub mod index;
pub mod listing;
pub mod reading;
pub mod remarks;
pub mod server_lists;
pub mod sight;

use self::entries::RouteFilter;
use self::held::Followed;
use self::index::Index;
use self::reading::{Part, Patience, Reader};
use self::remarks::{Done, Remark, Remarks};
use self::server_lists::{Freshness, ListFault, Pages, ServerLists};
use self::sight::Sight;
use crate::caller::Caller;
use base::names::{Names, Owner};

/// For so long a server that did not give its tools is not asked for them again before each call.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// For so long a merged list is fresh at most.
const LONGEST_TERM: Duration = Duration::from_secs(24 * 3600);

/// The catalog of one route.
#[derive(Debug)]
pub struct Catalog {
    pub names: Arc<Names>,
    pub members: Vec<Member>,
    /// Portolan itself, for what it answers as a server does. It has nothing to list.
    own: Member,
    /// Servers that were configured and cannot be served, and why.
    left_out: BTreeMap<String, String>,
    /// Whether somebody decides by what servers say of their tools.
    decides: bool,
    /// What each caller may see.
    pub views: Views,
    /// How many entries a page of a merged list has.
    pub page_size: Option<usize>,
}

/// One server of a route.
#[derive(Debug)]
pub struct Member {
    pub upstream: Arc<Upstream>,
    pub server_lists: Arc<ServerLists>,
    pub reader: Arc<Reader>,
    /// What was pinned of what it lists, if it is held to that.
    pins: Option<Arc<dyn Pins>>,
    /// What of that was last looked at anew.
    followed: Followed,
    health: watch::Receiver<Health>,
    /// When it was last asked for its tools before a call and did not give them.
    in_vain: Mutex<Option<Instant>>,
    /// Why its entries were last missing, as long as they are.
    missing: Mutex<Option<String>>,
}

/// Where a call goes.
#[derive(Debug)]
pub struct Target<'c> {
    /// The server's place in the route.
    pub server: usize,
    pub member: &'c Member,
    /// The server's own name of what the call is about, if the call has a subject and it differs.
    pub name: Option<ByteString>,
}

/// A list over all servers.
#[derive(Debug)]
pub struct Merged {
    /// The entries' texts.
    pub entries: Vec<Bytes>,
    pub term: Freshness,
    /// Whether each server gave a page, which says for whom it is.
    pub is_told: bool,
    /// The servers whose entries are missing, or not all there, and why.
    pub degraded: BTreeMap<String, String>,
    /// What was odd about entries.
    pub remarks: Remarks,
    /// Whom it is for, as clients are told.
    pub scope: Scope,
    /// What cursors call it.
    pub digest: OnceLock<String>,
}

impl Merged {
    /// A server has not given all of it.
    fn lacks(&mut self, member: &Member, why: String) {
        let name = member.upstream.name();
        member.upstream.world().metrics.degraded(name);
        self.degraded.insert(name.to_owned(), why);
    }
}

impl Catalog {
    pub fn new(
        plan: &RoutePlan,
        upstreams: &[Arc<Upstream>],
        (own, left_out): (&Arc<Upstream>, &[LeftOut]),
        (gate, identifier): (&Gate, Option<&Arc<Identifier>>),
        pins: impl Fn(&str) -> Option<Arc<dyn Pins>>,
    ) -> Self {
        let prefixes = upstreams.iter().map(|upstream| upstream.plan().prefix.as_str());
        let names = Arc::new(Names::new(&plan.naming, prefixes));
        let member = |(server, upstream): (usize, &Arc<Upstream>)| {
            let plan = upstream.plan().clone();
            // In front of one server, its entries are the client's to judge.
            let schema = if upstreams.len() > 1 { SchemaRule::Repair } else { SchemaRule::Pass };
            let schema = plan.schema.unwrap_or(schema);
            let pins = pins(upstream.name());
            let defines = gate.decides() || pins.is_some() || upstream.world().sinks.examines().is_some();
            let (names, pinned) = (Arc::clone(&names), pins.clone());
            let filter = Arc::new(RouteFilter { names, server, plan, schema, defines, pins: pinned });
            let server_lists = ServerLists::new(Arc::clone(upstream), gate.clone(), (filter, pins.clone()));
            let server_lists = Arc::new(server_lists);
            Member {
                upstream: Arc::clone(upstream),
                reader: Reader::new(Arc::clone(upstream), Arc::clone(&server_lists)),
                server_lists,
                followed: Followed::new(pins.as_deref()),
                pins,
                health: upstream.health_changes(),
                in_vain: Mutex::default(),
                missing: Mutex::default(),
            }
        };
        let members = upstreams.iter().enumerate().map(member).collect();
        let own = member((upstreams.len(), own));
        let page_size = plan.page_size.filter(|size| *size > 0);
        let left_out = left_out.iter().map(|left| (left.name.clone(), left.why.clone())).collect();
        let servers = upstreams.iter().map(|upstream| (upstream.label(), upstream.plan()));
        let views = Views::new(gate, identifier, (&names, servers));
        Self { names, members, own, left_out, decides: gate.decides(), views, page_size }
    }

    /// The only server, if the route passes it through.
    pub fn only(&self) -> Option<&Member> {
        match self.members.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Servers that were configured and cannot be served, and why.
    pub fn left_out(&self) -> &BTreeMap<String, String> {
        &self.left_out
    }

    /// Portolan itself, as the server of something that it calls so.
    pub fn own(&self, name: ByteString) -> Target<'_> {
        Target { server: self.members.len(), member: &self.own, name: Some(name) }
    }

    /// Which server a call goes to, and what it calls the subject. A name that is not shown to the caller leads nowhere.
    pub async fn locate(&self, call: &Call, caller: &Caller) -> Result<Target<'_>, CallError> {
        let Some(subject) = call.subject() else {
            // A method without a subject, in no table or for one server: only a route with one server can tell whose.
            let unknown = || mcp::reject::Reject::UnknownMethod(call.method_name().to_owned());
            let member = self.only().ok_or_else(unknown)?;
            return Ok(Target { server: 0, member, name: None });
        };
        let public = &subject.text;
        let unknown = || CallError::UnknownName { kind: call.kind(), name: public.to_string() };
        let (server, name) = match call.kind() {
            Kind::Tool | Kind::Prompt => {
                self.locate_name(call.kind(), public, caller).await.ok_or_else(unknown)?
            }
            Kind::Resource | Kind::Template => {
                self.locate_uri(call.kind(), public, caller).await.ok_or_else(unknown)?
            }
            Kind::Task | Kind::Server if self.only().is_some() => (0, public.clone()),
            Kind::Task | Kind::Server => return Err(unknown()),
        };
        let member = self.members.get(server).ok_or_else(unknown)?;
        let is_held = member.is_held(call.kind(), caller);
        if (self.decides || is_held) && call.kind() == Kind::Tool {
            member.know_tools(caller).await?;
        }
        if !member.shows(call.kind(), &name, (&self.views.leading(caller.whose()), caller.era())) {
            return Err(unknown());
        }
        if is_held {
            Box::pin(member.hold(call.kind(), (&name, public), caller)).await?;
        }
        Ok(Target { server, member, name: Some(name).filter(|name| **name != **public) })
    }

    async fn locate_name(
        &self,
        kind: Kind,
        public: &ByteString,
        caller: &Caller,
    ) -> Option<(usize, ByteString)> {
        let (server, shown) = match self.names.owner(public) {
            Owner::Server(server, rest) => (server, rest),
            Owner::Unprefixed(name) => (Box::pin(self.only_one_that_has(kind, name, caller)).await?, name),
            Owner::Nobody => return None,
        };
        let member = self.members.get(server)?;
        if self.names.may_be_cut(public) {
            let key = (kind, public.to_string());
            drop(Box::pin(member.know(kind, caller, Patience::Whole)).await);
            // One that is not known may have been listed since, at another replica for one.
            if !member.server_lists.index(caller.era()).cut.contains_key(&key)
                && !member.server_lists.index(caller.era()).seen.contains_key(&key)
                && let Some(method) = method::find(list_name(kind))
            {
                drop(Box::pin(member.reader.list(method, caller, Patience::Whole)).await);
            }
            if let Some(name) = member.server_lists.index(caller.era()).cut.get(&key) {
                return Some((server, name.as_str().into()));
            }
        }
        let plan = member.upstream.plan();
        let selection = if kind == Kind::Tool { &plan.tools } else { &plan.prompts };
        let renamed =
            selection.rename.iter().find(|(_, to)| to.as_str() == shown).map(|(from, _)| from.as_str());
        let name = match renamed {
            Some(name) => ByteString::from(name),
            // A renamed entry is not there under its own name.
            None if selection.rename.contains_key(shown) => return None,
            // It is a part of what the client has written, so it need not be copied.
            None => public.slice_ref(shown),
        };
        selection.shows(&name).then_some((server, name))
    }

    async fn locate_uri(&self, kind: Kind, public: &str, caller: &Caller) -> Option<(usize, ByteString)> {
        let (owner, own) = self.names.uri_owner(public);
        let server = match owner {
            Owner::Server(server, _) => server,
            Owner::Unprefixed(_) => match Box::pin(self.only_one_that_has(kind, public, caller)).await {
                Some(server) => server,
                None if kind == Kind::Resource => {
                    Box::pin(self.only_one_with_template_for(public, caller)).await?
                }
                None => return None,
            },
            Owner::Nobody => return None,
        };
        self.members.get(server)?.upstream.plan().resources.shows(&own).then(|| (server, own.into()))
    }

    /// The server whose list has that public name, if exactly one has. Lists that were not read yet are read.
    async fn only_one_that_has(&self, kind: Kind, public: &str, caller: &Caller) -> Option<usize> {
        // Who has one server's tool need not wait for another that is sick.
        join_all(self.members.iter().map(|member| member.know(kind, caller, Patience::Fair))).await;
        let view = self.views.leading(caller.whose());
        let has = |(_, member): &(usize, &Member)| {
            let index = member.server_lists.index(caller.era());
            index.seen.contains_key(&(kind, public.to_owned()))
                && (view.shows_everything()
                    || member.shows(kind, member.own_name(kind, public, &index), (&view, caller.era())))
        };
        let mut found = self.members.iter().enumerate().filter(has).map(|(server, _)| server);
        let first = found.next()?;
        if found.next().is_some() {
            tracing::warn!(
                name = public,
                "two servers have it and neither is prefixed (naming.prefix); served by neither"
            );
            return None;
        }
        Some(first)
    }

    /// The server that lists a template which a URI without a prefix was made of, if exactly one does.
    async fn only_one_with_template_for(&self, uri: &str, caller: &Caller) -> Option<usize> {
        join_all(self.members.iter().map(|member| member.know(Kind::Template, caller, Patience::Fair))).await;
        let view = self.views.leading(caller.whose());
        let fits = |(kind, text): &(Kind, String)| *kind == Kind::Template && template::fits(text, uri);
        let has = |(_, member): &(usize, &Member)| {
            member.server_lists.index(caller.era()).seen.keys().any(fits)
                && member.sight(&view).has(Kind::Resource, uri)
        };
        let mut found = self.members.iter().enumerate().filter(has).map(|(server, _)| server);
        let first = found.next()?;
        if found.next().is_some() {
            tracing::warn!(uri, "templates of two servers lead to it; served by neither");
            return None;
        }
        Some(first)
    }

    /// What each server lists. Who may not list there is not told that the server is there.
    pub async fn parts(&self, method: &'static Method, caller: &Caller, view: &View) -> Vec<Part> {
        let part = |member| async move {
            if !Member::sight(member, view).lists(method.kind) {
                return Ok(Pages::default());
            }
            member.reader.list(method, caller, Patience::Fair).await
        };
        join_all(self.members.iter().map(part)).await
    }

    /// A list over all servers, for a client of a revision: what is there, in the order of the route, and for what is
    /// missing the reason. What the view does not show is left out first.
    pub fn merge(
        &self,
        parts: &[Part],
        (method, to): (&'static Method, &'static Revision),
        view: &View,
    ) -> Merged {
        let now = Instant::now();
        let (mut entries, mut is_partial) = (Vec::new(), false);
        let mut merged = Merged {
            entries: Vec::new(),
            term: Freshness { until: now + LONGEST_TERM, scope: Scope::Public },
            is_told: true,
            degraded: self.left_out.clone(),
            remarks: Remarks::default(),
            scope: Scope::Private,
            digest: OnceLock::new(),
        };
        for (member, part) in self.members.iter().zip(parts) {
            let sight = member.sight(view);
            match part {
                Ok(Pages { pages, lacks, is_old, beside, .. }) => {
                    merged.is_told &= !pages.is_empty();
                    member.missing(None);
                    merged
                        .remarks
                        .add(member.upstream.name(), beside.iter().filter(|remark| remark.is_in(sight)));
                    // What one server lists twice, on different pages, is one thing.
                    let mut names = HashSet::new();
                    for page in pages {
                        merged.remarks.add(member.upstream.name(), page.remarks_in(sight));
                        merged.term = merged.term.and(page.term());
                        let new = page.entries_in(sight, method.kind);
                        let new = new.filter(|entry| names.insert(&entry.name));
                        entries
                            .extend(new.map(|entry| (member, &entry.name, page.text_for(entry, method, to))));
                    }
                    if let Some(lacks) = lacks {
                        is_partial |= *is_old;
                        merged.lacks(member, lacks.to_string());
                    }
                }
                Err(fault) => {
                    is_partial = true;
                    member.missing(Some((method, log(fault))));
                    merged.lacks(member, fault.public());
                }
            }
        }
        merged.entries = without_ambiguous(entries, method.kind, &mut merged.remarks);
        if is_partial {
            // The missing entries may be back at any moment.
            merged.term = Freshness { until: now, scope: Scope::Private };
        }
        merged.scope = self.told(merged.term.scope);
        merged
    }

    /// Whom a list is for, as clients are told of one that is for these: what depends on a token is for nobody else, whatever is
    /// hidden from this one (MCP 2026-07-28 `server/utilities/caching`).
    pub fn told(&self, scope: Scope) -> Scope {
        if self.views.differ() { Scope::Private } else { scope }
    }

    /// How often each server's list has changed for clients of an era, in the order of the route.
    pub fn changes(&self, kind: Kind, client: Era) -> impl Iterator<Item = u64> {
        self.members.iter().map(move |member| member.server_lists.changes(kind, client))
    }

    /// Whether any server was found to be down.
    pub fn any_is_down(&self) -> bool {
        self.members.iter().any(|member| matches!(*member.health.borrow(), Health::Down { .. }))
    }

    /// Whether a tool can only be called as a task of the legacy era, as far as its server's list is known.
    pub async fn requires_task(
        &self,
        target: &Target<'_>,
        tool: &str,
        caller: &Caller,
    ) -> Result<bool, CallError> {
        target.member.know_tools(caller).await?;
        Ok(target.member.server_lists.index(caller.era()).tasks.contains(tool))
    }

    /// The same as far as it is known already.
    pub fn known_to_require_task(target: &Target<'_>, tool: &str, client: Era) -> Option<bool> {
        let index = target.member.server_lists.index(client);
        index.complete.contains(&"tools/list").then(|| index.tasks.contains(tool))
    }

    /// The mirrored parameters of a tool, as far as its server's list is known.
    pub async fn mirrored_params(
        &self,
        target: &Target<'_>,
        tool: &str,
        caller: &Caller,
    ) -> Result<Option<Arc<MirroredParams>>, CallError> {
        target.member.know_tools(caller).await?;
        Ok(target.member.server_lists.index(caller.era()).tools.get(tool).cloned())
    }
}

impl Member {
    /// What a view shows of it.
    pub fn sight<'a>(&'a self, view: &'a View) -> Sight<'a> {
        Sight::of(self.upstream.label(), view)
    }

    /// Whether a view shows its thing of that own name to a client of an era, as far as it is known what that is.
    fn shows(&self, kind: Kind, name: &str, (view, era): (&View, Era)) -> bool {
        if view.shows_everything() {
            return true;
        }
        let index = self.server_lists.index(era);
        self.sight(view).has_defined(kind, name, index.definition(kind, name))
    }

    /// Its entries are missing for this reason, or they are not. A reason is said once, however many lists are asked for.
    fn missing(&self, why: Option<(&Method, String)>) {
        let mut before = lock(&self.missing);
        let Some((method, why)) = why else {
            *before = None;
            return;
        };
        let (upstream, method) = (self.upstream.name(), method.name);
        // Times go on, and are no other reason.
        let reason: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
        if before.as_ref() == Some(&reason) {
            return tracing::debug!(upstream, method, "its entries are missing: {why}");
        }
        tracing::warn!(upstream, method, "its entries are missing: {why}");
        *before = Some(reason);
    }

    /// What it calls the thing that it shows under a name without a prefix.
    fn own_name<'n>(&'n self, kind: Kind, public: &'n str, index: &'n Index) -> &'n str {
        if let Some(own) = index.cut.get(&(kind, public.to_owned())) {
            return own;
        }
        let plan = self.upstream.plan();
        let selection = match kind {
            Kind::Tool => &plan.tools,
            Kind::Prompt => &plan.prompts,
            Kind::Resource | Kind::Template | Kind::Server | Kind::Task => return public,
        };
        selection.rename.iter().find(|(_, to)| *to == public).map_or(public, |(from, _)| from)
    }

    /// Sees to it, before a call, that the tools were read once. A server that cannot be reached need not be tried twice
    /// for one call, and one that does not give its tools must not hold up every call.
    pub async fn know_tools(&self, caller: &Caller) -> Result<(), CallError> {
        let known = || self.knows_tools(caller.era());
        if known() || lock(&self.in_vain).is_some_and(|at| at.elapsed() < ASK_AGAIN) {
            return Ok(());
        }
        match Box::pin(self.know(Kind::Tool, caller, Patience::Whole)).await {
            Ok(()) if known() => Ok(()),
            Ok(()) if self.knows_at_last(caller).await => Ok(()),
            Err(ListFault::Call(
                error @ (CallError::BreakerOpen { .. } | CallError::OutOfDescriptors { .. }),
            )) => Err(error),
            Err(ListFault::Call(error @ CallError::Unreachable { .. }))
                if !Box::pin(self.upstream.is_connected(&caller.principal, caller.era())).await =>
            {
                Err(error)
            }
            // That one may not list says nothing of what others get.
            Err(ListFault::Call(CallError::Refused(_))) => Ok(()),
            // A list without end is not given either.
            Ok(()) | Err(_) => {
                *lock(&self.in_vain) = Some(Instant::now());
                Ok(())
            }
        }
    }

    /// Sees to it that the list of a kind was read once. A server that cannot give it stays unknown.
    async fn know(&self, kind: Kind, caller: &Caller, wait: Patience) -> Result<(), ListFault> {
        let list = list_name(kind);
        if self.server_lists.index(caller.era()).complete.contains(&list) {
            return Ok(());
        }
        let Some(method) = method::find(list) else { return Ok(()) };
        let known = self.reader.list(method, caller, wait).await.map(drop);
        if let Err(fault) = &known {
            tracing::debug!(upstream = self.upstream.name(), list, "not known yet: {}", log(fault));
        }
        known
    }

    /// Reads the tools before the first client asks.
    pub async fn warm(&self, caller: &Caller) {
        if let Some(method) = method::find("tools/list").filter(|_| !self.knows_tools(caller.era())) {
            drop(self.reader.read_early(method, caller).await);
        }
    }

    /// How many tools it lists, once they were read to their end.
    pub fn count_tools(&self) -> Option<usize> {
        let discovered = self.upstream.known_link(Era::Modern);
        if discovered.is_some_and(|(_, discovered)| !discovered.capabilities.tools) {
            return Some(0);
        }
        let index = self.server_lists.index(Era::Modern);
        let is_known = index.complete.contains(&"tools/list");
        is_known.then(|| index.seen.keys().filter(|(kind, _)| *kind == Kind::Tool).count())
    }

    fn knows_tools(&self, client: Era) -> bool {
        self.server_lists.index(client).complete.contains(&"tools/list")
    }

    /// Reads a list again, because what is known of it has proved to be old.
    pub async fn relearn(&self, kind: Kind, caller: &Caller) {
        self.server_lists.changed(kind, Some(caller.era()));
        if let Some(method) = method::find(list_name(kind))
            && let Err(fault) = self.reader.list(method, caller, Patience::Whole).await
        {
            tracing::debug!(
                upstream = self.upstream.name(),
                "the list cannot be read again: {}",
                log(&fault)
            );
        }
    }
}

/// The method that lists things of a kind.
fn list_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Prompt => "prompts/list",
        Kind::Resource => "resources/list",
        Kind::Template => "resources/templates/list",
        Kind::Server | Kind::Task | Kind::Tool => "tools/list",
    }
}

/// The fault with what is for operators only.
fn log(fault: &ListFault) -> String {
    match fault {
        ListFault::Call(error) => error.to_string(),
        ListFault::Theirs(_) => fault.public(),
    }
}

/// The texts without those that two servers show under one name: whom a call would reach must not be a guess.
fn without_ambiguous(
    entries: Vec<(&Member, &String, Bytes)>,
    kind: Kind,
    remarks: &mut Remarks,
) -> Vec<Bytes> {
    let mut count: HashMap<&String, usize> = HashMap::with_capacity(entries.len());
    for (_, name, _) in &entries {
        *count.entry(name).or_default() += 1;
    }
    let mut only = Vec::with_capacity(entries.len());
    for (member, name, text) in entries {
        if count.get(name) == Some(&1) {
            only.push(text);
            continue;
        }
        let why = "another server has it, too, and neither has a prefix: naming.prefix = \"auto\" of the route gives both one, \
                   tools.rename of a server gives it another name"
            .to_owned();
        let remark = [Remark::new(kind, name, Done::LeftOut, why)];
        remarks.add(member.upstream.name(), &remark);
        member.server_lists.tell(&remark);
    }
    only
}
