//! What outlives the process, or is shared with other replicas: the store, and the keys of the seal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base::clock::{Clock as _, SystemClock};
use base::plan::Plan;
use base::world::World;
use mcp::json::quote;
use replica::{Replica, ReplicaInfo};
use store::keeper::{Keys, KeysFault};
use store::keys::Master;
use store::seal::Seal;
use store::seal::ring::Ring;
use store::{Place, Settings, Store, StoreFault};

use crate::fault::Fault;
use crate::outside;

/// The store and the keys of one process that serves.
pub(crate) struct Shared {
    store: Option<Arc<Store>>,
    keys: Option<Keys>,
    seal: Arc<Seal>,
}

/// Now.
pub(crate) fn now() -> SystemTime {
    SystemClock.now()
}

/// What a store says of itself when it cannot be asked.
pub(crate) fn away(fault: &StoreFault) -> Fault {
    Fault::Outside(format!("the store: {fault}"))
}

/// The store of a configuration, in which this is kept; `hint` says what else there is, if anything.
pub(crate) async fn store_of(plan: &Plan, what: &str, hint: &str) -> Result<Arc<Store>, Fault> {
    let Some(place) = &plan.store else {
        let hint = format!("such as store = \"sqlite:portolan.db\", above the first table{hint}");
        return Err(
            Fault::usage(format!("{what} kept in a store, and the configuration has none")).hint(hint)
        );
    };
    open_store(place).await
}

/// Opens the store of a plan.
pub(crate) async fn open_store(place: &Place) -> Result<Arc<Store>, Fault> {
    let opened = Box::pin(Store::open(place, Settings::default())).await;
    opened.map(Arc::new).map_err(|fault| Fault::Outside(format!("{place}: {fault}")))
}

/// The file with the key of this machine.
pub(crate) fn key_file(state_dir: Option<&Path>) -> Result<Option<PathBuf>, String> {
    let Some(directory) = state_dir.map(Path::to_owned).or_else(outside::state_directory) else {
        return Ok(None);
    };
    outside::make_directory(&directory)?;
    Ok(Some(directory.join("seal.key")))
}

/// Where the keys of a plan come from; None if there is nowhere to keep any.
pub(crate) fn keys(
    plan: &Plan,
    store: Option<&Arc<Store>>,
    state_dir: Option<&Path>,
) -> Result<Option<Keys>, String> {
    if !plan.keys.secrets.is_empty() {
        return Ok(Some(Keys::Given(plan.keys.secrets.clone())));
    }
    if let (Some(store), Some(key)) = (store, &plan.keys.master) {
        let master = Master::new(Seal::new(Ring::of(key)));
        return Ok(Some(Keys::Shared(Arc::clone(store), master)));
    }
    let Some(file) = key_file(state_dir)? else { return Ok(None) };
    let Some(store) = store else { return Ok(Some(Keys::Kept(file))) };
    // A store of this machine: the key of this machine seals what is in it.
    let master = Seal::kept_at(&file, now()).map_err(|fault| fault.to_string())?;
    Ok(Some(Keys::Shared(Arc::clone(store), Master::new(master))))
}

impl Shared {
    /// Opens what the plan asks for. A directory that nobody asked for and that cannot be used costs only that sessions do
    /// not outlive a restart.
    pub(crate) async fn open(plan: &Plan, state_dir: Option<&Path>) -> Result<Self, Fault> {
        let store = match &plan.store {
            Some(place) => Some(open_store(place).await?),
            None => None,
        };
        let (keys, seal) = match keys(plan, store.as_ref(), state_dir) {
            Ok(Some(keys)) => {
                let seal = keys.seal(now()).await;
                (Some(keys), seal.map_err(|fault| fault.to_string()))
            }
            Ok(None) => return Ok(Self { store, keys: None, seal: Arc::new(outside::passing_seal()?) }),
            Err(why) => (None, Err(why)),
        };
        match seal {
            Ok(seal) => Ok(Self { store, keys, seal: Arc::new(seal) }),
            Err(why) if state_dir.is_some() || store.is_some() => Err(Fault::Outside(why)),
            Err(why) => {
                tracing::warn!(
                    "sessions of legacy clients will not outlive a restart, their key cannot be kept: {why}"
                );
                Ok(Self { store, keys: None, seal: Arc::new(outside::passing_seal()?) })
            }
        }
    }

    /// The seal with these keys.
    pub(crate) fn seal(&self) -> Arc<Seal> {
        Arc::clone(&self.seal)
    }

    /// The store, if the plan has one.
    pub(crate) fn store(&self) -> Option<Arc<Store>> {
        self.store.clone()
    }

    /// Follows the keys for ever.
    pub(crate) async fn follow_keys(&self) {
        match &self.keys {
            Some(keys) => Box::pin(keys.follow(&self.seal, now)).await,
            None => std::future::pending().await,
        }
    }

    /// Ends in good order.
    pub(crate) async fn close(&self) {
        if let Some(store) = &self.store {
            store.close().await;
        }
    }
}

/// Makes this process one of the replicas, if it may have any.
pub(crate) fn replica(world: &World) -> Result<Option<Arc<Replica>>, Fault> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let facts = format!(r#""host":{},"process":{}"#, quote(host.trim()), std::process::id());
    let said = ReplicaInfo { version: env!("CARGO_PKG_VERSION").to_owned(), facts };
    Replica::new(world, said).map_err(|fault| Fault::Outside(fault.to_string()))
}

impl From<KeysFault> for Fault {
    fn from(fault: KeysFault) -> Self {
        match fault {
            KeysFault::Given => Self::usage(fault.to_string()).hint(
                "make a new key with `portolan keys new`; give it to every replica as the last, then as the first",
            ),
            _ => Self::Outside(fault.to_string()),
        }
    }
}
