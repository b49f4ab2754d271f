//! A route: what stands behind one path. Its servers, its catalog, its gate.

use std::sync::Arc;
use std::time::SystemTime;

use approvals::page::PLACE;
use auth::{Claims, Gate};
use base::bulkhead::Bulkhead;
use base::error::CallError;
use base::plan::{LeftOut, RoutePlan};
use base::world::World;
use catalog::caller::Caller;
use catalog::changes::Changes;
use catalog::changes::watch::Watch;
use catalog::describe::Descriptions;
use catalog::listing::Lists;
use catalog::{Catalog, Member, Target};
use http::HeaderMap;
use identity::{Identifier, Lifetime};
use limits::Limiter;
use mcp::answer::{APPS_EXTENSION, TASKS_EXTENSION};
use mcp::call::Call;
use mcp::json::{Object, Patch};
use mcp::meta::ClientFacts;
use mcp::method::{Kind, Reach};
use mcp::version::Era;
use pins::AllPins;
use replica::Replica;
use upstream::Upstream;

use crate::forward::approval::{Approvals, Waits};
use crate::forward::filter::{Filter, Filters};
use crate::forward::limits::Limiting;
use crate::forward::record::CallRecord;
use crate::forward::resume::Resumption;
use crate::forward::scopes::Scopes;
use crate::forward::send::Sender;
use crate::forward::suspend::Suspended;
use crate::tasks::{RouteTasks, Tasks};
use base::names::Owner;

/// The servers that are at one replica only are at the same one, all of them.
const SINGLE: &str = "single";

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
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) gate: Gate,
    /// Where the pages of approvals are for everybody outside, if anybody knows.
    pub(crate) pages: Option<Arc<str>>,
    /// Who finds out who calls, if the gate is not open.
    pub(crate) identifier: Option<Arc<Identifier>>,
    pub(crate) world: World,
    /// The places for calls over all servers.
    pub(crate) places: Arc<Bulkhead>,
    /// Calls that wait for their clients.
    pub(crate) suspended: Arc<Suspended>,
    pub(crate) tasks: Arc<RouteTasks>,
    /// How much its callers may take, if that is limited.
    pub(crate) limiting: Option<Arc<Limiting>>,
    /// What calls pass before they are sent.
    pub(crate) filters: Filters,
    pub(crate) sender: Arc<Sender>,
    /// This process among others, if it may have any.
    pub(crate) replica: Option<Arc<Replica>>,
    pub(crate) descriptions: Descriptions,
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
    pub(crate) limiter: Arc<Limiter>,
    /// Portolan itself as a server.
    pub(crate) own: Arc<Upstream>,
    /// The places for calls that wait for an approval.
    pub(crate) waits: Arc<Waits>,
    pub(crate) replica: Option<Arc<Replica>>,
    /// What was pinned of what servers list.
    pub(crate) pins: Arc<AllPins>,
}

impl Route {
    /// How long credentials are good that came with a request, if anybody asks for any: until then, and of whom these claims say
    /// something.
    pub(crate) fn lifetime(
        &self,
        whose: (Option<SystemTime>, Option<&Arc<Claims>>),
        headers: &HeaderMap,
    ) -> Option<Lifetime> {
        self.identifier.as_ref().map(|identifier| Lifetime::new(identifier, whose, headers))
    }

