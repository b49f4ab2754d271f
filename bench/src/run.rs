//! The run: starts who is measured, lets the load at one after the other, and again, and keeps what was found.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use globset::Glob;

use crate::cases::{self, Case, Group};
use crate::fault::Fault;
use crate::load::{Load, Pace};
use crate::process::{self, Running};
use crate::report::about::About;
use crate::report::{self, Record};
use crate::say;
use crate::yard::{self, Ground};

mod measure;

/// Start everything on loopback, measure, and write the results
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// Only the cases whose names this glob matches; several with {a,b}
    #[arg(long, default_value = "*")]
    only: String,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How often each is measured, in turn with the others
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A glance at everything: fractions of a second, few of whatever there are many of
    #[arg(long)]
    quick: bool,
    /// List the cases
    #[arg(long)]
    list: bool,
    /// The directory for results, plots and raw figures
    #[arg(long, default_value = "bench")]
    out: PathBuf,
    /// A TOML file that names other gateways to measure beside (others.example.toml)
    #[arg(long)]
    others: Option<PathBuf>,
    /// The binary of Portolan
    #[arg(long, default_value = "target/dist/portolan")]
    portolan: PathBuf,
    /// An argument for `portolan serve`; may be given more than once
    #[arg(long = "portolan-arg", allow_hyphen_values = true)]
    portolan_args: Vec<String>,
    /// Only those whose names this glob matches take part
    #[arg(long, default_value = "*")]
    yards: String,
    /// Write RESULTS.md, plots and raw figures also where not everything was measured
    #[arg(long)]
    write_results: bool,
}

impl Run {
    pub(crate) fn run(self) -> Result<(), Fault> {
        let only = Glob::new(&self.only).map_err(Fault::of("--only"))?.compile_matcher();
        let cases: Vec<_> = cases::all().into_iter().filter(|case| only.is_match(&case.name)).collect();
        if self.list {
            return cases.iter().try_for_each(|case| {
                say::out(&format!("{:24} {}", case.name, case.title)).map_err(Fault::of("stdout"))
            });
        }
        if cases.is_empty() {
            return Err(Fault::new(format!("no case is called {:?}; --list shows them", self.only)));
        }
        process::raise_file_limit(65536)?;
        let dir = std::env::temp_dir().join(format!("portolan-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(Fault::of("a directory for this run"))?;
        let done = self.within(&dir, &cases);
        std::fs::remove_dir_all(&dir).ok();
        done
    }

    fn within(&self, dir: &Path, cases: &[Case]) -> Result<(), Fault> {
        let bench = std::env::current_exe().map_err(Fault::of("this program"))?;
        let mut echo = Running::start(
            Command::new(&bench).args(["echo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()),
            &dir.join("echo.log"),
        )?;
        let address = echo.lines().and_then(|mut lines| lines.next()?.ok());
        let address = address.ok_or_else(|| Fault::new(format!("echo: {}", echo.said())))?;
        let ground = Ground {
            dir: dir.to_owned(),
            echo: address,
            bench,
            portolan: self.portolan.clone(),
            portolan_args: self.portolan_args.clone(),
            others: self.others.as_deref().map_or_else(|| Ok(Vec::new()), yard::other::read)?,
            nginx: program("nginx"),
            haproxy: program("haproxy"),
        };
        for (name, found) in [("nginx", &ground.nginx), ("haproxy", &ground.haproxy)] {
            if found.is_none() {
                say::progress(&format!("{name} is not here: nothing is measured against it"));
            }
        }
        let mut records = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let case = self.sized(case);
            say::progress(&format!("[{}/{}] {}: {}", number + 1, cases.len(), case.name, case.title));
            let record = self.case(&ground, &case)?;
            report::table::show(&record)?;
            records.push(record);
        }
        report::budget::show(&records)?;
        if self.writes() {
            let about = About::find(&ground);
            report::results::write(&self.out, &about, &records)?;
            say::progress(&format!("written to {}", self.out.display()));
        }
        // Others may fail as they like; that stands in the results.
        let others: Vec<_> = ground.others.iter().map(|other| other.name.as_str()).collect();
        let rows = records.iter().flat_map(|record| &record.rows);
        let failed = rows.filter(|row| row.fault.is_some() && !others.contains(&row.name.as_str())).count();
        if failed > 0 {
            return Err(Fault::new(format!("{failed} measurements failed")));
        }
        Ok(())
    }

    /// Only what measured everything replaces the results, unless it is told to.
    fn writes(&self) -> bool {
        self.write_results || (!self.quick && self.only == "*" && self.yards == "*")
    }

    /// The case with the times of this run.
    fn sized(&self, case: &Case) -> Case {
        let mut case = case.clone();
        case.load.warm_up = 0.5;
        case.load.seconds = match case.load.pace {
            Pace::Closed => self.seconds,
            // So that a hundredth and a thousandth of the calls are some calls.
            Pace::Open => self.seconds * 3.0,
            // So that there are keep-alives in it.
            Pace::Hold if case.group == Group::Idle => self.seconds.max(16.0),
            Pace::Hold => self.seconds,
        };
        if self.quick {
            case.load.seconds = case.load.seconds.min(0.3);
            case.load.warm_up = 0.1;
            case.load.connections = case.load.connections.min(100);
            case.load.sessions = case.load.sessions.min(100);
        }
        case
    }

    fn case(&self, ground: &Ground, case: &Case) -> Result<Record, Fault> {
        let wanted = Glob::new(&self.yards).map_err(Fault::of("--yards"))?.compile_matcher();
        let names = yard::names(ground, case).into_iter().filter(|name| wanted.is_match(name));
        let rounds =
            if self.quick || matches!(case.group, Group::Idle | Group::Sessions) { 1 } else { self.rounds };
        Ok(measure::case(ground, case, &names.collect::<Vec<_>>(), rounds))
    }
}

/// Where a program is, if it is here.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// A load against one who serves: its process runs, and meanwhile the clock of the other is read.
fn load(ground: &Ground, load: &Load) -> Result<Running, Fault> {
    let mut command = Command::new(&ground.bench);
    Running::start(command.args(load.arguments()).stdout(Stdio::piped()), &ground.dir.join("load.log"))
}
