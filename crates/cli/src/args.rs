//! The command line as a whole.

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::call::Call;
use crate::check::Check;
use crate::convert::Convert;
use crate::demo::Demo;
use crate::discover::Discover;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::keys::Keys;
use crate::list::List;
use crate::log::{Log, Voice};
use crate::prompt::Prompt;
use crate::read::Read;
use crate::reference::ReferenceServer;
use crate::replicas::Replicas;
use crate::serve::Serve;
use crate::stdio::Stdio;
use crate::texts::{self, Completions, Guard};

/// The MCP gateway: any servers, of any age, behind one endpoint for clients of any age
#[derive(Debug, Parser)]
#[command(
    name = "portolan",
    version,
    after_help = Exit::table(),
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: Log,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Serve(Serve),
    Stdio(Stdio),
    Check(Check),
    Convert(Convert),
    Keys(Keys),
    Replicas(Replicas),
    Discover(Discover),
    List(List),
    Call(Box<Call>),
    Read(Box<Read>),
    Prompt(Box<Prompt>),
    ReferenceServer(ReferenceServer),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    Completions(Completions),
    /// Print the reference page of the configuration
    #[command(hide = true)]
    ConfigReference,
    #[command(hide = true)]
    Guard(Guard),
}

impl Command {
    /// Whether it runs until it is told to end, and tells meanwhile how it fares.
    pub(crate) fn runs_long(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Stdio(_))
    }

    /// How much it logs if nothing is said.
    pub(crate) fn default_log(&self) -> &'static str {
        match self {
            Self::Demo(_) | Self::ReferenceServer(_) => "warn",
            _ if self.runs_long() => "info",
            // The answer says it all.
            _ => "off",
        }
    }

    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self {
            Self::Demo(demo) => Box::pin(demo.run()).await,
            Self::Serve(serve) => Box::pin(serve.run(voice)).await,
            Self::Stdio(stdio) => Box::pin(stdio.run(voice)).await,
            Self::Check(check) => Box::pin(check.run()).await,
            Self::Convert(convert) => convert.run(),
            Self::Keys(keys) => Box::pin(keys.run(voice)).await,
            Self::Replicas(replicas) => Box::pin(replicas.run(voice)).await,
            Self::Discover(discover) => Box::pin(discover.run()).await,
            Self::List(list) => Box::pin(list.run()).await,
            Self::Call(call) => Box::pin(call.run()).await,
            Self::Read(read) => Box::pin(read.run()).await,
            Self::Prompt(prompt) => Box::pin(prompt.run()).await,
            Self::ReferenceServer(server) => Box::pin(server.run()).await,
            Self::Schema => texts::schema(),
            Self::Completions(completions) => completions.run(),
            Self::ConfigReference => texts::config_reference(),
            Self::Guard(_) => Err(Fault::Bug("the guard was asked for too late".to_owned())),
        }
    }
}

/// The whole command line, as data: for completions and reference pages.
#[must_use]
pub fn command() -> clap::Command {
    Args::command()
}
