//! A route: what stands behind one path. Its servers, its catalog, its gate.

use std::sync::Arc;

use auth::Gate;
use base::bulkhead::Bulkhead;
use base::error::CallError;
use base::plan::{Deadlines, RoutePlan};
use base::world::World;
use mcp::call::Call;
use mcp::listen::Filter;
use mcp::method::{Kind, Reach};
use upstream::Upstream;

use crate::call::Way;
use crate::caller::Caller;
use crate::catalog::Catalog;
use crate::catalog::describe::Descriptions;
use crate::catalog::listing::{Listed, Lists};
use crate::catalog::names::Owner;
use crate::changes::Changes;
use crate::changes::subscription::Subscription;
use crate::changes::watch::Watch;
use crate::replica::Replica;
use crate::suspend::Suspended;
use crate::tasks::Tasks;

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
    pub(crate) world: World,
    /// The places for calls over all servers.
    pub(crate) places: Arc<Bulkhead>,
    /// Calls that wait for their clients.
    pub(crate) suspended: Arc<Suspended>,
    pub(crate) tasks: Arc<Tasks>,
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
        let descriptions = Descriptions::new(&catalog, &gate, &world.identity, plan.tells_of_changes);
        Self {
            name: plan.name.clone(),
            durable_streams: plan.durable_streams,
            json_depth: plan.json_depth,
            single: upstreams.iter().any(|upstream| upstream.plan().single).then(|| SINGLE.into()),
            suspended,
            tasks,
            replica,
            lists: Lists::new(&catalog, &world.memory),
            catalog,
            gate,
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

    pub(crate) fn deadlines(&self, upstream: &str) -> Deadlines {
        let member = self.catalog.members.iter().find(|member| member.upstream.name() == upstream);
        member.map_or_else(Deadlines::default, |member| member.upstream.plan().deadlines)
    }

    /// A call that concerns all servers: a list, a description, or a subscription.
    pub(crate) async fn over_all(&self, call: &Call, caller: &Caller) -> Result<Way, CallError> {
        let Some(method) = call.method() else { return Err(CallError::Internal("no method".to_owned())) };
        if method.entries.is_some() {
            return Ok(match self.lists.list(call, method, caller).await? {
                Listed::Theirs(message) => Way::Own(message),
                Listed::Built(text) => Way::Built(text),
            });
        }
        if method.cacheable {
            return self.descriptions.describe(call, caller).await.map(Way::Own);
        }
        let filter = Filter::read(call.params())?;
        let subscription = Subscription::open(&self.changes, filter, caller.era()).await?;
        Ok(Way::Listen(Box::new(subscription.for_stream(call.id().clone()))))
    }
}
