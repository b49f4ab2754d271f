//! `portolan discover`: what a server is and can do.

use mcp::discover::{Capabilities, Discovered};
use mcp::json::Object;
use upstream::{Health, Transport};

use crate::client::{Client, Deaf};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::peer::Peer;
use crate::show::{Output, Shown, text};
use crate::words::Words;
use crate::{columns, list, print, words};

/// How it is used most.
const EXAMPLES: &str = "\
Examples:
  portolan discover https://mcp.example.com/mcp
  portolan discover mcp.json";

/// Show what a server is and can do: its era, revision and capabilities
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "portolan discover [OPTIONS] <SERVER>\n       portolan discover [OPTIONS] -- <COMMAND>…",
    after_help = format!("{EXAMPLES}\n\n{}", words::HELP)
)]
pub(crate) struct Discover {
    /// The server
    #[arg(value_name = "SERVER")]
    words: Vec<String>,
    /// The server's command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    output: Output,
}

impl Discover {
    /// Asks it.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let mut words = Words::sort(self.words.clone(), self.command.clone())?;
        let mut servers = self.peer.find(&words.server)?;
        if !words.rest.is_empty() {
            servers.choose(&mut words)?;
        }
        words.end()?;
        self.peer.meet(servers, async |client| self.speak(client).await).await
    }

    async fn speak(&self, client: &mut Client) -> Result<Exit, Fault> {
        let answer = client.get("server/discover", &[], &mut Deaf).await?;
        if self.output.json {
            print::out(format!("{}\n", answer.text()))?;
            return Ok(Exit::Ok);
        }
        let health = client.each_health();
        let found = Discovered::read(answer.message()).map_err(|fault| {
            Fault::Unreachable(format!("the server's description cannot be read: {fault}"))
        })?;
        let shown = match health.as_slice() {
            [] => describe(&found, &Health::Unknown),
            [(_, health)] => describe(&found, health),
            several => describe_several(&found, several),
        };
        shown.print()?;
        let missing = list::degraded(answer.text());
        list::say_missing(client, "capabilities", missing.iter());
        Ok(client.exit())
    }
}

/// What they have together, and how each one is.
fn describe_several(found: &Discovered, servers: &[(String, Health)]) -> Shown {
    let mut shown = Shown::default();
    let width = servers.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, health) in servers {
        let says = match health {
            Health::Up { era, revision, transport } => {
                format!("{}, revision {revision}{}", era.name(), over(*transport))
            }
            Health::Down { .. } => "down".to_owned(),
            Health::Unknown => "not asked".to_owned(),
        };
        shown.line(&format!("{name:<width$}  {says}"));
    }
    shown.line("");
    shown.line(&field("capabilities", &capabilities(&found.capabilities)));
    shown
}

/// A field and its value, on as many lines as a terminal needs; on one for a pipe.
fn field(name: &str, value: &str) -> String {
    const COLUMN: usize = 13;
    let mut line = format!("{name:<COLUMN$}");
    if print::out_is_seen() {
        columns::wrap(&mut line, value.split(' '), COLUMN, COLUMN + 1);
    } else {
        line.push_str(&format!(" {value}\n"));
    }
    line
}

fn describe(found: &Discovered, health: &Health) -> Shown {
    let mut shown = Shown::default();
    let info = found.info.as_deref().and_then(|info| Object::parse(info).ok());
    let member = |name: &str| info.as_ref().and_then(|info| text(info, name));
    let title = member("title").map(|title| format!(" ({title})")).unwrap_or_default();
    let (name, version) = (member("name"), member("version").unwrap_or_default());
    shown.line(&format!("{} {version}{title}", name.as_deref().unwrap_or("a server without a name")));
    if let Health::Up { era, revision, transport } = health {
        let over = over(*transport);
        shown.line(&format!("era           {}, revision {revision}{over}", era.name()));
    }
    shown.line(&field("capabilities", &capabilities(&found.capabilities)));
    for id in found.capabilities.extensions.keys() {
        shown.line(&format!("extension     {id}"));
    }
    if let Some(instructions) = &found.instructions {
        shown.line("");
        shown.line(instructions);
    }
    shown
}

/// The transport, where it is not the one that goes without saying.
pub(crate) fn over(transport: Transport) -> &'static str {
    match transport {
        Transport::Sse => ", over HTTP+SSE",
        Transport::StreamableHttp | Transport::Stdio | Transport::Own => "",
    }
}

/// What it has, and of which of it it tells changes.
fn capabilities(has: &Capabilities) -> String {
    let told = |told: bool, what: &str| if told { format!(" ({what})") } else { String::new() };
    let resources = match (has.resources_changed, has.subscribe) {
        (true, true) => " (tells of changes, can be watched)",
        (true, false) => " (tells of changes)",
        (false, true) => " (can be watched)",
        (false, false) => "",
    };
    let all = [
        has.tools.then(|| format!("tools{}", told(has.tools_changed, "tells of changes"))),
        has.prompts.then(|| format!("prompts{}", told(has.prompts_changed, "tells of changes"))),
        has.resources.then(|| format!("resources{resources}")),
        has.completions.then(|| "completions".to_owned()),
        has.logging.then(|| "logging".to_owned()),
    ];
    let all: Vec<_> = all.into_iter().flatten().collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
