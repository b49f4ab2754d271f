//! `portolan keys`: the keys of what is handed out.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use base::plan::Plan;
use store::keeper::Keys as Source;
use store::seal::key::Key;
use store::seal::turns::{self, KeyFacts, LEAD, Millis, Rotation, Turn};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::serve::configuration::Configuration;
use crate::{print, recording, shared};

/// Show and replace the keys that seal what is handed out: session ids, and the like
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan keys list portolan.toml
  portolan keys rotate portolan.toml")]
pub(crate) struct Keys {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show which keys there are, what each does, and since when. Never the keys themselves
    List(Where),
    /// Add a new key
    ///
    /// It seals a minute later, when every replica has heard of it. The one before it opens what it has sealed until that
    /// has expired.
    Rotate(Rotate),
    /// Print a new key, for PORTOLAN_KEYS or the table [keys] of a configuration
    #[command(after_help = "Example:\n  portolan keys new > new.key")]
    New,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan keys list
  portolan keys list portolan.toml")]
struct Where {
    /// The configuration that the gateway serves; without it, the key of this machine
    #[arg(value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state directory that the gateway was given
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan keys rotate portolan.toml
  portolan keys rotate portolan.toml --revoke")]
struct Rotate {
    #[command(flatten)]
    place: Where,
    /// The earlier keys have become known to others: from now on nothing that they sealed is good
    #[arg(long)]
    revoke: bool,
}

impl Keys {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self.what {
            What::New => {
                let key = Key::random().map_err(|fault| Fault::Outside(fault.to_string()))?;
                print::out(format!("{}\n", key.to_text()))?;
            }
            What::List(place) => {
                let (plan, source) = place.open(voice).await?;
                let read = Box::pin(source.read(shared::now())).await?;
                show(&plan, read)?;
            }
            What::Rotate(Rotate { place, revoke }) => {
                let (plan, source) = place.open(voice).await?;
                let state_dir = place.state_dir;
                let usual = Rotation { lead: LEAD, longest: plan.limits.longest_seal() };
                let rotation = if revoke { Rotation::REVOKE } else { usual };
                let rotated = Box::pin(source.rotate(rotation, shared::now())).await?;
                let outcome = if revoke { "revoked" } else { "rotated" };
                let told = recording::of_key(outcome, ("seal", ""), None);
                recording::tell_done(&plan, state_dir.as_deref(), &[told]).await;
                show(&plan, rotated)?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl Where {
    async fn open(&self, voice: Voice) -> Result<(Plan, Source), Fault> {
        let plan = match &self.config {
            Some(path) => Configuration::at(path).load(voice)?,
            None => Plan::default(),
        };
        let store = match &plan.store {
            Some(place) => Some(shared::open_store(place).await?),
            None => None,
        };
        let source = shared::keys(&plan, store.as_ref(), self.state_dir.as_deref());
        let nowhere = || Fault::usage("there is no state directory").hint("name it with --state-dir");
        Ok((plan, source.map_err(Fault::Outside)?.ok_or_else(nowhere)?))
    }
}

fn show(plan: &Plan, (turns, now): (Vec<Turn>, Millis)) -> Result<(), Fault> {
    let kept = plan.store.as_ref().map(ToString::to_string);
    let mut out = format!("{:<10}{:<10}{:<16}{}\n", "KEY", "STATE", "MADE", "");
    for fact in turns::facts(&turns, now) {
        let made = fact.made_at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", lasting(now - at)));
        let line =
            format!("{:<10}{:<10}{made:<16}{}", fact.id.to_string(), fact.state.name(), next(&fact, now));
        // Writing to a String cannot fail.
        let _infallible = writeln!(out, "{}", line.trim_end());
    }
    if let Some(kept) = kept.filter(|_| plan.keys.secrets.is_empty()) {
        let _infallible = writeln!(out, "kept in {kept}");
    }
    print::out(out)
}

/// What becomes of a key next.
fn next(fact: &KeyFacts, now: Millis) -> String {
    let seals = (fact.seals_from > now).then(|| format!("seals in {}", lasting(fact.seals_from - now)));
    let until = fact.opens_until.filter(|until| *until > now && *until < Millis::MAX);
    let retires = until.map(|until| format!("retires in {}", lasting(until - now)));
    seals.or(retires).unwrap_or_default()
}

/// A time in its largest unit.
pub(crate) fn lasting(millis: Millis) -> String {
    let seconds = Duration::from_millis(u64::try_from(millis).unwrap_or_default()).as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
