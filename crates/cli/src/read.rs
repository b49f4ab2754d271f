//! `portolan read`: one resource.

use mcp::json::quote;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::fetch::Fetch;
use crate::show::Shown;
use crate::words::Words;
use crate::{list, words};

/// How it is used most.
const EXAMPLES: &str = "\
Examples:
  portolan read https://mcp.example.com/mcp docs://readme
  portolan read mcp.json github docs://readme -o readme.md";

/// Read a resource of a server
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "portolan read [OPTIONS] <SERVER> <URI>\n       portolan read [OPTIONS] <URI> -- <COMMAND>…",
    after_help = format!("{EXAMPLES}\n\n{}", words::HELP)
)]
pub(crate) struct Read {
    /// The server, and the resource's URI
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// The server's command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    fetch: Fetch,
}

impl Read {
    /// Reads it.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let mut words = Words::sort(self.words.clone(), self.command.clone())?;
        let mut servers = self.fetch.peer.find(&words.server)?;
        servers.choose_if_meant(&mut words, |_uri| true)?;
        let hint = "portolan list SERVER resources shows what there is";
        let uri = words.next().ok_or_else(|| Fault::usage("no resource is named").hint(hint))?;
        words.end()?;
        let params = [format!("\"uri\":{}", quote(&uri))];
        self.fetch.run(servers, "resources/read", &params, (&list::RESOURCES, &uri), Shown::resource).await
    }
}
