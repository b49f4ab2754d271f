//! What all commands have in common that speak to servers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base::error::CallError;
use base::masks::Masks;
use base::plan::{EraRule, UpstreamPlan};
use clap::ValueEnum;
use futures_util::future::join_all;
use mcp::version::Era;
use transport::wire::Tap;
use upstream::Upstream;

use crate::arrivals::{self, Telling};
use crate::client::Client;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::inherit::Inheriting;
use crate::print::{self, Paint};
use crate::show::wire::Wire;
use crate::signals::Ends;
use crate::targets::Targets;
use crate::words::Target;

/// How long a call may take if nothing is said.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How to speak to the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Peer {
    /// A header for every request to a server at a URL, as 'Name: value'; may be given several times. `${env:NAME}` and
    /// `${file:PATH}` are put in, so that no secret need stand in the history of a shell
    #[arg(short = 'H', long = "header", value_name = "HEADER", help_heading = "Server")]
    headers: Vec<String>,
    /// Which era of the protocol the server speaks
    #[arg(long, value_name = "ERA", default_value = "auto", help_heading = "Server")]
    era: EraChoice,
    /// How long all of it may take, as 30s, 5m or 500ms
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Server")]
    timeout: Option<Duration>,
    #[command(flatten, next_help_heading = "Server")]
    inheriting: Inheriting,
    /// Show what passes on the wire, with secrets masked
    #[arg(short, long, help_heading = "Server")]
    verbose: bool,
}

/// Which era a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EraChoice {
    /// It is found out
    Auto,
    /// 2026-07-28 and later
    Modern,
    /// The revisions with a handshake, up to 2025-11-25
    Legacy,
}

impl EraChoice {
    /// What the plan says.
    pub(crate) fn rule(self) -> EraRule {
        match self {
            Self::Auto => EraRule::Detect,
            Self::Modern => EraRule::Is(Era::Modern),
            Self::Legacy => EraRule::Is(Era::Legacy),
        }
    }
}

impl Peer {
    /// Whether the wire is shown.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Which servers are meant. More words may follow that say which of them.
    pub(crate) fn find(&self, target: &Target) -> Result<Targets, Fault> {
        Targets::read(target, &self.headers, &self.inheriting)
    }

    /// Speaks to the servers: gives a client to `speak`, within the time there is, and ends what was started for it.
    pub(crate) async fn meet<S>(&self, mut servers: Targets, speak: S) -> Result<Exit, Fault>
    where
        S: AsyncFnOnce(&mut Client) -> Result<Exit, Fault>,
    {
        let is_alone = servers.each().count() == 1;
        servers.each().for_each(|server| self.prepare(server, is_alone));
        if let Some(remark) = servers.not_shown() {
            print::err(&format!("{}\n", print::safe_err(&remark)));
        }
        let mut client = Client::of(&servers, self.tap(&servers.masks()))?;
        let mut ends = Ends::listen()?;
        let awaited = client.gateway().servers();
        let outcome = tokio::select! {
            outcome = speak(&mut client) => {
                outcome.map_err(|fault| with_cure(fault, client.only_fault().as_ref(), &servers))
            }
            fault = self.time_out() => Err(fault),
            () = ends.asked() => Err(Fault::Interrupted),
            never = tell_of_starts(&awaited, servers.file().is_some()) => match never {},
        };
        // What is still under way is cancelled, and processes end. Who does not want to wait for that says so again.
        tokio::select! {
            () = client.close() => outcome,
            () = ends.asked() => Err(Fault::Interrupted),
        }
    }

    /// What the command line says of a server, which is alone or one of several.
    fn prepare(&self, server: &mut UpstreamPlan, is_alone: bool) {
        if self.era != EraChoice::Auto {
            server.era = self.era.rule();
        }
        server.watched = false;
        // Who sits before the terminal knows best when to give up.
        let patience = PATIENCE.max(self.timeout.unwrap_or_default());
        let deadlines = &mut server.deadlines;
        (deadlines.call, deadlines.call_max) = (patience, patience);
        // Whose list never comes must not hide what the others have.
        if is_alone {
            deadlines.list = patience;
        }
        // And waits for the slowest to start, where `serve` would go on without it and tell its clients later.
        (deadlines.grace, deadlines.starting) = (patience, patience);
    }

    fn tap(&self, masks: &Masks) -> Option<Arc<dyn Tap>> {
        self.verbose.then(|| Arc::new(Wire::new(masks.clone())) as Arc<dyn Tap>)
    }

    async fn time_out(&self) -> Fault {
        match self.timeout {
            Some(time) => {
                tokio::time::sleep(time).await;
                Fault::Unreachable(format!("no answer within {time:?}"))
            }
            None => std::future::pending().await,
        }
    }
}

/// Tells which programs are still starting, as long as nobody stops it.
async fn tell_of_starts(servers: &[Arc<Upstream>], have_names: bool) -> Infallible {
    let when = if print::err_is_seen() { Telling::AWAITED } else { Telling::KEPT };
    let width = servers.iter().map(|server| server.name().chars().count()).max().unwrap_or_default();
    let each = servers.iter().map(|server| {
        let tell = move |text: &str| {
            let (name, paint) = (server.name(), Paint::stderr());
            let name = if have_names { format!("{name:<width$}  ") } else { String::new() };
            let text = print::safe_err(text).replace('\n', " ");
            print::err(&format!("  {name}{}...{}   {text}\n", paint.dim, paint.off));
        };
        arrivals::tell_of_start(server, when, tell)
    });
    join_all(each).await;
    // Where there are none, none is told of.
    std::future::pending().await
}

fn with_cure(fault: Fault, error: Option<&CallError>, targets: &Targets) -> Fault {
    let cure = match &fault {
        Fault::Unauthorized(_) => targets.credentials(),
        Fault::Unreachable(_) | Fault::Down(_) => error.and_then(|error| targets.cure(error)),
        _ => None,
    };
    match cure {
        Some(cure) => fault.hint(cure),
        None => fault,
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("the units are ms, s, m and h".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_no_number| "expected a time such as 30s, 5m or 500ms".to_owned())?;
    number.checked_mul(ms).map(Duration::from_millis).ok_or_else(|| "nobody waits that long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("3"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("").is_err() && duration("5 s").is_err() && duration("-1s").is_err());
    }
}
