//! `portolan replicas`: who is alive.

use std::path::PathBuf;

use mcp::json::{self, Object};
use replica::LEASE;
use store::replicas::Replica;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::keys::lasting;
use crate::log::Voice;
use crate::serve::configuration::Configuration;
use crate::{columns, print, shared};

/// Show which replicas are alive, or ask one to drain
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan replicas portolan.toml
  portolan replicas portolan.toml --drain ID")]
pub(crate) struct Replicas {
    /// The configuration that they serve
    #[arg(value_name = "FILE")]
    config: PathBuf,
    /// Ask this one to let its calls finish and end, as SIGTERM does
    #[arg(long, value_name = "ID")]
    drain: Option<String>,
}

impl Replicas {
    /// Shows them.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let plan = Configuration::at(&self.config).load(voice)?;
        let Some(place) = &plan.store else {
            let what = format!(
                "{} has no store, so a process that serves it knows of no other",
                self.config.display()
            );
            return Err(
                Fault::usage(what).hint("store = \"postgres://…\" makes replicas of all that serve it")
            );
        };
        let store = shared::open_store(place).await?;
        let away = |fault: store::StoreFault| Fault::Outside(fault.to_string());
        if let Some(id) = &self.drain {
            if !store.ask_to_drain(id).await.map_err(away)? {
                return Err(Fault::Refused { what: format!("there is no replica {id:?}"), hint: None });
            }
            print::out(format!("{id} is asked to drain\n"))?;
            return Ok(Exit::Ok);
        }
        let living = store.living(LEASE).await.map_err(away)?;
        if living.is_empty() {
            print::out("no replica is alive\n")?;
            return Ok(Exit::Ok);
        }
        print::out(table(&living))?;
        Ok(Exit::Ok)
    }
}

fn table(living: &[Replica]) -> String {
    let head = [
        "REPLICA", "STATE", "UP FOR", "SEEN", "VERSION", "SESSIONS", "WAITING", "STREAMS", "CHILDREN",
        "WHERE",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for replica in living {
        let state = if replica.draining { "draining" } else { "alive" };
        let (age, silent) = (millis(replica.age), millis(replica.silent));
        let facts = Object::parse(&replica.said.facts).ok();
        let holds = |name| facts.as_ref().and_then(|facts| facts.get(name).ok().flatten()).unwrap_or("-");
        let row = [
            &*replica.said.id,
            state,
            &lasting(age),
            &lasting(silent),
            &replica.said.version,
            holds("sessions"),
            holds("suspended"),
            holds("streams"),
            holds("children"),
            &place(&replica.said.facts, replica.said.forward.as_deref()),
        ];
        rows.push(row.map(|cell| print::safe_out(cell).into_owned()).to_vec());
    }
    columns::table(&[18, 10, 10, 8, 10, 10, 10, 10, 9], &rows, print::out_is_seen())
}

/// Host, process and URLs, as far as they are said, and where other replicas reach it.
fn place(facts: &str, forward: Option<&str>) -> String {
    let Ok(facts) = Object::parse(facts) else { return String::new() };
    let host = facts.string("host").ok().flatten().unwrap_or_default();
    let process = facts.get("process").ok().flatten().unwrap_or_default();
    let urls = facts.get("listens").ok().flatten().and_then(|raw| json::array(raw).ok()).unwrap_or_default();
    let urls: Vec<_> = urls.into_iter().filter_map(|raw| json::string(raw).ok()).collect();
    let forward = forward.map(|address| format!(" (replicas: {address})")).unwrap_or_default();
    format!("{host}:{process} {}{forward}", urls.join(" "))
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
