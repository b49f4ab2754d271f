//! What runs: the gateway, which makes a generation of each plan and puts it in the place of the one before.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use auth::Gate;
use base::bulkhead::Bulkhead;
use base::owned_task::OwnedTask;
use base::plan::{OWN_SERVER, Plan, RoutePlan, UpstreamPlan};
use base::sync::lock;
use base::world::World;
use catalog::caller::Caller;
use catalog::changes::watch::Watch;
use futures_util::future::join_all;
use identity::{Identifier, Identities};
use limits::{Limiter, Shared};
use pins::AllPins;
use replay::ReplayBudget;
use replica::Replica;
use store::{Store, StoreFault};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::http::server::Ending;
use transport::net::Address;
use transport::tls::TlsFault;
use upstream::{Health, Upstream};

use crate::bridge::endpoint::Endpoint;
use crate::bridge::session::Sessions;
use crate::forward::approval::Waits;
use crate::forward::state::StateSeal;
use crate::forward::suspend::Suspended;
use crate::listener::Listener;
use crate::live::{Live, Server};
use crate::own::OwnServer;
use crate::route::{Route, Shares};
use crate::tasks::Tasks;
use base::checks::HostCheck;

mod admin;
mod binding;
mod ending;
mod joining;
mod pinning;

/// What the listener for other replicas is called.
pub const REPLICAS: &str = "replicas";

/// What the admin listener is called.
const ADMIN: &str = "admin";

/// How long ending what servers hold for us may take.
const STOPPING: Duration = Duration::from_secs(10);

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// An address cannot be bound.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// The address.
        address: Address,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A listener's certificate or key cannot be used.
    #[error("listener {listener:?}: {source}")]
    Tls {
        /// The listener.
        listener: String,
        /// What is wrong.
        source: TlsFault,
    },
    /// The other replicas cannot be told of this one.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The plan leads nowhere.
    #[error("the plan has no route")]
    NoRoute,
}

/// A listener that is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its name; `admin` for the admin listener.
    pub name: String,
    /// Where it listens, with the real port.
    pub address: Address,
    /// Whether over TLS.
    pub secure: bool,
    /// The paths that it serves.
    pub paths: Vec<String>,
}

impl Bound {
    /// The URLs of its paths.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let scheme = if self.secure { "https" } else { "http" };
        self.paths.iter().map(|path| format!("{scheme}://{}{path}", self.address)).collect()
    }
}

/// The gate of a route, and who is behind it if it is not open.
type RouteGate = (Gate, Option<Arc<Identifier>>);

/// The running data plane.
#[derive(Debug)]
pub struct Gateway {
    world: World,
    live: Arc<ArcSwap<Live>>,
    /// That of routes which ask for nothing, and Portolan's own with servers.
    gate: Gate,
    /// Who vouches for callers, and what is known of them.
    identities: Identities,
    shares: Shares,
    /// Says that we are not ready, and to clients to go elsewhere.
    leave: CancellationToken,
    /// Stops accepting, ends streams, lets calls finish.
    drain: CancellationToken,
    /// Ends what answers until the end.
    end: CancellationToken,
    /// What is served to clients at the plan's listeners.
    connections: TaskTracker,
    /// Legacy sessions by route; they outlive a generation.
    sessions: Arc<Mutex<BTreeMap<String, Arc<Sessions>>>>,
    /// What the recordings of all their streams take.
    recorded: Arc<ReplayBudget>,
    /// HTTP+SSE sessions; so do they.
    sse: Arc<crate::listener::sse::SseSessions>,
    /// Has lists looked at anew when what was pinned has changed.
    _following_pins: Option<OwnedTask>,
}

impl Gateway {
    /// A data plane with this plan. Its servers begin to be reached at once; nothing listens yet.
    #[must_use]
    pub fn new(plan: Plan, world: World) -> Arc<Self> {
        Self::with_replica(plan, world, None)
    }

    /// The same, as one of several replicas where there is one.
    #[must_use]
    pub fn with_replica(plan: Plan, world: World, replica: Option<Arc<Replica>>) -> Arc<Self> {
        Self::with_gate(plan, world, replica, Gate::open())
    }

