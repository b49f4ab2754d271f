//! A route: what stands behind one path. Its servers, its catalog, its gate.

use std::sync::{Arc, Mutex};

use auth::{Gate, Principal};
use base::bulkhead::Bulkhead;
use base::cache::{Bounds, Cache};
use base::digest::Digest;
use base::error::CallError;
use base::plan::{Deadlines, RoutePlan};
use base::reply;
use base::sync::lock;
use base::world::World;
use mcp::answer;
use mcp::cache::{Hints, Scope};
use mcp::call::Call;
use mcp::discover::{self, Capabilities, Discovered};
use mcp::json::{self, Object, Patch};
use mcp::jsonrpc::{Message, MessageKind};
use mcp::listen::Filter;
use mcp::meta::DEGRADED;
use mcp::method::{Kind, Reach};
use mcp::version::{self, Era};
use tokio::time::{Duration, Instant};
use upstream::{Arrival, Upstream};

use crate::call::Way;
use crate::caller::Caller;
use crate::catalog::names::Owner;
use crate::catalog::reading::Wait;
use crate::catalog::{Catalog, Member};
use crate::changes::Changes;
use crate::changes::subscription::Subscription;
use crate::changes::watch::Watch;
use crate::listing::Lists;
use crate::replica::Replica;
use crate::suspend::Suspended;
use crate::tasks::Tasks;

/// The servers that are at one replica only are at the same one, all of them.
const SINGLE: &str = "single";
/// How long a merged description of several servers counts as fresh.
const DESCRIPTION_TTL: Duration = Duration::from_secs(60);
/// How long a server's own description is kept at most: nothing tells when it changes.
const LONGEST_DESCRIPTION_TTL: Duration = Duration::from_secs(3600);
/// How long a server is waited for that describes itself, where its last description is known; and for how long it is not asked
/// when it took longer.
const DESCRIBING: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// What is kept of descriptions: capability sets are the client's to choose.
const DESCRIPTIONS: Bounds = Bounds { values: 64, bytes: 4 * 1024 * 1024 };

/// What stands behind one path.
#[derive(Debug)]
pub(crate) struct Route {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// Names the servers that are at one replica only, if it has any.
    pub(crate) single: Option<Arc<str>>,
    /// Whether what legacy clients are told in answer to a call outlives this replica.
    pub(crate) durable_streams: bool,
    /// How many objects and arrays of what clients say may lie in each other.
    pub(crate) json_depth: usize,
    /// Whether clients are told that each list may change, whatever its servers say.
    tells_of_changes: bool,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) gate: Gate,
    pub(crate) world: World,
    /// The places for calls over all servers.
    pub(crate) places: Arc<Bulkhead>,
    /// Calls that wait for their clients.
    pub(crate) suspended: Arc<Suspended>,
    pub(crate) tasks: Arc<Tasks>,
    /// This process among others, if it may have any.
    pub(crate) replica: Option<Arc<Replica>>,
    /// What a modern server says of itself, by principal and capabilities, and until when that is fresh.
    described: Cache<(Principal, Digest), (Message, Instant), CallError>,
    /// When it last took too long to say it.
    described_late: Mutex<Option<Instant>>,
    pub(crate) lists: Lists,
    pub(crate) changes: Changes,
}

/// What all routes share.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    pub(crate) places: Arc<Bulkhead>,
    pub(crate) streams: Arc<Bulkhead>,
    pub(crate) suspended: Arc<Suspended>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) replica: Option<Arc<Replica>>,
}

impl Route {
    pub(crate) fn new(
        plan: &RoutePlan,
        servers: &[(Arc<Upstream>, Arc<Watch>)],
        gate: Gate,
        world: World,
        Shares { places, streams, suspended, tasks, replica }: Shares,
    ) -> Self {
        let upstreams: Vec<_> = servers.iter().map(|(upstream, _)| Arc::clone(upstream)).collect();
        let catalog = Arc::new(Catalog::new(plan, &upstreams, &gate));
        let watches: Vec<_> = servers.iter().map(|(_, watch)| Arc::clone(watch)).collect();
        let changes = Changes::new(&catalog, watches, streams, Arc::clone(&world.metrics));
        Self {
            name: plan.name.clone(),
            durable_streams: plan.durable_streams,
            json_depth: plan.json_depth,
            tells_of_changes: plan.tells_of_changes,
            single: upstreams.iter().any(|upstream| upstream.plan().single).then(|| SINGLE.into()),
            suspended,
            tasks,
            replica,
            lists: Lists::new(&catalog, &world.memory),
            catalog,
            gate,
            world,
            places,
            described: Cache::new(DESCRIPTIONS),
            described_late: Mutex::default(),
            changes,
        }
    }

