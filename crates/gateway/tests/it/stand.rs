//! A gateway in a test's world.

use std::sync::Arc;
use std::time::SystemTime;

use auth::Gate;
use auth::testing::Denials;
use base::clock::Clock;
use base::metrics::Metrics;
use base::plan::{HttpReach, Limits, ListenerPlan, Naming, Plan, Reach, RoutePlan, StdioReach, UpstreamPlan};
use base::sink::{Sink, Sinks};
use base::start_places::StartPlaces;
use base::world::World;
use gateway::assembly::{Gateway, child_places};
use replica::{Replica, ReplicaInfo};
use store::Store;
use store::seal::Seal;
use testkit::clock::WallClock;
use testkit::http::Client;
use testkit::server::{Desk, Persona, ScriptedServer};
use testkit::spawn::MemorySpawn;
use tokio_util::task::TaskTracker;
use transport::child::ChildSpec;
use transport::http::client::{ClientSettings, Destination};
use transport::http::server::ServerLimits;
use transport::memory::Memory;
use transport::net::{Address, Network};

/// A gateway that is being put together.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) spawn: MemorySpawn,
    pub(crate) clock: WallClock,
    pub(crate) plan: Plan,
    /// The bound on what it holds.
    pub(crate) memory: Memory,
    /// What it shares with other gateways, if it is one of several.
    pub(crate) store: Option<Arc<Store>>,
    /// What its clients are denied, if it has a gate that denies.
    pub(crate) denials: Option<Denials>,
    /// The places for programs that are starting.
    pub(crate) starts: StartPlaces,
    /// What runs beside calls.
    pub(crate) tasks: TaskTracker,
    /// What is told of each call that is over, beside the metrics.
    pub(crate) sink: Option<Arc<dyn Sink>>,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Http,
    Stdio,
}

/// A gateway that is running.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) client: Client,
}

impl Stand {
    /// One listener and one route, at `/mcp`, with nothing behind it yet.
    pub(crate) fn new(network: Arc<dyn Network>) -> Self {
        let listener = ListenerPlan {
            name: "main".to_owned(),
            address: Address::Tcp("127.0.0.1".to_owned(), 0),
            tls: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            limits: ServerLimits::default(),
            reuse_port: false,
        };
        let route = RoutePlan {
            name: "main".to_owned(),
            listeners: Vec::new(),
            path: "/mcp".to_owned(),
            sse_path: None,
            upstreams: Vec::new(),
            naming: Naming::default(),
            page_size: None,
            durable_streams: false,
            json_depth: Limits::JSON_DEPTH,
            tells_of_changes: true,
            resource: None,
            policy: None,
            decides: None,
        };
        let plan = Plan { listeners: vec![listener], routes: vec![route], ..Plan::default() };
        Self {
            network,
            spawn: MemorySpawn::default(),
            clock: WallClock::default(),
            plan,
            memory: Memory::default(),
            store: None,
            denials: None,
            starts: StartPlaces::of_this_machine(),
            tasks: TaskTracker::new(),
            sink: None,
        }
    }

    /// A server behind the route.
    pub(crate) async fn add(&mut self, name: &str, over: Over, persona: Persona) -> (ScriptedServer, Desk) {
        let (server, desk) = ScriptedServer::new(persona);
        let reach = match over {
            Over::Http => {
                let any = Address::Tcp("127.0.0.1".to_owned(), 0);
                Reach::Http(http_reach(&server.serve_http(&*self.network, &any).await))
            }
            Over::Stdio => {
                server.program(&self.spawn, name);
                Reach::Stdio(stdio_reach(name))
            }
        };
        self.put(UpstreamPlan::new(name, reach));
        (server, desk)
    }

    /// Puts a server behind the route.
    pub(crate) fn put(&mut self, upstream: UpstreamPlan) {
        self.plan.routes[0].upstreams.push(upstream.name.clone());
        self.plan.upstreams.push(upstream);
    }

    /// The plan of a server.
    pub(crate) fn upstream(&mut self, name: &str) -> &mut UpstreamPlan {
        self.plan.upstreams.iter_mut().find(|upstream| upstream.name == name).unwrap()
    }

    /// Starts it.
    pub(crate) async fn start(self) -> Running {
        let metrics = Arc::new(Metrics::new());
        let counting: Arc<dyn Sink> = Arc::<Metrics>::clone(&metrics);
        let sinks = Sinks::new(std::iter::once(counting).chain(self.sink).collect());
        let world = World {
            network: Arc::clone(&self.network),
            spawn: Arc::new(self.spawn),
            clock: Arc::new(Wall(self.clock)),
            seal: Arc::new(Seal::from_secret(&[7; 32]).unwrap()),
            tap: None,
            identity: r#"{"name":"portolan","version":"0"}"#.to_owned(),
            sinks,
            metrics,
            memory: self.memory,
            workers: transport::workers::Workers::default(),
            children: child_places(&self.plan),
            starts: self.starts,
            store: self.store,
            tasks: self.tasks,
        };
        let said = ReplicaInfo { version: "0".to_owned(), facts: String::new() };
        let replica = Replica::new(&world, said).unwrap();
        let gate = self.denials.as_ref().map_or_else(Gate::open, Gate::testing);
        let gateway = Gateway::with_gate(self.plan, world, replica, gate);
        let bound = gateway.listen().await.unwrap();
        let address = bound.first().unwrap().address.clone();
        Running { gateway, client: Client::new(self.network, address) }
    }
}

/// The clock that a test sets.
#[derive(Debug)]
struct Wall(WallClock);

impl Clock for Wall {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// A server at an address.
pub(crate) fn http_reach(address: &Address) -> HttpReach {
    HttpReach {
        destination: Destination::new(format!("http://{address}/mcp").parse().unwrap()).unwrap(),
        headers: Vec::new(),
        forward_headers: Vec::new(),
        transport: base::plan::TransportRule::default(),
        client: ClientSettings::default(),
    }
}

pub(crate) fn stdio_reach(program: &str) -> StdioReach {
    StdioReach {
        child: ChildSpec {
            program: program.to_owned(),
            args: Vec::new(),
            env: std::collections::BTreeMap::new(),
            directory: None,
        },
        idle_after: None,
        grace: std::time::Duration::from_secs(2),
        withheld: Default::default(),
    }
}
