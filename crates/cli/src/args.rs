//! The command line as a whole.

use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::api_keys::ApiKeys;
use crate::approvals::Approvals;
use crate::audit_command::AuditCommand;
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
use crate::pins_command::PinsCommand;
#[cfg(feature = "policy")]
use crate::policy_command::PolicyCommand;
use crate::print::Colours;
use crate::prompt::Prompt;
use crate::read::Read;
use crate::reference::ReferenceServer;
use crate::replicas::Replicas;
use crate::serve::Serve;
use crate::stdio::Stdio;
use crate::texts::{self, Completions, Guard, Man};
use crate::token::Token;
use crate::top::Top;
use crate::trace::TraceCommand;
use crate::words::is_url;

/// The first hour.
const EXAMPLES: &str = "\
Examples:
  portolan demo                        see it work, with nothing but this program
  portolan check mcp.json --connect    is everything there, and why not
  portolan list mcp.json               what the servers have
  portolan serve mcp.json              one endpoint for all of them";

/// The MCP gateway: any servers, of any age, behind one endpoint for clients of any age
#[derive(Debug, Parser)]
#[command(
    name = "portolan",
    version,
    after_help = format!("{EXAMPLES}\n\n{}", Exit::table()),
    max_term_width = 80
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: Log,
    /// Whether there are colours
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true, help_heading = "Log")]
    pub(crate) color: Colours,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Serve(Serve),
    Stdio(Stdio),
    Check(Check),
    Convert(Convert),
    #[cfg(feature = "policy")]
    Policy(PolicyCommand),
    /// Write, check and try out policies (not in this build)
    #[cfg(not(feature = "policy"))]
    #[command(hide = true, disable_help_flag = true)]
    Policy {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        _words: Vec<String>,
    },
    Pins(PinsCommand),
    Keys(Keys),
    ApiKeys(ApiKeys),
    Approvals(Approvals),
    Audit(AuditCommand),
    #[command(visible_alias = "tokens")]
    Token(Token),
    Replicas(Replicas),
    Top(Top),
    Trace(TraceCommand),
    Discover(Discover),
    List(List),
    Call(Box<Call>),
    Read(Box<Read>),
    Prompt(Box<Prompt>),
    ReferenceServer(ReferenceServer),
    /// Print the JSON Schema of the configuration, for editors
    #[command(after_help = "Example:\n  portolan schema > portolan.schema.json")]
    Schema,
    Completions(Completions),
    Man(Man),
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
            #[cfg(feature = "policy")]
            Self::Policy(policy) => policy.run(voice),
            #[cfg(not(feature = "policy"))]
            Self::Policy { .. } => {
                Err(Fault::usage("this build of Portolan knows nothing of policies")
                    .hint(crate::policies::BUILD))
            }
            Self::Pins(pins) => Box::pin(pins.run(voice)).await,
            Self::Keys(keys) => Box::pin(keys.run(voice)).await,
            Self::ApiKeys(keys) => Box::pin(keys.run(voice)).await,
            Self::Approvals(approvals) => Box::pin(approvals.run(voice)).await,
            Self::Audit(audit) => Box::pin(audit.run(voice)).await,
            Self::Token(token) => Box::pin(token.run(voice)).await,
            Self::Replicas(replicas) => Box::pin(replicas.run(voice)).await,
            Self::Top(top) => Box::pin(top.run(voice)).await,
            Self::Trace(trace) => trace.run(voice),
            Self::Discover(discover) => Box::pin(discover.run()).await,
            Self::List(list) => Box::pin(list.run()).await,
            Self::Call(call) => Box::pin(call.run()).await,
            Self::Read(read) => Box::pin(read.run()).await,
            Self::Prompt(prompt) => Box::pin(prompt.run()).await,
            Self::ReferenceServer(server) => Box::pin(server.run()).await,
            Self::Schema => texts::schema(),
            Self::Completions(completions) => completions.run(),
            Self::Man(man) => man.run(),
            Self::ConfigReference => texts::config_reference(),
            Self::Guard(_) => Err(Fault::Bug("the guard was asked for too late".to_owned())),
        }
    }
}

impl Args {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = command().color(colours_of_help());
        let matches = command.try_get_matches_from_mut(std::env::args_os()).map_err(with_command)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// An error that tells who has forgotten the command what it may have been.
fn with_command(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if ["log", "logs", "logging", "color", "colour", "colors"].contains(&word.as_str()) {
        let tip = "that is an option of all commands, which 'portolan --help' explains".to_owned();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        return error;
    }
    if is_url(word) || Path::new(word).is_file() {
        let (serve, list) = (format!("portolan serve {word}"), format!("portolan list {word}"));
        let tips = if is_url(word) { vec![list] } else { vec![serve, list] };
        let tips = tips.into_iter().map(|tip| format!("a command comes first, as in '{tip}'").into());
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips.collect()));
    }
    error
}

/// The same for what clap itself says, which may be that the rest cannot be read.
fn colours_of_help() -> ColorChoice {
    let mut words = std::env::args().skip(1).take_while(|word| word != "--").peekable();
    let mut choice = ColorChoice::Auto;
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--color") {
            Some("") => words.peek().cloned().unwrap_or_default(),
            Some(value) => value.trim_start_matches('=').to_owned(),
            None => continue,
        };
        choice = match value.as_str() {
            "always" => ColorChoice::Always,
            "never" => ColorChoice::Never,
            _ => choice,
        };
    }
    choice
}

/// The whole command line, as data: for completions and reference pages.
#[must_use]
pub fn command() -> clap::Command {
    let command = Args::command();
    let everywhere: Vec<_> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    command.mut_subcommands(|sub| without(sub, &everywhere))
}

/// A command whose help does not have what is said once, in the help of the whole.
fn without(command: clap::Command, everywhere: &[Arg]) -> clap::Command {
    let own = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    let hidden = everywhere.iter().map(|arg| arg.clone().hide(true));
    command
        .args(hidden)
        .after_help(format!("{own}Log and colours: portolan --help"))
        .mut_subcommands(|sub| without(sub, everywhere))
}
