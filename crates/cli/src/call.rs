//! `portolan call`: one tool, one result.

use mcp::json::{Object, quote};

use crate::arguments::Written;
use crate::client::{Client, Deaf};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::fetch::Fetch;
use crate::list::Listed;
use crate::replies::Replier;
use crate::show::{Shown, text};
use crate::words::Words;
use crate::{arguments, list, print, schema, words};

/// How it is used most.
const EXAMPLES: &str = "\
Examples:
  portolan call https://mcp.example.com/mcp search query=x limit=5
  portolan call mcp.json github search query=x
  portolan call echo message=hi -- npx -y some-server";

/// Call a tool of a server, and print its result
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "portolan call [OPTIONS] <SERVER> <TOOL> [ARGUMENT]…\n       portolan call [OPTIONS] <TOOL> [ARGUMENT]… -- <COMMAND>…",
    after_help = format!("{EXAMPLES}\n\n{}\n\n{}", words::HELP, arguments::HELP)
)]
pub(crate) struct Call {
    /// The server, the tool, and its arguments
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// The server's command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// An argument, as one after the tool; may be given several times
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    single: Vec<String>,
    /// The object of all arguments: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Send the arguments as they are, whatever the tool's schema says
    #[arg(long)]
    no_check: bool,
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
        let given = [words.rest.as_slice(), &self.single].concat();
        let written = Written::read(&given, self.args.as_deref())?;
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
        // From the beginning: a program is told what its clients can be asked, and one that was told less would be another one.
        client.declare(replier.capabilities());
        let wanted = !self.no_check || written.needs_schema();
        let listed = if wanted { tools(client).await? } else { None };
        let entries = listed.as_ref().map(Listed::entries).unwrap_or_default();
        let entry = entries.iter().find(|entry| text(entry, "name").as_deref() == Some(tool));
        let schema = entry.and_then(|entry| entry.object("inputSchema").ok().flatten());
        let arguments = written.object(schema.as_ref().map(Object::text));
        if let (false, Some(entry), Some(schema)) = (self.no_check, entry, &schema) {
            check(tool, entry, schema, &arguments)?;
        }
        let params = [format!("\"name\":{}", quote(tool)), format!("\"arguments\":{arguments}")];
        let answer = self.fetch.get(client, "tools/call", &params, replier, Shown::tool).await;
        list::or_meant(answer, client, &list::TOOLS, tool).await
    }
}

/// The server's tools, if it says what it has. It need not: the call will tell.
async fn tools(client: &mut Client) -> Result<Option<Listed>, Fault> {
    match list::fetch(client, &list::TOOLS, &mut Deaf).await {
        Ok(listed) => match client.only_down() {
            // It need not be tried again to hear the same.
            Some(why) => Err(Fault::Unreachable(why)),
            None => Ok(Some(listed)),
        },
        Err(fault @ (Fault::Unreachable(_) | Fault::Down(_))) => Err(fault),
        Err(_) => Ok(None),
    }
}

/// Refuses arguments that the server would refuse.
fn check(tool: &str, entry: &Object<'_>, schema: &Object<'_>, arguments: &str) -> Result<(), Fault> {
    let Ok(arguments) = Object::parse(arguments) else { return Ok(()) };
    let faults = schema::faults(schema, &arguments);
    if faults.is_empty() {
        // The server may take it all the same, and most do without a word.
        for (name, meant) in schema::strange(schema, &arguments) {
            let text = format!(
                "warning: the tool {tool:?} names no argument {name:?}; did you mean {meant:?}? It is sent as it is\n"
            );
            print::err(&print::safe_err(&text));
        }
        return Ok(());
    }
    let takes = list::of_schema(entry);
    let takes = if takes.is_empty() { "nothing".to_owned() } else { takes.join(" ") };
    Err(Fault::usage(format!("the tool {tool:?} cannot be called so:\n  {}", faults.join("\n  ")))
        .hint(format!("it takes {takes}; --no-check sends the arguments as they are")))
}
