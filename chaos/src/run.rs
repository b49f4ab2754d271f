//! A run: all is set up, clients come, things are struck, all is taken down, and the judge speaks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use crate::blows::Striker;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::ground::{Ground, Settings};
use crate::load::{Client, Load};
use crate::record::{Blow, Record};
use crate::servers::{RESOURCES, TOOLS, World, legacy, modern, subject};
use crate::{judge, report, say};

/// Let clients work while replicas are killed, stopped, drained and reconfigured, and judge what became of every call
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// How long, in minutes
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// What decides on the order of things; without it, something new each time
    #[arg(long)]
    seed: Option<u64>,
    /// How many replicas
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Only these clients, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<Client>,
    /// What is done to replicas, separated by commas: all, none, kill, stop, drain, term, database, reload, misload, burst
    #[arg(long, value_delimiter = ',', default_value = "all")]
    faults: Vec<String>,
    /// The binary of Portolan
    #[arg(long, default_value = "target/debug/portolan")]
    portolan: PathBuf,
    /// Where configurations and logs go, and stay if anything is wrong
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Let nginx send again what it has sent already. Then effects happen twice, and the judge must say so
    #[arg(long)]
    resend: bool,
    /// Keep them in any case
    #[arg(long)]
    keep: bool,
}

impl Run {
    pub(crate) async fn run(self) -> Result<bool, Fault> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => by_chance()?,
        };
        let blows = self.blows()?;
        let time = Duration::from_secs_f64(self.minutes * 60.0);
        let directory = self.directory.clone();
        let directory = directory
            .unwrap_or_else(|| std::env::temp_dir().join(format!("portolan-chaos-{}", std::process::id())));
        let settings = Settings {
            portolan: std::fs::canonicalize(&self.portolan)
                .map_err(Fault::of(&self.portolan.display().to_string()))?,
            replicas: self.replicas,
            directory: directory.clone(),
            resends: self.resend,
        };
        let record = Arc::new(Record::new());
        let mut ground = Ground::set_up(&settings, Arc::clone(&record)).await?;
        say::progress(&format!(
            "{} replicas, seed {seed}, {} s, logs in {}{}",
            self.replicas,
            time.as_secs(),
            directory.display(),
            if ground.forwards { "" } else { "; this Portolan knows no [replicas]" }
        ));
        let load = Load::begin(&ground, seed, &self.only);
        let changer = tokio::spawn(change(Arc::clone(&ground.world), Dice::of(seed, 1 << 32)));
        let mut striker = Striker::new(seed, blows);
        let struck = striker.strike(&mut ground, &load, time).await;
        changer.abort();
        // Watchers may still hear of what changed last.
        sleep(judge::HEAR).await;
        load.end().await;
        struck?;
        ground.take_down().await?;
        ground.gather()?;
        drop(ground);
        let book = record.book().clone();
        let findings = judge::findings(&book);
        say::out(&report::figures(&book)).map_err(Fault::of("stdout"))?;
        std::fs::write(directory.join("lost"), report::losses(&book))
            .map_err(Fault::of("the list of losses"))?;
        if findings.is_empty() {
            if !self.keep {
                // What is left of it harms nobody.
                std::fs::remove_dir_all(&directory).ok();
            }
            say::out("every call is accounted for").map_err(Fault::of("stdout"))?;
            return Ok(true);
        }
        let list = directory.join("findings");
        std::fs::write(&list, report::list(&findings)).map_err(Fault::of("the list of findings"))?;
        let count = findings.len();
        say::out(&format!(
            "{count} findings (seed {seed}; all of them in {}, logs beside it):\n{}",
            list.display(),
            report::kinds(&findings)
        ))
        .map_err(Fault::of("stdout"))?;
        Ok(false)
    }

    /// What may be done. A replica that is alone is not ended.
    fn blows(&self) -> Result<Vec<Blow>, Fault> {
        let mut blows = Vec::new();
        for name in &self.faults {
            match (name.as_str(), Blow::ALL.iter().find(|blow| blow.name() == name)) {
                ("all", _) => blows.extend(Blow::ALL),
                ("none", _) => {}
                (_, Some(blow)) => blows.push(*blow),
                (_, None) => return Err(Fault::new(format!("--faults: nothing is called {name:?}"))),
            }
        }
        if self.replicas < 2 {
            blows.retain(|blow| !matches!(blow, Blow::Kill | Blow::Drain | Blow::Term));
        }
        Ok(blows)
    }
}

/// Changes one thing after the other.
async fn change(world: Arc<World>, mut dice: Dice) {
    let servers = [modern::NAME, legacy::NAME];
    let things = || (0..RESOURCES).map(|n| format!("r{n}")).chain([TOOLS.to_owned()]);
    let mut subjects: Vec<_> =
        servers.iter().flat_map(|server| things().map(move |what| subject(server, &what))).collect();
    loop {
        dice.shuffle(&mut subjects);
        for subject in &subjects {
            sleep(Duration::from_millis(dice.between(500, 2000))).await;
            world.change(subject);
        }
    }
}

fn by_chance() -> Result<u64, Fault> {
    use std::io::Read;
    let mut bytes = [0; 4];
    let mut random = std::fs::File::open("/dev/urandom").map_err(Fault::of("/dev/urandom"))?;
    random.read_exact(&mut bytes).map_err(Fault::of("/dev/urandom"))?;
    Ok(u64::from(u32::from_le_bytes(bytes)))
}
