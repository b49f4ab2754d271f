//! The real world for a gateway: sockets, guarded processes, the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway::live::child_places;
use gateway::plan::Plan;
use gateway::world::{SystemClock, World};
use store::seal::Seal;
use transport::child::SystemSpawn;
use transport::net::SystemNetwork;
use transport::wire::Tap;

use crate::fault::Fault;

/// What servers and clients are told of us.
pub(crate) const IDENTITY: &str =
    concat!(r#"{"name":"portolan","title":"Portolan","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// The world for a gateway with this plan.
pub(crate) fn world(plan: &Plan, tap: Option<Arc<dyn Tap>>) -> Result<World, Fault> {
    let seal = Seal::random().map_err(|fault| Fault::Outside(fault.to_string()))?;
    Ok(World {
        network: Arc::new(SystemNetwork),
        spawn: Arc::new(SystemSpawn { guard: Some(vec![own_program()?, "guard".to_owned()]) }),
        clock: Arc::new(SystemClock),
        seal: Arc::new(seal),
        tap,
        identity: IDENTITY.to_owned(),
        metrics: Arc::default(),
        children: child_places(plan),
        tasks: Default::default(),
    })
}

/// This program. Asked for when a command begins: when it has been replaced by a newer one, the newer one will do.
pub(crate) fn own_program() -> Result<String, Fault> {
    let path = std::env::current_exe().map_err(|error| Fault::outside("cannot find this program", &error))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| Fault::Outside(format!("the path of this program is no text: {}", path.display())))
}

/// The environment variables of this process. Those that are no text cannot be passed on.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Looks up an environment variable, for the configuration.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
