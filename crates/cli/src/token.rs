//! `portolan token`: what a configuration makes of a token, and which are good no more.

use std::io::Read as _;
use std::path::PathBuf;

use identity::{ApiKey, Finding, Identifier};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::revoke::{Revocations, RevokeTokens, Which};
use crate::serve::configuration::Configuration;
use crate::{issuers, print, shared};

/// The longest that is read. Longer ones are good nowhere.
const MOST: u64 = 64 * 1024;

/// Say what a configuration makes of a token and why it is refused; revoke tokens, and show which are
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
    /// Revoke tokens that have not expired: within a second they are good nowhere, and streams that they opened end
    #[command(
        override_usage = "portolan token revoke [OPTIONS] --issuer <NAME> <--jti <ID>|--sub <SUB>>\n           [FILE]",
        after_help = "Examples:\n  portolan token revoke --issuer company --jti 7d0c2f portolan.toml\n  portolan token revoke --issuer company --sub alice portolan.toml"
    )]
    Revoke(RevokeTokens),
    /// Show which tokens are revoked, and until when that is remembered
    #[command(after_help = "Example:\n  portolan token list portolan.toml")]
    List(Revocations),
    /// Take back that something is revoked
    #[command(after_help = "Example:\n  portolan token allow --issuer company --jti 7d0c2f portolan.toml")]
    Allow(Which),
}

#[derive(Debug, clap::Args)]
struct Inspect {
    /// The configuration that the gateway serves
    #[arg(value_name = "FILE", default_value = "portolan.toml")]
    config: PathBuf,
    /// Only what this route makes of it
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Ask issuers about a token that says nothing itself: it is sent to those that have `introspection`
    #[arg(long)]
    connect: bool,
}

impl Token {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self.what {
            TokenTask::Inspect(inspect) => inspect.run(voice).await,
            TokenTask::Revoke(revoke) => revoke.run(voice).await,
            TokenTask::List(place) => place.list(voice).await,
            TokenTask::Allow(which) => which.allow(voice).await,
        }
    }
}

impl Inspect {
    async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let plan = Configuration::at(&self.config).load(voice)?;
        let store = match &plan.store {
            Some(place) => Some(shared::open_store(place).await?),
            None => None,
        };
        let mut routes = issuers::identifiers(&plan, store)?;
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
        let token = read()?;
        let is_key = ApiKey::is_one(&token);
        let is_opaque = Identifier::is_opaque(&token);
        if is_opaque && !self.connect {
            let hint = "with --connect the issuers that have introspection are asked about it";
            return Err(Fault::usage("the token says nothing itself: it is no signed JWT").hint(hint));
        }
        let mut taken = false;
        for (name, identifier) in routes {
            let findings = if is_key {
                identifier.inspect_key(&token).await.map_err(|fault| shared::away(&fault))?
            } else if is_opaque {
                identifier.inspect_opaque(&token).await
            } else {
                identifier.inspect(&token).await
            };
            taken |= findings.iter().all(|finding| finding.fault.is_none());
            print::out(verdict((&name, &identifier.plan().resource), findings))?;
        }
        Ok(if taken { Exit::Ok } else { Exit::Findings })
    }
}

/// The token on stdin.
fn read() -> Result<String, Fault> {
    let mut token = String::new();
    let read = std::io::stdin().lock().take(MOST).read_to_string(&mut token);
    read.map_err(|error| Fault::outside("cannot read the token from stdin", &error))?;
    let token = token.trim().trim_start_matches("Bearer ").trim_start();
    if token.is_empty() {
        return Err(
            Fault::usage("there is no token on stdin").hint("portolan token inspect FILE < token.txt")
        );
    }
    Ok(token.to_owned())
}

fn verdict((route, resource): (&str, &str), findings: Vec<Finding>) -> String {
    let mut out = format!("route {route} ({resource}) {}\n", Finding::verdict(&findings));
    for finding in findings {
        let says = finding.says.map(|says| format!(" {}", print::safe_out(&says))).unwrap_or_default();
        let mark = finding.fault.map_or_else(|| "ok".to_owned(), |why| format!("NO: {why}"));
        out.push_str(&format!(
            "  {:<12}{mark}{}\n",
            finding.what,
            if says.is_empty() { says } else { format!("  {}", says.trim_start()) }
        ));
    }
    out
}
