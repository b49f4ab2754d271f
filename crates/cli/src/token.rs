//! `portolan token`: what a configuration makes of a token.

use std::io::Read as _;
use std::path::PathBuf;

use identity::ApiKey;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::serve::configuration::Configuration;
use crate::{issuers, print};

/// The longest that is read. Longer ones are good nowhere.
const MOST: u64 = 64 * 1024;

/// Say what a configuration makes of a token, and why it is refused
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portolan token inspect portolan.toml < token.txt")]
pub(crate) struct Token {
    #[command(subcommand)]
    what: TokenTask,
}

#[derive(Debug, clap::Subcommand)]
enum TokenTask {
    /// Read a token from stdin, and say of each thing in it whether it is good. Its signature is never shown
    ///
    /// Ends with 0 if a route takes the token, and with 1 if none does.
    #[command(after_help = "Example:\n  portolan token inspect portolan.toml < token.txt")]
    Inspect(Inspect),
}

#[derive(Debug, clap::Args)]
struct Inspect {
    /// The configuration that the gateway serves
    #[arg(value_name = "FILE", default_value = "portolan.toml")]
    config: PathBuf,
    /// Only what this route makes of it
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
}

impl Token {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let TokenTask::Inspect(inspect) = self.what;
        inspect.run(voice).await
    }
}

impl Inspect {
    async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let plan = Configuration::at(&self.config).load(voice)?;
        let mut routes = issuers::identifiers(&plan)?;
        let names: Vec<_> = routes.iter().map(|(name, _)| name.clone()).collect();
        if let Some(wanted) = &self.route {
            routes.retain(|(name, _)| name == wanted);
        }
        if routes.is_empty() {
            let hint = match names.as_slice() {
                [] => "write public_url and issuers into a table [route.NAME]".to_owned(),
                names => format!("those that do: {}", names.join(", ")),
            };
            return Err(Fault::usage("no such route asks for tokens").hint(hint));
        }
        let mut token = String::new();
        let read = std::io::stdin().lock().take(MOST).read_to_string(&mut token);
        read.map_err(|error| Fault::outside("cannot read the token from stdin", &error))?;
        let token = token.trim().trim_start_matches("Bearer ").trim_start();
        if token.is_empty() {
            return Err(
                Fault::usage("there is no token on stdin").hint("portolan token inspect FILE < token.txt")
            );
        }
        if ApiKey::is_one(token) {
            let hint = "portolan api-keys list shows which there are, and what each is good for";
            return Err(Fault::usage("this is a key of Portolan's own, and no token").hint(hint));
        }
        let mut taken = false;
        for (name, identifier) in routes {
            let findings = identifier.inspect(token).await;
            let good = findings.iter().all(|finding| finding.fault.is_none());
            taken |= good;
            let verdict = if good { "takes it" } else { "refuses it" };
            let mut out = format!("route {name} ({}) {verdict}\n", identifier.plan().resource);
            for finding in findings {
                let says =
                    finding.says.map(|says| format!(" {}", print::safe_out(&says))).unwrap_or_default();
                let mark = finding.fault.map_or_else(|| "ok".to_owned(), |why| format!("NO: {why}"));
                out.push_str(&format!(
                    "  {:<12}{mark}{}\n",
                    finding.what,
                    if says.is_empty() { says } else { format!("  {}", says.trim_start()) }
                ));
            }
            print::out(out)?;
        }
        Ok(if taken { Exit::Ok } else { Exit::Findings })
    }
}