    /// Whether a call concerns servers that are at one replica only. What concerns all servers does.
    pub(crate) fn concerns_single(&self, call: &Call) -> bool {
        if self.single.is_none() {
            return false;
        }
        let subject =
            call.subject().filter(|_| call.method().is_none_or(|method| method.reach == Reach::Owner));
        let owner = subject.map(|subject| match call.kind() {
            Kind::Tool | Kind::Prompt => self.catalog.names.owner(&subject.text),
            Kind::Resource | Kind::Template => self.catalog.names.uri_owner(&subject.text).0,
            Kind::Server | Kind::Task => Owner::Unprefixed(""),
        });
        match owner {
            Some(Owner::Server(server, _)) => {
                self.catalog.members.get(server).is_some_and(|member| member.upstream.plan().single)
            }
            Some(Owner::Unprefixed(_)) | None => true,
            Some(Owner::Nobody) => false,
        }
    }

    /// Whether its servers are these, in this order.
    pub(crate) fn has_members(&self, members: &[(Arc<Upstream>, Arc<Watch>)]) -> bool {
        let mine = self.catalog.members.iter().map(|member| &member.upstream);
        self.catalog.members.len() == members.len()
            && mine.zip(members).all(|(mine, (other, _))| Arc::ptr_eq(mine, other))
    }

    pub(crate) fn deadlines(&self, upstream: &str) -> Deadlines {
        let member = self.catalog.members.iter().find(|member| member.upstream.name() == upstream);
        member.map_or_else(Deadlines::default, |member| member.upstream.plan().deadlines)
    }

    /// A call that concerns all servers: a list, a description, or a subscription.
    pub(crate) async fn over_all(&self, call: &Call, caller: &Caller) -> Result<Way, CallError> {
        let Some(method) = call.method() else { return Err(CallError::Internal("no method".to_owned())) };
        if method.entries.is_some() {
            return self.list(call, method, caller, caller.revision).await;
        }
        if method.cacheable {
            return self.describe(call, caller).await;
        }
        let filter = Filter::read(call.params())?;
        let subscription = Subscription::open(&self.changes, filter, caller.era()).await?;
        Ok(Way::Listen(Box::new(subscription.for_stream(call.id().clone()))))
    }

    /// Answers `server/discover`. One modern server describes itself; only the revisions are ours to say.
    async fn describe(&self, call: &Call, caller: &Caller) -> Result<Way, CallError> {
        if let Some(member) = self.catalog.only() {
            let (era, _) = member.reader.describe(caller, Wait::Whole).await?;
            if era == Era::Modern {
                let message = self.described(member, call, caller).await?;
                return reply::with_id(&message, call.id()).map(Way::Own);
            }
        }
        let (mut discovered, degraded) = self.discovered(caller).await?;
        // Of a legacy server only what crosses, and nothing that is unknown here.
        discovered.raw_capabilities = discovered.capabilities.text();
        let meta = if degraded.is_empty() { Vec::new() } else { vec![degraded_member(&degraded)] };
        reply::own_result(call.id(), &discovered.text(&meta)).map(Way::Own)
    }

    /// Sends a call without a subject to the only server and waits for the response.
    async fn ask_only(&self, call: &Call, caller: &Caller) -> Result<Message, CallError> {
        let target = self.catalog.locate(call, caller).await?;
        let mut answer = self.send(call, &target, caller).await?;
        loop {
            if let Arrival::Response(response) = answer.next().await? {
                return Ok(response.message);
            }
        }
    }

    /// The only server's description of itself, asked for once as long as it is fresh and for whom it is meant.
    async fn described(&self, member: &Member, call: &Call, caller: &Caller) -> Result<Message, CallError> {
        let key = (caller.principal.clone(), Digest::of([call.client().capabilities()]));
        let is_fresh = |(_, until): &(Message, Instant)| *until > Instant::now();
        if let Some((message, _)) = self.described.find(&key, is_fresh) {
            return Ok(message);
        }
        let ask = Box::pin(async {
            let message = self.describe_itself(member.upstream.name(), call, caller).await?;
            let hints = answer::result_object(&message).ok().and_then(|result| Hints::read(&result).ok());
            let ttl = hints.map_or(Duration::ZERO, |hints| hints.ttl).min(LONGEST_DESCRIPTION_TTL);
            let described = (message, Instant::now() + ttl);
            if answer::result_object(&described.0).is_ok() {
                // Fresh or not, it is the last that is known.
                self.described.put(key.clone(), described.clone(), described.0.bytes().len());
            }
            Ok(described)
        });
        let within = member.upstream.plan().deadlines.list;
        // What is known of it already is given instead, if it does not say it at once: there are clients that wait for no
        // longer than a second.
        let known = self.described.find(&key, |_| true).map(|(message, _)| message);
        let within = if known.is_some() { DESCRIBING.min(within) } else { within };
        let is_in_vain = member.upstream.sick().is_some()
            || lock(&self.described_late).is_some_and(|late| late.elapsed() < ASK_AGAIN);
        if let Some(known) = known.as_ref().filter(|_| is_in_vain) {
            return Ok(known.clone());
        }
        if let Some(error) = member.upstream.sick() {
            return Err(error);
        }
        let described = tokio::time::timeout(within, self.described.single_flight(&key, |_| true, ask)).await;
        let Ok(described) = described else {
            if let Some(known) = known {
                *lock(&self.described_late) = Some(Instant::now());
                return Ok(known);
            }
            let error = CallError::Deadline { upstream: member.upstream.name().to_owned(), after: within };
            member.upstream.hung(&error);
            return Err(error);
        };
        described.map(|(message, _)| message)
    }

