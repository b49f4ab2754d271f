//! `portolan call`: one tool, one result.

use mcp::json::{Object, quote};

use crate::arguments::Written;
use crate::client::{Client, Deaf};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::fetch::Fetch;
use crate::replies::Replier;
use crate::show::Shown;
use crate::words::Words;
use crate::{arguments, list, words};

/// How many names of tools a hint has.
const HINTED: usize = 12;

/// Call a tool of a server, and print its result
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "portolan call [OPTIONS] <URL | FILE [SERVER] | 'COMMAND…'> <TOOL> [ARGUMENT]…\n       portolan call [OPTIONS] <TOOL> [ARGUMENT]… -- <COMMAND>…",
    after_help = format!("{}\n\n{}", words::HELP, arguments::HELP)
)]
pub(crate) struct Call {
    /// The server, the tool, and its arguments
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    /// The server's command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// The object of all arguments: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    #[command(flatten)]
    fetch: Fetch,
}

impl Call {
    /// Calls.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let mut words = Words::sort(self.words.clone(), self.command.clone())?;
        let mut servers = self.fetch.peer.find(&words.server)?;
        servers.choose_if_meant(&mut words, |word| word != "-" && !word.contains('='))?;
        let tool = words
            .next()
            .ok_or_else(|| Fault::usage("no tool is named").hint("portolan list shows what there is"))?;
        if servers.has_among_others(&tool) {
            let file = servers.file().map(|path| path.display().to_string()).unwrap_or_default();
            return Err(Fault::usage(format!("{tool:?} is a server, and no tool of it is named"))
                .hint(format!("portolan list {file} {tool} tools shows what there is")));
        }
        let written = Written::read(&words.rest, self.args.as_deref())?;
        let mut replier = self.fetch.replier()?;
        servers.narrow_to_owner(&tool);
        let speak = async |client: &mut Client| self.speak(client, &tool, &written, &mut replier).await;
        self.fetch.peer.meet(servers, speak).await
    }

    async fn speak(
        &self,
        client: &mut Client,
        tool: &str,
        written: &Written,
        replier: &mut Replier,
    ) -> Result<Exit, Fault> {
        let schema = if written.needs_schema() { schema_of(client, tool).await } else { None };
        let arguments = written.object(schema.as_deref());
        let params = [format!("\"name\":{}", quote(tool)), format!("\"arguments\":{arguments}")];
        match self.fetch.get(client, "tools/call", &params, replier, Shown::tool).await {
            Err(fault @ Fault::Refused { hint: None, .. }) => Err(with_names(fault, client, tool).await),
            outcome => outcome,
        }
    }
}

/// What the server says of a tool's arguments, if it says anything. It need not: the call will tell.
async fn schema_of(client: &mut Client, tool: &str) -> Option<String> {
    let listed = list::fetch(client, &list::TOOLS, &mut Deaf).await.ok()?;
    let entry = listed.entries().into_iter().find(|entry| name_of(entry).as_deref() == Some(tool))?;
    entry.get("inputSchema").ok().flatten().map(str::to_owned)
}

/// Whoever misspells a tool wants to see how it is spelled.
async fn with_names(fault: Fault, client: &mut Client, tool: &str) -> Fault {
    let Ok(listed) = list::fetch(client, &list::TOOLS, &mut Deaf).await else { return fault };
    let names: Vec<String> = listed.entries().iter().filter_map(name_of).collect();
    if names.is_empty() || names.iter().any(|name| name == tool) {
        return fault;
    }
    let more = if names.len() > HINTED { ", …" } else { "" };
    let first: Vec<_> = names.iter().take(HINTED).map(String::as_str).collect();
    fault.hint(format!("the server's tools are {}{more}", first.join(", ")))
}

fn name_of(entry: &Object<'_>) -> Option<String> {
    crate::show::text(entry, "name")
}
