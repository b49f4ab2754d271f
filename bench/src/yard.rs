//! Who is measured: nobody (direct), the yardsticks, Portolan, and others that are given by URL.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cases::{Beside, Case};
use crate::fault::Fault;
use crate::load::who::Who;
use crate::load::{Load, What};
use crate::process::{self, Running, Used};

mod haproxy;
mod nginx;
pub(crate) mod other;
mod portolan;
mod replicas;

pub(crate) use self::other::Other;

/// How long a process may take to serve its first call.
const PATIENCE: Duration = Duration::from_secs(30);

/// The Portolan that does not ask who calls.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// What yards are made with.
#[derive(Debug)]
pub(crate) struct Ground {
    /// Where configurations and logs go.
    pub(crate) dir: PathBuf,
    /// Where the echo server listens.
    pub(crate) echo: String,
    /// This program.
    pub(crate) bench: PathBuf,
    pub(crate) portolan: PathBuf,
    /// Arguments of `portolan serve` beside the configuration.
    pub(crate) portolan_args: Vec<String>,
    pub(crate) others: Vec<Other>,
    /// Which of nginx and HAProxy are here.
    pub(crate) nginx: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
}

/// One who is measured, serving.
#[derive(Debug)]
pub(crate) struct Yard {
    pub(crate) name: String,
    /// What it is asked.
    pub(crate) load: Load,
    /// Its processes; none for direct.
    pub(crate) running: Vec<Running>,
    /// What it cannot be without and what is not measured.
    _apart: Option<Apart>,
    /// From its start to its first answer.
    pub(crate) started_in: Duration,
    /// What it had in memory then, in bytes.
    pub(crate) idle: u64,
}

pub(crate) use self::replicas::Apart;

/// A name, and what to start.
type Plan = (String, Load, Option<std::process::Command>);

/// The names of those who take part in a case, in the order of the table.
pub(crate) fn names(ground: &Ground, case: &Case) -> Vec<String> {
    let mut names = vec!["direct"];
    let proxies = case.beside != Beside::Gateways && case.load.what != What::Listen;
    if proxies {
        names.extend(ground.nginx.is_some().then_some("nginx"));
        names.extend(ground.haproxy.is_some().then_some("haproxy"));
    }
    if case.beside == Beside::AndFile {
        names.extend(ground.nginx.is_some().then_some("nginx-file"));
    }
    if case.beside == Beside::Replicas {
        let names = replicas::NAMES.iter().filter(|_| ground.nginx.is_some());
        return names.map(|name| (*name).to_owned()).collect();
    }
    if case.beside == Beside::Gateways {
        names.clear();
    }
    if case.beside == Beside::Anonymous {
        return [ANONYMOUS, "portolan"].map(str::to_owned).to_vec();
    }
    names.push("portolan");
    let others = ground.others.iter().filter(|other| other.takes_part(&case.name));
    names.extend(others.map(|other| other.name.as_str()));
    names.into_iter().map(str::to_owned).collect()
}

/// Starts who has this name, and waits until it serves.
pub(crate) fn start(ground: &Ground, case: &Case, name: &str) -> Result<Yard, Fault> {
    if case.beside == Beside::Replicas {
        return replicas::start(ground, case, name).map_err(|fault| fault.within(name));
    }
    let (name, load, command) = plan(ground, case, name).map_err(|fault| fault.within(name))?;
    let log = ground.dir.join(format!("{name}.log"));
    let began = Instant::now();
    let running = match command {
        Some(mut command) => vec![
            Running::start(command.stdout(std::process::Stdio::null()), &log).map_err(|f| f.within(&name))?,
        ],
        None => Vec::new(),
    };
    let mut yard = Yard { name, load, running, _apart: None, started_in: Duration::ZERO, idle: 0 };
    yard.serve().map_err(|fault| fault.within(&yard.name))?;
    yard.started_in = began.elapsed();
    yard.idle = yard.memory().0;
    Ok(yard)
}

impl Yard {
    /// What its processes have used so far.
    pub(crate) fn used(&self) -> Used {
        self.running.iter().map(|running| Used::by(running.pid())).fold(Used::default(), Used::and)
    }

    /// What they have in memory, in bytes: now, and at most.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let all = self.running.iter().map(|running| process::memory(running.pid()));
        all.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    /// The end of what they said on stderr.
    pub(crate) fn said(&self) -> String {
        let all: Vec<_> = self.running.iter().map(Running::said).collect();
        all.join("\n")
    }

    /// Asks until there is a right answer. What is no single answer is asked for in another way.
    fn serve(&mut self) -> Result<(), Fault> {
        let began = Instant::now();
        let load = match self.load.what {
            What::Listen | What::Session | What::SessionLevel | What::SessionWatch => {
                Load { what: What::List, count: 20, ..self.load.clone() }
            }
            _ => self.load.clone(),
        };
        loop {
            let Err(fault) = load.once() else { return Ok(()) };
            self.running.iter_mut().try_for_each(Running::check)?;
            if began.elapsed() > PATIENCE || self.running.is_empty() {
                return Err(fault);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn plan(ground: &Ground, case: &Case, name: &str) -> Result<Plan, Fault> {
    // What passes on only passes on to a server of the client's own era.
    let path = case.behind.path(case.load.era, 0);
    let at = |address: &str, path: &str| Load { url: format!("http://{address}{path}"), ..case.load.clone() };
    let named = |load, command| (name.to_owned(), load, Some(command));
    let port = free_port().map_err(Fault::of("a free port"))?;
    let address = format!("127.0.0.1:{port}");
    match (name, &ground.nginx, &ground.haproxy) {
        ("direct", ..) => Ok((name.to_owned(), Load { http2: false, ..at(&ground.echo, &path) }, None)),
        ("nginx", Some(program), _) => {
            Ok(named(at(&address, &path), nginx::proxy(program, ground, case, port)?))
        }
        ("nginx-file", Some(program), _) => {
            let load = Load { what: What::File, ..at(&address, "/list.json") };
            Ok(named(load, nginx::file(program, ground, case, port)?))
        }
        ("haproxy", _, Some(program)) => {
            Ok(named(at(&address, &path), haproxy::proxy(program, ground, case, port)?))
        }
        (ANONYMOUS, ..) => {
            let nobody = Load { who: Who::Anonymous, ..at(&address, "/mcp") };
            Ok(named(nobody, portolan::serve(ground, case, port)?))
        }
        ("portolan", ..) if case.load.who != Who::Anonymous => {
            let (command, key) = portolan::protect(ground, case, port)?;
            Ok(named(Load { key: Some(key), ..at(&address, "/mcp") }, command))
        }
        ("portolan", ..) => Ok(named(at(&address, "/mcp"), portolan::serve(ground, case, port)?)),
        _ => {
            let other = ground.others.iter().find(|other| other.name == name);
            let other = other.ok_or_else(|| Fault::new("nobody of this name is here"))?;
            Ok((name.to_owned(), other.load(&case.load), other.command(ground, case.behind)))
        }
    }
}

/// A port that nobody listens on.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Writes a configuration.
fn write(path: &Path, text: &str) -> Result<(), Fault> {
    std::fs::write(path, text).map_err(Fault::of("writing a configuration"))
}