    pub(crate) fn new(
        (plan, left_out): (&RoutePlan, &[LeftOut]),
        servers: &[(Arc<Upstream>, Arc<Watch>)],
        (gate, identifier): (Gate, Option<Arc<Identifier>>),
        world: World,
        Shares { places, streams, suspended, tasks, limiter, own, waits, replica, pins }: Shares,
    ) -> Self {
        let upstreams: Vec<_> = servers.iter().map(|(upstream, _)| Arc::clone(upstream)).collect();
        let catalog =
            Catalog::new(plan, &upstreams, (&own, left_out), (&gate, identifier.as_ref()), |of| pins.of(of));
        let catalog = Arc::new(catalog);
        let watches: Vec<_> = servers.iter().map(|(_, watch)| Arc::clone(watch)).collect();
        let changes = Changes::new(&catalog, watches, streams, Arc::clone(&world.metrics));
        let descriptions = Descriptions::new(&catalog, &gate, &world.identity, plan.tells_of_changes);
        let sender = Arc::new(Sender {
            route: plan.name.clone(),
            gate: gate.clone(),
            catalog: Arc::clone(&catalog),
            world: world.clone(),
            limiter: Arc::clone(&limiter),
        });
        let knows_callers = identifier.is_some();
        let outlasting = Arc::clone(&tasks.outlasting);
        let tasks = Arc::new(RouteTasks { tasks, sender: Arc::clone(&sender), knows_callers });
        let resumption = Resumption {
            sender: Arc::clone(&sender),
            suspended: Arc::clone(&suspended),
            identifier: identifier.clone(),
        };
        let scopes = identifier.as_ref().filter(|identifier| !identifier.plan().scopes.is_empty());
        let scopes = scopes.map(|identifier| {
            let (identifier, catalog) = (Arc::clone(identifier), Arc::clone(&catalog));
            Arc::new(Scopes { identifier, catalog }) as Arc<dyn Filter>
        });
        let limiting = Limiting::of_route(&plan.name, &limiter, &outlasting);
        let limits = limiting.iter().map(|limiting| Arc::<Limiting>::clone(limiting) as Arc<dyn Filter>);
        let pages = pages(plan);
        let approvals = gate.asks().then(|| {
            let (sender, seals) = (Arc::clone(&sender), Arc::clone(&suspended.seals));
            let (pages, limiting) = (pages.clone(), limiting.clone());
            Arc::new(Approvals { sender, seals, pages, waits, limiting }) as Arc<dyn Filter>
        });
        let others: [Arc<dyn Filter>; 2] = [Arc::new(resumption), Arc::<RouteTasks>::clone(&tasks)];
        let filters = others.into_iter().chain(scopes).chain(limits).chain(approvals);
        let filters = Filters::new(filters.collect());
        Self {
            name: plan.name.clone(),
            durable_streams: plan.durable_streams,
            json_depth: plan.json_depth,
            single: upstreams.iter().any(|upstream| upstream.plan().single).then(|| SINGLE.into()),
            suspended,
            tasks,
            limiting,
            filters,
            sender,
            replica,
            lists: Lists::new(&catalog, &world.memory),
            catalog,
            gate,
            pages,
            identifier,
            world,
            places,
            descriptions,
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

    /// Where a call goes. What is decided about that is put into its record.
    pub(crate) async fn locate<'c>(
        &'c self,
        call: &Call,
        caller: &Caller,
        record: &mut CallRecord,
    ) -> Result<Target<'c>, CallError> {
        match call.kind() {
            Kind::Task => Box::pin(self.tasks.locate(call, caller, record)).await,
            _ => self.catalog.locate(call, caller).await,
        }
    }

    /// The client with the capabilities that can be carried: an aggregate does not carry extensions whose methods have
    /// no owner here, no legacy client has methods of an extension unless its server is its own, and no server can have tasks carried
    /// out by a client. That a legacy client wants a task is told by its call ([`crate::tasks`]).
    pub(crate) fn carried(&self, client: &ClientFacts, era: Era) -> Option<ClientFacts> {
        let text = client.capabilities();
        // Most clients have nothing of that kind. An escaped name is looked at.
        if !["tasks", "extensions", "\\"].iter().any(|part| text.contains(part)) {
            return None;
        }
        let object = Object::parse(text).ok()?;
        let mut patch = Patch::new();
        if era == Era::Legacy {
            object.remove(|name| name == "tasks", 0, &mut patch);
        }
        // The methods of other extensions are modern, and have no owner among several servers; a task's id leads to one.
        let crosses = |id: &str| id == APPS_EXTENSION || (era == Era::Modern && id == TASKS_EXTENSION);
        let passes = |only: &Member| era == Era::Modern || only.upstream.is_ones_own();
        if !self.catalog.only().is_some_and(passes)
            && let Some(raw) = object.get("extensions").ok().flatten()
        {
            let extensions = Object::parse(raw).ok()?;
            extensions.remove(|id| !crosses(id), object.span_of(raw).start, &mut patch);
        }
        let carried = || ClientFacts { capabilities: patch.apply(text.as_bytes()), ..client.clone() };
        (!patch.is_empty()).then(carried)
    }
}

/// Where pages for people are, beside a route of which everybody outside knows where it is: it is told by its own path what stands
/// before that.
fn pages(plan: &RoutePlan) -> Option<Arc<str>> {
    let url = plan.resource.as_ref()?.resource.trim_end_matches('/');
    let before = url.strip_suffix(plan.path.trim_end_matches('/')).or_else(|| {
        let (scheme, rest) = url.split_once("://")?;
        let host = rest.split(['/', '?']).next()?;
        url.get(..scheme.len() + 3 + host.len())
    })?;
    Some(format!("{}{PLACE}", before.trim_end_matches('/')).into())
}
