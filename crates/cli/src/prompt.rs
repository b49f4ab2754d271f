//! `portolan prompt`: one prompt, as the model would get it.

use mcp::json::quote;

use crate::arguments::Written;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::fetch::Fetch;
use crate::show::Shown;
use crate::words::Words;
use crate::{list, words};

/// How it is used most.
const EXAMPLES: &str = "\
Examples:
  portolan prompt https://mcp.example.com/mcp review code=@main.rs
  portolan prompt mcp.json github review code=@main.rs";

/// Get a prompt of a server, filled with arguments
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "portolan prompt [OPTIONS] <SERVER> <PROMPT> [NAME=VALUE]…\n       portolan prompt [OPTIONS] <PROMPT> [NAME=VALUE]… -- <COMMAND>…",
    after_help = format!("{EXAMPLES}\n\n{}", words::HELP)
)]
pub(crate) struct Prompt {
    /// The server, the prompt, and its arguments, all of them strings
    #[arg(value_name = "WORD")]
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

impl Prompt {
    /// Gets it.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let mut words = Words::sort(self.words.clone(), self.command.clone())?;
        let mut servers = self.fetch.peer.find(&words.server)?;
        servers.choose_if_meant(&mut words, |word| word != "-" && !word.contains('='))?;
        let hint = "portolan list SERVER prompts shows what there is";
        let name = words.next().ok_or_else(|| Fault::usage("no prompt is named").hint(hint))?;
        let arguments = Written::read(&words.rest, self.args.as_deref())?.texts()?;
        let params = [format!("\"name\":{}", quote(&name)), format!("\"arguments\":{arguments}")];
        servers.narrow_to_owner(&name);
        self.fetch.run(servers, "prompts/get", &params, (&list::PROMPTS, &name), Shown::prompt).await
    }
}
