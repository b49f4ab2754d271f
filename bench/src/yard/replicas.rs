//! Several replicas of Portolan that share a PostgreSQL, behind nginx. Only they are measured.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::postgres::Postgres;

use super::{Ground, Yard, free_port, nginx, portolan, write};
use crate::cases::Case;
use crate::fault::Fault;
use crate::load::Load;
use crate::process::Running;

/// Those who are measured; the number at the end is how many there are.
pub(super) const NAMES: [&str; 3] = ["portolan-1", "portolan-2", "portolan-3"];

/// The database and the balancer.
#[derive(Debug)]
pub(crate) struct Apart {
    _postgres: Postgres,
    _nginx: Running,
}

/// Starts as many as the name says, and waits until each of them serves.
pub(super) fn start(ground: &Ground, case: &Case, name: &str) -> Result<Yard, Fault> {
    let count = name.rsplit('-').next().and_then(|count| count.parse::<usize>().ok()).unwrap_or(1);
    let program = ground.nginx.as_deref().ok_or_else(|| Fault::new("nginx is not here"))?;
    let began = Instant::now();
    let postgres = Postgres::start();
    let shared = shared(ground, &postgres.url())?;
    let load = |port: u16| Load { url: format!("http://127.0.0.1:{port}/mcp"), ..case.load.clone() };
    let mut yard = Yard {
        name: name.to_owned(),
        load: load(0),
        running: Vec::new(),
        _apart: None,
        started_in: Duration::ZERO,
        idle: 0,
    };
    let mut listens = Vec::new();
    for number in 1..=count {
        let port = free_port().map_err(Fault::of("a free port"))?;
        let text = format!("{shared}{}", portolan::text(ground, case, port));
        // Yards stand side by side, and each reads its own.
        let mut command = portolan::command(ground, &format!("{name}-{number}.toml"), &text)?;
        let log = ground.dir.join(format!("{name}-{number}.log"));
        yard.running.push(Running::start(command.stdout(Stdio::null()), &log)?);
        yard.load = load(port);
        yard.serve()?;
        listens.push(format!("127.0.0.1:{port}"));
    }
    let port = free_port().map_err(Fault::of("a free port"))?;
    let mut balancer = nginx::balancer(program, ground, port, &listens)?;
    let nginx =
        Running::start(balancer.stdout(Stdio::null()), &ground.dir.join(format!("{name}-nginx.log")))?;
    yard._apart = Some(Apart { _postgres: postgres, _nginx: nginx });
    yard.load = load(port);
    yard.serve()?;
    yard.started_in = began.elapsed();
    yard.idle = yard.memory().0;
    Ok(yard)
}

/// What all replicas are told alike.
fn shared(ground: &Ground, store: &str) -> Result<String, Fault> {
    let mut bytes = [0; 32];
    let mut random = std::fs::File::open("/dev/urandom").map_err(Fault::of("/dev/urandom"))?;
    random.read_exact(&mut bytes).map_err(Fault::of("/dev/urandom"))?;
    let master: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let alone = format!("store = {store:?}\n[keys]\nmaster = {master:?}\n");
    let together = format!("{alone}[replicas]\nlisten = \"127.0.0.1:0\"\n");
    // A version that has no listener between replicas is measured without it.
    let trial = ground.dir.join("trial.toml");
    write(&trial, &format!("{together}[upstream.s0]\nurl = \"http://127.0.0.1:9/mcp\"\n"))?;
    let mut check = Command::new(&ground.portolan);
    check.arg("check").arg(&trial).stdout(Stdio::null()).stderr(Stdio::null());
    let is_known = check.status().map_err(Fault::of("portolan check"))?.success();
    Ok(if is_known { together } else { alone })
}