    async fn describe_itself(&self, name: &str, call: &Call, caller: &Caller) -> Result<Message, CallError> {
        let message = self.ask_only(call, caller).await?;
        let MessageKind::Result(parts) = message.kind() else { return Ok(message) };
        let invalid = |why: String| CallError::InvalidAnswer { upstream: name.to_owned(), why };
        let result = Object::parse(message.at(parts.result)).map_err(|fault| invalid(fault.to_string()))?;
        let mut patch = Patch::new();
        let ours: Vec<_> = version::names(Era::Modern).map(json::quote).collect();
        let versions = format!("[{}]", ours.join(","));
        let set = result.set("supportedVersions", versions.as_bytes(), parts.result.start, &mut patch);
        let raw = result.get("capabilities").map_err(|fault| invalid(fault.to_string()))?;
        if let Some(raw) = raw.filter(|_| self.tells_of_changes) {
            let at = result.span_of(raw).shift(parts.result.start);
            patch.replace(at, discover::telling_of_changes(raw).as_bytes());
        }
        set.and_then(|()| answer::name_type(&result, parts.result, &mut patch))
            .map_err(|fault| invalid(fault.to_string()))?;
        Message::parse(patch.apply(message.bytes())).map_err(|fault| invalid(fault.to_string()))
    }

    /// What the servers say of themselves, as one: with the reasons of those that could not be asked.
    pub(crate) async fn discovered(
        &self,
        caller: &Caller,
    ) -> Result<(Discovered, std::collections::BTreeMap<String, String>), CallError> {
        let versions: Vec<String> = version::names(Era::Modern).map(str::to_owned).collect();
        if let Some(member) = self.catalog.only() {
            let (theirs, found) = member.reader.describe(caller, Wait::Whole).await?;
            let mut discovered = Discovered::clone(&found);
            discovered.versions = versions;
            if self.tells_of_changes {
                discovered.raw_capabilities = discover::telling_of_changes(&discovered.raw_capabilities);
                discovered.capabilities.tell_of_changes();
            }
            if theirs == Era::Legacy {
                discovered.hints = Hints { ttl: DESCRIPTION_TTL, scope: Scope::Private };
            }
            return Ok((discovered, std::collections::BTreeMap::new()));
        }
        let members = &self.catalog.members;
        let asked = members.iter().map(|member| member.reader.describe(caller, Wait::Fair));
        let found = futures_util::future::join_all(asked).await;
        let mut capabilities = Capabilities::default();
        let (mut instructions, mut degraded) = (Vec::new(), std::collections::BTreeMap::new());
        let mut is_known = true;
        for (member, found) in members.iter().zip(found) {
            match found {
                Ok((_, discovered)) => {
                    capabilities = capabilities.or(&discovered.capabilities);
                    if let Some(text) = &discovered.instructions {
                        instructions.push(format!("# {}\n\n{text}", member.upstream.plan().prefix));
                    }
                }
                Err(error) => {
                    is_known = false;
                    degraded.insert(member.upstream.name().to_owned(), reply::wire(&error).text);
                }
            }
        }
        if !is_known {
            // What the missing ones have is not known; a client that is told «no tools» would not ask later.
            capabilities = capabilities.or(&everything());
        }
        capabilities.tell_of_changes();
        // Extensions with methods of their own have no owner in an aggregate; a task's id leads to one.
        capabilities.extensions.retain(|id, _| id == answer::APPS_EXTENSION || id == answer::TASKS_EXTENSION);
        let ttl = if degraded.is_empty() { DESCRIPTION_TTL } else { Duration::ZERO };
        let discovered = Discovered {
            versions,
            raw_capabilities: capabilities.text(),
            capabilities,
            instructions: (!instructions.is_empty()).then(|| instructions.join("\n\n")),
            info: Some(self.world.identity.clone()),
            hints: Hints { ttl, scope: Scope::Private },
            beyond: None,
        };
        Ok((discovered, degraded))
    }
}

/// `"dev.portolan/degraded":[{"server":…,"reason":…}]`.
pub(crate) fn degraded_member(degraded: &std::collections::BTreeMap<String, String>) -> String {
    let each = |(server, reason): (&String, &String)| {
        format!(r#"{{"server":{},"reason":{}}}"#, json::quote(server), json::quote(reason))
    };
    let all: Vec<_> = degraded.iter().map(each).collect();
    format!("{}:[{}]", json::quote(DEGRADED), all.join(","))
}

fn everything() -> Capabilities {
    Capabilities {
        tools: true,
        tools_changed: true,
        prompts: true,
        prompts_changed: true,
        resources: true,
        resources_changed: true,
        subscribe: true,
        completions: true,
        ..Capabilities::default()
    }
}
