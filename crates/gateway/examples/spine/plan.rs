//! Two servers behind one endpoint.

use std::error::Error;
use std::sync::Arc;

use base::clock::SystemClock;
use base::metrics::Metrics;
use base::plan::{
    HttpReach, Limits, ListenerPlan, Naming, Plan, Reach, RoutePlan, TransportRule, UpstreamPlan,
};
use base::sink::Sinks;
use base::world::World;
use gateway::assembly::child_places;
use store::seal::Seal;
use testkit::net::MemoryNetwork;
use testkit::spawn::MemorySpawn;
use transport::http::client::{ClientSettings, Destination};
use transport::http::server::ServerLimits;
use transport::net::Address;
use transport::workers::Workers;

/// The path of the endpoint.
pub(crate) const PATH: &str = "/mcp";

/// One listener and one route over these servers.
pub(crate) fn plan(servers: &[(&str, Address)]) -> Result<Plan, Box<dyn Error>> {
    let mut plan = Plan::default();
    for (name, address) in servers {
        let reach = HttpReach {
            destination: Destination::new(format!("http://{address}{PATH}").parse()?)?,
            headers: Vec::new(),
            forward_headers: Vec::new(),
            transport: TransportRule::default(),
            client: ClientSettings::default(),
        };
        plan.upstreams.push(UpstreamPlan::new(name, Reach::Http(reach)));
    }
    plan.listeners.push(ListenerPlan {
        name: "main".to_owned(),
        address: Address::Tcp("127.0.0.1".to_owned(), 0),
        tls: None,
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        limits: ServerLimits::default(),
        reuse_port: false,
    });
    plan.routes.push(RoutePlan {
        name: "main".to_owned(),
        listeners: Vec::new(),
        path: PATH.to_owned(),
        sse_path: None,
        upstreams: servers.iter().map(|(name, _)| (*name).to_owned()).collect(),
        naming: Naming::default(),
        page_size: None,
        durable_streams: false,
        json_depth: Limits::JSON_DEPTH,
        tells_of_changes: true,
        resource: None,
        policy: None,
        decides: None,
    });
    Ok(plan)
}

/// A world in memory, but with the clocks of the machine: a clock that tests can pause costs something at each look.
pub(crate) fn world(plan: &Plan, network: Arc<MemoryNetwork>) -> Result<World, Box<dyn Error>> {
    let metrics = Arc::new(Metrics::new());
    Ok(World {
        network,
        spawn: Arc::new(MemorySpawn::default()),
        clock: Arc::new(SystemClock),
        seal: Arc::new(Seal::from_secret(&[7; 32])?),
        tap: None,
        identity: r#"{"name":"portolan","version":"0"}"#.to_owned(),
        sinks: Sinks::counting(&metrics),
        metrics,
        memory: transport::memory::Memory::default(),
        workers: Workers::default(),
        children: child_places(plan),
        starts: base::start_places::StartPlaces::of_this_machine(),
        store: None,
        tasks: tokio_util::task::TaskTracker::new(),
    })
}
