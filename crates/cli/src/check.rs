//! `portolan check`: every mistake of a configuration at once, and, if asked, whether its servers are there.

use std::path::PathBuf;

use config::Severity;
use futures_util::future::join_all;
use gateway::plan::UpstreamPlan;
use gateway::upstream::Health;
use mcp::discover::Discovered;

use crate::client::{Client, Deaf};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::{self, Paint};
use crate::{discover, list, outside};

/// Check a configuration: say every mistake at once
///
/// Ends with 0 if it can be used and with 3 if not; with --connect, with 4 if a server is down.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The configuration: Portolan's own (TOML), or the mcp.json of a client; - is stdin
    #[arg(value_name = "FILE")]
    config: PathBuf,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// Also reach each server, and say what it is or why it is down
    #[arg(long)]
    connect: bool,
}

impl Check {
    /// Checks.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let loaded = config::load(&self.config, &outside::variable);
        let colour = Paint::stderr().is_on();
        for found in &loaded.diagnostics {
            print::err(&format!("{}\n", found.render(colour)));
        }
        let count = |severity| loaded.diagnostics.iter().filter(|found| found.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let found = [number(errors, "error"), number(warnings, "warning")];
        let found = found.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let path = self.config.display();
        let Some(plan) = loaded.plan.filter(|_| !self.strict || warnings == 0) else {
            print::err(&format!("{path} cannot be used: {found}\n"));
            return Ok(Exit::Config);
        };
        let servers = number(plan.upstreams.len(), "server").unwrap_or_default();
        let with = if found.is_empty() { String::new() } else { format!(", with {found}") };
        print::out(format!("{path} can be used{with}: {servers}\n"))?;
        if self.connect { connect(plan.upstreams).await } else { Ok(Exit::Ok) }
    }
}

fn number(count: usize, what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    }
}

/// Reaches all servers at once, and says of each how it is.
async fn connect(servers: Vec<UpstreamPlan>) -> Result<Exit, Fault> {
    let width = servers.iter().map(|server| server.name.chars().count()).max().unwrap_or_default();
    let paint = Paint::stdout();
    let names: Vec<_> = servers.iter().map(|server| server.name.clone()).collect();
    let reached = join_all(servers.into_iter().map(|server| Box::pin(reach(server)))).await;
    let mut exit = Exit::Ok;
    for (name, reached) in names.iter().zip(reached) {
        let (tint, state, text) = match reached {
            Ok(text) => (paint.good, "up  ", text),
            Err(fault) => {
                exit = Exit::Unreachable;
                (paint.error, "down", fault.to_string())
            }
        };
        let text = print::safe_out(&text).replace('\n', " ");
        print::out(format!("  {name:<width$}  {tint}{state}{}  {text}\n", paint.off))?;
    }
    Ok(exit)
}

async fn reach(mut server: UpstreamPlan) -> Result<String, Fault> {
    server.watched = false;
    let mut client = Client::open(server, None)?;
    let said = describe(&mut client).await;
    client.close().await;
    said
}

async fn describe(client: &mut Client) -> Result<String, Fault> {
    let answer = client.get("server/discover", &[], &mut Deaf).await?;
    let found = Discovered::read(answer.message())
        .map_err(|fault| Fault::Unreachable(format!("its description cannot be read: {fault}")))?;
    let mut said = match client.health() {
        Health::Up { era, revision, transport } => {
            format!("{}, {revision}{}", era.name(), discover::over(transport))
        }
        Health::Down { why } => return Err(Fault::Unreachable(why)),
        Health::Unknown => String::new(),
    };
    if found.capabilities.tools {
        let tools = list::fetch(client, &list::TOOLS, &mut Deaf).await?.entries().len();
        said.push_str(&format!(", {}", number(tools, "tool").unwrap_or_else(|| "no tools".to_owned())));
    }
    Ok(said)
}
