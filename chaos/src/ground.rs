//! What stands: PostgreSQL, the servers, the replicas, the balancer in front of them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::prctl;

use crate::client::Door;
use crate::fault::Fault;
use crate::record::Record;
use crate::servers::World;
use crate::servers::legacy::{self, Legacy};
use crate::servers::modern::{self, Modern};
use crate::servers::{http, stdio};

mod balancer;
mod configuration;
mod database;
pub(crate) mod leftovers;
mod program;
pub(crate) mod replica;

use balancer::Balancer;
use configuration::Configuration;
use database::Database;
use replica::Replica;

/// Ports below those that the kernel gives to outgoing connections, so that a replica gets its own again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How to set it up.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) portolan: PathBuf,
    pub(crate) replicas: usize,
    /// Where configurations and logs go.
    pub(crate) directory: PathBuf,
    /// Whether the balancer does what it must not.
    pub(crate) resends: bool,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) record: Arc<Record>,
    pub(crate) world: Arc<World>,
    pub(crate) database: Database,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) door: Door,
    /// Whether replicas have a listener for each other.
    pub(crate) forwards: bool,
    balancer: Balancer,
    effects: PathBuf,
}

impl Ground {
    pub(crate) async fn set_up(settings: &Settings, record: Arc<Record>) -> Result<Self, Fault> {
        // Whatever a replica leaves behind becomes ours, and is found.
        prctl::set_child_subreaper(true).map_err(Fault::of("PR_SET_CHILD_SUBREAPER"))?;
        let directory = &settings.directory;
        std::fs::create_dir_all(directory).map_err(Fault::of("the directory of logs"))?;
        let world = World::new(Arc::clone(&record));
        let new = http::serve(&world, Arc::new(Modern { world: Arc::clone(&world) })).await?;
        let old = http::serve(&world, Arc::new(Legacy::new(Arc::clone(&world)))).await?;
        let database = Database::start().await?;
        let effects = directory.join("effects");
        let master = program::output(&settings.portolan, &["keys", "new"]).await?;
        write_secret(&directory.join(configuration::MASTER), &master)?;
        let mut configuration = Configuration {
            store: database.url().to_owned(),
            servers: vec![(modern::NAME, new), (legacy::NAME, old)],
            chaos: std::env::current_exe().map_err(Fault::of("this program"))?,
            effects: effects.clone(),
            forwards: true,
        };
        configuration.forwards = configuration.is_good(&settings.portolan, directory).await;
        let mut ports = Ports(PORTS);
        let mut replicas = Vec::new();
        for number in 0..settings.replicas {
            let (listen, admin) = (ports.next()?, ports.next()?);
            replicas.push(Replica::new(number, settings, configuration.clone(), (listen, admin)));
        }
        for replica in &mut replicas {
            replica.start().await?;
        }
        let listens: Vec<_> = replicas.iter().map(|replica| replica.listen.to_string()).collect();
        let balancer = Balancer::start(settings, ports.next()?, &listens).await?;
        let door = Door { address: balancer.address, replicas: listens };
        let forwards = configuration.forwards;
        Ok(Self { record, world, database, replicas, door, forwards, balancer, effects })
    }

    /// Effects that were written to the file go into the book.
    pub(crate) fn gather(&self) -> Result<(), Fault> {
        let of_processes = stdio::effects(&self.effects)?;
        self.record.book().effects.extend(of_processes);
        Ok(())
    }

    /// Ends all replicas in good order, and looks for what is left of them.
    pub(crate) async fn take_down(&mut self) -> Result<(), Fault> {
        for replica in &mut self.replicas {
            replica.term()?;
        }
        for replica in &mut self.replicas {
            replica.ended(&self.record).await?;
        }
        let apart = [Some(self.balancer.pid()), None];
        leftovers::look(&self.record, &self.world, &self.database, &apart).await;
        self.balancer.stop().await;
        Ok(())
    }
}

struct Ports(std::ops::Range<u16>);

impl Ports {
    /// A port that nobody listens on.
    fn next(&mut self) -> Result<SocketAddr, Fault> {
        for port in self.0.by_ref() {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        Err(Fault::new("no free port"))
    }
}

/// Writes what only we may read.
fn write_secret(path: &Path, text: &str) -> Result<(), Fault> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Fault::of(&path.display().to_string()))
}

fn write(path: &Path, text: &str) -> Result<(), Fault> {
    std::fs::write(path, text).map_err(Fault::of(&path.display().to_string()))
}