    /// The same behind another gate, for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_gate(plan: Plan, world: World, replica: Option<Arc<Replica>>, gate: Gate) -> Arc<Self> {
        let places = Bulkhead::new("calls".to_owned(), plan.limits.concurrent_calls, 0);
        let streams = Bulkhead::new("streams".to_owned(), plan.limits.streams, 0);
        let empty = Live { plan: Arc::new(Plan::default()), servers: BTreeMap::new(), endpoints: Vec::new() };
        let seals = StateSeal::new(Arc::clone(&world.seal), replica.clone());
        let suspended = Suspended::new(seals, plan.limits.suspended_calls);
        let tasks = Tasks::new(Arc::clone(&world.seal), plan.limits.suspended_calls, replica.clone());
        let serve = Arc::new(OwnServer::new(&tasks));
        let own = Arc::new(Upstream::own(UpstreamPlan::own(OWN_SERVER), serve, world.clone()));
        let (places, streams) = (Arc::new(places), Arc::new(streams));
        let limiter = Arc::new(limiter(&plan, &world, replica.as_ref()));
        let identities = match &replica {
            Some(_) => Identities::among_replicas(world.clone()),
            None => Identities::new(world.clone()),
        };
        let pins = Arc::new(AllPins::new(&world));
        let live = Arc::new(ArcSwap::from_pointee(empty));
        let following = pinning::follow(&pins, &live);
        let waits = Waits::new(plan.limits.suspended_calls);
        let shares = Shares { places, streams, suspended, tasks, limiter, own, waits, replica, pins };
        let gateway = Arc::new(Self {
            identities,
            world,
            live,
            gate,
            shares,
            leave: CancellationToken::new(),
            drain: CancellationToken::new(),
            end: CancellationToken::new(),
            connections: TaskTracker::new(),
            sessions: Arc::default(),
            recorded: Arc::default(),
            sse: Arc::default(),
            _following_pins: following,
        });
        gateway.swap(plan);
        gateway
    }

    /// Puts a new plan in the place of the current one. Servers whose configuration is the same go on as they are;
    /// those that are gone end when their calls in flight have ended. Listeners are not bound anew.
    pub fn reload(&self, plan: Plan) {
        self.world.memory.set_limit(plan.limits.memory);
        self.swap(plan);
    }

    fn swap(&self, mut plan: Plan) {
        // What is kept for later must leave room for what is under way.
        plan.limits.replay_total = plan.limits.replay_total.min(self.world.memory.limit() / 4);
        // Before the first list is read by it.
        self.shares.pins.carry_out(&plan.pins);
        let before = self.live.load_full();
        let mut servers = BTreeMap::new();
        let mut begun = Vec::new();
        for upstream in &plan.upstreams {
            let kept = before.servers.get(&upstream.name).filter(|server| server.upstream.plan() == upstream);
            let server = kept.cloned().unwrap_or_else(|| {
                let server = self.server(upstream.clone(), plan.limits.children);
                begun.push(server.clone());
                server
            });
            servers.insert(upstream.name.clone(), server);
        }
        let gates = self.gates(&plan);
        self.shares.limiter.follow(&plan.limiting);
        let endpoints = plan
            .routes
            .iter()
            .zip(gates)
            .map(|(route, gate)| (route.clone(), self.endpoint((route, gate), &plan, &servers, &before)));
        let endpoints = endpoints.collect();
        let live = Arc::new(Live { plan: Arc::new(plan), servers, endpoints });
        self.live.store(Arc::clone(&live));
        for server in begun {
            self.begin(server, &live);
        }
        // Only now: who listens or lists again finds the new ones.
        for (plan, endpoint) in &before.endpoints {
            let now = live.endpoints.iter().find(|(now, _)| now.name == plan.name);
            if now.is_some_and(|(_, now)| Arc::ptr_eq(now, endpoint)) {
                continue;
            }
            if let Some((_, now)) = now {
                endpoint.successor.get_or_init(|| Arc::clone(now));
            }
            endpoint.route.changes.replaced.cancel();
        }
        for (name, server) in &before.servers {
            let gone = live.servers.get(name).is_none_or(|now| !Arc::ptr_eq(&now.upstream, &server.upstream));
            if gone {
                self.retire(server.clone(), live.servers.contains_key(name));
            }
        }
    }

    /// What finds out who calls each route, in their order.
    fn gates(&self, plan: &Plan) -> Vec<RouteGate> {
        let resources: Vec<_> = plan.routes.iter().filter_map(|route| route.resource.clone()).collect();
        let mut identifiers = self.identities.carry_out(&plan.issuers, &resources).into_iter();
        let mut of = |route: &RoutePlan| match route.resource.as_ref().and_then(|_| identifiers.next()) {
            Some(identifier) => (Gate::of(Arc::<Identifier>::clone(&identifier)), Some(identifier)),
            None => (self.gate.clone(), None),
        };
        let with =
            |route: &RoutePlan, (gate, identifier): RouteGate| (gate.deciding(route.decider()), identifier);
        plan.routes.iter().map(|route| with(route, of(route))).collect()
    }

    /// The endpoint of a route: the one that is there, with its caches and streams, if nothing about it has changed.
    fn endpoint(
        &self,
        (route, (gate, identifier)): (&RoutePlan, RouteGate),
        plan: &Plan,
        servers: &BTreeMap<String, Server>,
        before: &Live,
    ) -> Arc<Endpoint> {
        let members: Vec<_> = route
            .upstreams
            .iter()
            .filter_map(|name| servers.get(name))
            .map(|server| (Arc::clone(&server.upstream), Arc::clone(&server.watch)))
            .collect();
        if plan.limits == before.plan.limits
            && plan.limiting == before.plan.limiting
            && plan.left_out == before.plan.left_out
            && let Some((_, endpoint)) = before.endpoints.iter().find(|(known, _)| known == route)
            && endpoint.route.has_members(&members)
            && pinning::are_the_same(&self.shares.pins, &endpoint.route)
            && endpoint.route.gate.is_same(&gate)
        {
            return Arc::clone(endpoint);
        }
        let route_now = Route::new(
            (route, &plan.left_out),
            &members,
            (gate, identifier),
            self.world.clone(),
            self.shares.clone(),
        );
        Arc::new(Endpoint {
            route: Arc::new(route_now),
            sessions: self.sessions_of(&route.name),
            limits: plan.limits,
            drain: self.drain.clone(),
            successor: OnceLock::new(),
        })
    }

    fn server(&self, plan: UpstreamPlan, most_children: usize) -> Server {
        let upstream = Arc::new(Upstream::new(plan, self.world.clone(), most_children));
        let watch = Watch::new(&upstream, &self.gate, self.shares.replica.as_ref());
        Server { upstream, watch, stop: CancellationToken::new() }
    }

    /// Reaches a server for the first time, reads its tools, and listens for its changes from then on.
    fn begin(&self, server: Server, live: &Arc<Live>) {
        if !server.upstream.plan().watched {
            return;
        }
        let live = Arc::clone(live);
        let tasks = self.world.tasks.clone();
        self.world.tasks.spawn(async move {
            tasks.spawn(Arc::clone(&server.watch).run(server.stop.clone()));
            let caller = Caller::nobody();
            let members = live.endpoints.iter().flat_map(|(_, endpoint)| &endpoint.route.catalog.members);
            let mine = members.filter(|member| Arc::ptr_eq(&member.upstream, &server.upstream));
            let warm = async {
                join_all(mine.clone().map(|member| member.warm(&caller))).await;
                // Others may be started before a program, and longer than a list may take.
                let mut health = server.upstream.health_changes();
                let is_up = |health: &Health| matches!(health, Health::Up { .. });
                if server.upstream.is_process()
                    && !is_up(&health.borrow())
                    && health.wait_for(is_up).await.is_ok()
                {
                    join_all(mine.map(|member| member.warm(&caller))).await;
                }
            };
            tokio::select! {
                _ = warm => {}
                () = server.stop.cancelled() => {}
            }
        });
    }

    fn retire(&self, server: Server, replaced: bool) {
        let metrics = Arc::clone(&self.world.metrics);
        let patience = self.live.load().plan.limits.drain;
        self.world.tasks.spawn(async move {
            server.stop.cancel();
            // Calls in flight hold the upstream; they may finish, but not for ever.
            let upstream = server.upstream;
            if tokio::time::timeout(patience, upstream.idle()).await.is_err() {
                tracing::warn!(upstream = upstream.name(), "removed while calls were under way");
            }
            if tokio::time::timeout(STOPPING, upstream.stop()).await.is_err() {
                tracing::warn!(upstream = upstream.name(), "not ended in good order within {STOPPING:?}");
            }
            if !replaced {
                metrics.forget(upstream.name());
            }
            tracing::info!(upstream = upstream.name(), "no longer configured as it was; ended");
        });
    }

    fn sessions_of(&self, route: &str) -> Arc<Sessions> {
        let mut sessions = lock(&self.sessions);
        let new = || Arc::new(Sessions::new(Arc::clone(&self.world.seal), route, Arc::clone(&self.recorded)));
        Arc::clone(sessions.entry(route.to_owned()).or_insert_with(new))
    }

    /// Binds all listeners of the plan and serves them. Either all are bound, or none is.
    ///
    /// # Errors
    /// Names the first listener that cannot be bound.
    pub async fn listen(&self) -> Result<Vec<Bound>, StartFault> {
        let live = self.live.load_full();
        if live.endpoints.is_empty() {
            return Err(StartFault::NoRoute);
        }
        let mut bound = Vec::new();
        let mut servers = Vec::new();
        for plan in &live.plan.listeners {
            let server = self.bind(plan).await?;
            bound.push(Bound {
                name: plan.name.clone(),
                address: server.listener.local(),
                secure: plan.tls.is_some(),
                paths: live.paths(&plan.name),
            });
            servers.push(server);
        }
        if let Some(address) = &live.plan.admin {
            let address = self.serve_admin(address, &live.plan).await?;
            let paths = ["/healthz", "/readyz", "/metrics"].map(str::to_owned).to_vec();
            bound.push(Bound { name: ADMIN.to_owned(), address, secure: false, paths });
        }
        // Others must be able to find what clients are given, so this comes before the first client.
        if let Some(replica) = &self.shares.replica {
            bound.extend(self.join(replica, &live.plan, &bound).await?);
        }
        for server in servers {
            let ending = Ending { leave: self.leave.clone(), close: self.drain.clone() };
            self.world.tasks.spawn(self.connections.track_future(server.run(ending)));
        }
        Ok(bound)
    }

    fn listener(&self, name: &str, keeper: HostCheck) -> Listener {
        Listener {
            memory: self.world.memory.clone(),
            name: name.to_owned(),
            keeper,
            live: Arc::clone(&self.live),
            sse: Arc::clone(&self.sse),
            drain: self.drain.clone(),
            replica: self.shares.replica.clone(),
        }
    }

    /// Serves one client over a byte stream at the plan's first route, until its input ends.
    ///
    /// # Errors
    /// When there is no route, or the stream cannot be read or written.
    pub async fn serve_stdio(
        &self,
        input: impl AsyncRead + Send + Unpin,
        output: impl AsyncWrite + Send + Unpin,
    ) -> io::Result<()> {
        let live = self.live.load_full();
        let Some((_, endpoint)) = live.endpoints.first() else {
            return Err(io::Error::other(StartFault::NoRoute));
        };
        let endpoint = Arc::clone(endpoint);
        crate::listener::stdio::serve(endpoint, input, output, live.plan.limits.request_bytes).await
    }

    /// How each server is, as last seen.
    #[must_use]
    pub fn health(&self) -> Vec<(String, Health)> {
        self.live.load().health()
    }

    /// The servers, as they are configured now.
    #[must_use]
    pub fn servers(&self) -> Vec<Arc<Upstream>> {
        self.live.load().servers.values().map(|server| Arc::clone(&server.upstream)).collect()
    }

    /// How many tools a server lists; nothing as long as that is not known.
    #[must_use]
    pub fn tools(&self, server: &str) -> Option<usize> {
        let live = self.live.load();
        let mut members = live.endpoints.iter().flat_map(|(_, endpoint)| &endpoint.route.catalog.members);
        members.find(|member| member.upstream.name() == server)?.count_tools()
    }

    /// Waits until each server that is watched was reached, or was found not to be reachable.
    pub async fn settled(&self) {
        let live = self.live.load_full();
        for server in live.servers.values().filter(|server| server.upstream.plan().watched) {
            let mut health = server.upstream.health_changes();
            drop(health.wait_for(|health| *health != Health::Unknown).await);
        }
    }
}

/// A semaphore for the places of child processes.
#[must_use]
pub fn child_places(plan: &Plan) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(plan.limits.children))
}

/// Counts what callers take; with the other replicas, where there may be any.
fn limiter(plan: &Plan, world: &World, replica: Option<&Arc<Replica>>) -> Limiter {
    let is_shared = |store: &&Arc<Store>| store.is_for_many() || plan.replicas.is_some();
    let shared = world.store.as_ref().filter(is_shared).map(|store| {
        let replica = replica.cloned();
        // The list of replicas has the others only.
        let replicas = move || replica.as_ref().map_or(1, |replica| replica.peers().count() + 1);
        Shared::new(Arc::clone(store), replicas)
    });
    Limiter::new(Arc::clone(&world.metrics), shared)
}
